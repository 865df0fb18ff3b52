"""What a store keeps, gives back, and knows after being closed or killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from ipydurable.runtime.core.errors import DurableInternalError, StoreDamagedError
from ipydurable.runtime.core.events import (
    CustomStatusSet,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    TaskCompleted,
    TaskScheduled,
)
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.records import InstanceRecord, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.ports import InstanceQuery, JournalRow, Stream
from ipydurable.store import open_store, queries
from ipydurable.store.duckdb_store import DuckDBStore
from ipydurable.store.projections import PendingRecords, Watermark
from tests.support.answers import answer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)
LARGE = '"' + "x" * 70_000 + '"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "s.duckdb"


@pytest.fixture
def store(path: Path) -> Iterator[DuckDBStore]:
    """Give an empty store."""
    with closing(open_store(path)) as store:
        store.recover()
        yield store


def started(instance_id: str, **fields: object) -> ExecutionStarted:
    """Return the first event of an instance."""
    given = {"timestamp": NOW, "execution_id": f"{instance_id}-1", "name": "report", **fields}
    return ExecutionStarted(instance_id=instance_id, **given)  # type: ignore[arg-type]


def done(status: RuntimeStatus = RuntimeStatus.COMPLETED, result: str = "1") -> ExecutionCompleted:
    """Return the last event of an instance."""
    return ExecutionCompleted(timestamp=NOW + timedelta(seconds=9), status=status, result=result)


def record_of(rows: list[JournalRow]) -> InstanceRecord:
    """Return the fold of rows."""
    record = None
    for row in rows:
        record = fold(record, row.iid, row.seq, row.event)  # type: ignore[arg-type]
    assert record is not None
    return record


def history_of(iid: int, gseq: int, *events: object) -> list[JournalRow]:
    """Return the history rows of an instance."""
    return [
        JournalRow(gseq + n, iid, n + 1, Stream.HISTORY, event)  # type: ignore[arg-type]
        for n, event in enumerate(events)
    ]


def one(store: DuckDBStore, iid: int, gseq: int, *events: object) -> InstanceRecord:
    """Append an instance's whole history and return its record."""
    rows = history_of(iid, gseq, *events)
    record = record_of(rows)
    store.append(rows, [record])
    return record


def test_a_new_store_knows_nothing(path: Path) -> None:
    """An empty store recovers to zero everywhere."""
    with closing(open_store(path)) as store:
        found = store.recover()
    assert (found.last_gseq, found.last_iid, found.live, found.report) == (0, 0, [], [])


@pytest.mark.parametrize("project", [False, True])
def test_a_reopened_store_gives_back_what_was_appended(path: Path, project: bool) -> None:
    """Records and rows are the same after closing, projected before or not."""
    store = open_store(path)
    store.recover()
    live = one(store, 1, 1, started("a", input=LARGE, tags={"k": "v"}))
    final = one(store, 2, 2, started("b"), done())
    if project:
        store.project()
    rows = store.history(1)
    store.close()
    with closing(open_store(path)) as again:
        found = again.recover()
        assert (found.last_gseq, found.last_iid, found.live) == (3, 2, [live])
        assert again.find("b") == final
        assert (
            again.history(1) == rows == history_of(1, 1, started("a", input=LARGE, tags={"k": "v"}))
        )


def test_records_are_folded_from_the_journal_after_a_crash(path: Path, tmp_path: Path) -> None:
    """Between append and project a crash loses nothing, for new and for projected instances."""
    store = open_store(path)
    store.recover()
    rows = history_of(1, 1, started("a"), CustomStatusSet(timestamp=NOW, status='"half"'))
    store.append(rows[:1], [record_of(rows[:1])])
    store.project()
    store.append(rows[1:], [record_of(rows)])
    one(store, 7, 3, started("b"))
    copy = tmp_path / "crashed.duckdb"
    shutil.copy(path, copy)
    shutil.copy(f"{path}.wal", f"{copy}.wal")
    store.close()
    with closing(open_store(copy)) as crashed:
        found = crashed.recover()
        assert [record.instance_id for record in found.live] == ["a", "b"]
        assert found.live[0] == record_of(rows)
        assert found.last_iid == 7
        assert crashed.find("a") == record_of(rows)


