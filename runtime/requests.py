"""What clients ask of a host, as data, and what each request is answered with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypeAlias

import msgspec

from .core.events import OperationDone
from .core.output import AttemptOutput
from .core.payload import Payload
from .core.records import EntityRecord, InstanceRecord
from .core.status import RuntimeStatus
from .definitions import Definition, Kind
from .form_requests import AnswerForm, DescribeForms
from .ports import EntityQuery, InstanceQuery, InstanceUpdate
from .read_requests import BaseRequest, CancelSql, GetPayload, RunSql, new_request_id
from .version_requests import Adopt, Adopted, CountInFlight, Migrate, Migrated
from .waits import OpenTask

__all__ = [
    "Adopt",
    "Adopted",
    "AnswerForm",
    "CallEntity",
    "CancelSql",
    "CleanEntities",
    "CountInFlight",
    "Define",
    "Defined",
    "DescribeForms",
    "DescribeOpen",
    "FindDefinition",
    "GetEntity",
    "GetExecution",
    "GetInstance",
    "GetOutput",
    "GetPayload",
    "HostStatus",
    "HostStatusRequest",
    "ListDefinitions",
    "ListLocks",
    "ListUntrusted",
    "LockInfo",
    "Migrate",
    "Migrated",
    "Purge",
    "QueryEntities",
    "QueryInstances",
    "RaiseEvent",
    "Request",
    "Restart",
    "Resume",
    "Rewind",
    "RunSql",
    "Signal",
    "SignalMany",
    "Start",
    "StartMany",
    "StopHost",
    "Subscribe",
    "Suspend",
    "Terminate",
    "Trust",
    "Unsubscribe",
    "Untrusted",
    "WaitForCompletion",
    "WaitForStart",
    "as_repeated",
]


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a definition.

    Attributes:
        name: Its name.
        version: Its content hash.
        number: 1 for the first version of the name.
        is_new: Whether it was not the newest version already.
        in_flight: Live instances that stay on an earlier version, by its number.
    """

    name: str
    version: str
    number: int
    is_new: bool
    in_flight: dict[int, int]


class Define(BaseRequest, frozen=True, kw_only=True):
    """Add definitions."""

    answer_type: ClassVar[Any] = list[Defined]
    definitions: list[Definition]


