"""`python -m tests.benchmarks.curves`: how the figures grow with disk, cores, store and payload.

Prints one table for each; `docs/performance.md` shows those of a run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ipydurable.runtime.requests import RaiseEvent

from .bench import Bench, check, fresh_bench, rate
from .notebook import start_to_result
from .sizes import Sizes
from .slow_disk import slow_disk
from .workloads import chain, fan_out, hello

__all__ = ["CURVES", "main"]

Row = dict[str, float]

_DISKS_MS = (0.0, 1.0, 3.0, 10.0)
_WAITING = (0, 10_000, 100_000)
_LENGTHS = (100, 1_000, 10_000)
_PAYLOADS = (100, 1_000, 10_000, 100_000, 1_000_000)
_ECHOES = 100


def _usual(bench: Bench, sizes: Sizes) -> Row:
    """Return the figures that most people ask for."""
    steps = [one.value for one in chain(bench, sizes)]
    together = [one.value for one in hello(bench, sizes)]
    wide = [one.value for one in fan_out(bench, sizes)]
    median_ms, _ = (one.value for one in start_to_result(bench, sizes))
    return {
        "chain, steps/s": steps[0],
        "hello, orchestrations/s": together[0],
        "fan-out, activities/s": wide[len(sizes.fans) - 1],
        "fan-out in threads": wide[-1],
        "start to result, ms": median_ms,
    }


def by_disk(sizes: Sizes) -> Iterator[tuple[str, Row]]:
    """Add time to every fsync."""
    for delay_ms in _DISKS_MS:
        with slow_disk(delay_ms), fresh_bench() as bench:
            yield f"{delay_ms:g} ms", _usual(bench, sizes)


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(all_of_them)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def by_cores(sizes: Sizes) -> Iterator[tuple[str, Row]]:
    """Leave host, workers and client fewer processors than there are."""
    count = 1
    while count <= len(os.sched_getaffinity(0)):
        with _on_cores(count), fresh_bench() as bench:
            yield f"{count}", _usual(bench, sizes)
        count *= 2


def by_instances(sizes: Sizes) -> Iterator[tuple[str, Row]]:
    """Have instances wait in the store."""
    for count in _WAITING:
        with fresh_bench() as bench:
            waiting = max(count // sizes.divisor, 1)
            bench.client.start_many("listener", [None] * waiting)
            while bench.client.sql(
                "SELECT 1 FROM instances WHERE status = 'Pending' LIMIT 1"
            ).num_rows:
                time.sleep(0.1)
            yield f"{count:,}", _usual(bench, sizes)


def by_length(sizes: Sizes) -> Iterator[tuple[str, Row]]:
    """Let one orchestration have a longer and longer history."""
    for full in _LENGTHS:
        count = max(full // sizes.divisor, 10)
        with fresh_bench() as bench:
            client = bench.client
            since = time.perf_counter()
            started = client.start("chain", [count, "hello_processes"])
            check("chain", bench.outcome(started), sum(range(count)))
            per_s = rate(count, since)
            waiting = client.start("collect", [count, "hello_threads"])
            while [one.kind for one in client.open_tasks([waiting])[waiting]] != ["external event"]:
                time.sleep(0.01)
            bench.restart_host()
            since = time.perf_counter()
            event = RaiseEvent(instance_id=waiting, name="more", data="1", request_id="more")
            bench.client.transport.request(event).result()
            check("collected", bench.outcome(waiting), sum(range(count)) + 1)
            replay_ms = 1e3 * (time.perf_counter() - since)
        yield (
            f"{full:,} activities",
            {"chain, steps/s": per_s, "replay after a restart, ms": replay_ms},
        )


def by_payload(sizes: Sizes) -> Iterator[tuple[str, Row]]:
    """Hand a text of so many bytes from activity to activity."""
    count = max(_ECHOES // sizes.divisor, 5)
    with fresh_bench() as bench:
        for size in _PAYLOADS:
            since = time.perf_counter()
            started = bench.client.start("echo", [count, size])
            check("echo", bench.outcome(started), size)
            per_s = rate(count, since)
            yield f"{size:,} bytes", {"chain, steps/s": per_s, "MB/s": per_s * size / 1e6}


CURVES: dict[str, Callable[[Sizes], Iterator[tuple[str, Row]]]] = {
    "added to each fsync": by_disk,
    "processors": by_cores,
    "instances that wait": by_instances,
    "history": by_length,
    "payload": by_payload,
}


def _table(what: str, rounds: Sequence[dict[str, Row]]) -> str:
    """Return the medians as Markdown."""
    cases = rounds[0]
    names = list(next(iter(cases.values())))
    lines = [f"| {what} | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    for case in cases:
        medians = [statistics.median(one[case][name] for one in rounds) for name in names]
        cells = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in medians]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.curves", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--divisor", type=int, default=1)
    given = parser.parse_args()
    sizes = Sizes(given.divisor)
    for what, curve in CURVES.items():
        print(_table(what, [dict(curve(sizes)) for _ in range(given.rounds)]), flush=True)  # noqa: T201
        print(flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
