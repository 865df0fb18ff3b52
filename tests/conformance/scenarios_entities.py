"""Entities: created by their first message, one operation at a time, each exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ipydurable import EntityInstanceId, entity, orchestrator
from ipydurable.runtime.core.context import pack_arguments
from ipydurable.runtime.core.entity_ids import entity_id_of
from ipydurable.runtime.core.errors import EntityCallError
from ipydurable.runtime.ports import EntityQuery
from tests.conformance.common import flaky
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import World, raised, scenario

__all__ = ["Account", "Log", "ask", "entity_of", "state_of", "tally", "tell"]

_PATIENCE_S = 20.0


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
    return world.client.call_entity(entity_id, operation, given, timeout_s=_PATIENCE_S)


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


@scenario(gives=[None, {"balance": 5}, 7])
def a_signal_creates_an_entity_and_its_state_stays(world: World) -> Any:
    """Nothing is there before the first message; what an operation leaves is read and gone on with."""
    account = entity_of(world, "Account")
    before = world.client.get_entity(account)
    tell(world, account, "deposit", 5)
    world.until(lambda: state_of(world, account) is not None, "the deposit")
    return [before, state_of(world, account), ask(world, account, "deposit", 2)]


@entity(name="Kasse")
class CashDesk:
    coins: int = 0

    def insert(self, coins: int) -> int:
        self.coins += coins
        return self.coins


@scenario(gives=[{"coins": 3}, 4])
def an_entity_may_have_another_name_than_its_code(world: World) -> Any:
    """It is found by the name it was given, in any case."""
    desk = entity_of(world, "Kasse")
    ask(world, desk, "insert", 3)
    return [state_of(world, desk), ask(world, entity_of(world, "kasse"), "insert", 1)]


@scenario(gives=[1, 1, 5, [{"balance": 1}, {"balance": 5}]])
def names_know_no_case_and_keys_do(world: World) -> Any:
    """`ACCOUNT@a` is `account@a`, and not `account@A`; operations may be in any case too."""
    lower, upper = entity_of(world, "account", "a"), entity_of(world, "ACCOUNT", "A")
    answers = [
        ask(world, entity_of(world, "AcCount", "a"), "Deposit", 1),
        ask(world, lower, "GET"),
        ask(world, upper, "deposit", 5),
    ]
    return [*answers, [state_of(world, lower), state_of(world, upper)]]


@orchestrator
async def signals_five(ctx: Any, log: str) -> Any:
    for n in range(5):
        ctx.signal_entity(log, "add", n)
    return await ctx.call_entity(log, "get")


@scenario(gives=[0, 1, 2, 3, 4])
def an_orchestration_signals_in_order_and_once(world: World) -> Any:
    """Signals and calls of one sender are done in the order they were sent, at every replay once."""
    return world.run(signals_five, entity_of(world, "Log"))


@orchestrator
async def calls_in_every_way(ctx: Any, key: str) -> Any:
    account = EntityInstanceId("Account", key)
    return [
        await ctx.call_entity(account, "deposit", 1),
        await ctx.call_entity(f"@account@{key}", "deposit", 1),
        await ctx.call_entity(Account(key), "deposit", 1),
        await Account(key).deposit(1),
        await ctx.entity(Account, key).deposit(amount=1),
        await ctx.entity("Account", key).call("deposit", 1),
        await ctx.entity(account).get(),
    ]


@scenario(gives=[1, 2, 3, 4, 5, 6, 6])
def an_orchestration_calls_by_id_by_text_and_by_handle(world: World) -> Any:
    """An entity is meant by its id, its text or its handle; a handle's operations are methods."""
    return world.run(calls_in_every_way, world.id("a"))


@orchestrator
def calls_in_a_generator(ctx: Any, account: str) -> Any:
    ctx.signal_entity(account, "deposit", 40)
    return (yield ctx.call_entity(account, "deposit", 2))


@scenario(gives=42)
def generators_signal_and_call(world: World) -> Any:
    """A generator yields the task of a call, as in Durable Functions."""
    return world.run(calls_in_a_generator, entity_of(world, "Account"))


@scenario(gives=[{"balance": 7}, {"balance": 3}])
def an_entity_signals_another(world: World) -> Any:
    """What an operation sends is delivered once it has succeeded."""
    payer, payee = entity_of(world, "Account", "payer"), entity_of(world, "Account", "payee")
    ask(world, payer, "deposit", 10)
    ask(world, payer, "pay", payee, 3)
    world.until(lambda: state_of(world, payee) is not None, "the payment")
    return [state_of(world, payer), state_of(world, payee)]


@scenario(gives=[True, "a", True, ["Completed", "a"]])
def an_entity_starts_an_orchestration_once(world: World) -> Any:
    """It gets the id at once; an instance that exists already is left alone."""
    account, child = entity_of(world, "Account"), world.id("child")
    first = ask(world, account, "launch", "echo", child)
    world.until(lambda: world.client.query_ids(child), "the start") if False else None
    ask(world, account, "get")
    run = world.handle(child)
    result = run.result()
    again = ask(world, account, "launch", "echo", child)
    return [first == child, world.short(result), again == child, [run.status.value, "a"]]
