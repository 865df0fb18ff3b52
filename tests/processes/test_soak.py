"""Minutes under a steady load with real workers: what becomes of memory, log and latency."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from tests.processes.test_bank import ACCOUNT, TRANSFER
from tests.processes.test_bank import definition as made

pytestmark = pytest.mark.processes

SECONDS = float(os.environ.get("IPYDURABLE_SOAK_S", "8"))
# So many steady rounds a second, whatever the machine could do.
ROUNDS_A_S = 10
ACCOUNTS = 10
START = 1_000
# Beside the blocks of the file that are kept, which have a bound of their own: what was written and
# is not in the file yet, up to 8 MB of log, and notes of transactions. However long it goes on.
MOST_GROWTH_MB = 20
MOST_BLOCKS_MB = 64 + 16
MOST_LOG_BYTES = 64 * 1024 * 1024
MOST_SLOWER_S = 0.25


class Sample(NamedTuple):
    """What was measured after a round."""

    latency_s: float
    memory_mb: float
    blocks_mb: float
    log_bytes: int


def _memory_mb(pid: int) -> float:
    """Return a host's own memory, without shared libraries and without its workers."""
    return float(psutil.Process(pid).memory_full_info().uss) / 2**20


def _blocks_mb(client: DurableClient) -> float:
    """Return how much of the file is kept in the host's memory."""
    query = "SELECT memory_usage_bytes AS n FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
    return float(client.sql(query).to_pylist()[0]["n"]) / 2**20


def _round(client: DurableClient, number: int) -> float:
    """Do a chain of activities, a transfer and a signal; returns the seconds of the chain."""
    transfers = client.start(
        "transfer", [str(number % ACCOUNTS), str((number + 3) % ACCOUNTS), number % 5]
    )
    client.signal_entity(f"Account@{number % ACCOUNTS}", "deposit", 0)
    began = time.perf_counter()
    record = client.wait(client.start("chain", 3), timeout_s=60)
    took = time.perf_counter() - began
    assert client.decode(record.output) == 8
    assert client.wait(transfers, timeout_s=60).status is RuntimeStatus.COMPLETED
    return took


def _p99(samples: list[Sample]) -> float:
    return statistics.quantiles([one.latency_s for one in samples], n=100)[-1]


@pytest.mark.timeout(max(120.0, 2 * SECONDS))
def test_a_steady_load_costs_a_host_no_more_with_time(
    connect: Callable[[], DurableClient],
    paths: HostPaths,
    record_property: Callable[[str, object], None],
) -> None:
    """The first third is compared with the last; both have the same to do."""
    client = connect()
    client.define(
        [made(Kind.ENTITY, "Account", ACCOUNT), made(Kind.ORCHESTRATOR, "transfer", TRANSFER)]
    )
    for n in range(ACCOUNTS):
        client.signal_entity(f"Account@{n}", "deposit", START)
    for number in range(2 * ROUNDS_A_S):  # Workers start, and code is loaded.
        _round(client, number)
    host, log = client.host_status().pid, Path(f"{paths.store}.wal")
    samples: list[Sample] = []
    blocks = 0.0
    began = time.monotonic()
    for number in range(int(SECONDS * ROUNDS_A_S)):
        wait_s = began + number / ROUNDS_A_S - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        took = _round(client, number)
        size = log.stat().st_size if log.exists() else 0
        if number % ROUNDS_A_S == 0:
            blocks = _blocks_mb(client)
        samples.append(Sample(took, _memory_mb(host) - blocks, blocks, size))
    third = len(samples) // 3
    first, last = samples[:third], samples[-third:]
    memory = [statistics.median(one.memory_mb for one in part) for part in (first, last)]
    for name, value in (
        ("seconds", round(time.monotonic() - began)),
        ("rounds", len(samples)),
        ("MB of the host without blocks of the file", [round(one, 1) for one in memory]),
        ("MB of blocks at most", round(max(one.blocks_mb for one in samples), 1)),
        ("p99 in ms, first and last third", [round(1e3 * _p99(one)) for one in (first, last)]),
        ("largest log in bytes", max(one.log_bytes for one in samples)),
    ):
        record_property(name, value)
    assert memory[1] - memory[0] < MOST_GROWTH_MB
    assert max(one.blocks_mb for one in samples) < MOST_BLOCKS_MB
    assert max(one.log_bytes for one in samples) < MOST_LOG_BYTES
    assert _p99(last) < 2 * _p99(first) + MOST_SLOWER_S
    assert client.host_status().pid == host
    balances = [client.call_entity(f"Account@{n}", "get", timeout_s=30) for n in range(ACCOUNTS)]
    assert sum(balances) == ACCOUNTS * START
