"""Rewinding: failures that no longer count are read over, and nothing else is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.context import OrchestrationContext as Context
from ipydurable.runtime.core.events import (
    EntityLockGranted,
    EntityOperationFailed,
    EntityUnlockSent,
    Event,
    ExecutionCompleted,
    ExecutionRewound,
    SubOrchestrationInstanceFailed,
    TaskFailed,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.rewind import effective_history, unlocks_after_failure
from ipydurable.runtime.core.status import RuntimeStatus
from tests.support.core import (
    at,
    completed,
    failed,
    fired,
    kinds,
    make,
    raised,
    result,
    run,
    started,
)

FAILURE = FailureDetails(error_type="builtins.ValueError", message="bad")


def child_failed(task_id: int) -> SubOrchestrationInstanceFailed:
    return SubOrchestrationInstanceFailed(timestamp=at(1), task_id=task_id, failure=FAILURE)


def rewound(*task_ids: int) -> ExecutionRewound:
    return ExecutionRewound(timestamp=at(9), reason="again", task_ids=task_ids)


def call_failed(task_id: int) -> EntityOperationFailed:
    return EntityOperationFailed(timestamp=at(1), task_id=task_id, failure=FAILURE)


def unlocked(task_id: int) -> EntityUnlockSent:
    return EntityUnlockSent(timestamp=at(2), task_id=task_id, entity_id="@account@a", lock_id=1)


FAILED = ExecutionCompleted(timestamp=at(2), status=RuntimeStatus.FAILED, failure=FAILURE)


class TestReading:
    def test_without_a_rewind_history_is_what_it_is(self) -> None:
        history = [started(), failed(1, ValueError()), FAILED]
        assert effective_history(history) == history  # type: ignore[arg-type, comparison-overlap]

    def test_the_failures_it_names_and_the_end_no_longer_count(self) -> None:
        history = [started(), failed(1, ValueError()), child_failed(2), FAILED, rewound(1, 2)]
        assert effective_history(history) == [history[0]]  # type: ignore[arg-type, comparison-overlap]

    def test_failures_it_does_not_name_and_everything_else_still_count(self) -> None:
        """A failure that the code caught and lived with, for one."""
        kept = [started(), failed(1, ValueError()), completed(2), fired(3, 1), raised("go")]
        history = [*kept, failed(4, ValueError()), FAILED, rewound(4)]
        assert effective_history(history) == kept  # type: ignore[arg-type, comparison-overlap]

    def test_failed_calls_and_the_unlocks_it_names_no_longer_count(self) -> None:
        history = [started(), unlocked(2), call_failed(3), unlocked(4), unlocked(5), FAILED]
        again = ExecutionRewound(timestamp=at(9), task_ids=(3,), unlocks=(5,))
        assert effective_history([*history, again]) == [history[0], history[1], history[3]]  # type: ignore[list-item, comparison-overlap]

    def test_unlocks_that_come_after_the_first_failure_may_be_due_to_it(self) -> None:
        history = [started(), unlocked(2), call_failed(3), call_failed(4), unlocked(5), FAILED]
        assert unlocks_after_failure(history, (3, 4)) == (5,)  # type: ignore[arg-type]
        again = ExecutionRewound(timestamp=at(9), task_ids=(3, 4), unlocks=(5,))
        assert unlocks_after_failure([*history, again, call_failed(3)], (3,)) == ()  # type: ignore[list-item]

    def test_where_the_code_itself_raised_the_last_unlocks_may_be_due_to_that(self) -> None:
        history = [started(), unlocked(2), completed(3), unlocked(5), unlocked(4), FAILED]
        assert unlocks_after_failure(history, ()) == (4, 5)  # type: ignore[arg-type]
        assert unlocks_after_failure([started(), completed(1), FAILED], ()) == ()

    def test_what_happens_after_it_counts_until_the_next(self) -> None:
        first = [started(), failed(1, ValueError()), FAILED, rewound(1)]
        again = [failed(1, ValueError(), 10), FAILED]
        assert kinds(effective_history([*first, *again])) == [  # type: ignore[list-item]
            "ExecutionStarted",
            "TaskFailed",
            "ExecutionCompleted",
        ]
        assert kinds(effective_history([*first, *again, rewound(1)])) == ["ExecutionStarted"]  # type: ignore[list-item]

    @given(
        st.lists(
            st.sampled_from(
                [started(), failed(1, ValueError()), child_failed(2), completed(3), FAILED]
            )
            | st.sets(st.integers(1, 3)).map(lambda ids: rewound(*ids)),
            max_size=12,
        )
    )
    def test_reading_it_twice_gives_the_same(self, history: list[Any]) -> None:
        """What is left keeps its order and has neither rewinds nor what they took back."""
        once = effective_history(history)
        assert effective_history(once) == once
        assert "ExecutionRewound" not in kinds(once)
        rest = iter(history)
        assert all(any(event is other for other in rest) for event in once)
        if history and isinstance(history[-1], ExecutionRewound):
            assert not any(isinstance(event, ExecutionCompleted) for event in once)


class TestReplaying:
    @staticmethod
    async def program(ctx: Context) -> Any:
        first = await ctx.call_activity("a")
        return [first, *await ctx.when_all([ctx.call_activity("b"), ctx.call_activity("c")])]

    def failed_history(self) -> list[Event]:
        return run(
            self.program,
            started(),
            completed(1, "kept"),
            failed(2, ValueError("b")),
            failed(3, KeyError("c")),
        )[1]

    def test_the_end_names_every_failed_task_it_came_from(self) -> None:
        end = self.failed_history()[-1]
        assert isinstance(end, ExecutionCompleted)
        assert end.failed_tasks == (2, 3)

    def test_a_rewound_execution_waits_for_what_failed_and_keeps_what_succeeded(self) -> None:
        executor = make(self.program)
        executor.replay([*self.failed_history(), rewound(2, 3)])  # type: ignore[list-item]
        assert executor.completion is None
        assert executor.open_task_ids == (2, 3)
        assert executor.take_decisions() == []
        executor.process(completed(3, "c", 20))
        executor.process(completed(2, "b", 21))
        assert result(executor) == ["kept", "b", "c"]

    def test_a_failure_of_the_code_itself_comes_back(self) -> None:
        """There is nothing to redo; the engine refuses such a rewind for this reason."""

        async def broken(ctx: Context) -> Any:
            await ctx.call_activity("a")
            raise ValueError("mine")

        _, history = run(broken, started(), completed(1))
        end = history[-1]
        assert isinstance(end, ExecutionCompleted)
        assert end.failed_tasks == ()
        executor = make(broken)
        executor.replay([*history, rewound()])  # type: ignore[list-item]
        assert executor.completion == end

    def test_a_section_that_gets_its_locks_again_goes_on_where_it_was(self) -> None:
        async def program(ctx: Context) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.call_activity("a")
                return await ctx.call_entity("Account@a", "get")

        granted = EntityLockGranted(timestamp=at(1), task_id=1)
        _, history = run(program, started(), granted, failed(2, ValueError()))
        again = ExecutionRewound(timestamp=at(9), task_ids=(2,), unlocks=(3,))
        executor = make(program)
        executor.replay([*history, again, granted])  # type: ignore[list-item]
        assert executor.actions.section.is_inside
        executor.process(completed(2, at_s=20))
        assert kinds(executor.take_decisions()) == ["EntityOperationCalled"]

    def test_events_in_hand_when_it_failed_are_still_there(self) -> None:
        async def program(ctx: Context) -> Any:
            await ctx.call_activity("a")
            return await ctx.wait_for_external_event("go")

        _, history = run(program, started(), raised("go", 5), failed(1, ValueError()))
        executor = make(program)
        executor.replay([*history, rewound(1)])  # type: ignore[list-item]
        executor.process(completed(1, at_s=20))
        assert result(executor) == 5


def test_only_outcomes_can_be_taken_back() -> None:
    """A rewind never names more than failures, whatever ids it lists."""
    history = [started(), completed(1), rewound(1)]
    assert kinds(effective_history(history)) == ["ExecutionStarted", "TaskCompleted"]  # type: ignore[arg-type]
    assert TaskFailed not in {type(event) for event in effective_history(history)}  # type: ignore[arg-type]
