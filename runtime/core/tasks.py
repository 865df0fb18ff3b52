"""Tasks: what orchestrator code waits for, and how they combine.

A task is settled once and never again. It can be awaited (`await task`) or yielded
(`yield task`); neither needs an event loop, as the executor drives the code itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from .errors import TaskCancelledError, TaskFailedError
from .failure import FailureDetails
from .payload import Payload
from .retry import RetryPolicy

__all__ = [
    "CancellableTask",
    "CompletableTask",
    "LostMark",
    "RetryState",
    "Task",
    "TimerTask",
    "WhenAllTask",
    "WhenAnyTask",
    "as_tasks",
    "failed_task_ids",
]

T = TypeVar("T")

_Watcher: TypeAlias = "Callable[[Task[Any]], None]"


def _waiter(watcher: object) -> Task[Any] | None:
    """Return the task that a watcher belongs to; None for what only keeps books."""
    owner = getattr(watcher, "__self__", None)
    return owner if isinstance(owner, Task) else None


class LostMark:
    """Stands among the watchers of a task that lost a `when_any`, first, until it is taken up."""

    __slots__ = ()

    def __call__(self, task: Task[Any]) -> None:
        """Stay with the task when it settles: its result may be asked for later."""
        task.mark(self)

    def taken_up(self, task: Task[Any]) -> None:
        """Take note that something waits for the task again, or asks for its result."""


class Task(Generic[T]):
    """Something that will be done. Awaiting it gives its result or raises its failure.

    Args:
        description: What it is, for people.
    """

    __slots__ = ("_complete", "_description", "_error", "_result", "_watchers")

    def __init__(self, description: str) -> None:
        self._description = description
        self._complete = False
        self._result: T | None = None
        self._error: Exception | None = None
        # One by itself, as most have one and an execution may have 100,000 open tasks.
        self._watchers: _Watcher | list[_Watcher] | None = None

    @property
    def description(self) -> str:
        """What it is, for people."""
        return self._description

    @property
    def is_complete(self) -> bool:
        """Whether it is settled: returned, failed or cancelled."""
        return self._complete

    @property
    def is_completed(self) -> bool:
        """As `is_complete`; the name it has in Azure Durable Functions."""
        return self._complete

    @property
    def is_failed(self) -> bool:
        """Whether it is settled and has no result."""
        return self._complete and self.get_exception() is not None

    @property
    def result(self) -> T:
        """The result; as `get_result`."""
        return self.get_result()

    def get_result(self) -> T:
        """Return the result.

        Raises:
            ValueError: It is not complete.
            TaskFailedError: It failed.
            TaskCancelledError: It was cancelled.
        """
        if not self._complete:
            raise ValueError(f"{self.description} is not complete: await it first")
        if self._watchers is not None:
            self._take_up()
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._result  # type: ignore[return-value]

    def get_exception(self) -> Exception | None:
        """Return why it failed, or None; raises ValueError if it is not complete."""
        if not self._complete:
            raise ValueError(f"{self.description} is not complete: await it first")
        return self._error

    @property
    def waits_for(self) -> Iterable[Task[Any]]:
        """What it waits for, or has waited for last, itself."""
        return ()

    def watch(self, watcher: _Watcher) -> None:
        """Have `watcher` called when it settles; at once if it is settled already."""
        if self._watchers is not None:
            self._take_up()
        if self._complete:
            watcher(self)
        elif self._watchers is None:
            self._watchers = watcher
        else:
            self._several().append(watcher)

    def unwatch(self, watcher: _Watcher) -> None:
        """Have `watcher` not be called; it may be one that never was to be."""
        if self._watchers == watcher:
            self._watchers = None
        elif isinstance(self._watchers, list) and watcher in self._watchers:
            self._watchers.remove(watcher)
            if not self._watchers:
                self._watchers = None

    @property
    def is_awaited(self) -> bool:
        """Whether code, or another task, is told when it settles."""
        watchers = self._watchers
        if not isinstance(watchers, list):
            return watchers is not None and _waiter(watchers) is not None
        return any(_waiter(one) is not None for one in watchers)

    def is_awaited_only_by(self, other: Task[Any]) -> bool:
        """Whether no code, and no other task than this one, is told when it settles."""
        watchers = self._watchers
        if not isinstance(watchers, list):
            return _waiter(watchers) in (other, None)
        return all(_waiter(one) in (other, None) for one in watchers)

    def mark(self, mark: LostMark) -> None:
        """Have it tell `mark` when something waits for it again."""
        if self._watchers is None:
            self._watchers = mark
        elif not isinstance(self._several()[0], LostMark):
            self._several().insert(0, mark)

    def _take_up(self) -> None:
        """Have whoever marked it as lost know that it is wanted."""
        watchers: Any = self._watchers
        mark = watchers[0] if isinstance(watchers, list) else watchers
        if isinstance(mark, LostMark):
            self._watchers = watchers[1:] or None if isinstance(watchers, list) else None
            mark.taken_up(self)

    def _several(self) -> list[Any]:
        """Return its watchers, of which it has at least one, as a list."""
        if isinstance(self._watchers, list):
            return self._watchers
        assert self._watchers is not None
        self._watchers = [self._watchers]
        return self._watchers

    def let_go(self) -> None:
        """Tell nobody when it settles: the execution has ended."""
        self._watchers = None

    def __await__(self) -> Generator[Task[Any], Any, T]:
        if not self._complete:
            yield self
        return self.get_result()

    def __repr__(self) -> str:
        state = "open" if not self._complete else "failed" if self._error else "complete"
        return f"<{type(self).__name__} {self.description}: {state}>"

    def _settle(self, result: T | None, error: Exception | None) -> None:
        if self._complete:
            return
        self._complete = True
        self._result = result
        self._error = error
        watchers, self._watchers = self._watchers, None
        if isinstance(watchers, list):
            for watcher in watchers:
                watcher(self)
        elif watchers is not None:
            watchers(self)


class CompletableTask(Task[T]):
    """A task that an event settles; its result is decoded when first asked for.

    Args:
        description: What it is, for people, e.g. `"activity fetch"`.
        name: What is called, for errors.
        task_id: The action id; 0 for none.

    Attributes:
        name: As given.
        retry: How far its retries have come; None where it has none.
    """

    __slots__ = ("_decode", "_task_id", "name", "retry")

    def __init__(self, description: str, name: str = "task", task_id: int = 0) -> None:
        super().__init__(description)
        self.name = name
        self._task_id = task_id
        self._decode: Callable[[Any], T] | None = None
        self.retry: RetryState | None = None

    @property
    def task_id(self) -> int:
        """Its action id, that of the first attempt; 0 for none."""
        return self._task_id

    @property
    def description(self) -> str:
        """What it is, for people, e.g. `"activity fetch (task 3)"`."""
        number = f" (task {self._task_id})" if self._task_id else ""
        return f"{self._description}{number}"

    def complete(
        self, payload: Payload | None, decode: Callable[[Payload], T] | None = None
    ) -> None:
        """Settle it with the result that `decode` will make of the payload, or with None."""
        # Two references: a closure for each of many results would cost more than most results.
        self._decode = None if payload is None else decode
        self._settle(payload, None)  # type: ignore[arg-type]

    def fail(self, error: Exception) -> None:
        """Settle it as failed."""
        self._settle(None, error)

    def get_result(self) -> T:
        """Return the result, as `Task.get_result`; may also raise DecodingError."""
        if self._decode is not None:
            decode, self._decode = self._decode, None
            payload, self._result = self._result, None
            try:
                self._result = decode(payload)
            except Exception as error:  # noqa: BLE001  (whatever a user's class raises on rebuilding)
                self._error = error
        return super().get_result()

    def get_exception(self) -> Exception | None:
        """Return why it failed or cannot be decoded, or None."""
        if self._decode is not None:
            try:
                self.get_result()
            except Exception as error:  # noqa: BLE001
                return error
        return super().get_exception()


class CancellableTask(CompletableTask[T]):
    """A timer or an event wait: the orchestrator may stop waiting for it.

    Attributes:
        has_lost: Whether it lost a `when_any`, was not cancelled, and nothing waits for it since.
            Such an event wait still takes the next event.
    """

    __slots__ = ("_is_cancelled", "_on_cancel", "has_lost")

    def __init__(
        self,
        description: str,
        on_cancel: Callable[[CancellableTask[Any]], None],
        name: str = "task",
        task_id: int = 0,
    ) -> None:
        super().__init__(description, name, task_id)
        self._on_cancel = on_cancel
        self._is_cancelled = False
        self.has_lost = False

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` settled it."""
        return self._is_cancelled

    def watch(self, watcher: _Watcher) -> None:
        """Have `watcher` called when it settles; as `Task.watch`."""
        self.has_lost = False
        super().watch(watcher)

    def cancel(self) -> bool:
        """Stop waiting; its result raises TaskCancelledError from now on.

        Returns:
            False where it was complete already.
        """
        if self.is_complete:
            return False
        self._is_cancelled = True
        self._on_cancel(self)
        self._settle(None, TaskCancelledError(self.description))
        return True


