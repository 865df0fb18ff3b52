"""The background host: one process per store file, which owns the file and runs the engine."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .clock import SystemClock
from .connection import ConnectionInfo, HostLock, HostPaths, write_private
from .core.errors import DurableError
from .engine import Engine, EngineOptions
from .journal import ThreadedJournal
from .memory import give_back_memory
from .ports import ActivityExecutor, Store
from .server import Server
from .service import Service
from .wire import encode_error

__all__ = ["run_host"]

_log = logging.getLogger(__name__)

_HOUSEKEEPING_S = 2.0
# A hundred thousand instances that wait are long-lived and hold few cycles: with Python's own
# thresholds (700, 10, 10) the collector looks at them again and again.
_GC_THRESHOLDS = (200_000, 50, 100)
DEFAULT_IDLE_S = 300.0


def run_host(
    paths: HostPaths,
    open_store: Callable[[Path], Store],
    executors: Callable[[], Mapping[str, ActivityExecutor]],
    version: str,
    idle_s: float = DEFAULT_IDLE_S,
    options: EngineOptions | None = None,
) -> int:
    """Be the host of a store until a client stops it, or it has been idle for a while.

    It is idle when no instance is live (waiting for a timer or an event is being live) and no
    client is connected.

    Args:
        paths: The host's files.
        open_store: Opens the store.
        executors: Makes the executors.
        version: Of ipydurable, to be told.
        idle_s: How long it must be idle before it ends by itself.
        options: Of the engine.

    Returns:
        The exit code: 0 also where another host was quicker.
    """
    lock = HostLock(paths.lock)
    if not lock.acquire():
        return 0
    gc.set_threshold(*_GC_THRESHOLDS)
    # That of a host that was killed would send clients to where nobody listens.
    paths.connection.unlink(missing_ok=True)
    try:
        store = open_store(paths.store)
        engine = Engine(store, ThreadedJournal, SystemClock(), executors(), options=options)
    except DurableError as error:
        write_private(paths.error, msgspec.json.encode(encode_error(error)))
        return 1
    service = Service(engine, version, str(paths.log))
    key = secrets.token_bytes(32)
    server = Server(service, key)
    server.start()
    paths.write(
        ConnectionInfo(
            pid=os.getpid(),
            ip="127.0.0.1",
            port=server.port,
            key=key.hex(),
            store=str(paths.store),
            version=version,
        )
    )
    _stop_on_signals(engine)
    threading.Thread(
        target=_keep_house, args=(engine, service, idle_s), name="ipydurable-house", daemon=True
    ).start()
    _log.info("host %s serves %s", os.getpid(), paths.store)
    engine.run()
    paths.connection.unlink(missing_ok=True)
    service.close()
    server.close()
    store.close()
    lock.release()
    _log.info("host %s has ended", os.getpid())
    return 0


def _stop_on_signals(engine: Engine) -> None:
    def stop(number: int, frame: Any) -> None:  # noqa: ARG001
        engine.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _keep_house(engine: Engine, service: Service, idle_s: float) -> None:
    """Give back memory now and then; end the host once it has been idle for long enough."""
    idle_since = time.monotonic()
    while True:
        time.sleep(min(_HOUSEKEEPING_S, idle_s / 4))
        give_back_memory()
        now = time.monotonic()
        if engine.orchestrations.by_iid or service.clients:
            idle_since = now
        elif now - idle_since >= idle_s:
            _log.info("idle for %g s: ending", idle_s)
            engine.stop()
            return
