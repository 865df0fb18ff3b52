"""`run["fetch"]`: the activities of an instance by name, with all that is known of each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, overload

import msgspec

from .client import DurableClient
from .core.events import AttemptLost, HistoryEvent, TaskCompleted, TaskFailed, TaskScheduled
from .core.failure import FailureDetails
from .core.output import AttemptOutput
from .core.payload import Payload
from .ports import InstanceUpdate

__all__ = ["AttemptHandle", "TaskHandle", "TaskHandles", "tasks_of"]


class _Attempt(msgspec.Struct):
    """What the history says of an attempt."""

    task_id: int
    number: int
    status: str = "queued"
    worker: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""


class _Task(msgspec.Struct):
    """What the history says of an activity, with its retries."""

    scheduled: TaskScheduled
    attempts: list[_Attempt]
    result: Payload | None = None
    failure: FailureDetails | None = None


class AttemptHandle:
    """One attempt of an activity.

    Attributes:
        task_id: The action id; each retry has its own.
        number: Counted from 1 for each action id; above 1 where attempts were lost.
        status: `"queued"`, `"running"`, `"completed"`, `"failed"` or `"lost"`.
        worker: Who ran it.
        started_at: When its body began, naive UTC; None where that is not known.
        ended_at: When its end was recorded.
        reason: Why it failed or was lost.
    """

    def __init__(
        self, client: DurableClient, instance_id: str, attempt: _Attempt, show: _Show
    ) -> None:
        self._client = client
        self._instance_id = instance_id
        self._show = show
        self.task_id = attempt.task_id
        self.number = attempt.number
        self.status = attempt.status
        self.worker = attempt.worker
        self.started_at = attempt.started_at
        self.ended_at = attempt.ended_at
        self.reason = attempt.reason

    @property
    def output(self) -> AttemptOutput:
        """What it has printed, logged and displayed; also while it runs."""
        found = self._client.attempt_output(self._instance_id, self.task_id, self.number)
        return found or AttemptOutput()

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end; None where one is not known."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def show(self) -> None:
        """Show its output as a cell would: plots as plots, tables as tables."""
        self._show(self.output)

    def __repr__(self) -> str:
        took = "" if self.duration is None else f" after {self.duration:.3g} s"
        why = f": {self.reason}" if self.reason else ""
        return f"<attempt {self.task_id}/{self.number} {self.status}{took}{why}>"


_Show = Callable[[AttemptOutput], None]


class TaskHandle:
    """One call of an activity, with all its attempts and retries.

    Attributes:
        name: The activity.
        task_id: The action id of its first attempt.
        scheduled_at: When the orchestrator asked for it, naive UTC.
        failure: Why it failed in the end; None where it did not.
        attempts: All attempts in order, retries included.
    """

    def __init__(self, client: DurableClient, instance_id: str, task: _Task, show: _Show) -> None:
        self._client = client
        self._task = task
        self.name = task.scheduled.name
        self.task_id = task.scheduled.task_id
        self.scheduled_at = task.scheduled.timestamp
        self.failure = task.failure
        self.attempts = [AttemptHandle(client, instance_id, one, show) for one in task.attempts]

    @property
    def input(self) -> Any:
        """What it was given; None where nothing was."""
        return self._client.decode(self._task.scheduled.input)

    @property
    def result(self) -> Any:
        """What it returned; None until it has completed."""
        return self._client.decode(self._task.result)

    @property
    def status(self) -> str:
        """As of its newest attempt: `"queued"`, `"running"`, `"completed"` or `"failed"`."""
        return self.attempts[-1].status

    @property
    def started_at(self) -> datetime | None:
        """When its first attempt began."""
        return self.attempts[0].started_at

    @property
    def ended_at(self) -> datetime | None:
        """When it completed or failed in the end; None before."""
        return self.attempts[-1].ended_at if self.status in ("completed", "failed") else None

    @property
    def duration(self) -> float | None:
        """Seconds from the start of its first attempt to its end; None where one is not known."""
        started_at, ended_at = self.started_at, self.ended_at
        if started_at is None or ended_at is None:
            return None
        return (ended_at - started_at).total_seconds()

    @property
    def output(self) -> AttemptOutput:
        """What its newest attempt has printed, logged and displayed; also while it runs."""
        return self.attempts[-1].output

    @property
    def traceback(self) -> str:
        """The whole traceback of its failure, with the causes; empty where it did not fail."""
        return "\n".join(self.failure.explain()) if self.failure is not None else ""

    def show(self) -> None:
        """Show the output of its newest attempt as a cell would."""
        self.attempts[-1].show()

    def __repr__(self) -> str:
        took = "" if self.duration is None else f" after {self.duration:.3g} s"
        count = len(self.attempts)
        tries = f", {count} attempts" if count > 1 else ""
        why = f": {self.failure}" if self.failure is not None else ""
        return f"<{self.name} (task {self.task_id}) {self.status}{took}{tries}{why}>"


class TaskHandles(Sequence[TaskHandle]):
    """The calls of one activity in an instance's present execution, in order; a snapshot."""

    def __init__(self, name: str, tasks: Sequence[TaskHandle]) -> None:
        self.name = name
        self._tasks = tasks

    @overload
    def __getitem__(self, index: int) -> TaskHandle: ...

    @overload
    def __getitem__(self, index: slice) -> TaskHandles: ...

    def __getitem__(self, index: int | slice) -> TaskHandle | TaskHandles:
        if isinstance(index, slice):
            return TaskHandles(self.name, self._tasks[index])
        return self._tasks[index]

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        counts = Counter(task.status for task in self._tasks)
        shown = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        calls = "call" if len(self) == 1 else "calls"
        return f"<{len(self):,} {calls} of {self.name}: {shown}>"


