"""When operations happen: in order, at their time, side by side, over the end of who asked."""

from __future__ import annotations

import time
from datetime import UTC
from pathlib import Path
from typing import Any

from ipydurable import entity, orchestrator
from ipydurable.runtime.core.context import pack_arguments
from tests.conformance.durations import TICK
from tests.conformance.entity_common import (
    PATIENCE_S,
    Account,
    ask,
    entities_of,
    entity_of,
    state_of,
    tell,
)
from tests.conformance.scenario import World, raised, scenario


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
        world.client.call_outcome(entity_of(world, "Meeting"), future.result(PATIENCE_S))
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


@scenario(gives=[1, 0, [1] * 40], order_varies=True)
def slow_operations_delay_only_their_own_entities(world: World) -> Any:
    """However many there are."""
    slow_ones = [entity_of(world, "slow", f"slow{n}") for n in range(40)]
    futures = [world.client.entity_call(one, "work", world.file("go")) for one in slow_ones]
    answer = ask(world, entity_of(world, "Account"), "deposit", 1)
    done = sum(future.done() for future in futures)
    world.write("go")
    answers = [
        world.client.call_outcome(one, future.result(PATIENCE_S))
        for one, future in zip(slow_ones, futures, strict=True)
    ]
    return [answer, done, answers]


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