class TimerTask(CancellableTask[None]):
    """A durable timer.

    Attributes:
        fire_at: When it fires (naive UTC).
    """

    __slots__ = ("fire_at",)

    def __init__(
        self,
        description: str,
        on_cancel: Callable[[CancellableTask[Any]], None],
        fire_at: datetime,
        task_id: int = 0,
    ) -> None:
        super().__init__(description, on_cancel, description, task_id)
        self.fire_at = fire_at


class RetryState:
    """How far the retries of one activity or sub-orchestration call have come."""

    __slots__ = ("attempt", "origin", "policy", "reschedule", "scheduled_at")

    def __init__(
        self,
        policy: RetryPolicy,
        origin: int,
        scheduled_at: datetime,
        reschedule: Callable[[], None],
    ) -> None:
        self.policy = policy
        self.origin = origin
        self.scheduled_at = scheduled_at
        self.reschedule = reschedule
        self.attempt = 1

    def next_delay(self, failure: FailureDetails, now: datetime) -> timedelta | None:
        """Return the delay before the next attempt, or None to give up."""
        return self.policy.next_delay(self.attempt, failure, now - self.scheduled_at)


class WhenAllTask(Task[list[Any]]):
    """Complete when all its tasks are; see `OrchestrationContext.when_all`."""

    __slots__ = ("_first_failed", "_open", "_tasks")

    def __init__(self, tasks: list[Task[Any]]) -> None:
        super().__init__(f"when_all of {len(tasks)} tasks")
        self._tasks = tasks
        self._open = len(tasks)
        self._first_failed: Task[Any] | None = None
        on_settled = self._on_settled
        for task in tasks:
            task.watch(on_settled)
        if not tasks:
            self._settle([], None)

    @property
    def waits_for(self) -> list[Task[Any]]:
        """All its tasks."""
        return self._tasks

    def _on_settled(self, task: Task[Any]) -> None:
        self._open -= 1
        if self._first_failed is None and task.get_exception() is not None:
            self._first_failed = task
        if self._open:
            return
        if self._first_failed is not None:
            self._settle(None, self._blame_all(self._first_failed))
        else:
            self._settle([one.get_result() for one in self._tasks], None)

    def _blame_all(self, first: Task[Any]) -> Exception | None:
        error = first.get_exception()
        if isinstance(error, TaskFailedError):
            failures = (task.get_exception() for task in self._tasks)
            error.also_failed = frozenset[int]().union(*map(failed_task_ids, failures))
        return error


