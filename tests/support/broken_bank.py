"""A bank in which things fail until they are mended: what tests of rewinding begin with."""

from __future__ import annotations

from typing import Any

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import (
    ListLocks,
    Rewind,
)
from tests.support.world import World

__all__ = [
    "Account",
    "Switch",
    "balances",
    "broken_bank",
    "fail_inside",
    "locks",
    "rewind",
]


class Account:
    """A bank account whose owner may be short of money."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise ValueError("overdrawn")
        self.balance -= amount
        return self.balance


class Switch(dict[str, bool]):
    """What is broken outside."""

    def audit(self, value: Any) -> Any:
        if self["broken"]:
            raise ConnectionError("refused")
        return value


async def withdraw(ctx: Any, amount: int) -> Any:
    return await ctx.call_entity("Account@a", "withdraw", amount)


async def transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount = order
    a, b = ctx.entity("Account", source), ctx.entity("Account", target)
    async with ctx.lock_entities(a, b):
        left = await a.withdraw(amount)
        await ctx.call_activity("audit", left)
        return [left, await b.deposit(amount)]


def generator_transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount = order
    with (yield ctx.lock_entities([f"Account@{source}", f"Account@{target}"])):
        yield ctx.call_entity(f"Account@{target}", "deposit", amount)
        left = yield ctx.call_entity(f"Account@{source}", "withdraw", amount)
    return left


async def holder(ctx: Any, entity: str) -> Any:
    async with ctx.lock_entities(entity):
        return await ctx.wait_for_external_event("leave")


def broken_bank(resident: int, outside: Switch) -> World:
    """Return a world with accounts, and orchestrators that use what is broken outside."""
    world = World(resident=resident)
    world.entity(Account)
    world.define(outside.audit, name="audit")
    for one in (withdraw, transfer, generator_transfer, holder):
        world.orchestrator(one)
    return world


def rewind(world: World, instance_id: str = "one") -> None:
    """Rewind an instance."""
    world.ask(Rewind(instance_id=instance_id))


def locks(world: World) -> list[tuple[str, str, list[str]]]:
    """Return each lock: the entity, who holds it, who waits."""
    return [(one.entity_id, one.owner, one.queue) for one in world.ask(ListLocks())]


def balances(world: World) -> list[int]:
    """Return what the accounts a and b hold."""
    return [(world.state(f"Account@{key}") or {"balance": 0})["balance"] for key in "ab"]


def fail_inside(world: World) -> None:
    """Let a transfer fail between taking money from a and giving it to b."""
    world.call("Account@a", "deposit", 5)
    world.start("transfer", ["a", "b", 3])
    world.work()
    assert world.record().status is RuntimeStatus.FAILED
    assert locks(world) == []
