"""What followers are told: of an instance, of an entity, of a store as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from .core.entity_events import EntityEvent
from .core.events import HistoryEvent
from .core.records import EntityRecord, InstanceRecord
from .waits import OpenForm

__all__ = [
    "EntityUpdate",
    "InstanceUpdate",
    "LaneLoad",
    "RunningAttempt",
    "StoreUpdate",
    "Update",
    "Work",
]


class RunningAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that runs now; what is not in the journal yet, or never will be.

    Attributes:
        task_id: The action id.
        number: The attempt's number.
        started_at: When its body began (naive UTC).
        worker: Who runs it.
        done: How much it has said to be done; None where it has said nothing.
        total: Of how much; None where that is not known.
        note: What it does at the moment.
    """

    task_id: int
    number: int
    started_at: datetime
    worker: str
    done: float | None = None
    total: float | None = None
    note: str = ""


class InstanceUpdate(msgspec.Struct, kw_only=True, tag="instance"):
    """What a subscriber of one instance is told: everything at first, then what is new.

    Attributes:
        record: The instance's record as of the last event.
        events: New history events with their sequence numbers, in order. All are durable.
        running: All attempts that run now.
        awaited_events: Names of the external events the code waits for, and since when (naive
            UTC).
        now: The host's time, naive UTC.
        child_forms: The forms that its sub-orchestrations, and theirs, wait for somebody to fill
            in, not more than 20; None where they are what was told before.
    """

    record: InstanceRecord
    events: list[tuple[int, HistoryEvent]]
    running: list[RunningAttempt]
    now: datetime
    awaited_events: dict[str, datetime] = {}
    child_forms: list[OpenForm] | None = None


class EntityUpdate(msgspec.Struct, kw_only=True, tag="entity"):
    """What a follower of one entity is told: the newest of its past at first, then what is new.

    Large values are left out: a `Blob` with no codec and a summary stands for each.

    Attributes:
        record: The entity's record as of the last event; None where nothing has reached it.
        events: What happened, as `(gseq, ref, event)`, in order: messages that reached it, and
            what became of them (`ref` is the message's `gseq`). All are durable.
        now: The host's time, naive UTC.
        is_whole: Whether what was told before is to be forgotten.
        left_out: How many operations before these are not told: there were too many.
        consumed: Messages that those left out were about.
    """

    record: EntityRecord | None
    events: list[tuple[int, int, EntityEvent]]
    now: datetime
    is_whole: bool = False
    left_out: int = 0
    consumed: list[int] = []


class LaneLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How much one executor has to do.

    Attributes:
        name: The executor.
        capacity: How many attempts it runs at once.
        in_flight: How many attempts it has.
        ready: How many activities wait for it.
    """

    name: str
    capacity: int
    in_flight: int
    ready: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does now.

    Attributes:
        worker: Who.
        executor: Of which executor.
        name: The activity.
        instance_id: For which instance.
        since: Since when (naive UTC).
    """

    worker: str
    executor: str
    name: str
    instance_id: str
    since: datetime


class StoreUpdate(msgspec.Struct, kw_only=True, tag="store"):
    """What a follower of a whole store is told, once a second while anything happens in it.

    Attributes:
        now: The host's time, naive UTC.
        gseq: The last journal row that is durable.
        live: How many instances have not ended.
        lanes: The load of the executors.
        work: What workers do; the longest at it first, not more than 100.
        held: How many activities wait for a limit that was set for them.
    """

    now: datetime
    gseq: int
    live: int
    lanes: list[LaneLoad]
    work: list[Work]
    held: int = 0


Update: TypeAlias = InstanceUpdate | EntityUpdate | StoreUpdate
"""What any follower is told."""
