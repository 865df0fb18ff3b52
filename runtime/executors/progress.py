"""Where executors tell the progress of the attempts they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..ports import AttemptKey

__all__ = ["ProgressSink"]

ProgressSink: TypeAlias = Callable[[AttemptKey, float, float | None, str], None]
"""Receives which attempt it is, how much is done, of how much if that is known, and a note.

Called on the attempt's or the executor's thread: it hands over and returns."""
