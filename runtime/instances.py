"""What the engine keeps in memory of one live instance, and how it is rebuilt from its rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Final

from .core.events import (
    DECISIONS,
    AttemptLost,
    AttemptStarted,
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityUnlockSent,
    Event,
    EventFormClosed,
    EventFormOpened,
    EventRaised,
    ExecutionRewound,
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from .core.executor import OrchestrationExecutor
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .ports import MORE_FOLLOWS, JournalRow, RunningAttempt, Store, Stream

__all__ = ["Instance", "OpenActivity", "was_done"]

_REMEMBERED_REQUESTS = 64
_SEARCHED_FOR_REPEATED = 10_000


class _Nothing(dict[Any, Any]):
    """An empty dict that stays empty."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("this is everybody's: write to `Instance.own`")


# A hundred thousand that wait have little: eight dicts of one's own are 500 bytes, a deque 700.
_NONE: Final = _Nothing()
_EMPTY: Final[deque[Any]] = deque(maxlen=0)


class OpenActivity:
    """An activity without an outcome.

    Attributes:
        scheduled: What the code asked for.
        attempt: Number of the present attempt, from 1.
        lost_workers: Workers that died under its attempts.
        is_submitted: Whether an executor has the present attempt.
        has_begun: Whether the present attempt is known to have begun.
        version: Content hash of the code that the present attempt runs.
        gseq: The number of its row.
        input_is_stored: Whether the input is to be read from that row.
    """

    __slots__ = (
        "attempt",
        "gseq",
        "has_begun",
        "input_is_stored",
        "is_submitted",
        "lost_workers",
        "scheduled",
        "version",
    )

    def __init__(self, scheduled: TaskScheduled, gseq: int) -> None:
        self.scheduled = scheduled
        self.gseq = gseq
        self.input_is_stored = False
        self.attempt = 1
        self.lost_workers: tuple[str, ...] = ()
        self.is_submitted = False
        self.has_begun = False
        self.version = scheduled.version


class WantedLocks:
    """The locks of a critical section.

    Attributes:
        entity_ids: The entities, in lock order.
        since: When they were asked for (naive UTC).
        is_held: Whether all of them are held.
    """

    __slots__ = ("entity_ids", "is_held", "since")

    def __init__(self, entity_ids: tuple[str, ...], since: datetime) -> None:
        self.entity_ids = entity_ids
        self.since = since
        self.is_held = False


