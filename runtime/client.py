"""The client: everything that can be asked of a host, near or far, as Python methods."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from .core.context import NO_INPUT
from .core.errors import WaitTimeoutError
from .core.ids import check_instance_id
from .core.payload import Converter, Payload
from .core.records import InstanceRecord
from .definitions import Definition, Kind
from .ports import InstanceQuery, InstanceUpdate
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
from .service import Service

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DurableClient", "InProcess", "Transport"]

_ANSWER_TIMEOUT_S = 60.0


class Transport(Protocol):
    """Carries requests to a service."""

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer."""
        ...

    def subscribe(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Follow an instance; returns how to end it."""
        ...

    def close(self) -> None:
        """Carry no more."""
        ...


class InProcess:
    """Carries requests to a service in the same process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def request(self, request: Request) -> Future[Any]:
        """Return the future of the answer."""
        return self._service.handle(request)

    def subscribe(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Follow an instance; returns how to end it."""
        return self._service.subscribe(instance_id, tell).result(timeout=_ANSWER_TIMEOUT_S)

    def close(self) -> None:
        """Nothing to do: the service belongs to somebody else."""


class DurableClient:
    """Starts, asks about and steers orchestrations.

    All methods may be called from any thread. Those that change something return once the
    change is durable.

    Args:
        transport: Carries the requests.
        converter: Encodes inputs and decodes results, in the caller's namespace.
    """

    def __init__(self, transport: Transport, converter: Converter) -> None:
        self.transport = transport
        self.converter = converter

    def define(self, definitions: Iterable[Definition]) -> list[Defined]:
        """Add definitions; the same content again adds nothing."""
        answer: list[Defined] = self._ask(Define(definitions=list(definitions)))
        return answer

    def start(
        self,
        name: str,
        input: Any = NO_INPUT,
        *,
        instance_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
    ) -> str:
        """Start an orchestration.

        Args:
            name: The orchestrator.
            input: Its input; leave out for none.
            instance_id: Its id; by default the name and a random suffix.
            tags: Labels.
            start_at: When to start (naive means UTC); by default now.

        Returns:
            The instance id.

        Raises:
            UnknownDefinitionError: There is no such orchestrator.
            InstanceExistsError: The id is taken.
            InvalidInstanceIdError: The id breaks a rule.
            EncodingError: The input cannot be stored.
        """
        chosen = f"{name}-{secrets.token_hex(6)}" if instance_id is None else instance_id
        start = Start(
            name=name,
            instance_id=check_instance_id(chosen),
            input=self.encode(input, f"input of {name}"),
            tags=dict(tags or {}),
            start_at=_utc(start_at),
            request_id=secrets.token_hex(8),
        )
        answer: list[str] = self._ask(StartMany(starts=[start]))
        return answer[0]

    def get(self, instance_id: str) -> InstanceRecord:
        """Return an instance's record; raises UnknownInstanceError."""
        answer: InstanceRecord = self._ask(GetInstance(instance_id=instance_id))
        return answer

    def completion(self, instance_id: str) -> Future[InstanceRecord]:
        """Return the future of an instance's record in a final status."""
        return self.transport.request(WaitForCompletion(instance_id=instance_id))

    def wait(self, instance_id: str, timeout_s: float | None = None) -> InstanceRecord:
        """Wait for the end of an instance.

        Args:
            instance_id: Which.
            timeout_s: Seconds to wait at most; None for no limit.

        Raises:
            WaitTimeoutError: It has not ended by then.
            UnknownInstanceError: There is no such instance.
        """
        try:
            return self.completion(instance_id).result(timeout_s)
        except FutureTimeoutError:
            raise WaitTimeoutError(f"the end of {instance_id!r}", timeout_s or 0.0) from None

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return the records of the instances that match, newest first."""
        answer: list[InstanceRecord] = self._ask(QueryInstances(query=query))
        return answer

    def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an external event; dropped if the instance has finished.

        Raises:
            UnknownInstanceError: There is no such instance.
            EncodingError: The data cannot be stored.
        """
        payload = None if data is None else self.encode(data, f"data of event {name!r}")
        self._ask(
            RaiseEvent(
                instance_id=instance_id,
                name=name,
                data=payload,
                request_id=secrets.token_hex(8),
            )
        )

    def suspend(self, instance_id: str, reason: str = "") -> None:
        """Suspend an instance: what reaches it waits until it is resumed."""
        self._ask(Suspend(instance_id=instance_id, reason=reason))

    def resume(self, instance_id: str, reason: str = "") -> None:
        """Resume a suspended instance."""
        self._ask(Resume(instance_id=instance_id, reason=reason))

    def terminate(self, instance_id: str, output: Any = None, *, recursive: bool = True) -> None:
        """End an instance now, and its sub-orchestrations; its running activities are stopped."""
        payload = None if output is None else self.encode(output, "output")
        self._ask(Terminate(instance_id=instance_id, output=payload, recurse=recursive))

    def definitions(self) -> list[Definition]:
        """Return the newest version of every definition."""
        answer: list[Definition] = self._ask(ListDefinitions())
        return answer

    def versions(self, kind: Kind, name: str) -> list[Definition]:
        """Return all versions of a definition, oldest first."""
        answer: list[Definition] = self._ask(FindDefinition(kind=kind, name=name))
        return answer

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a read-only SQL query over the store; raises QueryError."""
        import pyarrow as pa

        data = self._ask(RunSql(text=text, parameters=dict(parameters or {})))
        with pa.ipc.open_stream(data) as reader:
            return reader.read_all()

    def subscribe(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Follow an instance; `tell` gets everything first, then what is new.

        Returns:
            How to end it.
        """
        return self.transport.subscribe(instance_id, tell)

    def host_status(self) -> HostStatus:
        """Return how the host is."""
        answer: HostStatus = self._ask(HostStatusRequest())
        return answer

    def stop_host(self) -> None:
        """End the host; what runs goes on when the next one starts."""
        self._ask(StopHost())

    def encode(self, value: Any, where: str) -> Payload | None:
        """Return the payload of a value; None for NO_INPUT."""
        return None if value is NO_INPUT else self.converter.encode(value, where)

    def decode(self, payload: Payload | None) -> Any:
        """Return the value of a payload; None for none."""
        return None if payload is None else self.converter.decode(payload)

    def close(self) -> None:
        """Leave; what runs goes on."""
        self.transport.close()

    def _ask(self, request: Request) -> Any:
        try:
            return self.transport.request(request).result(_ANSWER_TIMEOUT_S)
        except FutureTimeoutError:
            what = f"the answer to {type(request).__name__}"
            raise WaitTimeoutError(what, _ANSWER_TIMEOUT_S) from None


def _utc(when: datetime | None) -> datetime | None:
    if when is None or when.tzinfo is None:
        return when
    return when.astimezone(UTC).replace(tzinfo=None)
