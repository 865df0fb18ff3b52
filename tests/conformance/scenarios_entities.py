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
from ipydurable.runtime.core.errors import EntityCallError
from ipydurable.runtime.ports import EntityQuery
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


@entity
class Basket:
    """Keeps all kinds of state."""

    opened: datetime
    owner: str = "nobody"
    _note = "not kept"

    def __init__(self) -> None:
        self.goods: dict[str, int] = {}

    def put(self, name: str, count: int = 1, *, owner: str = "") -> dict[str, int]:
        self.goods[name] = self.goods.get(name, 0) + count
        self.owner = owner or self.owner
        self._note = "changed"
        return self.goods

    def open(self, at: datetime) -> None:
        self.opened = at

    def age(self, now: datetime) -> Any:
        return [now - self.opened, self._note]

    async def wait_and_put(self, name: str) -> int:
        await asyncio.sleep(0)
        self.put(name)
        return len(self.goods)

    def label(self, context: Any, text: str = "basket") -> str:
        return f"{text} {context.entity_name} {context.operation}"

    def take(self, name: str) -> int:
        return self.goods.pop(name)


@scenario(gives=[{"pear": 2}, {"goods": {"fig": 1, "pear": 2}, "owner": "Ann"}])
def public_attributes_are_the_state_of_a_class(world: World) -> Any:
    """Those of `__init__` and of the class body, and no private ones; arguments are passed on."""
    basket = entity_of(world, "Basket")
    first = ask(world, basket, "put", "pear", 2)
    ask(world, basket, "put", "fig", owner="Ann")
    return [first, state_of(world, basket)]


@scenario(gives=[[timedelta(days=1), "not kept"], ["AttributeError"]])
def attributes_keep_their_types(world: World) -> Any:
    """A datetime comes back as one; an attribute with a type only is missing until it is set."""
    basket = entity_of(world, "Basket")
    missing = failure_of(lambda: ask(world, basket, "age", datetime(2026, 1, 2)))[:1]
    ask(world, basket, "open", datetime(2026, 1, 1))
    return [ask(world, basket, "age", datetime(2026, 1, 2)), missing]


@scenario(gives=[1, 2, "basket basket label", "my basket label"])
def operations_may_be_async_and_may_ask_for_the_context(world: World) -> Any:
    """`async def` operations are awaited; a first parameter `ctx` or `context` is given it."""
    basket = entity_of(world, "Basket")
    return [
        ask(world, basket, "wait_and_put", "fig"),
        ask(world, basket, "wait_and_put", "pear"),
        ask(world, basket, "label"),
        ask(world, basket, "label", "my"),
    ]


@scenario(gives=[["tally", True], [0, "", [], False], [True] * 4, None])
def falsy_state_is_state_and_none_deletes(world: World) -> Any:
    """0, "", [] and False are kept and listed; a function entity deletes itself with None."""
    one = entity_of(world, "tally")
    who, kept, listed = ask(world, one, "who"), [], []
    for value in (0, "", [], False):
        ask(world, one, "set", value)
        kept.append(state_of(world, one))
        listed.append(entities_of(world, name="tally") == ["a"])
    ask(world, one, "forget")
    return [who, kept, listed, state_of(world, one)]


@scenario(gives=[[1], [1], None, None])
def reading_changes_nothing(world: World) -> Any:
    """`get_state` gives a copy; an operation that only reads creates no state."""
    one, account = entity_of(world, "tally"), entity_of(world, "Account")
    ask(world, one, "set", [1])
    answer = ask(world, one, "mutate", 2)
    ask(world, account, "get")
    return [answer, state_of(world, one), state_of(world, account), ask(world, account, "set", 0)]


@entity
class Lease:
    holder: str = ""

    def take(self, holder: str) -> None:
        self.holder = holder

    def delete(self, ctx: Any) -> str:
        ctx.set_state(None)
        return f"{self.holder} is out"


@scenario(gives=[None, None, 0, "Ann is out", None])
def delete_is_built_in_and_may_be_ones_own(world: World) -> Any:
    """Every class has the operation `delete`, and may define its own; after it all begins anew."""
    account, lease = entity_of(world, "Account"), entity_of(world, "Lease")
    ask(world, account, "deposit", 5)
    deleted = ask(world, account, "delete")
    ask(world, lease, "take", "Ann")
    return [
        deleted,
        state_of(world, account),
        ask(world, account, "get"),
        ask(world, lease, "delete"),
        state_of(world, lease),
    ]


