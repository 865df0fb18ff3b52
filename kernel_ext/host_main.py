"""`python -m ipydurable.host_main STORE`: the background host, wired to the DuckDB store."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.engine import EngineOptions
from ipydurable.runtime.host import DEFAULT_IDLE_S, run_host
from ipydurable.runtime.ports import ActivityExecutor, Store
from ipydurable.version import __version__

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Be the host of the store whose path is the first argument."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    folder = os.environ.get("IPYDURABLE_RUNTIME_DIR")
    idle_s = float(os.environ.get("IPYDURABLE_IDLE_S", DEFAULT_IDLE_S))
    paths = HostPaths(arguments[0], Path(folder) if folder else None)
    return run_host(paths, _open_store, _executors, __version__, idle_s, _options())


def _options() -> EngineOptions:
    """Read the engine's options from the environment; see `EngineOptions`."""
    defaults = EngineOptions()
    return EngineOptions(
        resident=int(os.environ.get("IPYDURABLE_RESIDENT", defaults.resident)),
        turn_limit_s=float(os.environ.get("IPYDURABLE_TURN_LIMIT_S", defaults.turn_limit_s)),
        max_parallel=int(os.environ.get("IPYDURABLE_MAX_PARALLEL", defaults.max_parallel)),
        strict_replay=os.environ.get("IPYDURABLE_STRICT_REPLAY", "") not in ("", "0"),
    )


def _open_store(path: Path) -> Store:
    from ipydurable.store import open_store

    return open_store(path)


def _executors() -> Mapping[str, ActivityExecutor]:
    from .activity_executors import activity_executors

    return activity_executors()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    # Operations of entities that still run in threads must not hold up the end of the process.
    os._exit(code)
