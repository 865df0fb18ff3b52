"""A store without a host: answers what only reads, and refuses everything else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from .codecs import NamespaceConverter
from .core.errors import DecodingError, ReadOnlyStoreError
from .core.output import AttemptOutput
from .core.payload import Blob, Payload
from .core.records import InstanceRecord
from .definitions import Definition
from .entity_news import entity_snapshot
from .files import ValueFiles
from .ports import InstanceUpdate, ReadableStore, StoreUpdate, Stream
from .reads import StoreReads
from .requests import (
    CancelSql,
    CountInFlight,
    DescribeForms,
    DescribeOpen,
    FindDefinition,
    GetEntity,
    GetExecution,
    GetInstance,
    GetOutput,
    GetPayload,
    HostStatus,
    HostStatusRequest,
    ListDefinitions,
    ListLocks,
    ListUntrusted,
    QueryEntities,
    QueryInstances,
    Request,
    RunSql,
    Untrusted,
    WaitForCompletion,
    WaitForStart,
)
from .sql_runs import SqlRuns
from .transport import Transport

__all__ = ["ArchiveTransport", "PlainConverter", "ReadingTransport"]

_THREADS: Final = 2
_READS: Final = (
    *(
        CancelSql,
        CountInFlight,
        DescribeForms,
        DescribeOpen,
        FindDefinition,
        GetEntity,
        GetExecution,
    ),
    *(GetInstance, GetOutput, GetPayload, HostStatusRequest, ListDefinitions, ListLocks),
    *(ListUntrusted, QueryEntities, QueryInstances, RunSql, WaitForCompletion, WaitForStart),
)

_IN_WORDS: Final = {
    "CallEntity": "call an entity",
    "Define": "define a function",
    "RaiseEvent": "raise an event",
    "SignalMany": "signal entities",
    "StartMany": "start an instance",
}
"""What requests ask for, where their names say it too shortly."""


class PlainConverter(NamespaceConverter):
    """Decodes data (JSON, Arrow, arrays in files) and nothing that could run, whoever signed it.

    Args:
        files: The archive's files.
    """

    def __init__(self, files: ValueFiles | None = None) -> None:
        super().__init__({}, may_import=False, files=files)

    def decode(self, payload: Payload) -> Any:
        """Return the value of a payload.

        Raises:
            DecodingError: It is pickled, and nothing of an archive is unpickled.
        """
        if isinstance(payload, Blob) and payload.codec not in ("arrow", "file"):
            raise DecodingError(
                f"the stored {payload.summary or 'value'}",
                "it is pickled, and an archive is only read. Open the store with a host for it",
            )
        return super().decode(payload)


class ReadingTransport:
    """Lets through to a host only what reads.

    Args:
        transport: Reaches the host.
        path: The store, for messages.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer."""
        if isinstance(request, _READS):
            return self._transport.request(request)
        return _refused(self._path, request)

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Follow an instance; returns how to end it."""
        return self._transport.subscribe(followed, tell)

    def watch(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Tell when there is no host."""
        return self._transport.watch(tell)

    def close(self) -> None:
        """Leave."""
        self._transport.close()


class ArchiveTransport:
    """Answers requests from a store in this process, without an engine.

    Args:
        store: The store; closed with this.
        definitions: What is defined in it, in order of epoch.
        version: Of ipydurable, to be told.
    """

    def __init__(
        self, store: ReadableStore, definitions: Sequence[Definition], version: str = ""
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._version = version
        self._opened_at = datetime.now(UTC).replace(tzinfo=None)
        self._reads = StoreReads(store)
        self._sql = SqlRuns(store)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ipydurable-archive")
        self._answers: dict[type, Callable[[Any], Any]] = {
            **self._reads.by_request,
            CancelSql: self._sql.cancel,
            CountInFlight: lambda _: {},
            DescribeForms: lambda _: [],
            DescribeOpen: lambda _: {},
            FindDefinition: lambda request: [
                one for one in definitions if (one.kind, one.name) == (request.kind, request.name)
            ],
            GetOutput: self._output,
            HostStatusRequest: self._status,
            ListDefinitions: lambda _: list(
                {(one.kind, one.name): one for one in definitions}.values()
            ),
            ListLocks: lambda _: [],
            ListUntrusted: lambda _: Untrusted(definitions=[], values=0, live=0),
            WaitForCompletion: self._ended,
            WaitForStart: self._ended,
        }

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer; `ReadOnlyStoreError` for what would change something."""
        if isinstance(request, RunSql):
            return self._sql.submit(request)
        answer = self._answers.get(type(request))
        if answer is None:
            return _refused(self._store.path, request)
        return self._threads.submit(answer, request)

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Tell everything there is; nothing more will come."""
        if followed.startswith("@"):
            tell(entity_snapshot(self._store, followed, self._opened_at))
            return lambda: None
        if not followed:
            tell(StoreUpdate(now=self._opened_at, gseq=0, live=0, lanes=[], work=[]))
            return lambda: None
        record = self._reads.instance(GetInstance(instance_id=followed))
        rows = self._store.history(record.iid, record.first_seq or 1)
        events: list[Any] = [(row.seq, row.event) for row in rows if row.stream is Stream.HISTORY]
        tell(InstanceUpdate(record=record, events=events, running=[], now=record.updated_at))
        return lambda: None

    def watch(self, tell: Callable[[str], None]) -> Callable[[], None]:  # noqa: ARG002
        """Nothing to tell: there is no host that could end."""
        return lambda: None

    def close(self) -> None:
        """Release the file."""
        self._sql.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    def _ended(self, request: WaitForCompletion | WaitForStart) -> InstanceRecord:
        record = self._reads.instance(GetInstance(instance_id=request.instance_id))
        if not record.status.is_terminal:
            raise ReadOnlyStoreError(self._store.path, f"wait for {request.instance_id!r}")
        return record

    def _output(self, request: GetOutput) -> AttemptOutput | None:
        record = self._reads.instance(GetInstance(instance_id=request.instance_id))
        kept = self._store.outputs(record.iid, record.execution_id, request.task_id)
        found = {one.key.number: one.output for one in kept}
        return found.get(request.number or max(found, default=0))

    def _status(self, request: HostStatusRequest) -> HostStatus:  # noqa: ARG002
        return HostStatus(
            pid=os.getpid(),
            store=self._store.path,
            version=self._version,
            started_at=self._opened_at,
            clients=1,
            live=0,
            activities=0,
            trouble="open for reading only",
            report=[],
            log="",
        )


def _refused(path: str, request: Request) -> Future[Any]:
    future: Future[Any] = Future()
    name = type(request).__name__
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
    future.set_exception(ReadOnlyStoreError(path, _IN_WORDS.get(name, words)))
    return future
