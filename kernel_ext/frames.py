"""DataFrames of what a store holds: one row each, in the order given, times in UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord
from ipydurable.runtime.definitions import Definition
from ipydurable.runtime.requests import LockInfo
from ipydurable.runtime.waits import OpenTask

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "definitions_frame",
    "entities_frame",
    "instances_frame",
    "locks_frame",
    "versions_frame",
    "waiting_rows",
    "waiting_text",
]

_TIME: Final = "datetime64[us, UTC]"
_WAITS_SHOWN = 4
_VERSION_CHARS = 8


def instances_frame(
    records: Sequence[InstanceRecord],
    decode: Callable[[Payload | None], Any],
    waiting: Mapping[str, Sequence[OpenTask]],
) -> pd.DataFrame:
    """Return records of instances as a DataFrame.

    Args:
        records: The records.
        decode: Gives the value of a custom status.
        waiting: What instances wait for, by id.

    Returns:
        The columns are `instance_id, name, status, created_at, started_at, completed_at` (UTC)`,
        duration` (seconds, until now where it runs)`, waiting_for, custom_status, error, parent,
        version, tags`.
    """
    now = _now()
    rows = [
        (
            one.instance_id,
            one.name,
            one.status.value,
            one.created_at,
            one.started_at,
            one.completed_at,
            ((one.completed_at or now) - (one.started_at or now)).total_seconds(),
            waiting_text(waiting.get(one.instance_id, ())),
            decode(one.custom_status),
            str(one.failure) if one.failure else one.suspend_reason,
            one.parent_instance_id,
            one.version[:_VERSION_CHARS],
            dict(one.tags),
        )
        for one in records
    ]
    columns = ["instance_id", "name", "status", "created_at", "started_at", "completed_at"]
    others = ["waiting_for", "custom_status", "error", "parent", "version", "tags"]
    return _frame(
        rows,
        [*columns, "duration", *others],
        {"created_at": _TIME, "started_at": _TIME, "completed_at": _TIME, "duration": "float64"},
    )


def entities_frame(
    records: Sequence[EntityRecord], state_of: Callable[[EntityRecord], Any]
) -> pd.DataFrame:
    """Return records of entities as a DataFrame.

    Args:
        records: The records.
        state_of: Gives the state of one.

    Returns:
        The columns are `entity_id, name, key, state, created_at, modified_at` (UTC)`, pending`
        (messages that wait for it)`, locked_by` (an instance id)`, locked_at` (UTC)`, version`.
    """
    rows = [
        (
            one.instance_id,
            one.name,
            EntityInstanceId.parse(one.instance_id).key,
            state_of(one),
            one.created_at,
            one.updated_at,
            one.pending,
            one.locked_by.instance_id if one.locked_by is not None else "",
            one.locked_at,
            one.version[:_VERSION_CHARS],
        )
        for one in records
    ]
    columns = ["entity_id", "name", "key", "state", "created_at", "modified_at", "pending"]
    return _frame(
        rows,
        [*columns, "locked_by", "locked_at", "version"],
        {"created_at": _TIME, "modified_at": _TIME, "pending": "int64", "locked_at": _TIME},
    )


def locks_frame(locks: Sequence[LockInfo]) -> pd.DataFrame:
    """Return locks as a DataFrame.

    Returns:
        The columns are `entity_id, owner` (an instance id; empty while it is only asked for)`,
        since` (UTC)`, age` (seconds)`, queue` (the instances that wait for it, in order)`,
        pending` (messages that wait until it is free).
    """
    now = _now()
    rows = [
        (
            one.entity_id,
            one.owner,
            one.since,
            None if one.since is None else (now - one.since).total_seconds(),
            list(one.queue),
            one.pending,
        )
        for one in locks
    ]
    return _frame(
        rows,
        ["entity_id", "owner", "since", "age", "queue", "pending"],
        {"since": _TIME, "age": "float64", "pending": "int64"},
    )


def waiting_text(tasks: Sequence[OpenTask]) -> str:
    """Return what an instance waits for, and since when.

    In a few words: `3 x activity fetch (running) since 2026-11-30 09:12:05 UTC, lock Account@a`.
    """
    counts: Counter[str] = Counter()
    since: dict[str, datetime] = {}
    for task in tasks:
        words = " ".join(part for part in _words_of(task) if part)
        counts[words] += 1
        if task.since is not None and task.until is None:
            since[words] = min(task.since, since.get(words, task.since))
    shown = []
    for words, count in counts.most_common(_WAITS_SHOWN):
        when = f" since {since[words]:%Y-%m-%d %H:%M:%S} UTC" if words in since else ""
        shown.append((f"{count} x {words}" if count > 1 else words) + when)
    return ", ".join([*shown, "..."] if len(counts) > len(shown) else shown)


def waiting_rows(tasks: Sequence[OpenTask], limit: int) -> list[tuple[str, str]]:
    """Return what an instance waits for as rows of a small table: what it is, and which.

    Args:
        tasks: What it waits for.
        limit: How many rows at most.
    """
    rows = []
    for task in tasks[:limit]:
        kind, name, more = _words_of(task)
        since = f"since {task.since:%H:%M:%S} UTC" if task.since else ""
        hint = f"({task.hint})" if task.hint else ""
        rows.append((kind, " ".join(part for part in (name, more, since, hint) if part)))
    if len(tasks) > limit:
        rows.append(("...", f"and {len(tasks) - limit} more"))
    return rows


def _words_of(task: OpenTask) -> tuple[str, str, str]:
    until = f"until {task.until:%Y-%m-%d %H:%M:%S} UTC" if task.until else ""
    return task.kind, task.name, until or (f"({task.state})" if task.state else "")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _frame(
    rows: Sequence[tuple[Any, ...]], columns: list[str], types: Mapping[str, str]
) -> pd.DataFrame:
    """Return a DataFrame whose columns have their types even where it has no rows.

    Args:
        rows: The rows; times in them are naive UTC.
        columns: Their names.
        types: The dtypes of some.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=columns)
    times = [name for name, dtype in types.items() if dtype == _TIME]
    frame = frame.astype({**types, **dict.fromkeys(times, "datetime64[us]")})
    for name in times:
        frame[name] = frame[name].dt.tz_localize("UTC")
    return frame


def definitions_frame(definitions: Sequence[Definition]) -> pd.DataFrame:
    """Return definitions as a DataFrame, one row each, in their order.

    Returns:
        The columns are `kind, name, number, version` (content hash)`, notebook, cell, created_at`
        (UTC) and `source`.
    """
    rows = [
        (
            one.kind.value,
            one.name,
            one.number,
            one.version[:_VERSION_CHARS],
            one.notebook,
            one.cell or None,
            one.created_at,
            one.source,
        )
        for one in definitions
    ]
    columns = ["kind", "name", "number", "version", "notebook", "cell", "created_at", "source"]
    return _frame(rows, columns, {"number": "int64", "created_at": _TIME})


def versions_frame(
    definitions: Sequence[Definition],
    in_flight: Mapping[int, int],
    finished: Mapping[str, int] | None,
) -> pd.DataFrame:
    """Return the versions of one definition as a DataFrame; see `versioning.versions`.

    Args:
        definitions: The versions.
        in_flight: How many run each, by number.
        finished: How many have ended on each, by content hash; None where nobody can count.
    """
    frame = definitions_frame(definitions)
    frame.insert(4, "in_flight", [in_flight.get(one.number, 0) for one in definitions])
    counts = [None if finished is None else finished.get(one.version, 0) for one in definitions]
    frame.insert(5, "finished", counts)
    return frame.astype({"in_flight": "int64", "finished": "Int64"})
