"""Edges: what is rarely done and must work all the same, or be refused in words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ipydurable import RuntimeStatus, TaskFailedError, activity, orchestrator
from ipydurable.runtime.ports import InstanceQuery
from tests.conformance.common import append, double, fail, identity, listen, three_doubles
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import World, raised, scenario


@activity
def takes_from_nothing() -> Any:
    return next(iter([]))


@orchestrator
async def catches_stop_iteration(ctx: Any) -> Any:
    try:
        await ctx.call_activity(takes_from_nothing)
    except TaskFailedError as error:
        return error.details.type_name


@orchestrator
def catches_stop_iteration_in_a_generator(ctx: Any) -> Any:
    try:
        yield ctx.call_activity(takes_from_nothing)
    except TaskFailedError as error:
        return error.details.type_name


@scenario(gives=["StopIteration", "StopIteration"])
def stop_iteration_is_a_failure_like_any_other(world: World) -> Any:
    """An activity that runs out of an iterator fails; Python's use of that error plays no part."""
    return [world.run(catches_stop_iteration), world.run(catches_stop_iteration_in_a_generator)]


class Rejected(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code


@activity
def reject(n: int) -> None:
    raise Rejected(n, "over the limit")


@orchestrator
async def catches_rejected(ctx: Any) -> Any:
    try:
        await ctx.call_activity(reject, 7)
    except Rejected as error:
        return error.details.message


@scenario(gives="(7, 'over the limit')")
def error_classes_may_need_arguments(world: World) -> Any:
    """A class whose constructor wants arguments is caught by its name all the same."""
    return world.run(catches_rejected)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@activity
def unspeakable() -> None:
    raise Unspeakable


@orchestrator
async def catches_unspeakable(ctx: Any, own: bool) -> Any:
    if own:
        raise Unspeakable
    try:
        await ctx.call_activity(unspeakable)
    except TaskFailedError as error:
        return error.details.type_name


@scenario(gives=["Unspeakable", "Failed", "Unspeakable"])
def errors_that_cannot_be_shown_are_still_failures(world: World) -> Any:
    """An exception whose `str()` raises fails its task, or its instance, by its class name."""
    run = world.start(catches_unspeakable, True)
    status = run.wait().value
    assert run.failure is not None
    return [world.run(catches_unspeakable, False), status, run.failure.type_name]


@activity
def fail_in_a_group() -> None:
    raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])


@orchestrator
async def catches_group(ctx: Any) -> Any:
    try:
        await ctx.call_activity(fail_in_a_group)
    except TaskFailedError as error:
        return error.details.type_name


@scenario(gives="ExceptionGroup")
def exception_groups_are_failures(world: World) -> Any:
    """An activity may raise an ExceptionGroup."""
    return world.run(catches_group)


@orchestrator
async def gathers(ctx: Any) -> Any:
    await asyncio.gather(ctx.call_activity(double, 1), ctx.call_activity(double, 2))


@orchestrator
async def groups_tasks(ctx: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))


@orchestrator
async def times_out(ctx: Any) -> Any:
    async with asyncio.timeout(1):
        await ctx.call_activity(double, 1)


@scenario(gives=[["Failed", "ForeignAwaitableError"]] * 3, order_varies=True)
def asyncios_own_combinators_are_refused(world: World) -> Any:
    """`asyncio.gather`, `TaskGroup` and `timeout` in an orchestrator fail it with the remedy."""
    found = []
    for wrong in (gathers, groups_tasks, times_out):
        run = world.start(wrong)
        status = run.wait().value
        assert run.failure is not None
        found.append([status, run.failure.type_name])
    return found


def doubled_in_a_helper(ctx: Any, n: int) -> Iterator[Any]:
    first = yield ctx.call_activity(double, n)
    second = yield ctx.call_activity(double, first)
    return second


@orchestrator
def delegates(ctx: Any) -> Any:
    value = yield from doubled_in_a_helper(ctx, 3)
    return value


@scenario(gives=12)
def generators_may_delegate_to_helpers(world: World) -> Any:
    """`yield from helper(ctx)` works in the generator form."""
    return world.run(delegates)


async def pages(ctx: Any, count: int) -> AsyncIterator[Any]:
    for n in range(count):
        yield await ctx.call_activity(identity, n)


@contextlib.asynccontextmanager
async def booked(ctx: Any, path: str) -> AsyncIterator[str]:
    yield await ctx.call_activity(append, [path, "book"])
    await ctx.call_activity(append, [path, "release"])


@orchestrator
async def iterates_and_enters(ctx: Any, path: str) -> Any:
    async with booked(ctx, path) as answer:
        return [answer, [page async for page in pages(ctx, 3)]]


@scenario(gives=[["book", [0, 1, 2]], ["book", "release"]])
def async_iterators_and_context_managers_work(world: World) -> Any:
    """`async for` and `async with` over durable tasks, also when the code leaves memory inside."""
    return [world.run(iterates_and_enters, world.file("log")), world.lines("log")]


async def slow_path(ctx: Any) -> str:
    await ctx.wait_for_external_event("slow")
    return await ctx.call_activity(identity, "slow path")


