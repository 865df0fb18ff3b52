"""Retries: how often, how long after, and for which failures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ipydurable import RetryPolicy, TaskFailedError, activity, orchestrator
from tests.conformance.common import append, double, flaky
from tests.conformance.durations import TICK
from tests.conformance.scenario import VIRTUAL, World, scenario

AT_ONCE = timedelta(0)


@orchestrator
async def calls_flaky(ctx: Any, path: str, failures: int, attempts: int) -> Any:
    policy = RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=attempts)
    return await ctx.call_activity(flaky, [path, failures], retry_policy=policy)


@scenario(gives=[3, 3])
def a_retried_activity_succeeds_in_the_end(world: World) -> Any:
    """A failed attempt is repeated after the interval until one succeeds."""
    return [world.run(calls_flaky, world.file("log"), 2, 5), len(world.lines("log"))]


@scenario(gives=["Failed", "call 3", 3])
def attempts_include_the_first_call(world: World) -> Any:
    """`max_number_of_attempts=3` calls three times; the last failure is the task's."""
    run = world.start(calls_flaky, world.file("log"), 9, 3)
    status = run.wait().value
    assert run.failure is not None
    return [status, run.failure.message.rpartition(": ")[2], len(world.lines("log"))]


@scenario(gives=["Failed", 1])
def one_attempt_is_no_retry(world: World) -> Any:
    """A policy of one attempt never retries."""
    run = world.start(calls_flaky, world.file("log"), 9, 1)
    return [run.wait().value, len(world.lines("log"))]


@scenario(
    gives=[
        ["TaskScheduled", 1, 0],
        ["TimerCreated", 2, 1],
        ["TaskScheduled", 3, 1],
        ["TimerCreated", 4, 1],
        ["TaskScheduled", 5, 1],
    ]
)
def each_attempt_is_an_action_of_its_own(world: World) -> Any:
    """In the history each attempt and each delay has a new action id and names the first."""
    run = world.start(calls_flaky, world.file("log"), 2, 5)
    run.result()
    return [
        [type(event).__name__, event.task_id, event.origin]
        for event in world.events(run)
        if hasattr(event, "origin")
    ]


@activity
def fail_always(n: int) -> None:
    raise ConnectionError(f"no way {n}")


@orchestrator
async def measures_backoff(
    ctx: Any, coefficient: float, most: timedelta | None, limit: timedelta | None
) -> float:
    policy = RetryPolicy(
        first_retry_interval=TICK,
        max_number_of_attempts=5,
        backoff_coefficient=coefficient,
        max_retry_interval=most,
        retry_timeout=limit,
    )
    begun = ctx.current_utc_datetime
    try:
        await ctx.call_activity(fail_always, 1, retry_policy=policy)
    except ConnectionError:
        return (ctx.current_utc_datetime - begun) / TICK


@scenario(gives=[4.0, 15.0], ways=VIRTUAL)
def the_delay_grows_by_the_backoff_coefficient(world: World) -> Any:
    """Delays are 1, 1, 1, 1 intervals without backoff, and 1, 2, 4, 8 with a coefficient of 2."""
    return [world.run(measures_backoff, factor, None, None) for factor in (1.0, 2.0)]


@scenario(gives=9.0, ways=VIRTUAL)
def the_delay_is_capped(world: World) -> Any:
    """No delay is longer than `max_retry_interval`: here 1, 2, 3, 3 intervals."""
    return world.run(measures_backoff, 2.0, 3 * TICK, None)


@scenario(gives=3.0, ways=VIRTUAL)
def retries_end_with_the_retry_timeout(world: World) -> Any:
    """No retry begins later than `retry_timeout` after the first attempt was scheduled."""
    return world.run(measures_backoff, 2.0, None, 6 * TICK)


