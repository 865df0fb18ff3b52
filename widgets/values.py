"""Payloads as people look at them: text, and tables as tables. Nothing that can run is loaded."""

from __future__ import annotations

from typing import Any

from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.plain_json import as_written

from .views import TableView, ValueView, preview

__all__ = ["view_value"]

_TEXT_CHARS = 20_000
_ROWS, _COLUMNS, _CELL_CHARS = 12, 12, 60


def view_value(payload: Payload | None) -> ValueView:
    """Return a payload to be looked at; a pickled one as what is known of it without loading it."""
    if payload is None:
        return ValueView("")
    if isinstance(payload, str):
        text = as_written(payload)
        return ValueView(text[:_TEXT_CHARS], cut=len(text) > _TEXT_CHARS)
    words = preview(payload, _TEXT_CHARS)
    return ValueView(words, table=_table(payload.data) if payload.codec == "arrow" else None)


def _table(data: bytes) -> TableView | None:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(data) as reader:
            table = reader.read_all()
    except pa.ArrowInvalid:
        return None
    head = table.slice(0, _ROWS).select(range(min(_COLUMNS, table.num_columns)))
    columns = [[_cell(value) for value in column.to_pylist()] for column in head.columns]
    return TableView(
        tuple(head.column_names),
        tuple(zip(*columns, strict=True)),
        table.num_rows,
        table.num_columns,
    )


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 1] + "…"
