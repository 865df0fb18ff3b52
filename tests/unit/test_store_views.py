"""What the views show of attempts, timers, entities and locks, and how it becomes a DataFrame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest

from ipydurable.runtime.core.events import (
    AttemptLost,
    AttemptRecord,
    AttemptStarted,
    Event,
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationCaller,
    OperationDone,
    OperationRequested,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.records import Record, fold_record
from ipydurable.runtime.core.serialization import encode_json
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.frames import to_frame
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store
from ipydurable.store.columns import COLUMNS
from ipydurable.store.duckdb_store import DuckDBStore
from ipydurable.store.results import with_plain_types
from tests.support.answers import answer
from tests.unit.test_core_plain_json import VALUES

NOW = datetime(2026, 1, 2, 3, 4, 5)
LARGE = '"' + "x" * 70_000 + '"'
FAILURE = FailureDetails(error_type="builtins.ValueError", message="no such city")


def at(second: int) -> datetime:
    """Return a time."""
    return NOW + timedelta(seconds=second)


class Journal:
    """Writes rows as the engine would, and reads views."""

    def __init__(self, store: DuckDBStore) -> None:
        store.recover()
        self.store = store
        self.gseq = 0
        self.records: dict[int, Record] = {}

    def write(self, iid: int, *events: Event, ref: int = 0) -> int:
        """Append rows to a history or, messages to entities, to an inbox; returns the last one."""
        for event in events:
            self.gseq += 1
            is_message = isinstance(event, OperationRequested | LockRequested)
            before = self.records.get(iid)
            seq = 0 if is_message else (before.last_seq if before else 0) + 1
            record = fold_record(before, iid, seq, event)
            assert record is not None
            self.records[iid] = record
            stream = Stream.INBOX if is_message else Stream.HISTORY
            self.store.append([JournalRow(self.gseq, iid, seq, stream, event, ref)], [record])
        return self.gseq

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query as tuples."""
        return [tuple(row.values()) for row in answer(self.store, text).to_pylist()]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give the journal of an empty store."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        yield Journal(store)


def started(execution_id: str = "e1", second: int = 0) -> ExecutionStarted:
    """Return the first event of an execution."""
    return ExecutionStarted(
        timestamp=at(second), instance_id="a", execution_id=execution_id, name="report"
    )


def ended(second: int, status: RuntimeStatus) -> ExecutionCompleted:
    """Return the last event of an execution."""
    return ExecutionCompleted(timestamp=at(second), status=status)


def scheduled(second: int, task_id: int) -> TaskScheduled:
    """Return an event that schedules an activity."""
    return TaskScheduled(timestamp=at(second), task_id=task_id, name=f"fetch{task_id}")


def attempt(number: int, second: int, worker: str) -> AttemptRecord:
    """Return how an attempt that ended well or ill went."""
    return AttemptRecord(number=number, started_at=at(second), worker=worker)


def lost(second: int, task_id: int, number: int, worker: str = "") -> AttemptLost:
    """Return an event that says an attempt has no outcome."""
    return AttemptLost(
        timestamp=at(second), task_id=task_id, attempt=number, reason="died", worker=worker
    )


@pytest.mark.parametrize(("value", "shown"), VALUES)
def test_values_read_as_people_write_them(journal: Journal, value: Any, shown: str) -> None:
    """No tags of ours around numbers, dates and arguments; histories have what is replayed."""
    stored = encode_json(value, "input", lambda _: None)
    journal.write(1, msgspec.structs.replace(started(), input=stored))
    journal.write(1, msgspec.structs.replace(scheduled(1, 1), input=stored))

    assert journal.rows("SELECT input FROM instances") == [(shown,)]
    assert journal.rows("SELECT input FROM activities") == [(shown,)]
    assert journal.rows("SELECT payload FROM history WHERE task_id = 1") == [(stored,)]


ATTEMPTS = (
    "SELECT task_id, attempt, status, worker, scheduled_at, started_at, finished_at, reason "
    "FROM attempts ORDER BY task_id, attempt"
)


