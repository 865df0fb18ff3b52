"""What live views cost the engine: a fan-out with and without ten followers, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import psutil

from ipydurable.runtime.ports import InstanceUpdate

from .bench import WAIT_S, Bench, Figure, check, rate
from .sizes import Sizes

__all__ = ["followed"]

_FOLLOWERS = 10
_PAIRS = 5


class _Follower:
    """Keeps how far it was told."""

    def __init__(self) -> None:
        self.last_seq = 0

    def tell(self, update: InstanceUpdate) -> None:
        self.last_seq = update.record.last_seq


def _fan_out(bench: Bench, instance_id: str, width: int, count: int) -> tuple[float, float]:
    """Return activities a second, and the host's processor time for each in microseconds."""
    client = bench.client
    client.start("fan_when_told", [width, "hello_processes"], instance_id=instance_id)
    followers = [_Follower() for _ in range(count)]
    ends = [client.subscribe(instance_id, follower.tell) for follower in followers]
    _until_all(followers, lambda one: one.last_seq > 0)
    host = psutil.Process(client.host_status().pid)
    before_s = sum(host.cpu_times()[:2])
    since = time.perf_counter()
    client.raise_event(instance_id, "go")
    check("fan-out", bench.outcome(instance_id), sum(range(width)))
    per_s = rate(width, since)
    last_seq = client.get(instance_id).last_seq
    _until_all(followers, lambda one: one.last_seq == last_seq)
    spent_s = sum(host.cpu_times()[:2]) - before_s
    for end in ends:
        end()
    return per_s, 1e6 * spent_s / width


def _until_all(followers: list[_Follower], are_told: Callable[[_Follower], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not all(map(are_told, followers)) and time.monotonic() < deadline:
        time.sleep(0.001)
    check("followers that were told", sum(map(are_told, followers)), len(followers))


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
    yield Figure("W12 live view", "host, an activity", before, "us")
    yield Figure("W12 live view", f"the same, {_FOLLOWERS} followers", after, "us")
    # Of a small run the system may count no time at all.
    loss = max(0.0, 1 - before / after) if after else 0.0
    yield Figure("W12 live view", "host's loss", 100 * loss, "%", 5)
