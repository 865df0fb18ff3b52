"""Driving code without an event loop: what it may wait for, how it ends, how it is ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest

from ipydurable.runtime.core.context import OrchestrationContext as Context
from ipydurable.runtime.core.context import name_of
from ipydurable.runtime.core.driver import (
    Driver,
    ReplaySignal,
    _unending,
    forget_frames,
    is_drivable,
    line_of,
    user_line,
)
from ipydurable.runtime.core.errors import ForeignAwaitableError, TaskFailedError
from ipydurable.runtime.core.tasks import CompletableTask, Task
from tests.support.core import completed, failed, failure, raised, result, run, started

HERE = "test_core_driver.py, line "


def drive(code: Any) -> tuple[Driver, list[tuple[Driver, Task[Any]]]]:
    """Run code to its first wait; return its driver and who was woken."""
    woken: list[tuple[Driver, Task[Any]]] = []
    driver = Driver("code", code, lambda who, task: woken.append((who, task)))
    driver.resume(None)
    return driver, woken


ASYNCIO = (
    "asyncio's own awaitables are forgotten at a crash: use ctx.create_timer instead of "
    "asyncio.sleep, ctx.when_all instead of asyncio.gather, and put I/O in an activity."
)
TIME = "An orchestrator waits only for durable tasks: ctx.create_timer to wait for a time."
SEVERAL = "To wait for several tasks use ctx.when_all([...]) or ctx.when_any([...])."
DURABLE = (
    "An orchestrator waits only for durable tasks: those of ctx.call_activity, "
    "ctx.create_timer, ctx.wait_for_external_event, ctx.when_all and their like."
)


class Foreign:
    """Yields whatever it was given, as awaitables of other libraries do."""

    def __init__(self, yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[Any, Any, None]:
        yield self.yielded


class TestWaiting:
    def test_it_waits_until_the_task_settles_and_is_then_woken_with_it(self) -> None:
        async def code() -> int:
            return await task + 1

        task: CompletableTask[int] = CompletableTask("task")
        driver, woken = drive(code())
        assert not driver.is_complete
        task.complete("", lambda _: 1)
        assert woken == [(driver, task)]
        driver.resume(task)
        assert driver.result == 2

    def test_settled_tasks_are_no_waits(self) -> None:
        async def code() -> int:
            return sum([await task for _ in range(10_000)])

        task: CompletableTask[int] = CompletableTask("task")
        task.complete("", lambda _: 1)
        driver, woken = drive(code())
        assert (driver.result, woken) == (10_000, [])

    def test_a_generator_gets_results_sent_and_failures_thrown_in(self) -> None:
        def code() -> Generator[Any, Any, list[Any]]:
            first = yield good
            try:
                yield bad
            except KeyError as error:
                return [first, str(error)]
            return []

        good: CompletableTask[int] = CompletableTask("good")
        bad: CompletableTask[int] = CompletableTask("bad")
        good.complete("", lambda _: 1)
        bad.fail(KeyError("k"))
        assert drive(code())[0].result == [1, "'k'"]

    def test_it_is_a_task_itself_and_fails_as_its_code_does(self) -> None:
        async def inner() -> None:
            raise KeyError("k")

        driver, _ = drive(inner())
        assert driver.is_failed
        with pytest.raises(KeyError):
            driver.get_result()

    @pytest.mark.parametrize(
        ("value", "drivable"),
        [(Foreign(1), False), (iter([]), False), (7, False), (None, False)],
    )
    def test_only_coroutines_and_generators_are_driven(self, value: Any, drivable: bool) -> None:
        async def coroutine() -> None: ...

        def generator() -> Any:
            yield

        code = coroutine()
        assert is_drivable(value) is drivable
        assert is_drivable(code)
        assert is_drivable(generator())
        code.close()


class TestForeignAwaitables:
    @pytest.mark.parametrize(
        ("yielded", "name", "remedy"),
        [
            (None, "bare suspension (asyncio.sleep(0)?)", TIME),
            (concurrent.futures.Future(), "Future", ASYNCIO),
            ([], "list", SEVERAL),
            ((), "tuple", SEVERAL),
            (7, "int", DURABLE),
            ("text", "str", DURABLE),
        ],
    )
    def test_each_is_refused_at_the_line_with_its_remedy(
        self, yielded: object, name: str, remedy: str
    ) -> None:
        async def code() -> None:
            await Foreign(yielded)

        error = drive(code())[0].get_exception()
        assert isinstance(error, ForeignAwaitableError)
        assert (error.type_name, error.remedy) == (name, remedy)
        assert HERE in error.line

    def test_it_is_refused_at_the_line_also_where_it_counts_as_false(self) -> None:
        class Empty(list[Any]):
            def __await__(self) -> Any:
                return self

            def __next__(self) -> object:
                return object()

        async def code() -> None:
            await Empty()

        error = drive(code())[0].get_exception()
        assert isinstance(error, ForeignAwaitableError)
        assert HERE in error.line

    def test_a_future_of_another_name_is_known_by_how_asyncio_marks_its_own(self) -> None:
        class Promise:
            _asyncio_future_blocking = True

        async def code() -> None:
            await Foreign(Promise())

        error = drive(code())[0].get_exception()
        assert isinstance(error, ForeignAwaitableError)
        assert "asyncio" in error.remedy

    @pytest.mark.parametrize(
        "wait",
        [
            lambda: asyncio.sleep(1),
            lambda: asyncio.wait_for(asyncio.sleep(1), 1),
            lambda: asyncio.to_thread(print),
            lambda: asyncio.timeout(1).__aenter__(),
        ],
        ids=["sleep", "wait_for", "to_thread", "timeout"],
    )
    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    def test_asyncio_without_a_loop_is_refused_in_the_same_words(
        self, wait: Callable[[], Any]
    ) -> None:
        async def program(ctx: Context) -> None:
            await wait()

        executor, _ = run(program, started())
        said = failure(executor).message
        assert said.startswith("The orchestrator awaited an awaitable of asyncio (")
        assert said.endswith(f"). {ASYNCIO}")
        assert HERE in said
        gc.collect()

    def test_the_refusal_is_raised_where_the_code_waits_so_it_may_go_on(self) -> None:
        def program(ctx: Context) -> Any:
            try:
                yield 7
            except ForeignAwaitableError:
                yield ctx.call_activity("a")
            return "went on"

        executor, _ = run(program, started(), completed(1))
        assert result(executor) == "went on"

    def test_code_that_yields_foreign_things_for_ever_ends_when_it_lets_the_error_out(
        self,
    ) -> None:
        def program(ctx: Context) -> Any:
            refused = 0
            while refused < 100:
                try:
                    yield refused
                except ForeignAwaitableError:
                    refused += 1
            return refused

        assert result(run(program, started())[0]) == 100

    def test_an_error_of_that_class_from_a_real_task_is_no_refusal(self) -> None:
        """An activity's failure may be of any class; a coroutine gets it from its own `await`."""

        async def code() -> str:
            try:
                await task
            except ForeignAwaitableError:
                return "caught"
            return ""

        task: CompletableTask[None] = CompletableTask("task")
        task.fail(ForeignAwaitableError("x", "", ""))
        assert drive(code())[0].result == "caught"


