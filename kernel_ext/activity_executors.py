"""The executors of hosts and of `Runtime`: the engine's, with `display()` recorded."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from ipydurable.runtime.ports import ActivityExecutor

__all__ = ["activity_executors"]


def activity_executors(
    more: Mapping[str, ActivityExecutor | Executor] | None = None,
) -> dict[str, ActivityExecutor]:
    """Return a new executor of each kind, by name, and `more` beside or instead of them.

    Args:
        more: Executors of ours, or any `concurrent.futures.Executor`, by name.
    """
    from ipydurable.runtime.executors import FuturesExecutor, default_executors

    from . import activity_display

    activity_display.install()
    executors = default_executors(plugins=[activity_display.__name__])
    for name, executor in (more or {}).items():
        if name in executors:
            executors[name].close()
        if isinstance(executor, Executor):
            executors[name] = FuturesExecutor(executor, name)
        else:
            executors[name] = executor
    return executors