@orchestrator
async def races_a_coroutine(ctx: Any) -> list[Any]:
    quick = ctx.wait_for_external_event("quick")
    winner = await ctx.when_any([quick, slow_path(ctx)])
    last = await ctx.wait_for_external_event("last")
    return [winner is quick, last]


@scenario(gives=[True, "end"])
def a_coroutine_that_lost_a_race_goes_on(world: World) -> Any:
    """The losing coroutine is a task like any other: nothing cancels it."""
    run = world.start(races_a_coroutine)
    for name in ("quick", "slow"):
        run.raise_event(name)
    world.until(lambda: _count(world, run, "TaskCompleted") == 1, "the slow path")
    run.raise_event("last", "end")
    return run.result()


def _count(world: World, run: Any, kind: str) -> int:
    return sum(type(event).__name__ == kind for event in world.events(run))


@orchestrator
async def passes_values(ctx: Any, value: Any) -> Any:
    return await ctx.call_activity(identity, value)


STRANGE = [
    float("inf"),
    -0.0,
    2**100,
    "",
    "nul \0 inside",
    "line\u2028separator \U0001f600",
    b"",
    {},
    {None: 1, True: 2, (1, 2): 3},
    frozenset({1}),
    range(3),
    complex(1, 2),
    datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Zurich")),
    timedelta(microseconds=-1),
]


@scenario(gives=[repr(value) for value in STRANGE])
def strange_values_come_out_as_they_went_in(world: World) -> Any:
    """Infinities, huge integers, NUL characters, odd keys: each is stored as it is."""
    return [repr(value) for value in world.run(passes_values, STRANGE)]


@scenario(gives=["\udc80", True])
def text_that_is_no_unicode_travels_too(world: World) -> Any:
    """File names may hold lone surrogates; NaN is a NaN."""
    text, number = world.run(passes_values, ["\udc80", float("nan")])
    return [text, number != number]  # noqa: PLR0124  (the definition of NaN)


@scenario(gives=["EncodingError", "value[0]", True])
def values_that_contain_themselves_are_refused(world: World) -> Any:
    """A list that holds itself cannot be stored; the error names the place."""
    loop: list[Any] = []
    loop.append(loop)
    name, path, said = raised(lambda: world.start(passes_values, loop), "path", "str")
    return [name, path, "contains itself" in said]


@scenario(gives=["Zürich ☂", "it's", 'say "hi"', "100% _x", "; DROP TABLE journal"])
def ids_may_hold_any_printable_characters(world: World) -> Any:
    """Spaces, quotes, percent signs and letters of any language."""
    names = ["Zürich ☂", "it's", 'say "hi"', "100% _x", "; DROP TABLE journal"]
    for name in names:
        run = world.start(listen, suffix=name, tags={name: name})
        run.raise_event(name)
        run.raise_event("go", name)
    return [world.handle(world.id(name)).result() for name in names]


@scenario(gives=[["a_b"], ["a%b"], ["a_b", "a%b", "axb"], []])
def a_prefix_is_text_and_no_pattern(world: World) -> Any:
    """`_` and `%` in a prefix mean themselves, and case counts."""
    for name in ("axb", "a%b", "a_b"):
        world.start(listen, suffix=name)
    return [
        [
            world.short(one.instance_id)
            for one in world.client.query(InstanceQuery(prefix=world.id(prefix)))
        ]
        for prefix in ("a_", "a%", "a", "A")
    ]


@orchestrator
async def waits_no_time(ctx: Any) -> list[Any]:
    seen = []
    for _ in range(2):
        await ctx.wait_for_external_event("begin")
        try:
            seen.append(await ctx.wait_for_external_event("data", timeout=timedelta(0)))
        except TimeoutError:
            seen.append("nothing there")
    return seen


@scenario(gives=["nothing there", "here"])
def a_wait_of_no_time_takes_what_is_there(world: World) -> Any:
    """With a timeout of zero a wait takes a buffered event or fails at once."""
    run = world.start(waits_no_time)
    run.raise_event("begin")
    world.until(lambda: _count(world, run, "TimerFired") == 1, "the timeout")
    run.raise_event("data", "here")
    run.raise_event("begin")
    return run.result()


@orchestrator
async def tidy(ctx: Any, path: str) -> None:
    try:
        await ctx.wait_for_external_event("never")
    finally:
        await ctx.call_activity(append, [path, "tidied"])


@scenario(gives=["Terminated", []])
def terminated_code_is_not_told(world: World) -> Any:
    """Termination runs no `finally` block's activities."""
    run = world.start(tidy, world.file("log"))
    run.terminate()
    return [run.wait().value, world.lines("log")]


@orchestrator
async def stale_results(ctx: Any, state: list[Any]) -> Any:
    path, is_first = state
    if is_first:
        ctx.call_activity(append, [path, "first execution"])
        await ctx.wait_for_external_event("next")
        ctx.continue_as_new([path, False])
        return None
    return await ctx.call_activity(identity, "second execution")