@orchestrator
async def retries_on(ctx: Any, path: str, classes: list[str]) -> str:
    known = {"ConnectionError": ConnectionError, "OSError": OSError, "KeyError": KeyError}
    policy = RetryPolicy(
        first_retry_interval=AT_ONCE,
        max_number_of_attempts=3,
        retry_on=tuple(known.get(name, name) for name in classes),
    )
    try:
        await ctx.call_activity(flaky, [path, 9], retry_policy=policy)
    except TaskFailedError as error:
        return error.details.message


@scenario(gives=[["call 3", "call 1"], ["call 3", "call 1"], "call 3"])
def only_the_failures_named_are_retried(world: World) -> Any:
    """`retry_on` takes classes, base classes and names; other failures are not retried."""
    return [
        [
            world.run(retries_on, world.file("same"), ["ConnectionError"]),
            world.run(retries_on, world.file("other"), ["KeyError"]),
        ],
        [
            world.run(retries_on, world.file("base"), ["KeyError", "OSError"]),
            world.run(retries_on, world.file("name"), ["ReadTimeout"]),
        ],
        world.run(retries_on, world.file("none"), []),
    ]


@orchestrator
async def retries_filtered(ctx: Any, path: str) -> str:
    policy = RetryPolicy(
        first_retry_interval=AT_ONCE,
        max_number_of_attempts=9,
        retry_filter=lambda failure: failure.message != "call 4",
    )
    try:
        await ctx.call_activity(flaky, [path, 9], retry_policy=policy)
    except TaskFailedError as error:
        return error.details.message


@scenario(gives="call 4")
def a_filter_decides_by_the_failure(world: World) -> Any:
    """`retry_filter` gets the failure's details; the first it refuses ends the retries."""
    return world.run(retries_filtered, world.file("log"))


class CardDeclined(Exception):
    """Trying again is pointless."""

    non_retriable = True


@activity
def pay(path: str) -> None:
    append([path, "tried"])
    raise CardDeclined("ask your bank")


@orchestrator
async def pays(ctx: Any, path: str) -> Any:
    policy = RetryPolicy(first_retry_interval=AT_ONCE, max_number_of_attempts=9)
    try:
        await ctx.call_activity(pay, path, retry_policy=policy)
    except CardDeclined as error:
        return error.details.non_retriable


@scenario(gives=[True, ["tried"]])
def non_retriable_errors_are_never_retried(world: World) -> Any:
    """An exception class with `non_retriable = True` ends the retries of any policy."""
    return [world.run(pays, world.file("log")), world.lines("log")]


@activity(retries=2, retry_delay=TICK)
def flaky_by_itself(job: list[Any]) -> int:
    return flaky(job)


@orchestrator
async def calls_flaky_by_itself(ctx: Any, path: str, policy: bool) -> Any:
    own = RetryPolicy(first_retry_interval=AT_ONCE, max_number_of_attempts=2) if policy else None
    try:
        return await ctx.call_activity(flaky_by_itself, [path, 2], retry_policy=own)
    except ConnectionError as error:
        return error.details.message


@scenario(gives=[3, "call 2"])
def an_activity_has_retries_of_its_own(world: World) -> Any:
    """The activity's own options hold wherever it is called, unless the call has a policy."""
    return [
        world.run(calls_flaky_by_itself, world.file("own"), False),
        world.run(calls_flaky_by_itself, world.file("call"), True),
    ]


@orchestrator
async def child_that_fails(ctx: Any, path: str) -> int:
    return await ctx.call_activity(flaky, [path, 2])


@orchestrator
async def retries_a_child(ctx: Any, path: str) -> int:
    policy = RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=3)
    return await ctx.call_sub_orchestrator(child_that_fails, path, retry_policy=policy)


@scenario(gives=3)
def sub_orchestrations_are_retried_as_new_instances(world: World) -> Any:
    """A retry of a sub-orchestration starts a new child from its beginning."""
    return world.run(retries_a_child, world.file("log"))


