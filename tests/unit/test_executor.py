"""The executor: two lists of events in, decisions out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.code import OrchestratorCode, Resolved
from ipydurable.runtime.core.context import NO_INPUT, OrchestrationContext
from ipydurable.runtime.core.errors import (
    NonDeterminismError,
    TaskCancelledError,
    TaskFailedError,
    UnknownDefinitionError,
)
from ipydurable.runtime.core.events import (
    CustomStatusSet,
    Event,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.retry import RetryPolicy
from ipydurable.runtime.core.status import RuntimeStatus

START = datetime(2026, 1, 1)


class JsonConverter:
    """The plainest converter: JSON and nothing else."""

    def encode(self, value: Any, where: str) -> str:
        return msgspec.json.encode(value).decode()

    def decode(self, payload: Any) -> Any:
        return msgspec.json.decode(payload)


class MyError(Exception):
    """An exception of the notebook's own."""


def resolve(kind: str, name: str) -> Resolved:
    if name == "unknown":
        raise UnknownDefinitionError(kind, name)
    retry = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
    return Resolved("v1", retry if name == "patient" else None)


def make(function: Callable[..., Any]) -> OrchestrationExecutor:
    code = OrchestratorCode(function, JsonConverter(), {"MyError": MyError})
    return OrchestrationExecutor(code, resolve)


def started(value: Any = NO_INPUT, *, at_s: float = 0) -> ExecutionStarted:
    return ExecutionStarted(
        timestamp=at(at_s),
        instance_id="one",
        execution_id="e1",
        name="program",
        input=None if value is NO_INPUT else msgspec.json.encode(value).decode(),
    )


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def completed(task_id: int, value: Any = None, at_s: float = 1) -> TaskCompleted:
    return TaskCompleted(
        timestamp=at(at_s), task_id=task_id, result=msgspec.json.encode(value).decode()
    )


def failed(task_id: int, error: BaseException, at_s: float = 1) -> TaskFailed:
    return TaskFailed(
        timestamp=at(at_s), task_id=task_id, failure=FailureDetails.from_exception(error)
    )


def raised(name: str, value: Any = None, at_s: float = 1) -> EventRaised:
    return EventRaised(timestamp=at(at_s), name=name, input=msgspec.json.encode(value).decode())


def run(function: Callable[..., Any], *events: Event) -> tuple[OrchestrationExecutor, list[Event]]:
    """Run live; return the executor and its whole history."""
    executor = make(function)
    history: list[Event] = []
    for event in events:
        history.append(event)
        executor.process(event)  # type: ignore[arg-type]
        history.extend(executor.take_decisions())
    return executor, history


def decisions(history: Iterable[Event]) -> list[str]:
    """Names of what the code asked for, in order."""
    return [
        getattr(event, "name", "") or type(event).__name__
        for event in history
        if isinstance(
            event,
            TaskScheduled | SubOrchestrationInstanceCreated | TimerCreated | EventSent,
        )
    ]


def result(executor: OrchestrationExecutor) -> Any:
    assert executor.completion is not None, "it has not ended"
    assert executor.completion.status is RuntimeStatus.COMPLETED, executor.completion
    return msgspec.json.decode(executor.completion.result or "null")


def failure(executor: OrchestrationExecutor) -> FailureDetails:
    assert executor.completion is not None, "it has not ended"
    assert executor.completion.failure is not None, executor.completion
    return executor.completion.failure


