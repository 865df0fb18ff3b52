"""Answers requests: what changes anything in the engine's thread, what only reads beside it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .changes import Changes
from .core.entity_ids import EntityInstanceId
from .core.errors import DurableError
from .core.output import AttemptOutput
from .definitions import Definition
from .engine import Engine
from .entity_news import EntityFollower, entity_snapshot
from .finder import Finder
from .followers import Follower
from .ports import EntityUpdate, InstanceUpdate, StoreUpdate
from .reads import StoreReads
from .requests import (
    CancelSql,
    FindDefinition,
    GetInstance,
    GetOutput,
    HostStatus,
    HostStatusRequest,
    ListDefinitions,
    Request,
    RunSql,
    StopHost,
)
from .snapshots import Snapshots
from .sql_runs import SqlRuns
from .store_news import store_update
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
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ipydurable-read")
        self._changes = Changes(engine, Finder(engine.store, self._readers))
        self._snapshots = Snapshots(engine, self._readers)
        self._started_at = engine.clock.now()
        self._store_reads = StoreReads(engine.store)
        self._sql = SqlRuns(engine.store)
        self._reads: dict[type, Callable[[Any], Any]] = {
            **self._store_reads.by_request,
            GetOutput: self._get_output,
            CancelSql: self._sql.cancel,
            ListDefinitions: self._list_definitions,
            FindDefinition: self._find_definition,
            HostStatusRequest: self._status,
        }
        self._open: set[Future[Any]] = set()
        self._broken: DurableError | None = None
        self.clients = 0

    def handle(self, request: Request) -> Future[Any]:
        """Return the future of the answer; a `DurableError` where the request is no good."""
        read = self._reads.get(type(request))
        if read is not None:
            return self._readers.submit(read, request)
        if isinstance(request, RunSql):
            return self._sql.submit(request)
        future: Future[Any] = Future()
        if self._broken is not None:
            future.set_exception(self._broken)
        elif isinstance(request, StopHost):
            future.set_result(None)
            self._on_stop()
        else:
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            self._engine.post(self._changes.handle, request, future)
        return future

    def fail(self, error: DurableError) -> None:
        """Answer everything with `error` from now on: the engine has ended."""
        self._broken = error
        for future in list(self._open):
            if not future.done():
                future.set_exception(error)

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Future[Callable[[], None]]:
        """Follow an instance, an entity, or the store.

        Args:
            followed: An instance id, an entity id as text, or `""` for the store as a whole.
            tell: Called with everything first, then with what is new (`InstanceUpdate`,
                `EntityUpdate` or `StoreUpdate`); never by two threads at once. It must return soon.

        Returns:
            The future of a function that ends it.
        """
        future: Future[Callable[[], None]] = Future()
        if not followed:
            self._engine.post(self._follow_store, tell, future)
        elif followed.startswith("@"):
            try:
                entity_id = str(EntityInstanceId.parse(followed))
            except ValueError as error:
                future.set_exception(DurableError(str(error)))
            else:
                self._engine.post(self._follow_entity, entity_id, tell, future)
        else:
            self._engine.post(self._subscribe, followed, tell, future)
        return future

    def close(self) -> None:
        """Answer no more."""
        self._sql.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _subscribe(
        self,
        instance_id: str,
        tell: Callable[[InstanceUpdate], None],
        future: Future[Callable[[], None]],
    ) -> None:
        engine = self._engine
        try:
            record = copy.copy(self._changes.record(instance_id))
        except DurableError as error:
            future.set_exception(error)
            return
        follower: Follower[InstanceUpdate] = Follower(tell)
        subscription = Subscription(record, follower.update)
        engine.subscriptions.add(subscription)
        self._snapshots.give(subscription, follower)
        future.set_result(lambda: engine.post(engine.subscriptions.remove, subscription))

    def _follow_entity(
        self,
        entity_id: str,
        tell: Callable[[EntityUpdate], None],
        future: Future[Callable[[], None]],
    ) -> None:
        engine = self._engine
        follower: Follower[EntityUpdate] = Follower(tell)
        subscription = EntityFollower(entity_id, follower.update)
        engine.subscriptions.entities.add(subscription)

        def snapshot() -> None:
            follower.begin(entity_snapshot(engine.store, entity_id, engine.clock.now()))

        def read_snapshot() -> None:
            self._readers.submit(snapshot)

        engine.after_commit(read_snapshot)
        future.set_result(lambda: engine.post(engine.subscriptions.entities.remove, subscription))

    def _follow_store(
        self, tell: Callable[[StoreUpdate], None], future: Future[Callable[[], None]]
    ) -> None:
        engine = self._engine
        engine.subscriptions.store.add(tell)
        tell(store_update(engine))
        future.set_result(lambda: engine.post(engine.subscriptions.store.remove, tell))

    # Reads; in a reader's thread.

    def _get_output(self, request: GetOutput) -> AttemptOutput | None:
        engine = self._engine
        record = self._store_reads.instance(GetInstance(instance_id=request.instance_id))
        instance = engine.orchestrations.by_iid.get(record.iid)
        running = engine.dispatcher.output(instance, request.task_id) if instance else None
        if running is not None and request.number in (0, running[0]):
            output = running[1]
            return None if output is None else engine.gate.signer.sign_output(output)
        kept = engine.store.outputs(record.iid, record.execution_id, request.task_id)
        found = {one.key.number: one.output for one in kept}
        return found.get(request.number or max(found, default=0))

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
            untrusted=len(engine.gate.foreign),
            notices=list(engine.notices),
        )
