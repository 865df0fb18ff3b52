"""`make mutants`: change the code in one place at a time, and see whether the tests notice.

What is found is printed; a run of all files of a suite also rewrites its section in
`tests/reports/mutants.md`.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import platform
import shlex
import sys
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .making import Mutant, make_mutants
from .outcomes import Outcomes
from .reporting import Tally, joined, section, verdict_on
from .running import Measured, Tests, run_session
from .suites import SUITES, files_of, tests_of

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "tests/reports/mutants.md"
OUTCOMES = ROOT / "build/mutants.jsonl"
JUDGED = Path(__file__).with_name("judged.toml")
GOAL = 0.95


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


def _file(test: str) -> str:
    return test.partition("::")[0]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="patterns, or names of suites; without, all")
    parser.add_argument("--sample", type=int, default=0, help="so many of each file; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--whole", nargs="+", default=[], help="patterns of files of which all are tried anyhow"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests a mutant")
    parser.add_argument("--line", type=int, help="only those that begin in this line")
    parser.add_argument(
        "--survivors",
        action="store_true",
        help="do not try again what earlier runs, of the same functions, found to be noticed",
    )
    return parser.parse_args()


class Run:
    """One run of the command: what was chosen, and what came of it.

    Args:
        options: The command's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._judged = tomllib.loads(JUDGED.read_text(encoding="utf-8"))
        self._outcomes = Outcomes(OUTCOMES)
        self.tallies: list[Tally] = []

    def try_suite(self, name: str) -> None:
        """Try the mutants of a suite's chosen files; its part of the report needs all files."""
        suite = SUITES[name]
        everything = files_of(ROOT, suite)
        chosen = self._options.files or [name]
        files = [
            path
            for path in everything
            if name in chosen or any(fnmatch.fnmatch(path, pattern) for pattern in chosen)
        ]
        if not files:
            return
        began = time.monotonic()
        tallies: list[Tally] = []
        work = functools.partial(self._try_files, files, tallies)
        run_session(ROOT, tests_of(ROOT, suite), suite.left_out, work)
        self.tallies += tallies
        text = section(suite, self._how(time.monotonic() - began, tallies), tallies)
        sys.stdout.write(text)
        if files == everything and self._options.line is None:
            known = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
            REPORT.write_text(joined(known, text), encoding="utf-8")

    def _how(self, took: float, tallies: Sequence[Tally]) -> str:
        """Return when and how it was run, for the report."""
        options = self._options
        command = f"make mutants ARGS={shlex.quote(shlex.join(sys.argv[1:]))}"
        chosen = f"{options.sample} of each file, seed {options.seed}" if options.sample else "all"
        if options.whole:
            chosen += f", but all of {', '.join(options.whole)}"
        known = sum(one.known for one in tallies)
        earlier = (
            f" Earlier runs, of the same functions, had noticed {known} of them." if known else ""
        )
        return (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, "
            f"{took / 60:.0f} minutes: `{command}`\n\nMutants tried: {chosen}.{earlier}"
        )

    def _try_files(self, files: Sequence[str], tallies: list[Tally], tests: Tests) -> None:
        measured = tests.measure(files)
        tallies.extend(self._try_file(path, tests, measured) for path in files)

    def _try_file(self, path: str, tests: Tests, measured: Measured) -> Tally:
        options = self._options
        is_whole = any(fnmatch.fnmatch(path, pattern) for pattern in options.whole)
        sample = 0 if is_whole else options.sample
        chosen, made = make_mutants(ROOT, path, sample, options.seed)
        if options.line is not None:
            chosen = [mutant for mutant in chosen if mutant.line == options.line]
        tally = Tally(path, made, len(chosen))
        if options.survivors:
            known = {mutant: self._outcomes.noticed_by(mutant) for mutant in chosen}
            for mutant, noticed_by in known.items():
                if noticed_by:
                    tally.add(mutant, noticed_by, "")
            tally.known = tally.noticed
            chosen = [mutant for mutant, noticed_by in known.items() if not noticed_by]
        for mutant, noticed_by in tests.try_all(
            iter(chosen),
            lambda mutant, wide: tests_for(mutant, measured, options.budget, wide),
            measured.seconds,
            options.processes,
        ):
            self._outcomes.add(mutant, noticed_by)
            tally.add(mutant, noticed_by, verdict_on(mutant, self._judged))
            sys.stderr.write(
                f"{mutant.path}:{mutant.line} {mutant.function}\n"
                f"  - {mutant.removed}\n  + {mutant.added}\n  {noticed_by or 'UNNOTICED'}\n"
            )
        return tally


def main() -> int:
    """Try the mutants and report; returns 1 where too few of a suite were noticed."""
    run = Run(_options())
    for name in SUITES:
        run.try_suite(name)
    noticed = sum(one.noticed for one in run.tallies)
    unnoticed = sum(one.unnoticed for one in run.tallies)
    return int(noticed < GOAL * (noticed + unnoticed))


if __name__ == "__main__":
    sys.exit(main())
