"""Timers: relative, absolute, in order, cancelled, weeks long, never early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from ipydurable import TaskCancelledError, orchestrator
from tests.conformance.common import double, sleep_long
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import VIRTUAL, World, scenario


@orchestrator
async def sleep_ticks(ctx: Any, ticks: int) -> bool:
    begun = ctx.current_utc_datetime
    await ctx.create_timer(ticks * TICK)
    return ctx.current_utc_datetime - begun >= ticks * TICK


@scenario(gives=True)
def a_timer_fires_after_its_time_and_never_early(world: World) -> Any:
    """A relative timer counts from the orchestrator's present and fires at or after its time."""
    return world.run(sleep_ticks, 2)


@orchestrator
async def sleep_until_absolute(ctx: Any) -> list[float]:
    zone = timezone(timedelta(hours=2))
    begun = ctx.current_utc_datetime
    await ctx.create_timer(begun + 2 * TICK)
    naive = ctx.current_utc_datetime
    await ctx.create_timer((naive + 3 * TICK).replace(tzinfo=UTC).astimezone(zone))
    return [(naive - begun) / TICK, (ctx.current_utc_datetime - naive) / TICK]


@scenario(gives=[2.0, 3.0], ways=VIRTUAL)
def absolute_times_are_utc_or_say_their_zone(world: World) -> Any:
    """A naive datetime means UTC; an aware one means what it says."""
    return world.run(sleep_until_absolute)


@orchestrator
async def sleep_until_the_past(ctx: Any) -> str:
    await ctx.create_timer(datetime(2001, 1, 1))
    await ctx.create_timer(timedelta(0))
    return "at once"


@scenario(gives="at once")
def a_past_time_fires_at_once(world: World) -> Any:
    """A timer whose time is past, or no time away, fires at once."""
    return world.run(sleep_until_the_past)


@orchestrator
async def absurd_timers(ctx: Any) -> list[str]:
    refused = []
    for absurd in (timedelta(seconds=-1), timedelta.max, 5, "tomorrow", None):
        try:
            ctx.create_timer(absurd)
        except (ValueError, TypeError) as error:
            refused.append(type(error).__name__)
    await ctx.create_timer(TICK)
    return refused


@scenario(gives=["ValueError", "ValueError", "TypeError", "TypeError", "TypeError"])
def absurd_times_are_refused(world: World) -> Any:
    """Negative, unreachable and meaningless times raise at the call, and the code goes on."""
    return world.run(absurd_timers)


@orchestrator
async def race_of_timers(ctx: Any) -> list[int]:
    timers = [ctx.create_timer(ticks * TICK) for ticks in (9, 3, 6)]
    order = []
    while len(order) < len(timers):
        winner = await ctx.when_any([one for i, one in enumerate(timers) if i not in order])
        order.append(timers.index(winner))
    return order


@scenario(gives=[1, 2, 0])
def timers_fire_in_the_order_of_their_times(world: World) -> Any:
    """Which timer was made first does not matter."""
    return world.run(race_of_timers)


@orchestrator
async def cancel_timers(ctx: Any) -> list[Any]:
    timer = ctx.create_timer(LONG)
    seen: list[Any] = [timer.cancel(), timer.is_cancelled, timer.is_complete, timer.cancel()]
    try:
        await timer
    except TaskCancelledError:
        seen.append("raises")
    short = ctx.create_timer(TICK)
    await short
    return [*seen, short.cancel(), short.is_cancelled]


@scenario(gives=[True, True, True, False, "raises", False, False])
def a_timer_is_cancelled_once_and_only_before_it_fires(world: World) -> Any:
    """`cancel` tells whether it did anything; awaiting a cancelled timer raises."""
    return world.run(cancel_timers)


@scenario(gives=["Running", "awake"], ways=VIRTUAL)
def a_timer_of_thirty_days_fires_on_the_day_and_not_before(world: World) -> Any:
    """Timers may be weeks long; not one microsecond is missing at the end."""
    run = world.start(sleep_long)
    world.advance(LONG - timedelta(microseconds=1))
    world.advance(timedelta(0))
    before = run.status.value
    world.advance(timedelta(microseconds=1))
    return [before, run.result()]


@orchestrator
async def sleep_for_years(ctx: Any) -> int:
    begun = ctx.current_utc_datetime
    await ctx.create_timer(timedelta(days=3653))
    return (ctx.current_utc_datetime - begun).days


@scenario(gives=3653, ways=VIRTUAL)
def a_timer_may_take_ten_years(world: World) -> Any:
    """There is no longest timer short of the year 9999, and no chain of shorter ones."""
    run = world.start(sleep_for_years)
    world.advance(timedelta(days=3653))
    return run.result()


@orchestrator
def sleep_in_a_generator(ctx: Any) -> Any:
    yield ctx.create_timer(TICK)
    value = yield ctx.call_activity(double, 1)
    return value


@scenario(gives=2)
def generators_wait_for_timers(world: World) -> Any:
    """`yield ctx.create_timer(...)` waits in a generator."""
    return world.run(sleep_in_a_generator)


@orchestrator
async def poll(ctx: Any, times: int) -> list[int]:
    seen = []
    for n in range(times):
        seen.append(await ctx.call_activity(double, n))
        await ctx.create_timer(TICK)
    return seen


@scenario(gives=[0, 2, 4])
def a_loop_of_work_and_waiting(world: World) -> Any:
    """Work and timers alternate, each timer counting from when the work was done."""
    return world.run(poll, 3)


@orchestrator
async def same_instant(ctx: Any) -> int:
    fire_at = ctx.current_utc_datetime + TICK
    return len(await ctx.when_all([ctx.create_timer(fire_at) for _ in range(20)]))


@scenario(gives=20)
def many_timers_of_one_instant_all_fire(world: World) -> Any:
    """Timers of the same time fire together, in the order they were made."""
    return world.run(same_instant)


@orchestrator
async def tells_the_time(ctx: Any) -> list[bool]:
    times = [ctx.current_utc_datetime, ctx.current_utc_datetime]
    await ctx.create_timer(TICK)
    times.append(ctx.current_utc_datetime)
    return [times[0] == times[1], times[1] < times[2], times[0].tzinfo is None]


@scenario(gives=[True, True, True])
def the_orchestrators_time_stands_still_within_a_turn(world: World) -> Any:
    """`current_utc_datetime` is naive UTC, constant between two waits, and goes on at a wait."""
    return world.run(tells_the_time)


@orchestrator
async def cancelled_loser(ctx: Any) -> str:
    timeout = ctx.create_timer(LONG)
    work = ctx.call_activity(double, 2)
    winner = await ctx.when_any([work, timeout])
    if winner is work:
        timeout.cancel()
    return f"{work.result}, {timeout.is_cancelled}"


@scenario(gives="4, True")
def work_beats_its_timeout(world: World) -> Any:
    """A timer races the work as its timeout, and is cancelled when the work wins."""
    return world.run(cancelled_loser)
