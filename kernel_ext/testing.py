"""For tests of durable code: see `ipydurable.runtime.testing`."""

from __future__ import annotations

from ipydurable.runtime.testing import (
    MemoryStore,
    ReplayReport,
    VirtualClock,
    dump_history,
    load_history,
    replay,
)

__all__ = [
    "MemoryStore",
    "ReplayReport",
    "VirtualClock",
    "dump_history",
    "load_history",
    "replay",
]
