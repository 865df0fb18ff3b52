"""Entities that several conformance scenarios use, and how scripts reach them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ipydurable import EntityInstanceId, entity, orchestrator
from ipydurable.runtime.core.context import pack_arguments
from ipydurable.runtime.core.errors import EntityCallError
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.ports import EntityQuery
from tests.conformance.scenario import World

__all__ = [
    "PATIENCE_S",
    "Account",
    "Log",
    "ask",
    "echo",
    "entities_of",
    "entity_of",
    "failure_of",
    "hold",
    "holds",
    "locks_and_leaves",
    "locks_of",
    "state_of",
    "tally",
    "tell",
    "until_locked",
]


PATIENCE_S = 20.0


@entity
class Account:
    """A bank account."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        self.balance -= amount
        if self.balance < 0:
            raise ValueError("overdrawn")
        return self.balance

    def get(self) -> int:
        return self.balance

    def set(self, balance: int) -> None:
        self.balance = balance

    def pay(self, ctx: Any, other: str, amount: int) -> None:
        self.balance -= amount
        ctx.signal_entity(other, "deposit", amount)

    def launch(self, ctx: Any, name: str, instance_id: str) -> Any:
        return ctx.start_orchestration(name, ctx.entity_key, instance_id=instance_id)

    def promise_and_fail(self, ctx: Any, other: str, instance_id: str) -> None:
        self.balance = 999
        ctx.signal_entity(other, "deposit", 1)
        ctx.start_orchestration(echo, instance_id=instance_id)
        raise ConnectionError("lost the line")


@entity
def tally(ctx: Any, value: Any) -> Any:
    """A counter that is a function."""
    match ctx.operation:
        case "add":
            ctx.set_state(ctx.get_state(0) + value)
        case "set":
            ctx.set_state(value)
        case "mutate":
            ctx.get_state([]).append(value)
        case "forget":
            ctx.set_state(None)
        case "who":
            return [ctx.entity_name, ctx.entity_id == EntityInstanceId("TALLY", ctx.entity_key)]
        case "fail":
            ctx.set_state("half done")
            raise LookupError(value)
    return ctx.get_state()


@entity
class Log:
    """Remembers what came, in order."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def add(self, line: Any) -> None:
        self.lines.append(line)

    def get(self) -> list[Any]:
        return self.lines


@orchestrator
async def echo(ctx: Any, value: Any = None) -> Any:
    return value


def entity_of(world: World, name: str, key: str = "a") -> str:
    """Return the id of an entity of this scenario."""
    return f"{name}@{world.id(key)}"


def ask(world: World, entity_id: Any, operation: str, *args: Any, **kwargs: Any) -> Any:
    """Call an entity from outside."""
    given = pack_arguments(args, kwargs)
    return world.client.call_entity(entity_id, operation, given, timeout_s=PATIENCE_S)


def tell(
    world: World, entity_id: Any, operation: str, *args: Any, at: datetime | None = None
) -> None:
    """Signal an entity from outside."""
    world.client.signal_entity(entity_id, operation, pack_arguments(args, {}), signal_time=at)


def state_of(world: World, entity_id: Any) -> Any:
    """Return the state an entity has in the store."""
    record = world.client.get_entity(entity_id)
    return None if record is None else world.client.decode(record.state)


def failure_of(work: Callable[[], Any]) -> list[str]:
    """Return the type and message of the failure of an operation that a client called."""
    try:
        result = work()
    except EntityCallError as error:
        return [error.failure.type_name, error.failure.message]
    raise AssertionError(f"it succeeded with {result!r}")


def entities_of(world: World, **conditions: Any) -> list[str]:
    """Return the keys of the entities of this scenario that a query finds."""
    found = world.client.query_entities(EntityQuery(**conditions))
    keys = [EntityInstanceId.parse(record.instance_id).key for record in found]
    return [world.short(key) for key in keys if key.startswith(world.prefix)]


@orchestrator
async def holds(ctx: Any, entities: list[str]) -> Any:
    async with ctx.lock_entities(entities):
        return await ctx.wait_for_external_event("leave")


@orchestrator
async def locks_and_leaves(ctx: Any, entities: list[str]) -> Any:
    async with ctx.lock_entities(entities):
        return "was in"


def locks_of(world: World) -> list[list[Any]]:
    """Return the locks of this scenario: the entity's key, the owner, and who waits."""
    found = []
    for lock in world.client.locks():
        key = EntityInstanceId.parse(lock.entity_id).key
        if key.startswith(world.prefix):
            queue = [world.short(one) for one in lock.queue]
            found.append([world.short(key), world.short(lock.owner), queue])
    return sorted(found)


def until_locked(world: World, *owners: str) -> None:
    """Let time pass until locks are held by these instances, and by no others."""
    world.until(lambda: {one[1] for one in locks_of(world)} == set(owners), f"{owners} hold locks")


def hold(world: World, *keys: str, suffix: str = "holder") -> InstanceHandle:
    """Have an instance hold the locks of accounts."""
    run = world.start(holds, [entity_of(world, "Account", key) for key in keys], suffix=suffix)
    world.until_waiting(run, "external event", "leave")
    return run
