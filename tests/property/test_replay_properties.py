"""Whatever the program and whatever happens to it: replay is the live run, wherever it is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.code import OrchestratorCode, Resolved
from ipydurable.runtime.core.events import (
    DECISIONS,
    INCOMING,
    CustomStatusSet,
    EntityLockGranted,
    EntityOperationCompleted,
    EntityOperationFailed,
    Event,
    EventFormClosed,
    EventFormOpened,
    ExecutionCompleted,
    ExecutionStarted,
    RaceDecided,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import Stream
from ipydurable.runtime.requests import Resume, Suspend
from tests.support.programs import (
    EVENT_NAMES,
    Tally,
    interpret,
    interpret_generator,
    programs,
    work,
)
from tests.support.world import JsonConverter, World

_MAX_STEPS = 60
_OUTCOMES = (
    TaskCompleted,
    TaskFailed,
    TimerFired,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityLockGranted,
)
_OF_THE_CODE = (
    *INCOMING,
    *DECISIONS,
    CustomStatusSet,
    EventFormClosed,
    EventFormOpened,
    RaceDecided,
)
_FORMS: dict[str, Callable[..., Any]] = {
    one.__name__: one for one in (interpret, interpret_generator)
}


def new_world(resident: int = 10_000) -> World:
    world = World(resident)
    world.define(work)
    world.entity(Tally)
    for form in _FORMS.values():
        world.orchestrator(form)
    return world


def run_at_random(program: list[Any], data: st.DataObject, resident: int) -> World:
    """Run a program while all that it asked for ends in any order, and much else happens."""
    world = new_world(resident)
    world.start("interpret", program)
    for _ in range(_MAX_STEPS):
        if world.record().status.is_terminal:
            return world
        choices = ["event", "time", "crash", "suspend", "resume"]
        choices += ["activity"] * 4 * bool(world.executor.waiting)
        choices += ["lose"] * bool(world.executor.waiting)
        choices += ["entity"] * 4 * bool(world.runner.waiting)
        happen(world, data.draw(st.sampled_from(choices)), data)
        world.settle()
    finish(world)
    return world


def happen(world: World, what: str, data: st.DataObject) -> None:
    live = list(world.engine.orchestrations.by_id)
    match what:
        case "activity" | "lose":
            waiting = list(world.executor.waiting)
            key = waiting[data.draw(st.integers(0, len(waiting) - 1))]
            if what == "activity":
                world.executor.run(key)
            else:
                world.executor.lose(key, worker="")
        case "entity":
            world.runner.run(data.draw(st.integers(0, len(world.runner.waiting) - 1)))
        case "event":
            name = data.draw(st.sampled_from(EVENT_NAMES))
            for instance in live:
                world.raise_event(name.upper(), name, instance)
        case "time":
            world.clock.advance(timedelta(seconds=data.draw(st.integers(0, 5))))
        case "suspend":
            world.ask(Suspend(instance_id=data.draw(st.sampled_from(live))))
        case "resume":
            world.ask(Resume(instance_id=data.draw(st.sampled_from(live))))
        case "crash":
            world.crash()


def finish(world: World) -> None:
    """Let everything the program can wait for happen."""
    for _ in range(200):
        if world.record().status.is_terminal:
            return
        for instance in list(world.engine.orchestrations.by_id):
            if world.record(instance).status is RuntimeStatus.SUSPENDED:
                world.ask(Resume(instance_id=instance))
        world.advance(timedelta(seconds=10))
        for instance in list(world.engine.orchestrations.by_id):
            for name in EVENT_NAMES:
                world.raise_event(name, name, instance)
        world.work()


def executor_of(execution: list[Event]) -> OrchestrationExecutor:
    started = execution[0]
    assert isinstance(started, ExecutionStarted)
    code = OrchestratorCode(_FORMS[started.name], JsonConverter(), {})
    return OrchestrationExecutor(code, lambda _kind, _name: Resolved("v1"))


def executions(world: World) -> list[list[Event]]:
    """What the code of each execution saw and did, in order."""
    found: dict[int, list[list[Event]]] = {}
    for row in world.store.rows:
        event: Any = row.event
        if row.stream is not Stream.HISTORY or not isinstance(event, _OF_THE_CODE):
            continue
        if isinstance(event, ExecutionStarted):
            found.setdefault(row.iid, []).append([])
        found[row.iid][-1].append(event)
    return [execution for several in found.values() for execution in several]


@given(program=programs(), data=st.data(), resident=st.sampled_from([0, 1, 10_000]))
@settings(deadline=None)
def test_every_program_ends_and_each_task_is_settled_once(
    program: list[Any], data: st.DataObject, resident: int
) -> None:
    """Crashes, evictions and suspensions at any moment do not lose a step or repeat one."""
    world = run_at_random(program, data, resident)
    assert world.record().status is RuntimeStatus.COMPLETED, world.record()
    for execution in executions(world):
        settled = [event.task_id for event in execution if isinstance(event, _OUTCOMES)]
        assert len(settled) == len(set(settled))


@given(program=programs(), data=st.data())
@settings(deadline=None)
def test_replay_equals_the_live_run_wherever_it_is_cut(
    program: list[Any], data: st.DataObject
) -> None:
    """Any prefix as history and the rest as news gives the same decisions, in the same order."""
    world = run_at_random(program, data, 10_000)
    for execution in executions(world):
        incoming = [at for at, event in enumerate(execution) if isinstance(event, INCOMING)]
        cut = data.draw(st.sampled_from([*incoming, len(execution)]))
        executor = executor_of(execution)
        executor.replay(execution[:cut])  # type: ignore[arg-type]
        rebuilt = execution[:cut]
        for event in execution[cut:]:
            if isinstance(event, INCOMING):
                rebuilt.append(event)
                executor.process(event)  # type: ignore[arg-type]
                rebuilt.extend(executor.take_decisions())
        assert rebuilt == execution
        assert executor.warnings == []
        executor.close()


@given(program=programs(), data=st.data())
@settings(deadline=None)
def test_replay_of_a_finished_instance_is_a_fixed_point(
    program: list[Any], data: st.DataObject
) -> None:
    """Nothing is asked for again, and the end is the recorded end; nor does it at a third time."""
    world = run_at_random(program, data, 10_000)
    finished = [one for one in executions(world) if isinstance(one[-1], ExecutionCompleted)]
    assert finished
    for execution in finished:
        for _ in range(2):
            executor = executor_of(execution)
            executor.replay(execution)  # type: ignore[arg-type]
            assert executor.take_decisions() == []
            assert executor.completion == execution[-1]


@given(program=programs(), data=st.data())
@settings(deadline=None)
def test_settled_stays_settled(program: list[Any], data: st.DataObject) -> None:
    """A second outcome of a task, be it another one and come when it may, changes nothing."""
    world = run_at_random(program, data, 10_000)
    for execution in executions(world):
        stream = [event for event in execution if isinstance(event, INCOMING)]
        for outcome in [event for event in stream if isinstance(event, _OUTCOMES)]:
            at = data.draw(st.integers(stream.index(outcome) + 1, len(stream)))
            stream.insert(at, another_outcome(outcome, stream[at - 1]))
        executor = executor_of(execution)
        decisions: list[Event] = []
        for event in stream:
            executor.process(event)  # type: ignore[arg-type]
            decisions += executor.take_decisions()
        assert decisions == [event for event in execution if not isinstance(event, INCOMING)]
        executor.close()


def another_outcome(outcome: Any, before: Event) -> Event:
    """Return the opposite outcome of the same task, of the time of the event before."""
    more = {"timestamp": before.timestamp, "task_id": outcome.task_id}
    if isinstance(outcome, TaskFailed | SubOrchestrationInstanceFailed | EntityOperationFailed):
        return TaskCompleted(result='"too late"', **more)
    if isinstance(outcome, TimerFired | EntityLockGranted):
        return msgspec.structs.replace(outcome, timestamp=before.timestamp)
    return TaskFailed(failure=FailureDetails(error_type="builtins.OSError", message="late"), **more)


def test_the_language_says_all_of_the_model() -> None:
    """Guards the suite itself: each of these really has its event, and its outcome."""
    world = new_world()
    world.start(
        "interpret",
        [
            ["activity", 3, False],
            ["retried", 1, True, 3],
            ["cancelled timer", 3],
            ["cancelled event", "red"],
            ["event or timeout", "red", 1],
            ["race", "red", 1],
            ["call entity", "Tally@a", 5],
            ["call entity", "Tally@a", 9],
            ["signal entity", "Tally@a", 1, False],
            ["locked", ["Tally@b", "Tally@a"], [["call entity", "Tally@b", 1], ["child", []]]],
            ["failing child", True],
            ["generator child", [["activity", 1, False], ["timer", 1], ["uuid"]]],
            ["shared", [["activity", 1, False], ["timer", 9]]],
            ["any", [["timer", 2], ["timer", 1]]],
            ["first of", 3, True],
            ["send", "blue"],
            ["as new", True],
            ["event", "blue"],
            ["locked", ["Tally@a"], [["call entity", "Tally@b", 1]]],
        ],
    )
    for _ in range(60):
        world.advance(timedelta(seconds=1))
    first, second = [one for one in executions(world) if one[0].instance_id == "one"]  # type: ignore[attr-defined]
    assert first[-1].status is RuntimeStatus.CONTINUED_AS_NEW  # type: ignore[attr-defined]
    assert {kind.__name__ for kind in DECISIONS} == {type(event).__name__ for event in first} & {
        kind.__name__ for kind in DECISIONS
    }
    assert Counter(type(event) for event in first)[SubOrchestrationInstanceFailed] == 2
    opened = [event for event in first if isinstance(event, EventFormOpened)]
    closed = [event.outcome for event in first if isinstance(event, EventFormClosed)]
    assert (len(opened), closed) == (2, ["expired", "expired"])
    races = [event for event in first if isinstance(event, RaceDecided)]
    assert [bool(event.taken_up) for event in races] == [False, True]
    assert second[-1].status is RuntimeStatus.COMPLETED  # type: ignore[attr-defined]
    assert world.output() == ["one", [["refused"]]]
