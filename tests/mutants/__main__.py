"""`make mutants`: change the code in one place at a time, and see whether the tests notice."""

from __future__ import annotations

import argparse
import fnmatch
import functools
import math
import sys
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from .making import Mutant, make_mutants
from .running import Measured, Tests, run_session
from .suites import SUITES, Suite, files_of, tests_of

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "tests/reports/mutants.md"
JUDGED = Path(__file__).with_name("judged.toml")
GOAL = 0.95


class Survivor(NamedTuple):
    """A mutant that no test noticed, and why that is right; empty where it is not."""

    mutant: Mutant
    verdict: str


class Tally:
    """What became of the mutants of one file."""

    def __init__(self, path: str, made: int, tried: int) -> None:
        self.path = path
        self.made = made
        self.tried = tried
        self.noticed = 0
        self.timeouts = 0
        self.survivors: list[Survivor] = []

    @property
    def equivalent(self) -> int:
        """How many survivors do what the code does."""
        return sum(bool(one.verdict) for one in self.survivors)

    def row(self) -> str:
        """Return the file's row of the report."""
        unnoticed = len(self.survivors) - self.equivalent
        found = self.noticed, self.timeouts, self.equivalent, unnoticed
        return _row(self.path, self.made, self.tried, *found)


def verdict_on(mutant: Mutant, judged: dict[str, list[dict[str, str]]]) -> str:
    """Return why a mutant does what the code does; empty where nobody has judged so."""
    change = mutant.function, mutant.removed, mutant.added
    for one in judged.get(mutant.path, []):
        if (one["function"], one["code"], one["mutant"]) == change:
            return one["why"]
    return ""


