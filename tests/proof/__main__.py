"""`make proof`: the long forms of the tests behind the promises, and a report of what was run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "tests/reports/proof.md"
KILLS_A_RUN = 5
ROUNDS = 20
TIMEOUT_S = 3600


class Run(NamedTuple):
    """One run of a test in its long form."""

    what: str
    test: str
    settings: dict[str, str]


def runs(kills: int, fuzzed: int, programs: int, first_seed: int) -> list[Run]:
    """Return what is to be run."""
    bank = "tests/processes/test_bank.py::test_money_is_conserved_when_the_host_is_killed_at_random"
    seeds = range(first_seed, first_seed + -(-kills // KILLS_A_RUN))
    return [
        Run(
            f"{programs} random programs against the model, with crashes",
            "tests/semantics/test_semantics.py",
            {"IPYDURABLE_PROGRAMS": str(programs), "IPYDURABLE_SEED": str(first_seed)},
        ),
        Run(
            f"{fuzzed} damaged messages",
            "tests/proof/test_door.py",
            {"IPYDURABLE_FUZZED_FRAMES": str(fuzzed), "IPYDURABLE_SEED": str(first_seed)},
        ),
        Run(
            f"{ROUNDS} rounds of killed workers and hosts",
            "tests/processes/test_kills.py",
            {"IPYDURABLE_KILL_ROUNDS": str(ROUNDS), "IPYDURABLE_SEED": str(first_seed)},
        ),
        *(Run(f"{KILLS_A_RUN} killed hosts", bank, {"IPYDURABLE_SEED": str(s)}) for s in seeds),
    ]


def passes(run: Run) -> bool:
    """Run a test; what it says is shown where it fails."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--timeout", str(TIMEOUT_S), run.test),
            f"--hypothesis-seed={run.settings['IPYDURABLE_SEED']}",
        ],
        cwd=ROOT,
        env={**os.environ, **run.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode == 0


def main() -> int:
    """Run everything, write the report; returns how many runs failed, at most 1."""
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--fuzzed", type=int, default=100_000)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = [
        "# Report of `make proof`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {sys.version.split()[0]}",
        "",
        "| what | seed | seconds | outcome |",
        "|---|---|---|---|",
    ]
    failed = 0
    for run in runs(options.kills, options.fuzzed, options.programs, options.seed):
        began = time.monotonic()
        passed = passes(run)
        failed += not passed
        seed, took = run.settings["IPYDURABLE_SEED"], time.monotonic() - began
        lines.append(f"| {run.what} | {seed} | {took:.1f} | {'passed' if passed else 'FAILED'} |")
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text("\n".join([*lines, "", f"{failed} failed.", ""]), encoding="utf-8")
    sys.stdout.write(REPORT.read_text(encoding="utf-8"))
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
