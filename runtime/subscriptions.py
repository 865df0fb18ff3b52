"""Who follows which instance, and what they have not been told yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .core.events import HistoryEvent
from .core.records import InstanceRecord, Record
from .entity_news import EntityFollower, EntityFollowers
from .ports import InstanceUpdate, JournalRow, Stream
from .store_news import StoreFollowers

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Subscription", "Subscriptions"]

_MIN_INTERVAL = timedelta(milliseconds=50)


class Subscription:
    """One follower of one instance.

    Args:
        record: The instance's record; replaced as it changes.
        tell: Called in the engine's thread with each update; must return at once.
    """

    __slots__ = ("events", "is_touched", "record", "tell")

    def __init__(self, record: InstanceRecord, tell: Callable[[InstanceUpdate], None]) -> None:
        self.record = record
        self.tell = tell
        self.events: list[tuple[int, HistoryEvent]] = []
        self.is_touched = False


class Subscriptions:
    """Collects what became durable, and tells the followers of it at most 20 times a second.

    Attributes:
        entities: Those who follow entities.
        store: Those who follow the store as a whole; they are told once a second.
    """

    def __init__(self) -> None:
        self.entities = EntityFollowers()
        self.store = StoreFollowers()
        self._touched_entities: list[EntityFollower] = []
        self._by_iid: dict[int, list[Subscription]] = {}
        self._touched: list[Subscription] = []
        self._next_at = datetime.min  # noqa: DTZ901  (naive UTC, as all times here)

    def add(self, subscription: Subscription) -> None:
        """Begin to follow; rows that become durable from now on are told."""
        self._by_iid.setdefault(subscription.record.iid, []).append(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Follow no longer."""
        followers = self._by_iid.get(subscription.record.iid, [])
        if subscription in followers:
            followers.remove(subscription)
        if not followers:
            self._by_iid.pop(subscription.record.iid, None)

    def collect(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Take note of durable rows and of the records they changed."""
        self.store.touch()
        self._touched_entities += self.entities.collect(rows, records)
        if not self._by_iid:
            return
        for row in rows:
            followers = self._by_iid.get(row.iid)
            if followers and row.stream is Stream.HISTORY:
                for follower in followers:
                    follower.events.append((row.seq, row.event))  # type: ignore[arg-type]
        for record in records:
            if not isinstance(record, InstanceRecord):
                continue
            for follower in self._by_iid.get(record.iid, ()):
                follower.record = record
            self.touch(record.iid)

    def touch(self, iid: int) -> None:
        """Have the followers of an instance told soon."""
        for follower in self._by_iid.get(iid, ()):
            if not follower.is_touched:
                follower.is_touched = True
                self._touched.append(follower)

    @property
    def next_at(self) -> datetime | None:
        """When somebody is to be told; None if nobody is."""
        mine = self._next_at if self._touched or self._touched_entities else None
        times = [one for one in (mine, self.store.next_at) if one is not None]
        return min(times, default=None)

    def flush(self, engine: Engine) -> None:
        """Tell those who are to be told, unless the last time was just now."""
        self.store.flush(engine)
        is_due = self._touched or self._touched_entities
        if not is_due or engine.now < self._next_at:
            return
        self._next_at = engine.now + _MIN_INTERVAL
        entities, self._touched_entities = self._touched_entities, []
        for one in entities:
            one.flush(engine.now)
        touched, self._touched = self._touched, []
        told: dict[tuple[int, int, int], InstanceUpdate] = {}
        for follower in touched:
            follower.is_touched = False
            events, follower.events = follower.events, []
            # Who has seen as much gets the same object, so that it need be encoded only once.
            key = follower.record.iid, events[0][0] if events else 0, len(events)
            update = told.get(key)
            if update is None:
                instance = engine.orchestrations.by_iid.get(follower.record.iid)
                update = told[key] = InstanceUpdate(
                    record=follower.record,
                    events=events,
                    running=list(instance.running.values()) if instance else [],
                    awaited_events=dict(instance.awaited_events) if instance else {},
                    now=engine.now,
                )
            follower.tell(update)