class Instance:
    """A live instance.

    Attributes:
        record: Its record, folded up to the last row.
        executor: Its code in mid-run; None where it must be replayed first.
        inbox: Messages it could not take yet, with the `gseq` of their inbox rows.
        activities: Open activities by action id.
        timers: Fire times of open timers by action id.
        children: Instance ids of running sub-orchestrations by action id.
        running: Attempts that run now, by action id.
        locks: The entities of critical sections that are asked for or held, by action id.
        calls: Entity calls without an answer, by action id.
        failed: Activities, children and entity calls that failed, by action id: a rewind takes
            them up again.
        redone: Action ids that the last rewind took up again.
        entered: The critical section it entered last, by the action id of its lock request.
        regains: The critical section whose locks it must get again before it goes on, after a
            rewind into it; else 0.
        requests: The newest requests that raised events, so that a repeated one raises none.
        awaited_events: Names of the external events its code waited for when it last ran, and
            since when (naive UTC).
        forms: The open forms by id, oldest first.
        lost_waits: Those whose next event goes to a wait that lost a `when_any`.
        waiters: Whoever waits until it has ended or is parked.
        start_waiters: Whoever waits for its start.
        last_gseq: Its newest row; it may leave memory only once that is durable.
        last_history_gseq: Its newest row that is not in the inbox.
        is_held: Whether messages wait for a moment, because its code is being exchanged.
        is_cut: Whether its last turn was cut short by the end of a host; only its code knows the
            rest.
        unwritten: What its code has asked for and later batches will hold; see `Decisions`.
    """

    __slots__ = (
        "activities",
        "awaited_events",
        "calls",
        "children",
        "entered",
        "executor",
        "failed",
        "forms",
        "inbox",
        "is_cut",
        "is_held",
        "last_gseq",
        "last_history_gseq",
        "locks",
        "lost_waits",
        "record",
        "redone",
        "regains",
        "requests",
        "running",
        "start_waiters",
        "timers",
        "unwritten",
        "waiters",
    )

    def __init__(self, record: InstanceRecord) -> None:
        self.record = record
        self.executor: OrchestrationExecutor | None = None
        self.inbox: deque[tuple[int, HistoryEvent]] = _EMPTY
        self.activities: dict[int, OpenActivity] = _NONE
        self.timers: dict[int, TimerCreated] = _NONE
        self.children: dict[int, str] = _NONE
        self.running: dict[int, RunningAttempt] = _NONE
        self.locks: dict[int, WantedLocks] = _NONE
        self.calls: dict[int, EntityOperationCalled] = _NONE
        self.failed: dict[int, OpenActivity | str | EntityOperationCalled] = _NONE
        self.redone: tuple[int, ...] = ()
        self.entered = 0
        self.regains = 0
        self.requests: deque[str] = _EMPTY
        self.awaited_events: dict[str, datetime] = {}
        self.forms: dict[str, EventFormOpened] = _NONE
        self.lost_waits: tuple[str, ...] = ()
        self.waiters: tuple[Future[Any], ...] = ()
        self.start_waiters: tuple[Future[Any], ...] = ()
        self.last_gseq = 0
        self.last_history_gseq = 0
        self.is_held = False
        self.is_cut = False
        self.unwritten: deque[Event] = _EMPTY

    @property
    def iid(self) -> int:
        """Its number in the store."""
        return self.record.iid

    @property
    def takes_messages(self) -> bool:
        """Whether a message can be consumed now rather than wait in the inbox."""
        is_running = self.record.status is RuntimeStatus.RUNNING
        return is_running and not (self.is_held or self.regains or self.unwritten)

    @property
    def open_task_ids(self) -> tuple[int, ...]:
        """Action ids without an outcome."""
        return (*self.activities, *self.timers, *self.children, *self.calls)

    def restore(self, rows: Iterable[JournalRow]) -> None:
        """Rebuild what is open from the rows of the present execution and the inbox."""
        for row in rows:
            self.last_gseq = max(self.last_gseq, row.gseq)
            event = row.event
            if isinstance(event, EventRaised) and event.request_id:
                self.remember(event.request_id)
            if row.stream is Stream.INBOX:
                self.keep(row.gseq, event)  # type: ignore[arg-type]
            elif isinstance(event, ExecutionStarted):
                self.drop_outcomes()
            if row.ref == MORE_FOLLOWS:
                self.is_cut = True
            elif isinstance(event, (*DECISIONS, ExecutionStarted)):
                self.is_cut = False
            self.note(event)  # type: ignore[arg-type]

    def note(self, event: Event) -> None:
        """Keep track of what is open after a history event."""
        keep = _NOTES.get(type(event))
        if keep is not None:
            keep(self, event)

    def own(self, name: str) -> dict[Any, Any]:
        """Return one of its dicts, by name, to write to."""
        found: dict[Any, Any] = getattr(self, name)
        if found is _NONE:
            found = {}
            setattr(self, name, found)
        return found

    def keep(self, gseq: int, event: HistoryEvent, *, first: bool = False) -> None:
        """Put a message into the inbox; `first` for one that was taken and could not be applied."""
        if self.inbox is _EMPTY:
            self.inbox = deque()
        if first:
            self.inbox.appendleft((gseq, event))
        else:
            self.inbox.append((gseq, event))

    def take(self) -> tuple[int, HistoryEvent]:
        """Take the first message of the inbox, and the number of its row."""
        item = self.inbox.popleft()
        if not self.inbox:
            self.inbox = _EMPTY
        return item

    def remember(self, request_id: str) -> None:
        """Know a request that raised an event when it comes again."""
        if self.requests is _EMPTY:
            self.requests = deque(maxlen=_REMEMBERED_REQUESTS)
        self.requests.append(request_id)

    def drop_outcomes(self) -> None:
        """Drop outcomes from the inbox: they are those of an execution that has ended."""
        kept = [item for item in self.inbox if isinstance(item[1], EventRaised | ExecutionStarted)]
        self.inbox = deque(kept) if kept else _EMPTY

    def forget_open(self) -> None:
        """Drop everything that was open: its execution has ended."""
        self.activities = _NONE
        self.timers = _NONE
        self.children = _NONE
        self.running = _NONE
        self.failed = _NONE
        self.locks = _NONE
        self.calls = _NONE
        self.forms = _NONE
        self.unwritten = _EMPTY
        self.redone = ()
        self.entered = self.regains = 0


def was_done(store: Store, record: InstanceRecord, request_id: str) -> bool:
    """Whether a request has raised an event of an instance, or rewound it, in any execution.

    A host may have died before it could say so, and the instance have continued as new.
    """
    rows = store.history(record.iid, max(1, record.last_seq - _SEARCHED_FOR_REPEATED))
    return bool(request_id) and any(
        isinstance(row.event, EventRaised | ExecutionRewound) and row.event.request_id == request_id
        for row in rows
    )


def _activity_scheduled(instance: Instance, event: TaskScheduled) -> None:
    instance.own("activities")[event.task_id] = OpenActivity(event, instance.last_gseq)


