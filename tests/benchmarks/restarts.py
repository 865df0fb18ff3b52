"""Workloads about what a store holds: replay after a restart, a waiting mass, a long past."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from ipydurable.runtime.requests import RaiseEvent

from .bench import WAIT_S, Bench, Figure, check, rate
from .sizes import Sizes

__all__ = ["WITH_RESTARTS"]

_EVENTS_PER_ACTIVITY = 2
_AT_REST_S = 5.0
"""What it took to start them has been given back to the system by then."""


def cold_replay(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Many completed activities, the host killed and started, then the event that ends it."""
    client = bench.client
    started = client.start("collect", [sizes.completed, "hello_threads"])
    _wait_for_open_events(bench, started)
    ready_s = bench.restart_host()
    since = time.perf_counter()
    bench.client.raise_event(started, "more", 1)
    check("collected", bench.outcome(started), sum(range(sizes.completed)) + 1)
    per_s = rate(_EVENTS_PER_ACTIVITY * sizes.completed, since)
    case = f"{sizes.completed:,} activities"
    yield Figure("W6 cold replay", case, per_s, "events/s", 100_000)
    yield Figure("W6 cold replay", "host ready", ready_s, "s", 1)


def _wait_until_all_run(bench: Bench) -> None:
    deadline = time.monotonic() + WAIT_S
    while bench.client.sql("SELECT 1 FROM instances WHERE status = 'Pending' LIMIT 1").num_rows:
        check("they run in time", time.monotonic() < deadline, True)
        time.sleep(0.2)


def _wait_for_open_events(bench: Bench, instance_id: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while [task.kind for task in bench.client.open_tasks([instance_id])[instance_id]] != [
        "external event"
    ]:
        check("it waits in time", time.monotonic() < deadline, True)
        time.sleep(0.01)


def waiting_mass(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Many instances that wait, half for a timer, half for an event: memory, restart, events."""
    half = sizes.waiting // 2
    before_mb = bench.host_memory_mb()
    listeners = bench.client.start_many("listener", [None] * half)
    bench.client.start_many("sleeper", [None] * half)
    case = f"{2 * half:,} instances"
    _wait_until_all_run(bench)
    time.sleep(_AT_REST_S)
    used_mb = bench.host_memory_mb() - before_mb
    yield Figure("W8 waiting mass", f"{case}, started", used_mb, "MB", 500)
    ready_s = bench.restart_host()
    yield Figure("W8 waiting mass", f"{case}, restart", ready_s, "s", 20)
    yield Figure("W8 waiting mass", f"{case}, restarted", bench.host_memory_mb(), "MB", 500)
    chosen = random.Random(1).sample(listeners, min(sizes.events, half))
    data = bench.client.encode(1, "data")
    since = time.perf_counter()
    for number, one in enumerate(chosen):
        bench.client.transport.request(
            RaiseEvent(instance_id=one, name="go", data=data, request_id=f"event-{number}")
        )
    check("results", bench.results(chosen), [1] * len(chosen))
    per_s = rate(len(chosen), since)
    yield Figure("W8 waiting mass", f"{len(chosen):,} random ones", per_s, "events/s", 5_000)


WITH_RESTARTS: dict[str, Callable[[Bench, Sizes], Iterator[Figure]]] = {
    "W6": cold_replay,
    "W8": waiting_mass,
}
"""By the workload's number: gives its figures on a bench whose host it may restart."""
