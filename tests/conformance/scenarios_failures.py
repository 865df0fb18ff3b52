"""Failures: of activities, of the orchestrator's own code, of values and of what it waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from ipydurable import (
    EncodingError,
    ForeignAwaitableError,
    TaskFailedError,
    UnknownDefinitionError,
    activity,
    orchestrator,
)
from tests.conformance.common import append, double, fail, identity
from tests.conformance.durations import LONG
from tests.conformance.scenario import World, raised, scenario


class OutOfStock(Exception):
    """An error of the user's own."""


@activity
def reserve(item: str) -> None:
    raise OutOfStock(item)


@orchestrator
async def fails_with_its_activity(ctx: Any) -> None:
    await ctx.call_activity(fail, "no luck")


@scenario(gives=["Failed", "TaskFailedError", "fail (task 1) failed: ValueError: no luck"])
def an_unhandled_failure_fails_the_instance(world: World) -> Any:
    """A failure nobody catches fails the instance, and names the task it came from."""
    run = world.start(fails_with_its_activity)
    status = run.wait()
    assert run.failure is not None
    return [status.value, run.failure.type_name, run.failure.message]


@scenario(gives=["OrchestrationFailedError", "ValueError", "no luck"])
def the_result_of_a_failed_instance_raises_with_the_whole_chain(world: World) -> Any:
    """Asking for the result raises; the cause is the activity's own error."""
    run = world.start(fails_with_its_activity)
    name, failure = raised(run.result, "failure")
    while failure.cause is not None:
        failure = failure.cause
    return [name, failure.type_name, failure.message]


@orchestrator
async def catches_task_failed(ctx: Any) -> list[Any]:
    try:
        await ctx.call_activity(fail, "no luck")
    except TaskFailedError as error:
        details = error.details
        return [error.task_name, error.task_id, details.type_name, details.message]
    return []


@scenario(gives=["fail", 1, "ValueError", "no luck"])
def a_failure_is_caught_as_task_failed_error(world: World) -> Any:
    """`except TaskFailedError` gets the task and the details of what was raised there."""
    return world.run(catches_task_failed)


@orchestrator
async def catches_the_original(ctx: Any) -> list[str]:
    caught = []
    try:
        await ctx.call_activity(fail, "no luck")
    except ValueError as error:
        caught.append(type(error).__name__)
    try:
        await ctx.call_activity(reserve, "lamp")
    except OutOfStock as error:
        caught.append(error.details.message)
    return caught


@scenario(gives=["TaskFailedError", "lamp"])
def a_failure_is_caught_as_the_class_that_was_raised(world: World) -> Any:
    """`except ValueError` and `except MyError` work, where the code knows the class by name."""
    return world.run(catches_the_original)


@activity
def raise_own_class() -> None:
    class Inner(Exception):
        pass

    raise Inner("hidden")


@orchestrator
async def catches_unknown_class(ctx: Any) -> Any:
    try:
        await ctx.call_activity(raise_own_class)
    except TaskFailedError as error:
        return [error.details.type_name, error.details.message]


@scenario(gives=["Inner", "hidden"])
def a_class_the_orchestrator_does_not_know_is_still_named(world: World) -> Any:
    """An error of an unknown class is a TaskFailedError whose details name it."""
    return world.run(catches_unknown_class)


@activity
def fail_with_a_cause() -> None:
    try:
        raise KeyError("deep")
    except KeyError as error:
        raise RuntimeError("shallow") from error


@orchestrator
async def tells_the_cause(ctx: Any) -> Any:
    try:
        await ctx.call_activity(fail_with_a_cause)
    except RuntimeError as error:
        details = error.details
        return [details.type_name, details.cause.type_name, details.is_caused_by(KeyError)]


@scenario(gives=["RuntimeError", "KeyError", True])
def causes_are_kept(world: World) -> Any:
    """`raise ... from` in an activity reaches the orchestrator as the cause of the details."""
    return world.run(tells_the_cause)


@scenario(gives=True)
def the_stack_trace_shows_the_users_line(world: World) -> Any:
    """The details hold the traceback, with the source line that raised."""
    run = world.start(fails_with_its_activity)
    _, failure = raised(run.result, "failure")
    while failure.cause is not None:
        failure = failure.cause
    return "raise ValueError(message)" in failure.stack_trace


