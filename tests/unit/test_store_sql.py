"""What SQL users see, and what they may not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ipydurable.runtime.core.errors import QueryError
from ipydurable.runtime.core.events import (
    AttemptRecord,
    AttemptStarted,
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.records import fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store
from ipydurable.store.duckdb_store import DuckDBStore
from tests.support.answers import answer

NOW = datetime(2026, 1, 2, 3, 4, 5)
LARGE = '"' + "x" * 70_000 + '"'
FAILURE = FailureDetails(error_type="builtins.ValueError", message="no such city")


def at(second: int) -> datetime:
    """Return a time."""
    return NOW + timedelta(seconds=second)


def task(second: int, task_id: int, **fields: Any) -> TaskScheduled:
    """Return an event that schedules an activity."""
    return TaskScheduled(timestamp=at(second), task_id=task_id, name="fetch", **fields)


def append(store: DuckDBStore, iid: int, gseq: int, *events: Event) -> None:
    """Append events as the whole history of an instance."""
    record = None
    rows = []
    for seq, event in enumerate(events, 1):
        rows.append(JournalRow(gseq + seq - 1, iid, seq, Stream.HISTORY, event))
        record = fold(record, iid, seq, event)
    assert record is not None
    store.append(rows, [record])


def started(execution_id: str = "e1", **fields: Any) -> ExecutionStarted:
    """Return the first event of an execution."""
    return ExecutionStarted(
        timestamp=NOW, instance_id="a", execution_id=execution_id, name="report", **fields
    )


def ended(second: int, status: RuntimeStatus, **fields: Any) -> ExecutionCompleted:
    """Return the last event of an execution."""
    return ExecutionCompleted(timestamp=at(second), status=status, **fields)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Give an empty store."""
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        yield store


