"""The four ways a scenario runs: three embedded engines under a virtual clock, and a real host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from ipydurable.runtime.client import DurableClient, InProcess, Transport
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.engine import EngineOptions
from ipydurable.runtime.executors import AsyncioExecutor, ThreadExecutor
from ipydurable.runtime.link import Link
from ipydurable.runtime.ports import Store
from ipydurable.runtime.testing import MemoryStore, VirtualClock
from tests.conformance.durations import TICK

__all__ = ["WAYS", "Backend", "TimedClient", "make_backend"]

WAYS = ("memory", "duckdb", "host", "evicted")
"""Embedded on a MemoryStore, embedded on DuckDB, a host process, and with nothing kept in memory.

The first is the reference that the histories of the others are compared with.
"""

_PATIENCE_S = 20.0
_POLL_S = 0.002


class Backend(Protocol):
    """Something that runs durable functions, and its time."""

    transport: Transport

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        ...

    def now(self) -> datetime:
        """Return the present (naive UTC)."""
        ...

    def let_time_pass(self) -> None:
        """Move a virtual clock one tick on if nothing can happen without; else wait a moment."""
        ...

    def advance(self, by: timedelta) -> None:
        """Move a virtual clock on, once nothing can happen without."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class TimedClient(DurableClient):
    """A client whose waiting lets a virtual clock move."""

    def __init__(self, backend: Backend, namespace: dict[str, Any]) -> None:
        super().__init__(backend.transport, NamespaceConverter(namespace))
        self._backend = backend

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Let time pass until something is so."""
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"this did not come about: {what}"
            self._backend.let_time_pass()

    def wait(self, instance_id: str, timeout_s: float | None = None) -> InstanceRecord:
        """Wait for the end of an instance; with a timeout, without moving the clock."""
        if timeout_s is not None:
            return super().wait(instance_id, timeout_s)
        future = self.completion(instance_id)

        def has_ended() -> bool:
            if not _is_done(future):
                record = self.get(instance_id)
                assert record.status is not RuntimeStatus.SUSPENDED, record.suspend_reason
            return future.done()

        self.until(has_ended, f"the end of {instance_id}")
        return future.result()


class EmbeddedBackend:
    """An engine in this process, under a virtual clock.

    Args:
        store: Its store.
        options: Of the engine.
    """

    def __init__(self, store: Store, options: EngineOptions | None = None) -> None:
        self.clock = VirtualClock()
        executors = {
            # Threads instead of processes: the code travels all the same, and quicker.
            "processes": ThreadExecutor(),
            "threads": ThreadExecutor(),
            "asyncio": AsyncioExecutor(),
        }
        self._embedded = EmbeddedEngine(store, executors, options, clock=self.clock)
        self.transport = InProcess(self._embedded.service)

    @property
    def is_alive(self) -> bool:
        """Whether the engine's thread runs."""
        return self._embedded.is_alive

    def now(self) -> datetime:
        """Return the clock's present."""
        return self.clock.now()

    def let_time_pass(self) -> None:
        """Move the clock one tick on if nothing can happen without."""
        # Twice, as what became durable the first time may only now be handed to executors.
        if self._embedded.is_at_rest() and self._embedded.is_at_rest():
            self.clock.advance(TICK)
        else:
            time.sleep(0)

    def advance(self, by: timedelta) -> None:
        """Move the clock on, once nothing can happen without."""
        self._embedded.settle(_PATIENCE_S)
        self.clock.advance(by)

    def close(self) -> None:
        """Stop the engine."""
        self._embedded.close()


class HostBackend:
    """A host process, reached through the link; its time is real.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.transport = Link(HostPaths(folder / "host.duckdb", folder / "run"))

    @property
    def is_alive(self) -> bool:
        """The link replaces a host that died."""
        return True

    def now(self) -> datetime:
        """Return the system's time."""
        return datetime.now(UTC).replace(tzinfo=None)

    def let_time_pass(self) -> None:
        """Wait a moment before looking again."""
        time.sleep(_POLL_S)

    def advance(self, by: timedelta) -> None:
        """Do nothing: time passes by itself, and scripts wait for what it brings."""

    def close(self) -> None:
        """Stop the host."""
        client = DurableClient(self.transport, NamespaceConverter({}))
        with contextlib.suppress(OSError):
            client.stop_host()
        self.transport.close()


def make_backend(way: str, folder: Path) -> Backend:
    """Start what runs scenarios one way.

    Args:
        way: One of `WAYS`.
        folder: For the files it keeps.
    """
    if way == "host":
        return HostBackend(folder)
    if way == "duckdb":
        from ipydurable.store import open_store

        return EmbeddedBackend(open_store(folder / "embedded.duckdb"))
    if way == "evicted":
        return EmbeddedBackend(MemoryStore(), EngineOptions(resident=0))
    return EmbeddedBackend(MemoryStore())


def _is_done(future: Future[Any]) -> bool:
    wait_for_futures([future], timeout=_POLL_S)
    return future.done()
