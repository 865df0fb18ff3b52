"""What a store knows on opening: the table of records, brought up to the end of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipydurable.runtime.core.errors import StoreDamagedError
from ipydurable.runtime.core.events import Event
from ipydurable.runtime.core.records import Record, fold_record
from ipydurable.runtime.definitions import Definition, DefinitionAdded
from ipydurable.runtime.ports import JournalRow

from .projections import Watermark, read_watermark
from .queries import journal_rows, record_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = ["Folded", "fold_tail", "read_definitions", "rows_after"]

_CHUNK_ROWS = 50_000
_NO_SUCH_ROW = (
    "Nothing was changed. Restore the file and its .wal from a copy, and please report how the "
    "file came to be so: it was copied without its .wal, or this is a bug in ipydurable."
)


class Folded(NamedTuple):
    """The records as of the end of the journal.

    Attributes:
        live: Those that the engine must know, by `iid`.
        changed: Those that the table does not show as they are.
        mark: The end of the journal.
    """

    live: list[Record]
    changed: list[Record]
    mark: Watermark


def fold_tail(cursor: duckdb.DuckDBPyConnection, path: str) -> Folded:
    """Fold the journal rows that the table of records does not reflect yet.

    Raises:
        StoreDamagedError: Rows are missing among them.
    """
    mark = read_watermark(cursor)
    records = {
        record.iid: record
        for record in record_rows(
            cursor,
            "WHERE is_live OR iid IN (SELECT iid FROM journal WHERE gseq > $1) ORDER BY iid",
            [mark.gseq],
        )
    }
    gseq, last_iid = mark
    changed: dict[int, Record] = {}
    for row in rows_after(cursor, mark.gseq):
        if row.gseq != gseq + 1:
            raise StoreDamagedError(path, f"row {gseq + 1} of its journal is missing", _NO_SUCH_ROW)
        gseq = row.gseq
        last_iid = max(last_iid, row.iid)
        if isinstance(row.event, Event):
            record = fold_record(records.get(row.iid), row.iid, row.seq, row.event)
            if record is not None:
                records[row.iid] = changed[row.iid] = record
    live = [records[iid] for iid in sorted(records) if records[iid].is_live]
    return Folded(live, list(changed.values()), Watermark(gseq, last_iid))


def read_definitions(cursor: duckdb.DuckDBPyConnection) -> list[Definition]:
    """Return every definition ever added, in order of epoch."""
    rows = journal_rows(cursor, "WHERE iid = 0 AND stream = 'definition' ORDER BY gseq")
    found = [row.event.definition for row in rows if isinstance(row.event, DefinitionAdded)]
    return sorted(found, key=lambda definition: definition.epoch)


def rows_after(cursor: duckdb.DuckDBPyConnection, after: int) -> Iterator[JournalRow]:
    """Yield all rows whose `gseq` is greater, in order."""
    last = cursor.execute("SELECT max(gseq) FROM journal").fetchall()[0][0] or 0
    for start in range(after, last, _CHUNK_ROWS):
        yield from journal_rows(
            cursor, "WHERE gseq > $1 AND gseq <= $2 ORDER BY gseq", [start, start + _CHUNK_ROWS]
        )
