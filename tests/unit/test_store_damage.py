"""A damaged log, a full disk: nothing acknowledged is lost without a word."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.errors import (
    DurableInternalError,
    QueryError,
    StoreDamagedError,
    StoreLockedError,
    StoreUnwritableError,
)
from ipydurable.runtime.core.events import EventRaised, TaskCompleted
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.ports import InstanceQuery, JournalRow, Stream
from ipydurable.store import open_store, repair
from ipydurable.store.duckdb_store import DuckDBStore
from tests.support.answers import answer

NOW = datetime(2026, 1, 1)
COMMITS = 6
RECORD = InstanceRecord(iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW)


def commit(number: int, size: int = 20) -> list[JournalRow]:
    """Return the two rows of a commit, counted from 0."""
    event = EventRaised(timestamp=NOW, name="e", input='"' + "x" * size + '"')
    gseqs = (2 * number + 1, 2 * number + 2)
    return [JournalRow(gseq, 1, gseq, Stream.HISTORY, event) for gseq in gseqs]


class Crashed:
    """A store file whose log holds `COMMITS` commits, as a crash leaves it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crashed.duckdb"
        self.wal = Path(f"{self.path}.wal")
        self.ends: list[int] = []
        source = folder / "source.duckdb"
        with closing(open_store(source)) as store:
            store.recover()
            store.checkpoint(force=True)
            for number in range(COMMITS):
                store.append(commit(number), [])
                self.ends.append(Path(f"{source}.wal").stat().st_size)
            self._file = source.read_bytes()
            self.log = Path(f"{source}.wal").read_bytes()

    def write(self, log: bytes) -> None:
        """Put the files back, with this log."""
        for left in self.path.parent.glob("crashed*"):
            left.unlink()
        self.path.write_bytes(self._file)
        self.wal.write_bytes(log)

    def open(self, *, salvage: bool = False) -> tuple[int, list[str]]:
        """Return how many commits are there, and what was reported; appends work afterwards."""
        with closing(open_store(self.path, salvage=salvage)) as store:
            found = store.recover()
            commits = found.last_gseq // 2
            store.append(commit(commits), [])
        with closing(open_store(self.path)) as store:
            assert store.recover().last_gseq == found.last_gseq + 2
            assert len(store.history(1)) == found.last_gseq + 2
        return commits, found.report

    @property
    def kept(self) -> list[Path]:
        """The copies of damaged logs."""
        return list(self.path.parent.glob("crashed.duckdb.wal.damaged-*"))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    """Give files whose log can be damaged."""
    return Crashed(tmp_path_factory.mktemp("crashed"))


def test_a_sound_log_is_replayed_without_a_report(crashed: Crashed) -> None:
    """After a crash all commits are there."""
    crashed.write(crashed.log)
    assert crashed.open() == (COMMITS, [])


@settings(max_examples=60)
@given(st.data())
def test_one_damaged_byte_never_loses_commits_in_silence(
    crashed: Crashed, data: st.DataObject
) -> None:
    """Damage in the last commit leaves it out with a report; earlier damage refuses to open."""
    # Byte 5 is the log's version: one we do not know is DuckDB's to judge.
    place = data.draw(st.integers(0, len(crashed.log) - 1).filter(lambda place: place != 5))
    flip = data.draw(st.integers(1, 255))
    damaged = bytearray(crashed.log)
    damaged[place] ^= flip
    crashed.write(bytes(damaged))
    if place >= crashed.ends[-2]:
        commits, report = crashed.open()
        assert commits == COMMITS - 1
        assert len(report) == 1
        assert [kept.read_bytes() for kept in crashed.kept] == [bytes(damaged)]
    else:
        try:
            assert crashed.open() == (COMMITS, [])  # a bit without meaning
        except StoreDamagedError:
            assert crashed.wal.read_bytes() == bytes(damaged)


def test_a_damaged_length_in_the_last_commit_leaves_only_it_out(crashed: Crashed) -> None:
    """Wherever the wrong length leads to, the commits before stay."""
    for place in range(crashed.ends[-2], crashed.ends[-2] + 48):
        damaged = bytearray(crashed.log)
        damaged[place] ^= 8
        crashed.write(bytes(damaged))
        commits, report = crashed.open()
        assert (commits, len(report)) == (COMMITS - 1, 1)


@settings(max_examples=20)
@given(length=st.integers(0, 10_000))
@example(length=0)
def test_a_torn_last_commit_was_never_acknowledged(crashed: Crashed, length: int) -> None:
    """A log that ends in the middle of a commit opens with all commits before it."""
    length = min(length, len(crashed.log))
    crashed.write(crashed.log[:length])
    commits, report = crashed.open()
    assert commits == sum(end <= length for end in crashed.ends)
    assert report == []


def test_a_last_commit_of_zeros_is_left_out(crashed: Crashed) -> None:
    """What a power loss can leave, length there and content not, opens with a report."""
    start = crashed.ends[-2] + 100
    crashed.write(crashed.log[:start] + bytes(len(crashed.log) - start))
    commits, report = crashed.open()
    assert commits == COMMITS - 1
    assert "damaged" in report[0]
    assert str(crashed.kept[0]) in report[0]


