"""The table of promises names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_a_test_that_exists() -> None:
    """Every row but the headings names at least one, by file and function."""
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    promises = [row for row in rows if not row.startswith("| **")]
    assert len(promises) > len(rows) // 2
    for row in promises:
        named = _NAMED.findall(row)
        assert named, row
        for file, function in named:
            assert function in _functions(ROOT / file), row
