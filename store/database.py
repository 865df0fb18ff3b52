"""The DuckDB file itself: opening it, one cursor per reader, and DuckDB's errors in our words."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from ipydurable.runtime.core.errors import (
    NotAStoreError,
    StoreDamagedError,
    StoreError,
    StoreLockedError,
    StoreUnwritableError,
)

from . import repair

__all__ = ["CONFIG", "Database", "store_error"]

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "fsync_mode": "STANDARD",
    # A backstop only: a checkpoint inside a commit stalls it; see DuckDBStore.checkpoint.
    "wal_autocheckpoint": "128MB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # A SQL query must not pick up a Python variable of that name.
    "python_enable_replacements": False,
}

_LOCKED = re.compile(r"Could not set lock.*?held in (.*?) \(PID (\d+)\)", re.DOTALL)
_UNWRITABLE = (
    "Could not write",
    "Cannot open file",
    "Could not truncate",
    "Permission denied",
    "No space left",
    "Read-only file system",
    "Failed to create checkpoint",
    "fsync",
    "Out of Memory Error",
)
# What is dropped is read again from the system's own cache, a block in a tenth of a millisecond.
_CACHE_BYTES = 64 * 1024 * 1024
_MANY_TRANSACTIONS = 2_000
# Whenever the limit is set, be it to what it is, the allocator is emptied: the only call that does.
_RETURN_FREED = "RESET memory_limit"
# DuckDB gives a second connection of the same process the same database, so it guards nothing.
_open_here: set[str] = set()
_open_here_lock = threading.Lock()


_SQLITE_MAGIC = b"SQLite format 3\0"


class Database:
    """An open DuckDB file, locked for this process. Cursors may be asked for by any thread.

    Attributes:
        path: Where it is.
        report: What was repaired on opening, one sentence each.
        broken: DuckDB refuses everything until `reopen`, as it does after a failed checkpoint.
        is_checkpointing: A checkpoint is being made.
        had_log: Whether a write-ahead log was there when it was opened.
        mode: The permissions of the file, and of all beside it.
    """

    def __init__(self, path: str | os.PathLike[str], *, salvage: bool = False) -> None:
        """Open or create the file; the arguments and errors are those of `open_store`."""
        self.path = str(Path(path).expanduser().resolve())
        self._wal = str(repair.wal_path(self.path))
        self._spill = Path(f"{self.path}.tmp")
        self.report: list[str] = []
        self.broken = self.is_checkpointing = False
        self._salvage = salvage
        self._lock = threading.Lock()
        self._transactions = 0  # since memory was given back
        _check_place(self.path)
        with _open_here_lock:
            if self.path in _open_here:
                raise StoreLockedError(self.path, os.getpid(), "this one")
            _open_here.add(self.path)
        try:
            self.mode = _mode_of(self.path)
            self.had_log = repair.wal_path(self.path).exists()
            self._connection = self._connect()
        except BaseException:
            self._forget()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a new cursor; the caller closes it."""
        with self._lock:
            return self._connection.cursor()

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor for a moment; DuckDB's errors become ours."""
        try:
            with contextlib.closing(self.cursor()) as cursor:
                yield cursor
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException):
                self.broken = True
            raise store_error(self.path, error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor in a transaction that is committed at the end, or undone."""
        with self.reading() as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
                self._transactions += 1
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    cursor.rollback()
                raise

    def reopen(self) -> None:
        """Open the file anew after DuckDB has given it up; all cursors are dead then."""
        with self._lock:
            self._connection.close()
            self._connection = self._connect()
            self.broken = False

    def check_place(self) -> None:
        """Raise StoreUnwritableError where the file is not where it was opened any more.

        DuckDB would go on writing to what nobody will find again.
        """
        # For every append: a Path would cost more than the call to the system.
        try:
            found = os.stat(self.path)  # noqa: PTH116
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._inode:
            raise StoreUnwritableError(
                self.path,
                "it was moved, replaced or deleted while it is in use. Put it back, with its "
                ".wal file, and work goes on; else stop the host (%durable stop)",
            )

    def wal_size(self) -> int:
        """Return the bytes in the write-ahead log."""
        try:
            return repair.wal_path(self.path).stat().st_size
        except FileNotFoundError:
            return 0

    def protect_wal(self) -> None:
        """Give the write-ahead log, which DuckDB makes anew now and then, the file's own mode."""
        _protect(self._wal, self.mode)
        if self.is_checkpointing:  # Commits go to another one until that is done.
            _protect(f"{self._wal}.checkpoint", self.mode)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, unless somebody reads; any thread."""
        self.is_checkpointing = True
        try:
            with contextlib.closing(self.cursor()) as cursor:
                cursor.execute("CHECKPOINT").fetchall()
                cursor.execute(_RETURN_FREED).fetchall()
        except duckdb.FatalException:
            self.broken = True  # the writer thread opens it anew
        except duckdb.TransactionException:
            pass  # the next call will do it
        finally:
            self.protect_wal()
            self.is_checkpointing = False

    def give_back_memory(self, most_bytes: int = _CACHE_BYTES) -> bool:
        """Have DuckDB let go of what it keeps, once that is much; any thread.

        It keeps blocks of the file, up to most of the machine's memory, and a note of each buffer
        that transactions had, up to 40 MB of notes. There is no call to drop them, but it looks
        through all of both for a limit that it cannot keep; and as it cannot, the limit stays as it
        was, so nobody runs short.

        Args:
            most_bytes: How much of the file may stay in memory.

        Returns:
            Whether there was much.
        """
        with self.reading() as cursor, self.reading() as pinning:
            if self._transactions < _MANY_TRANSACTIONS and _cached_bytes(cursor) <= most_bytes:
                return False
            self._transactions = 0
            self.make_spill_folder()
            # A result that is not read to its end holds memory, so that no byte cannot be enough.
            pinning.execute("SELECT range FROM range(1000000)")
            try:
                cursor.execute("SET memory_limit = '1B'").fetchall()
            except duckdb.OutOfMemoryException:
                pass  # as it should
            finally:
                cursor.execute(_RETURN_FREED).fetchall()
        return True

    def give_back_freed(self) -> None:
        """Have DuckDB's allocator return what it keeps of freed memory; any thread.

        That is up to 128 MB, and 80 MB after a hundred thousand starts.
        """
        with self.reading() as cursor:
            cursor.execute(_RETURN_FREED).fetchall()

    def make_spill_folder(self) -> None:
        """Make the folder for what memory does not hold; DuckDB would make one for all to read."""
        with contextlib.suppress(OSError):
            self._spill.mkdir(mode=0o700, exist_ok=True)

    def close(self, *, keep_log: bool = False) -> None:
        """Release the file.

        Args:
            keep_log: Leave the log as it is, for somebody to look at, instead of moving it into
                the file.
        """
        with self._lock:
            if keep_log:
                with contextlib.suppress(duckdb.Error):
                    self._connection.execute("PRAGMA disable_checkpoint_on_shutdown").fetchall()
            self._connection.close()
        with contextlib.suppress(OSError):
            self._spill.rmdir()
        self._forget()

    def _forget(self) -> None:
        with _open_here_lock:
            _open_here.discard(self.path)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            connection = self._connect_repaired()
            connection.execute("SET GLOBAL TimeZone = 'UTC'").fetchall()
        except duckdb.Error as error:
            raise store_error(self.path, error) from error
        _protect(self.path, self.mode)
        opened = Path(self.path).stat()
        self._inode = opened.st_dev, opened.st_ino
        return connection

    def _connect_repaired(self) -> duckdb.DuckDBPyConnection:
        self._refuse_sqlite()
        damage = self._silent_damage()
        if damage is None:
            try:
                return duckdb.connect(self.path, config=CONFIG)
            except duckdb.Error as error:
                damage = repair.damage_reported(self.path, str(error))
                if damage is None and not _is_empty(self.path):
                    raise
        if damage is None:
            Path(self.path).unlink()  # empty: what is left if its creator was killed at once
            return duckdb.connect(self.path, config=CONFIG)
        self._repair(damage)
        connection = duckdb.connect(self.path, config=CONFIG)
        connection.execute("CHECKPOINT").fetchall()  # the repaired log is not needed again
        return connection

    def _refuse_sqlite(self) -> None:
        """Raise NotAStoreError for a SQLite file, for which DuckDB would look for an extension."""
        try:
            with Path(self.path).open("rb") as file:
                head = file.read(len(_SQLITE_MAGIC))
        except OSError:
            return
        if head == _SQLITE_MAGIC:
            raise NotAStoreError(self.path, "it is a SQLite file")

    def _silent_damage(self) -> repair.Damage | None:
        damage = repair.silent_damage(self.path)
        if damage is None:
            return None
        try:  # a log that another process is writing looks torn too, so is the file free at all?
            duckdb.connect(self.path, read_only=True).close()
        except duckdb.Error as error:
            reported = repair.damage_reported(self.path, str(error))
            is_locked = isinstance(store_error(self.path, error), StoreLockedError)
            if is_locked or (reported is None and damage.position > 0):
                raise
            damage = reported or damage  # where it speaks, it knows better
        return damage

    def _repair(self, damage: repair.Damage) -> None:
        if not (self._salvage or repair.is_last_commit(self.path, damage)):
            raise StoreDamagedError(
                self.path,
                f"its write-ahead log {damage.log} cannot be read from byte {damage.position} on, "
                "and later commits are lost with it",
                f"Nothing was changed. Restore {self.path} and all files beside it whose names "
                "begin with this from a copy, or go on with what was committed before the damage: "
                f"ipydurable.store.open_store({self.path!r}, salvage=True) keeps copies of logs.",
            )
        self.report.append(repair.cut(self.path, damage))


def store_error(path: str, error: duckdb.Error) -> StoreError:
    """Return what one of DuckDB's errors means for the store at `path`."""
    text = str(error)
    first_line = text.partition("\n")[0]
    locked = _LOCKED.search(text)
    if locked:
        program, pid = locked.group(1), int(locked.group(2))
        return StoreLockedError(path, pid, _command_line(pid) or program)
    if "different configuration" in text or "already attached" in text:
        return StoreLockedError(path, os.getpid(), "this one, by another duckdb.connect")
    if "not a valid DuckDB database file" in text:
        return NotAStoreError(path, "it is not a DuckDB file")
    if "database file with version number" in text:
        return NotAStoreError(path, f"this version of DuckDB cannot read it ({first_line})")
    if any(sign in text for sign in _UNWRITABLE):
        return StoreUnwritableError(path, first_line)
    return StoreDamagedError(
        path,
        first_line,
        f"Restore {path} and {path}.wal from a copy, or choose another path.",
    )


def _check_place(path: str) -> None:
    place = Path(path)
    folder = place.parent
    if place.is_dir():
        raise StoreUnwritableError(path, "it is a folder")
    if not folder.is_dir():
        raise StoreUnwritableError(path, f"there is no folder {folder}")
    if not os.access(place if place.exists() else folder, os.W_OK):
        raise StoreUnwritableError(path, "you have no permission")


def _mode_of(path: str) -> int:
    """Return the permissions the store's files are to have: private where they are new."""
    try:
        return stat.S_IMODE(Path(path).stat().st_mode)
    except FileNotFoundError:
        return 0o600


def _protect(path: str, mode: int) -> None:
    # After every append: a Path would cost more than the call to the system.
    try:
        if stat.S_IMODE(os.stat(path).st_mode) != mode:  # noqa: PTH116
            os.chmod(path, mode)  # noqa: PTH101
    except (FileNotFoundError, PermissionError):
        pass


def _cached_bytes(cursor: duckdb.DuckDBPyConnection) -> int:
    found = cursor.execute(
        "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
    ).fetchall()
    return int(found[0][0])


def _is_empty(path: str) -> bool:
    place = Path(path)
    return place.exists() and place.stat().st_size == 0


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode(errors="replace").strip()