def test_each_attempt_is_a_row(journal: Journal) -> None:
    """A lost attempt is followed by another; the last says how the activity went."""
    journal.write(
        1,
        started(),
        scheduled(1, 1),
        scheduled(1, 2),
        scheduled(1, 3),
        lost(4, 1, 1, "process 7"),
        TaskCompleted(timestamp=at(9), task_id=1, attempt=attempt(2, 5, "process 8")),
        TaskFailed(timestamp=at(9), task_id=2, failure=FAILURE, attempt=attempt(1, 2, "thread 1")),
        lost(9, 3, 1),
    )
    assert journal.rows(ATTEMPTS) == [
        (1, 1, "lost", "process 7", at(1), None, at(4), "died"),
        (1, 2, "completed", "process 8", at(4), at(5), at(9), None),
        (2, 1, "failed", "thread 1", at(1), at(2), at(9), "no such city"),
        (3, 1, "lost", None, at(1), None, at(9), "died"),
        (3, 2, "running", None, at(9), None, None, None),
    ]
    assert journal.rows("SELECT DISTINCT instance_id, name FROM attempts ORDER BY name") == [
        ("a", "fetch1"),
        ("a", "fetch2"),
        ("a", "fetch3"),
    ]
    assert journal.rows("SELECT task_id, status, attempts FROM activities ORDER BY task_id") == [
        (1, "completed", 2),
        (2, "failed", 1),
        (3, "running", 2),
    ]


def test_an_opened_attempt_is_one_row(journal: Journal) -> None:
    """Where the next attempt is announced, it begins there and not twice."""
    journal.write(
        1,
        started(),
        scheduled(1, 1),
        lost(4, 1, 1),
        AttemptStarted(timestamp=at(5), task_id=1, attempt=2),
    )
    assert [row[:5] for row in journal.rows(ATTEMPTS)] == [
        (1, 1, "lost", None, at(1)),
        (1, 2, "running", None, at(5)),
    ]


def test_a_rewind_opens_another_attempt(journal: Journal) -> None:
    """A failure that was taken back stays visible as an attempt; the activity runs again."""
    journal.write(
        1,
        started(),
        scheduled(1, 1),
        scheduled(1, 2),
        TaskFailed(timestamp=at(2), task_id=1, failure=FAILURE),
        ended(3, RuntimeStatus.FAILED),
    )
    activities = "SELECT task_id, status, attempts, error FROM activities ORDER BY task_id"
    assert journal.rows(activities) == [
        (1, "failed", 1, "no such city"),
        (2, "abandoned", 1, None),
    ]
    # 9 is a sub-orchestration: it is no activity.
    journal.write(1, ExecutionRewound(timestamp=at(4), task_ids=(1, 9)), lost(4, 2, 1))
    assert journal.rows(activities) == [(1, "running", 2, None), (2, "running", 2, None)]
    assert journal.rows(
        "SELECT task_id, attempt FROM attempts WHERE status = 'running' ORDER BY 1"
    ) == [
        (1, 2),
        (2, 2),
    ]
    journal.write(
        1,
        TaskCompleted(timestamp=at(7), task_id=1, attempt=attempt(2, 5, "process 9")),
        ended(8, RuntimeStatus.COMPLETED),
    )
    assert journal.rows(activities) == [(1, "completed", 2, None), (2, "abandoned", 2, None)]
    assert [(*row[:3], row[4]) for row in journal.rows(ATTEMPTS)] == [
        (1, 1, "failed", at(1)),
        (1, 2, "completed", at(4)),
        (2, 1, "lost", at(1)),
        (2, 2, "abandoned", at(4)),
    ]


def test_timers_show_when_they_fire(journal: Journal) -> None:
    """Fired, pending, or left behind by an execution that has ended."""
    created = [
        TimerCreated(timestamp=at(1), task_id=1, fire_at=at(10)),
        TimerCreated(timestamp=at(1), task_id=2, fire_at=at(99), origin=7),
    ]
    fired = TimerFired(timestamp=at(11), task_id=1, fire_at=at(10))
    again = [ended(12, RuntimeStatus.CONTINUED_AS_NEW), started("e2", 12), created[0]]
    journal.write(1, started(), *created, fired, *again)
    columns = "task_id, created_at, fire_at, fired_at, status, retry_of"
    timers = f"SELECT {columns} FROM timers ORDER BY seq"
    assert journal.rows(timers) == [
        (1, at(1), at(10), at(11), "fired", None),
        (2, at(1), at(99), None, "abandoned", 7),
        (1, at(1), at(10), None, "pending", None),
    ]
    journal.write(1, ended(13, RuntimeStatus.TERMINATED))
    assert journal.rows(timers)[2][4] == "abandoned"


OWNER = LockOwner(instance_id="transfer", execution_id="e7", lock_id=2)
CALLER = OperationCaller(instance_id="transfer", execution_id="e7", task_id=3)


