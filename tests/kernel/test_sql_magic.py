"""`%durable sql`: bound variables, named answers, completion, interrupts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter

from ipydurable.arguments import ArgumentError
from ipydurable.runtime.testing import MemoryStore
from ipydurable.sql_command import bind_variables
from ipydurable.sql_completion import complete_sql
from ipydurable.store import open_store
from tests.kernel.shells import Kernel, Shell
from tests.processes.sources import wait_until
from tests.support.answers import answer

NAMES = {
    "city": "Ba'sel",
    "n": 3,
    "rows": [1, 2],
    "when": datetime(2026, 1, 2, 4, tzinfo=timezone(timedelta(hours=1))),
    "day": date(2026, 1, 2),
    "age": timedelta(minutes=1),
    "column": 'na"me',
    "frame": pd.Series([1, 2]),
    "thing": object(),
}


@pytest.mark.parametrize(
    ("text", "query", "parameters"),
    [
        ("a = {city}", "a = $city", {"city": "Ba'sel"}),
        ("a = {n + 1}", "a = $value_0", {"value_0": 4}),
        ("a IN {rows}", "a IN $rows", {"rows": [1, 2]}),
        ("a IN {frame}", "a IN $frame", {"frame": [1, 2]}),
        ("t > {when}", "t > $when::TIMESTAMP", {"when": "2026-01-02T03:00:00"}),
        ("t > {day}", "t > $day::DATE", {"day": "2026-01-02"}),
        ("t > {age}", "t > to_microseconds($age)", {"age": 60_000_000}),
        ("a LIKE '{city}%'", "a LIKE 'Ba''sel%'", {}),
        ('ORDER BY "{column}"', 'ORDER BY "na""me"', {}),
        ("{'a': 1} -- {gone}", "{'a': 1} -- {gone}", {}),
        ("'{not python!}'", "'{not python!}'", {}),
    ],
)
def test_variables_become_values(text: str, query: str, parameters: dict[str, Any]) -> None:
    assert bind_variables(text, NAMES) == (query, parameters)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{citi}", r"no variable citi \(did you mean 'city'"),
        ("{thing}", "of type object"),
        ("{n / 0}", "ZeroDivisionError"),
        ("{list((1, day))}", "several types"),
    ],
)
def test_what_is_no_value_is_told(text: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        bind_variables(text, NAMES)


def test_bound_values_arrive_as_they_were(tmp_path: Path) -> None:
    names = {**NAMES, "when": datetime(2026, 1, 2, 3, tzinfo=UTC), "none": None}
    text = """SELECT {city} AS city, 2 IN {rows} AS is_in, {when} + {age} AS later, {day} AS day,
        {none} IS NULL AS missing, 3 = ANY({rows}) AS is_any"""
    store = open_store(tmp_path / "s.duckdb")
    store.recover()
    (row,) = answer(store, *bind_variables(text, names)).to_pylist()
    store.close()
    assert row == {
        "city": "Ba'sel",
        "is_in": True,
        "later": datetime(2026, 1, 2, 3, 1),
        "day": date(2026, 1, 2),
        "missing": True,
        "is_any": False,
    }


def test_an_answer_can_have_a_name(shell: Shell) -> None:
    shell.must(
        'run = report.start(["Basel", "Genf"], instance_id="named")\nrun.result(60)\npart = "Basel"'
    )
    shell.must(
        "%%durable sql --as found\nSELECT name, duration\nFROM activities\n"
        "WHERE instance_id = {run} AND input LIKE '%{part}%'"
    )
    assert "found · 1 rows, 2 columns" in " ".join(shell.text.split())
    assert shell.ip.user_ns["found"]["name"].tolist() == ["fetch"]


def test_a_bad_query_points_at_its_place(shell: Shell) -> None:
    shell.run("%durable sql SELECT nme FROM activities WHERE name = {str(2)}")
    assert "LINE 1: SELECT nme FROM" in shell.text
    assert "^^^" in shell.text
    shell.run(
        "%durable sql --timeout 100ms SELECT count(*) FROM range(9999999) a, range(9999999) b"
        " WHERE a.range % 7 = b.range % 5"
    )
    assert "longer than 0.1 s" in shell.text
    shell.run("%durable sql --as 1x SELECT 1")
    assert "no name of a variable" in shell.text


@pytest.mark.parametrize(
    ("before", "typed", "some"),
    [
        ("SELECT * FROM act", "act", ["activities"]),
        ("SELECT * FROM activities JOIN ", "", ["attempts", "payload("]),
        ("SELECT * FROM activities WHERE wor", "wor", ["worker"]),
        ("SELECT * FROM activities a, attempts b WHERE b.reas", "b.reas", ["b.reason"]),
        ("SELECT name FROM activities GRO", "GRO", ["GROUP BY"]),
        ("SELECT sta", "sta", ["status", "started_at"]),
    ],
)
def test_tables_and_columns_are_completed(before: str, typed: str, some: list[str]) -> None:
    word, found = complete_sql(before, before)
    assert word == typed
    assert set(some) <= set(found)


def test_columns_of_another_table_are_not_offered() -> None:
    assert complete_sql("SELECT fire", "SELECT fire FROM activities") == ("fire", [])
    assert complete_sql("SELECT fire", "SELECT fire FROM timers") == (
        "fire",
        ["fire_at", "fired_at"],
    )


def test_lines_and_cells_are_completed_in_the_shell(shell: Shell) -> None:
    line, cell = "%durable sql SELECT work", "%%durable sql\nSELECT wai\nFROM locks"
    with provisionalcompleter():
        in_line = [one.text for one in shell.ip.Completer.completions(line, len(line))]
        in_cell = [one.text for one in shell.ip.Completer.completions(cell, cell.index("\nFROM"))]
    assert "worker" in in_line
    assert in_cell[:1] == ["waited_s"]


def test_an_interrupt_ends_the_query_in_the_host_too(kernel: Kernel, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def interrupt() -> None:
        wait_until(begun.exists)
        kernel.manager.interrupt_kernel()

    endless = "SELECT count(*) FROM range(9999999) a, range(9999999) b WHERE a.range%7=b.range%5"
    cell = f"import pathlib; pathlib.Path({str(begun)!r}).touch()\n%durable sql {endless}"
    (error,) = kernel.run(cell, meanwhile=interrupt)
    assert error["ename"] == "KeyboardInterrupt"
    # Both of the host's threads for queries are free again.
    for _ in range(2):
        (error,) = kernel.run(f"%durable sql --timeout 1s {endless}")
        assert "longer than 1 s" in error["evalue"]


def test_a_memory_store_says_that_it_has_no_sql() -> None:
    with pytest.raises(Exception, match="no SQL"):
        MemoryStore().sql("SELECT 1")
