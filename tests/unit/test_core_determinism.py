"""What replay must check: each way in which code can part from its history, and what is said."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from ipydurable.runtime.core.context import OrchestrationContext as Context
from ipydurable.runtime.core.determinism import compare, describe, difference_error
from ipydurable.runtime.core.errors import NonDeterminismError
from ipydurable.runtime.core.events import (
    DECISIONS,
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    Event,
    EventSent,
    ExecutionCompleted,
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from ipydurable.runtime.core.retry import RetryPolicy
from ipydurable.runtime.core.status import RuntimeStatus
from tests.support.core import START, at, completed, failed, fired, make, raised, run, started

Program = Callable[..., Any]
SECOND = timedelta(seconds=1)
HERE = "test_core_determinism.py, line "


class Row(NamedTuple):
    """A row of the table: code, its edited form, what drove the first, and what is said of both."""

    before: Program
    after: Program
    events: tuple[Event, ...]
    history: str
    code: str


async def calls_a_then_b(ctx: Context) -> Any:
    await ctx.call_activity("a")
    await ctx.call_activity("b")


async def calls_b_then_a(ctx: Context) -> Any:
    await ctx.call_activity("b")
    await ctx.call_activity("a")


async def calls_upper_a(ctx: Context) -> Any:
    await ctx.call_activity("A")


async def waits_for_an_event(ctx: Context) -> Any:
    await ctx.wait_for_external_event("go")


async def sleeps(ctx: Context) -> Any:
    await ctx.create_timer(SECOND)


async def calls_child(ctx: Context) -> Any:
    await ctx.call_sub_orchestrator("child")


async def calls_other_child(ctx: Context) -> Any:
    await ctx.call_sub_orchestrator("other")


async def calls_child_x(ctx: Context) -> Any:
    await ctx.call_sub_orchestrator("child", instance_id="x")


async def calls_child_y(ctx: Context) -> Any:
    await ctx.call_sub_orchestrator("child", instance_id="y")


async def sends_go_to_x(ctx: Context) -> Any:
    ctx.send_event("x", "go")
    await ctx.wait_for_external_event("more")


async def sends_stop_to_x(ctx: Context) -> Any:
    ctx.send_event("x", "stop")


async def sends_go_to_y(ctx: Context) -> Any:
    ctx.send_event("y", "go")


async def calls_entity_a(ctx: Context) -> Any:
    await ctx.call_entity("Account@a", "get")


async def calls_entity_b(ctx: Context) -> Any:
    await ctx.call_entity("Account@b", "get")


async def calls_other_operation(ctx: Context) -> Any:
    await ctx.call_entity("Account@a", "set")


async def signals_entity(ctx: Context) -> Any:
    ctx.signal_entity("Account@a", "get")
    await ctx.wait_for_external_event("more")


async def signals_other_entity(ctx: Context) -> Any:
    ctx.signal_entity("Account@b", "get")


async def signals_other_operation(ctx: Context) -> Any:
    ctx.signal_entity("Account@a", "set")


async def locks_a_and_b(ctx: Context) -> Any:
    async with ctx.lock_entities("Account@a", "Account@b"):
        await ctx.wait_for_external_event("more")
    await ctx.wait_for_external_event("even more")


async def locks_a(ctx: Context) -> Any:
    await ctx.lock_entities("Account@a")


async def keeps_the_locks(ctx: Context) -> Any:
    await ctx.lock_entities("Account@a", "Account@b")
    await ctx.wait_for_external_event("more")
    await ctx.call_activity("a")


async def returns(ctx: Context) -> Any:
    return None


async def raises(ctx: Context) -> Any:
    raise ValueError("new check")


async def waits_for_another_thing(ctx: Context) -> Any:
    await ctx.wait_for_external_event("another")
    await ctx.call_activity("a")


async def calls_a(ctx: Context) -> Any:
    await ctx.call_activity("a")


async def forgives_a(ctx: Context) -> Any:
    try:
        await ctx.call_activity("a")
    except ValueError:
        return None


async def continues(ctx: Context) -> Any:
    await ctx.wait_for_external_event("go")
    ctx.continue_as_new()


async def waits_again(ctx: Context) -> Any:
    await ctx.wait_for_external_event("go")
    await ctx.wait_for_external_event("go")


BEGUN = (started(),)
TO_THE_END_OF_A = (started(), completed(1))
GO = (started(), raised("go"))
LOCKED = (started(), EntityLockGranted(timestamp=at(1), task_id=1), raised("more", at_s=2))

FATAL: dict[str, Row] = {
    "no action with that id": Row(
        calls_a, waits_for_an_event, BEGUN, "activity 'a'", "waits without having asked for it"
    ),
    "another kind of action": Row(calls_a, sleeps, BEGUN, "activity 'a'", "timer for 2026-01-01"),
    "another activity": Row(calls_a, calls_b_then_a, BEGUN, "activity 'a'", "activity 'b'"),
    "an activity's name in other letters": Row(
        calls_a, calls_upper_a, BEGUN, "activity 'a'", "activity 'A'"
    ),
    "the order of two calls": Row(
        calls_a_then_b, calls_b_then_a, TO_THE_END_OF_A, "activity 'a'", "activity 'b'"
    ),
    "another sub-orchestration": Row(
        calls_child, calls_other_child, BEGUN, "sub-orchestration 'child'", "'other'"
    ),
    "another explicit child id": Row(
        calls_child_x,
        calls_child_y,
        BEGUN,
        "sub-orchestration 'child' with id 'x'",
        "sub-orchestration 'child' with id 'y'",
    ),
    "an explicit child id where there was none": Row(
        calls_child, calls_child_x, BEGUN, "sub-orchestration 'child'", "with id 'x'"
    ),
    "another event": Row(
        sends_go_to_x, sends_stop_to_x, BEGUN, "event 'go' to 'x'", "event 'stop' to 'x'"
    ),
    "another target of an event": Row(
        sends_go_to_x, sends_go_to_y, BEGUN, "event 'go' to 'x'", "event 'go' to 'y'"
    ),
    "another entity": Row(
        calls_entity_a, calls_entity_b, BEGUN, "call of 'get' on @account@a", "on @account@b"
    ),
    "another operation": Row(
        calls_entity_a, calls_other_operation, BEGUN, "call of 'get'", "call of 'set' on @account@a"
    ),
    "a signal instead of a call": Row(
        calls_entity_a, signals_entity, BEGUN, "call of 'get'", "signal 'get' to @account@a"
    ),
    "another entity signalled": Row(
        signals_entity, signals_other_entity, BEGUN, "signal 'get' to @account@a", "to @account@b"
    ),
    "another operation signalled": Row(
        signals_entity, signals_other_operation, BEGUN, "signal 'get'", "signal 'set'"
    ),
    "other locks": Row(
        locks_a_and_b, locks_a, BEGUN, "lock of @account@a, @account@b", "lock of @account@a"
    ),
    "locks that are kept": Row(
        locks_a_and_b, keeps_the_locks, LOCKED, "unlock of @account@a", "activity 'a'"
    ),
    "an earlier return": Row(
        calls_a_then_b, returns, TO_THE_END_OF_A, "activity 'a'", "ended as Completed before it"
    ),
    "an earlier failure": Row(
        calls_a_then_b, raises, TO_THE_END_OF_A, "activity 'a'", "ended as Failed before it"
    ),
    "going on after the end": Row(
        calls_a, calls_a_then_b, TO_THE_END_OF_A, "ended as Completed", "goes on waiting"
    ),
    "another end": Row(
        calls_a,
        forgives_a,
        (started(), failed(1, ValueError("x"))),
        "ended as Failed",
        "ended as Completed",
    ),
    "waiting where history continued as new": Row(
        continues, waits_again, GO, "ended as ContinuedAsNew", "goes on waiting"
    ),
    "returning where history continued as new": Row(
        continues, waits_for_an_event, GO, "ended as ContinuedAsNew", "ended as Completed"
    ),
    "waiting for something else first": Row(
        calls_a, waits_for_another_thing, BEGUN, "activity 'a'", "waits without having asked"
    ),
}


def replayed(row: Row) -> NonDeterminismError:
    _, history = run(row.before, *row.events)
    executor = make(row.after)
    with pytest.raises(NonDeterminismError) as caught:
        executor.replay(history)  # type: ignore[arg-type]
    assert executor.is_replaying is False
    executor.close()
    return caught.value


@pytest.mark.parametrize("name", FATAL)
class TestFatal:
    def test_it_is_found_and_both_sides_are_told(self, name: str) -> None:
        row = FATAL[name]
        error = replayed(row)
        assert row.history in error.history
        assert row.code in error.code
        assert error.instance_id == "one"

    def test_the_message_names_event_code_line_cause_and_next_step(self, name: str) -> None:
        error = replayed(FATAL[name])
        text = str(error)
        for part in (error.history, error.code, "'one'"):
            assert part in text
        assert (f"action {error.task_id}" in text) == (error.task_id > 0)
        assert "The code was edited, or depends on something that changes" in text
        assert "Mend it and resume the instance, or start a new one." in text
        assert HERE in error.line
        assert error.line in text

    def test_the_code_itself_is_not_accused(self, name: str) -> None:
        """Unedited code replays its own history without a word."""
        row = FATAL[name]
        _, history = run(row.before, *row.events)
        executor = make(row.before)
        executor.replay(history)  # type: ignore[arg-type]
        assert executor.warnings == []
        assert executor.take_decisions() == []
        executor.close()


def test_the_line_is_that_of_the_users_call_also_in_helpers_and_coroutines() -> None:
    async def helper(ctx: Context) -> Any:
        return await ctx.call_activity("changed")  # this line

    async def after(ctx: Context) -> Any:
        await ctx.when_all([helper(ctx)])

    line = helper.__code__.co_firstlineno + 1
    error = replayed(Row(calls_a, after, BEGUN, "", ""))
    assert error.line.endswith(f"{HERE}{line}")


@pytest.mark.parametrize(
    ("name", "number"),
    [("no action with that id", 1), ("another end", 0), ("an earlier return", 1)],
)
def test_what_is_no_action_has_no_number(name: str, number: int) -> None:
    assert replayed(FATAL[name]).task_id == number


def test_the_first_difference_is_the_one_that_is_told() -> None:
    async def before(ctx: Context) -> Any:
        await ctx.when_all([ctx.call_activity(name) for name in "abcd"])

    async def after(ctx: Context) -> Any:
        await ctx.when_all([ctx.call_activity(name) for name in "axyd"])

    error = replayed(Row(before, after, BEGUN, "", ""))
    assert (error.task_id, error.history, error.code) == (2, "activity 'b'", "activity 'x'")


def test_code_that_depends_on_chance_is_found() -> None:
    """What the likely cause in the message is about."""
    chance = random.Random(0)

    async def program(ctx: Context) -> Any:
        await ctx.call_activity(f"a{chance.random()}")

    replayed(Row(program, program, BEGUN, "", ""))


class TestOnlyWarnedOf:
    @staticmethod
    def warnings(before: Program, after: Program, *events: Event) -> list[str]:
        _, history = run(before, *events)
        executor = make(after)
        executor.replay(history)  # type: ignore[arg-type]
        executor.close()
        return executor.warnings

    @pytest.mark.parametrize(
        ("ask", "what"),
        [
            (lambda ctx, n: ctx.call_activity("a", n), "activity 'a' now gets another input"),
            (
                lambda ctx, n: ctx.call_sub_orchestrator("c", n),
                "sub-orchestration 'c' now gets another input",
            ),
            (lambda ctx, n: ctx.send_event("x", "go", n), "event 'go' to 'x' now gets another"),
            (
                lambda ctx, n: ctx.call_entity("Account@a", "add", n),
                "call of 'add' on @account@a now gets another input",
            ),
            (
                lambda ctx, n: ctx.signal_entity("Account@a", "add", n),
                "signal 'add' to @account@a now gets another input",
            ),
            (
                lambda ctx, n: ctx.create_timer(n * SECOND),
                "timer for 2026-01-01 00:00:01 UTC became timer for 2026-01-01 00:00:02 UTC",
            ),
        ],
    )
    def test_another_input_or_fire_time_with_action_and_line(
        self, ask: Callable[[Context, int], Any], what: str
    ) -> None:
        async def before(ctx: Context) -> Any:
            ask(ctx, 1)
            await ctx.wait_for_external_event("more")

        async def after(ctx: Context) -> Any:
            ask(ctx, 2)
            await ctx.wait_for_external_event("more")

        (warning,) = self.warnings(before, after, started())
        assert warning.startswith(f"action 1: {what}")
        assert HERE in warning

    def test_the_delay_of_a_retry_may_change_without_a_word(self) -> None:
        """History time rules: a delay that was begun is what it was."""

        def program(interval_s: int) -> Program:
            async def retried(ctx: Context) -> Any:
                policy = RetryPolicy(
                    first_retry_interval=timedelta(seconds=interval_s), max_number_of_attempts=2
                )
                await ctx.call_activity("a", retry_policy=policy)

            return retried

        events = (started(), failed(1, ValueError("x")), fired(2, 5))
        assert self.warnings(program(4), program(9), *events) == []

    def test_strict_replay_makes_an_error_of_the_warning(self) -> None:
        error = difference_error("one", "action 1: activity 'a' now gets another input (cell)")
        assert (error.instance_id, error.history) == ("one", "what was recorded")
        assert (error.task_id, error.line) == (0, "")
        assert "what was recorded" in str(error)
        assert "another input" in str(error)
        assert "resume" in str(error)


class TestAccepted:
    def test_calls_past_the_end_of_history_are_new_actions(self) -> None:
        _, history = run(calls_a, *BEGUN)

        async def after(ctx: Context) -> Any:
            task = ctx.call_activity("a")
            ctx.call_activity("new")
            await task

        executor = make(after)
        executor.replay(history)  # type: ignore[arg-type]
        (new,) = executor.take_decisions()
        assert isinstance(new, TaskScheduled)
        assert (new.task_id, new.name) == (2, "new")

    @pytest.mark.parametrize(
        "stray",
        [
            completed(9),
            failed(9, ValueError()),
            fired(9, 1),
            EntityLockGranted(timestamp=at(1), task_id=9),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_outcomes_without_an_open_task_are_counted_and_ignored(self, stray: Event) -> None:
        executor, history = run(calls_a, started(), stray, completed(1), stray)
        assert executor.ignored == 1, "after the end nothing is even looked at"
        again = make(calls_a)
        again.replay(history)  # type: ignore[arg-type]
        assert again.ignored == 1
        assert again.completion == executor.completion

    def test_a_second_outcome_of_the_same_task_changes_nothing(self) -> None:
        async def program(ctx: Context) -> Any:
            first = await ctx.call_activity("a")
            return [first, await ctx.wait_for_external_event("go")]

        executor, _ = run(program, started(), completed(1, "x"), completed(1, "y"), raised("go", 1))
        assert executor.completion is not None
        assert executor.completion.result == '["x",1]'
        assert executor.ignored == 1

    def test_a_terminated_execution_may_have_been_anywhere(self) -> None:
        terminated = ExecutionTerminated(timestamp=at(1), output='"enough"')
        executor, history = run(calls_a, started(), terminated)
        assert executor.completion is not None
        assert executor.completion.abandoned == (1,)
        again = make(calls_a)
        again.replay(history)  # type: ignore[arg-type]
        assert again.completion == history[-1]

    def test_an_instance_that_has_not_begun_has_nothing_to_differ_from(self) -> None:
        executor = make(calls_a)
        executor.replay([])
        assert (executor.completion, executor.open_task_ids) == (None, ())


class TestUnknownEvents:
    @pytest.mark.parametrize(
        "text", ['{"kind":"FutureEvent","timestamp":"2026-01-01T00:00:00"}', '{"kind":5}', "{}"]
    )
    def test_a_history_with_an_event_of_an_unknown_kind_cannot_be_read(self, text: str) -> None:
        """So it never reaches replay, which would have to guess what it meant."""
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=HistoryEvent)

    def test_an_event_from_a_newer_version_with_more_fields_is_read(self) -> None:
        event = msgspec.json.decode(
            '{"kind":"TimerFired","timestamp":"2026-01-01T00:00:00","task_id":1,'
            '"fire_at":"2026-01-01T00:00:00","new_field":1}',
            type=HistoryEvent,
        )
        assert event == fired(1, 0)


SAMPLES: dict[type[Event], Event] = {
    type(event): event
    for event in (
        TaskScheduled(timestamp=START, task_id=1, name="a"),
        SubOrchestrationInstanceCreated(timestamp=START, task_id=1, instance_id="x", name="c"),
        TimerCreated(timestamp=START, task_id=1, fire_at=START),
        EventSent(timestamp=START, task_id=1, instance_id="x", name="go"),
        EntityOperationCalled(timestamp=START, task_id=1, entity_id="@a@b", operation="get"),
        EntityOperationSignaled(timestamp=START, task_id=1, entity_id="@a@b", operation="get"),
        EntityLockRequested(timestamp=START, task_id=1, entity_ids=("@a@b",)),
        EntityUnlockSent(timestamp=START, task_id=1, entity_id="@a@b", lock_id=1),
        ExecutionCompleted(timestamp=START, status=RuntimeStatus.COMPLETED),
    )
}


class TestEveryDecision:
    def test_there_is_a_sample_of_each(self) -> None:
        assert SAMPLES.keys() == set(DECISIONS)

    @pytest.mark.parametrize("event", SAMPLES.values(), ids=lambda event: type(event).__name__)
    def test_it_is_described_and_equals_itself_and_nothing_of_another_kind(
        self, event: Any
    ) -> None:
        assert describe(event)
        for other in SAMPLES.values():
            difference = compare(event, other)  # type: ignore[arg-type]
            assert difference.is_fatal == (other is not event)
            assert bool(difference.what) == (other is not event)

    def test_an_end_in_another_status_differs(self) -> None:
        end = SAMPLES[ExecutionCompleted]
        other = msgspec.structs.replace(end, status=RuntimeStatus.FAILED)
        assert compare(end, other).what == "end as Completed became end as Failed"  # type: ignore[arg-type]


def test_a_difference_is_told_whatever_the_code_catches() -> None:
    async def after(ctx: Context) -> Any:
        while True:
            try:
                await ctx.call_activity("other")
            except BaseException:  # noqa: BLE001
                await ctx.call_activity("a")

    _, history = run(calls_a, *BEGUN)
    executor = make(after)
    with pytest.raises(NonDeterminismError, match="activity 'other'"):
        executor.replay(history)  # type: ignore[arg-type]
    executor.close()


@pytest.mark.parametrize(
    ("name", "function", "offset"),
    [
        ("an earlier return", returns, 0),
        ("returning where history continued as new", waits_for_an_event, 0),
        ("another end", forgives_a, 0),
        ("an earlier failure", raises, 1),
        ("no action with that id", waits_for_an_event, 1),
        ("waiting where history continued as new", waits_again, 2),
    ],
)
def test_the_line_is_where_code_waits_or_raised_or_else_where_it_begins(
    name: str, function: Program, offset: int
) -> None:
    line = function.__code__.co_firstlineno + offset
    assert replayed(FATAL[name]).line.endswith(f"{HERE}{line}")


def test_a_line_that_nobody_knows_is_left_out() -> None:
    """A callable object has no code of its own that could be shown."""

    class Program:
        def __call__(self, ctx: Context) -> None:
            return None

    error = replayed(Row(calls_a, Program(), BEGUN, "", ""))
    assert error.line == ""
    assert "Code: ended as Completed" in str(error)
