"""Tasks: settled once, watched, combined; where their failures come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.errors import TaskCancelledError, TaskFailedError
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.tasks import (
    CancellableTask,
    CompletableTask,
    Task,
    WhenAllTask,
    WhenAnyTask,
    as_tasks,
    failed_task_ids,
)

BAD = FailureDetails(error_type="builtins.ValueError", message="bad")


def open_task(name: str = "activity a (task 1)") -> CompletableTask[Any]:
    return CompletableTask(name)


def failed_error(task_id: int) -> TaskFailedError:
    return TaskFailedError("a", task_id, BAD)


class TestOneTask:
    def test_an_open_task_has_neither_result_nor_exception_and_says_to_await_it(self) -> None:
        task = open_task()
        for ask in (task.get_result, task.get_exception, lambda: task.result):
            with pytest.raises(ValueError, match=r"task 1.* is not complete: await it first"):
                ask()
        assert (task.is_complete, task.is_completed) == (False, False)
        assert not task.is_failed

    def test_a_completed_task_gives_its_result_by_every_name(self) -> None:
        task = open_task()
        task.complete("", lambda _: 7)
        assert (task.result, task.get_result(), task.get_exception()) == (7, 7, None)
        assert (task.is_complete, task.is_completed) == (True, True)
        assert not task.is_failed

    def test_a_failed_task_raises_the_same_error_each_time_without_growing_its_traceback(
        self,
    ) -> None:
        task = open_task()
        task.fail(failed_error(1))
        depths = set()
        for _ in range(3):
            with pytest.raises(TaskFailedError) as caught:
                task.get_result()
            assert caught.value is task.get_exception()
            depths.add(len(caught.traceback))
        assert len(depths) == 1
        assert task.is_failed

    @pytest.mark.parametrize("first", ["complete", "fail"])
    def test_what_is_settled_stays_settled(self, first: str) -> None:
        task = open_task()
        if first == "complete":
            task.complete(None)
        else:
            task.fail(failed_error(1))
        before = task.get_exception()
        task.fail(failed_error(2))
        assert task.get_exception() is before

    def test_a_result_is_decoded_when_first_asked_for_and_only_once(self) -> None:
        asked: list[int] = []

        def decode(_: object) -> list[int]:
            asked.append(1)
            return asked

        task = open_task()
        task.complete("", decode)
        assert asked == []
        assert task.result is task.result
        assert asked == [1]

    def test_a_result_that_cannot_be_decoded_makes_the_task_a_failed_one(self) -> None:
        def decode(_: object) -> None:
            raise LookupError("the class has gone")

        for ask_first in ("exception", "result"):
            task = open_task()
            task.complete("", decode)
            if ask_first == "exception":
                assert isinstance(task.get_exception(), LookupError)
            with pytest.raises(LookupError, match="the class has gone"):
                task.get_result()
            assert isinstance(task.get_exception(), LookupError)
            assert task.is_failed

    def test_watchers_are_called_once_in_order_or_at_once_where_it_is_settled(self) -> None:
        seen: list[str] = []
        task = open_task()
        task.watch(lambda _: seen.append("first"))
        task.watch(lambda _: seen.append("second"))
        task.complete(None)
        task.complete(None)
        task.watch(lambda one: seen.append("late" if one is task else "other"))
        assert seen == ["first", "second", "late"]

    def test_its_text_says_what_it_is_and_how_it_stands(self) -> None:
        done, broken = open_task(), open_task()
        done.complete(None)
        broken.fail(failed_error(1))
        assert [repr(open_task()), repr(done), repr(broken)] == [
            "<CompletableTask activity a (task 1): open>",
            "<CompletableTask activity a (task 1): complete>",
            "<CompletableTask activity a (task 1): failed>",
        ]

    def test_a_task_can_be_awaited_again_and_gives_the_same(self) -> None:
        async def twice(task: Task[int]) -> list[int]:
            return [await task, await task]

        task = open_task()
        code = twice(task)
        assert code.send(None) is task
        task.complete("", lambda _: 3)
        with pytest.raises(StopIteration) as stop:
            code.send(None)
        assert stop.value.value == [3, 3]


class TestCancelling:
    def test_cancelling_settles_an_open_task_once_and_tells_the_owner(self) -> None:
        told: list[str] = []
        task: CancellableTask[None] = CancellableTask("timer (task 1)", lambda _: told.append("x"))
        assert [task.cancel(), task.cancel()] == [True, False]
        assert told == ["x"]
        assert task.is_cancelled
        with pytest.raises(TaskCancelledError, match=r"timer \(task 1\) was cancelled"):
            task.get_result()

    def test_a_complete_task_cannot_be_cancelled(self) -> None:
        told: list[str] = []
        task: CancellableTask[int] = CancellableTask("wait", lambda _: told.append("x"))
        task.complete("", lambda _: 1)
        assert not task.cancel()
        assert not task.is_cancelled
        assert (task.result, told) == (1, [])


class TestWhenAll:
    @given(order=st.permutations(range(5)), failing=st.sets(st.integers(0, 4)))
    def test_it_settles_with_the_last_and_blames_the_first_that_failed(
        self, order: list[int], failing: set[int]
    ) -> None:
        """In any order of outcomes; it names all failed tasks, so that a rewind redoes them."""
        tasks = [open_task(f"task {number}") for number in range(5)]
        group = WhenAllTask(list(tasks))
        for position, number in enumerate(order):
            assert group.is_complete == (position == 5)
            if number in failing:
                tasks[number].fail(failed_error(number))
            else:
                tasks[number].complete("", lambda _, number=number: number)
        assert group.is_complete
        if failing:
            first = next(number for number in order if number in failing)
            assert group.get_exception() is tasks[first].get_exception()
            assert failed_task_ids(group.get_exception()) == failing
        else:
            assert group.result == [0, 1, 2, 3, 4]

    def test_a_failure_that_no_activity_had_is_raised_as_it_is(self) -> None:
        """A cancelled timer among the tasks, for one."""
        timer: CancellableTask[None] = CancellableTask("timer", lambda _: None)
        group = WhenAllTask([timer])
        timer.cancel()
        assert isinstance(group.get_exception(), TaskCancelledError)

    def test_a_result_that_cannot_be_decoded_fails_the_group(self) -> None:
        task = open_task()
        group = WhenAllTask([task])
        task.complete("", lambda _: {}["gone"])
        assert isinstance(group.get_exception(), KeyError)

    def test_the_same_task_twice_counts_twice(self) -> None:
        task = open_task()
        group = WhenAllTask([task, task])
        task.complete("", lambda _: 1)
        assert group.result == [1, 1]


class TestWhenAny:
    def test_the_first_to_settle_wins_for_good(self) -> None:
        first, second = open_task(), open_task()
        race = WhenAnyTask([first, second])
        second.fail(failed_error(2))
        first.complete(None)
        assert race.result is second

    def test_of_settled_tasks_the_first_in_the_list_wins(self) -> None:
        first, second = open_task(), open_task()
        second.complete(None)
        first.complete(None)
        assert WhenAnyTask([first, second]).result is first

    def test_a_wait_that_lost_is_marked_and_one_that_was_cancelled_is_not(self) -> None:
        winner = open_task()
        lost: CancellableTask[None] = CancellableTask("wait", lambda _: None)
        cancelled: CancellableTask[None] = CancellableTask("wait", lambda _: None)
        WhenAnyTask([winner, lost, cancelled])
        cancelled.cancel()
        winner.complete(None)
        assert [lost.has_lost, cancelled.has_lost] == [True, False]


class TestAsTasks:
    def test_coroutines_among_the_tasks_are_started_in_their_place(self) -> None:
        async def code() -> None: ...

        task, coroutine = open_task(), code()
        spawned = open_task("spawned")
        found = as_tasks("when_all", iter([task, coroutine]), lambda _: spawned)
        assert found == [task, spawned]
        coroutine.close()

    @pytest.mark.parametrize("wrong", [7, None])
    def test_what_is_no_iterable_is_refused_with_the_way_to_write_it(self, wrong: Any) -> None:
        with pytest.raises(TypeError) as refused:
            as_tasks("when_any", wrong, lambda _: open_task())
        assert str(refused.value) == (
            f"when_any takes an iterable of tasks, not a {type(wrong).__name__}: "
            "write when_any([first, second])"
        )

    def test_what_is_no_task_among_them_is_refused_by_its_place(self) -> None:
        with pytest.raises(TypeError) as refused:
            as_tasks("when_all", [open_task(), "fetch"], lambda _: open_task())
        assert str(refused.value) == (
            "when_all takes tasks; item 1 is a str. "
            "Tasks come from ctx.call_activity, ctx.create_timer and their like."
        )


class TestFailedTaskIds:
    def test_they_are_found_through_causes_and_contexts(self) -> None:
        def chain() -> None:
            try:
                raise failed_error(4)
            except TaskFailedError:
                raise KeyError("while handling it")  # noqa: B904

        with pytest.raises(KeyError) as caught:
            chain()
        outer = RuntimeError("outer")
        outer.__cause__ = caught.value
        assert failed_task_ids(outer) == {4}

    def test_errors_of_the_code_itself_have_none_and_cycles_end(self) -> None:
        one, other = ValueError(), KeyError()
        one.__cause__, other.__cause__ = other, one
        assert failed_task_ids(one) == set()
        assert failed_task_ids(None) == set()
