"""`make proof`: the long forms of the tests behind the promises, and a report of what was run."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.processes.doomed_host import ENDING, RUNNING, STARTING

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "tests/reports/proof.md"
# What came of each part when it was last run: the report is made of these.
OUTCOMES = ROOT / "tests/reports/proof.json"
TIMEOUT_S = 7200
# Of all rounds of kills: so many end hosts at a named point, workers under load, kernels, a bank.
POINTS, WORKERS, KERNELS = 0.6, 0.2, 0.1
POINTS_A_RUN = 100
# The test ends hosts once at each point, whatever number of random rounds comes after.
FIXED_POINTS = len(STARTING) + len(RUNNING) + len(ENDING)
KILLS_A_BANK = 5


class Run(NamedTuple):
    """One run of a test in its long form."""

    test: str
    settings: dict[str, str]

    def command(self, xml: Path) -> list[str]:
        """Return how to run it so that it leaves its outcome and figures in a file."""
        seed = self.settings["IPYDURABLE_SEED"]
        return [
            *(sys.executable, "-m", "pytest", "-q", "--timeout", str(TIMEOUT_S), self.test),
            *(f"--hypothesis-seed={seed}", f"--junit-xml={xml}", "-o", "junit_family=legacy"),
        ]


class Part(NamedTuple):
    """What is proved by some runs, one after the other; each has a seed of its own."""

    what: str
    runs: list[Run]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a part.

    Attributes:
        what: Which part.
        when: When it was run (UTC).
        seeds: The first and the last seed.
        runs: How many runs it had.
        test: What was run.
        settings: The settings that make it long.
        seconds: How long all runs took.
        tests: How many tests there were in all runs.
        failed: How many runs failed.
        figures: What tests recorded.
        note: What people should know of it.
    """

    what: str
    when: str
    seeds: list[int]
    runs: int
    test: str
    settings: dict[str, str]
    seconds: int
    tests: int
    failed: int
    figures: dict[str, str]
    note: str = ""


def parts(options: argparse.Namespace) -> list[Part]:
    """Return everything that is to be run."""
    first = options.seed

    def one(what: str, test: str, **settings: object) -> Part:
        return many(what, test, 1, **settings)

    def many(what: str, test: str, count: int, **settings: object) -> Part:
        named = {f"IPYDURABLE_{name}": str(value) for name, value in settings.items()}
        seeds = range(first, first + count)
        return Part(what, [Run(test, {**named, "IPYDURABLE_SEED": str(seed)}) for seed in seeds])

    kills = options.kills
    runs = max(1, round(kills * POINTS / POINTS_A_RUN))
    at_points = max(0, round(kills * POINTS / runs) - FIXED_POINTS)
    banks = max(1, round(kills * (1 - POINTS - WORKERS - KERNELS) / KILLS_A_BANK))
    processes = "tests/processes"
    return [
        many(
            "hosts killed at every point of their lives, and at random ones",
            f"{processes}/test_fault_points.py",
            runs,
            FAULT_ROUNDS=at_points,
        ),
        one(
            "workers and hosts killed in turn, under load",
            f"{processes}/test_kills.py",
            KILL_ROUNDS=max(2, round(kills * WORKERS)),
        ),
        one(
            "kernels killed while a cell waits",
            f"{processes}/test_killed_kernel.py",
            KERNEL_ROUNDS=max(2, round(kills * KERNELS)),
        ),
        many("a bank whose host is killed", f"{processes}/test_bank.py", banks),
        one(
            "random programs against the model, with crashes",
            "tests/semantics",
            PROGRAMS=options.programs,
        ),
        one("damaged messages", "tests/proof/test_door.py", FUZZED_FRAMES=options.fuzzed),
        one(
            "what never ends, by a clock under control",
            "tests/proof/test_soak.py",
            SOAK_MINUTES=options.soak_minutes,
        ),
        one(
            "a steady load with real workers",
            f"{processes}/test_soak.py",
            SOAK_S=options.soak_s,
        ),
        one(
            "a fan-out and its long history",
            f"{processes}/test_long_history.py",
            HISTORY_EVENTS=options.events,
        ),
        one(
            "huge values, refused",
            f"{processes}/test_huge_values.py",
            HUGE_BYTES=options.megabytes * 1_000_000,
        ),
        one(
            "huge frames, carried",
            f"{processes}/test_big_values.py",
            FRAME_MB=options.megabytes,
        ),
        one("ten notebooks, slow and dead followers", f"{processes}/test_load.py"),
        one(
            "instances that wait",
            f"{processes}/test_waiting_mass.py",
            WAITING=options.waiting,
        ),
        one("tutorials, run again and after a restart", "tests/test_notebooks.py", RERUN_ALL=1),
    ]


