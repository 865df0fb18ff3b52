"""A store whose log is gone, or older than it was: noticed, said, and got over."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from ipydurable.runtime.core.errors import StoreDamagedError
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import log_mark, open_store
from ipydurable.store.duckdb_store import DuckDBStore

NOW = datetime(2026, 1, 1)


def row(gseq: int) -> JournalRow:
    return JournalRow(gseq, 1, gseq, Stream.HISTORY, EventRaised(timestamp=NOW, name="e"))


def rows_in(path: Path, *, salvage: bool = False) -> tuple[int, list[str]]:
    """Return how many rows a store has, and what was reported on opening it."""
    with closing(open_store(path, salvage=salvage)) as store:
        found = store.recover()
        return found.last_gseq, found.report


class Crash:
    """The files of a store as a crash would leave them now."""

    def __init__(self, store: DuckDBStore, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "crashed.duckdb"
        self.log = Path(f"{self.path}.wal")
        self.mark = Path(f"{self.path}.wal.mark")
        for suffix in ("", ".wal", ".wal.mark"):
            if Path(f"{store.path}{suffix}").exists():
                shutil.copy2(f"{store.path}{suffix}", f"{self.path}{suffix}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Give a store with two rows in its file and two in its log."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        store.append([row(1), row(2)], [])
        store.checkpoint(force=True)
        store.append([row(3)], [])
        store.append([row(4)], [])
        yield store


def test_a_log_that_is_gone_is_said_to_be_and_nothing_is_changed(
    store: DuckDBStore, tmp_path: Path
) -> None:
    """Put back, it is replayed as if nothing had been."""
    crash = Crash(store, tmp_path / "crash")
    before, log = crash.path.read_bytes(), crash.log.read_bytes()
    crash.log.unlink()
    with pytest.raises(StoreDamagedError, match=r"row 3 .* missing: .*\.wal is not there") as told:
        open_store(crash.path)
    assert told.value.path == str(crash.path)
    assert crash.path.read_bytes() == before
    crash.log.write_bytes(log)
    assert rows_in(crash.path) == (4, [])


def test_a_log_that_is_older_than_it_was_is_noticed(store: DuckDBStore, tmp_path: Path) -> None:
    """As when a file was restored from a copy, and the rest was not."""
    older = Crash(store, tmp_path / "older")
    store.append([row(5)], [])
    store.checkpoint()  # Too early for one, but time to take note.
    crash = Crash(store, tmp_path / "crash")
    shutil.copy(older.log, crash.log)
    before = crash.path.read_bytes(), crash.log.read_bytes()
    with pytest.raises(StoreDamagedError, match="row 5 and what came after it") as told:
        open_store(crash.path)
    assert "is not there" not in str(told.value)
    assert (crash.path.read_bytes(), crash.log.read_bytes()) == before


@pytest.mark.parametrize("how", ["salvage", "without the mark"])
def test_one_can_go_on_without_the_log(store: DuckDBStore, tmp_path: Path, how: str) -> None:
    """With what the error says; the next time there is nothing to be said any more."""
    crash = Crash(store, tmp_path / "crash")
    crash.log.unlink()
    with pytest.raises(StoreDamagedError) as refused:
        open_store(crash.path)
    assert "salvage=True" in refused.value.advice
    assert str(crash.mark) in refused.value.advice
    if how == "salvage":
        count, report = rows_in(crash.path, salvage=True)
        assert count == 2
        assert "left out" in report[0]
    else:
        crash.mark.unlink()
    with closing(open_store(crash.path)) as again:
        assert again.recover().last_gseq == 2
        again.append([row(3)], [])
    assert rows_in(crash.path)[0] == 3


def test_a_last_commit_that_was_damaged_is_left_out_though_it_is_missed(
    store: DuckDBStore, tmp_path: Path
) -> None:
    """It is repaired as without a mark, and said to have been acknowledged."""
    store.checkpoint()  # Too early for one, but time to take note.
    crash = Crash(store, tmp_path / "crash")
    damaged = bytearray(crash.log.read_bytes())
    damaged[-8] ^= 0xFF
    crash.log.write_bytes(damaged)
    count, report = rows_in(crash.path)
    assert count == 3
    assert "was damaged" in report[0]
    assert "row 4 and what came after it" in report[1]


def test_a_store_that_was_killed_without_a_log_has_lost_nothing(
    store: DuckDBStore, tmp_path: Path
) -> None:
    """Just opened, just checkpointed, just closed: a log is not always there."""
    store.checkpoint(force=True)
    assert rows_in(Crash(store, tmp_path / "checkpointed").path) == (4, [])
    store.close()
    assert not Path(f"{store.path}.wal.mark").exists()
    with closing(open_store(store.path)) as again:
        assert rows_in(Crash(again, tmp_path / "opened").path) == (4, [])
        again.recover()
        assert rows_in(Crash(again, tmp_path / "recovered").path) == (4, [])


def test_another_store_in_its_place_is_none_of_its_business(
    store: DuckDBStore, tmp_path: Path
) -> None:
    """Files that were deleted by hand may leave the mark behind."""
    crash = Crash(store, tmp_path / "crash")
    crash.path.unlink()
    crash.log.unlink()
    assert rows_in(crash.path) == (0, [])


@pytest.mark.parametrize("content", [b"", b"{", b'{"store": 1}', b"\0" * 100])
def test_a_mark_that_cannot_be_read_says_nothing(
    store: DuckDBStore, tmp_path: Path, content: bytes
) -> None:
    crash = Crash(store, tmp_path / "crash")
    crash.mark.write_bytes(content)
    assert rows_in(crash.path) == (4, [])


def test_the_mark_is_private_and_is_not_written_with_every_commit(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each log, and now and then."""
    assert stat.S_IMODE(Path(f"{store.path}.wal.mark").stat().st_mode) == 0o600
    written: list[int] = []
    write_mark = log_mark.write_mark

    def noted(path: str, mark: log_mark.LogMark, mode: int) -> None:
        written.append(mark.gseq)
        write_mark(path, mark, mode)

    monkeypatch.setattr(log_mark, "write_mark", noted)
    for gseq in range(5, 50):
        store.append([row(gseq)], [])
    assert written == []
    store.checkpoint()
    store.checkpoint()
    assert written == [49]
    store.checkpoint(force=True)
    store.append([row(50)], [])
    store.append([row(51)], [])
    assert written == [49, 50]