def tests_for(mutant: Mutant, measured: Measured, budget: float, wide: bool) -> list[str]:
    """Return tests that run what a mutant changes: quick files first, in them quick tests.

    As many as fit into a budget of seconds, and the first file's in any case.

    Args:
        mutant: What is to be noticed.
        measured: What the tests do without it.
        budget: How many seconds they may take.
        wide: Whether to take all tests of those files, as some may look at what their module
            made on import.
    """
    lines = measured.covering[mutant.path]
    files: dict[str, list[str]] = {}
    for test in {test for line in mutant.lines for test in lines.get(line, ())}:
        files.setdefault(_file(test), []).append(test)
    if wide:
        everything = [test for test in measured.seconds if _file(test) in files]
        files = {path: [one for one in everything if _file(one) == path] for path in files}
    ordered = sorted(files.values(), key=lambda tests: sum(map(measured.seconds.get, tests)))
    chosen: list[str] = []
    for tests in ordered:
        for test in sorted(tests, key=lambda test: (measured.seconds[test], test)):
            if budget > 0 or tests is ordered[0]:
                chosen.append(test)
                budget -= measured.seconds[test]
    return chosen


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson)."""
    if not whole:
        return 0.0, 1.0
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return (middle - reach) / (1 + z * z / whole), (middle + reach) / (1 + z * z / whole)


def report(tallies: Sequence[Tally], options: argparse.Namespace, took: float) -> str:
    """Return the report as Markdown."""
    noticed = sum(one.noticed for one in tallies)
    survivors = [survivor for one in tallies for survivor in one.survivors]
    unjudged = [one for one in survivors if not one.verdict]
    counted = noticed + len(unjudged)
    low, high = interval(noticed, counted)
    sample = f"{options.sample} of each file, seed {options.seed}" if options.sample else "all"
    head = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {sys.version.split()[0]}"
    score = f"{noticed} of {counted} that are not equivalent were noticed: "
    made, tried, timeouts = (
        sum(getattr(one, name) for one in tallies) for name in ("made", "tried", "timeouts")
    )
    lines = [
        "# Report of `make mutants`",
        "",
        f"{head}, {took:.0f} s, mutants tried: {sample}",
        "",
        f"**{score}{_percent(noticed, counted)}** (95 % confidence: {low:.1%} to {high:.1%})",
        "",
        "| file | mutants | tried | noticed | of these timeouts | equivalent | unnoticed | score |",
        "|---|---|---|---|---|---|---|---|",
        *(one.row() for one in tallies if one.tried),
        _row("all", made, tried, noticed, timeouts, len(survivors) - len(unjudged), len(unjudged)),
        "",
        "## Survivors",
    ]
    for mutant, verdict in sorted(survivors, key=lambda one: (bool(one.verdict), one.mutant)):
        place = f"`{mutant.path}:{mutant.line}` {mutant.function}"
        said = f"equivalent: {verdict}" if verdict else "**unnoticed**"
        diff = ["```diff", f"- {mutant.removed}", f"+ {mutant.added}", "```"]
        lines += ["", f"{place}: {said}", "", *diff]
    return "\n".join([*lines, ""])


def _row(what: str, *counts: int) -> str:
    *_, noticed, _timeouts, _equivalent, unnoticed = counts
    cells = (what, *counts, _percent(noticed, noticed + unnoticed))
    return "| " + " | ".join(map(str, cells)) + " |"


def _file(test: str) -> str:
    return test.partition("::")[0]


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="patterns; all files of the suites without")
    parser.add_argument("--sample", type=int, default=0, help="so many of each file; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests a mutant")
    parser.add_argument("--line", type=int, help="only those that begin in this line")
    return parser.parse_args()


class Run:
    """One run of the command: what was chosen, and what became of it so far.

    Args:
        options: The command's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._judged = tomllib.loads(JUDGED.read_text(encoding="utf-8"))
        self._began = time.monotonic()
        self.tallies: list[Tally] = []

    def try_suite(self, suite: Suite) -> None:
        """Try the mutants of a suite's chosen files."""
        chosen = self._options.files or ["*"]
        files = [
            path
            for path in files_of(ROOT, suite)
            if any(fnmatch.fnmatch(path, pattern) for pattern in chosen)
        ]
        if files:
            work = functools.partial(self._try_files, files)
            run_session(ROOT, tests_of(ROOT, suite), suite.left_out, work)

    def _try_files(self, files: Sequence[str], tests: Tests) -> None:
        measured = tests.measure(files)
        for path in files:
            self._try_file(path, tests, measured)
            took = time.monotonic() - self._began
            REPORT.parent.mkdir(exist_ok=True)
            REPORT.write_text(report(self.tallies, self._options, took), encoding="utf-8")

    def _try_file(self, path: str, tests: Tests, measured: Measured) -> None:
        options = self._options
        chosen, made = make_mutants(ROOT, path, options.sample, options.seed)
        if options.line is not None:
            chosen = [mutant for mutant in chosen if mutant.line == options.line]
        tally = Tally(path, made, len(chosen))
        self.tallies.append(tally)
        for mutant, noticed_by in tests.try_all(
            iter(chosen),
            lambda mutant, wide: tests_for(mutant, measured, options.budget, wide),
            measured.seconds,
            options.processes,
        ):
            tally.noticed += bool(noticed_by)
            tally.timeouts += noticed_by == "timeout"
            if not noticed_by:
                tally.survivors.append(Survivor(mutant, verdict_on(mutant, self._judged)))
            sys.stderr.write(
                f"{mutant.path}:{mutant.line} {mutant.function}\n"
                f"  - {mutant.removed}\n  + {mutant.added}\n  {noticed_by or 'UNNOTICED'}\n"
            )


def main() -> int:
    """Try the mutants and write the report; returns 1 where too few were noticed."""
    run = Run(_options())
    for suite in SUITES.values():
        run.try_suite(suite)
    sys.stdout.write(REPORT.read_text(encoding="utf-8"))
    noticed = sum(one.noticed for one in run.tallies)
    unnoticed = sum(len(one.survivors) - one.equivalent for one in run.tallies)
    return int(noticed < GOAL * (noticed + unnoticed))


if __name__ == "__main__":
    sys.exit(main())
