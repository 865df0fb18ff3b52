"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable

__all__ = ["give_back_memory"]


def give_back_memory() -> None:
    """Have the C library return what it keeps of freed memory; nothing where it does so by itself.

    glibc returns only what is free at the end of its heap, and something small always lives there:
    after a fan-out of 100,000 that is 100 MB. It takes some milliseconds, without Python's lock.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """Return the C library's function; each look-up would leave classes to the collector."""
    if sys.platform != "linux":
        return None
    # musl, the other C library of Linux, has no such function and no need of it.
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