@entity
class Crate:
    items: list[int] = []  # noqa: RUF012  (what users write, and mean)

    def add(self, item: int) -> list[int]:
        self.items.append(item)
        return self.items

    def add_and_fail(self, item: int) -> None:
        self.items.append(item)
        raise ValueError("no room")


@scenario(gives=[[1], ["ValueError", "no room"], {"items": [1]}, [2], [1, 3]])
def a_default_of_the_class_body_belongs_to_each_entity(world: World) -> Any:
    """A list in the class body is where each entity begins; changing it in place changes one."""
    one, other = entity_of(world, "Crate", "one"), entity_of(world, "Crate", "other")
    return [
        ask(world, one, "add", 1),
        failure_of(lambda: ask(world, one, "add_and_fail", 9)),
        state_of(world, one),
        ask(world, other, "add", 2),
        ask(world, one, "add", 3),
    ]


@scenario(gives=[["EntityOperationError", True], {"balance": 1}])
def an_unknown_operation_lists_those_there_are(world: World) -> Any:
    """It fails as any other operation, and leaves the state alone."""
    account = entity_of(world, "Account")
    ask(world, account, "deposit", 1)
    kind, message = failure_of(lambda: ask(world, account, "__init__"))
    return [[kind, "it has deposit, get" in message], state_of(world, account)]


@orchestrator
async def handles_failures(ctx: Any, key: str) -> Any:
    caught = []
    for name, operation, kind in (
        ("Account", "withdraw", ValueError),
        ("tally", "fail", LookupError),
    ):
        try:
            await ctx.call_entity(f"{name}@{key}", operation, 3)
        except kind as error:
            caught.append([type(error).__name__, error.details.message])
    return caught


@scenario(gives=[[["TaskFailedError", "overdrawn"], ["TaskFailedError", "3"]], None, None])
def a_failed_call_is_caught_as_the_class_that_was_raised(world: World) -> Any:
    """Of class and function alike; an instance that handles it completes, and no state is left."""
    caught = world.run(handles_failures, world.id("a"))
    return [caught, *(state_of(world, entity_of(world, name)) for name in ("Account", "tally"))]


@orchestrator
async def handles_no_failure(ctx: Any, job: list[str]) -> Any:
    entity_id, operation = job
    await ctx.call_entity(entity_id, operation, 3)


@scenario(
    gives=[
        ["Failed", "TaskFailedError", "ValueError", True],
        ["Failed", "TaskFailedError", "LookupError", True],
    ]
)
def an_unhandled_failure_of_a_call_fails_the_instance(world: World) -> Any:
    """The failure holds that of the operation, with the line of the entity's code."""
    found = []
    for name, operation in (("Account", "withdraw"), ("tally", "fail")):
        run = world.start(handles_no_failure, [entity_of(world, name), operation])
        status, failure = run.wait().value, run.failure
        assert failure is not None
        cause = failure.cause
        assert cause is not None
        found.append(
            [status, failure.type_name, cause.type_name, "    raise " in cause.stack_trace]
        )
    return found


@scenario(
    gives=[{"balance": 6}, None, "UnknownInstanceError", ["ConnectionError", "lost the line"]]
)
def a_failing_operation_leaves_no_trace_and_others_stand(world: World) -> Any:
    """Its state, signals and starts are dropped; what was done before and after it stays."""
    one, other = entity_of(world, "Account", "one"), entity_of(world, "Account", "other")
    child = world.id("child")
    tell(world, one, "deposit", 5)
    tell(world, one, "promise_and_fail", other, child)
    tell(world, one, "deposit", 1)
    failure = failure_of(lambda: ask(world, one, "promise_and_fail", other, child))
    return [
        state_of(world, one),
        world.client.get_entity(other),
        raised(lambda: world.client.get(child))[0],
        failure,
    ]


