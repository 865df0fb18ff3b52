"""News of a store as a whole: a beat once a second while anything happens, and the load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .ports import StoreUpdate

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["StoreFollowers", "store_update"]

_EVERY = timedelta(seconds=1)

_Tell = Callable[[StoreUpdate], None]


class StoreFollowers:
    """Those who follow a store as a whole."""

    def __init__(self) -> None:
        self._tell: list[_Tell] = []
        self._is_touched = False
        self._next_at = datetime.min  # noqa: DTZ901  (naive UTC, as all times here)

    def add(self, tell: _Tell) -> None:
        """Begin to follow; `tell` is called in the engine's thread and must return at once."""
        self._tell.append(tell)

    def remove(self, tell: _Tell) -> None:
        """Follow no longer."""
        if tell in self._tell:
            self._tell.remove(tell)

    def touch(self) -> None:
        """Have the followers told soon: something has happened."""
        self._is_touched = bool(self._tell)

    @property
    def next_at(self) -> datetime | None:
        """When somebody is to be told; None if nobody is."""
        return self._next_at if self._is_touched else None

    def flush(self, engine: Engine) -> None:
        """Tell the followers, unless there is nothing new or the last time was just now."""
        if not self._is_touched or engine.now < self._next_at:
            return
        self._next_at = engine.now + _EVERY
        self._is_touched = False
        update = store_update(engine)
        for tell in self._tell:
            tell(update)


def store_update(engine: Engine) -> StoreUpdate:
    """Return what a follower of the store is told now; in the engine's thread."""
    load = engine.dispatcher.load(engine.orchestrations.by_iid)
    return StoreUpdate(
        now=engine.now,
        gseq=engine.durable_gseq,
        live=len(engine.orchestrations.by_iid),
        lanes=load.lanes,
        work=load.work,
        held=load.held,
    )
