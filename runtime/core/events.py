"""History events: what happened to an instance, in the words of Durable Task, in the past tense.

There are four kinds. *Incoming* events reach an orchestration from outside and drive it on.
*Decision* events record what its code asked for; each carries the action id (`task_id`) the code
drew for it, counted from 1 in each execution. *Notes* are for people and tools: replay ignores
them. *Entity* events make up the journals of entities. An event never changes once written.

All times are naive UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from .asked_forms import AskedForm
from .entity_events import (
    EntityEvent,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationCaller,
    OperationDone,
    OperationRequested,
)
from .event_base import Event, kind_of
from .failure import FailureDetails
from .payload import Payload
from .status import RuntimeStatus

__all__ = [
    "DECISIONS",
    "INCOMING",
    "ActivityProgressed",
    "AttemptLost",
    "AttemptRecord",
    "AttemptStarted",
    "CustomStatusSet",
    "DecisionEvent",
    "DefinitionAdopted",
    "EntityEvent",
    "EntityLockGranted",
    "EntityLockRequested",
    "EntityOperationCalled",
    "EntityOperationCompleted",
    "EntityOperationFailed",
    "EntityOperationSignaled",
    "EntityUnlockSent",
    "Event",
    "EventFormClosed",
    "EventFormOpened",
    "EventRaised",
    "EventSent",
    "ExecutionCompleted",
    "ExecutionMigrated",
    "ExecutionResumed",
    "ExecutionRewound",
    "ExecutionStarted",
    "ExecutionSuspended",
    "ExecutionTerminated",
    "HistoryEvent",
    "IncomingEvent",
    "LockAcquired",
    "LockOwner",
    "LockReleased",
    "LockRequested",
    "LockWithdrawn",
    "Note",
    "OperationCaller",
    "OperationDone",
    "OperationRequested",
    "ParentInstance",
    "RaceDecided",
    "Spans",
    "SubOrchestrationInstanceCompleted",
    "SubOrchestrationInstanceCreated",
    "SubOrchestrationInstanceFailed",
    "TaskCompleted",
    "TaskFailed",
    "TaskScheduled",
    "TimerCreated",
    "TimerFired",
    "kind_of",
]


class ParentInstance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sub-orchestration came from.

    Attributes:
        instance_id: The parent's instance id.
        execution_id: The parent's execution that created the child.
        task_id: The action id the child's outcome is reported to.
    """

    instance_id: str
    execution_id: str
    task_id: int


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one attempt of an activity went.

    Attributes:
        number: Counted from 1 for each action id; above 1 only where attempts were lost.
        started_at: When the body began to run.
        worker: Who ran it, e.g. `"process 4711"`.
        version: Content hash of the activity's code that ran.
    """

    number: int = 1
    started_at: datetime | None = None
    worker: str = ""
    version: str = ""


class ExecutionStarted(Event, frozen=True, kw_only=True):
    """An execution began. The first event of each execution.

    Attributes:
        instance_id: The instance; the same for all its executions.
        execution_id: This execution; changes at continue-as-new.
        name: The orchestrator.
        version: Content hash of the orchestrator's code; fixed for the instance's life.
        epoch: The definitions this instance sees: those recorded up to this number.
        input: The encoded input.
        parent: Set for a sub-orchestration.
        tags: Labels given by whoever started it.
        start_at: When it was to start, if it was scheduled for later.
        deadline: When the instance fails unless it has ended.
        generation: How often the instance continued as new before.
        request_id: The client's id of the request, so that a repeated request starts nothing.
        engine: The engine's behaviour version, so that later engines replay it as it ran.
        adopted: Versions of activities it runs instead of those of its epoch, by name.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str = ""
    epoch: int = 0
    input: Payload | None = None
    parent: ParentInstance | None = None
    tags: dict[str, str] = {}
    start_at: datetime | None = None
    deadline: datetime | None = None
    generation: int = 0
    request_id: str = ""
    engine: int = 1
    adopted: dict[str, str] = {}


class ExecutionCompleted(Event, frozen=True, kw_only=True):
    """An execution ended: completed, failed, terminated or continued as new.

    Attributes:
        status: How it ended.
        result: The encoded output; for continue-as-new the next execution's input.
        failure: Set where `status` is FAILED.
        abandoned: Action ids that were still open.
        failed_tasks: Action ids of the tasks whose failures ended it; a rewind redoes these.
    """

    status: RuntimeStatus
    result: Payload | None = None
    failure: FailureDetails | None = None
    abandoned: tuple[int, ...] = ()
    failed_tasks: tuple[int, ...] = ()


