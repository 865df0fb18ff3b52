"""Finds the host of a store, or starts one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from .connection import ConnectionInfo, HostPaths, is_locked
from .core.errors import HostStartError
from .wire import WireError, decode_error

__all__ = ["ensure_host", "find_host"]

_POLL_S = 0.01
_LOG_TAIL_CHARS = 600
_MOST_KILLED = 5


class _HostProcess(subprocess.Popen[bytes]):
    """A process that is meant to outlive this one: no warning that it still runs."""

    def __del__(self, *_: object) -> None:
        """Leave it alone."""


# Hosts this process has started: kept so that one that ended is reaped and never waits as a zombie.
_started: list[_HostProcess] = []


def find_host(paths: HostPaths) -> ConnectionInfo | None:
    """Return how to reach the living host of a store; None if there is none."""
    info = paths.read()
    return info if info is not None and is_locked(paths.lock) else None


def ensure_host(paths: HostPaths, timeout_s: float = 30.0) -> ConnectionInfo:
    """Return how to reach the host of a store, which is started if there is none.

    Args:
        paths: The host's files.
        timeout_s: How long a host may take to start.

    Raises:
        StoreError: The store cannot be opened; says why.
        HostStartError: The host did not start, or one after the other was killed; names its log.
    """
    deadline = time.monotonic() + timeout_s
    process: _HostProcess | None = None
    killed = 0
    while True:
        info = find_host(paths)
        if info is not None and (
            process is None or info.pid == process.pid or process.poll() is not None
        ):
            return info
        if process is None and not is_locked(paths.lock):
            process = _spawn(paths)
        if process is not None and process.poll() is not None:
            killed += process.returncode < 0
            if process.returncode >= 0 or killed == _MOST_KILLED:
                _raise_start_error(paths, process)
            process = None  # Whoever killed it had nothing against the next.
        if time.monotonic() > deadline:
            raise HostStartError(
                str(paths.store), f"it was not ready after {timeout_s:g} s", str(paths.log)
            )
        time.sleep(_POLL_S)


def _spawn(paths: HostPaths) -> _HostProcess:
    _started[:] = [process for process in _started if process.poll() is None]
    paths.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.error.unlink(missing_ok=True)
    descriptor = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # A session of its own: interrupting, restarting or ending the kernel does not reach it.
        process = _HostProcess(
            [sys.executable, "-m", "ipydurable.host_main", str(paths.store)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env={**os.environ, "IPYDURABLE_RUNTIME_DIR": str(paths.folder)},
        )
    finally:
        os.close(descriptor)
    _started.append(process)
    return process


def _raise_start_error(paths: HostPaths, process: _HostProcess) -> None:
    """Raise why the host ended; returns if another host was quicker."""
    try:
        wire = msgspec.json.decode(paths.error.read_bytes(), type=WireError)
    except (OSError, msgspec.MsgspecError):
        wire = None
    if wire is not None:
        raise decode_error(wire)
    if process.returncode != 0:
        raise HostStartError(
            str(paths.store),
            f"it ended with code {process.returncode}: {_tail(paths.log)}",
            str(paths.log),
        )


def _tail(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-_LOG_TAIL_CHARS:].strip()
    except OSError:
        return "it left no log"
