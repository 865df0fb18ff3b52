"""Followers: somebody who is told about an instance, in order and without gaps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .ports import InstanceUpdate

__all__ = ["Follower"]


class Follower:
    """Puts the snapshot before the news, and leaves out of the news what the snapshot had."""

    def __init__(self, tell: Callable[[InstanceUpdate], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: list[InstanceUpdate] | None = []
        self._last_seq = 0

    def begin(self, snapshot: InstanceUpdate) -> None:
        """Tell the snapshot, then the news that came meanwhile."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._pass_on(snapshot)
            for update in waiting:
                self._pass_on(update)

    def update(self, update: InstanceUpdate) -> None:
        """Tell news, or keep them until the snapshot is told."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(update)
            else:
                self._pass_on(update)

    def _pass_on(self, update: InstanceUpdate) -> None:
        update.events = [item for item in update.events if item[0] > self._last_seq]
        if update.events:
            self._last_seq = update.events[-1][0]
        self._tell(update)
