"""What attempts of activities printed and displayed, in the table `attempt_output_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ipydurable.runtime.core.output import AttemptOutput, OutputItem
from ipydurable.runtime.ports import AttemptKey, KeptOutput

from .schema import OUTPUT_COLUMNS
from .text import storable, to_json

if TYPE_CHECKING:
    import duckdb

__all__ = ["read_outputs", "write_outputs"]

_decode_items = msgspec.json.Decoder(tuple[OutputItem, ...]).decode


def write_outputs(cursor: duckdb.DuckDBPyConnection, outputs: Sequence[KeptOutput]) -> None:
    """Make them durable; `cursor` is in no transaction."""
    rows = [
        (
            *kept.key,
            storable(kept.name),
            kept.written_at,
            to_json(kept.output.items),
            kept.output.dropped,
        )
        for kept in outputs
    ]
    appender = cursor.appender("attempt_output_rows")
    appender.append_rows(rows)
    appender.flush()


def read_outputs(
    cursor: duckdb.DuckDBPyConnection, iid: int, execution_id: str, task_id: int
) -> list[KeptOutput]:
    """Return what the attempts of an activity printed, in order of their numbers."""
    found = cursor.execute(
        f"SELECT {OUTPUT_COLUMNS} FROM attempt_output_rows "
        "WHERE iid = $1 AND execution_id = $2 AND task_id = $3 ORDER BY attempt, rowid",
        [iid, storable(execution_id), task_id],
    ).fetchall()
    kept: dict[int, KeptOutput] = {}
    for *key, name, at, items, dropped in found:
        output = AttemptOutput(items=_decode_items(items), dropped=dropped)
        kept[key[3]] = KeptOutput(AttemptKey(*key), name, at, output)
    return list(kept.values())
