"""Lists and the dashboard in plain IPython: tables of text, and DataFrames as values."""

from __future__ import annotations

from typing import Any

from tests.kernel.shells import Shell


def test_a_terminal_shows_tables_of_text_and_the_values_stay_dataframes(shell: Shell) -> None:
    shell.must("run = report.start(['Basel'], instance_id='told')\nrun.result(60)")
    listed = shell.must("%durable list")
    assert list(listed["instance_id"]) == ["told"]
    lines = _shown(shell, listed).splitlines()
    assert lines[0].split() == [
        "instance",
        "orchestrator",
        "status",
        "created",
        "(UTC)",
        "took",
        "note",
    ]
    assert "✓ Completed" in lines[2]
    assert _shown(shell, shell.must("%durable entities")) == "no entities"
    board = _shown(shell, shell.must("%durable dashboard"))
    assert "✓ 1 Completed" in board
    assert "workers" in board
    assert max(len(line) for line in board.splitlines()) <= 120


def _shown(shell: Shell, value: Any) -> str:
    """Return what a terminal prints for the value of a line."""
    data, _ = shell.ip.display_formatter.format(value)
    return data["text/plain"]
