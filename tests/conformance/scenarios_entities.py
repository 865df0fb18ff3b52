"""Entities: created by their first message, one operation at a time, each exactly once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ipydurable import EntityInstanceId, entity, orchestrator
from ipydurable.runtime.ports import EntityQuery
from tests.conformance.durations import LONG
from tests.conformance.entity_common import (
    Account,
    ask,
    entities_of,
    entity_of,
    state_of,
    tell,
)
from tests.conformance.scenario import World, raised, scenario


@scenario(gives=[None, {"balance": 5}, 7])
def a_signal_creates_an_entity_and_its_state_stays(world: World) -> Any:
    """Nothing is there before the first message; what an operation leaves is gone on with."""
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
    """Signals and calls of one sender are done in the order they were sent, each once."""
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


@scenario(gives=[True, "a", True, 0])
def an_entity_starts_an_orchestration_once(world: World) -> Any:
    """It gets the id at once; an instance that exists already is left alone."""
    account, child = entity_of(world, "Account"), world.id("child")
    first = ask(world, account, "launch", "echo", child)
    result = world.handle(child).result()
    again = ask(world, account, "launch", "echo", child)
    return [
        first == child,
        world.short(result),
        again == child,
        world.handle(child).record.generation,
    ]


@scenario(gives=[["Completed", "tags"], {"started_by": True}])
def an_instance_tells_which_entity_started_it(world: World) -> Any:
    """The tag `started_by` holds the id of the entity."""
    account, child = entity_of(world, "Account"), world.id("child")
    ask(world, account, "launch", "echo", child)
    run = world.handle(child)
    tags = {
        name: value == f"@{account.lower()[:7]}{account[7:]}"
        for name, value in run.record.tags.items()
    }
    return [[run.wait().value, "tags"], tags]


@scenario(gives=[["UnknownDefinitionError"], 0])
def an_entity_nobody_defined_is_refused(world: World) -> Any:
    """A client is told at once, with near names; nothing is created."""
    wrong = entity_of(world, "Acount")
    error, near = raised(lambda: ask(world, wrong, "deposit", 1), "near")
    assert "Account" in near
    tells = raised(lambda: tell(world, wrong, "deposit", 1))[0]
    assert tells == error
    return [[error], len(entities_of(world, include_empty=True))]


@orchestrator
async def calls_an_unknown_entity(ctx: Any, key: str) -> Any:
    ctx.signal_entity(f"Acount@{key}", "deposit", 1)
    try:
        await ctx.call_entity(f"Acount@{key}", "deposit", 1)
    except Exception as error:
        return [type(error).__name__, error.details.type_name]


@scenario(gives=["TaskFailedError", "UnknownDefinitionError"])
def calling_an_entity_nobody_defined_fails_the_task(world: World) -> Any:
    """In an orchestration it is a failure like any other; a signal to it is dropped."""
    return world.run(calls_an_unknown_entity, world.id("a"))


@scenario(gives=[0, 0, 5])
def none_is_no_argument_where_none_is_taken(world: World) -> Any:
    """`call_entity(id, "get", None)` calls an operation without parameters."""
    account = entity_of(world, "Account")
    first = ask(world, account, "get", None)
    return [first, ask(world, account, "get"), ask(world, account, "deposit", 5)]


@scenario(gives=[["c", "b", "a"], ["c", "b"], ["a"], ["b"], ["c", "b", "a", "empty"], []])
def entities_are_found_by_name_prefix_time_and_page(world: World) -> Any:
    """Newest first; those without state only if asked for."""
    for key in ("empty", "a", "b", "c"):
        ask(
            world,
            entity_of(world, "Account", key),
            "deposit" if key != "empty" else "get",
            *[1] * (key != "empty"),
        )
    prefix = f"@account@{world.prefix}"
    first = world.client.query_entities(EntityQuery(prefix=prefix, limit=2))
    later = world.now() + timedelta(days=1)
    return [
        entities_of(world, name="ACCOUNT"),
        [world.short(EntityInstanceId.parse(one.instance_id).key) for one in first],
        entities_of(world, prefix=prefix, before_iid=first[-1].iid),
        entities_of(world, prefix=f"{prefix}b", modified_to=later),
        entities_of(world, prefix=prefix, include_empty=True),
        entities_of(world, prefix=prefix, modified_from=later),
    ]


@scenario(gives=[True, ["full", "later"], [False, True, True], 1])
def empty_entities_are_cleaned_away(world: World) -> Any:
    """Those without state and without anything to do; one that is needed again is made again."""
    empty, full, later = (entity_of(world, "Account", key) for key in ("empty", "full", "later"))
    ask(world, empty, "deposit", 5)
    ask(world, empty, "delete")
    ask(world, full, "deposit", 1)
    tell(world, later, "deposit", 1, at=world.now() + LONG)
    cleaned = world.client.clean_entities()
    left = sorted(entities_of(world, include_empty=True))
    there = [world.client.get_entity(one) is not None for one in (empty, full, later)]
    return [cleaned >= 1, left, there, ask(world, empty, "deposit", 1)]


@scenario(gives=[None, [], 0, None, 7])
def an_entity_that_is_not_there_is_none_until_something_reaches_it(world: World) -> Any:
    """Asking for it makes none; its first operation finds the defaults."""
    account = entity_of(world, "Account")
    missing = world.client.get_entity(account)
    listed = entities_of(world, include_empty=True)
    return [
        missing,
        listed,
        ask(world, account, "get"),
        state_of(world, account),
        ask(world, account, "deposit", 7),
    ]


@orchestrator
async def calls_for_nothing(ctx: Any, account: str) -> Any:
    answers = [await ctx.call_entity(account, "set", 3)]
    answers.append(await ctx.call_entity(account, "delete"))
    return [*answers, await ctx.call_entity(account, "get")]


@scenario(gives=[[None, None, 0], None])
def an_operation_may_return_nothing(world: World) -> Any:
    """The caller gets None, from `delete` too."""
    account = entity_of(world, "Account")
    return [world.run(calls_for_nothing, account), state_of(world, account)]


@orchestrator
async def fills_and_empties(ctx: Any, accounts: list[str]) -> Any:
    await ctx.when_all([ctx.call_entity(one, "deposit", 1) for one in accounts])
    await ctx.when_all([ctx.call_entity(one, "delete") for one in accounts[1:]])


@scenario(gives=[200, ["0"], [1, 2]], order_varies=True)
def hundreds_of_empty_entities_are_cleaned_at_once(world: World) -> Any:
    """What is not empty stays; those that went are made anew when they are needed."""
    accounts = [entity_of(world, "Account", str(n)) for n in range(201)]
    world.run(fills_and_empties, accounts)
    cleaned = len(entities_of(world, include_empty=True))
    world.client.clean_entities()
    left = entities_of(world, include_empty=True)
    again = [ask(world, one, "deposit", 1) for one in (accounts[200], accounts[0])]
    return [cleaned - len(left), left, again]