class ExecutionTerminated(Event, frozen=True, kw_only=True):
    """Somebody asked to terminate the instance."""

    output: Payload | None = None
    recurse: bool = True


class ExecutionSuspended(Event, frozen=True, kw_only=True):
    """The instance was suspended: by a client, or by the engine because it cannot go on.

    Attributes:
        reason: In words.
        failure: What the code must be mended for, where the engine parked the instance.
    """

    reason: str = ""
    failure: FailureDetails | None = None


class ExecutionResumed(Event, frozen=True, kw_only=True):
    """The instance was resumed."""

    reason: str = ""


class ExecutionRewound(Event, frozen=True, kw_only=True):
    """A failed instance was put back to before its failures.

    Attributes:
        reason: In words.
        task_ids: Action ids whose failures no longer count.
        unlocks: Action ids of the unlocks that these failures led to, and that no longer count
            either: an `EntityLockRequested` after this one asks for the locks again.
        request_id: The request that asked for it.
    """

    reason: str = ""
    task_ids: tuple[int, ...] = ()
    unlocks: tuple[int, ...] = ()
    request_id: str = ""


class TaskScheduled(Event, frozen=True, kw_only=True):
    """The code scheduled an activity.

    Attributes:
        task_id: The action id.
        name: The activity.
        version: Content hash of the activity's code at that time.
        input: The encoded input.
        origin: For a retry, the action id of the first attempt.
        tags: Labels given at the call.
    """

    task_id: int
    name: str
    version: str = ""
    input: Payload | None = None
    origin: int = 0
    tags: dict[str, str] = {}


class TaskCompleted(Event, frozen=True, kw_only=True):
    """An activity returned."""

    task_id: int
    result: Payload | None = None
    attempt: AttemptRecord = AttemptRecord()


class TaskFailed(Event, frozen=True, kw_only=True):
    """An activity raised, timed out, or lost all its attempts."""

    task_id: int
    failure: FailureDetails
    attempt: AttemptRecord = AttemptRecord()


class SubOrchestrationInstanceCreated(Event, frozen=True, kw_only=True):
    """The code started a sub-orchestration; `explicit_id` says whether it chose the id itself."""

    task_id: int
    instance_id: str
    name: str
    version: str = ""
    input: Payload | None = None
    origin: int = 0
    explicit_id: bool = False
    tags: dict[str, str] = {}


class SubOrchestrationInstanceCompleted(Event, frozen=True, kw_only=True):
    """A sub-orchestration returned."""

    task_id: int
    result: Payload | None = None


class SubOrchestrationInstanceFailed(Event, frozen=True, kw_only=True):
    """A sub-orchestration failed, was terminated, or could not be created."""

    task_id: int
    failure: FailureDetails


class TimerCreated(Event, frozen=True, kw_only=True):
    """The code created a timer; `origin` is the action id of the task whose retry it delays."""

    task_id: int
    fire_at: datetime
    origin: int = 0


class TimerFired(Event, frozen=True, kw_only=True):
    """A timer fired, at or after its time."""

    task_id: int
    fire_at: datetime


class EventSent(Event, frozen=True, kw_only=True):
    """The code sent an event to another instance."""

    task_id: int
    instance_id: str
    name: str
    input: Payload | None = None


class EventRaised(Event, frozen=True, kw_only=True):
    """An external event arrived.

    Attributes:
        name: Its name.
        input: What it carries.
        sender: The instance that sent it, if one did.
        request_id: The client's id of the request, so that a repeated one raises nothing.
        form_id: The form that it answers, if it answers one; the wait that has it takes it.
        by: From where it was raised, in words, e.g. the notebook.
    """

    name: str
    input: Payload | None = None
    sender: str = ""
    request_id: str = ""
    form_id: str = ""
    by: str = ""


class EntityOperationCalled(Event, frozen=True, kw_only=True):
    """The code called an entity and waits for the answer."""

    task_id: int
    entity_id: str
    operation: str
    input: Payload | None = None


class EntityOperationSignaled(Event, frozen=True, kw_only=True):
    """The code signalled an entity."""

    task_id: int
    entity_id: str
    operation: str
    input: Payload | None = None
    scheduled_at: datetime | None = None


class EntityOperationCompleted(Event, frozen=True, kw_only=True):
    """An entity answered a call."""

    task_id: int
    result: Payload | None = None


class EntityOperationFailed(Event, frozen=True, kw_only=True):
    """An entity operation raised."""

    task_id: int
    failure: FailureDetails


class EntityLockRequested(Event, frozen=True, kw_only=True):
    """The code asked for the locks of a critical section, in lock order."""

    task_id: int
    entity_ids: tuple[str, ...]


