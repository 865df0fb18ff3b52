"""For tests of durable code: a store in memory, a clock under control, replay of a history.

`help(ipydurable.runtime.testing)` shows two whole tests to start from.
"""

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