@entity
class Misfit:
    """Does what operations should not."""

    n: int = 0
    thing: Any = None

    def answer(self) -> Any:
        self.n += 1
        return (line for line in "ab")

    def keep(self) -> None:
        self.thing = (line for line in "ab")

    def leave(self) -> None:
        raise SystemExit("bye")

    def run_out(self) -> Any:
        return next(iter([]))

    def call(self, ctx: Any, other: str) -> Any:
        return ctx.call_entity(other, "get")

    def call_handle(self, key: str) -> Any:
        return Account(key).get()

    def start_unknown(self, ctx: Any) -> None:
        ctx.start_orchestration("nobody_defined_this")

    def start_oddly(self, ctx: Any) -> None:
        ctx.start_orchestration("echo", instance_id="@account@odd")

    def ok(self) -> str:
        return "ok"


@scenario(
    gives=[
        "EncodingError",
        "EncodingError",
        "SystemExit",
        "AttributeError",
        "DefinitionError",
        "ok",
    ]
)
def whatever_an_operation_does_only_it_fails(world: World) -> Any:
    """Results and state that cannot be stored, exits, and calls, which an entity cannot make."""
    misfit, account = entity_of(world, "Misfit"), entity_of(world, "Account")
    jobs = [["answer"], ["keep"], ["leave"], ["call", account], ["call_handle", "b"]]
    kinds = [failure_of(lambda job=job: ask(world, misfit, *job))[0] for job in jobs]
    assert state_of(world, misfit) is None
    return [*kinds, ask(world, misfit, "ok")]


@scenario(gives=["StopIteration", "ok"])
def an_operation_may_fail_by_running_out_of_an_iterator(world: World) -> Any:
    """StopIteration is a failure like any other; Python's use of it plays no part."""
    misfit = entity_of(world, "Misfit")
    return [failure_of(lambda: ask(world, misfit, "run_out"))[0], ask(world, misfit, "ok")]


@scenario(gives=["InvalidInstanceIdError", "ok"])
def an_entity_cannot_start_under_an_illegal_id(world: World) -> Any:
    """The id is checked where the operation starts the instance, which fails the operation."""
    misfit = entity_of(world, "Misfit")
    return [failure_of(lambda: ask(world, misfit, "start_oddly"))[0], ask(world, misfit, "ok")]


@scenario(gives=["ok"])
def what_an_entity_starts_in_vain_harms_nobody(world: World) -> Any:
    """Starting an orchestrator nobody defined ends neither the entity nor the engine."""
    misfit = entity_of(world, "Misfit")
    tell(world, misfit, "start_unknown")
    return [ask(world, misfit, "ok")]


@scenario(gives=[0, 0, 5])
def none_is_no_argument_where_none_is_taken(world: World) -> Any:
    """`call_entity(id, "get", None)` calls an operation without parameters."""
    account = entity_of(world, "Account")
    first = ask(world, account, "get", None)
    return [first, ask(world, account, "get"), ask(world, account, "deposit", 5)]


@scenario(gives=[None, {"balance": 5}, True])
def a_scheduled_signal_comes_at_its_time_and_not_before(world: World) -> Any:
    """A client may have a signal delivered later."""
    account, due = entity_of(world, "Account"), world.now() + 12 * TICK
    tell(world, account, "deposit", 5, at=due)
    before = state_of(world, account)
    world.until(lambda: state_of(world, account) is not None, "the deposit")
    record = world.client.get_entity(account)
    assert record is not None
    return [before, state_of(world, account), record.updated_at >= due]


@scenario(gives=[{"balance": 1}, {"balance": 3}])
def a_signal_for_the_past_is_delivered_at_once(world: World) -> Any:
    """Also one whose time says its zone."""
    account, states = entity_of(world, "Account"), []
    for amount, at in ((1, world.now() - TICK), (2, (world.now() - TICK).replace(tzinfo=UTC))):
        tell(world, account, "deposit", amount, at=at)
        ask(world, account, "get")
        states.append(state_of(world, account))
    return states


@orchestrator
async def signals_later(ctx: Any, log: str) -> Any:
    ctx.signal_entity(log, "add", "last", signal_time=ctx.current_utc_datetime + 6 * TICK)
    ctx.signal_entity(log, "add", "middle", signal_time=3 * TICK)
    ctx.signal_entity(log, "add", "first")
    await ctx.create_timer(8 * TICK)
    return await ctx.call_entity(log, "get")


