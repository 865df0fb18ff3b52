"""What the views and their columns mean: names, types, units. The tests compare it with the views.

What people read of it (docstrings, completion, the reference) is made from here. In a DataFrame
text is `str`, an integer `Int64`, a number `float64` and a time `datetime64[us, UTC]`, each with a
missing value where the database has NULL; in SQL times are naive UTC. JSON is text: NULL where the
value is not JSON, or where there is none.
"""

from __future__ import annotations

from typing import NamedTuple

from ipydurable.runtime.core.status import RuntimeStatus

__all__ = ["COLUMNS", "VIEWS", "Column", "View", "describe"]


class Column(NamedTuple):
    """A column of a view.

    Attributes:
        name: Its name.
        type: Its type in DuckDB.
        meaning: What it holds, with its unit.
    """

    name: str
    type: str
    meaning: str


class View(NamedTuple):
    """A view.

    Attributes:
        rows: What one row is.
        owner: The column that says which instance or entity it belongs to; empty if none does.
        time: The column by which `since` and `until` choose.
        order: The order of its rows in a DataFrame.
        statuses: What its column `status` may hold, where it has one.
    """

    rows: str
    owner: str
    time: str
    order: str
    statuses: tuple[str, ...] = ()


_TEXT = "VARCHAR"
_TIME = "TIMESTAMP"
_INTEGER = "INTEGER"
_SECONDS = "DOUBLE"

_INSTANCE_ID = Column("instance_id", _TEXT, "the orchestration")
_ENTITY_ID = Column("entity_id", _TEXT, "the entity, `@name@key`")
_TASK_ID = Column("task_id", _INTEGER, "action id, counted from 1 in each execution")
_EXECUTION_ID = Column("execution_id", _TEXT, "the execution; continue-as-new begins another")
_SEQ = Column("seq", _INTEGER, "position in the history, from 1")
_IID = Column("iid", "BIGINT", "number in the store; grows with time")
_RETRY_OF = Column("retry_of", _INTEGER, "for a retry, the action id of the first try")

