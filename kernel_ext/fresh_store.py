"""Setting a store aside, so that another can begin in its place."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.errors import HostError, StoreUnwritableError
from ipydurable.runtime.launch import find_host

from .session import host_client

__all__ = ["set_aside"]

_POLL_S = 0.02
_END_S = 20.0


def set_aside(store: str | Path) -> Path | None:
    """End the host of a store and rename its file, replacing what was set aside before.

    Args:
        store: The store's file.

    Returns:
        Where it is now, `orders.duckdb.before`; None where there was none.

    Raises:
        StoreUnwritableError: Its host does not end, or the file cannot be renamed.
    """
    paths = HostPaths(Path(store).expanduser().absolute())
    if find_host(paths) is not None:
        client = host_client(paths.store)()
        # It may have ended by itself in between.
        with contextlib.suppress(HostError):
            client.stop_host()
        client.close()
    _wait_for_its_end(paths)
    kept = None
    for suffix in ("", ".wal", ".wal.checkpoint", ".wal.mark"):
        file = paths.store.with_name(f"{paths.store.name}{suffix}")
        aside = paths.store.with_name(f"{paths.store.name}.before{suffix}")
        aside.unlink(missing_ok=True)
        if file.exists():
            try:
                file.rename(aside)
            except OSError as error:
                raise StoreUnwritableError(str(file), str(error.strerror)) from error
            kept = kept or aside
    return kept


def _wait_for_its_end(paths: HostPaths) -> None:
    deadline = time.monotonic() + _END_S
    while is_locked(paths.lock):
        if time.monotonic() > deadline:
            raise StoreUnwritableError(str(paths.store), "its host does not end")
        time.sleep(_POLL_S)