def _activity_completed(instance: Instance, event: TaskCompleted) -> None:
    instance.activities.pop(event.task_id, None)
    instance.running.pop(event.task_id, None)


def _activity_failed(instance: Instance, event: TaskFailed) -> None:
    instance.running.pop(event.task_id, None)
    activity = instance.activities.pop(event.task_id, None)
    if activity is not None:
        activity.attempt = event.attempt.number + 1
        instance.own("failed")[event.task_id] = activity


def _attempt_started(instance: Instance, event: AttemptStarted) -> None:
    activity = instance.activities.get(event.task_id)
    if activity is not None:
        activity.has_begun = True
        activity.version = event.version or activity.version


def _attempt_lost(instance: Instance, event: AttemptLost) -> None:
    activity = instance.activities.get(event.task_id)
    if activity is not None:
        activity.attempt = event.attempt + 1
        activity.is_submitted = activity.has_begun = False
        if event.worker:
            activity.lost_workers += (event.worker,)
    instance.running.pop(event.task_id, None)


def _timer_created(instance: Instance, event: TimerCreated) -> None:
    instance.own("timers")[event.task_id] = event


def _timer_fired(instance: Instance, event: TimerFired) -> None:
    instance.timers.pop(event.task_id, None)


def _child_created(instance: Instance, event: SubOrchestrationInstanceCreated) -> None:
    instance.own("children")[event.task_id] = event.instance_id


def _child_completed(instance: Instance, event: SubOrchestrationInstanceCompleted) -> None:
    instance.children.pop(event.task_id, None)


def _child_failed(instance: Instance, event: SubOrchestrationInstanceFailed) -> None:
    child = instance.children.pop(event.task_id, None)
    if child is not None:
        instance.own("failed")[event.task_id] = child


def _entity_called(instance: Instance, event: EntityOperationCalled) -> None:
    instance.own("calls")[event.task_id] = event


def _entity_answered(instance: Instance, event: EntityOperationCompleted) -> None:
    instance.calls.pop(event.task_id, None)


def _entity_failed(instance: Instance, event: EntityOperationFailed) -> None:
    call = instance.calls.pop(event.task_id, None)
    if call is not None:
        instance.own("failed")[event.task_id] = call


def _locks_requested(instance: Instance, event: EntityLockRequested) -> None:
    instance.own("locks")[event.task_id] = WantedLocks(event.entity_ids, event.timestamp)
    if event.task_id == instance.entered:
        instance.regains = event.task_id


def _locks_granted(instance: Instance, event: EntityLockGranted) -> None:
    if event.task_id in instance.locks:
        instance.locks[event.task_id].is_held = True
        instance.entered = event.task_id
        instance.regains = 0


def _unlocked(instance: Instance, event: EntityUnlockSent) -> None:
    lock = instance.locks.get(event.lock_id)
    if lock is not None:
        lock.entity_ids = tuple(one for one in lock.entity_ids if one != event.entity_id)
        if not lock.entity_ids:
            del instance.locks[event.lock_id]


def _form_opened(instance: Instance, event: EventFormOpened) -> None:
    instance.own("forms")[event.form_id] = event


def _form_closed(instance: Instance, event: EventFormClosed) -> None:
    instance.forms.pop(event.form_id, None)


def _started(instance: Instance, event: ExecutionStarted) -> None:  # noqa: ARG001
    instance.forget_open()


def _rewound(instance: Instance, event: ExecutionRewound) -> None:
    instance.redone = event.task_ids
    for task_id in event.task_ids:
        failed = instance.failed.pop(task_id, None)
        if isinstance(failed, OpenActivity):
            failed.is_submitted = failed.has_begun = False
            instance.own("activities")[task_id] = failed
        elif isinstance(failed, EntityOperationCalled):
            instance.own("calls")[task_id] = failed
        elif failed is not None:
            instance.own("children")[task_id] = failed


_NOTES: dict[type[Event], Callable[[Instance, Any], None]] = {
    AttemptLost: _attempt_lost,
    AttemptStarted: _attempt_started,
    EntityLockGranted: _locks_granted,
    EntityLockRequested: _locks_requested,
    EntityOperationCalled: _entity_called,
    EntityOperationCompleted: _entity_answered,
    EntityOperationFailed: _entity_failed,
    EntityUnlockSent: _unlocked,
    EventFormClosed: _form_closed,
    EventFormOpened: _form_opened,
    ExecutionRewound: _rewound,
    ExecutionStarted: _started,
    SubOrchestrationInstanceCompleted: _child_completed,
    SubOrchestrationInstanceCreated: _child_created,
    SubOrchestrationInstanceFailed: _child_failed,
    TaskCompleted: _activity_completed,
    TaskFailed: _activity_failed,
    TaskScheduled: _activity_scheduled,
    TimerCreated: _timer_created,
    TimerFired: _timer_fired,
}
