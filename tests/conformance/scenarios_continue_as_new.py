"""Continue-as-new: the same instance, a new execution, an empty history."""

from __future__ import annotations

import threading
from typing import Any

from ipydurable import orchestrator
from tests.conformance.common import append, double, identity, listen
from tests.conformance.durations import TICK
from tests.conformance.scenario import World, raised, scenario


@orchestrator
async def counts_to(ctx: Any, n: int) -> Any:
    n = await ctx.call_activity(double, n)
    if n < 100:
        ctx.continue_as_new(n)
        return None
    return [n, ctx.instance_id]


@scenario(gives=[128, True, 6])
def each_execution_has_a_new_input(world: World) -> Any:
    """The code starts over with the new input, as the same instance."""
    run = world.start(counts_to, 1)
    result, instance_id = run.result()
    return [result, instance_id == run.instance_id, run.record.generation]


@scenario(gives=[64, 1])
def the_history_is_that_of_the_last_execution(world: World) -> Any:
    """Each execution begins with an empty history; the input shown is the last one's."""
    run = world.start(counts_to, 1)
    run.result()
    kinds = [type(event).__name__ for event in world.events(run)]
    return [run.input, kinds.count("TaskCompleted")]


@orchestrator
async def tells_its_execution(ctx: Any, seen: list[str]) -> Any:
    seen = [*seen, ctx.execution_id, ctx.new_uuid()]
    if len(seen) < 6:
        ctx.continue_as_new(seen)
        return None
    return len(set(seen))


@scenario(gives=6)
def each_execution_has_an_id_and_uuids_of_its_own(world: World) -> Any:
    """The execution id changes, and so do the uuids that are made of it."""
    return world.run(tells_its_execution, [])


@orchestrator
async def adds_five(ctx: Any, state: list[int]) -> Any:
    total, count = state
    if count == 5:
        return total
    ctx.continue_as_new([total + await ctx.wait_for_external_event("add"), count + 1])


@scenario(gives=15)
def untaken_events_go_along(world: World) -> Any:
    """Events nobody has taken yet re-enter the next execution, in their order."""
    run = world.start(adds_five, [0, 0])
    for n in range(1, 6):
        run.raise_event("add", n)
    return run.result()


@orchestrator
async def waits_then_continues(ctx: Any, state: list[Any]) -> Any:
    is_first, save = state
    if is_first:
        await ctx.wait_for_external_event("next")
        ctx.continue_as_new([False, save], save_events=save)
        return None
    try:
        return await ctx.wait_for_external_event("data", timeout=TICK)
    except TimeoutError:
        return "nothing came"


@scenario(gives=["kept", "nothing came"])
def events_may_be_left_behind(world: World) -> Any:
    """With `save_events=False` the next execution begins with an empty inbox."""
    results = []
    for save in (True, False):
        run = world.start(waits_then_continues, [True, save])
        run.raise_event("data", "kept")
        run.raise_event("next")
        results.append(run.result())
    return results


@orchestrator
async def works_on(ctx: Any, state: list[str]) -> Any:
    path, is_first = state
    if is_first != "first":
        return is_first
    ctx.continue_as_new([path, "second"])
    task = ctx.call_activity(append, [path, "was scheduled"])
    await task
    ctx.continue_as_new([path, "never reached"])


@scenario(gives="second")
def the_code_goes_on_only_to_its_next_wait(world: World) -> Any:
    """After the call the code runs to its next wait or its end, and no further."""
    return world.run(works_on, [world.file("log"), "first"])


@orchestrator
async def fails_after(ctx: Any) -> None:
    ctx.continue_as_new()
    raise ValueError("changed my mind")


@scenario(gives=["Failed", "changed my mind", 0])
def failing_after_the_call_fails_the_instance(world: World) -> Any:
    """An error after `continue_as_new` counts: there is no next execution."""
    run = world.start(fails_after)
    status = run.wait().value
    assert run.failure is not None
    return [status, run.failure.message, run.record.generation]


@orchestrator
async def sends_and_continues(ctx: Any, state: list[Any]) -> Any:
    target, is_first = state
    if is_first:
        ctx.send_event(target, "go", "before the end")
        ctx.continue_as_new([target, False])
        return None
    return "second"


