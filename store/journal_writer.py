"""How rows get into the table `journal`: as one statement, one commit, as cheaply as DuckDB can.

DuckDB plans every flush of an appender anew, with all of its optimizer: half of what a small commit
costs. A prepared statement is planned once. Its parameter is one JSON text, as `EXECUTE` takes
neither Python's values nor a varying number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from .codec import JournalColumns
from .schema import JOURNAL_COLUMNS

if TYPE_CHECKING:
    import duckdb

__all__ = ["JournalWriter"]


class _Row(msgspec.Struct):
    """A row as it travels to DuckDB: without `data`, and `ts` in microseconds."""

    gseq: int
    iid: int
    seq: int
    ts: int
    stream: str
    kind: str
    name: str | None
    task_id: int | None
    ref: int
    payload: str | None
    extra: str | None
    digest: str | None


_TYPES: Final = {
    "gseq": "BIGINT",
    "iid": "BIGINT",
    "seq": "INTEGER",
    "ts": "BIGINT",
    "stream": "VARCHAR",
    "kind": "VARCHAR",
    "name": "VARCHAR",
    "task_id": "INTEGER",
    "ref": "BIGINT",
    "payload": "VARCHAR",
    "extra": "VARCHAR",
    "digest": "VARCHAR",
}
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as all times of the journal
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_TEXT: Final = 4 * 1024 * 1024
_MAX_ROWS: Final = 25_000
"""Of more JSON than this the parser makes too many copies; an appender does not."""

_encode = msgspec.json.Encoder().encode


def _prepared_insert() -> str:
    shape = msgspec.json.encode([_TYPES]).decode()
    values = ", ".join("make_timestamp(r.ts)" if key == "ts" else f"r.{key}" for key in _TYPES)
    return (
        f"PREPARE append_rows AS INSERT INTO journal ({JOURNAL_COLUMNS}) "
        f"SELECT {values}, NULL "
        f"FROM (SELECT unnest(from_json_strict($1::VARCHAR, '{shape}')) AS r)"
    )


class JournalWriter:
    """Appends rows to the journal through a cursor of its own.

    Args:
        cursor: What to write with; closed by `close`.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor
        self._appender: duckdb.Appender | None = None
        cursor.execute(_prepared_insert()).fetchall()

    def append(self, rows: Sequence[JournalColumns]) -> None:
        """Make rows durable, all or none, before returning.

        Raises:
            duckdb.Error: Nothing is known to be stored; the writer must be closed.
        """
        text = _as_json(rows)
        if text is None:
            appender = self._appender
            if appender is None:
                appender = self._appender = self.cursor.appender("journal")
            appender.append_rows(rows)
            appender.flush()
        else:
            quoted = text.replace("'", "''")
            self.cursor.execute(f"EXECUTE append_rows('{quoted}')").fetchall()

    def close(self) -> None:
        """Forget rows that were not flushed, and close the cursor."""
        if self._appender is not None:
            self._appender.clear()
        self.cursor.close()


def _as_json(rows: Sequence[JournalColumns]) -> str | None:
    """Return the parameter of the prepared statement; None where rows hold bytes, or too much."""
    if len(rows) > _MAX_ROWS:
        return None
    known: list[_Row] = []
    for gseq, iid, seq, ts, stream, kind, name, task_id, ref, payload, extra, digest, data in rows:
        if data is not None:
            return None
        micros = (ts - _EPOCH) // _MICROSECOND
        known.append(
            _Row(gseq, iid, seq, micros, stream, kind, name, task_id, ref, payload, extra, digest)
        )
    text = _encode(known)
    return text.decode() if len(text) <= _MAX_TEXT else None