@orchestrator
async def child_with_retries(ctx: Any, path: str) -> int:
    policy = RetryPolicy(first_retry_interval=AT_ONCE, max_number_of_attempts=3)
    return await ctx.call_activity(flaky, [path, 99], retry_policy=policy)


@orchestrator
async def retries_within_retries(ctx: Any, path: str) -> str:
    policy = RetryPolicy(first_retry_interval=AT_ONCE, max_number_of_attempts=3)
    try:
        await ctx.call_sub_orchestrator(child_with_retries, path, retry_policy=policy)
    except TaskFailedError as error:
        return error.details.message


@scenario(gives=["flaky (task 3) failed: ConnectionError: call 9", 9])
def nested_retries_multiply(world: World) -> Any:
    """Three attempts of a child that makes three attempts are nine calls."""
    return [world.run(retries_within_retries, world.file("log")), len(world.lines("log"))]


@orchestrator
async def retries_in_a_group(ctx: Any, path: str) -> list[int]:
    policy = RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=3)
    return await ctx.when_all(
        [
            ctx.call_activity(double, 1),
            ctx.call_activity(flaky, [path, 1], retry_policy=policy),
            ctx.call_activity(double, 3),
        ]
    )


@scenario(gives=[2, 2, 6], order_varies=True)
def a_retried_task_keeps_its_place_in_a_group(world: World) -> Any:
    """For `when_all` a task that is retried is still one task, settled when its last attempt is."""
    return world.run(retries_in_a_group, world.file("log"))


@orchestrator
async def races_retries(ctx: Any, path: str) -> Any:
    policy = RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=2)
    slow = ctx.call_activity(flaky, [path, 1], retry_policy=policy)
    winner = await ctx.when_any([slow])
    return [winner is slow, winner.is_failed, winner.result]


@scenario(gives=[True, False, 2])
def a_failed_attempt_does_not_win_a_race(world: World) -> Any:
    """`when_any` sees the retried task as open until it succeeds or has no attempts left."""
    return world.run(races_retries, world.file("log"))


def broken_filter(failure: Any) -> bool:
    raise KeyError("the filter is broken")


@orchestrator
async def retries_with_broken_filter(ctx: Any, path: str) -> Any:
    policy = RetryPolicy(
        first_retry_interval=AT_ONCE, max_number_of_attempts=9, retry_filter=broken_filter
    )
    try:
        await ctx.call_activity(flaky, [path, 9], retry_policy=policy)
    except KeyError as error:
        cause = error.__cause__
        assert isinstance(cause, TaskFailedError)
        return [str(error), cause.details.message]


@scenario(gives=["'the filter is broken'", "call 1"])
def a_retry_filter_that_raises_fails_its_task(world: World) -> Any:
    """What the filter raises is the task's error, with the activity's failure as its cause."""
    return world.run(retries_with_broken_filter, world.file("log"))


@orchestrator
async def senseless_policies(ctx: Any) -> list[str]:
    senseless: list[dict[str, Any]] = [
        {"max_number_of_attempts": 0},
        {"first_retry_interval": timedelta(seconds=-1)},
        {"backoff_coefficient": 0.5},
        {"backoff_coefficient": float("nan")},
        {"max_retry_interval": timedelta(0)},
        {"retry_timeout": timedelta(seconds=-1)},
        {"retry_on": ValueError},
    ]
    refused = []
    for wrong in senseless:
        try:
            RetryPolicy(**{"first_retry_interval": TICK, "max_number_of_attempts": 3, **wrong})
        except ValueError as error:
            refused.append(str(error).split(" ", maxsplit=1)[0])
    return refused


@scenario(
    gives=[
        "max_number_of_attempts",
        "first_retry_interval",
        "backoff_coefficient",
        "backoff_coefficient",
        "max_retry_interval",
        "retry_timeout",
        "retry_on",
    ]
)
def policies_that_make_no_sense_are_refused(world: World) -> Any:
    """A policy with a senseless value raises when it is made, and names the value."""
    return world.run(senseless_policies)