class TestEnding:
    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
    @pytest.mark.parametrize("form", ["async def", "generator", "plain"])
    def test_what_would_end_a_process_fails_the_instance_and_is_named(
        self, error: BaseException, form: str
    ) -> None:
        async def coroutine(ctx: Context) -> None:
            raise error

        def generator(ctx: Context) -> Any:
            raise error
            yield

        def plain(ctx: Context) -> None:
            raise error

        program = {"async def": coroutine, "generator": generator, "plain": plain}[form]
        found = failure(run(program, started())[0])
        assert found.type_name == "RuntimeError"
        assert found.message.startswith(f"the orchestrator raised {type(error).__name__}")
        assert "raise error" in found.stack_trace

    def test_a_replay_signal_passes_through(self) -> None:
        async def code() -> None:
            raise ReplaySignal

        with pytest.raises(ReplaySignal):
            drive(code())

    def test_a_signal_without_a_difference_is_nobodys(self) -> None:
        """Only replay raises it; should anything else, it is not taken for a difference."""

        async def program(ctx: Context) -> None:
            raise ReplaySignal

        with pytest.raises(ReplaySignal):
            run(program, started())

    def test_an_async_program_may_return_before_it_waits(self) -> None:
        async def program(ctx: Context) -> int:
            return 1

        assert result(run(program, started())[0]) == 1

    def test_deep_chains_of_settled_tasks_need_no_deep_stack(self) -> None:
        async def program(ctx: Context) -> int:
            count = 0
            for _ in range(3_000):
                count += await ctx.wait_for_external_event("go")
            return count

        events = [raised("go", 1) for _ in range(3_000)]
        assert result(run(program, started(), *events)[0]) == 3_000


class TestClosing:
    def test_finally_blocks_run_at_once_and_once(self) -> None:
        seen: list[str] = []

        async def code() -> None:
            try:
                await CompletableTask("never")
            finally:
                seen.append("finally")

        driver, _ = drive(code())
        driver.close()
        driver.close()
        gc.collect()
        assert seen == ["finally"]

    def test_code_that_fails_in_ending_has_ended(self) -> None:
        async def code() -> None:
            try:
                await CompletableTask("never")
            finally:
                raise ValueError("in finally")

        driver, _ = drive(code())
        driver.close()
        assert driver.waiting_line() == ""

    def test_code_that_waits_on_in_its_finally_is_kept_from_the_collector(self) -> None:
        """Which would try to end it again, at a random time and with a warning."""
        refused: list[str] = []

        def code() -> Any:
            while len(refused) < 2:
                try:
                    yield CompletableTask("never")
                except GeneratorExit:
                    refused.append("once more")

        driver, _ = drive(code())
        driver.close()
        assert driver.waiting_line()
        del driver
        gc.collect()
        assert refused == ["once more"]
        _unending.pop().close()

    def test_code_that_was_never_begun_is_closed_without_a_warning(self) -> None:
        async def code() -> None: ...

        Driver("code", code(), lambda *_: None).close()
        gc.collect()