def tasks_of(client: DurableClient, update: InstanceUpdate, name: str, show: _Show) -> TaskHandles:
    """Return the calls of an activity.

    Args:
        client: Reaches the host.
        update: Everything about the instance.
        name: The activity.
        show: Shows output.

    Raises:
        KeyError: The instance has called no such activity; lists those it has.
    """
    tasks = _read(event for _, event in update.events)
    for running in update.running:
        task = tasks.get(running.task_id)
        if task is not None and task.attempts[-1].task_id == running.task_id:
            newest = task.attempts[-1]
            newest.status, newest.worker = "running", running.worker
            newest.started_at = running.started_at
    found = {id(task): task for task in tasks.values()}.values()
    mine = [task for task in found if task.scheduled.name == name]
    if not mine:
        names = sorted({task.scheduled.name for task in found})
        there = f"it has called {', '.join(names)}" if names else "it has called none so far"
        raise KeyError(f"{update.record.instance_id!r} has called no activity {name!r}; {there}")
    instance_id = update.record.instance_id
    return TaskHandles(name, [TaskHandle(client, instance_id, task, show) for task in mine])


def _read(events: Iterable[HistoryEvent]) -> dict[int, _Task]:
    """Return the activities by action id; all retries of one call give the same."""
    tasks: dict[int, _Task] = {}
    for event in events:
        if isinstance(event, TaskScheduled):
            task = tasks.get(event.origin)
            if task is None:
                task = _Task(event, [])
            task.attempts.append(_Attempt(event.task_id, 1))
            task.failure = None
            tasks[event.task_id] = task
        elif isinstance(event, TaskCompleted | TaskFailed | AttemptLost):
            task = tasks.get(event.task_id)
            if task is not None:
                _end_attempt(task, event)
    return tasks


def _end_attempt(task: _Task, event: TaskCompleted | TaskFailed | AttemptLost) -> None:
    attempt = task.attempts[-1]
    if isinstance(event, AttemptLost):
        attempt.number, attempt.worker, attempt.reason = event.attempt, event.worker, event.reason
        attempt.status, attempt.ended_at = "lost", event.timestamp
        task.attempts.append(_Attempt(event.task_id, event.attempt + 1))
        return
    record = event.attempt
    if attempt.status in ("completed", "failed"):  # It was rewound, and done again.
        attempt = _Attempt(event.task_id, record.number)
        task.attempts.append(attempt)
    attempt.number, attempt.worker = record.number, record.worker
    attempt.started_at, attempt.ended_at = record.started_at, event.timestamp
    if isinstance(event, TaskCompleted):
        attempt.status, task.result, task.failure = "completed", event.result, None
    else:
        attempt.status, attempt.reason = "failed", str(event.failure)
        task.failure = event.failure