@scenario(gives=["first", "middle", "last"])
def an_orchestration_signals_later(world: World) -> Any:
    """At a time, or so long from now; others are not held up."""
    return world.run(signals_later, entity_of(world, "Log"))


@entity
class Alarm:
    """Signals itself until it has rung often enough."""

    rung: int = 0

    def ring(self, ctx: Any, at: list[Any]) -> None:
        self.rung += 1
        if at:
            ctx.signal_entity(ctx.entity_id, "ring", at[1:], signal_time=at[0])


@scenario(gives=[True, {"rung": 4}])
def an_entity_schedules_itself(world: World) -> Any:
    """An operation may signal its own entity for later, and so go on for ever."""
    alarm, now = entity_of(world, "Alarm"), world.now()
    times = [now + n * TICK for n in (2, 4, 6)]
    tell(world, alarm, "ring", times)
    world.until(lambda: (state_of(world, alarm) or {}).get("rung") == 4, "the fourth ring")
    return [world.now() >= times[-1], state_of(world, alarm)]


@scenario(gives=[{"rung": 2}] * 3)
def an_entitys_times_may_say_their_zone_or_count_from_now(world: World) -> Any:
    """An aware `signal_time` is turned into UTC; a timedelta is how long from now."""
    states = []
    past, soon = (at.replace(tzinfo=UTC) for at in (world.now() - TICK, world.now() + TICK))
    for key, at in (("past", past), ("soon", soon), ("later", TICK)):
        alarm = entity_of(world, "Alarm", key)
        tell(world, alarm, "ring", [at])
        world.until(lambda a=alarm: (state_of(world, a) or {}).get("rung") == 2, "the second ring")
        states.append(state_of(world, alarm))
    return states


@scenario(gives=[list(range(300)), True])
def hundreds_of_signals_are_done_in_order(world: World) -> Any:
    """However they are batched, they are done one by one in the order they came."""
    log = entity_of(world, "Log")
    for n in range(300):
        tell(world, log, "add", n)
    lines = ask(world, log, "get")
    return [lines, state_of(world, log) == {"lines": lines}]


@orchestrator
async def adds_one_by_one(ctx: Any, job: list[Any]) -> Any:
    counter, times = job
    for _ in range(times):
        await ctx.call_entity(counter, "add", 1)


@scenario(gives=100)
def calls_of_many_orchestrations_lose_nothing(world: World) -> Any:
    """Each operation sees what the one before it left, whoever asked for it."""
    counter = entity_of(world, "tally")
    runs = [world.start(adds_one_by_one, [counter, 10]) for _ in range(10)]
    for run in runs:
        run.result()
    return state_of(world, counter)


@orchestrator
async def asks_many(ctx: Any, keys: list[str]) -> Any:
    await ctx.when_all([Account(key).deposit(n) for n, key in enumerate(keys, 1)])
    return sum(await ctx.when_all([Account(key).get() for key in keys]))


@scenario(gives=[1275, 50], order_varies=True)
def an_orchestration_fans_out_over_many_entities(world: World) -> Any:
    """Calls of different entities run side by side."""
    total = world.run(asks_many, [world.id(f"{n:02}") for n in range(50)])
    return [total, len(entities_of(world, name="Account"))]


@entity
class Meeting:
    """Two of them wait for each other, which takes two at a time."""

    came: str = ""

    def meet(self, own: str, other: str) -> str:
        Path(own).write_text("here")
        deadline = time.monotonic() + 10
        while not Path(other).exists():
            if time.monotonic() > deadline:
                raise TimeoutError("nobody came")
            time.sleep(0.002)
        self.came = "both"
        return self.came


@scenario(gives=["both", "both"])
def different_entities_work_side_by_side(world: World) -> Any:
    """A slow operation delays its own entity only; operations may do I/O."""
    one, other = world.file("one"), world.file("other")
    jobs = [("one", (one, other)), ("other", (other, one))]
    futures = [
        world.client.entity_call(
            entity_of(world, "Meeting", key), "meet", pack_arguments(files, {})
        )
        for key, files in jobs
    ]
    return [
        world.client.call_outcome(entity_of(world, "Meeting"), future.result(_PATIENCE_S))
        for future in futures
    ]


