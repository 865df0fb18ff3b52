"""DataFrames and Arrow tables as Arrow IPC streams: fast, compact, readable without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from .core.payload import Blob
from .core.serialization import decode_json, encode_json

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

__all__ = [
    "Form",
    "decode_table",
    "encode_table",
    "frame_of",
    "open_table",
    "table_form",
    "write_table",
]

_KEY: Final = b"ipydurable"
_SHOWN_COLUMNS: Final = 3


class Form(msgspec.Struct):
    """What the stream holds, in its schema metadata: kind, and the encoded name of a Series."""

    kind: str
    name: str = "null"


class _NoJsonError(Exception):
    """A Series name that JSON has no form for."""


def encode_table(value: Any) -> Blob | None:
    """Return the Arrow blob of a DataFrame, Series, Table or RecordBatch.

    Returns:
        The blob; None for anything else, and for what Arrow would not give back exactly.
    """
    found = table_form(value)
    if found is None:
        return None
    table, form, summary = found
    return Blob(codec="arrow", data=_write(table, form), summary=summary)


def table_form(value: Any) -> tuple[pa.Table | pa.RecordBatch, Form, str] | None:
    """Return a value as Arrow holds it, what it was, and a few words on it.

    None for what is no table, and for what Arrow would not give back exactly.
    """
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return _pandas_form(value)
    if library == "pyarrow":
        return _arrow_form(value)
    return None


def write_table(table: pa.Table | pa.RecordBatch, form: Form, path: Path) -> None:
    """Write a table and what it was to a file, without copying it first."""
    import pyarrow as pa

    table = _with_form(table, form)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write(table)


def decode_table(data: bytes) -> Any:
    """Return the value of an Arrow blob's data."""
    table, form = open_table(data)
    return frame_of(table, form, is_shared=False)


def open_table(data: Any) -> tuple[pa.Table | pa.RecordBatch, Form]:
    """Return the table in a buffer, which is not copied, and what it was."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        metadata = dict(reader.schema.metadata or {})
        form = msgspec.json.decode(metadata.pop(_KEY), type=Form)
        read = reader.read_next_batch if form.kind == "RecordBatch" else reader.read_all
        return read().replace_schema_metadata(metadata or None), form


def frame_of(table: pa.Table | pa.RecordBatch, form: Form, *, is_shared: bool) -> Any:
    """Return the value that a table was made of.

    Args:
        table: The table.
        form: What it was.
        is_shared: Whether it is only looked at: it is read-only then, and copies nothing it
            need not.
    """
    if form.kind in ("Table", "RecordBatch"):
        return table
    frame = table.to_pandas(split_blocks=True) if is_shared else table.to_pandas()
    if not is_shared:
        frame = _own(frame)
    if form.kind == "DataFrame":
        return frame
    series = frame.iloc[:, 0]
    series.name = decode_json(form.name, lambda _module, _name: None)
    return series


def _own(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy a frame where it shows the memory of the table, which nobody may change."""
    parts = (frame.iloc[:, n].array for n in range(frame.shape[1]))
    is_writeable = all(
        part.flags.writeable
        for part in (getattr(one, "_ndarray", None) for one in parts)
        if part is not None
    )
    return frame if is_writeable else frame.copy()


def _pandas_form(value: Any) -> tuple[pa.Table, Form, str] | None:
    import pandas as pd

    if type(value) is pd.DataFrame:
        shape = f"{len(value)} x {len(value.columns)}"
        summary = f"DataFrame {shape} ({_shown(value.columns)})"
        return _frame_form(value, Form("DataFrame"), summary)
    if type(value) is pd.Series:
        try:
            name = encode_json(value.name, "name", _refuse)
        except _NoJsonError:
            return None
        assert isinstance(name, str)
        frame = value.to_frame(name="value")
        frame.attrs = value.attrs
        return _frame_form(frame, Form("Series", name), f"Series {len(value)} ({value.dtype})")
    return None


def _refuse(_: Any) -> Blob:
    raise _NoJsonError


def _frame_form(frame: pd.DataFrame, form: Form, summary: str) -> tuple[pa.Table, Form, str] | None:
    import pyarrow as pa

    # Arrow refuses some frames and gives others back changed, each in its own way. All of them
    # are pickled instead, so any difference or error whatsoever means: not as Arrow.
    try:
        table = pa.Table.from_pandas(frame)
        if not _is_same(frame, table.to_pandas(split_blocks=True)):
            return None
    except Exception:  # noqa: BLE001
        return None
    return table, form, summary


def _is_same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return (
        one.equals(other)
        and _is_same_index(one.index, other.index)
        and _is_same_index(one.columns, other.columns)
        and list(one.dtypes) == list(other.dtypes)
        and one.attrs == other.attrs
        and all(
            [type(part) for part in one.iloc[:, column]]
            == [type(part) for part in other.iloc[:, column]]
            for column, dtype in enumerate(one.dtypes)
            if dtype.kind == "O"
        )
    )


def _is_same_index(one: pd.Index[Any], other: pd.Index[Any]) -> bool:
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and list(one.names) == list(other.names)
        and one.equals(other)
        and getattr(one, "freq", None) == getattr(other, "freq", None)
    )


def _arrow_form(value: Any) -> tuple[pa.Table | pa.RecordBatch, Form, str] | None:
    import pyarrow as pa

    if type(value) not in (pa.Table, pa.RecordBatch):
        return None
    kind = type(value).__name__
    shape = f"{value.num_rows} x {value.num_columns}"
    return value, Form(kind), f"{kind} {shape} ({_shown(value.schema.names)})"


def _with_form(value: pa.Table | pa.RecordBatch, form: Form) -> pa.Table | pa.RecordBatch:
    metadata = {**(value.schema.metadata or {}), _KEY: msgspec.json.encode(form)}
    return value.replace_schema_metadata(metadata)


def _write(value: pa.Table | pa.RecordBatch, form: Form) -> bytes:
    import pyarrow as pa

    value = _with_form(value, form)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write(value)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _shown(names: Any) -> str:
    shown = [str(name) for name in names[:_SHOWN_COLUMNS]]
    return ", ".join([*shown, "..."] if len(names) > _SHOWN_COLUMNS else shown)