COLUMNS: dict[str, tuple[Column, ...]] = {
    "instances": (
        _INSTANCE_ID,
        Column("name", _TEXT, "the orchestrator"),
        Column("status", _TEXT, "runtime status, for example Running or Completed"),
        Column("created_at", _TIME, "when it was asked for"),
        Column("started_at", _TIME, "when it began to run"),
        Column("completed_at", _TIME, "when it reached a final status"),
        Column("updated_at", _TIME, "when its last event was recorded"),
        Column("duration", _SECONDS, "seconds from started_at to completed_at"),
        Column("input", _TEXT, "JSON of the present execution's input"),
        Column("output", _TEXT, "JSON of the output"),
        Column("error", _TEXT, "message of the failure"),
        Column("custom_status", _TEXT, "JSON of what its code last set"),
        Column("tags", _TEXT, "JSON object of the labels given at the start"),
        Column("parent_instance_id", _TEXT, "the parent of a sub-orchestration"),
        _EXECUTION_ID,
        Column("generation", _INTEGER, "how often it continued as new"),
        Column("version", _TEXT, "content hash of its code"),
        Column("suspend_reason", _TEXT, "why it is suspended"),
        Column("start_at", _TIME, "when it is to start, if it was scheduled for later"),
        Column("last_seq", _INTEGER, "seq of its last event; 0 before the first"),
        _IID,
    ),
    "history": (
        Column("instance_id", _TEXT, "the orchestration, or the id of an entity"),
        _EXECUTION_ID,
        _SEQ,
        Column("timestamp", _TIME, "when the event was recorded"),
        Column("event_type", _TEXT, "kind of event, for example TaskScheduled"),
        Column("name", _TEXT, "orchestrator, activity, event or operation, where there is one"),
        _TASK_ID,
        Column("payload", _TEXT, "JSON of the event's input, result or data, as it is stored"),
        Column("error_type", _TEXT, "qualified class name of the failure"),
        Column("error", _TEXT, "message of the failure"),
        Column("details", _TEXT, "JSON object of the event's other fields"),
        Column("gseq", "BIGINT", "position in the whole journal, from 1"),
        _IID,
    ),
    "activities": (
        _INSTANCE_ID,
        _TASK_ID,
        Column("name", _TEXT, "the activity"),
        Column("status", _TEXT, "running (or waiting to), completed, failed, abandoned"),
        Column("scheduled_at", _TIME, "when the code asked for it"),
        Column("started_at", _TIME, "when the body of the last attempt began"),
        Column("finished_at", _TIME, "when its outcome was recorded"),
        Column("queued_s", _SECONDS, "seconds from scheduled_at to started_at"),
        Column("duration", _SECONDS, "seconds from started_at (else scheduled_at) to finished_at"),
        Column("attempts", _INTEGER, "how many attempts there were; see attempts"),
        Column("worker", _TEXT, "who ran the last attempt"),
        Column("version", _TEXT, "content hash of its code"),
        Column("input", _TEXT, "JSON of the input"),
        Column("output", _TEXT, "JSON of the result"),
        Column("error", _TEXT, "message of the failure"),
        Column("error_type", _TEXT, "qualified class name of the failure"),
        _RETRY_OF,
        _EXECUTION_ID,
        _SEQ,
        Column("end_seq", _INTEGER, "position in the history of its outcome"),
        _IID,
    ),
    "attempts": (
        _INSTANCE_ID,
        _TASK_ID,
        Column("attempt", _INTEGER, "counted from 1 for each task_id"),
        Column("status", _TEXT, "running (or waiting to), completed, failed, lost, abandoned"),
        Column("worker", _TEXT, "who ran it"),
        Column("started_at", _TIME, "when the body began; NULL where it was lost"),
        Column("finished_at", _TIME, "when its outcome, or its loss, was recorded"),
        Column("queued_s", _SECONDS, "seconds from scheduled_at to started_at"),
        Column("duration", _SECONDS, "seconds from started_at (else scheduled_at) to finished_at"),
        Column("reason", _TEXT, "why it was lost, or message of the failure"),
        Column("name", _TEXT, "the activity"),
        Column("scheduled_at", _TIME, "when it was due: the task was scheduled, lost or rewound"),
        Column(
            "version",
            _TEXT,
            "content hash of the code it ran; while it runs, of what was scheduled",
        ),
        _EXECUTION_ID,
        _IID,
    ),
    "timers": (
        _INSTANCE_ID,
        _TASK_ID,
        Column("created_at", _TIME, "when the code created it"),
        Column("fire_at", _TIME, "when it is to fire"),
        Column("fired_at", _TIME, "when it fired"),
        Column("status", _TEXT, "pending, fired, abandoned"),
        Column(
            "retry_of", _INTEGER, "action id of the first try of the task whose retry it delays"
        ),
        _EXECUTION_ID,
        _SEQ,
        _IID,
    ),
    "entities": (
        _ENTITY_ID,
        Column("name", _TEXT, "the name part of the id, in lower case"),
        Column("key", _TEXT, "the key part of the id"),
        Column("state", _TEXT, "JSON of the state"),
        Column("version", _TEXT, "content hash of the code that ran last"),
        Column("pending", _INTEGER, "how many messages wait for it"),
        Column("locked_by", _TEXT, "the orchestration that holds its lock"),
        Column("locked_at", _TIME, "since when it is held"),
        Column("created_at", _TIME, "when the first message reached it"),
        Column("updated_at", _TIME, "when its last event was recorded"),
        Column("is_empty", "BOOLEAN", "whether it has no state and nothing to do"),
        _IID,
    ),
    "operations": (
        _ENTITY_ID,
        Column("operation", _TEXT, "name of the operation"),
        Column("input", _TEXT, "JSON of the input"),
        Column("result", _TEXT, "JSON of what it returned"),
        Column("status", _TEXT, "completed, failed, queued, or scheduled for a later time"),
        Column("sender", _TEXT, "instance or entity that asked; NULL for a client"),
        Column("requested_at", _TIME, "when it was asked for"),
        Column("started_at", _TIME, "when it began"),
        Column("finished_at", _TIME, "when its outcome was recorded"),
        Column("queued_s", _SECONDS, "seconds from when it was due to started_at"),
        Column("duration", _SECONDS, "seconds from started_at to finished_at"),
        Column("error", _TEXT, "message of the failure"),
        Column("version", _TEXT, "content hash of the entity's code that ran"),
        Column("error_type", _TEXT, "qualified class name of the failure"),
        Column("scheduled_at", _TIME, "when it is due, where that is not at once"),
        Column("task_id", _INTEGER, "for a call, the action id of the sender"),
        Column("seq", _INTEGER, "position of its outcome in the entity's history"),
        _IID,
    ),
    "locks": (
        _ENTITY_ID,
        Column("owner", _TEXT, "the orchestration that asked for the lock"),
        Column("requested_at", _TIME, "when the request reached the entity"),
        Column("acquired_at", _TIME, "when it got the lock"),
        Column("released_at", _TIME, "when it gave the lock back"),
        Column("waited_s", _SECONDS, "seconds from requested_at to acquired_at"),
        Column("held_s", _SECONDS, "seconds from acquired_at to released_at"),
        Column("status", _TEXT, "waiting, held, released, or withdrawn before it was acquired"),
        Column("execution_id", _TEXT, "the owner's execution"),
        Column("task_id", _INTEGER, "the owner's action id of the critical section"),
        _IID,
    ),
    "attempt_outputs": (
        _INSTANCE_ID,
        _TASK_ID,
        Column("attempt", _INTEGER, "number of the attempt, from 1"),
        Column("name", _TEXT, "the activity"),
        Column("text", _TEXT, "all that it printed, logged and displayed, as plain text"),
        Column("displays", "BIGINT", "how many plots, tables and the like it displayed"),
        Column("dropped", "BIGINT", "how many characters were left out"),
        Column("finished_at", _TIME, "when the attempt ended"),
        Column("items", _TEXT, "JSON of the pieces, displays with all their forms"),
        _EXECUTION_ID,
        _IID,
    ),
    "definitions": (
        Column("kind", _TEXT, "orchestrator, activity or entity"),
        Column("name", _TEXT, "its name"),
        Column("version", _TEXT, "content hash of the code"),
        Column("number", _INTEGER, "counted from 1 for each kind and name"),
        Column("epoch", _INTEGER, "counted over all definitions; instances see those up to theirs"),
        Column("added_at", _TIME, "when it reached the store"),
        Column("created_at", _TIME, "when its cell ran"),
        Column("source", _TEXT, "its code as it was written"),
        Column("is_async", "BOOLEAN", "whether it is an async def"),
        Column("notebook", _TEXT, "where it was defined"),
        Column("cell", _INTEGER, "number of the cell"),
    ),
}
"""The columns of each view, in order."""

