"""Activities: called, chained, given values, run side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pandas as pd

from ipydurable import ActivityContext, activity, activity_context, orchestrator
from tests.conformance.common import append, double, identity, three_doubles
from tests.conformance.durations import LONG
from tests.conformance.scenario import World, scenario

RATE = 1.5


@dataclass
class Reading:
    city: str
    celsius: float


class Season(Enum):
    SUMMER = "summer"
    WINTER = "winter"


@scenario(gives=8)
def a_chain_hands_each_result_on(world: World) -> Any:
    """Each activity gets the result of the one before."""
    return world.run(three_doubles, 1)


@orchestrator
def three_doubles_by_yield(ctx: Any, n: int) -> Any:
    for _ in range(3):
        n = yield ctx.call_activity(double, n)
    return n


@scenario(gives=8)
def a_generator_yields_its_tasks(world: World) -> Any:
    """An orchestrator may be a generator: `yield task` waits and gives the result."""
    return world.run(three_doubles_by_yield, 1)


@orchestrator
async def count_to_eleven(ctx: Any, n: int) -> list[int]:
    return [await ctx.call_activity(identity, n + i) for i in range(11)]


@scenario(gives=list(range(5, 16)))
def a_sequence_of_eleven_activities(world: World) -> Any:
    """A long sequence keeps its order and all its results."""
    return world.run(count_to_eleven, 5)


@orchestrator
async def do_nothing(ctx: Any) -> None:
    pass


@scenario(gives=[None, "Completed"])
def an_empty_orchestration_completes(world: World) -> Any:
    """An orchestrator that waits for nothing completes at once, with None."""
    run = world.start(do_nothing)
    return [run.result(), run.status.value]


@orchestrator
def plainly_return(ctx: Any, n: int) -> int:
    return n + 1


@scenario(gives=5)
def a_plain_function_is_an_orchestrator_without_tasks(world: World) -> Any:
    """A plain function that returns is an orchestration of no tasks."""
    return world.run(plainly_return, 4)


@orchestrator
async def double_by_name(ctx: Any, n: int) -> int:
    return await ctx.call_activity("double", n)


@scenario(gives=14)
def an_activity_is_called_by_its_name(world: World) -> Any:
    """A name does where the function itself is not at hand."""
    return world.run(double_by_name, 7)


@activity
def weather(city: str, day: int = 1, *, unit: str = "C") -> str:
    return f"{city} {day} {unit}"


@orchestrator
async def weather_of(ctx: Any, city: str) -> list[str]:
    return [
        await weather(city),
        await weather(city, 2),
        await weather(city, unit="F"),
        await weather(city, 3, unit="K"),
    ]


@scenario(gives=["Basel 1 C", "Basel 2 C", "Basel 1 F", "Basel 3 K"])
def a_call_of_an_activity_schedules_it_with_any_arguments(world: World) -> Any:
    """`await weather(city, unit="F")` in an orchestrator schedules it, with any arguments."""
    return world.run(weather_of, "Basel")


@activity
def count_arguments(*args: Any) -> int:
    return len(args)


@orchestrator
async def call_with_and_without(ctx: Any) -> list[int]:
    return [
        await ctx.call_activity(count_arguments),
        await ctx.call_activity(count_arguments, None),
        await ctx.call_activity(count_arguments, [1, 2]),
    ]


@scenario(gives=[0, 1, 1])
def none_is_an_input_like_any_other(world: World) -> Any:
    """No input calls without an argument; None and a list are one argument each."""
    return world.run(call_with_and_without)


@activity
async def double_in_the_loop(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@orchestrator
async def double_asynchronously(ctx: Any, n: int) -> int:
    return await ctx.call_activity(double_in_the_loop, n)


@scenario(gives=42)
def an_async_activity_runs_on_an_event_loop(world: World) -> Any:
    """An `async def` activity may await whatever asyncio has."""
    return world.run(double_asynchronously, 21)


@activity
def to_fahrenheit(reading: Reading) -> Reading:
    return Reading(reading.city, reading.celsius * 9 / 5 + 32)


@orchestrator
async def convert(ctx: Any, reading: Reading) -> Reading:
    return await ctx.call_activity(to_fahrenheit, reading)


@scenario(gives=Reading("Basel", 212.0))
def dataclasses_travel_whole(world: World) -> Any:
    """A dataclass of the notebook is one again as input, as argument and as result."""
    return world.run(convert, Reading("Basel", 100.0))


@orchestrator
async def pass_through(ctx: Any, value: Any) -> Any:
    return await ctx.call_activity(identity, value)


VALUES = {
    "tuple": (1, 2),
    "set": {1, 2},
    "bytes": b"\x00\xff",
    "decimal": Decimal("1.10"),
    "date": date(2026, 2, 28),
    "time": datetime(2026, 2, 28, 12, 30, tzinfo=UTC),
    "delta": timedelta(minutes=90),
    "enum": Season.WINTER,
    "numbers": {1: "one", 2: "two"},
    "nested": [{"a": (Season.SUMMER, None)}, True, 1.5, "ü"],
}


@scenario(gives=VALUES)
def values_come_out_as_they_went_in(world: World) -> Any:
    """Tuples, sets, bytes, decimals, dates, enums and mappings keep their types."""
    return world.run(pass_through, VALUES)


@activity
def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("city", as_index=False)["celsius"].mean()


@orchestrator
async def summary_of(ctx: Any, frame: pd.DataFrame) -> pd.DataFrame:
    return await ctx.call_activity(summarise, frame)


@scenario(gives={"city": ["Basel", "Bern"], "celsius": [15.0, 8.0]})
def dataframes_travel_as_tables(world: World) -> Any:
    """A DataFrame is an input and a result like any other."""
    frame = pd.DataFrame({"city": ["Basel", "Bern", "Basel"], "celsius": [10.0, 8.0, 20.0]})
    return world.run(summary_of, frame).to_dict(orient="list")


@scenario(gives=200_000)
def large_values_travel_too(world: World) -> Any:
    """A value of hundreds of kilobytes is kept out of line and comes back whole."""
    return len(world.run(pass_through, "x" * 200_000))


@orchestrator
async def await_twice(ctx: Any) -> list[Any]:
    task = ctx.call_activity(double, 4)
    return [await task, await task, task.result]


@scenario(gives=[8, 8, 8])
def a_task_gives_its_result_again_and_again(world: World) -> Any:
    """A settled task can be awaited again: it gives the same result and runs nothing."""
    return world.run(await_twice)


@orchestrator
async def look_before(ctx: Any) -> list[Any]:
    task = ctx.call_activity(double, 4)
    seen: list[Any] = [task.is_complete, task.is_failed]
    try:
        task.get_result()
    except ValueError as error:
        seen.append("await it" in str(error))
    await task
    return [*seen, task.is_complete, task.is_failed, task.get_exception()]


@scenario(gives=[False, False, True, True, False, None])
def a_task_says_whether_it_is_complete(world: World) -> Any:
    """Before it is settled a task has no result, and says to await it."""
    return world.run(look_before)


@orchestrator
async def await_in_reverse(ctx: Any) -> list[int]:
    first, second = ctx.call_activity(identity, 1), ctx.call_activity(identity, 2)
    return [await second, await first]


@scenario(gives=[2, 1], order_varies=True)
def activities_run_from_their_call_on(world: World) -> Any:
    """Tasks are scheduled by the call; when and in which order they are awaited is free."""
    return world.run(await_in_reverse)


@orchestrator
async def leave_open(ctx: Any) -> str:
    ctx.create_timer(LONG)
    ctx.wait_for_external_event("never")
    return "done"


@scenario(gives=["done", [1]])
def open_tasks_are_abandoned_at_the_end(world: World) -> Any:
    """An instance completes when its code returns; what was open is listed as abandoned."""
    run = world.start(leave_open)
    result = run.result()
    return [result, list(world.events(run)[-1].abandoned)]


@activity
def describe_call(ctx: ActivityContext) -> list[Any]:
    return [ctx.name, ctx.instance_id, ctx.task_id, ctx.attempt, ctx.idempotency_key]


@activity
def describe_below() -> int:
    return activity_context().task_id


@orchestrator
async def describe_calls(ctx: Any) -> Any:
    first = await ctx.call_activity(describe_call)
    key = f"{ctx.execution_id}/1"
    return [
        first[0],
        first[1] == ctx.instance_id,
        *first[2:4],
        first[4] == key,
        await ctx.call_activity(describe_below),
    ]


@scenario(gives=["describe_call", True, 1, 1, True, 2])
def an_activity_knows_who_it_runs_for(world: World) -> Any:
    """Its context tells the instance, the action id, the attempt and a key for outside systems."""
    return world.run(describe_calls)


def with_rate(amount: float) -> float:
    return amount * RATE


@activity
def priced(amount: float) -> float:
    return with_rate(amount)


@orchestrator
async def price_of(ctx: Any, amount: float) -> float:
    return with_rate(await ctx.call_activity(priced, amount))


@scenario(gives=4.5)
def helpers_and_constants_travel_along(world: World) -> Any:
    """What a function reaches in its notebook, helpers and values, is there when it runs."""
    return world.run(price_of, 2.0)


@activity
def quadruple(n: int) -> int:
    return double(double(n))


@orchestrator
async def quadrupled(ctx: Any, n: int) -> int:
    return await ctx.call_activity(quadruple, n)


@scenario(gives=12)
def an_activity_calls_another_as_a_plain_function(world: World) -> Any:
    """Inside an activity another one is just its function."""
    return world.run(quadrupled, 3)


@orchestrator
async def branch(ctx: Any, n: int) -> str:
    if await ctx.call_activity(double, n) > 10:
        return "large"
    await ctx.call_activity(identity, "small ones are looked at twice")
    return "small"


@scenario(gives=["small", "large"])
def results_decide_how_it_goes_on(world: World) -> Any:
    """The code branches on results; each instance has the history of its own branch."""
    return [world.run(branch, 1), world.run(branch, 9)]


@orchestrator
async def fan_out(ctx: Any, n: int) -> int:
    return sum(await ctx.when_all([ctx.call_activity(double, i) for i in range(n)]))


@scenario(gives=870, order_varies=True)
def thirty_activities_fan_out_and_in(world: World) -> Any:
    """Activities of a fan-out run side by side; their results come in the order of the calls."""
    return world.run(fan_out, 30)


@orchestrator
async def append_each(ctx: Any, path: str) -> None:
    for name in ("a", "b", "c"):
        await ctx.call_activity(append, [path, name])


@scenario(gives=["a", "b", "c"])
def replay_repeats_no_effect(world: World) -> Any:
    """However often the code is replayed, an activity that has completed is not run again."""
    world.run(append_each, world.file("effects"))
    return world.lines("effects")


@activity(max_parallel=1)
def append_twice(job: list[str]) -> None:
    path, line = job
    append([path, f"{line} begins"])
    append([path, f"{line} ends"])


@orchestrator
async def append_pairs(ctx: Any, path: str) -> None:
    await ctx.when_all([ctx.call_activity(append_twice, [path, str(i)]) for i in range(4)])


@scenario(gives=[f"{i} {what}" for i in range(4) for what in ("begins", "ends")])
def max_parallel_limits_how_many_run_at_once(world: World) -> Any:
    """Of an activity with `max_parallel=1` one runs at a time, in the order of the calls."""
    world.run(append_pairs, world.file("pairs"))
    return world.lines("pairs")


@activity
def call_number(tagged: int) -> int:
    return tagged


@orchestrator
async def tagged_call(ctx: Any) -> int:
    return await ctx.call_activity(call_number, 3, tags={"team": "blue"})


@scenario(gives=[3, {"team": "blue"}])
def a_call_carries_tags(world: World) -> Any:
    """Labels given at a call are kept with its task."""
    run = world.start(tagged_call)
    result = run.result()
    return [result, world.events(run)[1].tags]
