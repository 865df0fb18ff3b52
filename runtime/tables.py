"""DataFrames and Arrow tables as Arrow IPC streams: fast, compact, readable without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from .core.payload import Blob
from .core.serialization import decode_json, encode_json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["decode_table", "encode_table"]

_KEY: Final = b"ipydurable"
_SHOWN_COLUMNS: Final = 3


class _Form(msgspec.Struct):
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
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return _encode_pandas(value)
    if library == "pyarrow":
        return _encode_arrow(value)
    return None


def decode_table(data: bytes) -> Any:
    """Return the value of an Arrow blob's data."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        metadata = dict(reader.schema.metadata or {})
        form = msgspec.json.decode(metadata.pop(_KEY), type=_Form)
        if form.kind == "RecordBatch":
            return reader.read_next_batch().replace_schema_metadata(metadata or None)
        table = reader.read_all().replace_schema_metadata(metadata or None)
    if form.kind == "Table":
        return table
    frame = table.to_pandas()
    if form.kind == "DataFrame":
        return frame
    series = frame.iloc[:, 0]
    series.name = decode_json(form.name, lambda _module, _name: None)
    return series


def _encode_pandas(value: Any) -> Blob | None:
    import pandas as pd

    if type(value) is pd.DataFrame:
        shape = f"{len(value)} x {len(value.columns)}"
        summary = f"DataFrame {shape} ({_shown(value.columns)})"
        return _encode_frame(value, _Form("DataFrame"), summary)
    if type(value) is pd.Series:
        try:
            name = encode_json(value.name, "name", _refuse)
        except _NoJsonError:
            return None
        assert isinstance(name, str)
        frame = value.to_frame(name="value")
        frame.attrs = value.attrs
        return _encode_frame(frame, _Form("Series", name), f"Series {len(value)} ({value.dtype})")
    return None


def _refuse(_: Any) -> Blob:
    raise _NoJsonError


def _encode_frame(frame: pd.DataFrame, form: _Form, summary: str) -> Blob | None:
    import pyarrow as pa

    # Arrow refuses some frames and gives others back changed, each in its own way. All of them
    # are pickled instead, so any difference or error whatsoever means: not as Arrow.
    try:
        table = pa.Table.from_pandas(frame)
        if not _is_same(frame, table.to_pandas()):
            return None
    except Exception:  # noqa: BLE001
        return None
    return Blob(codec="arrow", data=_write(table, form), summary=summary)


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


def _encode_arrow(value: Any) -> Blob | None:
    import pyarrow as pa

    if type(value) not in (pa.Table, pa.RecordBatch):
        return None
    kind = type(value).__name__
    shape = f"{value.num_rows} x {value.num_columns}"
    summary = f"{kind} {shape} ({_shown(value.schema.names)})"
    return Blob(codec="arrow", data=_write(value, _Form(kind)), summary=summary)


def _write(value: pa.Table | pa.RecordBatch, form: _Form) -> bytes:
    import pyarrow as pa

    metadata = {**(value.schema.metadata or {}), _KEY: msgspec.json.encode(form)}
    value = value.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write(value)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _shown(names: Any) -> str:
    shown = [str(name) for name in names[:_SHOWN_COLUMNS]]
    return ", ".join([*shown, "..."] if len(names) > _SHOWN_COLUMNS else shown)