def request(second: int, **fields: Any) -> OperationRequested:
    """Return a message to an account."""
    given = {"operation": "deposit", **fields}
    return OperationRequested(timestamp=at(second), entity_id="@account@Al@ice", **given)


def test_operations_show_how_each_went(journal: Journal) -> None:
    """Done, failed, or still waiting: for the entity, or for their time."""
    called = journal.write(1, request(0, input=LARGE, caller=CALLER))
    signalled = journal.write(1, request(1, sender="@bank@x", scheduled_at=at(6), input="2"))
    journal.write(
        1,
        OperationDone(
            timestamp=at(5),
            operation="deposit",
            result="1",
            started_at=at(2),
            version="v1",
            sets_state=True,
            state=LARGE,
        ),
        ref=called,
    )
    failed = OperationDone(
        timestamp=at(9), operation="deposit", failure=FAILURE, started_at=at(8), version="v1"
    )
    journal.write(1, failed, ref=signalled)
    journal.write(1, request(10))
    journal.write(1, request(10, scheduled_at=datetime(2999, 1, 1)))
    found = journal.rows(
        "SELECT operation, length(input), result, status, sender, requested_at, started_at, "
        "finished_at, queued_s, duration, error, version, task_id "
        "FROM operations ORDER BY requested_at, scheduled_at NULLS FIRST"
    )
    times = [(at(0), at(2), at(5)), (at(1), at(8), at(9))]
    assert found == [
        ("deposit", 70_002, "1", "completed", "transfer", *times[0], 2.0, 3.0, None, "v1", 3),
        ("deposit", 1, None, "failed", "@bank@x", *times[1], 2.0, 1.0, "no such city", "v1", None),
        ("deposit", None, None, "queued", None, at(10), *[None] * 7),
        ("deposit", None, None, "scheduled", None, at(10), *[None] * 7),
    ]
    assert journal.rows("SELECT event_type, payload FROM history ORDER BY seq") == [
        ("OperationDone", "1"),
        ("OperationDone", None),
    ]
    assert journal.rows("FROM instances") == []


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ('{"balance":5}', '{"balance":5}'),
        (LARGE, LARGE),
        (None, None),
        (Blob(codec="dill", data=b"x"), None),
    ],
)
def test_entities_show_key_and_state(journal: Journal, state: Any, shown: str | None) -> None:
    """The state is JSON text wherever it is kept."""
    asked = journal.write(1, request(0))
    done = OperationDone(
        timestamp=at(1), operation="deposit", version="v1", sets_state=True, state=state
    )
    journal.write(1, done, ref=asked)
    lock = LockRequested(timestamp=at(2), entity_id="@account@Al@ice", owner=OWNER)
    journal.write(1, LockAcquired(timestamp=at(3), owner=OWNER), ref=journal.write(1, lock))
    journal.write(1, request(4))
    columns = "entity_id, name, key, state, version, pending, locked_by, locked_at, created_at"
    assert journal.rows(f"SELECT {columns}, updated_at FROM entities") == [
        ("@account@Al@ice", "account", "Al@ice", shown, "v1", 1, "transfer", at(3), at(0), at(4))
    ]


def test_locks_show_who_waited_and_who_held(journal: Journal) -> None:
    """One row per request: released, held, withdrawn or waiting."""
    for second, name in enumerate(["first", "left", "second", "third"]):
        owner = LockOwner(instance_id=name, execution_id="e", lock_id=second)
        asked = LockRequested(timestamp=at(second), entity_id="@account@a", owner=owner)
        number = journal.write(1, asked)
        if name == "first":
            journal.write(1, LockAcquired(timestamp=at(5), owner=owner), ref=number)
        elif name == "left":
            journal.write(1, LockWithdrawn(timestamp=at(6), owner=owner), ref=number)
        elif name == "second":
            journal.write(1, LockReleased(timestamp=at(8), owner=owner))
            journal.write(1, LockAcquired(timestamp=at(8), owner=owner), ref=number)
    found = journal.rows(
        "SELECT owner, requested_at, acquired_at, released_at, waited_s, held_s, status, task_id "
        "FROM locks WHERE entity_id = '@account@a' ORDER BY requested_at"
    )
    assert found == [
        ("first", at(0), at(5), at(8), 5.0, 3.0, "released", 0),
        ("left", at(1), None, None, None, None, "withdrawn", 1),
        ("second", at(2), at(8), None, 6.0, None, "held", 2),
        ("third", at(3), None, None, None, None, "waiting", 3),
    ]


