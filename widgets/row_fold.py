"""History to rows: which operations there were, and what became of them. Pure.

A row is a *logical* operation: all retries and lost attempts of one activity are one row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.plain_json import as_written

from .views import HINT_CHARS, Outcome, RowKind, RowState, preview, shorten

__all__ = ["Attempt", "Group", "Row", "RowFold"]

_PARSED_CHARS = 4000


@dataclass(slots=True)
class Attempt:
    """One attempt; times as they stand in the history."""

    task_id: int
    scheduled_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome = Outcome.OPEN
    failure: FailureDetails | None = None
    lost: str = ""
    worker: str = ""


@dataclass(slots=True)
class Row:
    """One logical operation with all its attempts, oldest first."""

    index: int
    group: int
    kind: RowKind
    attempts: list[Attempt]
    hint: str = ""
    target: str = ""
    version: str = ""
    input: Payload | None = None
    output: Payload | None = None
    due_at: datetime | None = None
    progress: ev.ActivityProgressed | None = None
    locks_held: int = 0
    has_lost: bool = False


@dataclass(slots=True)
class Group:
    """Siblings: the rows of one kind and name, counted by state."""

    kind: RowKind
    name: str
    counts: list[int] = field(default_factory=lambda: [0] * len(RowState))


class RowFold:
    """Folds history events into rows.

    Attributes:
        epoch: Changes when the rows start over, as they do at continue-as-new.
        started_at: When the present execution began; None before its first event.
        closed_at: When it ended; None while it goes on.
        rows: In the order they were scheduled.
        groups: In the order they appeared; their counts are kept by whoever knows the states.
        dirty: Indexes of rows touched since the reader last cleared it.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._execution_id = ""
        self._start_over(None)

    def fold(self, event: ev.Event) -> None:
        """Apply one event; kinds that concern no row are ignored."""
        apply = self._FOLDS.get(type(event))
        if apply is not None:
            apply(self, event)

    def touch(self, task_id: int) -> Row | None:
        """Mark the row of an action id as changed; returns it, or None if there is none."""
        row = self._row_of.get(task_id)
        if row is not None:
            self.dirty.add(row.index)
        return row

    def _start_over(self, started_at: datetime | None) -> None:
        self.epoch += 1
        self.started_at = started_at
        self.closed_at: datetime | None = None
        self.rows: list[Row] = []
        self.groups: list[Group] = []
        self.dirty: set[int] = set()
        self._group_index: dict[tuple[RowKind, str], int] = {}
        self._row_of: dict[int, Row] = {}
        self._races: list[ev.RaceDecided] = []

    def _started(self, event: ev.ExecutionStarted) -> None:
        if event.execution_id != self._execution_id:
            self._execution_id = event.execution_id
            self._start_over(event.timestamp)

    def _completed(self, event: ev.ExecutionCompleted) -> None:
        self.closed_at = event.timestamp
        self.dirty.update(
            row.index for row in self.rows if row.attempts[-1].outcome is not Outcome.COMPLETED
        )

    def _rewound(self, event: ev.ExecutionRewound) -> None:
        self.closed_at = None
        self.dirty.update(range(len(self.rows)))
        for race in self._races:
            if any(a <= task_id <= b for a, b in race.won for task_id in event.task_ids):
                self._set_lost(race.lost, False)
        for task_id in event.task_ids:
            row = self._row_of.get(task_id)
            if row is not None and row.attempts[-1].outcome is Outcome.FAILED:
                attempt = Attempt(task_id, event.timestamp)
                if row.kind in (RowKind.ORCHESTRATION, RowKind.ENTITY_CALL):
                    attempt.started_at = event.timestamp
                row.attempts.append(attempt)

    def _scheduled(self, event: ev.TaskScheduled) -> None:
        if not self._retry(event.task_id, event.origin, event.timestamp):
            row = self._add(RowKind.ACTIVITY, event.name, event.task_id, event.timestamp)
            row.hint = _hint(event.input)
            row.version, row.input = event.version, event.input

    def _child_created(self, event: ev.SubOrchestrationInstanceCreated) -> None:
        row = self._retry(event.task_id, event.origin, event.timestamp)
        if row is None:
            row = self._add(RowKind.ORCHESTRATION, event.name, event.task_id, event.timestamp)
            row.hint = _hint(event.input) or (event.instance_id if event.explicit_id else "")
            row.version, row.input = event.version, event.input
        row.attempts[-1].started_at = event.timestamp
        row.target = event.instance_id

    def _called(self, event: ev.EntityOperationCalled) -> None:
        name, key = _entity_name(event.entity_id, event.operation)
        row = self._add(RowKind.ENTITY_CALL, name, event.task_id, event.timestamp)
        row.hint, row.target, row.input = key, event.entity_id, event.input
        row.attempts[0].started_at = event.timestamp

    def _signaled(self, event: ev.EntityOperationSignaled) -> None:
        name, key = _entity_name(event.entity_id, event.operation)
        row = self._point(RowKind.SIGNAL, name, event.task_id, event.timestamp)
        row.hint, row.target, row.input = key, event.entity_id, event.input

    def _sent(self, event: ev.EventSent) -> None:
        row = self._point(RowKind.EVENT_SENT, event.name, event.task_id, event.timestamp)
        row.hint, row.target, row.input = event.instance_id, event.instance_id, event.input

    def _raised(self, event: ev.EventRaised) -> None:
        row = self._point(RowKind.EVENT, event.name, 0, event.timestamp)
        row.hint = _hint(event.input)
        row.target, row.input = event.sender, event.input

    def _timer_created(self, event: ev.TimerCreated) -> None:
        row = self._row_of.get(event.origin) if event.origin else None
        if row is None:
            row = self._add(RowKind.TIMER, "timer", event.task_id, event.timestamp)
        # A retry's timer has an action id of its own that leads to no row: when it fires, the
        # next attempt is scheduled in the same turn and says the same.
        row.due_at = event.fire_at
        self.dirty.add(row.index)

    def _timer_fired(self, event: ev.TimerFired) -> None:
        self._settle(event.task_id, event.timestamp, Outcome.COMPLETED)

    def _lock_requested(self, event: ev.EntityLockRequested) -> None:
        entities = [_entity_key(entity_id) for entity_id in event.entity_ids]
        row = self._add(RowKind.LOCK, "lock", event.task_id, event.timestamp)
        row.hint = shorten(", ".join(entities), HINT_CHARS)
        row.target = ", ".join(event.entity_ids)
        row.locks_held = len(event.entity_ids)

    def _lock_granted(self, event: ev.EntityLockGranted) -> None:
        row = self.touch(event.task_id)
        if row is not None:
            row.attempts[-1].started_at = event.timestamp

    def _unlocked(self, event: ev.EntityUnlockSent) -> None:
        row = self.touch(event.lock_id)
        if row is not None:
            row.locks_held -= 1
            if row.locks_held <= 0:
                self._settle(event.lock_id, event.timestamp, Outcome.COMPLETED)

    def _returned(
        self,
        event: ev.TaskCompleted
        | ev.SubOrchestrationInstanceCompleted
        | ev.EntityOperationCompleted,
    ) -> None:
        self._follow_lost(event)
        row = self._settle(event.task_id, event.timestamp, Outcome.COMPLETED)
        if row is not None:
            row.output = event.result
            self._ran(row, event)

    def _failed(
        self,
        event: ev.TaskFailed | ev.SubOrchestrationInstanceFailed | ev.EntityOperationFailed,
    ) -> None:
        self._follow_lost(event)
        row = self._settle(event.task_id, event.timestamp, Outcome.FAILED)
        if row is not None:
            row.attempts[-1].failure = event.failure
            self._ran(row, event)

    def _attempt_lost(self, event: ev.AttemptLost) -> None:
        row = self._settle(event.task_id, event.timestamp, Outcome.LOST)
        if row is not None:
            attempt = row.attempts[-1]
            attempt.lost = event.reason
            attempt.worker = event.worker or attempt.worker

    def _attempt_started(self, event: ev.AttemptStarted) -> None:
        row = self.touch(event.task_id)
        if row is not None:
            attempt = row.attempts[-1]
            if attempt.outcome is Outcome.LOST:
                attempt = Attempt(event.task_id, attempt.ended_at or event.timestamp)
                row.attempts.append(attempt)
            attempt.started_at = attempt.started_at or event.timestamp
            attempt.worker = event.worker

    def _progressed(self, event: ev.ActivityProgressed) -> None:
        row = self.touch(event.task_id)
        if row is not None:
            row.progress = event

    def _race_decided(self, event: ev.RaceDecided) -> None:
        self._races.append(event)
        self._set_lost(event.lost, True)
        self._set_lost(event.taken_up, False)

    def _set_lost(self, spans: ev.Spans, has_lost: bool) -> None:
        for first, last in spans:
            for task_id in range(first, last + 1):
                row = self.touch(task_id)
                if row is not None:
                    row.has_lost = has_lost

    def _add(self, kind: RowKind, name: str, task_id: int, at: datetime) -> Row:
        key = (kind, name)
        group = self._group_index.get(key)
        if group is None:
            group = self._group_index[key] = len(self.groups)
            self.groups.append(Group(kind, name))
        row = Row(len(self.rows), group, kind, [Attempt(task_id, at)])
        self.rows.append(row)
        self.dirty.add(row.index)
        if task_id:
            self._row_of[task_id] = row
        return row

    def _point(self, kind: RowKind, name: str, task_id: int, at: datetime) -> Row:
        row = self._add(kind, name, task_id, at)
        attempt = row.attempts[0]
        attempt.started_at = attempt.ended_at = at
        attempt.outcome = Outcome.COMPLETED
        return row

    def _retry(self, task_id: int, origin: int, at: datetime) -> Row | None:
        row = self._row_of.get(origin or task_id)
        if row is not None:
            row.attempts.append(Attempt(task_id, at))
            row.due_at = row.progress = None
            self._row_of[task_id] = row
            self.dirty.add(row.index)
        return row

    def _settle(self, task_id: int, at: datetime, outcome: Outcome) -> Row | None:
        row = self.touch(task_id)
        if row is not None:
            attempt = row.attempts[-1]
            attempt.ended_at, attempt.outcome = at, outcome
            row.due_at = None
        return row

    def _follow_lost(self, event: Any) -> None:
        """Add the attempt that ended now, where the last known one was lost before it began."""
        row = self._row_of.get(event.task_id)
        if row is None or not isinstance(event, (ev.TaskCompleted, ev.TaskFailed)):
            return
        lost, started_at = row.attempts[-1], event.attempt.started_at
        if lost.outcome is not Outcome.LOST or lost.ended_at is None or started_at is None:
            return
        if started_at >= lost.ended_at:
            row.attempts.append(Attempt(event.task_id, lost.ended_at))

    @staticmethod
    def _ran(row: Row, event: Any) -> None:
        if isinstance(event, (ev.TaskCompleted, ev.TaskFailed)):
            attempt, record = row.attempts[-1], event.attempt
            attempt.started_at = record.started_at or attempt.started_at
            attempt.worker = record.worker or attempt.worker
            row.version = record.version or row.version

    _FOLDS: ClassVar[dict[type[ev.Event], Callable[[Any, Any], None]]] = {
        ev.ExecutionStarted: _started,
        ev.ExecutionCompleted: _completed,
        ev.ExecutionRewound: _rewound,
        ev.TaskScheduled: _scheduled,
        ev.TaskCompleted: _returned,
        ev.TaskFailed: _failed,
        ev.SubOrchestrationInstanceCreated: _child_created,
        ev.SubOrchestrationInstanceCompleted: _returned,
        ev.SubOrchestrationInstanceFailed: _failed,
        ev.TimerCreated: _timer_created,
        ev.TimerFired: _timer_fired,
        ev.EventSent: _sent,
        ev.EventRaised: _raised,
        ev.EntityOperationCalled: _called,
        ev.EntityOperationSignaled: _signaled,
        ev.EntityOperationCompleted: _returned,
        ev.EntityOperationFailed: _failed,
        ev.EntityLockRequested: _lock_requested,
        ev.EntityLockGranted: _lock_granted,
        ev.EntityUnlockSent: _unlocked,
        ev.AttemptStarted: _attempt_started,
        ev.AttemptLost: _attempt_lost,
        ev.RaceDecided: _race_decided,
        ev.ActivityProgressed: _progressed,
    }


