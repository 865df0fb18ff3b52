"""For tests of durable code: a store in memory, a clock under control, replay of a history.

**Run it, without a file and without waiting.** A `Runtime` on a `MemoryStore` with a
`VirtualClock` runs orchestrators as a notebook does. The clock stands still until it is moved;
`settle` waits until nothing goes on without that, so a reminder of thirty days is tested in
milliseconds. Activities that call the world are replaced by others of the same name.

**Replay what really happened.** `replay` runs an orchestrator's code against a recorded history,
without a store, a host or activities, and raises where they part. Keep the histories of real runs
beside the tests: whoever edits the orchestrator learns at once whether instances in flight survive.

Example:
    from datetime import timedelta

    from ipydurable import Runtime, activity, orchestrator
    from ipydurable.testing import MemoryStore, VirtualClock, replay

    @activity(on="threads")
    def send(text):
        return f"sent: {text}"

    @orchestrator
    async def reminder(ctx, text):
        paid = ctx.wait_for_external_event("paid")
        winner = await ctx.when_any([paid, ctx.create_timer(timedelta(days=30))])
        return "paid" if winner is paid else await send(text)

    def test_who_does_not_pay_is_reminded_after_thirty_days():
        clock = VirtualClock()
        with Runtime(MemoryStore(), clock=clock) as runtime:
            run = runtime.start(reminder, "please pay")
            runtime.settle()
            assert [task.kind for task in run.waiting_for] == ["timer", "external event"]
            clock.advance(timedelta(days=30))
            assert run.result(timeout=10) == "sent: please pay"

    def test_who_pays_is_left_alone_and_the_history_replays():
        with Runtime(MemoryStore(), clock=VirtualClock()) as runtime:
            run = runtime.start(reminder, "please pay")
            run.raise_event("paid")
            assert run.result(timeout=10) == "paid"
            report = replay(run, reminder)  # run.history(), or a file of run.export_history(path)
        assert report.warnings == ()
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from .core.errors import QueryError
from .core.records import EntityRecord, InstanceRecord, Record
from .definitions import Definition, DefinitionAdded
from .history_rows import dump_history, load_history
from .ports import EntityQuery, InstanceQuery, JournalRow, KeptOutput, Recovery, Stream
from .replaying import ReplayReport, replay

__all__ = [
    "MemoryStore",
    "ReplayReport",
    "VirtualClock",
    "dump_history",
    "load_history",
    "replay",
]


class VirtualClock:
    """A clock that stands still until it is moved.

    Args:
        start: The first present (naive UTC).
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1)) -> None:  # noqa: DTZ001
        self._now = start
        self._wakes: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """Return the present."""
        return self._now

    def wait_s(self, until: datetime) -> float | None:
        """Return 0 where `until` has come; else None, as moving the clock wakes who waits."""
        return 0.0 if until <= self._now else None

    def on_moved(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever the clock is moved."""
        self._wakes.append(wake)

    def advance(self, by: timedelta) -> None:
        """Move the present on."""
        self.advance_to(self._now + by)

    def advance_to(self, when: datetime) -> None:
        """Move the present to `when`, unless that is past."""
        self._now = max(self._now, when)
        for wake in self._wakes:
            wake()


class MemoryStore:
    """A store that lives as long as this object: the plainest thing that keeps the contract.

    Several engines may use it one after the other, as if the process had been restarted.
    """

    path = ":memory:"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.rows: list[JournalRow] = []
        self._last_gseq = self._last_iid = 0
        self._by_iid: dict[int, list[JournalRow]] = {}
        self._records: dict[int, Record] = {}
        self._outputs: list[KeptOutput] = []
        self._purged: dict[str, int] = {}

    def recover(self) -> Recovery:
        """Return what is known."""
        with self._lock:
            return Recovery(
                last_gseq=self._last_gseq,
                last_iid=self._last_iid,
                live=[
                    copy.copy(record)
                    for _, record in sorted(self._records.items())
                    if record.is_live
                ],
                definitions=self._definitions(),
                report=[],
            )

    def append(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Keep rows and records."""
        with self._lock:
            self.rows.extend(rows)
            for row in rows:
                self._last_gseq = row.gseq
                self._last_iid = max(self._last_iid, row.iid)
                self._by_iid.setdefault(row.iid, []).append(row)
            for record in records:
                self._records[record.iid] = copy.copy(record)

    def project(self) -> None:
        """Nothing to do."""

    def checkpoint(self) -> None:
        """Nothing to do."""

    def give_back_memory(self) -> None:
        """Nothing to do."""

    def find(self, instance_id: str) -> Record | None:
        """Return the newest instance of that id."""
        return self.find_many([instance_id]).get(instance_id)

    def find_many(self, instance_ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of those that exist."""
        wanted = set(instance_ids)
        with self._lock:
            return {
                record.instance_id: copy.copy(record)
                for _, record in sorted(self._records.items())
                if record.instance_id in wanted
            }

    def query(self, query: InstanceQuery) -> list[InstanceRecord]:
        """Return records, newest first."""
        with self._lock:
            found = [
                copy.copy(record)
                for _, record in sorted(self._records.items(), reverse=True)
                if isinstance(record, InstanceRecord) and _matches(record, query)
            ]
        return found[: query.limit] if query.limit else found

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """Return entities, newest first."""
        with self._lock:
            found = [
                copy.copy(record)
                for _, record in sorted(self._records.items(), reverse=True)
                if isinstance(record, EntityRecord) and _entity_matches(record, query)
            ]
        return found[: query.limit] if query.limit else found

    def history(self, iid: int, first_seq: int = 1) -> list[JournalRow]:
        """Return an instance's rows."""
        with self._lock:
            rows = self._by_iid.get(iid, [])
            consumed = {row.ref for row in rows if row.ref}
            return [
                row
                for row in rows
                if (row.stream is Stream.HISTORY and row.seq >= first_seq)
                or (row.stream is Stream.INBOX and row.gseq not in consumed)
            ]

    def rows_of(self, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
        """Return rows of an instance by their numbers."""
        with self._lock:
            return [row for row in self._by_iid.get(iid, []) if row.gseq in set(gseqs)]

    def histories(self, records: Iterable[Record]) -> Iterator[list[JournalRow]]:
        """Return the rows of several instances."""
        for record in records:
            yield self.history(record.iid, record.first_seq)

    def all_rows(self) -> Iterator[JournalRow]:
        """Return all rows."""
        with self._lock:
            return iter(list(self.rows))

    def keep_outputs(self, outputs: Sequence[KeptOutput]) -> None:
        """Keep what attempts printed."""
        with self._lock:
            self._outputs.extend(outputs)

    def outputs(self, iid: int, execution_id: str, task_id: int) -> list[KeptOutput]:
        """Return what an activity's attempts printed."""
        wanted = iid, execution_id, task_id
        with self._lock:
            found = {kept.key: kept for kept in self._outputs if kept.key[:3] == wanted}
        return [found[key] for key in sorted(found)]

    def purge(self, iids: Sequence[int], request_id: str = "") -> None:
        """Forget instances; their numbers, and those of their rows, are not used again."""
        purged = frozenset(iids) - {0}
        with self._lock:
            for iid in purged:
                self._records.pop(iid, None)
                self._by_iid.pop(iid, None)
            self.rows = [row for row in self.rows if row.iid not in purged]
            self._outputs = [kept for kept in self._outputs if kept.key.iid not in purged]
            if request_id:
                self._purged[request_id] = len(iids)

    def purged(self, request_id: str) -> int | None:
        """Return how many instances were forgotten for a request, or None."""
        return self._purged.get(request_id)

    def sql(self, text: str, parameters: Any = None, *, started: Any = None) -> bytes:  # noqa: ARG002
        """Refuse: there is no database."""
        raise QueryError(text, "a MemoryStore has no SQL; use a DuckDB store for queries")

    def close(self) -> None:
        """Nothing to do."""

    def _definitions(self) -> list[Definition]:
        added = [row.event for row in self.rows if row.stream is Stream.DEFINITION]
        return [one.definition for one in added if isinstance(one, DefinitionAdded)]


def _matches(record: InstanceRecord, query: InstanceQuery) -> bool:
    return not (
        (query.status and record.status not in query.status)
        or (query.name and record.name != query.name)
        or (query.prefix and not record.instance_id.startswith(query.prefix))
        or any(record.tags.get(key) != value for key, value in query.tags.items())
        or (query.created_from is not None and record.created_at < query.created_from)
        or (query.created_to is not None and record.created_at >= query.created_to)
        or (query.parent and record.parent_instance_id != query.parent)
        or (query.before_iid and record.iid >= query.before_iid)
    )


def _entity_matches(record: EntityRecord, query: EntityQuery) -> bool:
    return not (
        (query.name and record.name != query.name.lower())
        or (query.prefix and not record.instance_id.startswith(query.prefix))
        or (query.modified_from is not None and record.updated_at < query.modified_from)
        or (query.modified_to is not None and record.updated_at >= query.modified_to)
        or (query.locked and record.locked_by is None)
        or (_is_empty(record) and not (query.include_empty or query.only_empty))
        or (query.only_empty and not _is_empty(record))
        or (query.before_iid and record.iid >= query.before_iid)
    )


def _is_empty(record: EntityRecord) -> bool:
    return record.state is None and not record.is_live
