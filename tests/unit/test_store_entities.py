"""What a store keeps of entities, gives back, and knows after being closed or killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ipydurable.runtime.core.events import (
    Event,
    ExecutionStarted,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
)
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.records import EntityRecord, fold_record
from ipydurable.runtime.ports import EntityQuery, InstanceQuery, JournalRow, Stream
from ipydurable.store import open_store
from ipydurable.store.duckdb_store import DuckDBStore
from tests.support.answers import answer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)
LARGE = '"' + "x" * 70_000 + '"'
OWNER = LockOwner(instance_id="transfer", execution_id="e1", lock_id=2)


class Journal:
    """Writes an entity's rows as the engine would."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store
        self.gseq = store.recover().last_gseq
        self.records: dict[int, EntityRecord] = {}

    def write(self, iid: int, event: Event, ref: int = 0) -> int:
        """Append one row and return its number; `ref` is that of the message it consumes."""
        self.gseq += 1
        is_message = isinstance(event, OperationRequested | LockRequested)
        before = self.records.get(iid)
        seq = 0 if is_message else (before.last_seq if before else 0) + 1
        record = fold_record(before, iid, seq, event)
        assert isinstance(record, EntityRecord)
        self.records[iid] = record
        stream = Stream.INBOX if is_message else Stream.HISTORY
        self.store.append([JournalRow(self.gseq, iid, seq, stream, event, ref)], [record])
        return self.gseq

    def operation(self, iid: int, key: str, state: Any, **requested: Any) -> None:
        """Ask for an operation that leaves a state, and do it."""
        asked = self.write(iid, request(key, **requested))
        self.write(iid, done(state), asked)


def request(key: str, **fields: Any) -> OperationRequested:
    """Return a message to an account."""
    given = {"timestamp": NOW, "operation": "deposit", "input": "5", **fields}
    return OperationRequested(entity_id=f"@account@{key}", **given)


def done(state: Any, **fields: Any) -> OperationDone:
    """Return the end of an operation that sets the state."""
    return OperationDone(
        timestamp=NOW, operation="deposit", result="5", sets_state=True, state=state, **fields
    )


