"""Damage in one of two logs: a process died while a checkpoint was being made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import pytest

from ipydurable.runtime.core.errors import StoreDamagedError, StoreLockedError
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store, repair

PATIENCE_S = 120.0
COMMITS = 4
# Commits one row after the other, and makes checkpoints of a large table beside that.
PROGRAM = """
import sys, threading
from tests.unit.test_store_second_log import commit
from ipydurable.store import open_store

store = open_store(sys.argv[1])
store.recover()
store.checkpoint(force=True)

def make_checkpoints():
    with store._database.reading() as cursor:
        cursor.execute("CREATE TABLE others AS SELECT '' AS text LIMIT 0").fetchall()
        while True:
            cursor.execute(
                "INSERT INTO others SELECT md5(range::VARCHAR) FROM range($1)", [int(sys.argv[2])]
            ).fetchall()
            store._database.checkpoint()

threading.Thread(target=make_checkpoints, daemon=True).start()
for number in range(1, 1_000_000):
    store.append(commit(number), [])
    print(number, flush=True)
"""


def commit(number: int) -> list[JournalRow]:
    """Return the row of a commit, counted from 1."""
    event = EventRaised(timestamp=datetime(2026, 1, 1), name=f"e{number}")
    return [JournalRow(number, 1, number, Stream.HISTORY, event)]


def ends(log: bytes) -> list[int]:
    """Return where each whole commit of a log ends."""
    return [found.end() for found in repair._COMMIT_MARK.finditer(log)]


class Interrupted:
    """A store whose process died while a checkpoint was being made, with commits in both logs."""

    def __init__(self, folder: Path) -> None:
        self._kept, self._folder = folder / "kept", folder / "used"
        self.path = self._folder / "s.duckdb"
        self.first, self.second = Path(f"{self.path}.wal"), Path(f"{self.path}.wal.checkpoint")
        deadline = time.monotonic() + PATIENCE_S
        rows = 100_000
        while not self._die(folder / "dying", rows):
            assert time.monotonic() < deadline, "no commit came while a checkpoint was being made"
            rows = min(2 * rows, 400_000)  # a slow disk takes longer for a commit
        self.log = (self._kept / self.first.name).read_bytes()
        self.later = (self._kept / self.second.name).read_bytes()
        self.commits = int((self._kept / "out").read_text().split()[-1])

    def _die(self, folder: Path, rows: int) -> bool:
        """Have a process die; False where it was between two checkpoints, of so many rows."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        second = folder / self.second.name
        with (folder / "out").open("w") as out:
            command = [sys.executable, "-c", PROGRAM, str(folder / self.path.name), str(rows)]
            process = subprocess.Popen(command, stdout=out)
            try:
                deadline = time.monotonic() + PATIENCE_S / 2
                while time.monotonic() < deadline:
                    with suppress(FileNotFoundError):  # it may go at any moment
                        if len(ends(second.read_bytes())) >= COMMITS:
                            break
                    time.sleep(0.0005)
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        # Some more than were said to be durable may be.
        if not second.exists() or len(ends(second.read_bytes())) < COMMITS:
            return False
        shutil.copytree(folder, self._kept)
        return True

    def write(self, log: bytes | None, later: bytes) -> None:
        """Put the files back, with these logs."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._kept, self._folder)
        self.second.write_bytes(later)
        if log is None:
            self.first.unlink()
        else:
            self.first.write_bytes(log)

    def open(self, *, salvage: bool = False) -> tuple[int, list[str]]:
        """Return how many commits are there, and what was reported; appends work afterwards."""
        # The mark beside the file would notice some of what is lost, but it is not always there.
        Path(f"{self.first}.mark").unlink(missing_ok=True)
        with closing(open_store(self.path, salvage=salvage)) as store:
            found = store.recover()
            store.append(commit(found.last_gseq + 1), [])
        with closing(open_store(self.path)) as store:
            assert len(store.history(1)) == found.last_gseq + 1
        return found.last_gseq, found.report


def flipped(log: bytes, place: int, bits: int = 8) -> bytes:
    """Return a log with one byte that is another."""
    damaged = bytearray(log)
    damaged[place] ^= bits
    return bytes(damaged)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """Give files whose logs can be damaged."""
    return Interrupted(tmp_path_factory.mktemp("interrupted"))


@pytest.fixture(scope="module")
def commits(interrupted: Interrupted) -> int:
    """Give how many commits the two logs hold, of which none is missing."""
    interrupted.write(interrupted.log, interrupted.later)
    found, report = interrupted.open()
    assert interrupted.commits <= found <= interrupted.commits + 1
    assert report == []
    return found


@pytest.mark.parametrize("byte", range(8))
def test_a_damaged_length_in_the_second_log_loses_nothing_in_silence(
    interrupted: Interrupted, commits: int, byte: int
) -> None:
    """In its last commit it leaves that out, with a report; earlier it refuses to open."""
    where = ends(interrupted.later)
    damaged = flipped(interrupted.later, where[0] + byte)
    interrupted.write(interrupted.log, damaged)
    with pytest.raises(StoreDamagedError, match="later commits are lost with it"):
        interrupted.open()
    in_last = flipped(interrupted.later, where[-2] + byte)
    interrupted.write(interrupted.log, in_last)
    found, report = interrupted.open()
    assert (found, len(report)) == (commits - 1, 1)


@pytest.mark.parametrize("byte", [0, 1, 7, 20])
@pytest.mark.parametrize("commit_from_end", [1, 2, 3])
def test_damage_in_the_first_log_never_drops_the_second_in_silence(
    interrupted: Interrupted, commits: int, commit_from_end: int, byte: int
) -> None:
    """Not even in its last commit, that of the checkpoint: others came after it."""
    where = ends(interrupted.log)
    damaged = flipped(interrupted.log, where[-1 - commit_from_end] + byte)
    interrupted.write(damaged, interrupted.later)
    try:
        assert interrupted.open() == (commits, [])  # what it did not need
    except StoreDamagedError:
        assert interrupted.first.read_bytes() == damaged
        assert interrupted.second.read_bytes() == interrupted.later


def test_a_first_log_that_ends_too_early_or_is_gone_is_refused(interrupted: Interrupted) -> None:
    for log in (interrupted.log[: ends(interrupted.log)[-2]], interrupted.log[:-60], None):
        interrupted.write(log, interrupted.later)
        with pytest.raises(StoreDamagedError):
            interrupted.open()
        assert interrupted.second.read_bytes() == interrupted.later


def test_a_torn_last_commit_of_the_second_log_is_left_out(
    interrupted: Interrupted, commits: int
) -> None:
    where = ends(interrupted.later)
    interrupted.write(interrupted.log, interrupted.later[: where[-2] + 30])
    assert interrupted.open() == (commits - 1, [])


def test_a_second_log_torn_in_its_header_held_no_commit(
    interrupted: Interrupted, commits: int
) -> None:
    held = len(ends(interrupted.later))
    for size in (0, 20):
        interrupted.write(interrupted.log, interrupted.later[:size])
        found, _ = interrupted.open()
        assert found == commits - held


def test_a_second_log_that_is_behind_the_first_already_is_no_damage(
    interrupted: Interrupted, commits: int
) -> None:
    """DuckDB puts it there when it opens the file, and may die before it deletes it."""
    header = repair._HEADER.match(interrupted.later)
    assert header is not None
    first = interrupted.log[: ends(interrupted.log)[-2]] + interrupted.later[header.end() :]
    interrupted.write(first, interrupted.later)
    assert interrupted.open() == (commits, [])


def test_salvage_keeps_what_was_before_the_damage_and_copies_of_both_logs(
    interrupted: Interrupted, commits: int
) -> None:
    where = ends(interrupted.log)
    damaged = flipped(interrupted.log, where[-3] + 1)
    interrupted.write(damaged, interrupted.later)
    found, report = interrupted.open(salvage=True)
    assert 0 < found < commits
    assert len(report) == 1
    copies = sorted(interrupted.path.parent.glob("*.damaged-*"))
    assert [copy.read_bytes() for copy in copies] == [interrupted.later, damaged]
    assert all(str(copy) in report[0] for copy in copies)


def test_the_logs_of_a_living_process_are_left_alone(interrupted: Interrupted) -> None:
    """While it writes they look damaged."""
    damaged = flipped(interrupted.later, ends(interrupted.later)[0] + 1)
    interrupted.write(interrupted.log, interrupted.later)
    program = (
        f"from ipydurable.store import open_store; s = open_store({str(interrupted.path)!r}); "
    )
    with subprocess.Popen(
        [sys.executable, "-uc", program + "print(1); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        interrupted.first.write_bytes(interrupted.log)
        interrupted.second.write_bytes(damaged)
        with pytest.raises(StoreLockedError):
            interrupted.open()
        process.kill()
    assert interrupted.second.read_bytes() == damaged