class TestLines:
    def test_an_error_comes_from_the_line_of_the_user_that_called_us(self) -> None:
        """Not from ours, which raised it: the user can mend only their own."""

        def program() -> None:
            name_of(None, "activity")  # type: ignore[arg-type]

        with pytest.raises(TypeError) as caught:
            program()
        assert line_of(caught.value) == f"{__file__}, line {program.__code__.co_firstlineno + 1}"

    def test_the_line_of_code_that_waits_in_an_async_generator_is_that_of_its_loop(self) -> None:
        """What drives the generator has no frame to look into."""

        async def parts() -> AsyncIterator[int]:
            await CompletableTask("a")
            yield 1

        async def code() -> None:
            async for _ in parts():
                pass

        line = code.__code__.co_firstlineno + 1
        assert drive(code())[0].waiting_line().endswith(f"{HERE}{line}")

    def test_code_that_was_let_go_wakes_nobody_and_keeps_no_frames(self) -> None:
        task: CompletableTask[Any] = CompletableTask("a")

        async def waits() -> None:
            await task

        async def fails() -> None:
            raise ValueError("x")

        driver, woken = drive(waits())
        driver.let_go()
        task.complete(None)
        assert woken == []
        failed, _ = drive(fails())
        failed.let_go()
        error = failed._error
        assert isinstance(error, ValueError)
        assert error.__traceback__ is None

    def test_what_ends_code_otherwise_than_an_error_is_its_cause(self) -> None:
        async def code() -> None:
            raise KeyboardInterrupt

        error = drive(code())[0].get_exception()
        assert str(error) == "the orchestrator raised KeyboardInterrupt: "
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, KeyboardInterrupt)
        assert line_of(error).endswith(f"{HERE}{code.__code__.co_firstlineno + 1}")

    def test_frames_are_forgotten_of_an_error_and_all_its_causes(self) -> None:
        """They keep all that the code knew."""

        def program() -> None:
            try:
                try:
                    raise KeyError("first")  # noqa: TRY301
                except KeyError as error:
                    raise ValueError("second") from error
            except ValueError:
                raise TypeError("third")  # noqa: B904  (a context is what is tested)

        with pytest.raises(TypeError) as caught:
            program()
        third = caught.value
        second = third.__context__
        assert second is not None
        first = second.__cause__
        assert first is not None
        first.__cause__ = third
        forget_frames(third)
        assert [one.__traceback__ for one in (third, second, first)] == [None] * 3

    def test_an_error_that_was_never_raised_has_none(self) -> None:
        assert line_of(ValueError()) == ""

    def test_the_waiting_line_is_the_innermost_of_the_user(self) -> None:
        async def inner() -> None:
            await CompletableTask("never")  # this line

        async def outer() -> None:
            await inner()

        driver, _ = drive(outer())
        assert driver.waiting_line().endswith(f"{HERE}{inner.__code__.co_firstlineno + 1}")
        driver.close()

    def test_a_generator_that_yields_from_another_waits_in_that(self) -> None:
        def inner() -> Any:
            yield CompletableTask("never")

        def outer() -> Any:
            yield from inner()

        driver, _ = drive(outer())
        assert driver.waiting_line().endswith(f"{HERE}{inner.__code__.co_firstlineno + 1}")
        driver.close()

    def test_code_that_has_ended_waits_nowhere(self) -> None:
        async def code() -> None: ...

        assert drive(code())[0].waiting_line() == ""

    def test_the_users_line_is_that_of_the_caller(self) -> None:
        place = user_line()
        assert HERE in place

    def test_frames_of_ours_between_the_user_and_us_do_not_count(self) -> None:
        ours = {"__name__": "ipydurable.runtime.core.actions", "user_line": user_line}
        exec("def ask(): return user_line()", ours)
        assert HERE in ours["ask"]()  # type: ignore[operator]


def test_a_failure_is_thrown_in_at_the_wait_with_the_users_lines_only() -> None:
    async def program(ctx: Context) -> Any:
        try:
            await ctx.call_activity("a")
        except TaskFailedError as error:
            step = error.__traceback__
            names = []
            while step is not None:
                names.append(step.tb_frame.f_code.co_filename.rpartition("/")[2])
                step = step.tb_next
            return names

    names = result(run(program, started(), failed(1, ValueError("x")))[0])
    assert names[0] == "test_core_driver.py"
    assert set(names[1:]) <= {"tasks.py"}