def test_zeros_after_the_end_are_no_damage(crashed: Crashed) -> None:
    """Space that was reserved and not used means nothing."""
    crashed.write(crashed.log + bytes(4096))
    assert crashed.open() == (COMMITS, [])


@pytest.mark.parametrize("into_commit", [1, 60])
def test_salvage_goes_on_before_the_damage(crashed: Crashed, into_commit: int) -> None:
    """Asked to, it keeps the commits before the damage and a copy of the log."""
    damaged = bytearray(crashed.log)
    damaged[crashed.ends[2] + into_commit] ^= 0xFF
    crashed.write(bytes(damaged))
    with pytest.raises(StoreDamagedError, match="salvage=True"):
        crashed.open()
    commits, report = crashed.open(salvage=True)
    assert commits == 3
    assert len(report) == 1
    assert crashed.kept[0].read_bytes() == bytes(damaged)


def test_a_log_of_another_version_is_not_judged(crashed: Crashed) -> None:
    """A log of another version is DuckDB's to judge, and we cut nothing off it."""
    log = bytearray(crashed.log)
    log[5] = 3
    crashed.write(bytes(log[:-30]))
    assert repair.silent_damage(str(crashed.path)) is None
    crashed.write(bytes(log))
    damage = repair.Damage(crashed.wal, crashed.ends[-2])
    assert not repair.is_last_commit(str(crashed.path), damage)


def test_a_header_that_ends_early_is_sound(crashed: Crashed) -> None:
    """A log torn in its header held no commit."""
    crashed.write(bytes.fromhex("640062650002") + b"\x66\x00\x10\xdd\x01")
    assert repair.silent_damage(str(crashed.path)) is None


def test_the_log_of_another_file_is_refused(crashed: Crashed, tmp_path: Path) -> None:
    """A log that does not belong to the file is not replayed."""
    other = tmp_path / "other.duckdb"
    with closing(open_store(other)) as store:
        store.recover()
        store.append(commit(0), [])
    Path(f"{other}.wal").write_bytes(crashed.log)
    with pytest.raises(StoreDamagedError, match="WAL"):
        open_store(other)


