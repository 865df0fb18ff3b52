"""The record of an instance: the fold of its journal rows that queries and lists read.

The engine folds as it goes; a store that finds its table behind the journal folds the rest. Both
use `fold`, so the table can always be rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from .events import (
    CustomStatusSet,
    DefinitionAdopted,
    Event,
    ExecutionCompleted,
    ExecutionMigrated,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
)
from .failure import FailureDetails
from .payload import Payload
from .status import RuntimeStatus

__all__ = ["EntityRecord", "InstanceRecord", "Record", "fold", "fold_entity", "fold_record"]


class InstanceRecord(msgspec.Struct, kw_only=True, omit_defaults=True, tag="orchestration"):
    """What is known of an instance without reading its history.

    Attributes:
        iid: Its number in the store; grows with time.
        instance_id: Its id.
        name: The orchestrator (or entity) name.
        version: Content hash of the code it runs.
        epoch: The definitions it sees.
        status: Its status.
        created_at: When it was created (naive UTC, as all times here).
        updated_at: When its last row was written.
        started_at: When it left PENDING.
        completed_at: When it reached a final status.
        start_at: When it is to start, if it was scheduled for later.
        deadline: When it fails unless it has ended.
        execution_id: Its present execution.
        generation: How often it continued as new.
        first_seq: Sequence number of the present execution's first event.
        last_seq: Sequence number of its last event; 0 before the first.
        parent_instance_id: Who created it, for a sub-orchestration.
        parent_execution_id: The parent's execution that created it.
        parent_task_id: The parent's action id.
        input: Encoded input of the present execution.
        output: Encoded output.
        failure: Why it failed, or why the engine parked it.
        custom_status: What its code last set.
        suspend_reason: Why it is suspended.
        tags: Labels given at the start.
        request_id: The request that created it.
        adopted: Versions of activities it runs instead of those of its epoch, by name.
    """

    iid: int
    instance_id: str
    name: str
    version: str = ""
    epoch: int = 0
    status: RuntimeStatus = RuntimeStatus.PENDING
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    start_at: datetime | None = None
    deadline: datetime | None = None
    execution_id: str = ""
    generation: int = 0
    first_seq: int = 0
    last_seq: int = 0
    parent_instance_id: str = ""
    parent_execution_id: str = ""
    parent_task_id: int = 0
    input: Payload | None = None
    output: Payload | None = None
    failure: FailureDetails | None = None
    custom_status: Payload | None = None
    suspend_reason: str = ""
    tags: dict[str, str] = {}
    request_id: str = ""
    adopted: dict[str, str] = {}

    @property
    def is_parked(self) -> bool:
        """Whether its code cannot go on until somebody mends it and resumes it."""
        return self.status is RuntimeStatus.SUSPENDED and self.failure is not None

    @property
    def is_live(self) -> bool:
        """Whether the engine must know it: it is not in a final status."""
        return not self.status.is_terminal


class EntityRecord(msgspec.Struct, kw_only=True, omit_defaults=True, tag="entity"):
    """What is known of an entity.

    Attributes:
        iid: Its number in the store.
        instance_id: Its id as text, `@name@key`.
        name: The name part of the id, in lower case.
        created_at: When the first message reached it.
        updated_at: When its last row was written.
        last_seq: Sequence number of its last history row; 0 before the first.
        state: The encoded state; None where there is none.
        version: Content hash of the code that ran last.
        pending: How many messages wait for it.
        locked_by: The critical section that holds it.
        locked_at: Since when it is held.
    """

    iid: int
    instance_id: str
    name: str
    created_at: datetime
    updated_at: datetime
    last_seq: int = 0
    state: Payload | None = None
    version: str = ""
    pending: int = 0
    locked_by: LockOwner | None = None
    locked_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether the engine must know it: messages wait, or it is locked."""
        return self.pending > 0 or self.locked_by is not None

    @property
    def first_seq(self) -> int:
        """The first history row that is needed to go on: none, as the state is here."""
        return self.last_seq + 1


Record = InstanceRecord | EntityRecord
"""The record of anything that has a journal of its own."""


def fold_record(record: Record | None, iid: int, seq: int, event: Event) -> Record | None:
    """Apply one journal row to the record of whatever it belongs to; see `fold`."""
    if isinstance(record, EntityRecord) or isinstance(event, OperationRequested | LockRequested):
        entity = record if isinstance(record, EntityRecord) else None
        return fold_entity(entity, iid, seq, event)
    return fold(record, iid, seq, event)