def test_values_that_are_not_json_are_null(journal: Journal) -> None:
    """No view shows the bytes of a pickle as text."""
    blob = Blob(codec="dill", data=b"x", summary="a thing")
    event = ExecutionStarted(timestamp=NOW, instance_id="a", execution_id="e", name="o", input=blob)
    journal.write(1, event)
    assert journal.rows("SELECT input FROM instances") == [(None,)]


@pytest.mark.parametrize("view", COLUMNS)
def test_columns_are_those_that_are_documented(journal: Journal, view: str) -> None:
    """Names, order and types of every view stand in one place."""
    found = journal.rows(f"SELECT column_name, column_type FROM (DESCRIBE {view})")
    assert found == [(column.name, column.type) for column in COLUMNS[view]]


def test_every_view_is_documented(journal: Journal) -> None:
    """No view is left out, and none is documented that does not exist."""
    views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    assert {name for (name,) in journal.rows(views)} == COLUMNS.keys()


DTYPES = {
    "VARCHAR": "str",
    "INTEGER": "Int64",
    "BIGINT": "Int64",
    "DOUBLE": "float64",
    "BOOLEAN": "bool",
    "TIMESTAMP": "datetime64[us, UTC]",
}


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("view", COLUMNS)
def test_frames_have_the_documented_dtypes(journal: Journal, view: str, filled: bool) -> None:
    """Whether a column has values, some or none: its dtype is the same."""
    if filled:
        journal.write(1, started(), scheduled(1, 1), scheduled(2, 2))
        journal.write(1, TaskCompleted(timestamp=at(3), task_id=1, result="1"))
        journal.write(1, TimerCreated(timestamp=at(3), task_id=3, fire_at=at(4)))
        journal.write(2, request(1))
        journal.write(2, LockRequested(timestamp=at(2), entity_id="@account@a", owner=OWNER))
    found = to_frame(answer(journal.store, f"FROM {view}"))
    assert found.empty or filled
    documented = {column.name: DTYPES[column.type] for column in COLUMNS[view]}
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == documented


@pytest.mark.parametrize(
    ("expression", "dtype", "expected"),
    [
        ("sum(n)", "Int64", 3),
        ("sum(n + 9223372036854775800)", "float64", 2.0**64 - 13),
        ("1.5", "float64", 1.5),
        ("count(*)", "Int64", 2),
        ("max(t) - min(t)", "timedelta64[us]", pd.Timedelta(days=1, microseconds=5)),
        ("min(t) - max(t)", "timedelta64[us]", -pd.Timedelta(days=1, microseconds=5)),
        ("CASE WHEN count(*) > 9 THEN INTERVAL 1 DAY END", "timedelta64[us]", None),
        ("max(t)", "datetime64[us, UTC]", pd.Timestamp("2026-01-02 00:00:00.000005", tz="UTC")),
    ],
)
def test_results_are_numbers_and_durations(
    journal: Journal, expression: str, dtype: str, expected: Any
) -> None:
    """Sums, decimals and differences of times are not objects."""
    values = "(VALUES (1, TIMESTAMP '2026-01-01'), (2, '2026-01-02 00:00:00.000005')) v(n, t)"
    found = to_frame(answer(journal.store, f"SELECT {expression} AS x FROM {values}"))["x"]
    assert str(found.dtype) == dtype
    assert found[0] == expected if expected is not None else found.isna().all()


def test_a_column_of_durations_keeps_its_gaps(journal: Journal) -> None:
    """Missing ones stay missing, in every chunk; months, of no fixed length, stay as they are."""
    text = "SELECT CASE WHEN i % 2 = 0 THEN to_seconds(i) END AS x FROM range(5000) r(i)"
    table = answer(journal.store, text)
    assert table.column("x").type == pa.duration("us")
    expected = [timedelta(seconds=i) if i % 2 == 0 else None for i in range(5000)]
    assert table.column("x").to_pylist() == expected
    raw = pa.array([None, pa.MonthDayNano([0, 1, 5000])], pa.month_day_nano_interval())
    sliced = with_plain_types(pa.table({"x": raw}).slice(1))
    assert sliced.column("x").to_pylist() == [timedelta(days=1, microseconds=5)]
    months = answer(journal.store, "SELECT INTERVAL 1 MONTH AS x")
    assert months.column("x").type == pa.month_day_nano_interval()
