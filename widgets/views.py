"""The shapes of what views show: rows, groups, the header above them, the detail of a row.

Rows travel to the browser as JSON arrays, the rest as JSON objects; a saved notebook may hold
them, so fields are added at the end and never change their meaning. Times are whole milliseconds
from the start of the present execution.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime

import msgspec

from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.plain_json import as_written
from ipydurable.runtime.core.status import RuntimeStatus

__all__ = [
    "HINT_CHARS",
    "NOTE_CHARS",
    "PREVIEW_CHARS",
    "AttemptDetail",
    "AwaitedEvent",
    "GroupView",
    "Header",
    "Message",
    "Outcome",
    "RowDetail",
    "RowKind",
    "RowState",
    "RowView",
    "Snapshot",
    "SourceView",
    "Span",
    "TableView",
    "ValueView",
    "Waiting",
    "epoch_ms",
    "preview",
    "shorten",
]


HINT_CHARS = 40
NOTE_CHARS = 160
PREVIEW_CHARS = 300


class RowKind(enum.StrEnum):
    """What a row stands for."""

    ACTIVITY = "activity"
    ORCHESTRATION = "orchestration"
    ENTITY_CALL = "call"
    TIMER = "timer"
    LOCK = "lock"
    EVENT = "event"
    EVENT_SENT = "send"
    SIGNAL = "signal"

    @property
    def is_point(self) -> bool:
        """Whether it happens at one moment and is never open."""
        return self in _POINTS


_POINTS = frozenset({RowKind.EVENT, RowKind.EVENT_SENT, RowKind.SIGNAL})


class RowState(enum.IntEnum):
    """The state of a row."""

    QUEUED = 0
    """Scheduled; nothing runs yet."""
    RUNNING = 1
    WAITING = 2
    """For a timer, for a lock, or for the delay before a retry."""
    COMPLETED = 3
    FAILED = 4
    ABANDONED = 5
    """Still open when the instance ended."""


class Outcome(enum.IntEnum):
    """How one attempt ended."""

    OPEN = 0
    COMPLETED = 1
    FAILED = 2
    LOST = 3
    """Its worker or host died; nobody knows how it would have ended."""
    ABANDONED = 4


class Span(msgspec.Struct, array_like=True, frozen=True):
    """One attempt on the time axis, in milliseconds from the execution's start.

    Attributes:
        scheduled: When it was asked for.
        started: When it began to run; None while unknown.
        ended: When it ended; None while it is open.
        outcome: How it ended.
    """

    scheduled: int
    started: int | None = None
    ended: int | None = None
    outcome: Outcome = Outcome.OPEN


class RowView(msgspec.Struct, array_like=True, frozen=True):
    """A row as the views get it; travels to the browser as a JSON array in this order.

    Attributes:
        index: Position in the order of scheduling, from 0.
        group: Index of its group.
        state: Its state now.
        task_id: Action id of its first attempt; 0 for an external event.
        spans: Its attempts, oldest first; at least one.
        hint: What tells it from its siblings: a short preview of its input, or its target.
        note: The failure in one line, or the progress' note.
        due: When its timer or retry is due, in milliseconds from the start.
        progress: Share done from 0 to 1, where the activity told it.
        target: The sub-orchestration or entity it concerns, whose side of it nests below it; empty
            for others.
        source: Which history it belongs to; see `SourceView`.
    """

    index: int
    group: int
    state: RowState
    task_id: int
    spans: tuple[Span, ...]
    hint: str = ""
    note: str = ""
    due: int | None = None
    progress: float | None = None
    target: str = ""
    source: int = 0


class GroupView(msgspec.Struct, frozen=True):
    """Siblings: the rows of the same kind and name.

    Attributes:
        kind: What they stand for.
        name: Their name, e.g. the activity's.
        counts: How many rows are in each `RowState`, by its number.
    """

    kind: RowKind
    name: str
    counts: tuple[int, ...]


class Message(msgspec.Struct, frozen=True):
    """Why an instance failed or stands still.

    Attributes:
        kind: `"failed"` or `"suspended"`.
        text: In words.
        trace: Tracebacks, causes included; empty if there are none.
    """

    kind: str
    text: str
    trace: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """Something an instance waits for.

    Attributes:
        kind: What the row stands for.
        name: Its group's name.
        hint: Its hint.
        due: When it is due, in milliseconds from the start; None if that is open.
        since: Since when, in milliseconds from the start; None where that is not told.
    """

    kind: RowKind
    name: str
    hint: str = ""
    due: int | None = None
    since: int | None = None


class AwaitedEvent(msgspec.Struct, frozen=True):
    """An external event that the code waits for now.

    Attributes:
        name: Its name.
        since: Since when, in milliseconds from the start.
    """

    name: str
    since: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What stands above the rows.

    Attributes:
        epoch: Changes when the rows start over (continue-as-new).
        name: The orchestrator.
        instance_id: The instance.
        status: Its status.
        finished: Whether that is final.
        generation: How often it continued as new.
        start: The zero of all times, in milliseconds since 1970-01-01 UTC.
        now: The host's time at the last update, in milliseconds from the start.
        end: When the instance ended, in milliseconds from the start.
        groups: Its groups in order of appearance.
        counts: Rows by state, points left out.
        waiting: What it waits for, the first few; empty while anything runs.
        message: Why it failed or is suspended.
        custom_status: Preview of what its code last set.
        input: Preview of its input.
        output: Preview of its output.
        awaited: The external events that its code waits for.
    """

    epoch: int
    name: str
    instance_id: str
    status: RuntimeStatus
    finished: bool
    generation: int
    start: int
    now: int
    end: int | None
    groups: tuple[GroupView, ...]
    counts: tuple[int, ...]
    waiting: tuple[Waiting, ...]
    message: Message | None
    custom_status: str
    input: str
    output: str
    awaited: tuple[AwaitedEvent, ...] = ()