@orchestrator
async def compensates(ctx: Any, path: str) -> str:
    done = []
    try:
        for step in ("flight", "hotel"):
            await ctx.call_activity(append, [path, f"book {step}"])
            done.append(step)
        await ctx.call_activity(reserve, "car")
    except OutOfStock:
        for step in reversed(done):
            await ctx.call_activity(append, [path, f"cancel {step}"])
        return "undone"
    return "booked"


@scenario(gives=["undone", ["book flight", "book hotel", "cancel hotel", "cancel flight"]])
def compensations_run_after_a_failure(world: World) -> Any:
    """A saga: what was done before the failure is undone by activities of the except block."""
    return [world.run(compensates, world.file("bookings")), world.lines("bookings")]


@orchestrator
async def raises_itself(ctx: Any, when: str) -> None:
    if when == "later":
        await ctx.call_activity(identity, 1)
    raise OutOfStock(f"raised {when}")


@scenario(gives=[["OutOfStock", "raised at once"], ["OutOfStock", "raised later"]])
def an_error_of_the_orchestrators_own_fails_it(world: World) -> Any:
    """What the orchestrator's code raises, before or after its first wait, is its failure."""
    found = []
    for when in ("at once", "later"):
        run = world.start(raises_itself, when)
        run.wait()
        assert run.failure is not None
        found.append([run.failure.type_name, run.failure.message])
    return found


@orchestrator
async def cleans_up(ctx: Any, path: str) -> None:
    try:
        await ctx.call_activity(fail, "work")
    finally:
        await ctx.call_activity(append, [path, "cleaned"])


@scenario(gives=["Failed", ["cleaned"]])
def finally_blocks_may_call_activities(world: World) -> Any:
    """A `finally` block runs once, and what it awaits is done before the instance fails."""
    return [world.start(cleans_up, world.file("log")).wait().value, world.lines("log")]


@orchestrator
def catches_in_a_generator(ctx: Any) -> Any:
    try:
        yield ctx.call_activity(fail, "first")
    except ValueError:
        result = yield ctx.call_activity(double, 2)
        return result


@scenario(gives=4)
def failures_are_thrown_into_generators(world: World) -> Any:
    """In a generator the `yield` raises, and the code goes on from its except block."""
    return world.run(catches_in_a_generator)


@orchestrator
async def raises_from_a_failure(ctx: Any) -> None:
    try:
        await ctx.call_activity(fail, "below")
    except ValueError as error:
        raise RuntimeError("above") from error


@scenario(gives=["RuntimeError", "above", "TaskFailedError", "ValueError"])
def errors_raised_from_failures_keep_them_as_causes(world: World) -> Any:
    """An error raised from a task's failure has it as its cause, down to the original."""
    run = world.start(raises_from_a_failure)
    run.wait()
    failure = run.failure
    assert failure is not None
    assert failure.cause is not None
    assert failure.cause.cause is not None
    cause = failure.cause
    return [failure.type_name, failure.message, cause.type_name, cause.cause.type_name]


@orchestrator
async def calls_unknown_activity(ctx: Any) -> Any:
    try:
        await ctx.call_activity("duoble", 1)
    except UnknownDefinitionError as error:
        return [error.kind, error.name, "double" in error.near, await ctx.call_activity(double, 1)]


@scenario(gives=["activity", "duoble", True, 2])
def an_unknown_activity_is_named_with_near_names(world: World) -> Any:
    """A wrong name is an error at the call, which says what was meant and can be caught."""
    return world.run(calls_unknown_activity)


@orchestrator
async def calls_unknown_child(ctx: Any) -> None:
    await ctx.call_sub_orchestrator("three_duobles", 1)


@scenario(gives=["UnknownDefinitionError", True, True])
def an_unknown_sub_orchestration_fails_the_instance(world: World) -> Any:
    """Not caught, a wrong name fails the instance with a message that lists near names."""
    run = world.start(calls_unknown_child)
    run.wait()
    failure = run.failure
    assert failure is not None
    near = "Did you mean" in failure.message and "three_doubles" in failure.message
    return [failure.type_name, "'three_duobles'" in failure.message, near]


@orchestrator
async def sends_a_lock(ctx: Any) -> Any:
    try:
        await ctx.call_activity(identity, {"jobs": [1, {"lock": threading.Lock()}]})
    except EncodingError as error:
        return [error.path, error.type_name, await ctx.call_activity(double, 1)]


