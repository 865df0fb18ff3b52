"""Answers of the store as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["to_frame"]


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a DataFrame whose integers stay integers where some are missing.

    Text is `str`, an integer `Int64`, a number `float64`, a time `datetime64[us, UTC]` (a store
    knows no other times); missing values are missing in each.
    """
    import pandas as pd
    import pyarrow as pa

    def mapped(arrow_type: pa.DataType) -> pd.api.extensions.ExtensionDtype | None:
        return pd.Int64Dtype() if pa.types.is_integer(arrow_type) else None

    fields = [
        field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas(types_mapper=mapped)
    return frame