class TestForms:
    def test_an_async_def_is_driven_without_an_event_loop(self) -> None:
        async def program(ctx: OrchestrationContext, n: int) -> int:
            return await ctx.call_activity("double", n) + 1

        executor, history = run(program, started(4), completed(1, 8))
        assert decisions(history) == ["double"]
        assert result(executor) == 9

    def test_a_generator_is_driven_as_durable_functions_drives_it(self) -> None:
        def program(ctx: OrchestrationContext, n: int) -> Any:
            doubled = yield ctx.call_activity("double", n)
            return doubled + 1

        executor, _ = run(program, started(4), completed(1, 8))
        assert result(executor) == 9

    def test_a_plain_function_completes_at_once(self) -> None:
        executor, _ = run(lambda ctx: ctx.instance_id, started())
        assert result(executor) == "one"

    def test_an_orchestrator_may_take_no_input_although_one_was_given(self) -> None:
        executor, _ = run(lambda ctx: ctx.get_input(), started({"a": 1}))
        assert result(executor) == {"a": 1}

    def test_an_orchestrator_that_needs_an_input_gets_none_where_there_is_none(self) -> None:
        executor, _ = run(lambda ctx, value: [ctx.instance_id, value], started())
        assert result(executor) == ["one", None]

    def test_helpers_can_be_awaited_and_yielded_from(self) -> None:
        async def helper(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("a")

        async def program(ctx: OrchestrationContext) -> Any:
            return await helper(ctx)

        executor, _ = run(program, started(), completed(1, "x"))
        assert result(executor) == "x"

    def test_an_exception_fails_the_instance_with_the_users_line(self) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            raise MyError("no")

        executor, _ = run(program, started())
        assert failure(executor).type_name == "MyError"
        assert "raise MyError" in failure(executor).stack_trace
        assert "core/executor.py" not in failure(executor).stack_trace

    def test_a_result_that_cannot_be_stored_fails_the_instance(self) -> None:
        executor, _ = run(lambda ctx: object(), started())
        assert failure(executor).error_type == "builtins.TypeError"


class TestForeignAwaitables:
    def test_asyncio_sleep_is_refused_with_the_remedy(self) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            await asyncio.sleep(1)

        executor, _ = run(program, started())
        assert "create_timer" in failure(executor).message
        assert "test_executor.py, line" in failure(executor).message

    def test_a_bare_suspension_is_refused(self) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            await asyncio.sleep(0)

        executor, _ = run(program, started())
        assert failure(executor).type_name == "ForeignAwaitableError"

    def test_yielding_a_list_names_when_all(self) -> None:
        def program(ctx: OrchestrationContext) -> Any:
            yield [ctx.call_activity("a")]

        executor, _ = run(program, started())
        assert "when_all" in failure(executor).message

    def test_a_later_foreign_yield_is_refused_too(self) -> None:
        def program(ctx: OrchestrationContext) -> Any:
            yield ctx.call_activity("a")
            yield 7

        executor, _ = run(program, started(), completed(1))
        assert failure(executor).type_name == "ForeignAwaitableError"


class TestFanOut:
    def test_when_all_gives_results_in_the_order_given(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.when_all(ctx.call_activity("a", n) for n in range(3))

        executor, _ = run(
            program, started(), completed(3, "c"), completed(1, "a"), completed(2, "b")
        )
        assert result(executor) == ["a", "b", "c"]

    def test_when_all_waits_for_all_then_raises_the_first_observed_failure(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.when_all([ctx.call_activity("a"), ctx.call_activity("b")])
            except TaskFailedError as error:
                return error.details.message

        executor, _ = run(program, started(), failed(2, ValueError("second")))
        assert executor.completion is None
        executor.process(failed(1, ValueError("first")))
        assert result(executor) == "second"

    def test_when_all_of_nothing_is_complete(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.when_all([])

        assert result(run(program, started())[0]) == []

    def test_when_any_of_nothing_is_an_error(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.when_any([])

        assert "wait for ever" in failure(run(program, started())[0]).message

    def test_when_any_gives_the_winner_and_cancels_nothing(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            slow, fast = ctx.call_activity("slow"), ctx.call_activity("fast")
            winner = await ctx.when_any([slow, fast])
            assert winner is fast
            return [winner.result, await slow]

        executor, _ = run(program, started(), completed(2, "f"), completed(1, "s"))
        assert result(executor) == ["f", "s"]

    def test_a_failed_winner_does_not_raise(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            winner = await ctx.when_any([ctx.call_activity("a")])
            return winner.is_failed

        assert result(run(program, started(), failed(1, ValueError("x")))[0]) is True

    def test_tasks_may_be_shared_between_groups_and_nested(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            a, b = ctx.call_activity("a"), ctx.call_activity("b")
            return await ctx.when_all([ctx.when_all([a, b]), ctx.when_all([b, b])])

        executor, _ = run(program, started(), completed(1, 1), completed(2, 2))
        assert result(executor) == [[1, 2], [2, 2]]

    def test_coroutines_in_when_all_run_side_by_side(self) -> None:
        async def chain(ctx: OrchestrationContext, n: int) -> Any:
            first = await ctx.call_activity("first", n)
            return await ctx.call_activity("second", first)

        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.when_all([chain(ctx, 1), chain(ctx, 2)])

        executor, history = run(
            program,
            started(),
            completed(2, 20),
            completed(1, 10),
            completed(3, 200),
            completed(4, 100),
        )
        assert decisions(history) == ["first", "first", "second", "second"]
        assert result(executor) == [100, 200]

    def test_a_coroutine_without_a_name_is_called_just_that(self) -> None:
        class Compiled(Coroutine[Any, Any, int]):
            """As compilers of Python make them."""

            def send(self, value: Any) -> Any:
                raise StopIteration(7)

            def throw(self, *error: Any) -> Any:
                raise AssertionError(error)

            def __await__(self) -> Any:
                raise AssertionError("it is driven")

        async def program(ctx: OrchestrationContext) -> Any:
            first = await ctx.when_any([Compiled()])
            return [first.description, first.result]

        assert result(run(program, started())[0]) == ["coroutine coroutine", 7]

    @pytest.mark.parametrize("wrong", [7, None, "text"])
    def test_what_is_no_task_is_refused_with_its_position(self, wrong: object) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.when_all([ctx.call_activity("a"), wrong])

        assert "item 1" in failure(run(program, started())[0]).message

    def test_a_single_task_instead_of_a_list_is_refused(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.when_all(ctx.call_activity("a"))  # type: ignore[arg-type]

        assert "iterable of tasks" in failure(run(program, started())[0]).message


class TestFailures:
    def test_a_failed_activity_is_caught_by_its_builtin_class(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except ValueError as error:
                assert isinstance(error, TaskFailedError)
                return str(error)

        executor, _ = run(program, started(), failed(1, ValueError("bad")))
        assert result(executor) == "a (task 1) failed: ValueError: bad"

    def test_a_failed_activity_is_caught_by_the_notebooks_own_class(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except MyError:
                return "mine"

        executor, _ = run(program, started(), failed(1, MyError("bad")))
        assert result(executor) == "mine"

    def test_an_unknown_class_is_a_plain_task_failed_error(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except TaskFailedError as error:
                return type(error) is TaskFailedError

        gone = TaskFailed(
            timestamp=at(1), task_id=1, failure=FailureDetails(error_type="x.Gone", message="m")
        )
        assert result(run(program, started(), gone)[0]) is True

    @pytest.mark.parametrize(
        "error",
        [OSError(2, "no"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), KeyError("k")],
    )
    def test_classes_with_arguments_of_their_own_are_caught_too(self, error: Exception) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except type(error):
                return "caught"

        assert result(run(program, started(), failed(1, error))[0]) == "caught"

    def test_generators_get_the_failure_thrown_in(self) -> None:
        def program(ctx: OrchestrationContext) -> Any:
            try:
                yield ctx.call_activity("a")
            except ValueError:
                return "caught"

        assert result(run(program, started(), failed(1, ValueError("x")))[0]) == "caught"

    def test_a_result_for_a_task_that_is_not_open_is_ignored_and_counted(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("a")

        executor = make(program)
        executor.process(started())
        executor.process(completed(9))
        executor.process(completed(1, "x"))
        assert executor.ignored == 1
        assert result(executor) == "x"

    def test_an_unknown_activity_raises_in_the_orchestrator(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("unknown")

        assert failure(run(program, started())[0]).type_name == "UnknownDefinitionError"


class TestRetries:
    policy = RetryPolicy(
        first_retry_interval=timedelta(seconds=2),
        max_number_of_attempts=3,
        backoff_coefficient=2,
    )

    def program(self, ctx: OrchestrationContext) -> Any:
        return (yield ctx.call_activity("a", retry_policy=self.policy))

    def test_each_attempt_is_a_new_action_after_a_growing_delay(self) -> None:
        executor, history = run(
            self.program,
            started(),
            failed(1, ValueError("1"), 10),
            TimerFired(timestamp=at(12), task_id=2, fire_at=at(12)),
            failed(3, ValueError("2"), 20),
            TimerFired(timestamp=at(24), task_id=4, fire_at=at(24)),
            completed(5, "done", 30),
        )
        assert decisions(history) == ["a", "TimerCreated", "a", "TimerCreated", "a"]
        timers = [event for event in history if isinstance(event, TimerCreated)]
        assert [timer.fire_at for timer in timers] == [at(12), at(24)]
        tasks = [event for event in history if isinstance(event, TaskScheduled)]
        assert [task.origin for task in tasks] == [0, 1, 1]
        assert result(executor) == "done"

    def test_the_last_failure_is_raised_when_attempts_are_used_up(self) -> None:
        executor, _ = run(
            self.program,
            started(),
            failed(1, ValueError("1"), 10),
            TimerFired(timestamp=at(12), task_id=2, fire_at=at(12)),
            failed(3, ValueError("2"), 20),
            TimerFired(timestamp=at(24), task_id=4, fire_at=at(24)),
            failed(5, ValueError("3"), 30),
        )
        assert "3" in failure(executor).message

    def test_the_definitions_own_policy_is_used_where_the_call_has_none(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("patient")

        _, history = run(program, started(), failed(1, ValueError("1")))
        assert decisions(history) == ["patient", "TimerCreated"]

    def test_sub_orchestrations_retry_with_new_ids(self) -> None:
        def program(ctx: OrchestrationContext) -> Any:
            return (yield ctx.call_sub_orchestrator("child", retry_policy=self.policy))

        _, history = run(
            program,
            started(),
            SubOrchestrationInstanceFailed(
                timestamp=at(1), task_id=1, failure=FailureDetails(error_type="E", message="")
            ),
            TimerFired(timestamp=at(3), task_id=2, fire_at=at(3)),
        )
        children = [e for e in history if isinstance(e, SubOrchestrationInstanceCreated)]
        assert [child.instance_id for child in children] == ["e1:0001", "e1:0003"]


class TestTimers:
    def test_a_relative_timer_counts_from_history_time(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.create_timer(timedelta(days=30))
            return ctx.current_utc_datetime.isoformat()

        fire_at = START + timedelta(days=30)
        executor, history = run(
            program, started(), TimerFired(timestamp=fire_at, task_id=1, fire_at=fire_at)
        )
        assert [e.fire_at for e in history if isinstance(e, TimerCreated)] == [fire_at]
        assert result(executor) == fire_at.isoformat()

    def test_a_cancelled_timer_raises_and_its_firing_is_ignored(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            timer = ctx.create_timer(timedelta(seconds=1))
            assert timer.cancel()
            assert not timer.cancel()
            assert timer.is_cancelled
            try:
                await timer
            except TaskCancelledError:
                return "cancelled"

        executor, _ = run(program, started())
        assert result(executor) == "cancelled"
        assert executor.completion is not None
        assert executor.completion.abandoned == ()

    @pytest.mark.parametrize("wrong", [timedelta(seconds=-1), timedelta.max, 5])
    def test_absurd_times_are_refused(self, wrong: Any) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.create_timer(wrong)

        assert failure(run(program, started())[0]).type_name in {"ValueError", "TypeError"}

    def test_an_aware_time_is_converted_to_utc(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.create_timer(datetime.fromisoformat("2026-01-01T02:00:00+01:00"))

        _, history = run(program, started())
        assert history[-1].fire_at == datetime(2026, 1, 1, 1)  # type: ignore[attr-defined]


class TestExternalEvents:
    def test_events_are_buffered_in_order_and_names_ignore_case(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a")
            return [await ctx.wait_for_external_event("OK") for _ in range(2)]

        executor, _ = run(program, started(), raised("ok", 1), raised("Ok", 2), completed(1))
        assert result(executor) == [1, 2]

    def test_waiters_are_served_in_the_order_they_began_to_wait(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            first, second = (ctx.wait_for_external_event("e") for _ in range(2))
            return [await second, await first]

        executor, _ = run(program, started(), raised("e", 1), raised("e", 2))
        assert result(executor) == [2, 1]

    def test_a_cancelled_wait_takes_no_event(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.wait_for_external_event("e").cancel()
            return await ctx.wait_for_external_event("e")

        assert result(run(program, started(), raised("e", 1))[0]) == 1

    def test_a_wait_with_a_timeout_fails_when_it_is_over(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.wait_for_external_event("e", timeout=timedelta(seconds=5))
            except TimeoutError:
                return await ctx.wait_for_external_event("e")

        executor, _ = run(
            program,
            started(),
            TimerFired(timestamp=at(5), task_id=1, fire_at=at(5)),
            raised("e", "late", 6),
        )
        assert result(executor) == "late"

    def test_a_wait_with_a_timeout_cancels_its_timer_when_the_event_comes(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.wait_for_external_event("e", timeout=timedelta(seconds=5))

        executor, _ = run(program, started(), raised("e", 1))
        assert result(executor) == 1
        assert executor.completion is not None
        assert executor.completion.abandoned == ()

    def test_sent_events_are_decisions(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.send_event("other", "go", {"n": 1})

        _, history = run(program, started())
        sent = [event for event in history if isinstance(event, EventSent)]
        assert [(e.instance_id, e.name, e.input) for e in sent] == [("other", "go", '{"n":1}')]


class TestContinueAsNew:
    def test_it_ends_the_execution_with_the_next_input_and_the_untaken_events(self) -> None:
        async def program(ctx: OrchestrationContext, n: int) -> Any:
            await ctx.wait_for_external_event("e")
            ctx.continue_as_new(n + 1)

        executor, _ = run(program, started(1), raised("other", "kept"), raised("e"))
        assert executor.completion is not None
        assert executor.completion.status is RuntimeStatus.CONTINUED_AS_NEW
        assert executor.completion.result == "2"
        assert [event.name for event in executor.carried_over] == ["other"]

    def test_it_takes_effect_at_the_next_wait_where_the_code_does_not_return(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.continue_as_new(save_events=False)
            await ctx.call_activity("a")

        executor, history = run(program, started())
        assert executor.completion is not None
        assert executor.completion.status is RuntimeStatus.CONTINUED_AS_NEW
        assert decisions(history) == ["a"]

    def test_failing_after_it_fails_the_instance(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.continue_as_new(1)
            raise MyError("after all")

        assert failure(run(program, started())[0]).type_name == "MyError"


class TestReplay:
    async def program(self, ctx: OrchestrationContext) -> Any:
        first = await ctx.call_activity("a", 1)
        ctx.set_custom_status("half")
        values = await ctx.when_all([ctx.call_activity("b", first), ctx.call_activity("b", 2)])
        return [*values, ctx.new_uuid(), ctx.random().random(), str(ctx.current_utc_datetime)]

    events = (started(), completed(1, 7), completed(3, 3), completed(2, 2))

    def test_replay_gives_what_the_live_run_gave_wherever_it_is_cut(self) -> None:
        live, whole = run(self.program, *self.events)
        for cut in range(len(self.events) + 1):
            _, history = run(self.program, *self.events[:cut])
            executor = make(self.program)
            executor.replay(history)  # type: ignore[arg-type]
            for event in self.events[cut:]:
                history.append(event)
                executor.process(event)
                history.extend(executor.take_decisions())
            assert history == whole
            assert executor.completion == live.completion or cut == len(self.events)

    def test_replay_of_a_finished_instance_is_a_fixed_point(self) -> None:
        _, history = run(self.program, *self.events)
        executor = make(self.program)
        executor.replay(history)  # type: ignore[arg-type]
        assert executor.take_decisions() == []
        assert executor.completion == history[-1]

    def test_custom_status_is_a_note_that_replay_does_not_repeat(self) -> None:
        _, history = run(self.program, *self.events[:2])
        assert [e.status for e in history if isinstance(e, CustomStatusSet)] == ['"half"']
        executor = make(self.program)
        executor.replay(history)  # type: ignore[arg-type]
        assert executor.take_decisions() == []

    def test_is_replaying_tells_history_from_news(self) -> None:
        seen: list[bool] = []

        async def program(ctx: OrchestrationContext) -> Any:
            seen.append(ctx.is_replaying)
            await ctx.call_activity("a")
            seen.append(ctx.is_replaying)

        _, history = run(program, started())
        seen.clear()
        executor = make(program)
        executor.replay(history)  # type: ignore[arg-type]
        executor.process(completed(1))
        assert seen == [True, False]


def changed(
    before: Callable[..., Any], after: Callable[..., Any], *events: Event
) -> NonDeterminismError:
    """Run `before`, replay its history under `after`; return the error that gives."""
    _, history = run(before, *events)
    with pytest.raises(NonDeterminismError) as caught:
        make(after).replay(history)  # type: ignore[arg-type]
    return caught.value


class TestNonDeterminism:
    @staticmethod
    async def calls_a(ctx: OrchestrationContext) -> Any:
        await ctx.call_activity("a", 1)
        await ctx.call_activity("z")

    def test_another_activity_is_named_with_history_code_and_line(self) -> None:
        async def after(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("b", 1)

        error = changed(self.calls_a, after, started())
        assert (error.task_id, error.history, error.code) == (1, "activity 'a'", "activity 'b'")
        assert "test_executor.py, line" in error.line
        assert "resume" in str(error)

    def test_another_kind_of_action_is_found(self) -> None:
        async def after(ctx: OrchestrationContext) -> Any:
            await ctx.create_timer(timedelta(seconds=1))

        assert "timer" in changed(self.calls_a, after, started()).code

    def test_the_error_cannot_be_swallowed_by_the_code(self) -> None:
        async def after(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("b")
            except BaseException:  # noqa: BLE001
                await ctx.call_activity("a")

        assert changed(self.calls_a, after, started()).code == "activity 'b'"

    def test_it_is_found_wherever_the_code_draws_the_action(self) -> None:
        """In a plain function, in a retry, and in the unlocking at the end too."""
        policy = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2)

        def plain(ctx: OrchestrationContext) -> None:
            ctx.call_activity("a")

        def other_plain(ctx: OrchestrationContext) -> None:
            ctx.call_activity("b")

        assert changed(plain, other_plain, started()).code == "activity 'b'"

        async def retried(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a", retry_policy=policy)

        async def waiting(ctx: OrchestrationContext) -> Any:
            first = ctx.call_activity("a", retry_policy=policy)
            await ctx.when_any([first, ctx.wait_for_external_event("e")])

        async def once(ctx: OrchestrationContext) -> Any:
            with contextlib.suppress(ValueError):
                await ctx.call_activity("a")
            ctx.create_timer(timedelta(days=1))
            await ctx.wait_for_external_event("e")

        failing = failed(1, ValueError("x"))
        assert "timer" in changed(retried, once, started(), failing).code
        assert "activity 'a'" in changed(once, waiting, started(), failing).code

        def locking(ctx: OrchestrationContext) -> Any:
            ctx.lock_entities("Account@a")

        async def unlocking(ctx: OrchestrationContext) -> Any:
            ctx.lock_entities("Account@a")
            await ctx.create_timer(timedelta(days=1))

        assert changed(unlocking, locking, started()).code == "unlock of @account@a"

    def test_code_that_returns_earlier_is_found(self) -> None:
        async def after(ctx: OrchestrationContext) -> Any:
            return None

        error = changed(self.calls_a, after, started())
        assert error.history == "activity 'a'"
        assert "ended as Completed" in error.code

    def test_code_that_goes_on_after_its_history_ended_is_found(self) -> None:
        async def before(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a")

        async def after(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a")
            await ctx.wait_for_external_event("more")

        error = changed(before, after, started(), completed(1))
        assert "goes on waiting" in error.code
        assert "test_executor.py, line" in error.line

    def test_another_child_id_event_target_or_name_is_found(self) -> None:
        async def child(ctx: OrchestrationContext) -> Any:
            await ctx.call_sub_orchestrator("c", instance_id="x")

        async def other_child(ctx: OrchestrationContext) -> Any:
            await ctx.call_sub_orchestrator("c", instance_id="y")

        async def event(ctx: OrchestrationContext) -> Any:
            ctx.send_event("x", "go")
            await ctx.call_activity("a")

        async def other_event(ctx: OrchestrationContext) -> Any:
            ctx.send_event("y", "go")
            await ctx.call_activity("a")

        assert "'y'" in changed(child, other_child, started()).code
        assert "'y'" in changed(event, other_event, started()).code

    def test_another_input_or_fire_time_is_a_warning_with_the_line(self) -> None:
        async def before(ctx: OrchestrationContext) -> Any:
            ctx.create_timer(timedelta(seconds=1))
            await ctx.call_activity("a", 1)

        async def after(ctx: OrchestrationContext) -> Any:
            ctx.create_timer(timedelta(seconds=2))
            await ctx.call_activity("a", 2)

        _, history = run(before, started())
        executor = make(after)
        executor.replay(history)  # type: ignore[arg-type]
        assert ["action 1" in executor.warnings[0], "action 2" in executor.warnings[1]] == [
            True,
            True,
        ]

    def test_calls_beyond_the_end_of_history_are_accepted(self) -> None:
        async def before(ctx: OrchestrationContext) -> Any:
            await ctx.wait_for_external_event("e")

        async def after(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("new")

        _, history = run(before, started())
        executor = make(after)
        executor.replay(history)  # type: ignore[arg-type]
        assert executor.is_open(1)


class TestClosing:
    def test_a_suspended_coroutine_is_closed_at_once_and_its_calls_do_nothing(self) -> None:
        seen: list[str] = []

        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            finally:
                seen.append("finally")
                ctx.call_activity("late")
                ctx.set_custom_status("late")

        executor, _ = run(program, started())
        executor.close()
        gc.collect()
        assert seen == ["finally"]
        assert executor.take_decisions() == []

    def test_code_that_refuses_to_end_is_left_alone(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            while True:
                with contextlib.suppress(GeneratorExit):
                    await ctx.call_activity("a")

        executor, _ = run(program, started())
        executor.close()
        executor.process(completed(1))
        assert executor.take_decisions() == []

    def test_open_tasks_are_listed_as_abandoned_when_it_completes(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            ctx.call_activity("a")
            ctx.create_timer(timedelta(days=1))

        executor, _ = run(program, started())
        assert executor.completion is not None
        assert executor.completion.abandoned == (1, 2)


class TestSubOrchestrations:
    def test_ids_contain_the_execution_and_results_come_back(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_sub_orchestrator("child", {"n": 1})

        executor, history = run(
            program,
            started(),
            SubOrchestrationInstanceCompleted(timestamp=at(1), task_id=1, result="5"),
        )
        created = [e for e in history if isinstance(e, SubOrchestrationInstanceCreated)]
        assert [(c.instance_id, c.input, c.explicit_id) for c in created] == [
            ("e1:0001", '{"n":1}', False)
        ]
        assert result(executor) == 5

    def test_an_id_that_breaks_a_rule_raises_in_the_orchestrator(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_sub_orchestrator("child", instance_id="a/b")

        assert failure(run(program, started())[0]).type_name == "InvalidInstanceIdError"


def test_an_execution_completed_event_is_the_last_decision() -> None:
    """Whoever carries out decisions may stop at it."""

    async def program(ctx: OrchestrationContext) -> Any:
        ctx.call_activity("a")
        ctx.set_custom_status(1)

    _, history = run(program, started())
    assert isinstance(history[-1], ExecutionCompleted)


def test_decisions_can_be_looked_at_before_they_are_taken() -> None:
    async def program(ctx: OrchestrationContext) -> Any:
        await ctx.call_activity("a")

    executor = make(program)
    executor.process(started())
    seen = executor.decisions
    assert decisions(seen) == ["a"]
    assert (executor.take_decisions(), executor.decisions) == ([*seen], ())


def test_what_the_code_has_asked_for_is_counted() -> None:
    async def two(ctx: OrchestrationContext) -> None:
        await ctx.when_all([ctx.call_activity("one"), ctx.call_activity("one")])

    executor, _ = run(two, started())
    assert executor.asked == 2
