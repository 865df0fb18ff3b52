"""How rows get into the journal: whatever they hold, and whichever way they take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipydurable.store.codec import JournalColumns
from ipydurable.store.journal_writer import JournalWriter
from ipydurable.store.schema import TABLES_V1

_COUNTS = st.integers(min_value=0, max_value=2**63 - 1)
_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
_TIMES = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9999, 12, 31))
_ROWS: st.SearchStrategy[JournalColumns] = st.tuples(
    _COUNTS,
    _COUNTS,
    st.integers(min_value=0, max_value=2**31 - 1),
    _TIMES,
    _TEXTS,
    _TEXTS,
    st.none() | _TEXTS,
    st.none() | st.integers(min_value=0, max_value=2**31 - 1),
    _COUNTS,
    st.none() | _TEXTS,
    st.none() | _TEXTS,
    st.none() | _TEXTS,
    st.none() | st.binary(max_size=20),
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute(TABLES_V1[0]).fetchall()
        yield made


def _stored(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM journal ORDER BY rowid").fetchall()


@given(batches=st.lists(st.lists(_ROWS, min_size=1, max_size=5), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_rows_are_stored_exactly(
    connection: duckdb.DuckDBPyConnection, batches: list[list[JournalColumns]]
) -> None:
    connection.execute("DELETE FROM journal").fetchall()
    writer = JournalWriter(connection.cursor())
    for rows in batches:
        writer.append(rows)
    writer.close()
    assert _stored(connection) == [row for rows in batches for row in rows]


@pytest.mark.parametrize(
    "text", ["'); DROP TABLE journal; --", "a''b", "$1", "\\u0000\x00", "a\u00a0b", "\\"]
)
def test_text_that_looks_like_sql_is_only_text(
    connection: duckdb.DuckDBPyConnection, text: str
) -> None:
    row = (1, 1, 1, datetime(2026, 1, 1), text, text, text, 1, 0, text, text, text, None)
    writer = JournalWriter(connection.cursor())
    writer.append([row])
    writer.close()
    assert _stored(connection) == [row]


def test_a_batch_too_large_for_one_text_is_stored_too(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    payload = "x" * 60_000
    rows: list[JournalColumns] = [
        (n, 1, n, datetime(2026, 1, 1), "s", "k", None, None, 0, payload, None, None, None)
        for n in range(100)
    ]
    writer = JournalWriter(connection.cursor())
    writer.append(rows)
    writer.append([(100, *rows[0][1:])])
    writer.close()
    assert _stored(connection) == [*rows, (100, *rows[0][1:])]


def test_only_a_batch_with_too_much_text_takes_the_appender(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement is quicker, but its parser makes copies of the text."""
    monkeypatch.setattr("ipydurable.store.journal_writer._MAX_TEXT", 1_000)
    short = (1, 1, 1, datetime(2026, 1, 1), "s", "k", None, None, 0, "x", None, None, None)
    long = (2, *short[1:9], "x" * 1_000, None, None, None)
    writer = JournalWriter(connection.cursor())
    writer.append([short])
    assert writer._appender is None
    writer.append([long])
    assert writer._appender is not None
    writer.close()
    assert _stored(connection) == [short, long]


def test_rows_that_do_not_fit_are_refused_whole(connection: duckdb.DuckDBPyConnection) -> None:
    good = (1, 1, 1, datetime(2026, 1, 1), "s", "k", None, None, 0, None, None, None, None)
    bad = (2, 1, 2**40, *good[3:])
    writer = JournalWriter(connection.cursor())
    with pytest.raises(duckdb.Error):
        writer.append([good, bad])
    writer.close()
    assert _stored(connection) == []
