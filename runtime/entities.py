"""Entities: messages to them in order, one batch of operations at a time, locks.

Belongs to the engine and runs in its thread only; the operations themselves run elsewhere.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from .core.entities import EntityBatchResult, Operation, OperationResult
from .core.entity_ids import EntityInstanceId
from .core.errors import DefinitionError
from .core.events import (
    EntityLockGranted,
    Event,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
)
from .core.records import EntityRecord, Record, fold_entity
from .definitions import Kind
from .entity_runner import EntityJob, EntityRunner, failed_batch
from .idle_entities import IdleEntities
from .live_entities import Entity
from .messages import answer_of
from .ports import JournalRow, Stream
from .requests import LockInfo
from .timers import SIGNAL, Due

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Entities"]

_log = logging.getLogger(__name__)

_SEARCHED_FOR_REPEATED = 10_000


class Entities:
    """All entities of an engine that are in memory.

    Args:
        engine: Writes the rows and keeps the time.
        runner: Runs the operations.
        idle: How many with nothing to do stay in memory.

    Attributes:
        running: How many batches of operations run now.
    """

    def __init__(self, engine: Engine, runner: EntityRunner, idle: int) -> None:
        self._engine = engine
        self._runner = runner
        self._by_id: dict[str, Entity] = {}
        self._by_iid: dict[int, Entity] = {}
        self._idle = IdleEntities(idle)
        self._given_up: set[int] = set()
        self.running = 0
        self._answering: deque[tuple[int, OperationDone]] = deque()

    @property
    def live(self) -> int:
        """How many have something to do or are locked."""
        return len(self._by_iid) - len(self._idle)

    # Messages.

    def request(self, requested: OperationRequested) -> tuple[Entity, int]:
        """Have an operation done; returns the entity and the number of the request's row."""
        entity = self._entity(requested.entity_id)
        gseq = self._write(entity, requested, Stream.INBOX)
        at = requested.scheduled_at
        if at is not None and at > self._engine.now:
            entity.scheduled[gseq] = requested
            self._engine.timers.add(Due(at, entity.record.iid, SIGNAL, gseq))
        else:
            entity.put((gseq, requested))
            self._advance(entity)
        return entity, gseq

    def call(
        self, requested: OperationRequested, future: Future[Any], *, repeated: bool = False
    ) -> None:
        """Have an operation done for a client, who gets the `OperationDone` once durable.

        Args:
            requested: What to do.
            future: Gets what came of it.
            repeated: Whether an earlier host may have seen the request: it is not done twice then.
        """
        entity, gseq = self._entity(requested.entity_id), 0
        if repeated:
            done = self._find_done(entity, requested.request_id)
            if done is not None:
                self._engine.after_commit(partial(future.set_result, done))
                return
            gseq = entity.find_request(requested.request_id)
        if not gseq:
            entity, gseq = self.request(requested)
        entity.waiters.setdefault(gseq, []).append(future)

    def signal(self, requested: OperationRequested, *, repeated: bool = False) -> None:
        """Have an operation done for a client; `repeated` as for `call`."""
        if repeated:
            entity = self._entity(requested.entity_id)
            request_id = requested.request_id
            if entity.find_request(request_id) or self._find_done(entity, request_id):
                return
        self.request(requested)

    def expect(self, entity_ids: Iterable[str]) -> None:
        """Take up entities that are about to get messages: one query finds them all."""
        unknown = [one for one in entity_ids if one not in self._by_id]
        if len(unknown) > 1:
            unknown = list(dict.fromkeys(unknown))
            found = self._engine.store.find_many(unknown)
            for entity_id in unknown:
                self._take_up(entity_id, self._usable(found.get(entity_id)))

    def on_due(self, iid: int, gseq: int) -> None:
        """A scheduled signal's time has come."""
        entity = self._by_iid.get(iid)
        requested = entity.scheduled.pop(gseq, None) if entity is not None else None
        if entity is not None and requested is not None:
            entity.put((gseq, requested))
            self._advance(entity)

    # Locks.

    def lock(self, entity_ids: Iterable[str], owner: LockOwner) -> None:
        """Have a critical section get locks, in the order given."""
        first, *rest = entity_ids
        requested = LockRequested(
            timestamp=self._engine.now, entity_id=first, owner=owner, rest=tuple(rest)
        )
        entity = self._entity(first)
        entity.put((self._write(entity, requested, Stream.INBOX), requested))
        self._advance(entity)

    def release(self, entity_id: str, owner: LockOwner) -> None:
        """Take a lock back from a critical section, or its request from the queue."""
        entity = self._entity(entity_id)
        now = self._engine.now
        if entity.record.locked_by == owner:
            self._write(entity, LockReleased(timestamp=now, owner=owner))
            entity.was_released()
        else:
            gseq = entity.withdraw_lock_request(owner)
            if gseq:
                self._write(entity, LockWithdrawn(timestamp=now, owner=owner), ref=gseq)
        self._advance(entity)

    # Going on.

    def _advance(self, entity: Entity) -> None:
        """Have an entity do what it can do now."""
        while not entity.batch:
            lock = entity.take_lock_request()
            if lock is not None:
                self._acquire(entity, *lock)
                continue
            entity.batch = entity.take_batch()
            if not entity.batch:
                return
            self._engine.after_commit(partial(self._begin, entity))

    def _acquire(self, entity: Entity, gseq: int, event: LockRequested) -> None:
        self._write(entity, LockAcquired(timestamp=self._engine.now, owner=event.owner), ref=gseq)
        entity.was_locked(event.owner)
        if event.rest:
            self.lock(event.rest, event.owner)
        else:
            granted = EntityLockGranted(timestamp=self._engine.now, task_id=event.owner.lock_id)
            owner = event.owner
            self._engine.deliveries.send(owner.instance_id, granted, owner.execution_id)

    def _begin(self, entity: Entity) -> None:
        """Run a batch; its messages are durable."""
        self.running += 1
        entity_id = EntityInstanceId.parse(entity.record.instance_id)
        operations = [
            Operation(name=event.operation, input=event.input)
            for _, event in entity.batch
            if isinstance(event, OperationRequested)
        ]
        try:
            definition = self._engine.registry.newest(Kind.ENTITY, entity_id.name)
        except DefinitionError as error:
            failed = failed_batch(entity.record.state, len(operations), error)
            self._engine.post(self._on_done, entity, "", failed)
            return
        job = EntityJob(entity_id, definition, entity.record.state, operations)
        post = self._engine.post
        self._runner.submit(
            job, lambda result: post(self._on_done, entity, definition.version, result)
        )

    def _on_done(self, entity: Entity, version: str, result: EntityBatchResult) -> None:
        """Write down what a batch did, and pass on what it said."""
        self.running -= 1
        batch = entity.batch
        changed = result.state != entity.record.state
        for position, ((gseq, event), one) in enumerate(zip(batch, result.results, strict=True)):
            assert isinstance(event, OperationRequested)
            is_last = position == len(batch) - 1
            done = OperationDone(
                timestamp=self._engine.now,
                operation=event.operation,
                result=one.result,
                failure=one.failure,
                started_at=one.started_at,
                sender=event.sender,
                caller=event.caller,
                version=version,
                sets_state=changed and is_last,
                state=result.state if changed and is_last else None,
                request_id=event.request_id,
            )
            written = self._write(entity, done, ref=gseq)
            if done.request_id:
                self._answering.append((written, done))
            self._answer(entity, gseq, event, done)
            self._pass_on(entity, one)
        # Only now, so that nothing it told itself gets in between.
        entity.batch = []
        self._advance(entity)

    def _answer(
        self, entity: Entity, gseq: int, event: OperationRequested, done: OperationDone
    ) -> None:
        for waiter in entity.waiters.pop(gseq, ()):
            self._engine.after_commit(partial(waiter.set_result, done))
        caller = event.caller
        if caller is None:
            return
        answer = answer_of(done, caller.task_id, self._engine.now)
        self._engine.deliveries.send(caller.instance_id, answer, caller.execution_id)

    def _pass_on(self, entity: Entity, result: OperationResult) -> None:
        sender = entity.record.instance_id
        self.expect(signal.entity_id for signal in result.signals)
        for signal in result.signals:
            at = signal.scheduled_at
            if signal.delay is not None:
                at = self._engine.now + signal.delay
            self.request(
                OperationRequested(
                    timestamp=self._engine.now,
                    entity_id=signal.entity_id,
                    operation=signal.operation,
                    input=signal.input,
                    sender=sender,
                    scheduled_at=at,
                )
            )
        for start in result.starts:
            if self._engine.orchestrations.find(start.instance_id) is not None:
                _log.warning("%s starts %r, which exists", sender, start.instance_id)
                continue
            try:
                self._engine.orchestrations.start(
                    start.name, start.instance_id, start.input, {"started_by": sender}
                )
            except DefinitionError as error:
                _log.warning("%s cannot start %r: %s", sender, start.instance_id, error)

    def locks(self) -> list[LockInfo]:
        """Return all locks that are held or asked for."""
        found = []
        for entity in self._by_iid.values():
            record = entity.record
            queue = [request.owner.instance_id for request in entity.lock_requests()]
            if record.locked_by is not None or queue:
                owner = record.locked_by.instance_id if record.locked_by is not None else ""
                found.append(
                    LockInfo(
                        entity_id=record.instance_id,
                        owner=owner,
                        since=record.locked_at,
                        queue=queue,
                        pending=len(entity),
                    )
                )
        return found

    def give_up_empty(self, records: Iterable[EntityRecord]) -> list[int]:
        """Let go of those entities that have no state and nothing to do.

        What reaches them from now on makes new entities, so that their rows can be deleted.

        Args:
            records: Entities as the store knows them; those in memory may have gone on.

        Returns:
            The numbers of the entities given up.
        """
        given_up = []
        for record in records:
            entity = self._by_iid.get(record.iid)
            if entity is None:
                is_empty = record.state is None and not record.is_live
            else:
                is_empty = entity.is_idle and entity.record.state is None
            if not is_empty:
                continue
            given_up.append(record.iid)
            self._given_up.add(record.iid)
            self._idle.discard(record.iid)
            if entity is not None:
                del self._by_iid[record.iid]
                del self._by_id[record.instance_id]
        return given_up

    def deleted(self, iids: Iterable[int]) -> None:
        """Take note that entities that were given up are deleted."""
        self._given_up.difference_update(iids)

    # Memory.

    def restore(self, record: EntityRecord, rows: Iterable[JournalRow]) -> None:
        """Take up an entity that had something to do when the host ended."""
        entity = Entity(record)
        for row in rows:
            entity.last_gseq = max(entity.last_gseq, row.gseq)
            event = row.event
            if not isinstance(event, OperationRequested | LockRequested):
                continue
            at = event.scheduled_at if isinstance(event, OperationRequested) else None
            if isinstance(event, OperationRequested) and at is not None and at > self._engine.now:
                entity.scheduled[row.gseq] = event
                self._engine.timers.add(Due(at, record.iid, SIGNAL, row.gseq))
            else:
                entity.put((row.gseq, event))
        self._adopt(entity)
        self._engine.post(self._advance, entity)

    def find(self, entity_id: str) -> EntityRecord | None:
        """Return the record of an entity, in memory or not."""
        entity = self._by_id.get(entity_id)
        if entity is not None:
            return copy.copy(entity.record)
        return self._usable(self._engine.store.find(entity_id))

    def evict(self) -> None:
        """Have the longest idle entities leave memory, as far as their rows are durable."""
        while self._answering and self._answering[0][0] <= self._engine.durable_gseq:
            self._answering.popleft()
        for entity in self._idle.surplus():
            if entity.last_gseq <= self._engine.durable_gseq and entity.is_idle:
                self._idle.discard(entity.record.iid)
                del self._by_iid[entity.record.iid]
                del self._by_id[entity.record.instance_id]

    def close(self) -> None:
        """Run no more operations."""
        self._runner.close()

    def _entity(self, entity_id: str) -> Entity:
        entity = self._by_id.get(entity_id)
        return entity or self._take_up(entity_id, self.find(entity_id))

    def _take_up(self, entity_id: str, record: EntityRecord | None) -> Entity:
        if record is None:
            record = EntityRecord(
                iid=self._engine.new_iid(),
                instance_id=entity_id,
                name=EntityInstanceId.parse(entity_id).name,
                created_at=self._engine.now,
                updated_at=self._engine.now,
            )
        entity = Entity(record)
        self._adopt(entity)
        return entity

    def _usable(self, record: Record | None) -> EntityRecord | None:
        is_usable = isinstance(record, EntityRecord) and record.iid not in self._given_up
        return record if is_usable else None  # type: ignore[return-value]

    def _find_done(self, entity: Entity, request_id: str) -> OperationDone | None:
        """Return what came of a client's request that an earlier host was asked."""
        record = entity.record
        first = max(1, record.last_seq - _SEARCHED_FOR_REPEATED)
        durable = [row.event for row in self._engine.store.history(record.iid, first)]
        for event in [*durable, *(done for _, done in self._answering)]:
            if isinstance(event, OperationDone) and event.request_id == request_id:
                return event
        return None

    def _adopt(self, entity: Entity) -> None:
        self._by_id[entity.record.instance_id] = entity
        self._by_iid[entity.record.iid] = entity
        if not entity.record.is_live:
            self._idle.put(entity)

    def _write(
        self, entity: Entity, event: Event, stream: Stream = Stream.HISTORY, ref: int = 0
    ) -> int:
        record = entity.record
        seq = record.last_seq + 1 if stream is Stream.HISTORY else 0
        entity.last_gseq = self._engine.add_row(record, seq, stream, event, ref)
        fold_entity(record, record.iid, seq, event)
        if record.is_live:
            self._idle.discard(record.iid)
        else:
            self._idle.put(entity)
        return entity.last_gseq
