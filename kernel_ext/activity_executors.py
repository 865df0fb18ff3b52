"""The executors of hosts and of `Runtime`: the engine's, with `display()` recorded."""

from __future__ import annotations

from ipydurable.runtime.ports import ActivityExecutor

__all__ = ["activity_executors"]


def activity_executors() -> dict[str, ActivityExecutor]:
    """Return a new executor of each kind, by name."""
    from ipydurable.runtime.executors import default_executors

    from . import activity_display

    activity_display.install()
    return default_executors(plugins=[activity_display.__name__])
