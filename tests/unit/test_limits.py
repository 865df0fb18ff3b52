"""Limits of activities, in real executors and in the dispatcher under a clock of ours."""

import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.arguments import ArgumentError, activity_options, parse_rate
from ipydurable.runtime.core.errors import DefinitionError
from ipydurable.runtime.executors import (
    AsyncioExecutor,
    FuturesExecutor,
    ProcessExecutor,
    ThreadExecutor,
)
from ipydurable.runtime.ports import AttemptOutcome, AttemptRequest, Progress
from tests.support.world import World
from tests.unit.test_executors import Watcher, request_for

NEVER_ENDS = """
    import asyncio, time
    {form} work(n):
        {wait}
"""


@pytest.fixture(params=[ProcessExecutor, ThreadExecutor, AsyncioExecutor])
def lone(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """Each executor with one place."""
    executor = request.param(1)
    yield Watcher(executor)
    executor.close()


def limited(request: AttemptRequest, **limits: float) -> AttemptRequest:
    """The same attempt with limits."""
    return msgspec.structs.replace(request, **limits)


def message_of(outcome: AttemptOutcome) -> str:
    """What a failure says."""
    assert outcome.failure is not None, outcome
    assert outcome.failure.error_type == "builtins.TimeoutError"
    return outcome.failure.message


def source_for(executor: Any) -> str:
    if isinstance(executor, AsyncioExecutor):
        return NEVER_ENDS.format(form="async def", wait="await asyncio.sleep(n)")
    return NEVER_ENDS.format(form="def", wait="time.sleep(n)")


def test_an_attempt_without_a_sign_of_life_is_stopped(lone: Watcher) -> None:
    request = limited(request_for(source_for(lone.executor), 3), heartbeat_s=0.2)
    assert "gave no sign of life for 0.2 s" in message_of(lone.run(request))


def test_signs_of_life_keep_an_attempt_going(lone: Watcher) -> None:
    source = """
        import asyncio, time
        async def work(ctx, n):
            for _ in range(n):
                ctx.heartbeat()
                ctx.progress(1)
                await asyncio.sleep(0.06)
            return "done"
    """
    assert lone.result(limited(request_for(source, 10), heartbeat_s=0.4)) == "done"


def test_an_attempt_that_finds_no_place_in_time_fails_and_never_runs(lone: Watcher) -> None:
    source = source_for(lone.executor)
    first = lone.submit(request_for(source, 0.6, number=1))
    lone.worker(first)
    second = lone.run(limited(request_for(source, 0, number=2), start_within_s=0.1))
    assert "did not start within 0.1 s, its schedule-to-start timeout" in message_of(second)
    assert second.started_at is None
    assert first not in lone.outcomes
    lone.outcome(first)


def squares(world: World, count: int, **options: Any) -> None:
    """Start a fan-out of `count` activities with these options."""

    async def fan(ctx: Any, n: int) -> Any:
        return await ctx.when_all([ctx.call_activity("square", i) for i in range(n)])

    world.define(square, **options)
    world.orchestrator(fan)
    world.start("fan", count)


def square(n: int) -> int:
    return n * n


def test_no_more_begin_in_a_time_than_the_rate_allows() -> None:
    world = World()
    squares(world, 7, rate_count=3, rate_per_s=10.0)
    assert len(world.executor.waiting) == 3
    world.work()
    assert len(world.executor.ran) == 3
    world.clock.advance(timedelta(seconds=9.99))
    world.work()
    assert len(world.executor.ran) == 3
    world.advance(timedelta(seconds=0.01))
    assert len(world.executor.ran) == 6
    world.advance(timedelta(seconds=10))
    assert world.output() == [i * i for i in range(7)]


def test_what_waits_for_its_turn_too_long_fails_in_these_words() -> None:
    world = World()
    squares(world, 3, max_parallel=1, start_within_s=30.0)
    assert len(world.executor.waiting) == 1
    world.clock.advance(timedelta(seconds=30))
    world.settle()
    world.work()
    failure = world.record().failure
    assert failure is not None
    assert "square did not start within 30 s, its schedule-to-start timeout" in str(failure)
    assert len(world.executor.ran) == 1


def test_the_host_runs_no_more_than_it_may_whatever_they_are() -> None:
    world = World(max_parallel=2)
    squares(world, 5)
    assert len(world.executor.waiting) == 2
    world.work()
    assert world.output() == [0, 1, 4, 9, 16]


def test_progress_is_shown_with_the_running_attempt_and_not_written() -> None:
    world = World()
    squares(world, 1)
    (key,) = world.executor.waiting
    assert world.executor.progress is not None
    rows = len(world.store.rows)
    world.executor.progress(key, Progress(1.0, 4.0, "early"))
    world.settle()
    assert len(world.store.rows) == rows
    world.executor.begin(key)
    world.settle()
    instance = world.engine.orchestrations.by_id["one"]
    assert (instance.running[1].done, instance.running[1].note) == (1.0, "early")
    world.executor.progress(key, Progress(2.0, 4.0, "half"))
    world.executor.progress(key, Progress())
    world.settle()
    shown = instance.running[1]
    assert (shown.done, shown.total, shown.note) == (2.0, 4.0, "half")


def test_an_executor_nobody_knows_is_refused_where_the_activity_is_defined() -> None:
    with pytest.raises(DefinitionError, match="'mine'; there are asyncio, processes"):
        World().define(square, executor="mine")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/s", (10, 1.0)), ("100/m", (100, 60.0)), ("3/10s", (3, 10.0)), ("5/ h", (5, 3600.0))],
)
def test_rates_are_read(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "10", "0/s", "ten/s", "10/", "10/fortnight", "-1/s", "1/0s"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no rate: write 10/s"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heartbeat": "0s"}, "heartbeat is 0"),
        ({"heartbeat": "10ms"}, "heartbeat is 10ms: it must be 0.2 s or more"),
        ({"start_within": 0}, "start_within is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"on": "my pool"}, "not on 'my pool'"),
    ],
)
def test_limits_that_make_no_sense_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        activity_options(**given)