@entity
def slow(ctx: Any, path: Any) -> Any:
    """Waits until a file is there."""
    deadline = time.monotonic() + 10
    while path is not None and not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    ctx.set_state(ctx.get_state(0) + 1)
    return ctx.get_state()


@orchestrator
async def calls_slowly(ctx: Any, job: list[str]) -> Any:
    entity_id, path = job
    return await ctx.call_entity(entity_id, "work", path)


@scenario(gives=[["entity call", "work on slow"], "Terminated", 2])
def an_ended_instance_leaves_its_call_to_be_done(world: World) -> Any:
    """What it waits for is shown; terminating it undoes no message, and drops the answer."""
    one = entity_of(world, "slow")
    run = world.start(calls_slowly, [one, world.file("go")])
    world.until_waiting(run, "entity call")
    (task,) = run.waiting_for
    run.terminate()
    status = run.wait().value
    world.write("go")
    shown = task.name.replace("@", "", 1).partition("@")[0]
    return [[task.kind, shown], status, ask(world, one, "work", None)]


@scenario(gives=["WaitTimeoutError", 2])
def a_client_may_stop_waiting_and_it_is_done_all_the_same(world: World) -> Any:
    """A call has a timeout for the waiting only."""
    one = entity_of(world, "slow")
    error = raised(lambda: world.client.call_entity(one, "work", world.file("go"), timeout_s=0.01))
    world.write("go")
    return [error[0], ask(world, one, "work", None)]


@orchestrator
async def calls_and_continues(ctx: Any, state: list[Any]) -> Any:
    counter, n = state
    total = await ctx.call_entity(counter, "add", 1)
    ctx.signal_entity(counter, "add", 10)
    if n:
        ctx.call_entity(counter, "add", 100)
        ctx.continue_as_new([counter, n - 1])
        return None
    return total


@scenario(gives=[223, 233])
def calls_go_on_over_continue_as_new(world: World) -> Any:
    """What was sent before is done; an answer for an earlier execution reaches no later one."""
    counter = entity_of(world, "tally")
    return [world.run(calls_and_continues, [counter, 2]), ask(world, counter, "add", 0)]


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


@entity(name="Shelf")
class ShelfV1:
    books: int = 0
    color: str = "red"
    width: Any = "80"

    def fill(self, books: int) -> int:
        self.books = books
        return self.books


@entity(name="Shelf")
class ShelfV2:
    books: int = 0
    height: int = 200
    width: int = 0

    def describe(self) -> Any:
        return [self.books, self.height, self.width, hasattr(self, "color")]

    def fill(self, books: int) -> int:
        self.books = books
        return self.books


@entity(name="Shelf")
class ShelfV3:
    books: dict[str, int]

    def describe(self) -> Any:
        return self.books


@scenario(gives=[[7, 200, 80, False], 8, "EntityStateError", [8, "red"]])
def new_code_runs_on_old_state(world: World) -> Any:
    """New attributes get their defaults, removed ones are kept aside, and come back with the class.

    A type that changed is converted; where that cannot be, the operation fails and the state stays.
    """
    shelf = entity_of(world, "Shelf")
    world.define(ShelfV1)
    ask(world, shelf, "fill", 7)
    world.define(ShelfV2)
    described = ask(world, shelf, "describe")
    filled = ask(world, shelf, "fill", 8)
    world.define(ShelfV3)
    refused = failure_of(lambda: ask(world, shelf, "describe"))[0]
    world.define(ShelfV1)
    ask(world, shelf, "fill", 8)
    state = state_of(world, shelf)
    return [described, filled, refused, [state["books"], state["color"]]]


@scenario(gives=[8, None])
def an_entity_whose_state_does_not_fit_can_be_deleted(world: World) -> Any:
    """The built-in `delete` needs no state."""
    shelf = entity_of(world, "Shelf")
    world.define(ShelfV1)
    filled = ask(world, shelf, "fill", 8)
    world.define(ShelfV3)
    ask(world, shelf, "delete")
    return [filled, state_of(world, shelf)]
