"""The pure core is tested on its own, and completely: every line, and every way out of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ROOT / "runtime" / "core"
TESTS = (
    *ROOT.glob("tests/unit/test_core_*.py"),
    ROOT / "tests" / "unit" / "test_executor.py",
    ROOT / "tests" / "unit" / "test_serialization.py",
)


def test_the_tests_of_the_core_take_every_branch_of_it(tmp_path: Path) -> None:
    """In a process of its own: here the core was imported, and driven by all else, before."""
    report, settings = tmp_path / "coverage.json", tmp_path / "coveragerc"
    settings.write_text(f"[run]\nbranch = True\ninclude = {CORE}/*\n")
    measure = [sys.executable, "-m", "coverage"]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, sorted(TESTS))]
    # As in CI: generated examples are the same each time, and so are the branches they take.
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "data"), "CI": "1"}
    for command in (
        [*measure, "run", f"--rcfile={settings}", *tests],
        [*measure, "json", f"--rcfile={settings}", "-q", "-o", str(report)],
    ):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    files = json.loads(report.read_text())["files"]
    measured = {(ROOT / path).name for path in files}
    assert measured == {path.name for path in CORE.glob("*.py")}
    missed = {
        path: (found["missing_lines"], found["missing_branches"])
        for path, found in files.items()
        if found["missing_lines"] or found["missing_branches"]
    }
    assert missed == {}
