"""A store that is only read: no host, nothing written, whatever its state or medium."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ipydurable.runtime.core.errors import NotAStoreError, StoreVersionError
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord, Record
from ipydurable.runtime.definitions import Definition
from ipydurable.runtime.ports import EntityQuery, InstanceQuery, JournalRow, KeptOutput

from . import queries
from .database import CONFIG, store_error
from .migrations import MIGRATIONS
from .outputs import read_outputs
from .projections import pack_record, write_records
from .recovery import fold_tail, read_definitions
from .schema import JOURNAL_COLUMNS, OUTPUT_COLUMNS, RECORD_COLUMNS, TABLES_V1, TABLES_V2
from .selects import interrupt, run_select
from .text import storable
from .views import VIEWS

__all__ = ["ArchiveStore"]

_JOURNAL, _PAYLOADS, _RECORDS = TABLES_V1
_PARQUET_MAGIC = b"PAR1"
# Of each part of an export, what to read; several bulks may hold the same value or definition.
_PARTS = {
    "journal": (f"DISTINCT {JOURNAL_COLUMNS}", "ORDER BY gseq"),
    "payloads": ("DISTINCT digest, size, codec, text, data", ""),
    "instance_records": (RECORD_COLUMNS, ""),
    "attempt_output_rows": (OUTPUT_COLUMNS, ""),
}


class ArchiveStore:
    """Implements `ipydurable.runtime.ports.ReadableStore`; all methods may be called by any thread.

    The file is attached to a database in memory, which has the views of this version and what a
    host that was killed did not write down of its journal. So files of older versions, and such
    on a medium that cannot be written, read like any other.

    Args:
        path: A store file, or a Parquet file that `ipydurable.export` wrote.

    Attributes:
        path: Where the file is.

    Raises:
        NotAStoreError: It is missing, or holds something else.
        StoreDamagedError: The file is damaged.
        StoreLockedError: Another process has the store open.
        StoreVersionError: The file was written by a newer ipydurable.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(Path(path).expanduser().resolve())
        magic = _magic_of(self.path)
        self._connection = duckdb.connect(config=CONFIG)
        try:
            with self._reading() as cursor:
                cursor.execute("SET GLOBAL TimeZone = 'UTC'").fetchall()
                if magic.startswith(_PARQUET_MAGIC):
                    _load_export(cursor, self.path)
                else:
                    _attach(cursor, self.path)
                for view in VIEWS:
                    cursor.execute(view).fetchall()
                self.definitions: list[Definition] = read_definitions(cursor)
        except BaseException:
            self._connection.close()
            raise

    def find(self, instance_id: str) -> Record | None:
        """Return the newest record of an instance, or of an entity by its id as text; or None."""
        with self._reading() as cursor:
            found = queries.record_rows(
                cursor, "WHERE instance_id = $1 ORDER BY iid DESC LIMIT 1", [storable(instance_id)]
            )
        return found[0] if found else None

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return records of instances, newest first."""
        with self._reading() as cursor:
            found = queries.record_rows(cursor, *queries.conditions_of(query))
        return [record for record in found if isinstance(record, InstanceRecord)]

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """Return records of entities, newest first."""
        with self._reading() as cursor:
            found = queries.record_rows(cursor, *queries.entity_conditions_of(query))
        return [record for record in found if isinstance(record, EntityRecord)]

    def history(self, iid: int, first_seq: int = 1) -> list[JournalRow]:
        """Return a history from `first_seq` on, and the unconsumed inbox rows."""
        with self._reading() as cursor:
            return queries.histories(cursor, [(iid, first_seq)])[0]

    def rows_of(self, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
        """Return those rows of an instance that have these numbers, in order of `gseq`."""
        with self._reading() as cursor:
            return queries.rows_of(cursor, iid, gseqs)

    def outputs(self, iid: int, execution_id: str, task_id: int) -> list[KeptOutput]:
        """Return what the attempts of an activity printed, in order of their numbers."""
        with self._reading() as cursor:
            return read_outputs(cursor, iid, execution_id, task_id)

    def sql(
        self,
        text: str,
        parameters: Any = None,
        *,
        started: Callable[[Callable[[], None]], None] | None = None,
    ) -> bytes:
        """Run one read-only SQL query; as `DuckDBStore.sql`."""
        with self._reading() as cursor:
            if started is not None:
                started(interrupt(cursor))
            return run_select(cursor, text, parameters, store=self.path)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with contextlib.closing(self._connection.cursor()) as cursor:
                yield cursor
        except duckdb.Error as error:
            raise store_error(self.path, error) from error


def _magic_of(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_PARQUET_MAGIC))
    except FileNotFoundError:
        raise NotAStoreError(path, "there is no such file") from None
    except OSError as error:
        raise NotAStoreError(path, f"it cannot be read ({error.strerror})") from None


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _attach(cursor: duckdb.DuckDBPyConnection, path: str) -> None:
    cursor.execute(f"ATTACH {_quoted(path)} AS stored (READ_ONLY)").fetchall()
    supported = MIGRATIONS[-1].version
    try:
        (version,) = cursor.execute(
            "SELECT max(version) FROM stored.migrations "
            "WHERE EXISTS (FROM stored.meta WHERE key = 'application' AND value = 'ipydurable')"
        ).fetchall()[0]
    except duckdb.CatalogException:
        version = None
    if version is None:
        raise NotAStoreError(path, "it is a DuckDB file that holds other things")
    if version > supported:
        raise StoreVersionError(path, version, supported)
    there = {
        name
        for (name,) in cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'stored'"
        ).fetchall()
    }
    for statement in (
        "CREATE TABLE meta AS FROM stored.meta",
        "CREATE VIEW journal AS FROM stored.journal",
        "CREATE VIEW payloads AS FROM stored.payloads",
        _RECORDS,
        f"INSERT INTO instance_records SELECT {RECORD_COLUMNS} FROM stored.instance_records",
        "CREATE VIEW attempt_output_rows AS SELECT *, rowid FROM stored.attempt_output_rows"
        if "attempt_output_rows" in there
        else TABLES_V2[0],
    ):
        cursor.execute(statement).fetchall()
    folded = fold_tail(cursor, path)
    cursor.begin()
    write_records(cursor, [pack_record(record, {}) for record in folded.changed], folded.mark)
    cursor.commit()


def _load_export(cursor: duckdb.DuckDBPyConnection, path: str) -> None:
    rows = f"read_parquet({_quoted(path)})"
    for statement in (_JOURNAL, _PAYLOADS, _RECORDS, *TABLES_V2):
        cursor.execute(statement).fetchall()
    try:
        for table, (columns, order) in _PARTS.items():
            cursor.execute(
                f"INSERT INTO {table} SELECT {columns} FROM {rows} WHERE part = '{table}' {order}"
            ).fetchall()
    except (duckdb.BinderException, duckdb.ConversionException, duckdb.ConstraintException):
        raise NotAStoreError(
            path, "it is a Parquet file that ipydurable.export did not write"
        ) from None
