"""`python -m tests.benchmarks`: measures the product, and prints a table of medians.

Each round runs the bare floor and then every chosen workload on a fresh store, so that a machine
whose speed drifts slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator

from . import frames, growth, notebook, peers, restarts, scrolling, views, workloads
from .bench import Bench, Figure, fresh_bench
from .floor import floor_per_s
from .report import table
from .sizes import Sizes
from .slow_disk import slow_disk

__all__ = ["WORKLOADS", "main", "measure", "measure_peers"]

WORKLOADS: dict[str, Callable[[Bench, Sizes], Iterator[Figure]]] = {
    **workloads.ON_AN_EMPTY_STORE,
    **restarts.WITH_RESTARTS,
    "W7": notebook.start_to_result,
    "W9": growth.growth,
    "W11": notebook.load_ext,
    "W12": views.views,
    "W14": frames.frames,
    "W15": scrolling.scrolling,
}
_ONLY_WHEN_NAMED = ("W9",)


def measure(chosen: list[str], sizes: Sizes, rounds: int, slow_ms: float = 0.0) -> list[Figure]:
    """Run workloads and return every figure of every round.

    Args:
        chosen: Their numbers, such as `"W1"`.
        sizes: How much they do.
        rounds: How often.
        slow_ms: What an fsync takes longer.
    """
    figures: list[Figure] = []
    for _ in range(rounds):
        with slow_disk(slow_ms):
            floor = floor_per_s(sizes.commits)
            figures.append(Figure("floor", "one append and flush after another", floor, "steps/s"))
            for number in chosen:
                with fresh_bench() as bench:
                    figures += WORKLOADS[number](bench, sizes)
    return figures


def measure_peers(python: str, sizes: Sizes, slow_ms: float = 0.0) -> list[Figure]:
    """Run the peers that an interpreter has installed, and return their figures.

    Args:
        python: Path of the interpreter.
        sizes: How much they do.
        slow_ms: What an fsync takes longer.
    """
    figures: list[Figure] = []
    with slow_disk(slow_ms):
        for name in peers.PEERS:
            probe = [python, "-c", f"import {name}"]
            if subprocess.run(probe, check=False, capture_output=True).returncode:
                continue
            work = [str(sizes.chain), str(sizes.instances), str(sizes.fans[0])]
            done = subprocess.run(
                [python, peers.__file__, name, *work],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            rates = json.loads(done.stdout.splitlines()[-1])
            figures += [Figure(one, f"peer: {name}", value, "x/s") for one, value in rates.items()]
    return figures


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = ", ".join(sorted(WORKLOADS, key=lambda name: int(name[1:])))
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {names}; by default most")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (5)")
    parser.add_argument("--divisor", type=int, default=1, help="do so many times less (1)")
    parser.add_argument("--slow-disk-ms", type=float, default=0.0, help="added to every fsync (0)")
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        nargs="?",
        const=sys.executable,
        help="run DBOS and durabletask beside us, as far as that interpreter has them (this one)",
    )
    given = parser.parse_args()
    unknown = [name for name in given.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no workload {', '.join(unknown)}: choose of {names}")
    chosen = given.workloads or [name for name in WORKLOADS if name not in _ONLY_WHEN_NAMED]
    print(f"{platform.platform()}, {os.cpu_count()} cores, {given.rounds} rounds")  # noqa: T201
    sizes = Sizes(given.divisor)
    figures: list[Figure] = []
    for _ in range(given.rounds):
        figures += measure(chosen, sizes, 1, given.slow_disk_ms)
        if given.peers:
            figures += measure_peers(given.peers, sizes, given.slow_disk_ms)
    print(table(figures))  # noqa: T201


if __name__ == "__main__":
    main()