_ENDS = ("completed", "failed", "abandoned")

VIEWS = {
    "instances": View(
        "an orchestration instance, the newest first",
        "instance_id",
        "created_at",
        "iid DESC",
        tuple(one.value for one in RuntimeStatus),
    ),
    "history": View(
        "an event of a history, in the order of their recording", "instance_id", "timestamp", "gseq"
    ),
    "activities": View(
        "a task: a call of an activity, or a retry of one; in the order of their scheduling",
        "instance_id",
        "scheduled_at",
        "iid, seq",
        ("running", *_ENDS),
    ),
    "attempts": View(
        "one execution of an activity's code: the first, or another after a lost worker",
        "instance_id",
        "scheduled_at",
        "iid, scheduled_at, task_id, attempt",
        ("running", "lost", *_ENDS),
    ),
    "timers": View(
        "a timer of an orchestration",
        "instance_id",
        "created_at",
        "iid, seq",
        ("pending", "fired", "abandoned"),
    ),
    "entities": View("an entity, the newest first", "entity_id", "updated_at", "iid DESC"),
    "operations": View(
        "an operation that an entity was asked for",
        "entity_id",
        "requested_at",
        "requested_at, entity_id, seq",
        ("queued", "scheduled", "completed", "failed"),
    ),
    "locks": View(
        "a request of a critical section for an entity's lock, whatever became of it",
        "entity_id",
        "requested_at",
        "requested_at, entity_id",
        ("waiting", "held", "released", "withdrawn"),
    ),
    "attempt_outputs": View(
        "what an attempt printed, logged and displayed",
        "instance_id",
        "finished_at",
        "iid, finished_at, task_id, attempt",
    ),
    "definitions": View(
        "a version of an orchestrator, activity or entity, in the order of their adding",
        "",
        "added_at",
        "epoch",
    ),
}
"""All views, by name."""

_DTYPES = {
    _TEXT: "str",
    _INTEGER: "Int64",
    "BIGINT": "Int64",
    _SECONDS: "float64",
    "BOOLEAN": "bool",
    _TIME: "datetime64[us, UTC]",
}


def describe(view: str) -> str:
    """Return what the columns of a view mean as lines of text: name, dtype, meaning."""
    columns = COLUMNS[view]
    wide = max(len(column.name) for column in columns)
    return "\n".join(
        f"{column.name:{wide}}  {_DTYPES[column.type]}: {column.meaning}" for column in columns
    )
