"""Which files are mutated, and which tests should notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["SUITES", "Suite", "files_of", "tests_of"]


class Suite(NamedTuple):
    """Files that are mutated, and the tests of them.

    Attributes:
        title: What is mutated, for people.
        files: Patterns of mutated files.
        tests: Patterns of tests.
        left_out: Ends of the ids of tests that are not used.
    """

    title: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()


SUITES = {
    "core": Suite(
        "The core",
        ("runtime/core/*.py",),
        (
            "tests/unit/test_core_*.py",
            "tests/unit/test_executor.py",
            "tests/unit/test_serialization.py",
            "tests/unit/test_engine_versions.py",
            "tests/unit/test_forms.py",
            "tests/unit/test_replaying.py",
            "tests/unit/test_rewinding*.py",
            "tests/unit/test_store_codec.py",
            "tests/docs/test_errors.py",
            "tests/conformance",
        ),
        left_out=(
            # The other ways run the same core.
            *("-duckdb]", "-evicted]", "-host]"),
            # Code that never waits is not interrupted while its lines are traced.
            "code_that_never_waits_is_interrupted-memory]",
        ),
    ),
    "commits": Suite(
        "The engine and what commits",
        (
            "runtime/deliveries.py",
            "runtime/engine.py",
            "runtime/journal.py",
            "store/codec.py",
            "store/duckdb_store.py",
            "store/journal_writer.py",
            "store/known_ids.py",
            "store/log_mark.py",
            "store/outputs.py",
            "store/payloads.py",
            "store/projections.py",
            "store/recovery.py",
        ),
        (
            "tests/unit/test_bulk_starts.py",
            "tests/unit/test_engine*.py",
            "tests/unit/test_entities.py",
            "tests/unit/test_files.py",
            "tests/unit/test_followers.py",
            "tests/unit/test_journal.py",
            "tests/unit/test_late_commits.py",
            "tests/unit/test_idle_entities.py",
            "tests/unit/test_limits.py",
            "tests/unit/test_long_turns.py",
            "tests/unit/test_output.py",
            "tests/unit/test_rewinding.py",
            "tests/unit/test_settling.py",
            "tests/unit/test_store_*.py",
            "tests/unit/test_stored_inputs.py",
            "tests/unit/test_trust.py",
        ),
        left_out=(
            # Reading thousands of rows a hundred times takes minutes while lines are traced.
            "test_nobody_runs_short_while_memory_is_given_back",
        ),
    ),
}


def files_of(root: Path, suite: Suite) -> list[str]:
    """Return the files that a suite mutates, from the root."""
    return sorted(
        str(path.relative_to(root)) for pattern in suite.files for path in root.glob(pattern)
    )


def tests_of(root: Path, suite: Suite) -> list[str]:
    """Return the files of a suite's tests, from the root."""
    found: list[Path] = []
    for pattern in suite.tests:
        for path in sorted(root.glob(pattern)):
            found.extend(sorted(path.glob("test_*.py")) if path.is_dir() else [path])
    return [str(path.relative_to(root)) for path in found]
