"""What the engine asks of the world: a store, a clock, executors."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from .core.events import Event
from .core.failure import FailureDetails
from .core.output import AttemptOutput
from .core.payload import Payload
from .core.records import EntityRecord, InstanceRecord, Record
from .core.status import RuntimeStatus
from .definitions import CodePackage, Definition, DefinitionAdded
from .updates import EntityUpdate, InstanceUpdate, LaneLoad, RunningAttempt, StoreUpdate, Work
from .waits import OpenForm

__all__ = [
    "MORE_FOLLOWS",
    "ActivityExecutor",
    "AttemptKey",
    "AttemptOutcome",
    "AttemptRequest",
    "Clock",
    "EntityQuery",
    "EntityUpdate",
    "InstanceQuery",
    "InstanceUpdate",
    "JournalRow",
    "Journaled",
    "KeptOutput",
    "LaneLoad",
    "OpenForm",
    "Progress",
    "ProgressSink",
    "ReadableStore",
    "Recovery",
    "RunningAttempt",
    "Store",
    "StoreUpdate",
    "Stream",
    "Work",
]

Journaled = Event | DefinitionAdded
"""What a journal row can hold."""


class Stream(enum.StrEnum):
    """Which sequence a journal row belongs to."""

    HISTORY = "history"
    """Events of an instance, in order; what replay reads (notes among them)."""
    INBOX = "inbox"
    """Messages an instance has received and not yet consumed when they were written."""
    DEFINITION = "definition"
    """`DefinitionAdded`; instance number 0."""


MORE_FOLLOWS: Final = -1
"""The `ref` of a row after which the code has asked for more, which a later batch holds."""


class JournalRow(NamedTuple):
    """One row of the journal.

    Attributes:
        gseq: Global order, dense from 1; given by the engine.
        iid: The instance's number; 0 for what belongs to none.
        seq: Position in the instance's history, from 1; 0 in the inbox.
        stream: Which sequence it belongs to.
        event: What happened.
        ref: For a row that consumed an inbox row, or took its place in the inbox, that row's
            `gseq`; `MORE_FOLLOWS` for the last row of a turn of which more is to come; else 0.
    """

    gseq: int
    iid: int
    seq: int
    stream: Stream
    event: Journaled
    ref: int = 0


class Recovery(msgspec.Struct, kw_only=True):
    """What a store knows on opening.

    Attributes:
        last_gseq: The last row's `gseq`; 0 for an empty journal.
        last_iid: The highest instance number ever used.
        live: Records of the instances that are not in a final status, and of the entities that
            have something to do or are locked (`is_live`), by `iid`.
        definitions: Every definition ever added, in order of `epoch`; a version made the newest
            again appears again.
        report: What was repaired on opening, one sentence each, for the user.
    """

    last_gseq: int
    last_iid: int
    live: list[Record]
    definitions: list[Definition]
    report: list[str]


class InstanceQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which instances to list; every condition given must hold.

    Attributes:
        status: Any of these; empty for all.
        name: The orchestrator's name.
        prefix: How the instance id begins.
        tags: Labels the instance must carry.
        created_from: Created at or after (naive UTC).
        created_to: Created before (naive UTC).
        parent: Instance id of the parent.
        limit: How many at most; 0 for all.
        before_iid: Only instances numbered below this (the page after one that ended there); 0
            from the newest.
    """

    status: tuple[RuntimeStatus, ...] = ()
    name: str = ""
    prefix: str = ""
    tags: dict[str, str] = {}
    created_from: datetime | None = None
    created_to: datetime | None = None
    parent: str = ""
    limit: int = 0
    before_iid: int = 0


class EntityQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which entities to list; every condition given must hold.

    Attributes:
        name: The entity's name, in any case.
        prefix: How the id as text begins, `@name@key`.
        modified_from: Last written at or after (naive UTC).
        modified_to: Last written before (naive UTC).
        locked: Only those that are locked.
        include_empty: Also those without state.
        only_empty: Only those without state that have nothing to do.
        limit: How many at most; 0 for all.
        before_iid: Only those numbered below this; 0 from the newest.
    """

    name: str = ""
    prefix: str = ""
    modified_from: datetime | None = None
    modified_to: datetime | None = None
    locked: bool = False
    include_empty: bool = False
    only_empty: bool = False
    limit: int = 0
    before_iid: int = 0


class ReadableStore(Protocol):
    """What can be read of a store; called by any thread."""

    path: str
    """Where it is, for messages."""

    def find(self, instance_id: str) -> Record | None:
        """As `Store.find`."""
        ...

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """As `Store.query`."""
        ...

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """As `Store.query_entities`."""
        ...

    def history(self, iid: int, first_seq: int = 1) -> list[JournalRow]:
        """As `Store.history`."""
        ...

    def rows_of(self, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
        """As `Store.rows_of`."""
        ...

    def outputs(self, iid: int, execution_id: str, task_id: int) -> list[KeptOutput]:
        """As `Store.outputs`."""
        ...

    def sql(
        self,
        text: str,
        parameters: Any = None,
        *,
        started: Callable[[Callable[[], None]], None] | None = None,
    ) -> bytes:
        """As `Store.sql`."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Store(Protocol):
    """Keeps the journal. `append` and `project` are called by one writer thread, reads by any."""

    path: str
    """Where it is, for messages."""

    def recover(self) -> Recovery:
        """Return what is known; called once, before anything else."""
        ...

    def append(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Make `rows` durable, all or none, before returning; `records` may lag behind.

        Args:
            rows: New rows in order of `gseq`, following the last one appended.
            records: The changed records as of the last row; the store may keep them in memory
                until `project`, and must answer `find` and `query` from them meanwhile.
        """
        ...

    def project(self) -> None:
        """Write the records kept since the last call; cheap when there are none."""
        ...

    def checkpoint(self) -> None:
        """Do what keeps the files small and opening fast; may be called by another thread."""
        ...

    def give_back_memory(self) -> None:
        """Return to the system what is free; called by any thread once nothing is written."""
        ...

    def find(self, instance_id: str) -> Record | None:
        """Return the record of an instance, or of an entity by its id as text; or None."""
        ...

    def find_many(self, instance_ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of those that exist, by instance id."""
        ...

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return records of instances, newest first."""
        ...

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """Return records of entities, newest first."""
        ...

    def history(self, iid: int, first_seq: int = 1) -> list[JournalRow]:
        """Return an instance's rows in order of `gseq`.

        These are its history rows from `first_seq` on, and the inbox rows that no other row has
        consumed or taken the place of.
        """
        ...

    def rows_of(self, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
        """Return those rows of an instance that have these numbers, in order of `gseq`."""
        ...

    def histories(self, records: Iterable[Record]) -> Iterator[list[JournalRow]]:
        """Return what `history` gives from each record's `first_seq` on, in their order.

        Reads in bulk.
        """
        ...

    def all_rows(self) -> Iterator[JournalRow]:
        """Return all rows in order of `gseq`, for who must look at everything; any thread."""
        ...

    def keep_outputs(self, outputs: Sequence[KeptOutput]) -> None:
        """Make what attempts printed durable; called by the writer thread before their end is."""
        ...

    def outputs(self, iid: int, execution_id: str, task_id: int) -> list[KeptOutput]:
        """Return what the attempts of an activity printed, in order of their numbers."""
        ...

    def purge(self, iids: Sequence[int], request_id: str = "") -> None:
        """Delete everything about these instances; called by the writer thread.

        Args:
            iids: Their numbers.
            request_id: Who asked for it; noted together with that, unless it is empty.
        """
        ...

    def purged(self, request_id: str) -> int | None:
        """Return how many instances `purge` deleted for a request; None if it did not.

        At least the last hundred requests are known.
        """
        ...

    def sql(
        self,
        text: str,
        parameters: Any = None,
        *,
        started: Callable[[Callable[[], None]], None] | None = None,
    ) -> bytes:
        """Run one read-only SQL query; raises `QueryError` with the database's own words.

        Args:
            text: One query.
            parameters: Values for its placeholders.
            started: Given a function that ends the query, from any thread, once it can be ended.

        Returns:
            The answer, an Arrow IPC stream.
        """
        ...

    def close(self) -> None:
        """Write what is pending and release the files."""
        ...


class Clock(Protocol):
    """The engine's only source of time."""

    def now(self) -> datetime:
        """Return the present time, naive UTC; never decreases."""
        ...

    def wait_s(self, until: datetime) -> float | None:
        """Return for how many seconds a thread may wait before it looks at the time again.

        Args:
            until: What it waits for.

        Returns:
            Seconds; None if somebody will wake it.
        """
        ...

    def on_moved(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever the time jumps, as only a test's clock does."""
        ...


class AttemptKey(NamedTuple):
    """Which attempt: the fence against late results.

    Attributes:
        iid: The instance's number.
        execution_id: The execution that scheduled the activity.
        task_id: The action id.
        number: Counted from 1 for each action id.
    """

    iid: int
    execution_id: str
    task_id: int
    number: int


class AttemptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of an activity, to be run somewhere.

    Attributes:
        key: Which attempt.
        instance_id: The instance it is for.
        name: The activity.
        version: Content hash of its code.
        package: Its code.
        is_async: Whether it is an `async def`.
        input: The encoded input; None where none was given.
        timeout_s: Seconds after which the attempt is stopped, counted from its start.
        heartbeat_s: Seconds without a sign of life after which it is stopped.
        start_within_s: Seconds after which it fails if it has not begun.
        files: The folder for large frames and arrays; empty for none.
    """

    key: AttemptKey
    instance_id: str
    name: str
    version: str
    package: CodePackage
    is_async: bool = False
    input: Payload | None = None
    timeout_s: float | None = None
    heartbeat_s: float | None = None
    start_within_s: float | None = None
    files: str = ""


class AttemptOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt ended. At most one of `failure` and `lost` is set; neither means it returned.

    Attributes:
        result: The encoded result.
        failure: What the activity raised, or that it timed out, as data.
        lost: Why nobody knows the outcome (the worker died), in words; the activity did not fail.
        cancelled: Whether it was stopped because `cancel` was asked.
        started_at: When the body began (naive UTC).
        ended_at: When it ended.
        worker: Who ran it, e.g. `"process 4711"`.
        output: What it printed, logged and displayed; None for nothing.
    """

    result: Payload | None = None
    failure: FailureDetails | None = None
    lost: str = ""
    cancelled: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worker: str = ""
    output: AttemptOutput | None = None


class KeptOutput(NamedTuple):
    """What an attempt printed, logged and displayed, as the store keeps it.

    Attributes:
        key: Which attempt.
        name: The activity.
        written_at: When the attempt ended (naive UTC).
        output: The output.
    """

    key: AttemptKey
    name: str
    written_at: datetime
    output: AttemptOutput


ProgressSink: TypeAlias = Callable[[AttemptKey, "Progress"], None]
"""Receives which attempt it is, and how far it is.

Called on the attempt's or the executor's thread: it hands over and returns."""


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """A sign of life of a running attempt.

    Attributes:
        done: How much is done, in any unit; None for a mere heartbeat.
        total: How much there is; None where that is unknown.
        note: A few words on what is being done.
    """

    done: float | None = None
    total: float | None = None
    note: str = ""


class ActivityExecutor(Protocol):
    """Runs attempts. Everything durable about them is the engine's business."""

    name: str
    """`"processes"`, `"threads"`, `"asyncio"`, or what its user calls it."""
    capacity: int
    """How many attempts it runs at once; the engine keeps a small multiple of it in flight."""
    progress: ProgressSink | None
    """Receives what activities tell of themselves; set by the engine."""

    def submit(
        self,
        request: AttemptRequest,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        """Run the attempt soon; never blocks for its duration and never raises for its failure.

        Args:
            request: What to run.
            started: Called once with key, time and worker when the body begins, if that is known
                before it ends; may be left out for attempts that end at once. Any thread.
            done: Called exactly once, from any thread.
        """
        ...

    def cancel(self, key: AttemptKey) -> None:
        """Stop the attempt as well as this executor can; `done` is still called.

        An attempt that has not begun never begins. Unknown keys are ignored.
        """
        ...

    def output(self, key: AttemptKey) -> AttemptOutput | None:
        """Return what a running attempt has printed so far; None where that is not known."""
        ...

    def close(self) -> None:
        """Stop everything and free the workers; `done` may not be called any more."""
        ...
