"""A host that ends itself with SIGKILL at the n-th pass of a named point: run as the real one is.

`python -m tests.processes.doomed_host STORE` wires the real host and puts a look at its fate around
what it does. The order lies in a file of its runtime folder, so a test may give it before the host
starts or while it runs; the host that takes it is the only one that dies of it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ipydurable import host_main
from ipydurable.runtime import journal
from ipydurable.runtime.connection import HostLock, HostPaths
from ipydurable.runtime.dispatch import Dispatcher
from ipydurable.runtime.engine import Engine
from ipydurable.runtime.entity_runner import ThreadEntityRunner
from ipydurable.runtime.executors.processes import ProcessExecutor
from ipydurable.runtime.outbox import ClientOutbox
from ipydurable.runtime.server import Server
from ipydurable.store import duckdb_store
from ipydurable.store.duckdb_store import DuckDBStore

__all__ = ["ENDING", "PURGING", "RUNNING", "STARTING", "Order", "died_at", "order"]

STARTING = (
    "before the lock is taken",
    "after the lock was taken",
    "after the store was opened",
    "before instances are restored",
    "after instances were restored",
    "before it listens",
    "before it can be found",
    "after it can be found",
)
RUNNING = (
    "before an append",
    "after an append",
    "before an effect",
    "after an effect",
    "before an answer",
    "after an answer",
    "before an attempt is handed over",
    "after an attempt was handed over",
    "before an outcome is posted",
    "after an outcome was posted",
    "before operations of an entity run",
    "before their results are posted",
    "after their results were posted",
    "before output is kept",
    "after output was kept",
    "before a projection",
    "after a projection",
    "before a checkpoint",
    "after a checkpoint",
)
PURGING = ("before a purge", "after a purge")
ENDING = ("before the store is closed", "after the store was closed")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """When a host is to die.

    Attributes:
        point: At which point.
        passes: At which pass of it.
        after_s: So many seconds later, whatever it does then.
    """

    point: str
    passes: int = 1
    after_s: float = 0.0


def order(paths: HostPaths, given: Order) -> None:
    """Have the host that runs, or the next one, die."""
    paths.folder.mkdir(mode=0o700, exist_ok=True)
    written = paths.folder / "order.new"
    written.write_bytes(msgspec.json.encode(given))
    written.rename(paths.folder / "order")


def died_at(paths: HostPaths) -> list[str]:
    """Return the points at which hosts have died, in order."""
    told = paths.folder / "died"
    return told.read_text(encoding="utf-8").splitlines() if told.exists() else []


class _Fate:
    """Counts the passes of the point that was ordered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._order: Order | None = None
        self._left = 0

    def reach(self, point: str) -> None:
        """Pass a point; the process ends here if that was ordered."""
        with self._lock:
            if self._order is None:
                self._look()
            if self._order is None or self._order.point != point:
                return
            self._left -= 1
            if self._left:
                return
            if self._order.after_s:
                threading.Timer(self._order.after_s, self._die, [point]).start()
            else:
                self._die(point)

    def _look(self) -> None:
        file = self._folder / "order"
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return
        file.unlink()
        self._order = msgspec.json.decode(text, type=Order)
        self._left = self._order.passes

    def _die(self, point: str) -> None:
        with (self._folder / "died").open("a", encoding="utf-8") as file:
            file.write(f"{point}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def _around(
    owner: Any, name: str, before: Callable[[], None], after: Callable[[], None] | None = None
) -> None:
    """Have something done before and after a method."""
    method = getattr(owner, name)

    def around(*args: Any, **named: Any) -> Any:
        before()
        result = method(*args, **named)
        if after is not None:
            after()
        return result

    setattr(owner, name, around)


def _install(fate: _Fate) -> None:
    def at(point: str) -> Callable[[], None]:
        return lambda: fate.reach(point)

    for owner, name, *points in (
        (HostLock, "acquire", *STARTING[:2]),
        (DuckDBStore, "recover", STARTING[2]),
        (Engine, "restore", *STARTING[3:5]),
        (Server, "start", STARTING[5]),
        (HostPaths, "write", *STARTING[6:]),
        (DuckDBStore, "append", "before an append", "after an append"),
        (Dispatcher, "enqueue", "before an effect", "after an effect"),
        (ClientOutbox, "_send_all", "before an answer", "after an answer"),
        (DuckDBStore, "keep_outputs", "before output is kept", "after output was kept"),
        (DuckDBStore, "project", "before a projection", "after a projection"),
        (DuckDBStore, "checkpoint", "before a checkpoint", "after a checkpoint"),
        (DuckDBStore, "purge", *PURGING),
        (DuckDBStore, "close", *ENDING),
    ):
        _around(owner, name, *(at(point) for point in points))
    _around_effects(fate)
    _around_attempts(fate)
    _around_operations(fate)


def _around_effects(fate: _Fate) -> None:
    after_commit = Engine.after_commit

    def doomed(engine: Engine, effect: Callable[[], None]) -> None:
        def carry_out() -> None:
            fate.reach("before an effect")
            effect()
            fate.reach("after an effect")

        after_commit(engine, carry_out)

    Engine.after_commit = doomed  # type: ignore[method-assign]


def _around_attempts(fate: _Fate) -> None:
    submit = ProcessExecutor.submit

    def doomed(executor: ProcessExecutor, request: Any, started: Any, done: Any) -> None:
        def post(*told: Any) -> None:
            fate.reach("before an outcome is posted")
            done(*told)
            fate.reach("after an outcome was posted")

        fate.reach("before an attempt is handed over")
        submit(executor, request, started, post)
        fate.reach("after an attempt was handed over")

    ProcessExecutor.submit = doomed  # type: ignore[method-assign]


def _around_operations(fate: _Fate) -> None:
    submit = ThreadEntityRunner.submit

    def doomed(runner: ThreadEntityRunner, job: Any, done: Any) -> None:
        def post(*told: Any) -> None:
            fate.reach("before their results are posted")
            done(*told)
            fate.reach("after their results were posted")

        fate.reach("before operations of an entity run")
        submit(runner, job, post)

    ThreadEntityRunner.submit = doomed  # type: ignore[method-assign]


if __name__ == "__main__":
    # So that each round sees checkpoints, however little it writes.
    journal._CHECKPOINT_EVERY_S = 0.1
    duckdb_store._CHECKPOINT_BYTES = 1
    _install(_Fate(Path(os.environ["IPYDURABLE_RUNTIME_DIR"])))
    code = host_main.main(sys.argv[1:])
    logging.shutdown()
    os._exit(code)
