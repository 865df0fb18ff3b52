"""Histories as people have them (DataFrames, exported rows, handles, files) made events again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from .core.events import Event, ExecutionStarted, HistoryEvent
from .core.payload import Payload

__all__ = ["dump_history", "events_of", "load_history", "payload_in"]

_KINDS: Final[dict[str, type[Event]]] = {cls.__name__: cls for cls in get_args(HistoryEvent)}
_EXPORT: Final = "take run.events(), or the file that run.export_history(path) writes"


def events_of(history: Any) -> list[HistoryEvent]:
    """Return the events of the last execution in a history.

    Args:
        history: Events in order; the handle of an instance; the path of a file that
            `dump_history` wrote; or rows as `run.history()` has them: a DataFrame, an Arrow
            table, or an iterable of mappings, also after a way through a CSV or JSON file.

    Raises:
        TypeError: It is none of these.
        ValueError: It does not begin with `ExecutionStarted`, is of several instances, or a row
            is no history event; says which and why.
    """
    if isinstance(history, str | Path):
        events = load_history(history)
    elif callable(getattr(history, "events", None)):
        events = list(history.events())
    else:
        events = _from_items(_items_of(history))
    # A replay of nothing would report that all is well.
    if not events or not isinstance(events[0], ExecutionStarted):
        raise ValueError("a history begins with ExecutionStarted; this one does not")
    begins = [at for at, event in enumerate(events) if isinstance(event, ExecutionStarted)]
    return events[begins[-1] :]


def dump_history(history: Iterable[HistoryEvent], path: str | Path) -> None:
    """Write a history as JSON, one event a line."""
    lines = [msgspec.json.encode(event) for event in history]
    Path(path).write_bytes(b"\n".join(lines) + b"\n")


def load_history(path: str | Path) -> list[HistoryEvent]:
    """Read a history that `dump_history` wrote.

    Raises:
        ValueError: A line is no history event; says which.
    """
    events = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            events.append(msgspec.json.decode(line, type=HistoryEvent))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path}, line {number}, is no history event: {error}") from error
    return events


def payload_in(event: object) -> Payload | None:
    """Return the value that an event carries: its input, result or data; None for none."""
    if not isinstance(event, Event):
        return None
    _, field, _ = _columns_of(type(event))
    found: Payload | None = getattr(event, field) if field else None
    return found


def _items_of(history: Any) -> list[Any]:
    """Return events or rows; in lists of dicts, DataFrames and Arrow tables are alike."""
    if hasattr(history, "to_pylist"):
        return list(history.to_pylist())
    if hasattr(history, "columns") and hasattr(history, "to_dict"):
        return list(history.to_dict("records"))
    if not isinstance(history, Iterable):
        raise TypeError(
            f"a history is made of events or rows, and a {type(history).__name__} is not"
        )
    return list(history)


def _from_items(items: list[Any]) -> list[HistoryEvent]:
    if items and isinstance(items[0], Mapping):
        return _from_rows(items)
    for item in items:
        if not isinstance(item, Event):
            raise TypeError(f"a history is made of events, not of {type(item).__name__}")
    return items


def _from_rows(rows: list[Any]) -> list[HistoryEvent]:
    ids = {row.get("instance_id") for row in rows}
    if len(ids) > 1:
        some = ", ".join(sorted(map(str, ids))[:3])
        raise ValueError(f"these rows are of {len(ids)} instances ({some} ...): choose one")
    if all(_is_there(row.get("seq")) for row in rows):
        rows = sorted(rows, key=lambda row: int(row["seq"]))
    return [_event_of(number, row) for number, row in enumerate(rows, start=1)]


def _event_of(number: int, row: Mapping[str, Any]) -> HistoryEvent:
    kind = row.get("event_type")
    cls = _KINDS.get(str(kind))
    if cls is None:
        raise ValueError(f"row {number} is no history event: its event_type is {kind!r}")
    fields = _details_of(row)
    if "codec" in fields:
        raise ValueError(
            f"row {number} ({kind}) holds a {fields.get('summary') or fields['codec']}, whose "
            f"bytes are not in the table: {_EXPORT}"
        )
    fields["timestamp"] = _time_of(row.get("timestamp"))
    name, payload, has_task = _columns_of(cls)
    if name:
        fields[name] = row.get("name")
    if payload and _is_there(row.get("payload")):
        fields[payload] = row["payload"]
    if has_task and _is_there(row.get("task_id")):
        fields["task_id"] = int(float(row["task_id"]))
    try:
        return msgspec.convert(fields, cls)  # type: ignore[return-value]
    except msgspec.ValidationError as error:
        raise ValueError(f"row {number} ({kind}) is no history event: {error}") from error


def _details_of(row: Mapping[str, Any]) -> dict[str, Any]:
    details = row.get("details")
    if isinstance(details, str):
        details = json.loads(details)
    return dict(details) if isinstance(details, Mapping) else {}


def _time_of(when: Any) -> Any:
    """Return a time of a table as naive UTC; what is none is left for the check of its type."""
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if hasattr(when, "to_pydatetime"):
        when = when.to_pydatetime()
    if isinstance(when, datetime) and when.tzinfo is not None:
        return when.astimezone(UTC).replace(tzinfo=None)
    return when


def _is_there(value: Any) -> bool:
    """Whether a cell holds something; what is missing is None, NaN, NA, or "" in a CSV file."""
    if isinstance(value, str):
        return value != ""
    return isinstance(value, Real) and not math.isnan(value)


@cache
def _columns_of(cls: type[Event]) -> tuple[str, str, bool]:
    """Return which fields the columns `name` and `payload` hold, and whether it has a task."""
    fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
    name = next((one for one in ("name", "operation") if one in fields), "")
    payload = next((one for one, kind in fields.items() if kind == Payload | None), "")
    return name, payload, "task_id" in fields
