"""What instances say to each other, made of what their records and decisions hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .core.errors import TurnBlockedError
from .core.events import (
    EntityOperationCalled,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityOperationSignaled,
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    LockOwner,
    OperationCaller,
    OperationDone,
    OperationRequested,
    ParentInstance,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
)
from .core.failure import FailureDetails
from .core.payload import Payload
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .instances import Instance
from .watchdog import TurnBlocked

__all__ = [
    "answer_of",
    "blocked_error",
    "child_refused",
    "child_started",
    "next_generation",
    "operation_of",
    "outcome_for_parent",
    "outcome_of_record",
    "owner_of",
    "terminated",
    "told_entities",
]


def child_started(
    parent: InstanceRecord, event: SubOrchestrationInstanceCreated, execution_id: str
) -> ExecutionStarted:
    """Return the first event of the sub-orchestration that a parent asked for."""
    return ExecutionStarted(
        timestamp=event.timestamp,
        instance_id=event.instance_id,
        execution_id=execution_id,
        name=event.name,
        version=event.version,
        epoch=parent.epoch,
        input=event.input,
        parent=ParentInstance(
            instance_id=parent.instance_id,
            execution_id=parent.execution_id,
            task_id=event.task_id,
        ),
        tags=event.tags,
        adopted=parent.adopted,
    )


def child_refused(
    event: SubOrchestrationInstanceCreated, existing: InstanceRecord, now: datetime
) -> SubOrchestrationInstanceFailed:
    """Return what a parent is told whose child's id is taken."""
    failure = FailureDetails(
        error_type="ipydurable.InstanceExistsError",
        message=f"there is an instance {event.instance_id!r} already; it is {existing.status}",
    )
    return SubOrchestrationInstanceFailed(timestamp=now, task_id=event.task_id, failure=failure)


def next_generation(
    record: InstanceRecord, completed: ExecutionCompleted, execution_id: str
) -> ExecutionStarted:
    """Return the first event of the execution that an instance continues as."""
    parent = None
    if record.parent_instance_id:
        parent = ParentInstance(
            instance_id=record.parent_instance_id,
            execution_id=record.parent_execution_id,
            task_id=record.parent_task_id,
        )
    return ExecutionStarted(
        timestamp=completed.timestamp,
        instance_id=record.instance_id,
        execution_id=execution_id,
        name=record.name,
        version=record.version,
        epoch=record.epoch,
        input=completed.result,
        parent=parent,
        tags=record.tags,
        generation=record.generation + 1,
        adopted=record.adopted,
    )


def outcome_for_parent(
    record: InstanceRecord, completed: ExecutionCompleted, now: datetime
) -> SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed:
    """Return what a parent is told when its sub-orchestration has ended."""
    if completed.status is RuntimeStatus.COMPLETED:
        return SubOrchestrationInstanceCompleted(
            timestamp=now, task_id=record.parent_task_id, result=completed.result
        )
    failure = completed.failure or FailureDetails(
        error_type="ipydurable.OrchestrationTerminatedError",
        message=f"sub-orchestration {record.instance_id!r} was terminated",
    )
    return SubOrchestrationInstanceFailed(
        timestamp=now, task_id=record.parent_task_id, failure=failure
    )


def outcome_of_record(
    record: InstanceRecord, now: datetime
) -> SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed:
    """Return what a parent is told of a sub-orchestration that ended some time ago."""
    completed = ExecutionCompleted(
        timestamp=now, status=record.status, result=record.output, failure=record.failure
    )
    return outcome_for_parent(record, completed, now)


def terminated(
    instance: Instance, now: datetime, output: Payload | None = None
) -> ExecutionCompleted:
    """Return the end of an instance that is terminated."""
    return ExecutionCompleted(
        timestamp=now,
        status=RuntimeStatus.TERMINATED,
        result=output,
        abandoned=instance.open_task_ids,
    )


def owner_of(record: InstanceRecord, lock_id: int) -> LockOwner:
    """Return the critical section that an action of an execution began."""
    return LockOwner(
        instance_id=record.instance_id, execution_id=record.execution_id, lock_id=lock_id
    )


def answer_of(
    done: OperationDone, task_id: int, now: datetime
) -> EntityOperationCompleted | EntityOperationFailed:
    """Return what the caller of an operation is told."""
    if done.failure is None:
        return EntityOperationCompleted(timestamp=now, task_id=task_id, result=done.result)
    return EntityOperationFailed(timestamp=now, task_id=task_id, failure=done.failure)


def told_entities(decisions: Iterable[Event]) -> list[str]:
    """Return the ids of the entities that decisions call or signal."""
    told = EntityOperationCalled, EntityOperationSignaled
    return [event.entity_id for event in decisions if isinstance(event, told)]


def operation_of(
    record: InstanceRecord, event: EntityOperationCalled | EntityOperationSignaled
) -> OperationRequested:
    """Return the message that a call or signal is for its entity."""
    caller = None
    scheduled_at = None
    if isinstance(event, EntityOperationCalled):
        caller = OperationCaller(
            instance_id=record.instance_id,
            execution_id=record.execution_id,
            task_id=event.task_id,
        )
    else:
        scheduled_at = event.scheduled_at
    return OperationRequested(
        timestamp=event.timestamp,
        entity_id=event.entity_id,
        operation=event.operation,
        input=event.input,
        caller=caller,
        sender=record.instance_id,
        scheduled_at=scheduled_at,
    )


def blocked_error(blocked: TurnBlocked, limit_s: float) -> TurnBlockedError:
    """Return the error that names the user's line that blocked."""
    place = ""
    step = blocked.__traceback__
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("ipydurable.runtime"):
            place = f"{step.tb_frame.f_code.co_filename}, line {step.tb_lineno}"
        step = step.tb_next
    return TurnBlockedError(place, limit_s)
