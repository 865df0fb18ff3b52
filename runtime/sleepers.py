"""Messages for instances whose code is not in memory: many are read from the store at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .core.events import EventRaised, HistoryEvent
from .core.records import InstanceRecord
from .instances import Instance
from .ports import JournalRow, Store

__all__ = ["Sleepers"]

_MAX_ROWS_AT_ONCE = 20_000
_MAX_INSTANCES_AT_ONCE = 1_000


class _Waiting(NamedTuple):
    """A message, for whom, and for which of its executions."""

    instance: Instance
    event: HistoryEvent
    execution_id: str


class Sleepers:
    """Holds such messages until the step ends; belongs to the engine's thread.

    One query for a thousand instances costs little more than one for a single instance.

    Args:
        store: Where their histories are.

    Attributes:
        are_waking: Whether they are being given their messages just now.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._rows: dict[int, list[JournalRow]] = {}
        self.are_waking = False

    def __bool__(self) -> bool:
        """Whether a message waits."""
        return bool(self._waiting)

    def add(self, instance: Instance, event: HistoryEvent) -> None:
        """Keep a message until `wake`."""
        self._waiting.append(_Waiting(instance, event, instance.record.execution_id))

    def wake(self) -> Iterator[tuple[Instance, HistoryEvent]]:
        """Give the messages in order; the histories of their instances are at hand meanwhile.

        Outcomes for an execution that has ended meanwhile are dropped.
        """
        waiting, self._waiting = self._waiting, []
        self.are_waking = True
        try:
            while waiting:
                count = self._read_first_of(one.instance for one in waiting)
                for instance, event, execution_id in waiting[:count]:
                    if isinstance(event, EventRaised) or (
                        instance.record.execution_id == execution_id
                    ):
                        yield instance, event
                del waiting[:count]
        finally:
            self.forget()
            self.are_waking = False

    def rows_of(self, record: InstanceRecord) -> list[JournalRow]:
        """Return the durable rows of an instance's present execution."""
        rows = self._rows.pop(record.iid, None)
        return self._store.history(record.iid, record.first_seq) if rows is None else rows

    def read_ahead(self, instances: Iterable[Instance]) -> None:
        """Have the histories at hand of those that come first, until `forget`."""
        first = next(iter(instances))
        if first.executor is None and first.iid not in self._rows:
            self._read_first_of(instances)

    def forget(self) -> None:
        """Drop what was read ahead: it is as old as what was durable when it was read."""
        self._rows = {}

    def _read_first_of(self, instances: Iterable[Instance]) -> int:
        """Read as many histories as is sensible, and return for how many it was."""
        records: dict[int, InstanceRecord] = {}
        rows = count = 0
        for instance in instances:
            record = instance.record
            if instance.executor is None and record.iid not in records:
                if rows >= _MAX_ROWS_AT_ONCE or len(records) >= _MAX_INSTANCES_AT_ONCE:
                    break
                records[record.iid] = record
                rows += record.last_seq - record.first_seq + 1
            count += 1
        found = self._store.histories(records.values())
        self._rows = dict(zip(records, found, strict=True))
        return count
