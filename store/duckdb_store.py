"""The store on DuckDB: a journal appended to by one thread, and reads from any."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ipydurable.runtime.core.errors import DurableInternalError, StoreError, StoreUnwritableError
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord, Record
from ipydurable.runtime.ports import (
    EntityQuery,
    InstanceQuery,
    JournalRow,
    KeptOutput,
    Recovery,
)

from . import queries
from .codec import JournalColumns, pack
from .database import Database, store_error
from .files import drop_unused_files
from .journal_writer import JournalWriter
from .known_ids import KnownIds
from .log_mark import LogGuard
from .migrations import migrate
from .outputs import read_outputs, write_outputs
from .payloads import LargeValue, LargeValues
from .projections import (
    PendingRecords,
    RecordColumns,
    Watermark,
    pack_record,
    read_watermark,
    write_records,
)
from .recovery import fold_tail, read_definitions, rows_after
from .selects import interrupt, run_select
from .text import storable
from .unwritten import add_unwritten

__all__ = ["DuckDBStore"]

_CHECKPOINT_BYTES = 8 * 1024 * 1024
_SPARE_BYTES = 16 * 1024 * 1024
_BULK_ROWS = 100_000
_BULK_INSTANCES = 10_000


class DuckDBStore:
    """Implements `ipydurable.runtime.ports.Store`.

    `append`, `project`, `purge` and `close` belong to one writer thread; everything else may be
    called by any thread.

    Attributes:
        path: Where the file is.
    """

    def __init__(self, path: str | os.PathLike[str], *, salvage: bool = False) -> None:
        """Open or create the file; the arguments and errors are those of `open_store`."""
        self._database = Database(path, salvage=salvage)
        self.path = self._database.path
        self._log = LogGuard(self._database)
        try:
            with self._database.reading() as cursor:
                found = self._log.check(cursor, salvage=salvage)
                self._report = [*self._database.report, *found, *migrate(cursor, self.path)]
                self._projected = read_watermark(cursor)
                self._known_ids = KnownIds(cursor)
            self._database.protect_wal()
        except BaseException:
            self._database.close(keep_log=True)
            raise
        self._pending = PendingRecords(self._projected)
        self._large = LargeValues()
        self._projecting = threading.Lock()
        self._appending = threading.Lock()
        self._writer: JournalWriter | None = None
        self._in_doubt = False
        self._closed = False

    def recover(self) -> Recovery:
        """Return what is known; called once, before anything else.

        Raises:
            StoreDamagedError: Journal rows are missing.
        """
        with self._database.reading() as cursor:
            folded = fold_tail(cursor, self.path)
            definitions = read_definitions(cursor)
            is_to_be_told = self._log.begin(cursor, folded.mark.gseq)
        if is_to_be_told:
            self.checkpoint(force=True)
        self._keep(folded.changed, folded.mark)
        return Recovery(
            last_gseq=folded.mark.gseq,
            last_iid=folded.mark.iid,
            live=folded.live,
            definitions=definitions,
            report=list(self._report),
        )

    def append(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Make `rows` durable, all or none, before returning.

        After an error the same rows may be appended again: nothing is stored twice.

        Args:
            rows: New rows in order of `gseq`, following the last one appended.
            records: The changed records as of the last row; copies are kept until `project`.

        Raises:
            StoreUnwritableError: The disk is full or refuses to be written; nothing was stored.
        """
        with self._appending:
            self._append(rows, records)

    def _append(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        mark = self._pending.mark
        if rows:
            self._database.check_place()
            mark = _mark_after(mark, rows)
            large: dict[str, LargeValue] = {}
            columns = [pack(row, large) for row in rows]
            try:
                self._append_columns(columns, large)
            except duckdb.FatalException:  # a checkpoint failed: DuckDB wants a fresh start
                self._reopen()
                self._append_columns(columns, large)
            self._database.protect_wal()
            if not self._log.is_noted:
                self._log.note(mark.gseq)
        self._keep(records, mark)

    def project(self) -> None:
        """Write the records kept since the last call; cheap when there are none; any thread.

        Raises:
            StoreUnwritableError: The disk is full or refuses to be written; nothing is lost.
        """
        self._mend()
        self._write_pending()

    def checkpoint(self, *, force: bool = False) -> None:
        """Move the write-ahead log into the file where it has grown; may be called by any thread.

        Memory that DuckDB keeps of the file is given back, too, once that is much.

        Args:
            force: Also where the log is small.
        """
        self._database.check_place()
        self._log.note(self._pending.mark.gseq)
        size = self._database.wal_size()
        # A checkpoint that runs out of space breaks the connection: better none at all.
        if shutil.disk_usage(Path(self.path).parent).free < 2 * size + _SPARE_BYTES:
            return
        if size >= (1 if force else _CHECKPOINT_BYTES):
            self._database.checkpoint()
            self._log.is_noted = False
        if not self._database.broken:
            self._database.give_back_memory()

    def give_back_memory(self) -> None:
        """Return to the system what DuckDB has freed and keeps for itself; any thread."""
        with contextlib.suppress(StoreError):  # another will come
            if not self._database.broken:
                self._database.give_back_freed()

    def find(self, instance_id: str) -> Record | None:
        """Return the newest record of an instance, or of an entity by its id as text; or None."""
        return self.find_many([instance_id]).get(instance_id)

    def find_many(self, instance_ids: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those that exist, by instance id."""
        found: dict[str, Record] = {}
        stored: list[str] = []
        projected = self._projected.iid
        for instance_id in instance_ids:
            # First those in memory: one that is projected meanwhile is then in both places.
            record = self._pending.find(instance_id)
            if record is not None:
                found[instance_id] = record
            if self._known_ids.may_hold(instance_id) and (
                record is None or record.iid <= projected
            ):
                stored.append(storable(instance_id))
        if stored:
            with self._database.reading() as cursor:
                records = queries.record_rows(
                    cursor,
                    "WHERE instance_id IN (SELECT unnest($1::VARCHAR[])) ORDER BY iid",
                    [stored],
                )
            for record in records:
                known = found.get(record.instance_id)
                if known is None or known.iid < record.iid:
                    found[record.instance_id] = record
        return found

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return records of instances, newest first."""
        found = self._records(*queries.conditions_of(query))
        return [record for record in found if isinstance(record, InstanceRecord)]

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """Return records of entities, newest first."""
        found = self._records(*queries.entity_conditions_of(query))
        return [record for record in found if isinstance(record, EntityRecord)]

    def history(self, iid: int, first_seq: int = 1) -> list[JournalRow]:
        """Return a history from `first_seq` on, and the unconsumed inbox rows.

        Args:
            iid: The number of the instance or entity.
            first_seq: Where to begin.

        Returns:
            The rows, in order of `gseq`.
        """
        with self._database.reading() as cursor:
            return queries.histories(cursor, [(iid, first_seq)])[0]

    def rows_of(self, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
        """Return those rows of an instance that have these numbers, in order of `gseq`."""
        with self._database.reading() as cursor:
            return queries.rows_of(cursor, iid, gseqs)

    def histories(self, records: Iterable[Record]) -> Iterator[list[JournalRow]]:
        """Return, for each record, what `history` gives from its `first_seq` on, in bulk.

        Args:
            records: Whose histories. An instance's `first_seq` is where its present execution
                begins; of an entity only what waits in its inbox is needed.

        Returns:
            The rows of each, in the order of `records`.
        """
        for wanted in _bulks(records):
            with self._database.reading() as cursor:
                found = queries.histories(cursor, wanted)
            yield from found

    def all_rows(self) -> Iterator[JournalRow]:
        """Return all rows in order of `gseq`; may be called by any thread."""
        with self._database.reading() as cursor:
            yield from rows_after(cursor, 0)

    def keep_outputs(self, outputs: Sequence[KeptOutput]) -> None:
        """Make what attempts printed durable; called by the writer thread.

        After an error the same may be kept again: the later row of an attempt counts.

        Raises:
            StoreUnwritableError: The disk is full or refuses to be written; nothing was stored.
        """
        self._mend()
        with self._database.reading() as cursor:
            write_outputs(cursor, outputs)
        self._database.protect_wal()

    def outputs(self, iid: int, execution_id: str, task_id: int) -> list[KeptOutput]:
        """Return what the attempts of an activity printed, in order of their numbers."""
        with self._database.reading() as cursor:
            return read_outputs(cursor, iid, execution_id, task_id)

    def purge(self, iids: Sequence[int], request_id: str = "") -> None:
        """Delete everything about these instances; called by the writer thread.

        Args:
            iids: Their numbers.
            request_id: Who asked for it; noted together with that, unless it is empty.

        Raises:
            StoreUnwritableError: The disk is full or refuses to be written; nothing was deleted.
        """
        self._write_pending(frozenset(iids) - {0}, request_id)

    def purged(self, request_id: str) -> int | None:
        """Return how many instances `purge` deleted for a request; None if it did not."""
        with self._database.reading() as cursor:
            return queries.purged(cursor, request_id)

    def sql(
        self,
        text: str,
        parameters: Any = None,
        *,
        started: Callable[[Callable[[], None]], None] | None = None,
    ) -> bytes:
        """Run one read-only SQL query over all that was appended so far.

        Args:
            text: One query; it may read `payload('INSTANCE', SEQ)`, see `run_select`.
            parameters: Values for its placeholders: a list for `?`, a dict for `$name`.
            started: Given a function that ends the query, from any thread.

        Returns:
            The answer, an Arrow IPC stream.

        Raises:
            QueryError: It is not one query, would write, failed or was ended; in DuckDB's words.
        """
        self._database.make_spill_folder()
        with self._reading_all() as cursor:
            if started is not None:
                started(interrupt(cursor))
            return run_select(cursor, text, parameters, store=self.path)

    def close(self) -> None:
        """Write what is pending and release the files; further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(StoreError):  # the journal has it all
            self.project()
            with self._database.reading() as cursor:
                self._log.end(cursor)
        self._close_writer()
        self._database.close()
        self._log.closed()

    def _keep(self, records: Sequence[Record], mark: Watermark) -> None:
        known = self._pending.mark.iid
        self._known_ids.add(record.instance_id for record in records if record.iid > known)
        self._pending.put(records, mark)

    def _records(self, tail: str, parameters: Sequence[Any]) -> list[Record]:
        with self._reading_all() as cursor:
            return queries.record_rows(cursor, tail, parameters)

    @contextlib.contextmanager
    def _reading_all(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor for a moment that sees all that was appended, also on a full disk."""
        unwritten: list[RecordColumns] | None = None
        try:
            self._write_pending()
        except StoreUnwritableError:
            records, _ = self._pending.snapshot()
            # Large values of records are in the journal, which is durable before them.
            unwritten = [pack_record(record, {}) for record in records]
        with self._database.reading() as cursor:
            if unwritten is not None:
                add_unwritten(cursor, unwritten)
            yield cursor

    def _append_columns(
        self, columns: Sequence[JournalColumns], large: dict[str, LargeValue]
    ) -> None:
        try:
            if self._writer is None:
                self._writer = JournalWriter(self._database.cursor())
            writer = self._writer
            if self._in_doubt:
                columns = _not_stored(writer.cursor, columns)
            if large:
                self._large.write(writer.cursor, large)
            if columns:
                writer.append(columns)
        except BaseException as error:
            # Whether the rows were stored is not known, and an appender may still hold some.
            self._close_writer()
            self._in_doubt = True
            if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.FatalException):
                raise
            meant = store_error(self.path, error)
            if isinstance(meant, StoreUnwritableError):
                raise meant from error
            raise DurableInternalError(f"the journal does not take these rows: {error}") from error
        self._in_doubt = False

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def _mend(self) -> None:
        """Open a database anew that DuckDB has given up, but not under rows being appended."""
        if self._database.broken:
            with self._appending:
                if self._database.broken:
                    self._reopen()

    def _reopen(self) -> None:
        self._close_writer()
        self._database.reopen()

    def _write_pending(self, purged: frozenset[int] = frozenset(), request_id: str = "") -> None:
        """Write the records kept, without those of `purged`, which are deleted everywhere."""
        with self._projecting:
            records, mark = self._pending.snapshot()
            if not (purged or request_id or records) and mark == self._projected:
                return
            large: dict[str, LargeValue] = {}
            rows = [pack_record(record, large) for record in records if record.iid not in purged]
            if large:
                with self._database.reading() as cursor:
                    self._large.write(cursor, large)
            with self._database.transaction() as cursor:
                write_records(cursor, rows, mark)
                if purged:
                    queries.delete_instances(cursor, purged)
                    self._large.drop_unused(cursor)
                if request_id:
                    queries.note_purge(cursor, request_id, len(purged))
            self._projected = mark
            self._pending.written(records)
            self._database.protect_wal()
            if purged:
                with self._database.reading() as cursor:
                    drop_unused_files(cursor, self.path)


def _mark_after(mark: Watermark, rows: Sequence[JournalRow]) -> Watermark:
    first, last = rows[0].gseq, rows[-1].gseq
    if first != mark.gseq + 1 or last != mark.gseq + len(rows):
        raise DurableInternalError(
            f"rows {first} to {last} ({len(rows)} of them) cannot follow row {mark.gseq}"
        )
    return Watermark(last, max(mark.iid, *(row.iid for row in rows)))


def _not_stored(
    cursor: duckdb.DuckDBPyConnection, columns: Sequence[JournalColumns]
) -> list[JournalColumns]:
    """Return the rows that are not in the journal, after an append that failed."""
    found = cursor.execute("SELECT max(gseq) FROM journal").fetchall()[0][0] or 0
    return [row for row in columns if row[0] > found]


def _bulks(records: Iterable[Record]) -> Iterator[list[tuple[int, int]]]:
    """Group (iid, first seq) so that one group's rows fit well into memory."""
    bulk: list[tuple[int, int]] = []
    rows = 0
    for record in records:
        bulk.append((record.iid, record.first_seq))
        rows += record.last_seq - record.first_seq + 1
        if rows >= _BULK_ROWS or len(bulk) >= _BULK_INSTANCES:
            yield bulk
            bulk, rows = [], 0
    if bulk:
        yield bulk
