"""The events that journals of entities are made of; an entity keeps no others.

All times are naive UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from .event_base import Event
from .failure import FailureDetails
from .payload import Payload

__all__ = [
    "EntityEvent",
    "LockAcquired",
    "LockOwner",
    "LockReleased",
    "LockRequested",
    "LockWithdrawn",
    "OperationCaller",
    "OperationDone",
    "OperationRequested",
]


class OperationCaller(msgspec.Struct, frozen=True, kw_only=True):
    """The orchestration that waits for an operation's answer.

    Attributes:
        instance_id: Its id.
        execution_id: The execution that called.
        task_id: The action id that the answer is for.
    """

    instance_id: str
    execution_id: str
    task_id: int


class OperationRequested(Event, frozen=True, kw_only=True):
    """Entity: an operation was asked for.

    Attributes:
        entity_id: The entity, as text.
        operation: The operation's name.
        input: The encoded input; None where none was given.
        caller: Who waits for the answer, if an orchestration does.
        sender: Who asked: an instance or entity id; empty for a client.
        scheduled_at: When it is to be done; None for at once.
        request_id: A client's request, so that a repeated one is done once.
    """

    entity_id: str
    operation: str
    input: Payload | None = None
    caller: OperationCaller | None = None
    sender: str = ""
    scheduled_at: datetime | None = None
    request_id: str = ""


class OperationDone(Event, frozen=True, kw_only=True):
    """Entity: an operation was done, or failed without a trace.

    Attributes:
        operation: The operation's name.
        result: What it returned.
        failure: Why it failed; state and messages are as if it had not run.
        started_at: When it began.
        sender: Who asked.
        caller: The orchestration that waited for the answer, if one did.
        version: Content hash of the entity's code that ran.
        sets_state: Whether `state` is the entity's state from now on.
        state: The state after the last operation of a batch, where that changed it; None deletes.
        request_id: The client's request it answers.
    """

    operation: str
    result: Payload | None = None
    failure: FailureDetails | None = None
    started_at: datetime | None = None
    sender: str = ""
    caller: OperationCaller | None = None
    version: str = ""
    sets_state: bool = False
    state: Payload | None = None
    request_id: str = ""


class LockOwner(msgspec.Struct, frozen=True, kw_only=True):
    """A critical section.

    Attributes:
        instance_id: The orchestration.
        execution_id: Its execution.
        lock_id: The action id of its lock request.
    """

    instance_id: str
    execution_id: str
    lock_id: int


class LockRequested(Event, frozen=True, kw_only=True):
    """Entity: a critical section asks for its lock, and then for those of `rest`, in order."""

    entity_id: str
    owner: LockOwner
    rest: tuple[str, ...] = ()


class LockAcquired(Event, frozen=True, kw_only=True):
    """Entity: it is locked."""

    owner: LockOwner


class LockReleased(Event, frozen=True, kw_only=True):
    """Entity: it is free again."""

    owner: LockOwner


class LockWithdrawn(Event, frozen=True, kw_only=True):
    """Entity: a critical section ended before its lock request came up."""

    owner: LockOwner


EntityEvent: TypeAlias = (
    OperationRequested | OperationDone | LockRequested | LockAcquired | LockReleased | LockWithdrawn
)
