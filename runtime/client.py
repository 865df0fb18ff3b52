"""The client: everything that can be asked of a host, near or far, as Python methods."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .client_base import as_utc
from .core.context import NO_INPUT
from .core.errors import OrchestrationParkedError, WaitTimeoutError
from .core.ids import check_event_name, check_instance_id
from .core.output import AttemptOutput
from .core.payload import Payload
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .definitions import Definition, Kind
from .entity_client import EntityClient
from .form_client import FormClient
from .ports import InstanceQuery, InstanceUpdate
from .requests import (
    Adopt,
    Adopted,
    CountInFlight,
    Define,
    Defined,
    DescribeOpen,
    FindDefinition,
    GetExecution,
    GetInstance,
    GetOutput,
    GetPayload,
    HostStatus,
    HostStatusRequest,
    ListDefinitions,
    ListUntrusted,
    Migrate,
    Migrated,
    Purge,
    QueryInstances,
    RaiseEvent,
    Restart,
    Resume,
    Rewind,
    Start,
    StartMany,
    StopHost,
    Suspend,
    Terminate,
    Trust,
    Untrusted,
    WaitForCompletion,
    WaitForStart,
)
from .sql_client import SQL_TIMEOUT_S, ask_sql
from .transport import InProcess, Transport
from .waits import OpenTask

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SQL_TIMEOUT_S", "DurableClient", "InProcess", "Transport"]

_MAX_NAME_IN_ID = 80


class DurableClient(EntityClient, FormClient):
    """Starts, asks about and steers orchestrations.

    All methods may be called from any thread. Those that change something return once the
    change is durable.

    Args:
        transport: Carries the requests.
        converter: Encodes inputs and decodes results, in the caller's namespace.
        by: From where it asks, in words, e.g. the notebook: who answered a form is shown so.
    """

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
        timeout: timedelta | None = None,
        replace: Iterable[RuntimeStatus] = (),
    ) -> str:
        """Start an orchestration.

        Args:
            name: The orchestrator.
            input: Its input; leave out for none.
            instance_id: Its id; by default the name and a random suffix.
            tags: Labels.
            start_at: When to start (naive means UTC); by default now.
            timeout: How long after its start it fails unless it has ended.
            replace: Statuses in which an existing instance of that id is ended and deleted to
                make room; by default none is.

        Returns:
            The instance id.

        Raises:
            UnknownDefinitionError: There is no such orchestrator.
            InstanceExistsError: The id is taken.
            InvalidInstanceIdError: The id breaks a rule.
            EncodingError: The input cannot be stored.
        """
        if timeout is not None and timeout <= timedelta(0):
            raise ValueError(f"an orchestration cannot end within {timeout}: be positive")
        start = Start(
            name=name,
            instance_id=_new_id(name) if instance_id is None else check_instance_id(instance_id),
            input=self.encode(input, f"input of {name}"),
            tags=dict(tags or {}),
            start_at=as_utc(start_at),
            timeout_s=None if timeout is None else timeout.total_seconds(),
            replace=tuple(replace),
            request_id=secrets.token_hex(8),
        )
        answer: list[str] = self._ask(StartMany(starts=[start]))
        return answer[0]

    def start_many(
        self, name: str, inputs: Iterable[Any], *, tags: Mapping[str, str] | None = None
    ) -> list[str]:
        """Start an orchestrator once for each input, all or none, in one commit.

        Args:
            name: The orchestrator.
            inputs: One input for each instance.
            tags: Labels of all of them.

        Returns:
            The instance ids, in the order of the inputs.
        """
        starts = [
            Start(
                name=name,
                instance_id=_new_id(name),
                input=self.encode(one, f"input of {name}"),
                tags=dict(tags or {}),
                request_id=secrets.token_hex(8),
            )
            for one in inputs
        ]
        answer: list[str] = self._ask(StartMany(starts=starts))
        return answer

    def get(self, instance_id: str) -> InstanceRecord:
        """Return an instance's record; raises UnknownInstanceError."""
        answer: InstanceRecord = self._ask(GetInstance(instance_id=instance_id))
        return answer

    def completion(self, instance_id: str) -> Future[InstanceRecord]:
        """Return the future of an instance's record once it has ended or is parked; see `ended`."""
        return self.transport.request(WaitForCompletion(instance_id=instance_id))

    def wait(self, instance_id: str, timeout_s: float | None = None) -> InstanceRecord:
        """Wait for the end of an instance.

        Args:
            instance_id: Which.
            timeout_s: Seconds to wait at most; None for no limit.

        Raises:
            OrchestrationParkedError: Its code cannot go on until it is mended and resumed.
            WaitTimeoutError: It has not ended by then.
            UnknownInstanceError: There is no such instance.
        """
        try:
            return self.ended(self.completion(instance_id).result(timeout_s))
        except FutureTimeoutError:
            raise WaitTimeoutError(f"the end of {instance_id!r}", timeout_s or 0.0) from None

    @staticmethod
    def ended(record: InstanceRecord) -> InstanceRecord:
        """Return the record of an instance that has ended; raises where it is parked instead."""
        if record.is_parked:
            assert record.failure is not None
            raise OrchestrationParkedError(record.instance_id, record.failure)
        return record

    def wait_for_start(self, instance_id: str, timeout_s: float | None = None) -> InstanceRecord:
        """Wait until an instance has left PENDING; arguments and errors as `wait`."""
        future = self.transport.request(WaitForStart(instance_id=instance_id))
        try:
            record: InstanceRecord = future.result(timeout_s)
        except FutureTimeoutError:
            raise WaitTimeoutError(f"the start of {instance_id!r}", timeout_s or 0.0) from None
        return record

    def open_tasks(self, instance_ids: Iterable[str]) -> dict[str, list[OpenTask]]:
        """Return what instances wait for, by id; finished and unknown ones are left out."""
        answer: dict[str, list[OpenTask]] = self._ask(DescribeOpen(instance_ids=list(instance_ids)))
        return answer

    def attempt_output(
        self, instance_id: str, task_id: int, number: int = 0
    ) -> AttemptOutput | None:
        """Return what an attempt has printed, logged and displayed; also while it runs.

        Args:
            instance_id: The instance; its present execution is meant.
            task_id: The action id of the activity.
            number: The attempt, as in its history events; 0 for the newest.

        Returns:
            The output; None where there was none.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        request = GetOutput(instance_id=instance_id, task_id=task_id, number=number)
        answer: AttemptOutput | None = self._ask(request)
        return answer

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return the records of the instances that match, newest first."""
        answer: list[InstanceRecord] = self._ask(QueryInstances(query=query))
        return answer

    def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an external event, which may answer a form; dropped if the instance has finished.

        Raises:
            UnknownInstanceError: There is no such instance.
            FormAnswerError: A form asks for it, and the data does not fit; says what is wrong.
            ValueError: The name is no string of at least one character.
            EncodingError: The data cannot be stored.
        """
        check_event_name(name)
        payload = None if data is None else self.encode(data, f"data of event {name!r}")
        self._ask(
            RaiseEvent(
                instance_id=instance_id,
                name=name,
                data=payload,
                request_id=secrets.token_hex(8),
                by=self.by,
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

    def restart(self, instance_id: str, *, new_id: bool = False) -> str:
        """Start a finished instance's orchestrator again with the same input and tags.

        Args:
            instance_id: The finished instance.
            new_id: Whether to keep it and start one of a new id; else it is replaced.

        Returns:
            The id of the new instance.

        Raises:
            InstanceStateError: It has not finished.
        """
        name = self.get(instance_id).name
        chosen = _new_id(name) if new_id else instance_id
        request = Restart(instance_id=instance_id, new_id=chosen, request_id=secrets.token_hex(8))
        answer: str = self._ask(request)
        return answer

    def rewind(self, instance_id: str, reason: str = "", *, newest_code: bool = False) -> None:
        """Take up a failed instance again: what failed is redone, what succeeded is kept.

        Failed sub-orchestrations are rewound too. Inside a critical section it gets its locks
        again first; others may have used the entities in between.

        Args:
            instance_id: The failed instance.
            reason: Why, in words.
            newest_code: Whether it goes on with the newest orchestrator and activities rather than
                with those it started with.

        Raises:
            InstanceStateError: It has not failed, or would fail again in the same way, or what
                happened does not fit the newest code.
        """
        self._ask(Rewind(instance_id=instance_id, reason=reason, newest_code=newest_code))

    def adopt(self, name: str, instance_ids: Iterable[str] = (), *, version: str = "") -> Adopted:
        """Have instances in flight take another version of an activity from their next attempt on.

        Args:
            name: The activity.
            instance_ids: Which, with their sub-orchestrations; none means all in flight that
                would run another version.
            version: Content hash of the version; by default the newest.

        Raises:
            UnknownDefinitionError: There is no such activity, or version of it.
            InstanceStateError: One of them is not in flight; nothing is changed.
        """
        request = Adopt(name=name, version=version, instance_ids=list(instance_ids))
        answer: Adopted = self._ask(request)
        return answer

    def migrate(self, instance_id: str, to: int | str | None = None) -> Migrated:
        """Move an instance in flight to another version of its orchestrator.

        Its history is replayed under that version first. It sees the activities and
        sub-orchestrations as they were when that version was the newest.

        Args:
            instance_id: Which.
            to: Number or beginning of the content hash of the version; by default the newest.

        Raises:
            MigrationError: Its history does not replay under it; says where they part. Nothing is
                changed.
            UnknownVersionError: There is no such version.
            InstanceStateError: It is not in flight.
        """
        answer: Migrated = self._ask(Migrate(instance_id=instance_id, to=to))
        return answer

    def in_flight(self, kind: Kind, name: str) -> dict[int, int]:
        """Return how many instances in flight are on each version of a name, by its number."""
        answer: dict[int, int] = self._ask(CountInFlight(kind=kind, name=name))
        return answer

    def purge(self, instance_id: str, *, recursive: bool = False) -> int:
        """Delete a finished instance, and its finished children if so asked; returns how many.

        Raises:
            InstanceStateError: It has not finished.
        """
        answer: int = self._ask(Purge(instance_id=instance_id, recurse=recursive))
        return answer

    def purge_all(self, query: InstanceQuery, *, recursive: bool = False) -> int:
        """Delete the finished instances that match; returns how many."""
        answer: int = self._ask(Purge(query=query, recurse=recursive))
        return answer

    def definitions(self) -> list[Definition]:
        """Return the newest version of every definition."""
        answer: list[Definition] = self._ask(ListDefinitions())
        return answer

    def versions(self, kind: Kind, name: str) -> list[Definition]:
        """Return all versions of a definition, oldest first."""
        answer: list[Definition] = self._ask(FindDefinition(kind=kind, name=name))
        return answer

    def sql(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float = SQL_TIMEOUT_S,
    ) -> pa.Table:
        """Run a read-only SQL query over the store; an interrupt ends it there too.

        Args:
            text: One query.
            parameters: Values for `$name` in it.
            timeout_s: Seconds after which it is ended; 0 for no limit.

        Raises:
            QueryError: It is no good, or it was ended; in the database's own words.
        """
        return ask_sql(self.transport, text, parameters, timeout_s)

    def payload(self, instance_id: str, seq: int) -> Payload | None:
        """Return the value of one event, encoded; see `payload_of`."""
        answer: Payload | None = self._ask(GetPayload(instance_id=instance_id, seq=seq))
        return answer

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Follow an instance, an entity by its id as text, or, by `""`, the store as a whole.

        `tell` gets everything first, then what is new: each an `InstanceUpdate`, `EntityUpdate`
        or `StoreUpdate`. Returns how to end it.
        """
        return self.transport.subscribe(followed, tell)

    def untrusted(self) -> Untrusted:
        """Return what the store holds that was not made with this user's key and not approved."""
        answer: Untrusted = self._ask(ListUntrusted())
        return answer

    def trust(self, shown: Untrusted) -> int:
        """Trust what was shown, and let the store run; returns how many definitions that were.

        Raises:
            UntrustedStoreError: There are others, too; nothing is trusted.
        """
        answer: int = self._ask(Trust(versions=[one.version for one in shown.definitions]))
        return answer

    def watch_connection(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Be told when the host is gone, and when there is one again.

        Args:
            tell: Called in any thread with the reason in words, `""` once all is well.

        Returns:
            How to end it.
        """
        return self.transport.watch(tell)

    def execution(self, instance_id: str, generation: int) -> InstanceUpdate:
        """Return one execution of an instance as a subscriber would have been told it at its end.

        Args:
            instance_id: Which instance.
            generation: Which of its executions, from 0.

        Raises:
            UnknownInstanceError: There is no such instance, or it has no such generation.
        """
        update: InstanceUpdate = self._ask(
            GetExecution(instance_id=instance_id, generation=generation)
        )
        return update

    def host_status(self) -> HostStatus:
        """Return how the host is."""
        answer: HostStatus = self._ask(HostStatusRequest())
        return answer

    def stop_host(self) -> None:
        """End the host; what runs goes on when the next one starts."""
        self._ask(StopHost())


def _new_id(name: str) -> str:
    return f"{name[:_MAX_NAME_IN_ID]}-{secrets.token_hex(6)}"
