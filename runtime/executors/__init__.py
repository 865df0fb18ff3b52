"""Executors: where attempts of activities run. All behave as `ports.ActivityExecutor` says."""

from __future__ import annotations

from collections.abc import Sequence

from ..ports import ActivityExecutor
from .event_loop import AsyncioExecutor
from .processes import ProcessExecutor
from .progress import ProgressSink
from .threads import ThreadExecutor

__all__ = [
    "AsyncioExecutor",
    "ProcessExecutor",
    "ProgressSink",
    "ThreadExecutor",
    "default_executors",
]


def default_executors(
    progress: ProgressSink | None = None, plugins: Sequence[str] = ()
) -> dict[str, ActivityExecutor]:
    """Return a new executor of each kind, by name; none starts anything before its first attempt.

    Args:
        progress: Receives what activities tell by `ctx.progress`.
        plugins: Modules of hooks for worker processes; see `ProcessExecutor`.
    """
    executors: tuple[ActivityExecutor, ...] = (
        ProcessExecutor(progress=progress, plugins=plugins),
        AsyncioExecutor(progress=progress),
        ThreadExecutor(progress=progress),
    )
    return {executor.name: executor for executor in executors}