def prove(part: Part) -> Outcome:
    """Run a part; what a failed test says goes to standard error."""
    began = time.monotonic()
    tests = failed = 0
    figures: dict[str, str] = {}
    for run in part.runs:
        with tempfile.TemporaryDirectory() as folder:
            xml = Path(folder) / "outcome.xml"
            done = subprocess.run(
                run.command(xml),
                cwd=ROOT,
                env={**os.environ, **run.settings},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                failed += 1
                sys.stderr.write(done.stdout + done.stderr)
            if xml.exists():
                root = ET.parse(xml).getroot()
                tests += sum(1 for _ in root.iter("testcase"))
                _add(figures, root)
    settings = dict(part.runs[0].settings)
    seeds = [int(run.settings["IPYDURABLE_SEED"]) for run in part.runs]
    del settings["IPYDURABLE_SEED"]
    return Outcome(
        what=part.what,
        when=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        seeds=[seeds[0], seeds[-1]],
        runs=len(seeds),
        test=part.runs[0].test,
        settings=settings,
        seconds=round(time.monotonic() - began),
        tests=tests,
        failed=failed,
        figures=figures,
    )


def _add(figures: dict[str, str], root: ET.Element) -> None:
    """Add what tests recorded; counts of the same name are summed, of others the last stays."""
    for one in root.iter("property"):
        name, value = one.attrib["name"], one.attrib["value"]
        if name.startswith("hypothesis-statistics"):
            name, value = "what was drawn", b64decode(value).decode()
        before = figures.get(name, "")
        is_count = value.isdigit() and before.isdigit()
        figures[name] = str(int(before) + int(value)) if is_count else value


def keep(outcome: Outcome) -> list[Outcome]:
    """Put what came of a part in the place of what came of it before; returns all, in order."""
    known = {one.what: one for one in kept()}
    known[outcome.what] = outcome
    order = [part.what for part in parts(options_of([]))]
    all_of_them = sorted(known.values(), key=lambda one: order.index(one.what))
    OUTCOMES.parent.mkdir(exist_ok=True)
    OUTCOMES.write_bytes(msgspec.json.format(msgspec.json.encode(all_of_them), indent=1) + b"\n")
    return all_of_them


def kept() -> list[Outcome]:
    """Return what came of the parts that were ever run."""
    if not OUTCOMES.exists():
        return []
    return msgspec.json.decode(OUTCOMES.read_bytes(), type=list[Outcome])


def report(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of the report."""
    total = sum(one.seconds for one in outcomes)
    yield "# Report of `make proof`"
    yield ""
    yield f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}."
    yield "Each row is of the last run of that part; `python -m tests.proof --only WORD` runs some."
    yield ""
    yield "| what | when (UTC) | seeds | tests | seconds | outcome |"
    yield "|---|---|---|---|---|---|"
    for one in outcomes:
        first, last = one.seeds
        span = first if first == last else f"{first} to {last}"
        outcome = f"{one.failed} FAILED" if one.failed else "passed"
        yield f"| {one.what} | {one.when} | {span} | {one.tests} | {one.seconds} | {outcome} |"
    yield ""
    failed = sum(one.failed for one in outcomes)
    verdict = f"{failed} failed" if failed else "All passed"
    yield f"{verdict}; {total / 60:.0f} minutes in all."
    for one in outcomes:
        yield ""
        yield f"## {one.what[0].upper()}{one.what[1:]}"
        yield ""
        if one.note:
            yield f"{one.note}\n"
        for name, value in one.settings.items():
            yield f"- `{name}={value}`"
        yield f"- `{one.test}`" + (f", {one.runs} times" if one.runs > 1 else "")
        for name, value in one.figures.items():
            lines = [line.rstrip() for line in value.strip().splitlines()]
            yield f"- {name}:" + (f" {lines[0]}" if len(lines) == 1 else "")
            if len(lines) > 1:
                yield from ("", "  ```text", *(f"  {line}".rstrip() for line in lines), "  ```")


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="rounds of kills (500)")
    parser.add_argument("--fuzzed", type=int, default=100_000, help="damaged messages (100,000)")
    parser.add_argument("--programs", type=int, default=10_000, help="random programs (10,000)")
    parser.add_argument("--soak-minutes", type=int, default=60, help="by a virtual clock (60)")
    parser.add_argument("--soak-s", type=int, default=600, help="real seconds under load (600)")
    parser.add_argument("--events", type=int, default=200_000, help="of the long history (200,000)")
    parser.add_argument("--megabytes", type=int, default=1_000, help="of huge values (1,000)")
    parser.add_argument("--waiting", type=int, default=100_000, help="that wait (100,000)")
    parser.add_argument("--seed", type=int, default=1, help="the first; others follow it (1)")
    only = "only parts that have one of these words in their names, such as programs or steady"
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help=only)
    return parser.parse_args(arguments)


def main() -> int:
    """Run what was asked for, bring the report up to date; returns 1 where a run failed."""
    options = options_of(sys.argv[1:])
    failed = 0
    for part in parts(options):
        if any(word in part.what for word in options.only):
            outcome = prove(part)
            failed += outcome.failed
            lines = report(keep(outcome))
            REPORT.write_text("\n".join([*lines, ""]), encoding="utf-8")
    sys.stdout.write(REPORT.read_text(encoding="utf-8"))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
