"""Answers of DuckDB in the types that pandas computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["with_plain_types"]


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
