"""Executors: where attempts of activities run. All behave as `ports.ActivityExecutor` says."""

from __future__ import annotations

from .event_loop import AsyncioExecutor
from .processes import ProcessExecutor
from .progress import ProgressSink
from .threads import ThreadExecutor

__all__ = ["AsyncioExecutor", "ProcessExecutor", "ProgressSink", "ThreadExecutor"]
