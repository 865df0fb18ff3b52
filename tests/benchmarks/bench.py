"""What a benchmark works with: a host of its own, a client of it, and results to report."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.launch import ensure_host, find_host
from ipydurable.runtime.link import Link

from .programs import definitions

__all__ = ["ROOT", "WAIT_S", "Bench", "Figure", "WrongResultError", "check", "fresh_bench", "rate"]

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 600.0
"""Seconds after which a benchmark gives up."""


class WrongResultError(AssertionError):
    """A benchmark computed something else than it should: its time says nothing."""


class Figure(NamedTuple):
    """One measured figure.

    Attributes:
        workload: Which, e.g. `"W1 chain"`.
        case: What varies, e.g. `"500, processes"`.
        value: The figure.
        unit: Its unit; `"x/s"` where more is better, anything else where less is.
        target: What it should reach; None where it is only to be known.
    """

    workload: str
    case: str
    value: float
    unit: str
    target: float | None = None

    @property
    def more_is_better(self) -> bool:
        """Whether a higher value is a better one."""
        return self.unit.endswith("/s")

    def reaches(self, value: float) -> bool:
        """Whether a value reaches the target."""
        if self.target is None:
            return True
        return value >= self.target if self.more_is_better else value <= self.target


def rate(count: int, since: float) -> float:
    """Return how many a second that is since a `time.perf_counter()`."""
    return count / (time.perf_counter() - since)


def check(what: str, found: Any, expected: Any) -> None:
    """Raise WrongResultError unless both are equal."""
    if found != expected:
        raise WrongResultError(f"{what}: {found!r} instead of {expected!r}")


class Bench:
    """The host of a store of its own, and a client in this process.

    Args:
        folder: Where the store and the host's files are.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = HostPaths(folder / "durable.duckdb", folder / "run")
        self.client = self._connect()
        self.client.define(definitions())

    def _connect(self) -> DurableClient:
        return DurableClient(Link(self.paths), NamespaceConverter({}))

    def outcome(self, instance_id: str) -> Any:
        """Wait for an instance and return its result."""
        return self.results([instance_id])[0]

    def results(self, instance_ids: Sequence[str]) -> list[Any]:
        """Wait for instances and return their results."""
        futures = [self.client.completion(one) for one in instance_ids]
        return [self.client.decode(_completed(future).output) for future in futures]

    def host_memory_mb(self) -> float:
        """Return the host's own memory that is in use (private, without shared libraries)."""
        return float(psutil.Process(self.client.host_status().pid).memory_full_info().uss) / 2**20

    def restart_host(self) -> float:
        """Kill the host with -9, start the next one, and return the seconds until it answers."""
        pid = self.client.host_status().pid
        self.client.close()
        os.kill(pid, signal.SIGKILL)
        while is_locked(self.paths.lock):
            time.sleep(0.001)
        since = time.perf_counter()
        ensure_host(self.paths, timeout_s=WAIT_S)
        self.client = self._connect()
        self.client.host_status()
        return time.perf_counter() - since

    def warm_up(self) -> None:
        """Have the workers start."""
        for activity in ("hello_processes", "hello_threads"):
            check("warm-up", self.outcome(self.client.start("fan", [50, activity])), 1225)

    def close(self) -> None:
        """End the host."""
        self.client.close()
        info = find_host(self.paths)
        if info is not None:
            os.kill(info.pid, signal.SIGKILL)
            while is_locked(self.paths.lock):
                time.sleep(0.001)


def _completed(future: Future[InstanceRecord]) -> InstanceRecord:
    record = future.result(WAIT_S)
    check(f"status of {record.instance_id}", record.status, RuntimeStatus.COMPLETED)
    return record


@contextmanager
def fresh_bench() -> Iterator[Bench]:
    """Give a bench on an empty store, whose workers have started."""
    with tempfile.TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        bench = Bench(Path(folder))
        try:
            bench.warm_up()
            yield bench
        finally:
            bench.close()
