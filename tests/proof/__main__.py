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
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.processes.doomed_host import ENDING, RUNNING, STARTING

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "tests/reports/proof.md"
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


class Outcome(NamedTuple):
    """What came of a part."""

    part: Part
    seconds: float
    tests: int
    failed: int
    figures: dict[str, str]


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
    return Outcome(part, time.monotonic() - began, tests, failed, figures)


def _add(figures: dict[str, str], root: ET.Element) -> None:
    """Add what tests recorded; counts of the same name are summed, of others the last stays."""
    for one in root.iter("property"):
        name, value = one.attrib["name"], one.attrib["value"]
        before = figures.get(name, "")
        is_count = value.isdigit() and before.isdigit()
        figures[name] = str(int(before) + int(value)) if is_count else value


def report(outcomes: list[Outcome], options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    given = ", ".join(f"{name} {value}" for name, value in vars(options).items())
    total = sum(one.seconds for one in outcomes)
    yield "# Report of `make proof`"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.platform()}, {os.cpu_count()} cores,"
    yield f"Python {platform.python_version()}. Options: {given}."
    yield ""
    yield "| what | seeds | tests | seconds | outcome |"
    yield "|---|---|---|---|---|"
    for one in outcomes:
        seeds = [run.settings["IPYDURABLE_SEED"] for run in one.part.runs]
        span = seeds[0] if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        outcome = f"{one.failed} FAILED" if one.failed else "passed"
        yield f"| {one.part.what} | {span} | {one.tests} | {one.seconds:.0f} | {outcome} |"
    yield ""
    yield f"{sum(one.failed for one in outcomes)} runs failed; {total / 60:.0f} minutes in all."
    for one in outcomes:
        yield ""
        yield f"## {one.part.what[0].upper()}{one.part.what[1:]}"
        yield ""
        run = one.part.runs[0]
        for name, value in run.settings.items():
            if name != "IPYDURABLE_SEED":
                yield f"- `{name}={value}`"
        yield f"- `{run.test}`" + (f", {len(one.part.runs)} times" if one.part.runs[1:] else "")
        for name, value in one.figures.items():
            yield f"- {name}: {value}"


def main() -> int:
    """Run everything, write the report; returns 1 where a run failed."""
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
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    for part in parts(options):
        outcomes.append(prove(part))
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text("\n".join([*report(outcomes, options), ""]), encoding="utf-8")
    sys.stdout.write(REPORT.read_text(encoding="utf-8"))
    return int(any(one.failed for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
