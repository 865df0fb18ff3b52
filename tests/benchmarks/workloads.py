"""The workloads that run on an empty store: chains, many instances, fan-out, entities, starts."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator

from .bench import WAIT_S, Bench, Figure, check, rate
from .programs import EXECUTORS
from .sizes import Sizes

__all__ = ["ON_AN_EMPTY_STORE", "percentiles"]

_ACCOUNTS = 20
_COUNTERS = 50
_STEPS = 5
_START = 10_000


def chain(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """One orchestration of sequential activities: one commit a step."""
    for on, target in zip(EXECUTORS, (900, 1_100), strict=True):
        since = time.perf_counter()
        started = bench.client.start("chain", [sizes.chain, f"hello_{on}"])
        check("chain", bench.outcome(started), sum(range(sizes.chain)))
        yield Figure(
            "W1 chain", f"{sizes.chain}, {on}", rate(sizes.chain, since), "steps/s", target
        )


def hello(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Many orchestrations of five sequential activities, started at once."""
    for on, target in zip(EXECUTORS, (1_400, 4_000), strict=True):
        since = time.perf_counter()
        orders = [[_STEPS, f"hello_{on}"]] * sizes.instances
        results = bench.results(bench.client.start_many("chain", orders))
        check("hello", results, [sum(range(_STEPS))] * sizes.instances)
        per_s = rate(sizes.instances, since)
        yield Figure("W2 hello", f"{sizes.instances}, {on}", per_s, "orchestrations/s", target)


def fan_out(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """One orchestration with parallel activities, then their sum."""
    for on, target in zip(EXECUTORS, (8_000, 30_000), strict=True):
        for width in sizes.fans:
            since = time.perf_counter()
            started = bench.client.start("fan", [width, f"hello_{on}"])
            check("fan-out", bench.outcome(started), sum(range(width)))
            per_s = rate(width, since)
            yield Figure("W3 fan-out", f"{width:,}, {on}", per_s, "activities/s", target)


def signals(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """One-way operations over fifty entities, sent in one call, until they are applied."""
    client = bench.client
    since = time.perf_counter()
    entities = [f"@account@counter-{number}" for number in range(_COUNTERS)]
    client.signal_many("add", ((entities[n % _COUNTERS], 1) for n in range(sizes.signals)))
    asked = [(entity, client.entity_call(entity, "get")) for entity in entities]
    total = sum(client.call_outcome(entity, future.result(WAIT_S)) for entity, future in asked)
    per_s = rate(sizes.signals, since)
    check("signals", total, sizes.signals)
    yield Figure("W4 signals", f"{sizes.signals:,}", per_s, "signals/s", 20_000)


def bank(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Transfers in critical sections over twenty accounts."""
    client, rng = bench.client, random.Random(1)
    accounts = [f"holder-{number}" for number in range(_ACCOUNTS)]
    for account in accounts:
        client.call_entity(f"@account@{account}", "add", _START, timeout_s=WAIT_S)
    orders = [[*rng.sample(accounts, 2), rng.randint(1, 50)] for _ in range(sizes.transfers)]
    since = time.perf_counter()
    bench.results(client.start_many("transfer", orders))
    per_s = rate(sizes.transfers, since)
    balances = [client.call_entity(f"@account@{one}", "get", timeout_s=WAIT_S) for one in accounts]
    check("money", sum(balances), _START * _ACCOUNTS)
    check("locks", client.locks(), [])
    yield Figure("W5 bank", f"{sizes.transfers}", per_s, "transfers/s", 1_000)


def percentiles(
    workload: str, case: str, spent_ms: list[float], targets: tuple[float, float]
) -> Iterator[Figure]:
    """Give the median and the 99th percentile of times in milliseconds."""
    ordered = sorted(spent_ms)
    yield Figure(workload, f"{case}, p50", statistics.median(ordered), "ms", targets[0])
    yield Figure(workload, f"{case}, p99", ordered[len(ordered) * 99 // 100], "ms", targets[1])


def bulk_start(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Many starts in one call, until it returns: all are durable."""
    since = time.perf_counter()
    started = bench.client.start_many("listener", [None] * sizes.starts)
    spent_s = time.perf_counter() - since
    check("starts", len(set(started)), sizes.starts)
    yield Figure("W10 bulk start", f"{sizes.starts:,}", spent_s, "s", 5)


ON_AN_EMPTY_STORE: dict[str, Callable[[Bench, Sizes], Iterator[Figure]]] = {
    "W1": chain,
    "W2": hello,
    "W3": fan_out,
    "W4": signals,
    "W5": bank,
    "W10": bulk_start,
}
"""By the workload's number: gives its figures on a bench whose store holds nothing yet."""