class WhenAnyTask(Task[Task[Any]]):
    """Complete when the first of its tasks is; see `OrchestrationContext.when_any`.

    Args:
        tasks: What it waits for.
        decided: Called with it when one of them has settled.
    """

    __slots__ = ("_decided", "_tasks")

    def __init__(
        self, tasks: list[Task[Any]], decided: Callable[[WhenAnyTask], None] | None = None
    ) -> None:
        super().__init__(f"when_any of {len(tasks)} tasks")
        self._tasks = tasks
        self._decided = decided
        if not tasks:
            raise ValueError("when_any of no tasks would wait for ever: give it at least one")
        on_settled = self._on_settled
        for task in tasks:
            task.watch(on_settled)
        if self.is_complete:
            self._leave()

    @property
    def waits_for(self) -> list[Task[Any]]:
        """All its tasks."""
        return self._tasks

    @property
    def winner(self) -> Task[Any] | None:
        """What came first; None while nothing has."""
        return self._result

    def losers(self) -> list[Task[Any]]:
        """Return those that have not settled and that nothing waits for any more."""
        return [one for one in self._tasks if not one._complete and not one.is_awaited]

    def _on_settled(self, task: Task[Any]) -> None:
        if self.is_complete:
            return
        for other in self._tasks:
            if isinstance(other, CancellableTask) and not other.is_complete:
                other.has_lost = True
        self._leave()
        self._settle(task, None)
        if self._decided is not None and len(self._tasks) > 1:
            self._decided(self)

    def _leave(self) -> None:
        # Tasks that lose many a `when_any` would come to have as many watchers.
        on_settled = self._on_settled
        for other in self._tasks:
            if not other._complete:
                other.unwatch(on_settled)


def as_tasks(
    what: str,
    tasks: Iterable[Any],
    spawn: Callable[[Coroutine[Any, Any, Any]], Task[Any]],
) -> list[Task[Any]]:
    """Return the tasks of any iterable; coroutines among them are started as tasks.

    Args:
        what: The name of the combinator, for the message of an error.
        tasks: What the user gave.
        spawn: Starts a coroutine.

    Raises:
        TypeError: Something is neither; says what and how to mend it.
    """
    if isinstance(tasks, Task) or not isinstance(tasks, Iterable):
        raise TypeError(
            f"{what} takes an iterable of tasks, not a {type(tasks).__name__}: "
            f"write {what}([first, second])"
        )
    found: list[Task[Any]] = []
    for position, one in enumerate(tasks):
        if isinstance(one, Task):
            found.append(one)
        elif isinstance(one, Coroutine):
            found.append(spawn(one))
        else:
            raise TypeError(
                f"{what} takes tasks; item {position} is a {type(one).__name__}. "
                "Tasks come from ctx.call_activity, ctx.create_timer and their like."
            )
    return found


def failed_task_ids(error: BaseException | None) -> frozenset[int]:
    """Return the action ids of the failed tasks that an error comes from."""
    found: set[int] = set()
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, TaskFailedError):
            found |= {error.task_id, *error.also_failed}
        error = error.__cause__ or error.__context__
    return frozenset(found)
