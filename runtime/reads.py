"""Answers requests that only read, from a store alone: of a host, or of an archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .core.entity_ids import EntityInstanceId
from .core.errors import UnknownInstanceError
from .core.events import ExecutionStarted
from .core.payload import Payload
from .core.records import EntityRecord, InstanceRecord, fold
from .finder import unknown_instance
from .history_rows import payload_in
from .ports import InstanceUpdate, ReadableStore, Stream
from .requests import (
    GetEntity,
    GetExecution,
    GetInstance,
    GetPayload,
    QueryEntities,
    QueryInstances,
)

__all__ = ["StoreReads"]


class StoreReads:
    """Reads a store; called by any thread.

    Args:
        store: The store. What is not durable yet is not in it, and so nobody is told.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self.by_request: dict[type, Callable[[Any], Any]] = {
            GetInstance: self.instance,
            GetExecution: self._execution,
            GetPayload: self._payload,
            GetEntity: self._entity,
            QueryInstances: lambda request: store.query(request.query),
            QueryEntities: lambda request: store.query_entities(request.query),
        }

    def instance(self, request: GetInstance) -> InstanceRecord:
        """Return an instance's record.

        Raises:
            UnknownInstanceError: There is no such instance; lists near ids.
        """
        record = self._store.find(request.instance_id)
        if isinstance(record, InstanceRecord):
            return record
        raise unknown_instance(self._store, request.instance_id)

    def _execution(self, request: GetExecution) -> InstanceUpdate:
        iid = self.instance(GetInstance(instance_id=request.instance_id)).iid
        record: InstanceRecord | None = None
        events: list[Any] = []
        for row in self._store.history(iid):
            if row.stream is not Stream.HISTORY:
                continue
            is_next = isinstance(row.event, ExecutionStarted)
            if is_next and record is not None and record.generation == request.generation:
                break
            record = fold(record, iid, row.seq, row.event)  # type: ignore[arg-type]
            if record is not None and record.generation == request.generation:
                events.append((row.seq, row.event))
        if record is None or not events:
            wanted = f"{request.instance_id} (generation {request.generation + 1})"
            raise UnknownInstanceError(wanted, self._store.path)
        return InstanceUpdate(record=record, events=events, running=[], now=record.updated_at)

    def _payload(self, request: GetPayload) -> Payload | None:
        record = self._store.find(request.instance_id)
        if record is None:
            raise unknown_instance(self._store, request.instance_id)
        for row in self._store.history(record.iid, request.seq):
            if row.stream is Stream.HISTORY and row.seq == request.seq:
                return payload_in(row.event)
        raise UnknownInstanceError(f"{request.instance_id} (event {request.seq})", self._store.path)

    def _entity(self, request: GetEntity) -> EntityRecord | None:
        entity_id = str(EntityInstanceId.parse(request.entity_id))
        found = self._store.find(entity_id)
        return found if isinstance(found, EntityRecord) else None
