"""For tests of durable code: see `ipydurable.runtime.testing`."""

from __future__ import annotations

from ipydurable.runtime.testing import MemoryStore, VirtualClock

__all__ = ["MemoryStore", "VirtualClock"]