class SourceView(msgspec.Struct, frozen=True):
    """A history besides the main one, whose rows somebody asked to see.

    Attributes:
        slot: The number its rows carry as their `source`; those of the main one carry 0.
        key: `"instance:ID"` for a sub-orchestration, `"generation:N"` for an earlier execution.
        header: What stands above its rows; times count from its own start.
    """

    slot: int
    key: str
    header: Header


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a view shows; `msgspec.to_builtins` of it is JSON-able."""

    header: Header
    rows: tuple[RowView, ...]


class AttemptDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt in full; times as in `Span`."""

    task_id: int
    number: int
    span: Span
    worker: str
    error: str
    trace: str


class TableView(msgspec.Struct, frozen=True):
    """A table's first rows, as text.

    Attributes:
        columns: Names of the columns.
        rows: Their cells.
        height: How many rows the whole table has.
        width: How many columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    height: int
    width: int


class ValueView(msgspec.Struct, frozen=True):
    """A value to be looked at.

    Attributes:
        text: The value, or what is known of it; empty for none.
        cut: Whether the text is only the beginning.
        table: The value as a table, where it is one.
    """

    text: str
    cut: bool = False
    table: TableView | None = None


class RowDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A row in full, for the panel that opens on a click.

    Attributes:
        epoch: As in `Header`: a detail of an earlier generation is not shown.
        index: Which row.
        kind: What it stands for.
        name: Its name.
        task_id: Action id of its first attempt.
        target: Instance id or entity id it concerns; empty if none.
        version: Content hash of the code that ran, or of the code scheduled.
        input: The input.
        output: The output.
        attempts: Its attempts, oldest first.
        source: Which history it belongs to.
    """

    epoch: int
    index: int
    kind: RowKind
    name: str
    task_id: int
    target: str
    version: str
    input: ValueView
    output: ValueView
    attempts: tuple[AttemptDetail, ...]
    source: int = 0


def preview(payload: Payload | None, limit: int) -> str:
    """Return a payload in at most `limit` characters; empty for None."""
    if payload is None:
        return ""
    if not isinstance(payload, str):
        payload = payload.summary or f"{payload.codec}, {len(payload.data):,} bytes"
        return shorten(payload, limit)
    return shorten(as_written(payload), limit)


def epoch_ms(when: datetime) -> float:
    """Return a time (naive UTC) as milliseconds since 1970, as browsers count."""
    return when.replace(tzinfo=UTC).timestamp() * 1000


def shorten(text: str, limit: int) -> str:
    """Return `text` on one line and in at most `limit` characters."""
    if "\n" in text:
        text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
