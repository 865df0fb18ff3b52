"""Whatever the program and whatever happens to it: replay is the live run, wherever it is cut."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.code import OrchestratorCode
from ipydurable.runtime.core.events import INCOMING, Event, ExecutionCompleted
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.ports import Stream
from tests.support.programs import EVENT_NAMES, interpret, programs, work
from tests.support.world import JsonConverter, World

_MAX_STEPS = 60


def run_at_random(program: list[Any], data: st.DataObject, resident: int) -> World:
    """Run a program while activities end in any order, events come, time goes on and hosts die."""
    world = World(resident)
    world.define(work)
    world.orchestrator(interpret)
    world.start("interpret", program)
    for _ in range(_MAX_STEPS):
        if world.record().status.is_terminal:
            return world
        choices = ["event", "time", "crash"] + ["activity"] * 3 * bool(world.executor.waiting)
        match data.draw(st.sampled_from(choices)):
            case "activity":
                waiting = list(world.executor.waiting)
                world.executor.run(waiting[data.draw(st.integers(0, len(waiting) - 1))])
            case "event":
                name = data.draw(st.sampled_from(EVENT_NAMES))
                for instance in list(world.engine.orchestrations.by_id):
                    world.raise_event(name.upper(), name, instance)
            case "time":
                world.clock.advance(timedelta(seconds=data.draw(st.integers(0, 5))))
            case "crash":
                world.crash()
        world.settle()
    finish(world)
    return world


def finish(world: World) -> None:
    """Let everything the program can wait for happen."""
    for _ in range(200):
        if world.record().status.is_terminal:
            return
        world.advance(timedelta(seconds=10))
        for instance in list(world.engine.orchestrations.by_id):
            for name in EVENT_NAMES:
                world.raise_event(name, name, instance)
        world.work()


def executor_of(world: World) -> OrchestrationExecutor:
    code = OrchestratorCode(interpret, JsonConverter(), {})
    return OrchestrationExecutor(code, world.engine.orchestrations.resolve_for(10**9))


def histories(world: World) -> list[list[Event]]:
    """All histories of the store."""
    found: dict[int, list[Event]] = {}
    for row in world.store.rows:
        if row.stream is Stream.HISTORY:
            found.setdefault(row.iid, []).append(row.event)  # type: ignore[arg-type]
    return list(found.values())


@given(program=programs(), data=st.data(), resident=st.sampled_from([0, 1, 10_000]))
@settings(deadline=None)
def test_every_program_ends_and_each_task_is_settled_once(
    program: list[Any], data: st.DataObject, resident: int
) -> None:
    """Crashes and evictions at any moment do not lose a step or repeat one."""
    world = run_at_random(program, data, resident)
    assert world.record().status is RuntimeStatus.COMPLETED, world.record()
    for history in histories(world):
        settled = [
            event.task_id  # type: ignore[attr-defined]
            for event in history
            if type(event).__name__ in {"TaskCompleted", "TaskFailed", "TimerFired"}
        ]
        assert len(settled) == len(set(settled))


@given(program=programs(), data=st.data())
@settings(deadline=None)
def test_replay_equals_the_live_run_wherever_it_is_cut(
    program: list[Any], data: st.DataObject
) -> None:
    """Any prefix as history and the rest as news gives the same decisions, in the same order."""
    world = run_at_random(program, data, 10_000)
    for history in histories(world):
        incoming = [at for at, event in enumerate(history) if isinstance(event, INCOMING)]
        cut = data.draw(st.sampled_from([*incoming, len(history)]))
        executor = executor_of(world)
        executor.replay(history[:cut])  # type: ignore[arg-type]
        rebuilt = history[:cut]
        for event in history[cut:]:
            if isinstance(event, INCOMING):
                rebuilt.append(event)
                executor.process(event)
                rebuilt.extend(executor.take_decisions())
        wanted = [event for event in history if type(event).__name__ != "AttemptLost"]
        assert [e for e in rebuilt if type(e).__name__ != "AttemptLost"] == wanted
        executor.close()


@given(program=programs(), data=st.data())
@settings(deadline=None)
def test_replay_of_a_finished_instance_is_a_fixed_point(
    program: list[Any], data: st.DataObject
) -> None:
    """Nothing is asked for again, and the end is the recorded end."""
    world = run_at_random(program, data, 10_000)
    finished = [one for one in histories(world) if isinstance(one[-1], ExecutionCompleted)]
    assert finished
    for history in finished:
        executor = executor_of(world)
        executor.replay(history)  # type: ignore[arg-type]
        assert executor.take_decisions() == []
        assert executor.completion == history[-1]


def test_the_language_knows_its_activity() -> None:
    """Guards the suite itself: a program that calls the activity really runs it."""
    world = World()
    world.define(work, Kind.ACTIVITY)
    world.orchestrator(interpret)
    world.start("interpret", [["activity", 3, False]])
    world.work()
    assert world.output() == [3]