def test_the_table_of_records_can_be_rebuilt_from_the_journal(path: Path) -> None:
    """The journal is the truth: without the projection everything is still known."""
    with closing(open_store(path)) as store:
        store.recover()
        live = one(store, 1, 1, started("a"))
        final = one(store, 2, 2, started("b"), done())
    with duckdb.connect(path) as raw:
        raw.execute("DELETE FROM instance_records").fetchall()
        raw.execute("UPDATE meta SET value = '0' WHERE key = 'applied_gseq'").fetchall()
    with closing(open_store(path)) as store:
        assert store.recover().live == [live]
        assert store.query(InstanceQuery()) == [final, live]


def test_a_missing_journal_row_is_damage(path: Path) -> None:
    """A hole behind the projection is refused with the file's name and the missing row's number."""
    with closing(open_store(path)) as store:
        store.recover()
        one(store, 1, 1, started("a"), done())
    with duckdb.connect(path) as raw:
        raw.execute("DELETE FROM journal WHERE gseq = 1").fetchall()
        raw.execute("UPDATE meta SET value = '0' WHERE key = 'applied_gseq'").fetchall()
    with (
        closing(open_store(path)) as store,
        pytest.raises(StoreDamagedError, match=f"{path.name} .* row 1 of its journal is missing"),
    ):
        store.recover()


def test_rows_must_follow_the_last_one(store: DuckDBStore) -> None:
    """A gap in the numbers is our bug and is refused before anything is written."""
    with pytest.raises(DurableInternalError, match="cannot follow row 0"):
        store.append(history_of(1, 2, started("a")), [])
    assert store.history(1) == []


def test_unprojected_records_are_found_and_are_copies(store: DuckDBStore) -> None:
    """Reads see what was just appended, and the engine's later changes only with their append."""
    record = one(store, 1, 1, started("a"))
    record.custom_status = '"changed since"'
    found = store.find("a")
    assert found is not None
    assert found.custom_status is None
    found.name = "changed by a reader"
    assert store.find_many(["a", "nope"])["a"].name == "report"
    assert [record.name for record in store.query(InstanceQuery())] == ["report"]