def test_a_file_that_was_copied_without_its_log_says_so(store: DuckDBStore, tmp_path: Path) -> None:
    """What a person gets who copies or moves the file alone while it is in use; said once."""
    copied = tmp_path / "copied.duckdb"
    shutil.copy(store.path, copied)
    count, report = rows_in(copied)
    assert count == 2
    assert len(report) == 1
    assert report[0] == (
        f"{copied} was copied or moved without its write-ahead log while it was in use: what was "
        "done after its last checkpoint is not in it. If the file that it was copied from is still "
        "there, with its log, stop its host (%durable stop) and copy it anew."
    )
    assert rows_in(copied) == (2, [])


def test_a_file_says_by_itself_whether_it_is_in_use(store: DuckDBStore) -> None:
    """For whoever reads it without us: 1 while it is, 0 once it was closed in good order."""
    found = "SELECT value FROM meta WHERE key = 'in_use'"
    with closing(store._database.cursor()) as cursor:
        assert cursor.execute(found).fetchall() == [("1",)]
    store.close()
    with duckdb.connect(store.path, read_only=True) as connection:
        assert connection.execute(found).fetchall() == [("0",)]


def test_a_file_that_was_copied_when_nobody_used_it_is_whole(
    store: DuckDBStore, tmp_path: Path
) -> None:
    store.close()
    copied = tmp_path / "copied.duckdb"
    shutil.copy(store.path, copied)
    assert rows_in(copied) == (4, [])


def test_a_file_that_was_copied_with_its_log_is_whole(store: DuckDBStore, tmp_path: Path) -> None:
    crash = Crash(store, tmp_path / "crash")
    crash.mark.unlink()
    assert rows_in(crash.path) == (4, [])
