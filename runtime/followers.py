"""Followers: somebody who is told about an instance or entity, in order and without gaps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from .ports import EntityUpdate, InstanceUpdate

__all__ = ["Follower"]

_Update = TypeVar("_Update", InstanceUpdate, EntityUpdate)


class Follower(Generic[_Update]):
    """Puts the snapshot before the news, and leaves out of the news what the snapshot had."""

    def __init__(self, tell: Callable[[_Update], None]) -> None:
        self._tell: Callable[[_Update], None] = tell
        self._lock = threading.Lock()
        self._waiting: list[_Update] | None = []
        self._last_seq = 0

    def begin_anew(self) -> None:
        """Forget the news that are kept: the snapshot, which is read from now on, has them."""
        with self._lock:
            if self._waiting is not None:
                self._waiting = []

    def begin(self, snapshot: _Update) -> None:
        """Tell the snapshot, then the news that came meanwhile."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._pass_on(snapshot)
            for update in waiting:
                self._pass_on(update)

    def update(self, update: _Update) -> None:
        """Tell news, or keep them until the snapshot is told."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(update)
            else:
                self._pass_on(update)

    def _pass_on(self, update: _Update) -> None:
        if update.events and update.events[0][0] <= self._last_seq:
            # Others may be told the same object, so it stays as it is.
            news = [item for item in update.events if item[0] > self._last_seq]
            update = msgspec.structs.replace(update, events=news)
        if update.events:
            self._last_seq = update.events[-1][0]
        self._tell(update)