def test_a_log_that_another_process_writes_is_not_judged(crashed: Crashed) -> None:
    """What looks like damage may be a commit in the making: the lock comes first."""
    crashed.write(crashed.log)
    program = f"from ipydurable.store import open_store; s = open_store({str(crashed.path)!r}); "
    with subprocess.Popen(
        [sys.executable, "-uc", program + "print(1); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        damaged = bytearray(crashed.log)
        damaged[crashed.ends[2] + 1] ^= 0xFF
        crashed.wal.write_bytes(damaged)
        with pytest.raises(StoreLockedError):
            crashed.open()
        process.kill()
    assert crashed.wal.read_bytes() == bytes(damaged)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Give a store with one commit."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        store.append(commit(0), [RECORD])
        yield store


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Make files that grow beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wal_size(store: DuckDBStore) -> int:
    """Return the bytes in the log."""
    return Path(f"{store.path}.wal").stat().st_size


@pytest.mark.parametrize("size", [20_000, 70_000])
def test_a_full_disk_refuses_the_append_and_takes_it_later(store: DuckDBStore, size: int) -> None:
    """Nothing is half written, reads go on, and the same rows fit once there is room."""
    rows = commit(1, size)
    with files_limited_to(wal_size(store) + 1000):
        for _ in range(2):
            with pytest.raises(StoreUnwritableError, match="Could not write"):
                store.append(rows, [])
        assert store.history(1) == commit(0)
        assert store.find("a") == RECORD
    store.append(rows, [])
    store.append(commit(2), [])
    assert store.history(1) == [*commit(0), *rows, *commit(2)]
    store.close()
    with closing(open_store(store.path)) as again:
        assert again.recover().last_gseq == 6
        assert again.history(1) == [*commit(0), *rows, *commit(2)]


def test_a_full_disk_at_projection_loses_nothing(store: DuckDBStore) -> None:
    """The records stay in memory until they can be written."""
    with files_limited_to(wal_size(store)):
        with pytest.raises(StoreUnwritableError):
            store.project()
        assert store.find("a") == RECORD
    store.project()
    assert answer(store, "SELECT instance_id FROM instances").to_pylist() == [{"instance_id": "a"}]


def test_on_a_full_disk_lists_and_sql_show_what_is_durable(store: DuckDBStore) -> None:
    """Also what was written to the journal, but not yet to the tables; and nothing stays behind."""
    rows = commit(1, 70_000)
    assert isinstance(rows[0].event, EventRaised)
    large = InstanceRecord(
        iid=2, instance_id="b", name="o", created_at=NOW, updated_at=NOW, input=rows[0].event.input
    )
    store.append(rows, [large])
    ids = "SELECT instance_id FROM instances ORDER BY 1"
    query = InstanceQuery()
    with files_limited_to(wal_size(store)):
        assert [record.instance_id for record in store.query(query)] == ["b", "a"]
        assert store.query(query)[1] == RECORD
        assert answer(store, ids).to_pylist() == [{"instance_id": "a"}, {"instance_id": "b"}]
        assert answer(store, "FROM attempts").to_pylist() == []
        with pytest.raises(QueryError, match="read-only"):
            answer(store, "WITH gone AS (DELETE FROM journal RETURNING 1) FROM gone")
    assert [record.instance_id for record in store.query(query)] == ["b", "a"]
    assert answer(store, ids).to_pylist() == [{"instance_id": "a"}, {"instance_id": "b"}]


def test_a_record_that_changes_on_a_full_disk_is_listed_once(store: DuckDBStore) -> None:
    """Its newest state replaces the one in the table."""
    store.project()
    store.append(commit(1), [])
    changed = InstanceRecord(
        iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW, last_seq=4
    )
    store._keep([changed], store._pending.mark)
    with files_limited_to(wal_size(store)):
        assert store.query(InstanceQuery()) == [changed]
        assert answer(store, "SELECT instance_id FROM instances").num_rows == 1


def test_rows_that_are_there_after_an_error_are_not_stored_twice(store: DuckDBStore) -> None:
    """If an append failed after its rows were durable, appending them again adds nothing."""
    with files_limited_to(wal_size(store)), pytest.raises(StoreUnwritableError):
        store.append(commit(1), [])
    with closing(store._database.cursor()) as cursor:  # what a lost answer leaves
        cursor.execute(
            "INSERT INTO journal SELECT * REPLACE (gseq + 2 AS gseq, seq + 2 AS seq) FROM journal"
        ).fetchall()
    store.append(commit(1), [])
    assert [row.gseq for row in store.history(1)] == [1, 2, 3, 4]


def test_the_first_rows_of_all_are_stored_though_the_disk_was_full(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "new.duckdb")) as store:
        store.recover()
        with files_limited_to(1), pytest.raises(StoreUnwritableError):
            store.append(commit(0), [])
        store.append(commit(0), [])
        assert store.history(1) == commit(0)


@pytest.mark.parametrize("by", ["append", "project"])
def test_a_failed_checkpoint_is_got_over(store: DuckDBStore, by: str) -> None:
    """DuckDB gives the file up when a checkpoint runs out of space; the writer opens it anew."""
    store.append(commit(1, 20_000), [])
    with files_limited_to(Path(store.path).stat().st_size):
        store.checkpoint(force=True)
    with pytest.raises(StoreUnwritableError, match="invalidated"):
        store.history(1)
    if by == "append":
        store.append(commit(2, 70_000), [RECORD])
        assert store.history(1)[-2:] == commit(2, 70_000)
    store.project()
    assert store.find("a") == RECORD
    assert [row.gseq for row in store.history(1)] == list(range(1, 7 if by == "append" else 5))
    store.checkpoint(force=True)
    assert not Path(f"{store.path}.wal").exists()


def test_rows_duckdb_cannot_take_leave_the_store_usable(store: DuckDBStore) -> None:
    """An error that is not the disk's is called our bug, and its rows are not stored later."""
    bad = TaskCompleted(timestamp=NOW, task_id=2**40)
    with pytest.raises(DurableInternalError, match="does not take these rows"):
        store.append([*commit(1)[:1], JournalRow(4, 1, 4, Stream.HISTORY, bad)], [])
    store.append(commit(1), [])
    assert store.history(1) == [*commit(0), *commit(1)]


def test_no_checkpoint_is_tried_where_space_is_short(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of space in a checkpoint costs more than a long log."""
    monkeypatch.setattr("ipydurable.store.duckdb_store._SPARE_BYTES", 2**62)
    size = wal_size(store)
    store.checkpoint(force=True)
    assert wal_size(store) == size


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced"])
def test_a_store_that_is_taken_away_takes_nothing_more_until_it_is_back(
    store: DuckDBStore, tmp_path: Path, how: str
) -> None:
    """Rows would be acknowledged that nobody finds again."""
    path, kept = Path(store.path), tmp_path / "kept.duckdb"
    os.link(path, kept)  # The file itself, by another name.
    if how == "moved":
        path.rename(tmp_path / "elsewhere.duckdb")
    else:
        path.unlink()
    if how == "replaced":
        path.write_bytes(b"")
    with pytest.raises(StoreUnwritableError, match="moved, replaced or deleted"):
        store.append(commit(1), [])
    with pytest.raises(StoreUnwritableError, match="moved, replaced or deleted"):
        store.checkpoint(force=True)
    path.unlink(missing_ok=True)
    kept.rename(path)
    store.append(commit(1), [])
    store.close()
    with closing(open_store(path)) as again:
        assert again.history(1) == [*commit(0), *commit(1)]


def test_without_its_log_a_store_is_whole_as_of_its_last_checkpoint(crashed: Crashed) -> None:
    """What there is must be right, and that something is missing be said."""
    crashed.write(crashed.log)
    crashed.wal.unlink()
    commits, report = crashed.open()
    assert commits == 0
    assert "without its write-ahead log" in report[0]
