"""What attempts and timers mean to the engine: whom they concern, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.events import AttemptStarted
from ipydurable.runtime.core.output import AttemptOutput, OutputItem
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import AttemptKey, AttemptOutcome, InstanceUpdate, Progress
from tests.support.world import START, World
from tests.unit.test_late_commits import LateCommits


@pytest.fixture
def world() -> World:
    made = World()

    async def one(ctx: Any) -> Any:
        return await ctx.call_activity("number")

    made.define(lambda: 7, name="number")
    made.orchestrator(one)
    made.start("one")
    return made


def _attempt(world: World) -> AttemptKey:
    (key,) = world.executor.waiting
    return key


def _told(world: World, updates: list[InstanceUpdate]) -> InstanceUpdate:
    """Return what a follower was told last, however long it takes until it may be told again."""
    world.settle()
    world.clock.advance(timedelta(seconds=5))
    world.settle()
    return updates[-1]


def test_followers_are_told_that_an_attempt_runs_and_how_far_it_is_before_rows_are_durable(
    world: World,
) -> None:
    """How things are now is told at once; what is told as history is durable."""
    updates = world.follow()
    _told(world, updates)
    LateCommits(world)
    world.engine.journal.append_here = lambda batch: False  # type: ignore[method-assign]
    key = _attempt(world)
    world.executor.begin(key)
    told = _told(world, updates)
    assert [(one.task_id, one.number, one.worker) for one in told.running] == [(1, 1, "process 1")]
    assert told.running[0].started_at == START
    assert world.executor.progress is not None
    world.executor.progress(key, Progress(1.0, 4.0, "rows"))
    told = _told(world, updates)
    assert (told.running[0].done, told.running[0].total) == (1.0, 4.0)
    events = [event for update in updates for _, event in update.events]
    assert not any(isinstance(event, AttemptStarted) for event in events)


def test_a_mere_sign_of_life_is_told_to_nobody(world: World) -> None:
    updates = world.follow()
    key = _attempt(world)
    world.executor.begin(key)
    _told(world, updates)
    assert world.executor.progress is not None
    world.executor.progress(key, Progress(1.0, 4.0))
    _told(world, updates)
    before = len(updates)
    world.executor.progress(key, Progress())
    _told(world, updates)
    assert len(updates) == before
    world.executor.progress(key, Progress(2.0, 4.0))
    assert _told(world, updates).running[0].done == 2.0
    assert len(updates) == before + 1


def test_the_history_tells_when_where_and_with_which_version_an_attempt_began(
    world: World,
) -> None:
    world.clock.advance(timedelta(minutes=1))
    world.executor.begin(_attempt(world))
    world.settle()
    (began,) = [row.event for row in world.rows() if isinstance(row.event, AttemptStarted)]
    assert began == AttemptStarted(
        timestamp=START + timedelta(minutes=1),
        task_id=1,
        attempt=1,
        worker="process 1",
        version="v1",
    )


def test_what_an_attempt_printed_is_kept_with_its_activity_and_when_it_ended(world: World) -> None:
    key = _attempt(world)
    printed = AttemptOutput(items=(OutputItem("stdout", "hello"),))
    world.executor.printed[key] = printed
    world.clock.advance(timedelta(minutes=1))
    world.work()
    (kept,) = world.store.outputs(key.iid, key.execution_id, key.task_id)
    assert (kept.key, kept.name) == (key, "number")
    assert kept.written_at == START + timedelta(minutes=1)
    assert kept.output.items == printed.items
    assert world.output() == 7


@pytest.mark.parametrize("is_over", [False, True], ids=["the instance goes on", "it is over"])
def test_a_second_outcome_of_an_attempt_changes_nothing(world: World, is_over: bool) -> None:
    """Pools may say so twice; whatever the instance does by then."""

    async def patient(ctx: Any) -> Any:
        number = await ctx.call_activity("number")
        return number, await ctx.wait_for_external_event("go")

    world.work()
    world.orchestrator(patient)
    world.start("patient", instance_id="two")
    key = _attempt(world)
    _, done = world.executor.waiting[key]
    world.work()
    if is_over:
        world.raise_event("go", 1, instance_id="two")
    before = world.history("two")
    done(key, AttemptOutcome(result="8"))
    done(key, AttemptOutcome(lost="it was killed"))
    world.settle()
    assert world.history("two") == before
    if not is_over:
        world.raise_event("go", 1, instance_id="two")
    assert world.output("two") == [7, 1]


def test_an_attempt_that_was_stopped_says_nothing_of_its_activity(world: World) -> None:
    key = _attempt(world)
    _, done = world.executor.waiting.pop(key)
    before = world.history()
    done(key, AttemptOutcome(cancelled=True))
    world.settle()
    assert world.history() == before
    assert world.record().status is RuntimeStatus.RUNNING


def test_a_timer_of_an_earlier_execution_does_not_fire_in_the_next(world: World) -> None:
    """Though it has the same number there."""

    async def again(ctx: Any, days: int) -> str:
        timer = ctx.create_timer(timedelta(days=days))
        event = ctx.wait_for_external_event("go")
        if await ctx.when_any([timer, event]) is event:
            ctx.continue_as_new(10)
        return "awake"

    world.orchestrator(again)
    world.start("again", 1, instance_id="two")
    world.raise_event("go", instance_id="two")
    world.advance(timedelta(days=1))
    assert world.record("two").status is RuntimeStatus.RUNNING
    world.advance(timedelta(days=9))
    assert world.output("two") == "awake"


def test_an_instance_fails_at_its_deadline_also_after_a_crash(world: World) -> None:
    async def sleeper(ctx: Any) -> None:
        await ctx.create_timer(timedelta(days=1))

    world.orchestrator(sleeper)
    world.start("sleeper", instance_id="two", timeout_s=60.0)
    world.crash()
    world.advance(timedelta(seconds=59))
    assert world.record("two").status is RuntimeStatus.RUNNING
    world.advance(timedelta(seconds=1))
    assert world.record("two").status is RuntimeStatus.FAILED


def test_an_attempt_after_a_lost_one_has_as_long_to_find_a_place_from_then_on(
    world: World,
) -> None:
    async def prompt(ctx: Any) -> Any:
        return await ctx.call_activity("prompt number")

    world.define(lambda: 8, name="prompt number", start_within_s=10.0)
    world.orchestrator(prompt)
    world.work()
    world.start("prompt", instance_id="two")
    world.clock.advance(timedelta(minutes=1))
    world.executor.lose(_attempt(world))
    world.settle()
    assert _attempt(world).number == 2
    world.work()
    assert world.output("two") == 8