def _hint(payload: Payload | None) -> str:
    if isinstance(payload, str):
        if payload == "null":
            return ""
        if payload.startswith('{"$args"') and len(payload) < _PARSED_CHARS:
            return shorten(_call_words(payload), HINT_CHARS)
        if payload.startswith('{"$dataclass"') and len(payload) < _PARSED_CHARS:
            return shorten(_object_words(msgspec.json.decode(payload)), HINT_CHARS)
    return preview(payload, HINT_CHARS)


def _call_words(payload: str) -> str:
    """Return several arguments as they were written in the call: `1, units="m"`."""
    arguments = msgspec.json.decode(payload)
    words = [as_written(msgspec.json.encode(one).decode()) for one in arguments["$args"]]
    for name, value in arguments.get("$kwargs", {}).items():
        words.append(f"{name}={as_written(msgspec.json.encode(value).decode())}")
    return ", ".join(words)


def _object_words(value: dict[str, Any]) -> str:
    """Return a dataclass instance as it would be written: `Decision(approved=true)`."""
    name = value["$dataclass"].rpartition(":")[2]
    words = [f"{key}={msgspec.json.encode(one).decode()}" for key, one in value["fields"].items()]
    return f"{name}({', '.join(words)})"


def _entity_key(entity_id: str) -> str:
    return entity_id.removeprefix("@").replace("@", " ", 1)


def _entity_name(entity_id: str, operation: str) -> tuple[str, str]:
    """Split an entity id and operation into what siblings share and what tells them apart."""
    name, _, key = entity_id.removeprefix("@").partition("@")
    return f"{name}.{operation}", key
