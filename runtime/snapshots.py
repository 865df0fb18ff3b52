"""What followers of an instance are told first: its history so far, read once for many of them."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import NamedTuple

from .core.records import InstanceRecord
from .engine import Engine
from .followers import Follower
from .form_desk import child_forms
from .ports import InstanceUpdate, Stream
from .subscriptions import Subscription

__all__ = ["Snapshots"]


class _Newcomer(NamedTuple):
    subscription: Subscription
    follower: Follower[InstanceUpdate]


class Snapshots:
    """Reads one history at a time; who comes meanwhile shares the next reading of it.

    Belongs to the engine's thread, where `give` is called.

    Args:
        engine: The engine.
        readers: Where stores are read.
    """

    def __init__(self, engine: Engine, readers: Executor) -> None:
        self._engine = engine
        self._readers = readers
        self._waiting: dict[int, list[_Newcomer]] = {}
        self._being_read: set[int] = set()

    def give(self, subscription: Subscription, follower: Follower[InstanceUpdate]) -> None:
        """Have a follower told everything, as soon as that is durable.

        Args:
            subscription: It has been added, so what is new is told to the follower.
            follower: Keeps that until it was told everything.
        """
        newcomer = _Newcomer(subscription, follower)
        self._engine.after_commit(lambda: self._expect(newcomer))

    def _expect(self, newcomer: _Newcomer) -> None:
        iid = newcomer.subscription.record.iid
        self._waiting.setdefault(iid, []).append(newcomer)
        self._read_next(iid)

    def _read_next(self, iid: int) -> None:
        if iid in self._being_read or iid not in self._waiting:
            return
        newcomers = self._waiting.pop(iid)
        orchestrations = self._engine.orchestrations
        instance = orchestrations.by_iid.get(iid)
        if instance is not None:
            orchestrations.know_awaited_events(instance)
        asked = child_forms(orchestrations.by_id, instance)
        for subscription, follower in newcomers:
            subscription.has_forms = bool(asked)
            # All they were told until now is durable, and so will be read.
            follower.begin_anew()
        update = InstanceUpdate(
            record=newcomers[0].subscription.record,
            events=[],
            running=list(instance.running.values()) if instance else [],
            awaited_events=dict(instance.awaited_events) if instance else {},
            child_forms=asked,
            now=self._engine.now,
        )
        self._being_read.add(iid)
        self._readers.submit(self._read, update, [follower for _, follower in newcomers])

    def _read(self, update: InstanceUpdate, followers: list[Follower[InstanceUpdate]]) -> None:
        """Read a history and tell it; in a reader's thread."""
        try:
            store, iid = self._engine.store, update.record.iid
            # The record first: one that has ended must come with the events of its end.
            stored = store.find(update.record.instance_id)
            if isinstance(stored, InstanceRecord) and stored.iid == iid:
                update.record = stored
            rows = store.history(iid, update.record.first_seq or 1)
            update.events = [
                (row.seq, row.event)  # type: ignore[misc]
                for row in rows
                if row.stream is Stream.HISTORY
            ]
            for follower in followers:
                follower.begin(update)
        finally:
            self._engine.post(self._has_read, iid)

    def _has_read(self, iid: int) -> None:
        self._being_read.discard(iid)
        self._read_next(iid)