@scenario(gives=["second", "before the end"])
def what_was_emitted_before_is_still_sent(world: World) -> Any:
    """Events sent in the turn that continues as new reach their targets."""
    run = world.start(listen)
    return [world.run(sends_and_continues, [run.instance_id, True]), run.result()]


@orchestrator
async def starts_and_continues(ctx: Any, state: list[Any]) -> Any:
    child_id, is_first = state
    if is_first:
        ctx.call_sub_orchestrator(listen, instance_id=child_id)
        ctx.continue_as_new([child_id, False])
        return None
    return "second"


@scenario(gives=["second", "alive"])
def children_started_before_live_on(world: World) -> Any:
    """A child that was started in the turn is created, and goes on without its parent."""
    result = world.run(starts_and_continues, [world.id("child"), True])
    child = world.handle(world.id("child"))
    child.raise_event("go", "alive")
    return [result, child.result()]


@orchestrator
async def abandons_a_timer(ctx: Any, is_first: bool) -> Any:
    if is_first:
        ctx.create_timer(TICK)
        ctx.continue_as_new(False)
        return None
    own = ctx.create_timer(3 * TICK)
    begun = ctx.current_utc_datetime
    await own
    return ctx.current_utc_datetime - begun >= 3 * TICK


@scenario(gives=True)
def open_timers_are_abandoned(world: World) -> Any:
    """A timer of the execution before does not fire in the next, whose ids are the same."""
    return world.run(abandons_a_timer, True)


@orchestrator
async def keeps_its_labels(ctx: Any, n: int) -> Any:
    if n:
        ctx.continue_as_new(n - 1)
        return None
    return [dict(ctx.tags), ctx.version]


@scenario(gives=[{"team": "red"}, True])
def tags_and_version_stay(world: World) -> Any:
    """All executions of an instance carry its tags and run the version it started with."""
    run = world.start(keeps_its_labels, 2, tags={"team": "red"})
    tags, version = run.result()
    return [tags, version == keeps_its_labels.version]


@orchestrator
def continues_in_a_generator(ctx: Any, n: int) -> Any:
    n = yield ctx.call_activity(double, n)
    if n < 10:
        ctx.continue_as_new(n)
        return None
    return n


@scenario(gives=16)
def generators_continue_as_new(world: World) -> Any:
    """A generator calls `ctx.continue_as_new(...)` and returns."""
    return world.run(continues_in_a_generator, 1)


@orchestrator
async def continues_without_input(ctx: Any, value: Any = "default") -> Any:
    if value == "first":
        ctx.continue_as_new()
        return None
    return value


@scenario(gives="default")
def the_next_execution_may_have_no_input(world: World) -> Any:
    """Without an argument the next execution starts without an input."""
    return world.run(continues_without_input, "first")


@orchestrator
async def continues_with_a_lock(ctx: Any) -> Any:
    try:
        ctx.continue_as_new({"lock": threading.Lock()})
    except Exception as error:
        return [type(error).__name__, await ctx.call_activity(identity, "went on")]


@scenario(gives=["EncodingError", "went on"])
def an_input_that_cannot_be_stored_is_refused_and_nothing_continues(world: World) -> Any:
    """The call raises, and the present execution goes on as if it had not been made."""
    return world.run(continues_with_a_lock)


@orchestrator
async def endless(ctx: Any, n: int = 0) -> None:
    await ctx.create_timer(TICK)
    ctx.continue_as_new(n + 1)


@scenario(gives=["OrchestrationFailedError", True])
def a_deadline_counts_over_all_executions(world: World) -> Any:
    """An eternal orchestration with a timeout ends when that is over, often as it continued."""
    run = world.start(endless, timeout=10 * TICK)
    name = raised(run.result)[0]
    return [name, run.record.generation >= 1]


@scenario(gives=["Terminated", True])
def an_eternal_orchestration_ends_by_terminate(world: World) -> Any:
    """Terminating ends whatever execution it is in."""
    run = world.start(endless)
    world.until(lambda: run.record.generation >= 2, "the third execution")
    run.terminate()
    return [run.wait().value, run.record.generation >= 2]