@scenario(gives=["value['jobs'][1]['lock']", "lock", 2])
def an_input_that_cannot_be_stored_is_refused_at_the_call(world: World) -> Any:
    """The error names the path inside the value; nothing was scheduled, and the code goes on."""
    return world.run(sends_a_lock)


@activity
def make_lock() -> Any:
    return [threading.Lock()]


@orchestrator
async def receives_a_lock(ctx: Any) -> Any:
    try:
        await ctx.call_activity(make_lock)
    except TaskFailedError as error:
        return [error.details.type_name, "value[0]" in error.details.message]


@scenario(gives=["EncodingError", True])
def a_result_that_cannot_be_stored_fails_its_activity(world: World) -> Any:
    """An activity that returns what cannot be stored fails, and the message names the path."""
    return world.run(receives_a_lock)


@orchestrator
async def returns_a_lock(ctx: Any) -> Any:
    return {"lock": threading.Lock()}


@scenario(gives=["Failed", "EncodingError", True])
def an_output_that_cannot_be_stored_fails_the_instance(world: World) -> Any:
    """An orchestrator that returns what cannot be stored fails, and the message names the path."""
    run = world.start(returns_a_lock)
    status = run.wait().value
    assert run.failure is not None
    return [status, run.failure.type_name, "value['lock']" in run.failure.message]


@orchestrator
async def sleeps_with_asyncio(ctx: Any) -> None:
    await asyncio.sleep(1)


@scenario(gives=["Failed", "ForeignAwaitableError", True])
def asyncio_is_refused_at_once_with_the_remedy(world: World) -> Any:
    """Awaiting what asyncio gives fails at once, and says what to use instead."""
    run = world.start(sleeps_with_asyncio)
    status = run.wait().value
    assert run.failure is not None
    return [status, run.failure.type_name, "use ctx.create_timer" in run.failure.message]


@orchestrator
def yields_other_things(ctx: Any) -> Any:
    seen = []
    for thing in (None, 5, [ctx.create_timer(LONG)]):
        try:
            yield thing
        except ForeignAwaitableError as error:
            seen.append(error.type_name)
    last = yield ctx.call_activity(double, 5)
    return [*seen, last]


@scenario(gives=["bare suspension (asyncio.sleep(0)?)", "int", "list", 10])
def only_tasks_may_be_yielded(world: World) -> Any:
    """Yielding something else, first or later, raises at the yield instead of hanging."""
    return world.run(yields_other_things)


@orchestrator
async def quits(ctx: Any) -> None:
    await ctx.call_activity(identity, 1)
    raise SystemExit("enough")


@scenario(gives=["Failed", True])
def an_orchestrator_that_exits_only_fails_itself(world: World) -> Any:
    """`SystemExit` and its like end the instance, not the engine."""
    run = world.start(quits)
    status = run.wait().value
    assert run.failure is not None
    return [status, "SystemExit" in run.failure.message]


@activity
def exits() -> None:
    raise SystemExit("enough")


@orchestrator
async def calls_what_exits(ctx: Any) -> Any:
    try:
        await ctx.call_activity(exits)
    except TaskFailedError as error:
        return error.details.type_name


@scenario(gives="SystemExit")
def an_activity_that_exits_only_fails_its_task(world: World) -> Any:
    """`sys.exit()` in an activity is a failure of that task."""
    return world.run(calls_what_exits)


@orchestrator
async def passes_wrong_arguments(ctx: Any) -> Any:
    try:
        await double(1, 2, 3)
    except TypeError as error:
        return error.details.type_name if isinstance(error, TaskFailedError) else "at the call"


@scenario(gives="TypeError")
def wrong_arguments_of_an_activity_fail_its_task(world: World) -> Any:
    """Arguments an activity does not take are its failure, a TypeError."""
    return world.run(passes_wrong_arguments)


@activity(timeout="100ms")
def overruns(ctx: Any) -> str:
    while not ctx.cancelled:
        threading.Event().wait(0.005)
    return "late"


@orchestrator
async def waits_for_what_overruns(ctx: Any) -> Any:
    try:
        await ctx.call_activity(overruns)
    except TimeoutError as error:
        return error.details.type_name


@scenario(gives="TimeoutError")
def an_activity_that_overruns_its_timeout_fails(world: World) -> Any:
    """An attempt that takes longer than the activity's `timeout` is stopped and fails its task."""
    return world.run(waits_for_what_overruns)
