"""What live views cost the engine: a fan-out with and without ten followers, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import psutil

from .bench import WAIT_S, Bench, Figure, check, rate
from .sizes import Sizes

__all__ = ["followed"]

_FOLLOWERS = 10
_PAIRS = 3


def _fan_out(bench: Bench, instance_id: str, width: int, followers: int) -> tuple[float, float]:
    """Return activities a second, and the host's processor time for each in microseconds."""
    client = bench.client
    host = psutil.Process(client.host_status().pid)
    before_s = sum(host.cpu_times()[:2])
    updates: list[int] = []
    since = time.perf_counter()
    client.start("fan", [width, "hello_processes"], instance_id=instance_id)
    ends = [
        client.subscribe(instance_id, lambda update: updates.append(1)) for _ in range(followers)
    ]
    check("fan-out", bench.outcome(instance_id), sum(range(width)))
    per_s = rate(width, since)
    spent_s = sum(host.cpu_times()[:2]) - before_s
    deadline = time.monotonic() + WAIT_S
    while len(updates) < followers and time.monotonic() < deadline:
        time.sleep(0.001)
    for end in ends:
        end()
    check("told", len(updates) >= followers, True)
    return per_s, 1e6 * spent_s / width


def followed(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """A fan-out, alone and with ten followers: what they cost the host, and all together.

    The followers are on the same machine, so on few processors they also take those of the workers.
    """
    width = sizes.fans[-1]
    alone, watched = [], []
    for pair in range(_PAIRS):
        alone.append(_fan_out(bench, f"alone-{pair}", width, 0))
        watched.append(_fan_out(bench, f"watched-{pair}", width, _FOLLOWERS))
    for case, runs in (("alone", alone), (f"{_FOLLOWERS} followers", watched)):
        per_s = statistics.median(one for one, _ in runs)
        yield Figure("W12 live view", f"{width:,}, {case}", per_s, "activities/s")
    before, after = (statistics.median(spent for _, spent in runs) for runs in (alone, watched))
    yield Figure("W12 live view", "host's loss", max(0.0, 100 * (1 - before / after)), "%", 5)