class Start(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One orchestration to start.

    Attributes:
        name: The orchestrator.
        instance_id: Its id.
        input: Encoded input; None where none was given.
        tags: Labels.
        start_at: When to start; None for now.
        timeout_s: Seconds from its start after which it fails unless it has ended.
        replace: Statuses an existing instance of that id may have to be replaced.
        request_id: Makes the request safe to repeat.
    """

    name: str
    instance_id: str
    input: Payload | None = None
    tags: dict[str, str] = {}
    start_at: datetime | None = None
    timeout_s: float | None = None
    replace: tuple[RuntimeStatus, ...] = ()
    request_id: str = ""


class StartMany(BaseRequest, frozen=True, kw_only=True):
    """Start orchestrations, all or none; answered once that is durable, with their ids."""

    answer_type: ClassVar[Any] = list[str]
    starts: list[Start]


class GetInstance(BaseRequest, frozen=True, kw_only=True):
    """Ask for an instance's record."""

    answer_type: ClassVar[Any] = InstanceRecord
    instance_id: str


class GetExecution(BaseRequest, frozen=True, kw_only=True):
    """Ask for one execution of an instance: its record and events as they were at its end."""

    answer_type: ClassVar[Any] = InstanceUpdate
    instance_id: str
    generation: int


class WaitForCompletion(BaseRequest, frozen=True, kw_only=True):
    """Ask for the record of an instance once it is in a final status, or parked.

    A parked instance is one whose code cannot go on until somebody mends it and resumes it.
    """

    answer_type: ClassVar[Any] = InstanceRecord
    instance_id: str


class QueryInstances(BaseRequest, frozen=True, kw_only=True):
    """Ask for records, newest first."""

    answer_type: ClassVar[Any] = list[InstanceRecord]
    query: InstanceQuery


class RaiseEvent(BaseRequest, frozen=True, kw_only=True):
    """Raise an external event; dropped if the instance has finished.

    Attributes:
        instance_id: Whose.
        name: The event.
        data: What it carries, encoded; None for nothing.
        request_id: Makes the request safe to repeat.
        by: From where it was raised, in words.
        repeated: Whether an earlier host was asked already: only then earlier executions are
            searched for it.
    """

    instance_id: str
    name: str
    data: Payload | None = None
    request_id: str = ""
    by: str = ""
    repeated: bool = False


class Suspend(BaseRequest, frozen=True, kw_only=True):
    """Suspend an instance: messages wait until it is resumed."""

    instance_id: str
    reason: str = ""


class Resume(BaseRequest, frozen=True, kw_only=True):
    """Resume a suspended instance."""

    instance_id: str
    reason: str = ""


class Terminate(BaseRequest, frozen=True, kw_only=True):
    """End an instance now; its code is not asked."""

    instance_id: str
    output: Payload | None = None
    recurse: bool = True


class WaitForStart(BaseRequest, frozen=True, kw_only=True):
    """Ask for the record of an instance once it has left PENDING."""

    answer_type: ClassVar[Any] = InstanceRecord
    instance_id: str


class Restart(BaseRequest, frozen=True, kw_only=True):
    """Start a finished instance's orchestrator again with its input.

    Attributes:
        instance_id: The finished instance.
        new_id: The id of the new instance; the same id replaces the finished one.
        request_id: Makes the request safe to repeat.
    """

    answer_type: ClassVar[Any] = str
    instance_id: str
    new_id: str
    request_id: str = ""


class Rewind(BaseRequest, frozen=True, kw_only=True):
    """Take up a failed instance again where it failed; `newest_code` has it run that.

    Attributes:
        request_id: Makes the request safe to repeat.
        repeated: Whether an earlier host was asked already.
    """

    instance_id: str
    reason: str = ""
    newest_code: bool = False
    request_id: str = msgspec.field(default_factory=new_request_id)
    repeated: bool = False


class Purge(BaseRequest, frozen=True, kw_only=True):
    """Delete finished instances: one by id, or all that match; answered with how many.

    Attributes:
        request_id: Makes the request safe to repeat.
        repeated: Whether an earlier host was asked already.
    """

    answer_type: ClassVar[Any] = int
    instance_id: str = ""
    query: InstanceQuery | None = None
    recurse: bool = False
    request_id: str = msgspec.field(default_factory=new_request_id)
    repeated: bool = False


class DescribeOpen(BaseRequest, frozen=True, kw_only=True):
    """Ask what instances wait for; finished and unknown ones are left out of the answer."""

    answer_type: ClassVar[Any] = dict[str, list[OpenTask]]
    instance_ids: list[str]


class GetOutput(BaseRequest, frozen=True, kw_only=True):
    """Ask for what an attempt has printed and displayed; None for nothing.

    Attributes:
        instance_id: The instance.
        task_id: The action id of the activity.
        number: The attempt; 0 for the newest.
    """

    answer_type: ClassVar[Any] = AttemptOutput | None
    instance_id: str
    task_id: int
    number: int = 0


class CallEntity(BaseRequest, frozen=True, kw_only=True):
    """Have an entity do an operation; answered with what came of it, once that is durable.

    Attributes:
        entity_id: The entity.
        operation: The operation's name.
        input: The encoded input; None for none.
        request_id: Makes the request safe to repeat.
        repeated: Whether an earlier host was asked already: only then is it looked for.
    """

    answer_type: ClassVar[Any] = OperationDone
    entity_id: str
    operation: str
    input: Payload | None = None
    request_id: str
    repeated: bool = False


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation that an entity is to do, without an answer.

    Attributes:
        entity_id: Which entity.
        operation: The operation.
        input: Encoded input; None where none was given.
        scheduled_at: When it is to be done; None for now.
        request_id: Makes the request safe to repeat.
    """

    entity_id: str
    operation: str
    input: Payload | None = None
    scheduled_at: datetime | None = None
    request_id: str = ""


class SignalMany(BaseRequest, frozen=True, kw_only=True):
    """Have entities do operations, all or none; answered once that is durable.

    Attributes:
        signals: What to do, in order.
        repeated: Whether an earlier host may have seen the request.
    """

    signals: list[Signal]
    repeated: bool = False


class GetEntity(BaseRequest, frozen=True, kw_only=True):
    """Ask for an entity's record; None where nothing ever reached it."""

    answer_type: ClassVar[Any] = EntityRecord | None
    entity_id: str


class QueryEntities(BaseRequest, frozen=True, kw_only=True):
    """Ask for records of entities, newest first."""

    answer_type: ClassVar[Any] = list[EntityRecord]
    query: EntityQuery


class CleanEntities(BaseRequest, frozen=True, kw_only=True):
    """Delete entities that have no state and nothing to do; answered with how many.

    Attributes:
        request_id: Makes the request safe to repeat.
        repeated: Whether an earlier host was asked already.
    """

    answer_type: ClassVar[Any] = int
    request_id: str = msgspec.field(default_factory=new_request_id)
    repeated: bool = False


class LockInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held or asked for.

    Attributes:
        entity_id: Of which entity.
        owner: The orchestration that holds it; empty where it is only asked for.
        since: Since when it is held (naive UTC).
        queue: The orchestrations that wait for it, in order.
        pending: How many messages wait until it is free.
    """

    entity_id: str
    owner: str
    since: datetime | None
    queue: list[str]
    pending: int


class ListLocks(BaseRequest, frozen=True, kw_only=True):
    """Ask for all locks that are held or asked for."""

    answer_type: ClassVar[Any] = list[LockInfo]


class ListDefinitions(BaseRequest, frozen=True, kw_only=True):
    """Ask for the newest version of every name."""

    answer_type: ClassVar[Any] = list[Definition]


class FindDefinition(BaseRequest, frozen=True, kw_only=True):
    """Ask for all versions of a name, oldest first."""

    answer_type: ClassVar[Any] = list[Definition]
    kind: Kind
    name: str


class Untrusted(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds that was not made with this user's key and not approved.

    Attributes:
        definitions: Code that would run, in the order it was added.
        values: How many pickled values would be loaded.
        live: How many instances and entities wait to go on.
    """

    definitions: list[Definition]
    values: int
    live: int


class ListUntrusted(BaseRequest, frozen=True, kw_only=True):
    """Ask what would have to be trusted for a store to run."""

    answer_type: ClassVar[Any] = Untrusted


class Trust(BaseRequest, frozen=True, kw_only=True):
    """Trust what a store holds, and let it run; answered with how many definitions were trusted.

    Attributes:
        versions: Content hashes of the definitions that were shown; others are not trusted.
    """

    answer_type: ClassVar[Any] = int
    versions: list[str]


class Subscribe(BaseRequest, frozen=True, kw_only=True):
    """Follow an instance, an entity, or the store: answered at once; updates come by themselves.

    Attributes:
        followed: An instance id, an entity id as text, or `""` for the store as a whole.
        subscription_id: Named by the updates.
    """

    followed: str
    subscription_id: int


class Unsubscribe(BaseRequest, frozen=True, kw_only=True):
    """Follow no longer."""

    subscription_id: int


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a host is.

    Attributes:
        pid: Its process.
        store: The path of its store.
        version: The ipydurable version it runs.
        started_at: When it started (naive UTC).
        clients: How many clients are connected.
        live: How many instances are not finished.
        activities: How many activities executors have.
        trouble: Why nothing can be written at the moment; empty when all is well.
        report: What was repaired when the store was opened.
        log: Path of its log.
        untrusted: How many definitions from elsewhere keep it from running anything.
        notices: What orchestrators do that replay would not repeat, as far as it was seen.
    """

    pid: int
    store: str
    version: str
    started_at: datetime
    clients: int
    live: int
    activities: int
    trouble: str
    report: list[str]
    log: str
    untrusted: int = 0
    notices: list[str] = []


class HostStatusRequest(BaseRequest, frozen=True, kw_only=True):
    """Ask how the host is."""

    answer_type: ClassVar[Any] = HostStatus


class StopHost(BaseRequest, frozen=True, kw_only=True):
    """End the host; what runs goes on when the next one starts."""


Request: TypeAlias = (
    Define
    | StartMany
    | GetInstance
    | GetExecution
    | WaitForCompletion
    | QueryInstances
    | RaiseEvent
    | AnswerForm
    | DescribeForms
    | Suspend
    | Resume
    | Terminate
    | WaitForStart
    | Restart
    | Rewind
    | Adopt
    | Migrate
    | CountInFlight
    | Purge
    | DescribeOpen
    | GetOutput
    | GetPayload
    | CallEntity
    | SignalMany
    | GetEntity
    | QueryEntities
    | CleanEntities
    | ListLocks
    | ListDefinitions
    | ListUntrusted
    | Trust
    | FindDefinition
    | RunSql
    | CancelSql
    | Subscribe
    | Unsubscribe
    | HostStatusRequest
    | StopHost
)


def as_repeated(request: Request) -> Request:
    """Return a request as it is sent to the next host, as an earlier one may have done it."""
    if "repeated" in request.__struct_fields__:
        return msgspec.structs.replace(request, repeated=True)
    return request