class TestFuturesExecutor:
    """Any `concurrent.futures.Executor`."""

    @pytest.fixture
    def pool(self) -> Iterator[Watcher]:
        """A pool of the standard library."""
        executor = FuturesExecutor(ThreadPoolExecutor(1), "mine")
        yield Watcher(executor)
        executor.close()

    def test_results_failures_and_output_come_back(self, pool: Watcher) -> None:
        source = """
            async def work(ctx, n):
                print("working on", n)
                if n == 2:
                    raise KeyError(n)
                return n * 2
        """
        assert pool.result(request_for(source, 1)) == 2
        failed = pool.run(request_for(source, 2, number=2))
        assert failed.failure is not None
        assert failed.failure.error_type == "builtins.KeyError"
        assert failed.output is not None
        assert failed.output.text == "working on 2\n"
        assert failed.worker.startswith("mine process")

    def test_a_timeout_reports_at_once_and_drops_what_comes_later(self, pool: Watcher) -> None:
        request = limited(
            request_for(NEVER_ENDS.format(form="def", wait="time.sleep(n)"), 1.0), timeout_s=0.2
        )
        assert "did not finish within its timeout of 0.2 s" in message_of(pool.run(request))

    def test_what_has_not_begun_can_be_withdrawn_or_waits_in_vain(self) -> None:
        threads = ThreadPoolExecutor(1)
        pool = Watcher(FuturesExecutor(threads, "mine"))
        gate = threading.Event()
        threads.submit(gate.wait)
        source = "def work():\n    return 1\n"
        first = pool.submit(request_for(source, number=1))
        pool.executor.cancel(first)
        withdrawn = pool.outcome(first)
        waited = pool.run(limited(request_for(source, number=2), start_within_s=0.1))
        gate.set()
        pool.executor.close()
        assert withdrawn.cancelled
        assert "a free place in mine" in message_of(waited)

    def test_its_thread_ends_with_it_also_where_it_is_closed_as_it_looks(self) -> None:
        executor = FuturesExecutor(ThreadPoolExecutor(1), "mine")
        Watcher(executor).result(request_for("def work():\n    return 1\n"))
        thread = executor._watcher
        assert thread is not None

        has_open = executor._has_open
        clear = has_open.clear

        def close_just_before() -> None:
            executor.close()
            clear()

        has_open.clear = close_just_before  # type: ignore[method-assign]
        has_open.set()
        thread.join(10)
        assert not thread.is_alive()

    def test_a_broken_pool_loses_attempts_and_does_not_fail_them(self) -> None:
        class Broken(Executor):
            def submit(self, *args: Any, **options: Any) -> Future[Any]:
                if self.is_known:
                    raise BrokenExecutor("the pool is gone")
                self.is_known = True
                future: Future[Any] = Future()
                future.set_exception(BrokenExecutor("a worker died"))
                return future

            is_known = False

        pool = Watcher(FuturesExecutor(Broken(), "mine"))
        outcome = pool.run(request_for("def work():\n    return 1\n"))
        again = pool.run(request_for("def work():\n    return 1\n", number=2))
        assert outcome.failure is None
        assert "mine lost it: BrokenExecutor('a worker died')" in outcome.lost
        assert "mine takes no work: BrokenExecutor('the pool is gone')" in again.lost
        pool.executor.close()
