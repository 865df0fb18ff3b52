"""`ipydurable.testing.replay`, as users call it in tests of their own orchestrators."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ipydurable import OrchestrationContext, RetryPolicy, RuntimeStatus, activity, orchestrator
from ipydurable.runtime.core.errors import NonDeterminismError
from ipydurable.testing import dump_history, load_history, replay
from tests.support.core import completed, failed, fired, run, started

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)


# Names of their own: what decorators define is known to every session of this process.
@activity(retries=1)
def flaky_for_replay(n: int) -> int:
    """An activity with retries of its own."""
    return n


@orchestrator
async def report_for_replay(ctx: OrchestrationContext, n: int) -> Any:
    """Calls it once."""
    return await ctx.call_activity(flaky_for_replay, n)


async def once(ctx: OrchestrationContext, n: int) -> Any:
    """The same, as a plain function."""
    return await ctx.call_activity("flaky_for_replay", n)


async def retrying(ctx: OrchestrationContext, n: int) -> Any:
    """The same, with the retries at the call."""
    return await ctx.call_activity("flaky_for_replay", n, retry_policy=POLICY)


def retried_history() -> list[Any]:
    return run(
        retrying, started(3), failed(1, ValueError("x")), fired(2, 2), completed(3, "done", 3)
    )[1]


class TestOrchestrators:
    def test_a_decorated_one_knows_the_retries_of_the_activities_it_uses(self) -> None:
        found = replay(retried_history(), report_for_replay)
        assert (found.status, found.result) == (RuntimeStatus.COMPLETED, '"done"')
        assert found.warnings == ()

    def test_of_a_plain_one_they_are_given_by_name(self) -> None:
        assert (
            replay(retried_history(), once, retry_policies={"flaky_for_replay": POLICY}).result
            == '"done"'
        )
        with pytest.raises(NonDeterminismError):
            replay(retried_history(), once)

    def test_an_open_one_tells_what_it_waits_for_and_is_ended(self) -> None:
        found = replay(run(once, started(3))[1], once)
        assert (found.status, found.open_tasks) == (None, (1,))

    def test_harmless_differences_are_told(self) -> None:
        async def edited(ctx: OrchestrationContext, n: int) -> Any:
            return await ctx.call_activity("flaky_for_replay", n + 1)

        (warning,) = replay(run(once, started(3))[1], edited).warnings
        assert "activity 'flaky_for_replay' now gets another input" in warning


class TestHistories:
    def test_any_iterable_of_events_will_do(self) -> None:
        assert replay(iter(retried_history()), retrying).status is RuntimeStatus.COMPLETED

    def test_what_was_written_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "history.jsonl"
        dump_history(retried_history(), path)
        assert load_history(path) == retried_history()