def fold_entity(
    record: EntityRecord | None, iid: int, seq: int, event: Event
) -> EntityRecord | None:
    """Apply one journal row to the record of its entity; arguments as `fold`."""
    if isinstance(event, OperationRequested | LockRequested):
        if record is None:
            record = EntityRecord(
                iid=iid,
                instance_id=event.entity_id,
                name=event.entity_id[1:].partition("@")[0],
                created_at=event.timestamp,
                updated_at=event.timestamp,
            )
        record.pending += 1
    elif record is not None:
        _apply_to_entity(record, event)
    if record is not None:
        record.updated_at = event.timestamp
        record.last_seq = seq or record.last_seq
    return record


def _apply_to_entity(record: EntityRecord, event: Event) -> None:
    match event:
        case OperationDone():
            record.pending -= 1
            record.version = event.version
            if event.sets_state:
                record.state = event.state
        case LockAcquired():
            record.pending -= 1
            record.locked_by = event.owner
            record.locked_at = event.timestamp
        case LockReleased():
            record.locked_by = None
            record.locked_at = None
        case LockWithdrawn():
            record.pending -= 1


def fold(record: InstanceRecord | None, iid: int, seq: int, event: Event) -> InstanceRecord | None:
    """Apply one journal row to the record of its instance.

    Args:
        record: The record so far; it is changed in place.
        iid: The row's instance number.
        seq: The row's sequence number; 0 for a message that only waits in the inbox.
        event: The row's event.

    Returns:
        The record; None while nothing has created the instance.
    """
    if type(event) is ExecutionStarted:
        return _start(record, iid, seq, event)
    if record is None or seq == 0:
        return record
    record.last_seq = seq
    record.updated_at = event.timestamp
    change = _CHANGES.get(type(event))
    if change is not None:
        change(record, event)
    return record


def _start(
    record: InstanceRecord | None, iid: int, seq: int, event: ExecutionStarted
) -> InstanceRecord:
    if record is None or record.iid != iid:
        parent = event.parent
        record = InstanceRecord(
            iid=iid,
            instance_id=event.instance_id,
            name=event.name,
            created_at=event.timestamp,
            updated_at=event.timestamp,
            start_at=event.start_at,
            deadline=event.deadline,
            parent_instance_id=parent.instance_id if parent else "",
            parent_execution_id=parent.execution_id if parent else "",
            parent_task_id=parent.task_id if parent else 0,
            tags=event.tags,
            request_id=event.request_id,
        )
    record.version = event.version
    record.epoch = event.epoch
    record.adopted = event.adopted
    record.input = event.input
    record.execution_id = event.execution_id
    record.generation = event.generation
    record.updated_at = event.timestamp
    if seq:
        record.first_seq = record.last_seq = seq
        record.status = RuntimeStatus.RUNNING
        record.started_at = record.started_at or event.timestamp
    return record


def _complete(record: InstanceRecord, event: ExecutionCompleted) -> None:
    if event.status is RuntimeStatus.CONTINUED_AS_NEW:
        return
    record.status = event.status
    record.completed_at = event.timestamp
    record.output = event.result
    record.failure = event.failure
    record.suspend_reason = ""


def _set_custom_status(record: InstanceRecord, event: CustomStatusSet) -> None:
    record.custom_status = event.status


def _suspend(record: InstanceRecord, event: ExecutionSuspended) -> None:
    record.status = RuntimeStatus.SUSPENDED
    record.suspend_reason = event.reason
    record.failure = event.failure


def _resume(record: InstanceRecord, event: ExecutionResumed) -> None:  # noqa: ARG001
    record.status = RuntimeStatus.RUNNING
    record.suspend_reason = ""
    record.failure = None


def _rewind(record: InstanceRecord, event: ExecutionRewound) -> None:  # noqa: ARG001
    record.status = RuntimeStatus.RUNNING
    record.completed_at = None
    record.failure = None
    record.output = None


def _adopt(record: InstanceRecord, event: DefinitionAdopted) -> None:
    record.adopted = {**record.adopted, event.name: event.version}


def _migrate(record: InstanceRecord, event: ExecutionMigrated) -> None:
    record.version = event.version
    record.epoch = event.epoch
    record.adopted = event.adopted


_CHANGES: dict[type[Event], Callable[[InstanceRecord, Any], None]] = {
    CustomStatusSet: _set_custom_status,
    DefinitionAdopted: _adopt,
    ExecutionCompleted: _complete,
    ExecutionMigrated: _migrate,
    ExecutionResumed: _resume,
    ExecutionRewound: _rewind,
    ExecutionSuspended: _suspend,
}
