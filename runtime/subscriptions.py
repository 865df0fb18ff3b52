"""Who follows which instance, and what they have not been told yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .core.events import (
    EventFormClosed,
    EventFormOpened,
    EventRaised,
    ExecutionRewound,
    HistoryEvent,
)
from .core.records import InstanceRecord, Record
from .entity_news import EntityFollower, EntityFollowers
from .form_desk import child_forms
from .ports import InstanceUpdate, JournalRow, Stream
from .store_news import StoreFollowers

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Subscription", "Subscriptions"]

_MIN_INTERVAL = timedelta(milliseconds=50)
_FORM_EVENTS = frozenset({EventFormOpened, EventFormClosed, EventRaised, ExecutionRewound})


class Subscription:
    """One follower of one instance.

    Args:
        record: The instance's record; replaced as it changes.
        tell: Called in the engine's thread with each update; must return at once.

    Attributes:
        has_forms: Whether it was told of forms of sub-orchestrations.
        is_asked: Whether these may be others by now.
        known: How many of the events that wait to be told came before it began to follow.
    """

    __slots__ = ("has_forms", "is_asked", "known", "record", "tell")

    def __init__(self, record: InstanceRecord, tell: Callable[[InstanceUpdate], None]) -> None:
        self.has_forms = False
        self.is_asked = False
        self.record = record
        self.tell = tell
        self.known = 0


class _Followed:
    """An instance that somebody follows: by whom, and what they have not been told yet."""

    __slots__ = ("events", "followers", "is_touched")

    def __init__(self) -> None:
        self.followers: list[Subscription] = []
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
        self._by_iid: dict[int, _Followed] = {}
        self._touched: list[_Followed] = []
        # Parents of instances whose forms changed, and of those that ended.
        self._asked: set[str] = set()
        self._bereft: set[str] = set()
        self._next_at = datetime.min  # noqa: DTZ901  (naive UTC, as all times here)

    def add(self, subscription: Subscription) -> None:
        """Begin to follow; rows that become durable from now on are told."""
        followed = self._by_iid.setdefault(subscription.record.iid, _Followed())
        followed.followers.append(subscription)
        subscription.known = len(followed.events)

    def remove(self, subscription: Subscription) -> None:
        """Follow no longer."""
        followers = self._followers(subscription.record.iid)
        if subscription in followers:
            followers.remove(subscription)
        if not followers:
            self._by_iid.pop(subscription.record.iid, None)

    def _followers(self, iid: int) -> list[Subscription]:
        followed = self._by_iid.get(iid)
        return [] if followed is None else followed.followers

    def collect(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Take note of durable rows and of the records they changed."""
        self.store.touch()
        self._touched_entities += self.entities.collect(rows, records)
        if not self._by_iid:
            return
        asking = set()
        for row in rows:
            if type(row.event) in _FORM_EVENTS and _concerns_forms(row.event):
                asking.add(row.iid)
            followed = self._by_iid.get(row.iid)
            if followed is not None and row.stream is Stream.HISTORY:
                followed.events.append((row.seq, row.event))  # type: ignore[arg-type]
        for record in records:
            if not isinstance(record, InstanceRecord):
                continue
            for follower in self._followers(record.iid):
                follower.record = record
            self.touch(record.iid)
            if record.parent_instance_id:
                self._note_child(record, has_forms=record.iid in asking)

    def _note_child(self, record: InstanceRecord, *, has_forms: bool) -> None:
        if has_forms:
            self._asked.add(record.parent_instance_id)
        elif record.status.is_terminal:
            self._bereft.add(record.parent_instance_id)

    def touch(self, iid: int) -> None:
        """Have the followers of an instance told soon."""
        followed = self._by_iid.get(iid)
        if followed is not None and not followed.is_touched:
            followed.is_touched = True
            self._touched.append(followed)

    @property
    def next_at(self) -> datetime | None:
        """When somebody is to be told; None if nobody is."""
        is_due = self._touched or self._touched_entities or self._asked or self._bereft
        mine = self._next_at if is_due else None
        times = [one for one in (mine, self.store.next_at) if one is not None]
        return min(times, default=None)

    def flush(self, engine: Engine) -> None:
        """Tell those who are to be told, unless the last time was just now."""
        self.store.flush(engine)
        self._pass_up(engine)
        is_due = self._touched or self._touched_entities
        if not is_due or engine.now < self._next_at:
            return
        self._next_at = engine.now + _MIN_INTERVAL
        entities, self._touched_entities = self._touched_entities, []
        for one in entities:
            one.flush(engine.now)
        touched, self._touched = self._touched, []
        for followed in touched:
            self._tell(followed, engine)

    def _tell(self, followed: _Followed, engine: Engine) -> None:
        """Tell the followers of an instance what is new."""
        followed.is_touched = False
        events, followed.events = followed.events, []
        told: dict[tuple[int, bool], InstanceUpdate] = {}
        for follower in followed.followers:
            # Who has seen as much gets the same object, so that it need be encoded only once.
            key = follower.known, follower.is_asked
            update = told.get(key)
            if update is None:
                update = told[key] = self._update(follower, events[follower.known :], engine)
            if update.child_forms is not None:
                follower.has_forms = bool(update.child_forms)
            follower.is_asked = False
            follower.known = 0
            follower.tell(update)

    def _update(
        self, follower: Subscription, events: list[tuple[int, HistoryEvent]], engine: Engine
    ) -> InstanceUpdate:
        orchestrations = engine.orchestrations
        instance = orchestrations.by_iid.get(follower.record.iid)
        return InstanceUpdate(
            record=follower.record,
            events=events,
            running=list(instance.running.values()) if instance else [],
            awaited_events=dict(instance.awaited_events) if instance else {},
            child_forms=child_forms(orchestrations.by_id, instance) if follower.is_asked else None,
            now=engine.now,
        )

    def _pass_up(self, engine: Engine) -> None:
        """Have those told of forms who follow an instance above the one that asks."""
        asked, self._asked = self._asked, set()
        bereft, self._bereft = self._bereft, set()
        for instance_id in asked | bereft:
            above = engine.orchestrations.by_id.get(instance_id)
            while above is not None:
                for follower in self._followers(above.iid):
                    if instance_id in asked or follower.has_forms:
                        follower.is_asked = True
                        self.touch(above.iid)
                above = engine.orchestrations.by_id.get(above.record.parent_instance_id)


def _concerns_forms(event: object) -> bool:
    return not isinstance(event, EventRaised) or event.form_id != ""
