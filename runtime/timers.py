"""Due times in order: durable timers and delayed starts."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import NamedTuple

__all__ = ["DEADLINE", "DELAYED_START", "SIGNAL", "Due", "TimerQueue"]

DELAYED_START = 0
DEADLINE = -1
SIGNAL = "@signal"


class Due(NamedTuple):
    """Something that happens at a time.

    Attributes:
        fire_at: When (naive UTC).
        iid: The instance's number.
        execution_id: The execution it belongs to; empty for what belongs to the instance;
            `SIGNAL` for an entity's scheduled signal, whose row is `task_id`.
        task_id: The timer's action id, `DELAYED_START` or `DEADLINE`.
    """

    fire_at: datetime
    iid: int
    execution_id: str
    task_id: int


class TimerQueue:
    """A heap of due times. Entries are never removed early: whoever takes one checks it."""

    def __init__(self) -> None:
        self._heap: list[Due] = []

    def add(self, due: Due) -> None:
        """Add an entry."""
        heapq.heappush(self._heap, due)

    @property
    def next_at(self) -> datetime | None:
        """The nearest time; None if there is none."""
        return self._heap[0].fire_at if self._heap else None

    def take_due(self, now: datetime) -> list[Due]:
        """Remove and return the entries whose time has come, in order."""
        due: list[Due] = []
        while self._heap and self._heap[0].fire_at <= now:
            due.append(heapq.heappop(self._heap))
        return due
