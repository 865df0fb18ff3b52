"""What a store does beside its work: checkpoints, reading in bulk, cleaning up, letting go."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from ipydurable.runtime.core.errors import StoreUnwritableError, StoreVersionError
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.payload import files_folder
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import duckdb_store, open_store
from ipydurable.store.duckdb_store import DuckDBStore
from ipydurable.store.journal_writer import JournalWriter
from ipydurable.store.log_mark import read_mark

NOW = datetime(2026, 1, 1)


class Usage(NamedTuple):
    """Of a disk, as `shutil.disk_usage` gives it."""

    total: int
    used: int
    free: int


def _record(iid: int, first_seq: int = 1, last_seq: int = 1) -> InstanceRecord:
    record = InstanceRecord(
        iid=iid, instance_id=f"i{iid}", name="o", created_at=NOW, updated_at=NOW
    )
    record.first_seq, record.last_seq = first_seq, last_seq
    return record


def _rows(*gseqs: int, size: int = 1) -> list[JournalRow]:
    event = EventRaised(timestamp=NOW, name="e", input='"' + "x" * size + '"')
    return [JournalRow(gseq, 1, gseq, Stream.HISTORY, event) for gseq in gseqs]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Give a store with a row in its log."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        store.append(_rows(1), [])
        yield store


def _log(store: DuckDBStore) -> Path:
    return Path(f"{store.path}.wal")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_checkpoint_needs_room_for_twice_the_log_and_what_is_kept_free(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    size = _log(store).stat().st_size
    asked: list[Path] = []

    def usage(place: Path) -> Usage:
        asked.append(place)
        return Usage(0, 0, 2 * size + 16 * 1024**2 - missing)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    store.checkpoint(force=True)
    assert _log(store).exists() is bool(missing)
    assert asked == [Path(store.path).parent]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_checkpoint_waits_until_the_log_has_grown(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    size = _log(store).stat().st_size
    monkeypatch.setattr(duckdb_store, "_CHECKPOINT_BYTES", size + missing)
    store.checkpoint()
    assert _log(store).exists() is bool(missing)


def test_the_first_row_of_each_log_is_marked_so_that_a_log_that_is_gone_is_noticed(
    store: DuckDBStore,
) -> None:
    """Later rows are marked now and then, which costs their commits nothing."""

    def marked() -> int:
        mark = read_mark(store.path)
        assert mark is not None
        return mark.gseq

    assert marked() == 1
    store.append(_rows(2), [])
    assert marked() == 1
    store.checkpoint(force=True)
    assert marked() == 2
    store.append(_rows(3), [])
    assert marked() == 3
    store.append(_rows(4), [])
    assert marked() == 3
    store.checkpoint()
    assert marked() == 4


def test_a_file_that_is_copied_alone_right_after_it_was_opened_says_so(
    store: DuckDBStore, tmp_path: Path
) -> None:
    """It holds that it is in use before anything is written."""
    copy = tmp_path / "copy.duckdb"
    shutil.copy(store.path, copy)
    with closing(open_store(copy)) as copied:
        (sentence,) = copied.recover().report
    assert "without its write-ahead log while it was in use" in sentence


def test_histories_are_read_so_many_at_once_that_their_rows_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duckdb_store, "_BULK_ROWS", 10)
    monkeypatch.setattr(duckdb_store, "_BULK_INSTANCES", 3)
    long = [_record(1, 1, 4), _record(2, 5, 10), _record(3, 3, 12), _record(4, 1, 9)]
    short = [_record(iid) for iid in (5, 6, 7, 8)]
    assert list(duckdb_store._bulks([*long, *short])) == [
        [(1, 1), (2, 5)],
        [(3, 3)],
        [(4, 1), (5, 1)],
        [(6, 1), (7, 1), (8, 1)],
    ]


def test_a_purge_deletes_old_files_that_nothing_names_and_leaves_younger_ones(
    store: DuckDBStore,
) -> None:
    folder = Path(files_folder(store.path))
    folder.mkdir()
    old, young = folder / "aa.arrow", folder / "bb.arrow"
    for file in (old, young):
        file.touch()
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    store.append([], [_record(1)])
    store.project()
    assert old.exists()
    store.purge([1])
    assert list(folder.iterdir()) == [young]


def test_a_record_that_changed_since_it_was_written_to_the_table_is_found_as_it_is(
    store: DuckDBStore,
) -> None:
    record = _record(1)
    store.append(_rows(2), [record])
    store.project()
    record.custom_status = '"half"'
    store.append(_rows(3), [record])
    assert store.find("i1") == record
    assert store.find_many(["i1", "i2"]) == {"i1": record}


def test_a_refused_append_names_the_store(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: JournalWriter, rows: object) -> None:
        raise duckdb.IOException("Could not write file: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(JournalWriter, "append", refuse)
        with pytest.raises(StoreUnwritableError) as caught:
            store.append(_rows(2), [])
    assert store.path in str(caught.value)
    assert "No space left on device" in str(caught.value)
    store.append(_rows(2), [])
    assert store.history(1) == _rows(1, 2)


def test_a_store_that_cannot_be_opened_keeps_its_log(store: DuckDBStore, tmp_path: Path) -> None:
    """Whoever can open it finds there what was done last."""
    with closing(store._database.cursor()) as cursor:
        cursor.execute(
            "INSERT INTO migrations VALUES (99, 'later', TIMESTAMP '2030-01-01')"
        ).fetchall()
    copy, log = tmp_path / "copy.duckdb", tmp_path / "copy.duckdb.wal"
    shutil.copy(store.path, copy)
    shutil.copy(_log(store), log)
    before = copy.read_bytes(), log.read_bytes()
    with pytest.raises(StoreVersionError):
        open_store(copy)
    assert (copy.read_bytes(), log.read_bytes()) == before


def test_a_store_that_cannot_write_its_tables_any_more_closes_and_has_all_rows_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.duckdb"
    store = open_store(path)
    store.recover()
    store.append(_rows(1), [_record(1)])

    def refuse(*args: object) -> None:
        raise StoreUnwritableError(str(path), "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_pending", refuse)
        store.close()
    with closing(open_store(path)) as again:
        assert again.recover().last_gseq == 1
        assert again.history(1) == _rows(1)
