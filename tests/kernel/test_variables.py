"""`{variables}` in the lines of `%durable`, beside JSON and SQL."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ipydurable.arguments import ArgumentError
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.variables import expand_variables
from tests.kernel.shells import WAITS, Shell

NAMES: dict[str, Any] = {
    "city": "Zürich",
    "cities": ["Basel", "Zürich"],
    "order": {"id": 7, "paid": True, "note": None},
    "run": SimpleNamespace(instance_id="report-1"),
    "account": SimpleNamespace(entity_id=EntityInstanceId("Account", "alice")),
    "when": datetime(2026, 11, 21, 18),
    "path": Path("orders.duckdb"),
    "n": 3,
}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("show {run}", "show report-1"),
        ("show {run.instance_id}", "show report-1"),
        ("entity {account}", "entity @account@alice"),
        ("start report {cities}", 'start report ["Basel", "Zürich"]'),
        ('start report ["{city}"]', 'start report ["Zürich"]'),
        ("start report {order}", 'start report {"id": 7, "paid": true, "note": null}'),
        ("start report {cities[0]} --at {when}", "start report Basel --at 2026-11-21T18:00:00"),
        ("list --limit {n + 1}", "list --limit 4"),
        ("list --limit {len(cities)}", "list --limit 2"),
        ("open {path}", "open orders.duckdb"),
        ("show {{run}}", "show {run}"),
        ("show {unknown}", "show {unknown}"),
        ("sql SELECT {a: 1, n: 2}", "sql SELECT {a: 1, n: 2}"),
        ("sql SELECT {'n': 1}", "sql SELECT {'n': 1}"),
        ("sql SELECT * FROM history LIMIT {n}", "sql SELECT * FROM history LIMIT 3"),
        ('raise one go {"n": 5}', 'raise one go {"n": 5}'),
        ('raise one go {"a":{"b":{}}}', 'raise one go {"a":{"b":{}}}'),
        ("raise one go {}", "raise one go {}"),
        ('raise one go {"n": {n}}', 'raise one go {"n": 3}'),
    ],
)
def test_names_are_replaced_and_json_and_sql_are_left_alone(typed: str, meant: str) -> None:
    assert expand_variables(typed, NAMES) == meant


def test_an_expression_that_fails_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"\{cities\[7\]\} raises IndexError"):
        expand_variables("show {cities[7]}", NAMES)


def test_a_cell_may_name_a_handle_and_a_value(shell: Shell) -> None:
    shell.must(WAITS)
    shell.must("run = waits.start(instance_id='one'); data = {'ok': [1, 2]}")
    shell.must("%durable raise {run} go {data}")
    assert shell.must("run.result(30)") == {"ok": [1, 2]}
    assert shell.must("%durable history {run}")["instance_id"][0] == "one"
    shell.run("%durable show {data['no']}")
    assert shell.text.startswith("UsageError: {data['no']} raises KeyError: 'no'")


def test_many_are_started_from_a_variable_all_or_none(shell: Shell) -> None:
    shell.must("cities = [['Basel'], ['Bern', 'Chur']]")
    runs = shell.must("%durable start-many report {cities} --tag batch=a")
    assert [run.result(30) for run in runs] == [5, 8]
    assert shell.must("%durable wait {_[0]} --start") is not None
    assert len(shell.must("%durable list --tag batch=a")) == 2
    shell.run("%durable start-many report {cities[0][0]}")
    assert "UsageError" in shell.text
    shell.run('%durable start-many report {"city": "Basel"}')
    assert shell.text.startswith('UsageError: {"city": "Basel"} is no list')
