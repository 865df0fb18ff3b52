"""Retry policies: what makes no sense is refused; delays from given facts, in history time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.context import OrchestrationContext, current_context
from ipydurable.runtime.core.errors import TaskFailedError
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.retry import RetryOptions, RetryPolicy
from tests.support.core import at, completed, failed, failure, fired, kinds, make, result, run
from tests.support.core import started as started_event

SECOND = timedelta(seconds=1)
FAILURE = FailureDetails(error_type="builtins.TimeoutError", message="late")


def policy(**more: Any) -> RetryPolicy:
    return RetryPolicy(**{"first_retry_interval": SECOND, "max_number_of_attempts": 5, **more})


def delay(of: RetryPolicy, attempt: int = 1, failure: FailureDetails = FAILURE) -> float | None:
    found = of.next_delay(attempt, failure, timedelta(0))
    return None if found is None else found.total_seconds()


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"first_retry_interval": -SECOND}, "first_retry_interval must not be negative"),
            ({"max_number_of_attempts": 0}, "counts the first attempt: at least 1"),
            ({"backoff_coefficient": 0.5}, "backoff_coefficient must be at least 1"),
            ({"backoff_coefficient": float("nan")}, "backoff_coefficient must be at least 1"),
            ({"max_retry_interval": timedelta(0)}, "max_retry_interval must be positive"),
            ({"retry_timeout": -SECOND}, "retry_timeout must be positive, or None"),
            ({"retry_on": ValueError}, "takes a tuple of exception classes or names"),
            ({"retry_on": "ValueError"}, "takes a tuple of exception classes or names"),
        ],
    )
    def test_it_is_refused_by_name(self, wrong: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            policy(**wrong)

    @pytest.mark.parametrize(
        "name", ["first_retry_interval", "max_retry_interval", "retry_timeout"]
    )
    @pytest.mark.parametrize("number", [0.01, 2])
    def test_a_bare_number_is_refused_with_what_to_write(self, name: str, number: float) -> None:
        says = rf"{name} is a timedelta, not a \w+: write timedelta\(seconds={number}\)"
        with pytest.raises(TypeError, match=says):
            policy(**{name: number})

    def test_only_limits_may_be_left_out(self) -> None:
        assert policy(max_retry_interval=None, retry_timeout=None) == policy()
        with pytest.raises(TypeError, match=r"^first_retry_interval is a timedelta"):
            policy(first_retry_interval=None)

    def test_other_types_are_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match="retry_timeout is a timedelta, not a str: for example"):
            policy(retry_timeout="2s")

    def test_the_least_that_makes_sense_is_accepted(self) -> None:
        least = policy(first_retry_interval=timedelta(0), max_number_of_attempts=1)
        assert delay(least) is None


class TestWhetherToRetry:
    def test_attempts_are_counted_with_the_first(self) -> None:
        three = policy(max_number_of_attempts=3)
        assert [delay(three, attempt) for attempt in (1, 2, 3, 4)] == [1, 1, None, None]

    def test_a_failure_that_is_not_retriable_is_not_retried(self) -> None:
        final = FailureDetails(error_type="x.E", message="", non_retriable=True)
        assert delay(policy(), failure=final) is None

    @pytest.mark.parametrize(
        ("retry_on", "is_retried"),
        [
            ((), True),
            ((TimeoutError,), True),
            ((ValueError, TimeoutError), True),
            ((OSError,), True),
            (("TimeoutError",), True),
            (("builtins.TimeoutError",), True),
            ((ValueError,), False),
            (("Timeout",), False),
        ],
    )
    def test_only_the_classes_named_are_retried_and_their_subclasses(
        self, retry_on: tuple[Any, ...], is_retried: bool
    ) -> None:
        assert (delay(policy(retry_on=retry_on)) is not None) is is_retried

    def test_the_filter_decides_with_the_failure_in_hand(self) -> None:
        picky = policy(retry_filter=lambda one: one.message == "late")
        assert delay(picky) == 1
        assert delay(picky, failure=FailureDetails(error_type="E", message="early")) is None

    def test_the_filter_is_not_asked_where_the_answer_is_no_anyway(self) -> None:
        asked: list[FailureDetails] = []
        picky = policy(max_number_of_attempts=2, retry_on=(ValueError,), retry_filter=asked.append)
        assert [delay(picky, 1), delay(picky, 2)] == [None, None]
        assert asked == []

    def test_no_retry_is_begun_after_the_total_time(self) -> None:
        limited = policy(retry_timeout=timedelta(seconds=10))
        assert limited.next_delay(1, FAILURE, timedelta(seconds=9)) == SECOND
        assert limited.next_delay(1, FAILURE, timedelta(seconds=9.5)) is None


class TestDelays:
    def test_they_grow_by_the_factor_up_to_the_longest(self) -> None:
        growing = policy(
            backoff_coefficient=3,
            max_retry_interval=timedelta(seconds=20),
            max_number_of_attempts=9,
        )
        assert [delay(growing, attempt) for attempt in range(1, 6)] == [1, 3, 9, 20, 20]

    @pytest.mark.parametrize("coefficient", [10.0, 10, float("inf")])
    def test_delays_beyond_all_numbers_are_the_longest(self, coefficient: float) -> None:
        endless = policy(backoff_coefficient=coefficient, max_number_of_attempts=10_000)
        assert delay(endless, 5_000) == timedelta(days=3650).total_seconds()

    def test_no_delay_stays_no_delay(self) -> None:
        at_once = policy(
            first_retry_interval=timedelta(0), backoff_coefficient=2.0, max_number_of_attempts=2_000
        )
        assert delay(at_once, 1_101) == 0

    @given(
        first_s=st.floats(0, 1e6),
        factor=st.floats(1, 1e3),
        limit_s=st.none() | st.floats(1e-3, 1e6),
        attempts=st.integers(1, 60),
    )
    def test_they_never_shrink_and_never_pass_the_longest(
        self, first_s: float, factor: float, limit_s: float | None, attempts: int
    ) -> None:
        """And there are exactly as many as attempts but one."""
        limit = None if limit_s is None else timedelta(seconds=limit_s)
        some = RetryPolicy(
            first_retry_interval=timedelta(seconds=first_s),
            max_number_of_attempts=attempts,
            backoff_coefficient=factor,
            max_retry_interval=limit,
        )
        delays = [some.next_delay(n, FAILURE, timedelta(0)) for n in range(1, attempts + 1)]
        assert delays[-1] is None
        given = [one for one in delays if one is not None]
        assert len(given) == attempts - 1
        assert given == sorted(given)
        assert all(timedelta(0) <= one <= (limit or timedelta(days=3650)) for one in given)


def test_retry_options_are_those_of_azure_durable_functions() -> None:
    assert RetryOptions(1500, 4) == RetryPolicy(
        first_retry_interval=timedelta(milliseconds=1500), max_number_of_attempts=4
    )


class TestInAnOrchestrator:
    def test_without_a_delay_the_next_attempt_is_drawn_at_once(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity(
                "a", retry_policy=policy(first_retry_interval=timedelta(0))
            )

        executor, history = run(
            program, started_event(), failed(1, ValueError()), completed(2, "x", 2)
        )
        assert kinds(history)[1:4] == ["TaskScheduled", "TaskFailed", "TaskScheduled"]
        assert result(executor) == "x"

    def test_the_total_time_is_history_time(self) -> None:
        """The clock of the machine that replays has no part in it."""

        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("a", retry_policy=policy(retry_timeout=3 * SECOND))

        late = failed(1, ValueError("slow"), at_s=2.5)
        executor, history = run(program, started_event(), late)
        assert failure(executor).message == "a (task 1) failed: ValueError: slow"
        replayed = make(program)
        replayed.replay(history)  # type: ignore[arg-type]
        assert replayed.completion == history[-1]

    def test_a_policy_of_one_attempt_never_retries(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a", retry_policy=policy(max_number_of_attempts=1))

        executor, history = run(program, started_event(), failed(1, ValueError("x")))
        assert "TimerCreated" not in kinds(history)
        assert failure(executor).cause is not None

    def test_a_filter_runs_inside_the_orchestration_and_its_error_is_the_tasks_failure(
        self,
    ) -> None:
        seen: list[object] = []

        def picky(one: FailureDetails) -> bool:
            seen.append(current_context())
            raise KeyError(one.message)

        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a", retry_policy=policy(retry_filter=picky))
            except KeyError as error:
                assert isinstance(error.__cause__, TaskFailedError)
                return [seen == [ctx], current_context() is ctx]

        executor, _ = run(program, started_event(), failed(1, ValueError("x")))
        assert result(executor) == [True, True]
        assert current_context() is None

    def test_a_task_that_nobody_awaits_is_retried_too(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.call_activity("a", retry_policy=policy())
            await ctx.wait_for_external_event("end")

        _, history = run(
            program, started_event(), failed(1, ValueError(), 1), fired(2, 2), completed(3, at_s=3)
        )
        assert kinds(history)[-2:] == ["TaskScheduled", "TaskCompleted"]
        assert history[-2].timestamp == at(2)

    def test_cancelled_code_of_asyncio_is_a_failure_that_can_be_retried(self) -> None:
        """CancelledError is a BaseException; the activity's failure is data all the same."""
        details = FailureDetails.from_exception(asyncio.CancelledError())
        assert delay(policy(retry_on=("CancelledError",)), failure=details) == 1
