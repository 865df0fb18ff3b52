"""`ipydurable.testing`, as people use it for their own orchestrators."""

from __future__ import annotations

import importlib.util
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ipydurable import EngineOptions, OrchestrationContext, Runtime, activity, entity, orchestrator
from ipydurable.runtime import testing
from ipydurable.runtime.core.errors import WaitTimeoutError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.testing import MemoryStore, VirtualClock, replay
from tests.support.world import ManualExecutor


@activity(on="threads")
def work_for_testing() -> str:
    """Does what there is to do."""
    return "done"


@entity
class TallyForTesting:
    """Counts."""

    count: int = 0

    def add(self, by: int) -> int:
        self.count += by
        return self.count


@orchestrator
async def monthly(ctx: OrchestrationContext, months: int) -> list[Any]:
    """Does something every thirty days."""
    found: list[Any] = []
    for _ in range(months):
        await ctx.create_timer(timedelta(days=30))
        found.append(await ctx.call_activity(work_for_testing))
        found.append(await ctx.call_entity("TallyForTesting@t", "add", 1))
    return found


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_the_example_in_the_documentation_is_two_tests_that_pass(tmp_path: Path) -> None:
    documentation = testing.__doc__
    assert documentation is not None
    example = tmp_path / "example_of_testing.py"
    example.write_text(textwrap.dedent(documentation.partition("Example:\n")[2]))
    spec = importlib.util.spec_from_file_location(example.stem, example)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [one for name, one in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


class TestTime:
    def test_months_pass_in_a_moment_each_when_nothing_is_at_work_any_more(
        self, clock: VirtualClock
    ) -> None:
        with Runtime(MemoryStore(), clock=clock) as runtime:
            run = runtime.start(monthly, 3)
            for _ in range(3):
                runtime.settle()
                assert [task.kind for task in run.waiting_for] == ["timer"]
                clock.advance(timedelta(days=30))
            assert run.result(30) == ["done", 1, "done", 2, "done", 3]
            assert replay(run, monthly).status is RuntimeStatus.COMPLETED

    def test_a_timer_of_thirty_days_takes_milliseconds(self, clock: VirtualClock) -> None:
        @orchestrator
        async def thirty_days_for_testing(ctx: OrchestrationContext) -> str:
            await ctx.create_timer(timedelta(days=30))
            return str(ctx.current_utc_datetime)

        with Runtime(MemoryStore(), clock=clock) as runtime:
            runtime.settle()
            begun = time.perf_counter()
            run = runtime.start(thirty_days_for_testing)
            runtime.settle()
            clock.advance(timedelta(days=30))
            assert run.result(30) == "2026-01-31 00:00:00"
            took_s = time.perf_counter() - begun
        assert took_s < 2, "some milliseconds on a machine with nothing else to do"

    def test_what_is_still_at_work_is_told(self, clock: VirtualClock) -> None:
        never = ManualExecutor()
        with Runtime(MemoryStore(), clock=clock, executors={"threads": never}) as runtime:
            runtime.start(monthly, 1)
            runtime.settle("30s")
            clock.advance(timedelta(days=30))
            with pytest.raises(WaitTimeoutError, match="rest"):
                runtime.settle(0.01)


class TestStores:
    def test_what_was_open_goes_on_in_the_next_runtime_on_the_same_store(
        self, clock: VirtualClock
    ) -> None:
        store = MemoryStore()
        with Runtime(store, clock=clock) as runtime:
            runtime.start(monthly, 1, instance_id="m")
        clock.advance(timedelta(days=30))
        with Runtime(store, clock=clock) as runtime:
            assert runtime.instance("m").result(30) == ["done", 1]

    @pytest.mark.parametrize("resident", [0, 1])
    def test_the_number_of_instances_kept_in_memory_can_be_set_and_be_none(
        self, clock: VirtualClock, resident: int
    ) -> None:
        options = EngineOptions(resident=resident)
        with Runtime(MemoryStore(), clock=clock, options=options) as runtime:
            runs = [runtime.start(monthly, 1) for _ in range(3)]
            runtime.settle()
            kept = runtime._engine.engine.orchestrations.by_iid.values()
            assert sum(one.executor is not None for one in kept) == resident
            clock.advance(timedelta(days=30))
            assert sorted(run.result(30)[1] for run in runs) == [1, 2, 3]
