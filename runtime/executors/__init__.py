"""Executors: where attempts of activities run. All behave as `ports.ActivityExecutor` says."""

from __future__ import annotations

from collections.abc import Sequence

from ..ports import ActivityExecutor
from .event_loop import AsyncioExecutor
from .futures import FuturesExecutor
from .processes import ProcessExecutor
from .threads import ThreadExecutor

__all__ = [
    "AsyncioExecutor",
    "FuturesExecutor",
    "ProcessExecutor",
    "ThreadExecutor",
    "default_executors",
]


def default_executors(plugins: Sequence[str] = ()) -> dict[str, ActivityExecutor]:
    """Return a new executor of each kind, by name; none starts anything before its first attempt.

    Args:
        plugins: Modules of hooks for worker processes; see `ProcessExecutor`.
    """
    executors: tuple[ActivityExecutor, ...] = (
        ProcessExecutor(plugins=plugins),
        AsyncioExecutor(),
        ThreadExecutor(),
    )
    return {executor.name: executor for executor in executors}