def test_ids_that_are_not_in_the_table_are_not_looked_for_there(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start asks whether its id is taken, and mostly it is new."""
    one(store, 1, 1, started("projected"))
    store.project()
    fresh = one(store, 2, 2, started("fresh"))
    asked: list[list[str]] = []
    record_rows = queries.record_rows

    def noted(cursor: Any, tail: str, parameters: Any) -> Any:
        asked.append(parameters[0])
        return record_rows(cursor, tail, parameters)

    monkeypatch.setattr(queries, "record_rows", noted)
    assert store.find_many(["fresh", "new"]) == {"fresh": fresh}
    assert asked == []
    assert set(store.find_many(["fresh", "new", "projected"])) == {"fresh", "projected"}
    assert asked == [["projected"]]


def test_an_instance_id_used_again_means_the_newest(store: DuckDBStore) -> None:
    """Of two instances of one id, find gives the one numbered higher."""
    one(store, 1, 1, started("a"), done())
    store.project()
    newer = one(store, 2, 3, started("a"))
    assert store.find("a") == newer
    store.project()
    assert store.find("a") == newer
    assert store.find("A") is None


def test_a_late_change_of_an_older_instance_does_not_hide_the_newest(store: DuckDBStore) -> None:
    """Also where the older one waits in memory and the newest is in the table."""
    older = one(store, 1, 1, started("a"), done())
    newer = one(store, 2, 3, started("a"))
    store.project()
    store.append([], [older])
    assert store.find("a") == newer


def test_a_large_value_that_was_purged_is_stored_again_with_who_has_it_next(
    store: DuckDBStore,
) -> None:
    one(store, 1, 1, started("a", input=LARGE), done())
    store.purge([1])
    one(store, 2, 3, started("b", input=LARGE))
    assert [row.event.input for row in store.history(2)] == [LARGE]  # type: ignore[union-attr]


def test_records_alone_can_be_appended(store: DuckDBStore) -> None:
    """Without rows a record is kept and projected all the same."""
    record = one(store, 1, 1, started("a"))
    store.project()
    record.custom_status = '"new"'
    store.append([], [record])
    store.project()
    assert store.find("a") == record
    assert store.query(InstanceQuery()) == [record]


def test_a_record_that_changed_while_it_was_written_waits_on() -> None:
    """Only what was written is let go of."""
    older = InstanceRecord(iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW)
    pending = PendingRecords(Watermark(0, 0))
    pending.put([older], Watermark(1, 1))
    records, _ = pending.snapshot()
    newer = msgspec.structs.replace(older, last_seq=2)
    pending.put([newer], Watermark(2, 1))
    pending.written(records)
    assert pending.find("a") == newer
    assert pending.mark == (2, 1)


def test_an_older_record_that_changes_does_not_hide_the_newest_of_its_id() -> None:
    older = InstanceRecord(iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW)
    newest = msgspec.structs.replace(older, iid=2)
    pending = PendingRecords(Watermark(0, 0))
    pending.put([newest], Watermark(1, 2))
    pending.put([older], Watermark(2, 2))
    assert pending.find("a") == newest


def test_messages_for_nobody_are_kept_and_make_no_record(path: Path) -> None:
    """An inbox row of an instance that was never created comes back as it is."""
    message = JournalRow(1, 4, 0, Stream.INBOX, EventRaised(timestamp=NOW, name="e"))
    store = open_store(path)
    store.recover()
    store.append([message], [])
    store.close()
    with duckdb.connect(path) as raw:
        raw.execute("UPDATE meta SET value = '0' WHERE key <> 'application'").fetchall()
    with closing(open_store(path)) as again:
        found = again.recover()
        assert (found.last_gseq, found.last_iid, found.live) == (1, 4, [])
        assert again.history(4) == [message]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (InstanceQuery(), ["c", "b2", "b1", "a"]),
        (InstanceQuery(limit=2), ["c", "b2"]),
        (InstanceQuery(before_iid=3), ["b1", "a"]),
        (InstanceQuery(status=(RuntimeStatus.COMPLETED, RuntimeStatus.FAILED)), ["c"]),
        (InstanceQuery(name="other"), ["b2"]),
        (InstanceQuery(prefix="b"), ["b2", "b1"]),
        (InstanceQuery(tags={"team": "x"}), ["b2", "b1"]),
        (InstanceQuery(tags={"team": "x", "size": "L"}), ["b2"]),
        (InstanceQuery(parent="a"), ["c"]),
        (InstanceQuery(created_from=NOW + timedelta(days=1)), ["b1"]),
        (InstanceQuery(created_to=NOW + timedelta(days=1)), ["c", "b2", "a"]),
        (InstanceQuery(prefix="b", name="other", limit=9), ["b2"]),
    ],
)
def test_queries_select_by_every_condition(
    store: DuckDBStore, query: InstanceQuery, expected: list[str]
) -> None:
    """Every condition narrows the list, before and after the table shows it; newest come first."""
    one(store, 1, 1, started("a"))
    later = started("b1", timestamp=NOW + timedelta(days=1), tags={"team": "x"})
    one(store, 2, 2, later)
    store.project()
    one(store, 3, 3, started("b2", name="other", tags={"team": "x", "size": "L"}))
    child = history_of(4, 4, started("c"), done())
    record = record_of(child)
    record.parent_instance_id = "a"
    store.append(child, [record])
    assert [record.instance_id for record in store.query(query)] == expected
    store.project()
    assert [record.instance_id for record in store.query(query)] == expected


def test_history_holds_the_wanted_events_and_unconsumed_messages(store: DuckDBStore) -> None:
    """From first_seq on, plus the inbox rows nobody consumed, in the order they were written."""
    one(store, 1, 1, started("a"))
    raised = EventRaised(timestamp=NOW, name="e", input="1")
    store.append(
        [
            JournalRow(2, 1, 0, Stream.INBOX, raised),
            JournalRow(3, 2, 0, Stream.INBOX, raised),
            JournalRow(4, 1, 0, Stream.INBOX, raised),
            JournalRow(5, 1, 2, Stream.HISTORY, raised, 4),
        ],
        [],
    )
    assert [row.gseq for row in store.history(1)] == [1, 2, 5]
    assert [row.gseq for row in store.history(1, 2)] == [2, 5]
    assert [row.gseq for row in store.history(2)] == [3]
    assert store.history(3) == []


@pytest.mark.parametrize("bulk", [1, 2, 10_000])
def test_histories_come_in_the_order_asked_for(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch, bulk: int
) -> None:
    """Each record gets the rows of its present execution, however many are read at once."""
    monkeypatch.setattr("ipydurable.store.duckdb_store._BULK_INSTANCES", bulk)
    first = one(store, 1, 1, started("a"), done(RuntimeStatus.CONTINUED_AS_NEW))
    again = JournalRow(3, 1, 3, Stream.HISTORY, started("a", generation=1))
    fold(first, 1, 3, again.event)  # type: ignore[arg-type]
    store.append([again], [first])
    second = one(store, 2, 4, started("b", input=LARGE))
    empty = InstanceRecord(iid=9, instance_id="c", name="o", created_at=NOW, updated_at=NOW)
    found = list(store.histories([second, empty, first]))
    assert [[row.gseq for row in rows] for rows in found] == [[4], [], [3]]
    assert list(store.histories([])) == []


@pytest.mark.parametrize("gseqs", [(1, 3), (2, 3), (2, 2), (1, 1), (0, 1)])
def test_rows_that_do_not_follow_the_last_one_without_a_gap_are_refused(
    store: DuckDBStore, gseqs: tuple[int, int]
) -> None:
    """Also where only one end is wrong; nothing of them is stored."""
    rows = [
        JournalRow(gseq, 1, seq, Stream.HISTORY, TaskScheduled(timestamp=NOW, task_id=1, name="a"))
        for seq, gseq in enumerate(gseqs, 1)
    ]
    with pytest.raises(DurableInternalError, match="cannot follow row 0"):
        store.append(rows, [])
    one(store, 1, 1, started("i1"))
    assert [row.gseq for row in store.history(1)] == [1]


def test_definitions_come_back_in_order_of_epoch(path: Path) -> None:
    """Every definition ever added is recovered, however large its captured values."""
    definitions = [
        Definition(
            kind=Kind.ACTIVITY,
            name="fetch",
            version=f"v{n}",
            epoch=n,
            package=CodePackage(entry="fetch", values={"table": Blob(codec="arrow", data=data)}),
        )
        for n, data in ((1, b"small"), (2, b"x" * 70_000), (3, b"small"))
    ]
    store = open_store(path)
    store.recover()
    added = [DefinitionAdded(timestamp=NOW, definition=one) for one in definitions]
    rows = [JournalRow(n, 0, 0, Stream.DEFINITION, event) for n, event in enumerate(added, 1)]
    store.append(rows, [])
    store.close()
    with duckdb.connect(path) as raw:
        applied = raw.execute("SELECT value FROM meta WHERE key = 'applied_gseq'").fetchall()
        assert applied == [("3",)], "rows that change no record are done with, too"
        # As after a crash before the projection.
        raw.execute("UPDATE meta SET value = '0' WHERE key = 'applied_gseq'").fetchall()
    with closing(open_store(path)) as again:
        found = again.recover()
        assert found.definitions == definitions
        assert (found.last_gseq, found.last_iid) == (3, 0)


def test_equal_large_values_are_kept_once(store: DuckDBStore) -> None:
    """A large value that goes from hand to hand takes its space once, over restarts too."""
    for iid in (1, 2):
        one(
            store,
            iid,
            iid * 3 - 2,
            started(f"i{iid}", input=LARGE),
            TaskScheduled(timestamp=NOW, task_id=1, name="fetch", input=LARGE),
            TaskCompleted(timestamp=NOW, task_id=1, result=LARGE),
        )
    store.project()
    assert answer(store, "SELECT size, codec FROM payloads").to_pylist() == [
        {"size": len(LARGE), "codec": "json"}
    ]


def test_who_purged_is_known_for_a_hundred_requests(path: Path) -> None:
    """Also after a restart; a request that deleted nothing is known, too."""
    with closing(open_store(path)) as store:
        store.recover()
        one(store, 1, 1, started("a"), done())
        store.purge([1], "first")
        assert store.purged("first") == 1
        assert store.purged("other") is None
        for number in range(100):
            store.purge([], f"r{number}")
    with closing(open_store(path)) as again:
        assert again.recover().last_gseq == 2
        assert again.purged("first") is None
        assert [again.purged(f"r{number}") for number in range(100)] == [0] * 100


def test_a_purged_instance_leaves_nothing(path: Path) -> None:
    """Rows, records and large values go; numbers are never used again; others stay."""
    store = open_store(path)
    store.recover()
    one(store, 1, 1, started("a", input=LARGE), done())
    kept = one(store, 2, 3, started("b"))
    store.project()
    one(store, 3, 4, started("c"), done())
    store.purge([1, 3, 0])
    assert store.find_many(["a", "b", "c"]) == {"b": kept}
    assert store.history(1) == store.history(3) == []
    assert answer(store, "FROM payloads").num_rows == 0
    store.close()
    with closing(open_store(path)) as again:
        found = again.recover()
        assert (found.last_gseq, found.last_iid, found.live) == (5, 3, [kept])
        one(again, 4, 6, started("d", input=LARGE))
        assert again.history(4)[0].event.input == LARGE  # type: ignore[union-attr]


def test_projecting_twice_writes_once(store: DuckDBStore, path: Path) -> None:
    """Without news, project leaves the files alone."""
    one(store, 1, 1, started("a"))
    store.project()
    size = Path(f"{path}.wal").stat().st_size
    store.project()
    assert Path(f"{path}.wal").stat().st_size == size


def test_a_checkpoint_empties_the_log_when_it_has_grown(store: DuckDBStore, path: Path) -> None:
    """A small log is left alone unless forced, and nothing is lost by emptying it."""
    one(store, 1, 1, started("a"))
    wal = Path(f"{path}.wal")
    store.checkpoint()
    assert wal.exists()
    store.checkpoint(force=True)
    assert not wal.exists()
    assert len(store.history(1)) == 1


def test_reads_from_several_threads_while_one_writes(store: DuckDBStore) -> None:
    """Readers see whole commits, and no read fails because of another."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def attempt(read: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                read()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    def whole_commits() -> None:
        assert len(store.history(1)) % 5 == 0

    reads = [
        whole_commits,
        lambda: store.find("a"),
        lambda: store.query(InstanceQuery()),
        lambda: answer(store, "SELECT count(*) FROM history"),
        lambda: store.checkpoint(force=True),
    ]
    threads = [threading.Thread(target=attempt, args=(read,)) for read in reads]
    for thread in threads:
        thread.start()
    record = record_of(history_of(1, 1, started("a")))
    for n in range(40):
        raised = EventRaised(timestamp=NOW, name="e")
        rows = [JournalRow(n * 5 + k, 1, n * 5 + k, Stream.HISTORY, raised) for k in range(1, 6)]
        store.append(rows, [record])
        store.project()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.history(1)) == 200