class EntityLockGranted(Event, frozen=True, kw_only=True):
    """All locks of the critical section are held."""

    task_id: int


class EntityUnlockSent(Event, frozen=True, kw_only=True):
    """A lock was given back."""

    task_id: int
    entity_id: str
    lock_id: int


class CustomStatusSet(Event, frozen=True, kw_only=True):
    """The code set the custom status (a note: replay computes it anew)."""

    status: Payload | None = None


class EventFormOpened(Event, frozen=True, kw_only=True):
    """The code waits for an event and asks people for it (a note: replay opens nothing anew).

    A form whose wait lost a `when_any` is closed, and opened again if the code waits on.

    Attributes:
        name: The event.
        form_id: Which form; no other of the instance has the same.
        form: What is asked for.
        since: Since when the code waits.
        until: When the wait ends by itself, where it has a timeout.
    """

    name: str
    form_id: str
    form: AskedForm
    since: datetime
    until: datetime | None = None


class EventFormClosed(Event, frozen=True, kw_only=True):
    """A form is not open any more; the end of the execution closes those that are left.

    Attributes:
        name: The event.
        form_id: Which form.
        outcome: `"answered"`, by the event before this one; `"expired"`, by a timeout or as
            something else came first; or `"withdrawn"`, as the code cancelled the wait.
    """

    name: str
    form_id: str
    outcome: Literal["answered", "expired", "withdrawn"]


Spans: TypeAlias = tuple[tuple[int, int], ...]
"""Action ids, as the first and last of each run of them."""


class RaceDecided(Event, frozen=True, kw_only=True):
    """A `when_any` is over, or what had lost one is waited for again (a note).

    It comes right after the event that decided the race, before what the code asked for next. Only
    activities, sub-orchestrations and entity calls are named, each once as lost and once as taken
    up; timers and waits for events are not. Losers run on.

    Attributes:
        won: What came first.
        lost: What nothing waits for any more.
        taken_up: What had lost and is waited for again, or whose result was asked for.
    """

    won: Spans = ()
    lost: Spans = ()
    taken_up: Spans = ()


class AttemptStarted(Event, frozen=True, kw_only=True):
    """An attempt of an activity has been running for a moment; short ones do not say so."""

    task_id: int
    attempt: int
    worker: str = ""
    version: str = ""


class AttemptLost(Event, frozen=True, kw_only=True):
    """A worker died, or the host did: the attempt has no outcome and never will."""

    task_id: int
    attempt: int
    reason: str
    worker: str = ""
    version: str = ""


class DefinitionAdopted(Event, frozen=True, kw_only=True):
    """The instance was given another version of an activity, for attempts that begin from now on.

    Attributes:
        name: The activity.
        version: Content hash of the code it takes.
    """

    name: str
    version: str


class ExecutionMigrated(Event, frozen=True, kw_only=True):
    """The instance was moved to another version of its orchestrator, under which history replays.

    Attributes:
        version: Content hash of the code it runs from now on.
        epoch: The definitions it sees from now on.
        adopted: Versions of activities that go before those of the epoch, by name.
        reason: In words.
    """

    version: str
    epoch: int
    adopted: dict[str, str] = {}
    reason: str = ""


class ActivityProgressed(Event, frozen=True, kw_only=True):
    """A running activity told how far it is."""

    task_id: int
    attempt: int
    done: float
    total: float | None = None
    note: str = ""


IncomingEvent: TypeAlias = (
    ExecutionStarted
    | ExecutionTerminated
    | ExecutionSuspended
    | ExecutionResumed
    | TaskCompleted
    | TaskFailed
    | SubOrchestrationInstanceCompleted
    | SubOrchestrationInstanceFailed
    | TimerFired
    | EventRaised
    | EntityOperationCompleted
    | EntityOperationFailed
    | EntityLockGranted
)
DecisionEvent: TypeAlias = (
    TaskScheduled
    | SubOrchestrationInstanceCreated
    | TimerCreated
    | EventSent
    | EntityOperationCalled
    | EntityOperationSignaled
    | EntityLockRequested
    | EntityUnlockSent
    | ExecutionCompleted
)
Note: TypeAlias = (
    CustomStatusSet
    | EventFormOpened
    | EventFormClosed
    | RaceDecided
    | ExecutionRewound
    | AttemptStarted
    | AttemptLost
    | ActivityProgressed
    | DefinitionAdopted
    | ExecutionMigrated
)
HistoryEvent: TypeAlias = IncomingEvent | DecisionEvent | Note

INCOMING: tuple[type[Event], ...] = IncomingEvent.__args__
DECISIONS: tuple[type[Event], ...] = DecisionEvent.__args__
