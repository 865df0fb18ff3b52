"""What a store keeps in memory of its file, and that it lets go of it."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import database, open_store
from ipydurable.store.duckdb_store import DuckDBStore
from tests.support.answers import answer

NOW = datetime(2026, 1, 1)
LIMIT = "SELECT current_setting('memory_limit') AS value"
CACHED = "SELECT memory_usage_bytes AS value FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"


def value(store: DuckDBStore, query: str) -> object:
    """Return the one value that a query gives."""
    return answer(store, query).to_pylist()[0]["value"]


def rows(first: int, count: int) -> list[JournalRow]:
    """Return rows from a number on."""
    return [
        JournalRow(gseq, 1, gseq, Stream.HISTORY, EventRaised(timestamp=NOW, name=f"e{gseq}"))
        for gseq in range(first, first + count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Give a store whose file holds some thousand rows, which were read."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        store.append(rows(1, 5_000), [])
        store.checkpoint(force=True)
        assert len(store.history(1)) == 5_000
        yield store


def test_blocks_of_the_file_are_dropped_beyond_a_bound(store: DuckDBStore) -> None:
    """They are read again when they are needed; how much DuckDB may use stays as it was."""
    limit, cached = value(store, LIMIT), value(store, CACHED)
    assert isinstance(cached, int)
    assert cached > 0
    assert not store._database.give_back_memory(cached)
    assert value(store, CACHED) == cached
    assert store._database.give_back_memory(cached - 1)
    assert value(store, CACHED) == 0
    assert value(store, LIMIT) == limit
    assert len(store.history(1)) == 5_000


def test_the_bound_holds_whenever_the_file_is_looked_after(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host does so every few seconds; small logs are left alone then."""
    monkeypatch.setattr(database.Database.give_back_memory, "__defaults__", (0,))
    store.append(rows(5_001, 1), [])
    store.checkpoint()
    with closing(store._database.cursor()) as cursor:
        assert cursor.execute(CACHED).fetchall() == [(0,)]
    assert Path(f"{store.path}.wal").stat().st_size > 0


def test_notes_of_transactions_are_dropped_after_so_many(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_MANY_TRANSACTIONS", 3)
    for number in range(3):
        assert not store._database.give_back_memory()
        record = InstanceRecord(
            iid=number + 2, instance_id=f"i{number}", name="o", created_at=NOW, updated_at=NOW
        )
        store.append(rows(5_001 + number, 1), [record])
        store.project()
    assert store._database.give_back_memory()
    assert not store._database.give_back_memory()


WRITES_MUCH = """
import sys
from datetime import datetime
import psutil
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store

now = datetime(2026, 1, 1)
event = EventRaised(timestamp=now, name="e")
store = open_store(sys.argv[1])
store.recover()
for first in range(1, 40_001, 10_000):
    numbers = range(first, first + 10_000)
    store.append(
        [JournalRow(n, n, 1, Stream.HISTORY, event) for n in numbers],
        [
            InstanceRecord(iid=n, instance_id=f"i{n}", name="o", created_at=now, updated_at=now)
            for n in numbers
        ],
    )
    store.project()
full = psutil.Process().memory_full_info().uss
store.give_back_memory()
print((full - psutil.Process().memory_full_info().uss) / 1e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems return it by themselves")
def test_what_duckdb_has_freed_goes_back_to_the_system(tmp_path: Path) -> None:
    """In a process of its own, whose memory nobody else grows."""
    command = [sys.executable, "-c", WRITES_MUCH, str(tmp_path / "s.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 10


def test_nobody_runs_short_while_memory_is_given_back(store: DuckDBStore) -> None:
    """Appends, reads and queries go on, and find what they would have found."""
    ended = threading.Event()
    given: list[bool] = []

    def give_back() -> None:
        while not ended.is_set():
            given.append(store._database.give_back_memory(-1))

    thread = threading.Thread(target=give_back)
    thread.start()
    try:
        for number in range(100):
            store.append(rows(5_001 + number, 1), [])
            assert len(store.history(1)) == 5_001 + number
            ids = answer(store, "SELECT gseq, md5(name) AS m FROM journal ORDER BY m")
            assert ids.num_rows == 5_001 + number
    finally:
        ended.set()
        thread.join()
    assert given
    assert all(given)


def test_what_does_not_fit_into_memory_goes_to_a_private_folder(store: DuckDBStore) -> None:
    """DuckDB makes it for all to read; it is there before, and gone when the store is closed."""
    answer(store, "SELECT 1 AS one")
    folder = Path(f"{store.path}.tmp")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store._database.give_back_memory(-1)
    store.close()
    assert not folder.exists()