def test_killing_the_process_loses_no_acknowledged_row(path: Path) -> None:
    """After kill -9 in the middle of appends every acknowledged row is there, and no half one."""
    program = textwrap.dedent(f"""
        from datetime import datetime
        from ipydurable.runtime.core.events import EventRaised
        from ipydurable.runtime.ports import JournalRow, Stream
        from ipydurable.store import open_store
        store = open_store({str(path)!r})
        gseq = store.recover().last_gseq
        event = EventRaised(timestamp=datetime(2026, 1, 1), name="e", input='"x"')
        while True:
            rows = [JournalRow(gseq + n, 1, gseq + n, Stream.HISTORY, event) for n in (1, 2, 3)]
            store.append(rows, [])
            gseq += 3
            print(gseq, flush=True)
            if gseq % 30 == 0:
                store.project()
    """)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            printed = [process.stdout.readline() for _ in range(50)]
            process.kill()
            acknowledged = int((printed + process.stdout.readlines())[-1])
        with closing(open_store(path)) as store:
            found = store.recover()
            assert found.last_gseq >= acknowledged
            assert [row.gseq for row in store.history(1)] == list(range(1, found.last_gseq + 1))
            assert found.last_gseq % 3 == 0


def test_closing_twice_is_closing_once(path: Path) -> None:
    """A closed store can be closed again and opened again."""
    store = open_store(path)
    store.close()
    store.close()
    open_store(path).close()
