"""The timeline of an instance as data: a pure fold of its updates. No I/O, clock or widget library.

How many of its rows are drawn, and where, is the business of `ipydurable.widgets.layout` and of
the ES module.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate, RunningAttempt

from .form_model import FormFold, FormView, view_of
from .row_fold import Attempt, Row, RowFold
from .values import view_value
from .views import (
    NOTE_CHARS,
    PREVIEW_CHARS,
    AttemptDetail,
    AwaitedEvent,
    GroupView,
    Header,
    Message,
    Outcome,
    RowDetail,
    RowKind,
    RowState,
    RowView,
    Snapshot,
    Span,
    Waiting,
    preview,
    shorten,
)

__all__ = ["TimelineModel"]

LOST = "lost the race"
_TRACE_CHARS = 20_000
_WAITING_SHOWN = 3
_NESTING = (RowKind.ORCHESTRATION, RowKind.ENTITY_CALL)


class TimelineModel:
    """Folds the updates of one instance. Not thread-safe: the caller holds a lock.

    Folding updates one by one gives the same as folding all their events at once.

    Attributes:
        record: The instance's record as of the last update; None before the first.
        last_seq: Sequence number of the last event folded.
    """

    def __init__(self) -> None:
        self._awaited: dict[str, datetime] = {}
        self.record: InstanceRecord | None = None
        self.last_seq = 0
        self._now = datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC, as in the journal)
        self._running: dict[int, RunningAttempt] = {}
        self._fold = RowFold()
        self._forms = FormFold()
        self._forms_shown: tuple[FormView, ...] = ()
        self._child_forms: tuple[FormView, ...] = ()
        self._epoch = 0
        self._states: list[RowState] = []
        self._open: dict[int, None] = {}
        self._unsent: set[int] = set()

    @property
    def epoch(self) -> int:
        """Changes when the rows start over, as they do at continue-as-new."""
        return self._fold.epoch

    @property
    def forms(self) -> tuple[FormView, ...]:
        """What people are asked, and what they answered, oldest first; then what children ask."""
        return self._forms_shown

    @property
    def finished(self) -> bool:
        """Whether the instance is in a final status."""
        return self.record is not None and self.record.status.is_terminal

    def apply(self, update: InstanceUpdate) -> None:
        """Fold an update. Events that were folded before are skipped.

        Args:
            update: The first one with everything, later ones with what is new.
        """
        self.record = update.record
        self._now = update.now
        old, new = self._running, {attempt.task_id: attempt for attempt in update.running}
        self._running = new
        is_new = update.child_forms is not None
        for seq, event in update.events:
            if seq > self.last_seq:
                self.last_seq = seq
                self._fold.fold(event)
                is_new |= self._forms.fold(event)
        for task_id in old.keys() | new.keys():
            if old.get(task_id) != new.get(task_id):
                self._fold.touch(task_id)
        self._awaited = dict(update.awaited_events)
        if update.child_forms is not None:
            self._child_forms = tuple(map(view_of, update.child_forms))
        elif self._epoch != self._fold.epoch or self._has_closed:
            is_new |= self._child_forms != ()
            self._child_forms = ()
        if is_new:
            self._forms_shown = (*self._forms.forms, *self._child_forms)
        self._recount()

    @property
    def now(self) -> int:
        """The moment of the last update, in milliseconds after the start."""
        return self._ms(self._now)

    def header(self) -> Header:
        """Return what stands above the rows.

        Raises:
            ValueError: Nothing was applied yet.
        """
        record = self.record
        if record is None:
            raise ValueError("a timeline shows nothing before its first update")
        counts = [0] * len(RowState)
        for group in self._fold.groups:
            if not group.kind.is_point:
                counts = [sum(pair) for pair in zip(counts, group.counts, strict=True)]
        ended = record.completed_at or self._fold.closed_at
        return Header(
            epoch=self.epoch,
            name=record.name,
            instance_id=record.instance_id,
            status=self._status(record),
            finished=self._has_closed,
            generation=record.generation,
            start=round(self._zero.replace(tzinfo=UTC).timestamp() * 1000),
            now=self.now,
            end=None if ended is None else self._ms(ended),
            groups=tuple(GroupView(g.kind, g.name, tuple(g.counts)) for g in self._fold.groups),
            counts=tuple(counts),
            waiting=tuple(self._waiting(record)),
            message=_message(record),
            custom_status=preview(record.custom_status, NOTE_CHARS),
            input=preview(record.input, PREVIEW_CHARS),
            output=preview(record.output, PREVIEW_CHARS),
            awaited=tuple(
                AwaitedEvent(name, self._ms(since)) for name, since in self._awaited.items()
            ),
        )

    def rows(self) -> list[RowView]:
        """Return all rows in the order they were scheduled."""
        return [self._view(row) for row in self._fold.rows]

    def take_changes(self) -> list[RowView]:
        """Return the rows that changed since the last call, or since the rows started over."""
        changed = sorted(self._unsent)
        self._unsent.clear()
        return [self._view(self._fold.rows[index]) for index in changed]

    def snapshot(self) -> Snapshot:
        """Return header and rows."""
        return Snapshot(self.header(), tuple(self.rows()))

    def detail(self, index: int) -> RowDetail | None:
        """Return a row in full, or None if there is no such row."""
        if not 0 <= index < len(self._fold.rows):
            return None
        row = self._fold.rows[index]
        return RowDetail(
            epoch=self.epoch,
            index=index,
            kind=row.kind,
            name=self._fold.groups[row.group].name,
            task_id=row.attempts[0].task_id,
            target=row.target,
            version=row.version,
            input=view_value(row.input),
            output=view_value(row.output),
            attempts=tuple(
                AttemptDetail(
                    task_id=attempt.task_id,
                    number=number,
                    span=self._span(attempt),
                    worker=self._worker(attempt),
                    error=str(attempt.failure) if attempt.failure else attempt.lost,
                    trace=_trace(attempt.failure),
                )
                for number, attempt in enumerate(row.attempts, 1)
            ),
        )

    @property
    def _has_closed(self) -> bool:
        return self.finished or self._fold.closed_at is not None

    @property
    def _zero(self) -> datetime:
        if self._fold.started_at is not None:
            return self._fold.started_at
        return self._now if self.record is None else self.record.created_at

    def _ms(self, at: datetime) -> int:
        return round((at - self._zero).total_seconds() * 1000)

    def _recount(self) -> None:
        fold = self._fold
        if self._epoch != fold.epoch:
            self._epoch = fold.epoch
            self._states, self._open, self._unsent = [], {}, set()
        for index in sorted(fold.dirty):
            row = fold.rows[index]
            counts = fold.groups[row.group].counts
            state = self._state_of(row)
            if index < len(self._states):
                counts[self._states[index]] -= 1
                self._states[index] = state
            else:
                self._states.append(state)
            counts[state] += 1
            if state <= RowState.WAITING:
                self._open[index] = None
            else:
                self._open.pop(index, None)
        self._unsent |= fold.dirty
        fold.dirty.clear()

    def _state_of(self, row: Row) -> RowState:
        attempt = row.attempts[-1]
        if attempt.outcome is Outcome.COMPLETED:
            return RowState.COMPLETED
        if attempt.outcome is Outcome.FAILED and row.due_at is None:
            return RowState.FAILED
        if self._fold.closed_at is not None:
            return RowState.ABANDONED
        if attempt.outcome is Outcome.FAILED or row.kind is RowKind.TIMER:
            return RowState.WAITING
        if attempt.outcome is Outcome.LOST:
            return RowState.RUNNING if attempt.task_id in self._running else RowState.QUEUED
        if row.kind is RowKind.LOCK:
            return RowState.RUNNING if attempt.started_at else RowState.WAITING
        if row.kind is RowKind.ACTIVITY and attempt.task_id not in self._running:
            return RowState.QUEUED
        return RowState.RUNNING

    def _spans(self, row: Row) -> Iterator[Span]:
        for attempt in row.attempts:
            yield self._span(attempt)
        last = row.attempts[-1]
        running = self._running.get(last.task_id)
        if last.outcome is Outcome.LOST and last.ended_at is not None and running is not None:
            # The next attempt runs already and has left no trace in the history yet.
            yield Span(self._ms(last.ended_at), self._ms(running.started_at))

    def _span(self, attempt: Attempt) -> Span:
        started_at, ended_at, outcome = attempt.started_at, attempt.ended_at, attempt.outcome
        if outcome is Outcome.OPEN:
            running = self._running.get(attempt.task_id)
            if running is not None:
                started_at = running.started_at
            if self._fold.closed_at is not None:
                ended_at, outcome = self._fold.closed_at, Outcome.ABANDONED
        return Span(
            self._ms(attempt.scheduled_at),
            None if started_at is None else self._ms(started_at),
            None if ended_at is None else self._ms(ended_at),
            outcome,
        )

    def _worker(self, attempt: Attempt) -> str:
        running = self._running.get(attempt.task_id)
        if attempt.outcome is Outcome.OPEN and running is not None:
            return running.worker
        return attempt.worker

    def _view(self, row: Row) -> RowView:
        attempt, progress = row.attempts[-1], self._progress(row)
        note, share = "", None
        if attempt.failure is not None:
            note = str(attempt.failure)
        elif attempt.lost:
            note = attempt.lost
        elif progress is not None and attempt.outcome is Outcome.OPEN:
            note = progress.note
            share = min(1.0, progress.done / progress.total) if progress.total else None
        if row.has_lost and attempt.failure is None and not attempt.lost:
            note = LOST
        return RowView(
            row.index,
            row.group,
            self._states[row.index],
            row.attempts[0].task_id,
            tuple(self._spans(row)),
            row.hint,
            shorten(note, NOTE_CHARS),
            None if row.due_at is None else self._ms(row.due_at),
            share,
            row.target if row.kind in _NESTING else "",
        )

    def _progress(self, row: Row) -> Any:
        """Return what the activity told last: now, where it runs, else what was written down."""
        running = self._running.get(row.attempts[-1].task_id)
        return row.progress if getattr(running, "done", None) is None else running

    def _status(self, record: InstanceRecord) -> RuntimeStatus:
        """Return the status of the execution that is shown: an earlier one goes on in the next."""
        if self._fold.closed_at is not None and not record.status.is_terminal:
            return RuntimeStatus.CONTINUED_AS_NEW
        return record.status

    def _waiting(self, record: InstanceRecord) -> Iterator[Waiting]:
        if record.status is RuntimeStatus.PENDING and record.start_at is not None:
            yield Waiting(RowKind.TIMER, "start", "", self._ms(record.start_at))
        if record.status is not RuntimeStatus.RUNNING:
            return
        busy = sum(
            group.counts[RowState.QUEUED] + group.counts[RowState.RUNNING]
            for group in self._fold.groups
            if group.kind is RowKind.ACTIVITY
        )
        # A lock that is held is open as long as the code likes; it is nothing to wait for.
        waits = [
            row
            for row in map(self._fold.rows.__getitem__, () if busy else sorted(self._open))
            if not (row.kind is RowKind.LOCK and self._states[row.index] is RowState.RUNNING)
        ]
        # Events first: a timer beside one is mostly its time limit.
        events = [] if busy else list(self._awaited.items())[:_WAITING_SHOWN]
        for name, since in events:
            yield Waiting(RowKind.EVENT, name, since=self._ms(since))
        for row in waits[: _WAITING_SHOWN - len(events)]:
            due = None if row.due_at is None else self._ms(row.due_at)
            yield Waiting(row.kind, self._fold.groups[row.group].name, row.hint, due)
        if not (busy or events or waits) and self._fold.started_at is not None:
            yield Waiting(RowKind.EVENT, "")


def _message(record: InstanceRecord) -> Message | None:
    failure = record.failure
    if record.status is RuntimeStatus.FAILED:
        return Message("failed", str(failure or "failed"), _trace(failure))
    if record.status is RuntimeStatus.SUSPENDED:
        return Message("suspended", record.suspend_reason or "suspended", _trace(failure))
    return None


def _trace(failure: FailureDetails | None) -> str:
    parts = []
    while failure is not None:
        parts.append(failure.stack_trace.rstrip() or str(failure))
        failure = failure.cause
    text = "\n\nCaused by:\n\n".join(parts)
    return text if len(text) <= _TRACE_CHARS else text[:_TRACE_CHARS] + "\n…"