def rows(store: DuckDBStore, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Return the rows of a query as tuples."""
    return [tuple(row.values()) for row in answer(store, text, parameters).to_pylist()]


def test_instances_show_input_output_and_duration(store: DuckDBStore) -> None:
    """One row per instance, with values read from wherever they are kept."""
    append(
        store,
        1,
        1,
        started(input=LARGE, tags={"team": "x"}),
        ended(3, RuntimeStatus.COMPLETED, result="[1]"),
    )
    found = rows(
        store,
        "SELECT instance_id, name, status, duration, length(input), output, error, "
        "tags->>'team', execution_id, last_seq FROM instances",
    )
    assert found == [("a", "report", "Completed", 3.0, len(LARGE), "[1]", None, "x", "e1", 2)]


def test_a_failed_instance_shows_its_error(store: DuckDBStore) -> None:
    """The message is a column of its own."""
    append(store, 1, 1, started(), ended(3, RuntimeStatus.FAILED, failure=FAILURE))
    assert rows(store, "SELECT status, error FROM instances") == [("Failed", "no such city")]


def test_history_begins_with_the_promised_columns(store: DuckDBStore) -> None:
    """The columns come in the order users know, the details to the right."""
    append(store, 1, 1, started(input="[1]"), task(1, 1, input=LARGE, version="v1"))
    table = answer(store, "SELECT * FROM history ORDER BY seq")
    assert table.column_names[:8] == [
        *("instance_id", "execution_id", "seq", "timestamp"),
        *("event_type", "name", "task_id", "payload"),
    ]
    assert [tuple(row.values())[:8] for row in table.to_pylist()] == [
        ("a", "e1", 1, NOW, "ExecutionStarted", "report", None, "[1]"),
        ("a", "e1", 2, at(1), "TaskScheduled", "fetch", 1, LARGE),
    ]
    assert rows(store, "SELECT details->>'version' FROM history WHERE seq = 2") == [("v1",)]


def test_each_event_belongs_to_its_execution(store: DuckDBStore) -> None:
    """After continue-as-new the execution id changes from the next start on."""
    append(
        store,
        1,
        1,
        started("e1"),
        ended(1, RuntimeStatus.CONTINUED_AS_NEW),
        started("e2"),
        task(2, 1),
    )
    found = rows(store, "SELECT execution_id FROM history WHERE instance_id = 'a' ORDER BY seq")
    assert found == [("e1",), ("e1",), ("e2",), ("e2",)]


def test_activities_show_how_each_task_went(store: DuckDBStore) -> None:
    """One row per scheduled activity, with its times, worker, attempts and outcome."""
    attempt = AttemptRecord(number=2, started_at=at(3), worker="process 7", version="v1")
    append(
        store,
        1,
        1,
        started(),
        task(1, 1, input='"Basel"', version="v1"),
        task(1, 2),
        task(1, 3, origin=2),
        TaskCompleted(timestamp=at(7), task_id=1, result="5", attempt=attempt),
        TaskFailed(timestamp=at(8), task_id=2, failure=FAILURE),
        AttemptStarted(timestamp=at(9), task_id=3, attempt=2),
    )
    found = rows(
        store,
        "SELECT task_id, status, queued_s, duration, attempts, worker, version, input, output, "
        "error, retry_of FROM activities ORDER BY task_id",
    )
    assert found == [
        (1, "completed", 2.0, 4.0, 2, "process 7", "v1", '"Basel"', "5", None, None),
        (2, "failed", None, 7.0, 1, None, None, None, None, "no such city", None),
        (3, "running", None, None, 2, None, None, None, None, None, 2),
    ]
    times = "SELECT scheduled_at, started_at, finished_at FROM activities WHERE task_id = 1"
    assert rows(store, times) == [(at(1), at(3), at(7))]
    assert rows(store, "SELECT name, avg(duration) FROM activities GROUP BY name") == [
        ("fetch", 5.5)
    ]


def test_tasks_of_another_execution_are_others(store: DuckDBStore) -> None:
    """Action ids begin anew in each execution; what an ended one left open was abandoned."""
    append(
        store,
        1,
        1,
        started("e1"),
        task(1, 1),
        ended(2, RuntimeStatus.CONTINUED_AS_NEW),
        started("e2"),
        task(3, 1),
        TaskCompleted(timestamp=at(4), task_id=1),
    )
    found = rows(store, "SELECT execution_id, status FROM activities ORDER BY seq")
    assert found == [("e1", "abandoned"), ("e2", "completed")]


def test_the_last_outcome_of_a_rewound_activity_counts(store: DuckDBStore) -> None:
    """An activity that failed and was run again after a rewind is one row."""
    append(
        store,
        1,
        1,
        started(),
        task(1, 1),
        TaskFailed(timestamp=at(2), task_id=1, failure=FAILURE),
        TaskCompleted(timestamp=at(3), task_id=1, result="5"),
    )
    assert rows(store, "SELECT status, output, error FROM activities") == [("completed", "5", None)]


def test_definitions_show_every_version(store: DuckDBStore) -> None:
    """Kind, name, version and source are readable."""
    added = Definition(
        kind=Kind.ACTIVITY,
        name="fetch",
        version="v1",
        number=1,
        epoch=4,
        source="def fetch(): ...",
        package=CodePackage(entry="fetch"),
        created_at=NOW,
    )
    event = DefinitionAdded(timestamp=at(1), definition=added)
    store.append([JournalRow(1, 0, 0, Stream.DEFINITION, event)], [])
    found = rows(
        store,
        "SELECT kind, name, version, number, epoch, added_at, created_at, source FROM definitions",
    )
    assert found == [("activity", "fetch", "v1", 1, 4, at(1), NOW, "def fetch(): ...")]


def test_a_blob_shows_what_it_is(store: DuckDBStore) -> None:
    """A value that is not JSON has no payload text, and its summary is in the details."""
    blob = Blob(codec="arrow", data=b"\x00\x01", summary="DataFrame 2 x 3")
    append(store, 1, 1, started(input=blob))
    found = rows(store, "SELECT payload, details->>'codec', details->>'summary' FROM history")
    assert found == [(None, "arrow", "DataFrame 2 x 3")]


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("SELECT ?::INT + 1 AS n", [1]),
        ("SELECT $a::INT + 1 AS n", {"a": 1}),
        ("SELECT 2 AS n", None),
    ],
)
def test_queries_take_parameters(store: DuckDBStore, text: str, parameters: Any) -> None:
    """Placeholders by place and by name."""
    assert answer(store, text, parameters).to_pylist() == [{"n": 2}]


@pytest.mark.parametrize(
    "text",
    [
        "FROM instances",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x;",
        "VALUES (1)",
        "DESCRIBE instances",
        "SHOW TABLES",
        "SUMMARIZE instances",
        "EXPLAIN SELECT * FROM instances",
        "-- a remark\nSELECT 1",
        "SELECT now()",
    ],
)
def test_everything_that_reads_is_allowed(store: DuckDBStore, text: str) -> None:
    """Also DuckDB's shorter forms."""
    assert answer(store, text).num_columns >= 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DELETE FROM journal", "Only queries that read .* DELETE"),
        ("SELECT 1; DROP TABLE journal", "One query at a time"),
        ("", "One query at a time"),
        ("WITH x AS (DELETE FROM journal RETURNING gseq) SELECT * FROM x", "read-only"),
        ("EXPLAIN ANALYZE DELETE FROM journal", "can be explained"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'", "can be explained"),
        ("FROM force_checkpoint()", "Only queries that read"),
        ("COPY journal TO 'x.csv'", "Only queries that read"),
        ("ATTACH 'x.duckdb'", "Only queries that read"),
        ("SET threads = 2", "Only queries that read"),
        ("CHECKPOINT", "Only queries that read"),
        ("PRAGMA version", "Only queries that read"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", "nowhere does not exist"),
        ("SELECT * FROM store", "store does not exist"),
        ("SELECT 'x'::INT", "Could not convert"),
        ("SELECT ?", "parameter"),
    ],
)
def test_everything_else_is_refused_with_its_reason(
    store: DuckDBStore, text: str, reason: str
) -> None:
    """The error says which rule or what DuckDB says, and nothing was changed."""
    append(store, 1, 1, started())
    with pytest.raises(QueryError, match=reason) as caught:
        answer(store, text)
    assert caught.value.query == text
    assert len(store.history(1)) == 1
    append(store, 2, 2, started())


def test_sql_sees_what_was_just_appended(store: DuckDBStore) -> None:
    """Without a projection in between, views and table are as of the last append."""
    append(store, 1, 1, started())
    count = "SELECT count(*) FROM instances JOIN history USING (instance_id)"
    assert rows(store, count) == [(1,)]
    store.append([JournalRow(2, 1, 2, Stream.HISTORY, task(1, 1))], [])
    assert rows(store, count) == [(2,)]