@scenario(gives="second execution", order_varies=True)
def results_of_an_earlier_execution_are_dropped(world: World) -> Any:
    """A result for action 1 of the execution before is not taken for that of this one."""
    run = world.start(stale_results, [world.file("log"), True])
    run.raise_event("next")
    return run.result()


@orchestrator
async def suspended_parent(ctx: Any, child_id: str) -> Any:
    return await ctx.call_sub_orchestrator(listen, instance_id=child_id)


@scenario(gives=["Suspended", "Completed", "hello"])
def a_child_may_end_while_its_parent_is_suspended(world: World) -> Any:
    """Suspending a parent does not suspend its children; their results wait for it."""
    run = world.start(suspended_parent, world.id("child"))
    run.suspend()
    child = world.handle(world.id("child"))
    child.raise_event("go", "hello")
    ended = child.wait().value
    status = run.status.value
    run.resume()
    return [status, ended, run.result()]


@orchestrator
async def carries_in_order(ctx: Any, seen: list[int]) -> Any:
    seen = [*seen, await ctx.wait_for_external_event("n")]
    if len(seen) == 4:
        return seen
    ctx.continue_as_new(seen)


@scenario(gives=[1, 2, 3, 4])
def carried_events_come_before_newer_ones(world: World) -> Any:
    """Events that go along to the next execution keep their place before those that came later."""
    run = world.start(carries_in_order, [])
    run.suspend()
    for n in (1, 2, 3):
        run.raise_event("n", n)
    run.resume()
    run.raise_event("n", 4)
    return run.result()


@orchestrator
async def takes_many_events(ctx: Any, count: int) -> int:
    return sum([await ctx.wait_for_external_event("n") for _ in range(count)])


@scenario(gives=20_100)
def hundreds_of_events_are_taken_in_turn(world: World) -> Any:
    """A burst of events is taken one by one; none is lost, none comes twice."""
    run = world.start(takes_many_events, 200)
    for n in range(1, 201):
        run.raise_event("n", n)
    return run.result()


@orchestrator
async def wide(ctx: Any, n: int) -> int:
    return sum(await ctx.when_all(ctx.call_activity(identity, i) for i in range(n)))


@scenario(gives=19_900, order_varies=True)
def hundreds_of_activities_fan_out_and_in(world: World) -> Any:
    """A fan-out of hundreds gives each result once."""
    return world.run(wide, 200)


@orchestrator
async def reuses_a_child_id(ctx: Any, child_id: str) -> Any:
    first = await ctx.call_sub_orchestrator(three_doubles, 1, instance_id=child_id)
    try:
        await ctx.call_sub_orchestrator(three_doubles, 2, instance_id=child_id)
    except TaskFailedError as error:
        return [first, error.details.type_name]


@scenario(gives=[8, "InstanceExistsError"])
def a_child_id_is_used_once(world: World) -> Any:
    """Also the id of a finished child is taken."""
    return world.run(reuses_a_child_id, world.id("child"))


@orchestrator
async def compensates_and_raises(ctx: Any) -> None:
    try:
        await ctx.call_activity(fail, "work")
    except ValueError:
        await ctx.call_activity(double, 1)
        raise


@scenario(gives=["InstanceStateError", True, "Failed"])
def rewind_is_refused_where_the_code_went_on(world: World) -> Any:
    """What the code did after a failure cannot be taken back: the error names it."""
    run = world.start(compensates_and_raises)
    run.wait()
    name, said = raised(run.rewind, "str")
    return [name, "activity 'double'" in said, run.status.value]


@orchestrator
async def long_lived_parent(ctx: Any, child_id: str) -> Any:
    return await ctx.call_sub_orchestrator(listen, instance_id=child_id)


@scenario(gives=["Terminated", 8])
def replacing_an_instance_ends_its_children(world: World) -> Any:
    """Where a running instance is replaced, its sub-orchestrations are terminated with it."""
    world.start(long_lived_parent, world.id("child"), suffix="one")
    run = world.start(three_doubles, 1, suffix="one", replace=[RuntimeStatus.RUNNING])
    return [world.handle(world.id("child")).wait().value, run.result()]


@orchestrator
async def keeps_its_status(ctx: Any, n: int) -> str | None:
    if n:
        ctx.set_custom_status(f"{n} to go")
        ctx.continue_as_new(n - 1)
        return None
    await ctx.create_timer(TICK)
    return "done"


@scenario(gives=["1 to go", "done"])
def the_custom_status_outlives_its_execution(world: World) -> Any:
    """What was set before `continue_as_new` shows until it is set again."""
    run = world.start(keeps_its_status, 2)
    return [run.custom_status, run.result()]


@orchestrator
async def cancels_in_a_group(ctx: Any) -> Any:
    timer = ctx.create_timer(LONG)
    wait = ctx.wait_for_external_event("go")
    group = ctx.when_any([timer, wait])
    timer.cancel()
    winner = await group
    return [winner is timer, winner.is_failed, wait.is_complete]


@scenario(gives=[True, True, False])
def a_cancelled_task_settles_its_group(world: World) -> Any:
    """Cancelling settles a task: a group that waits for it goes on."""
    return world.run(cancels_in_a_group)
