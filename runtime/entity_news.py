"""News of entities: who follows which, and what they are told of its past and of what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from .core.entity_events import (
    EntityEvent,
    LockAcquired,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
)
from .core.payload import Blob, Payload
from .core.records import EntityRecord, Record
from .ports import EntityUpdate, JournalRow, ReadableStore, Stream

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["EntityFollower", "EntityFollowers", "entity_snapshot"]

_PAST = 80
"""How many history rows a follower is told of the past, and at most at once of what is new."""
_WAITING = 1_000
_VALUE_BYTES = 8 * 1024
_STATE_BYTES = 256 * 1024

_Row = tuple[int, int, EntityEvent]


class EntityFollower:
    """One follower of one entity.

    Args:
        entity_id: Which, as text.
        tell: Called in the engine's thread with each update; must return at once.
    """

    __slots__ = ("entity_id", "is_touched", "record", "rows", "tell")

    def __init__(self, entity_id: str, tell: Callable[[EntityUpdate], None]) -> None:
        self.entity_id = entity_id
        self.tell = tell
        self.record: EntityRecord | None = None
        self.rows: list[_Row] = []
        self.is_touched = False

    def flush(self, now: datetime) -> None:
        """Tell what is new."""
        rows, self.rows, self.is_touched = self.rows, [], False
        if self.record is not None:
            update = EntityUpdate(record=_bounded_record(self.record), events=rows, now=now)
            _leave_out(update)
            self.tell(update)


class EntityFollowers:
    """The followers of entities, which may not exist yet."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[EntityFollower]] = {}
        self._by_iid: dict[int, list[EntityFollower]] = {}

    def add(self, follower: EntityFollower) -> None:
        """Begin to follow; rows that become durable from now on are told."""
        self._by_id.setdefault(follower.entity_id, []).append(follower)

    def remove(self, follower: EntityFollower) -> None:
        """Follow no longer."""
        followers = self._by_id.get(follower.entity_id, [])
        if follower in followers:
            followers.remove(follower)
        if not followers:
            self._by_id.pop(follower.entity_id, None)
            self._by_iid = {iid: others for iid, others in self._by_iid.items() if others}

    def collect(
        self, rows: Iterable[JournalRow], records: Iterable[Record]
    ) -> list[EntityFollower]:
        """Take note of durable rows and records; returns the followers who are to be told soon."""
        if not self._by_id:
            return []
        touched = []
        for record in records:
            for follower in self._by_id.get(record.instance_id, ()):
                if isinstance(record, EntityRecord):
                    self._by_iid[record.iid] = self._by_id[record.instance_id]
                    follower.record = record
                    if not follower.is_touched:
                        follower.is_touched = True
                        touched.append(follower)
        for row in rows:
            for follower in self._by_iid.get(row.iid, ()):
                follower.rows.append(_bounded_row(row))
        return touched


def entity_snapshot(store: ReadableStore, entity_id: str, now: datetime) -> EntityUpdate:
    """Return what a follower of an entity is told at first."""
    record = store.find(entity_id)
    if not isinstance(record, EntityRecord):
        return EntityUpdate(record=None, events=[], now=now, is_whole=True)
    rows = store.history(record.iid, max(1, record.last_seq - _PAST + 1))
    past = [row for row in rows if row.stream is Stream.HISTORY]
    waiting = [row for row in rows if row.stream is Stream.INBOX][:_WAITING]
    asked = store.rows_of(record.iid, [row.ref for row in past if row.ref])
    return EntityUpdate(
        record=_bounded_record(record),
        events=[_bounded_row(row) for row in sorted([*past, *waiting, *asked])],
        now=now,
        is_whole=True,
        left_out=record.last_seq - len(past),
    )


def _leave_out(update: EntityUpdate) -> None:
    """Leave out of news all but the newest of what was done, and what it was about."""
    left_out = [row for row in update.events if not _is_message(row[2])][:-_PAST]
    if not left_out:
        return
    gone = {row[0] for row in left_out}
    consumed = {row[1] for row in left_out if row[1]}
    told = {row[0] for row in update.events}
    update.events = [row for row in update.events if row[0] not in gone | consumed]
    update.left_out = len(left_out)
    update.consumed = sorted(consumed - told)


def _is_message(event: EntityEvent) -> bool:
    return isinstance(event, OperationRequested | LockRequested)


def _bounded_row(row: JournalRow) -> _Row:
    event = row.event
    if isinstance(event, OperationRequested):
        event = msgspec.structs.replace(event, input=_bounded(event.input))
    elif isinstance(event, OperationDone):
        event = msgspec.structs.replace(
            event, result=_bounded(event.result), state=_bounded(event.state)
        )
    assert isinstance(
        event,
        OperationRequested
        | OperationDone
        | LockRequested
        | LockAcquired
        | LockReleased
        | LockWithdrawn,
    )
    return row.gseq, row.ref, event


def _bounded_record(record: EntityRecord) -> EntityRecord:
    return msgspec.structs.replace(record, state=_bounded(record.state, _STATE_BYTES))


def _bounded(payload: Payload | None, limit: int = _VALUE_BYTES) -> Payload | None:
    """Return a value, or what stands for it where it is large."""
    if payload is None:
        return None
    size = len(payload) if isinstance(payload, str) else len(payload.data)
    if size <= limit:
        return payload
    summary = "" if isinstance(payload, str) else payload.summary
    words = f"{size / 1024:,.0f} KB"
    return Blob(codec="", data=b"", summary=f"{summary}, {words}" if summary else words)
