"""Answers of DuckDB as they travel, in the types that pandas computes with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["to_stream", "with_plain_types"]


def to_stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Return an answer as an Arrow IPC stream, with the types of `with_plain_types`.

    What needs no other type is written batch by batch: a long answer is in memory once, and small.

    Args:
        schema: The types as DuckDB has them.
        batches: The rows, read once.
    """
    import pyarrow as pa

    # What is small is quick to make, to sign, to check and to copy: several times over all.
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    sink = pa.BufferOutputStream()
    if any(_is_changed(field.type) for field in schema):
        table = with_plain_types(pa.Table.from_batches(list(batches), schema))
        schema, batches = table.schema, table.to_batches()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def with_plain_types(table: pa.Table) -> pa.Table:
    """Return `table` with numbers and durations where pandas would have objects.

    Sums of integers, which DuckDB gives 128 bits, become `int64` where they fit and else `double`;
    decimals become `double`. Differences of times become `duration[us]`, unless they hold
    months, which have no fixed length.
    """
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_decimal(field.type):
            column = _number(column)
        elif field.type == pa.month_day_nano_interval():
            column = _duration(column)
        if column.type != field.type:
            table = table.set_column(index, field.name, column)
    return table


def _is_changed(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_decimal(kind) or kind == pa.month_day_nano_interval()


def _number(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    import pyarrow as pa

    if column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    return column.cast(pa.float64())


def _duration(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    import numpy as np
    import pyarrow as pa

    layout = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    chunks = []
    for chunk in column.chunks:
        missing = chunk.is_null().to_numpy(zero_copy_only=False)
        content = chunk.buffers()[1]
        assert content is not None
        parts = np.frombuffer(memoryview(content), layout, len(chunk), chunk.offset * 16)
        if parts["months"][~missing].any():
            return column
        micros = parts["days"].astype("i8") * 86_400_000_000 + parts["nanoseconds"] // 1000
        chunks.append(pa.array(micros, pa.int64(), mask=missing).cast(pa.duration("us")))
    return pa.chunked_array(chunks, pa.duration("us"))
