"""Notices that a store's write-ahead log is gone, or older than it was.

DuckDB opens a file without its log in silence, as of the last checkpoint. So while a store is in
use a small file beside it says how far its journal was: written with the first commit of each log
and every few seconds, not with every commit; deleted when the store is closed, as then no log is
left. It is only believed about the store that wrote it, and never runs ahead of what is durable.

A file that was moved or copied alone has left that mark behind, too. So the file itself says
whether it is in use: from its opening until it is closed in good order.
"""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec

from ipydurable.runtime.core.errors import StoreDamagedError

from .database import Database
from .schema import APPLIED_GSEQ, IN_USE

__all__ = ["LogGuard", "LogMark", "mark_path", "read_mark", "write_mark"]

_SUFFIX = ".wal.mark"
_OURS = ("journal", "meta", "migrations")


class LogMark(msgspec.Struct, frozen=True):
    """How far a journal was.

    Attributes:
        store: What tells the store from all others: when it was made.
        gseq: A row that was durable.
        at: When that was noted (UTC).
    """

    store: str
    gseq: int
    at: datetime


class LogGuard:
    """Looks at a store when it is opened, and keeps its mark from then on.

    Args:
        database: The open file.
    """

    def __init__(self, database: Database) -> None:
        self.is_noted = False
        """Whether the mark was written since the present log was begun."""
        self._database = database
        self._lock = threading.Lock()
        self._store = ""
        self._gseq = -1

    def check(self, cursor: duckdb.DuckDBPyConnection, *, salvage: bool) -> list[str]:
        """Look whether all that was durable is there, before anything is changed.

        Args:
            cursor: A cursor in no transaction.
            salvage: Whether to go on without what is missing.

        Returns:
            A sentence for people if something is missing, or may be.

        Raises:
            StoreDamagedError: Something is missing; says what to do.
        """
        if not _is_ours(cursor):
            return []
        path, has_log = self._database.path, self._database.had_log
        mark = read_mark(path)
        if mark is not None and mark.store == _identity(cursor):
            last = _last_gseq(cursor)
            if last >= mark.gseq:
                return []
            if not (salvage or self._database.report):  # where it was repaired it was changed
                raise StoreDamagedError(path, _missing(path, last, mark, has_log), _advice(path))
            mark_path(path).unlink()
            return [f"{path}: {_missing(path, last, mark, has_log)}. It was left out."]
        if _is_in_use(cursor) and not has_log:
            sentence = (
                f"{path} was copied or moved without its write-ahead log while it was in use: what "
                "was done after its last checkpoint is not in it. If the file that it was copied "
                "from is still there, with its log, stop its host (%durable stop) and copy it anew."
            )
            return [sentence]
        return []

    def begin(self, cursor: duckdb.DuckDBPyConnection, gseq: int) -> bool:
        """Note that the store is in use from now on, and how far it is.

        Args:
            cursor: A cursor in no transaction.
            gseq: The last row of its journal.

        Returns:
            Whether the file is still to be told, by a checkpoint.
        """
        self._store = _identity(cursor)
        self.note(gseq)
        self.is_noted = False
        return not _is_in_use(cursor) and self._set_in_use(cursor, "1")

    def note(self, gseq: int) -> None:
        """Write the mark, if the journal is further than it says."""
        with self._lock:
            self.is_noted = True
            if gseq > self._gseq:
                self._gseq = gseq
                now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
                write_mark(
                    self._database.path, LogMark(self._store, gseq, now), self._database.mode
                )

    def end(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Note that the store is about to be closed in good order."""
        self._set_in_use(cursor, "0")

    def closed(self) -> None:
        """Take the mark away, unless the closed store still has a log."""
        if not self._database.wal_size():
            mark_path(self._database.path).unlink(missing_ok=True)

    def _set_in_use(self, cursor: duckdb.DuckDBPyConnection, value: str) -> bool:
        """Have the file say whether it is in use; False where it cannot be written now."""
        try:
            cursor.begin()
            cursor.execute("DELETE FROM meta WHERE key = ?", [IN_USE]).fetchall()
            cursor.execute("INSERT INTO meta VALUES (?, ?)", [IN_USE, value]).fetchall()
            cursor.commit()
        except duckdb.Error:
            with contextlib.suppress(duckdb.Error):
                cursor.rollback()
            return False
        return True


def mark_path(path: str) -> Path:
    """Return where the mark of a store file is."""
    return Path(path + _SUFFIX)


def read_mark(path: str) -> LogMark | None:
    """Return the mark of a store file; None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(mark_path(path).read_bytes(), type=LogMark)
    except (OSError, msgspec.MsgspecError):
        return None


def write_mark(path: str, mark: LogMark, mode: int) -> None:
    """Replace the mark of a store file, all at once.

    It is not forced to the disk: an older mark notices less, but nothing that is not so.
    """
    written = Path(f"{path}{_SUFFIX}.new")
    # A full disk must not keep the store from taking what still fits.
    with contextlib.suppress(OSError):
        handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(mark))
        written.replace(mark_path(path))


def _is_ours(cursor: duckdb.DuckDBPyConnection) -> bool:
    found = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE table_name IN (?, ?, ?) ORDER BY 1", _OURS
    ).fetchall()
    return [name for (name,) in found] == list(_OURS)


def _identity(cursor: duckdb.DuckDBPyConnection) -> str:
    return str(cursor.execute("SELECT min(applied_at) FROM migrations").fetchall()[0][0])


def _is_in_use(cursor: duckdb.DuckDBPyConnection) -> bool:
    found = cursor.execute("SELECT value FROM meta WHERE key = ?", [IN_USE]).fetchall()
    return found == [("1",)]


def _last_gseq(cursor: duckdb.DuckDBPyConnection) -> int:
    found = cursor.execute(
        "SELECT greatest((SELECT max(gseq) FROM journal), "
        "(SELECT max(value::BIGINT) FROM meta WHERE key = ?), 0)",
        [APPLIED_GSEQ],
    ).fetchall()
    return int(found[0][0])


def _missing(path: str, last: int, mark: LogMark, has_log: bool) -> str:
    where = "its write-ahead log ends too early" if has_log else f"{path}.wal is not there"
    return (
        f"row {last + 1} and what came after it, up to {mark.at:%Y-%m-%d %H:%M:%S} UTC at least, "
        f"is missing: {where}"
    )


def _advice(path: str) -> str:
    return (
        f"Nothing was changed. If {path}.wal is elsewhere, put it back beside the file. To go on "
        f"without what is missing, delete {mark_path(path)}, or call "
        f"ipydurable.store.open_store({path!r}, salvage=True)."
    )
