"""Answers requests: what changes anything in the engine's thread, what only reads beside it."""

from __future__ import annotations

import copy
import difflib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

from .core.errors import (
    DurableError,
    DurableInternalError,
    InstanceExistsError,
    InstanceStateError,
    UnknownInstanceError,
)
from .core.events import (
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from .core.events import ExecutionCompleted
from .core.ids import check_instance_id
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .definitions import Definition, DefinitionAdded, Kind
from .engine import Engine
from .instances import Instance
from .ports import InstanceQuery, InstanceUpdate, Stream
from .requests import (
    Define,
    Defined,
    FindDefinition,
    GetInstance,
    HostStatus,
    HostStatusRequest,
    ListDefinitions,
    QueryInstances,
    RaiseEvent,
    Request,
    Resume,
    RunSql,
    Start,
    StartMany,
    StopHost,
    Suspend,
    Terminate,
    WaitForCompletion,
)
from .subscriptions import Subscription

__all__ = ["Service"]

_READERS = 4


class Service:
    """The engine's counter: every client, near or far, is served here.

    Args:
        engine: The engine; `engine.run` must be running in some thread.
        version: Of ipydurable, to be told.
        log: Path of the log, to be told.
        on_stop: Called when a client asks for the end.
    """

    def __init__(
        self,
        engine: Engine,
        version: str = "",
        log: str = "",
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._version = version
        self._log = log
        self._on_stop = on_stop or engine.stop
        self._started_at = engine.clock.now()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ipydurable-read")
        self.clients = 0

    def handle(self, request: Request) -> Future[Any]:
        """Return the future of the answer; a `DurableError` where the request is no good."""
        read = _READS.get(type(request))
        if read is not None:
            return self._readers.submit(read, self, request)
        change = _CHANGES.get(type(request))
        future: Future[Any] = Future()
        if change is None:
            future.set_exception(DurableInternalError(f"unknown request {type(request).__name__}"))
        else:
            self._engine.post(self._change, change, request, future)
        return future

    def subscribe(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Future[Callable[[], None]]:
        """Follow an instance.

        Args:
            instance_id: Which.
            tell: Called with everything first, then with what is new; never by two threads at
                once. It must return soon.

        Returns:
            The future of a function that ends it.
        """
        future: Future[Callable[[], None]] = Future()
        self._engine.post(self._subscribe, instance_id, tell, future)
        return future

    def close(self) -> None:
        """Answer no more."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _change(
        self,
        change: Callable[[Service, Any, Future[Any]], None],
        request: Request,
        future: Future[Any],
    ) -> None:
        try:
            change(self, request, future)
        except DurableError as error:
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001  (the engine's thread must live on)
            future.set_exception(DurableInternalError(f"{type(request).__name__}: {error!r}"))

    def _after_commit(self, future: Future[Any], answer: Any) -> None:
        self._engine.after_commit(lambda: future.set_result(answer))

    # Changes; in the engine's thread.

    def _define(self, request: Define, future: Future[Any]) -> None:
        engine = self._engine
        answers = []
        for definition in request.definitions:
            kept, is_new = engine.registry.add(definition, engine.now)
            if is_new:
                engine.write_definition(DefinitionAdded(timestamp=engine.now, definition=kept))
            answers.append(
                Defined(
                    name=kept.name,
                    version=kept.version,
                    number=kept.number,
                    is_new=is_new,
                    in_flight=self._in_flight(kept) if is_new else {},
                )
            )
        self._after_commit(future, answers)

    def _in_flight(self, kept: Definition) -> dict[int, int]:
        counts: dict[int, int] = {}
        if kept.kind is not Kind.ORCHESTRATOR:
            return counts
        for instance in self._engine.orchestrations.by_iid.values():
            record = instance.record
            if record.name == kept.name and record.version != kept.version:
                number = self._engine.registry.version(kept.kind, kept.name, record.version).number
                counts[number] = counts.get(number, 0) + 1
        return counts

    def _start_many(self, request: StartMany, future: Future[Any]) -> None:
        to_create = [one for one in request.starts if self._may_start(one)]
        engine = self._engine
        for one in to_create:
            definition = engine.registry.newest(Kind.ORCHESTRATOR, one.name)
            engine.orchestrations.create(
                ExecutionStarted(
                    timestamp=engine.now,
                    instance_id=one.instance_id,
                    execution_id=engine.new_id(),
                    name=one.name,
                    version=definition.version,
                    epoch=engine.registry.epoch,
                    input=one.input,
                    tags=one.tags,
                    start_at=one.start_at,
                    request_id=one.request_id,
                )
            )
        self._after_commit(future, [one.instance_id for one in request.starts])

    def _may_start(self, one: Start) -> bool:
        """Return False for a repeated request; raises where the id is taken."""
        check_instance_id(one.instance_id)
        self._engine.registry.newest(Kind.ORCHESTRATOR, one.name)
        existing = self._engine.orchestrations.find(one.instance_id)
        if existing is None:
            return True
        if one.request_id and existing.request_id == one.request_id:
            return False
        raise InstanceExistsError(one.instance_id, existing.status.value)

    def _wait(self, request: WaitForCompletion, future: Future[Any]) -> None:
        instance = self._engine.orchestrations.by_id.get(request.instance_id)
        if instance is not None:
            instance.waiters.append(future)
        else:
            future.set_result(self._record(request.instance_id))

    def _raise_event(self, request: RaiseEvent, future: Future[Any]) -> None:
        self._tell(
            request.instance_id,
            EventRaised(
                timestamp=self._engine.now,
                name=request.name,
                input=request.data,
                request_id=request.request_id,
            ),
        )
        self._after_commit(future, None)

    def _suspend(self, request: Suspend, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None and instance.record.status is RuntimeStatus.PENDING:
            raise InstanceStateError(
                request.instance_id, "Pending", "it can be suspended once it has started"
            )
        if instance is not None and instance.record.status is RuntimeStatus.RUNNING:
            event = ExecutionSuspended(timestamp=self._engine.now, reason=request.reason)
            self._engine.write(instance, event)
        self._after_commit(future, None)

    def _resume(self, request: Resume, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None and instance.record.status is RuntimeStatus.SUSPENDED:
            event = ExecutionResumed(timestamp=self._engine.now, reason=request.reason)
            self._engine.write(instance, event)
            self._engine.orchestrations.wake(instance)
        self._after_commit(future, None)

    def _terminate(self, request: Terminate, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None:
            self._end(instance, request)
        self._after_commit(future, None)

    def _end(self, instance: Instance, request: Terminate) -> None:
        engine = self._engine
        children = list(instance.children.values())
        engine.write(
            instance,
            ExecutionTerminated(
                timestamp=engine.now, output=request.output, recurse=request.recurse
            ),
        )
        engine.orchestrations.finish(
            instance,
            ExecutionCompleted(
                timestamp=engine.now,
                status=RuntimeStatus.TERMINATED,
                result=request.output,
                abandoned=(*instance.activities, *instance.timers, *instance.children),
            ),
        )
        if request.recurse:
            for child_id in children:
                child = engine.orchestrations.by_id.get(child_id)
                if child is not None and not child.record.status.is_terminal:
                    self._end(child, request)

    def _stop(self, request: StopHost, future: Future[Any]) -> None:  # noqa: ARG002
        future.set_result(None)
        self._on_stop()

    def _subscribe(
        self,
        instance_id: str,
        tell: Callable[[InstanceUpdate], None],
        future: Future[Callable[[], None]],
    ) -> None:
        engine = self._engine
        try:
            record = copy.copy(self._record(instance_id))
        except DurableError as error:
            future.set_exception(error)
            return
        follower = _Follower(tell)
        subscription = Subscription(record, follower.update)
        engine.subscriptions.add(subscription)
        instance = engine.orchestrations.by_iid.get(record.iid)
        running = list(instance.running.values()) if instance else []

        def snapshot() -> None:
            rows = engine.store.history(record.iid, record.first_seq or 1)
            events = [(row.seq, row.event) for row in rows if row.stream is Stream.HISTORY]
            known = engine.store.find(instance_id) or record
            follower.begin(
                InstanceUpdate(
                    record=known,
                    events=events,  # type: ignore[arg-type]
                    running=running,
                    now=engine.clock.now(),
                )
            )

        def read_snapshot() -> None:
            self._readers.submit(snapshot)

        engine.after_commit(read_snapshot)
        future.set_result(lambda: engine.post(engine.subscriptions.remove, subscription))

    # Reads; in a reader's thread.

    def _get_instance(self, request: GetInstance) -> InstanceRecord:
        record = self._engine.store.find(request.instance_id)
        return record if record is not None else self._record(request.instance_id)

    def _query(self, request: QueryInstances) -> list[InstanceRecord]:
        return self._engine.store.query(request.query)

    def _sql(self, request: RunSql) -> bytes:
        import pyarrow as pa

        table = self._engine.store.sql(request.text, request.parameters or None)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def _list_definitions(self, request: ListDefinitions) -> list[Definition]:  # noqa: ARG002
        return self._engine.registry.all()

    def _find_definition(self, request: FindDefinition) -> list[Definition]:
        return self._engine.registry.versions(request.kind, request.name)

    def _status(self, request: HostStatusRequest) -> HostStatus:  # noqa: ARG002
        engine = self._engine
        return HostStatus(
            pid=os.getpid(),
            store=engine.store.path,
            version=self._version,
            started_at=self._started_at,
            clients=self.clients,
            live=len(engine.orchestrations.by_iid),
            activities=engine.dispatcher.in_flight,
            trouble=engine.journal.trouble,
            report=engine.report,
            log=self._log,
        )

    # Helpers.

    def _record(self, instance_id: str) -> InstanceRecord:
        record = self._engine.orchestrations.find(instance_id)
        if record is None:
            known = self._engine.store.query(InstanceQuery(limit=500))
            ids = [one.instance_id for one in known]
            near = tuple(difflib.get_close_matches(instance_id, ids, n=3))
            raise UnknownInstanceError(instance_id, self._engine.store.path, near)
        return record

    def _live(self, instance_id: str) -> Instance | None:
        """Return a live instance, None for a finished one; raises for an unknown one."""
        instance = self._engine.orchestrations.by_id.get(instance_id)
        if instance is not None and not instance.record.status.is_terminal:
            return instance
        self._record(instance_id)
        return None

    def _tell(self, instance_id: str, event: HistoryEvent) -> None:
        instance = self._live(instance_id)
        if instance is not None:
            self._engine.orchestrations.deliver(instance, event)


class _Follower:
    """Puts the snapshot before the news, and leaves out of the news what the snapshot had."""

    def __init__(self, tell: Callable[[InstanceUpdate], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: list[InstanceUpdate] | None = []
        self._last_seq = 0

    def begin(self, snapshot: InstanceUpdate) -> None:
        """Tell the snapshot, then the news that came meanwhile."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._pass_on(snapshot)
            for update in waiting:
                self._pass_on(update)

    def update(self, update: InstanceUpdate) -> None:
        """Tell news, or keep them until the snapshot is told."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(update)
            else:
                self._pass_on(update)

    def _pass_on(self, update: InstanceUpdate) -> None:
        update.events = [item for item in update.events if item[0] > self._last_seq]
        if update.events:
            self._last_seq = update.events[-1][0]
        self._tell(update)


_READS: dict[type, Callable[[Service, Any], Any]] = {
    GetInstance: Service._get_instance,
    QueryInstances: Service._query,
    RunSql: Service._sql,
    ListDefinitions: Service._list_definitions,
    FindDefinition: Service._find_definition,
    HostStatusRequest: Service._status,
}
_CHANGES: dict[type, Callable[[Service, Any, Future[Any]], None]] = {
    Define: Service._define,
    StartMany: Service._start_many,
    WaitForCompletion: Service._wait,
    RaiseEvent: Service._raise_event,
    Suspend: Service._suspend,
    Resume: Service._resume,
    Terminate: Service._terminate,
    StopHost: Service._stop,
}