def lock(key: str) -> LockRequested:
    """Return the request of a critical section."""
    return LockRequested(timestamp=NOW, entity_id=f"@account@{key}", owner=OWNER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "s.duckdb"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """Give the journal of an empty store."""
    with closing(open_store(path)) as store:
        yield Journal(store)


def as_after_a_crash(store: DuckDBStore, folder: Path) -> Path:
    """Return a copy of the files as they are on the disk now."""
    copied = folder / "crashed.duckdb"
    shutil.copy(store.path, copied)
    shutil.copy(f"{store.path}.wal", f"{copied}.wal")
    return copied


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize(
    "state", ["0", LARGE, Blob(codec="dill", data=b"\0\xff", summary="a thing"), None]
)
def test_the_state_is_the_same_after_a_crash(
    journal: Journal, tmp_path: Path, state: Any, project: bool
) -> None:
    """Whatever its form and size, also where only the journal holds it."""
    journal.operation(1, "a", state)
    if project:
        journal.store.project()
    with closing(open_store(as_after_a_crash(journal.store, tmp_path))) as again:
        found = again.recover()
        assert (found.last_gseq, found.last_iid, found.live) == (2, 1, [])
        record = again.find("@account@a")
    assert isinstance(record, EntityRecord)
    assert record == journal.records[1]
    assert record.state == state


def test_entities_with_messages_or_locks_are_live(path: Path) -> None:
    """An idle entity is not recovered; one that has something to do is, with what waits for it."""
    with closing(open_store(path)) as store:
        journal = Journal(store)
        journal.operation(1, "idle", "1")
        journal.operation(2, "asked", "1")
        waiting = journal.write(2, request("asked"))
        acquired = journal.write(3, lock("locked"))
        journal.write(3, LockAcquired(timestamp=NOW, owner=OWNER), acquired)
        freed = journal.write(4, lock("freed"))
        journal.write(4, LockAcquired(timestamp=NOW, owner=OWNER), freed)
        journal.write(4, LockReleased(timestamp=NOW, owner=OWNER))
        withdrawn = journal.write(5, lock("withdrawn"))
        journal.write(5, LockWithdrawn(timestamp=NOW, owner=OWNER), withdrawn)
    with closing(open_store(path)) as store:
        live = store.recover().live
        assert live == [journal.records[2], journal.records[3]]
        histories = list(store.histories(live))
    assert [[row.gseq for row in rows] for rows in histories] == [[waiting], []]
    assert histories[0][0].event == request("asked")


def test_records_can_be_rebuilt_from_the_journal(path: Path) -> None:
    """Without the projection entities and instances are still told apart."""
    with closing(open_store(path)) as store:
        journal = Journal(store)
        journal.operation(1, "a", LARGE)
        started = ExecutionStarted(timestamp=NOW, instance_id="o", execution_id="e", name="o")
        store.append([JournalRow(3, 2, 1, Stream.HISTORY, started)], [])
    with duckdb.connect(path) as raw:
        raw.execute("DELETE FROM instance_records").fetchall()
        raw.execute("UPDATE meta SET value = '0' WHERE key = 'applied_gseq'").fetchall()
    with closing(open_store(path)) as store:
        assert [record.instance_id for record in store.recover().live] == ["o"]
        assert store.query_entities(EntityQuery()) == [journal.records[1]]
        assert [record.instance_id for record in store.query(InstanceQuery())] == ["o"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EntityQuery(), ["@account@late", "@account@held", "@counter@a", "@account@big"]),
        (
            EntityQuery(include_empty=True),
            ["@account@late", "@account@empty", "@account@held", "@counter@a", "@account@big"],
        ),
        (EntityQuery(only_empty=True), ["@account@empty"]),
        (EntityQuery(name="Counter"), ["@counter@a"]),
        (EntityQuery(prefix="@account@h"), ["@account@held"]),
        (EntityQuery(prefix="@Account"), []),
        (EntityQuery(locked=True), ["@account@held"]),
        (EntityQuery(modified_from=NOW + timedelta(days=1)), ["@account@late"]),
        (EntityQuery(modified_to=NOW + timedelta(days=1), limit=1), ["@account@held"]),
        (EntityQuery(limit=2), ["@account@late", "@account@held"]),
        (EntityQuery(before_iid=3), ["@counter@a", "@account@big"]),
    ],
)
def test_queries_select_by_every_condition(
    journal: Journal, query: EntityQuery, expected: list[str]
) -> None:
    """Every condition narrows the list, the newest come first, orchestrations are not in it."""
    journal.operation(1, "big", LARGE)
    counted = OperationRequested(timestamp=NOW, entity_id="@counter@a", operation="add")
    journal.write(2, done("1"), journal.write(2, counted))
    journal.store.project()
    acquired = journal.write(3, lock("held"))
    journal.write(3, LockAcquired(timestamp=NOW, owner=OWNER), acquired)
    journal.operation(4, "empty", None)
    journal.write(5, request("late", timestamp=NOW + timedelta(days=1)))
    started = ExecutionStarted(timestamp=NOW, instance_id="o", execution_id="e", name="account")
    record = fold_record(None, 6, 1, started)
    assert record is not None
    journal.store.append([JournalRow(journal.gseq + 1, 6, 1, Stream.HISTORY, started)], [record])
    assert [found.instance_id for found in journal.store.query_entities(query)] == expected
    assert [found.instance_id for found in journal.store.query(InstanceQuery())] == ["o"]


def test_a_purged_entity_leaves_nothing(journal: Journal) -> None:
    """Its large states go; one that another entity has too stays."""
    other = LARGE.upper()
    journal.operation(1, "a", LARGE)
    journal.operation(1, "a", other)
    journal.operation(2, "b", LARGE)
    journal.store.purge([1])
    assert journal.store.find("@account@a") is None
    assert journal.store.history(1) == []
    assert answer(journal.store, "SELECT text FROM payloads").to_pylist() == [{"text": LARGE}]
    assert journal.store.history(2)[-1].event == done(LARGE)
    assert journal.store.query_entities(EntityQuery()) == [journal.records[2]]
