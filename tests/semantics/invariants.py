"""What holds after every step of the engine, whatever happened and whatever broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipydurable.runtime.core.events import (
    EntityOperationCompleted,
    EntityOperationFailed,
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    LockAcquired,
    LockReleased,
    LockRequested,
    OperationDone,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from ipydurable.runtime.core.records import InstanceRecord, Record, fold_record
from ipydurable.runtime.ports import JournalRow, Stream

if TYPE_CHECKING:
    from tests.support.world import World

__all__ = ["Invariants", "JournalInvariants"]

_OUTCOMES = (
    TaskCompleted,
    TaskFailed,
    TimerFired,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    EntityOperationCompleted,
    EntityOperationFailed,
)


class JournalInvariants:
    """What holds of the rows of a journal; to be given each of them, in order.

    Attributes:
        records: The fold of the rows seen so far, by `iid`.
        holders: Who holds the lock of which entity, by its `iid`.
    """

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.holders: dict[int, str] = {}
        self._seen = 0
        self._executions: dict[int, str] = {}
        self._settled: set[tuple[int, str, int]] = set()
        self._consumed: set[int] = set()
        self._ended: set[int] = set()
        self._last_event: dict[int, int] = {}
        self._heard: dict[int, set[int]] = {}
        self._heard_before: dict[int, set[int]] = {}
        self._between: set[int] = set()

    def check_row(self, row: JournalRow) -> None:
        """Raise AssertionError where the next row breaks one of them."""
        self._seen += 1
        assert row.gseq == self._seen, f"the journal is not dense: {row}"
        if isinstance(row.event, Event):
            self._check_event(row, row.event)

    def _check_event(self, row: JournalRow, event: Event) -> None:
        record = self.records.get(row.iid)
        self._check_consumed(row)
        self._check_heard_once(row, event)
        if row.stream is Stream.HISTORY:
            last_seq = record.last_seq if record else 0
            assert row.seq == last_seq + 1, f"the history of {row.iid} is not dense: {row}"
            assert row.iid not in self._ended, f"something happened after the end: {row}"
            self._check_settled(row, event)
            self._check_order(row, event)
            self._check_locks(row, event)
        folded = fold_record(record, row.iid, row.seq, event)
        if folded is not None:
            self.records[row.iid] = folded
            if isinstance(folded, InstanceRecord) and folded.status.is_terminal:
                self._ended.add(row.iid)

    def _check_consumed(self, row: JournalRow) -> None:
        if row.ref > 0:
            assert row.ref not in self._consumed, f"a message was consumed twice: {row}"
            self._consumed.add(row.ref)

    def _check_settled(self, row: JournalRow, event: Event) -> None:
        if isinstance(event, ExecutionStarted):
            self._executions[row.iid] = event.execution_id
        elif isinstance(event, _OUTCOMES):
            key = (row.iid, self._executions[row.iid], event.task_id)
            assert key not in self._settled, f"a task was settled twice: {row}"
            self._settled.add(key)

    def _check_order(self, row: JournalRow, event: Event) -> None:
        """Each execution hears of external events in the order in which they were raised."""
        if isinstance(event, ExecutionStarted):
            self._last_event[row.iid] = 0
        elif isinstance(event, EventRaised):
            number = _number(event)
            assert number > self._last_event[row.iid], f"an event came out of order: {row}"
            self._last_event[row.iid] = number

    def _check_heard_once(self, row: JournalRow, event: Event) -> None:
        """No event comes to two executions, unless the first did not take it and hands it on.

        What an execution hands on is put into the inbox anew, between its end and the next start.
        """
        heard = self._heard.setdefault(row.iid, set())
        before = self._heard_before.setdefault(row.iid, set())
        if isinstance(event, ExecutionCompleted):
            before |= heard
            heard.clear()
            self._between.add(row.iid)
        elif isinstance(event, ExecutionStarted):
            self._between.discard(row.iid)
        elif isinstance(event, EventRaised):
            number = _number(event)
            if row.iid in self._between:
                before.discard(number)
            assert number not in before, f"an event was raised twice: {row}"
            if row.stream is Stream.HISTORY:
                heard.add(number)

    def _check_locks(self, row: JournalRow, event: Event) -> None:
        match event:
            case LockAcquired():
                assert row.iid not in self.holders, f"a lock has two holders: {row}"
                self.holders[row.iid] = event.owner.instance_id
            case LockReleased():
                holder = self.holders.pop(row.iid, None)
                assert holder == event.owner.instance_id, f"not the holder released: {row}"
            case OperationDone() | ExecutionCompleted() | _:
                pass


def _number(event: EventRaised) -> int:
    """Return the number of an external event, which the tests put behind its name."""
    return int(str(event.input).rpartition("#")[2].strip('"'))


class Invariants:
    """What holds of an engine and its store; looks at each journal row once.

    Args:
        world: Whose.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen = 0
        self._journal = JournalInvariants()

    def check(self) -> None:
        """Raise AssertionError where one does not hold."""
        for row in self._world.store.rows[self._seen :]:
            self._seen += 1
            self._journal.check_row(row)
        self._check_records()
        self._check_work()
        self._check_operations()
        self._check_waits()
        self._check_timers()

    def _check_records(self) -> None:
        """The records are the fold of the journal."""
        for iid, record in self._journal.records.items():
            stored = self._world.store._records.get(iid)
            assert stored == record, f"a record is not the fold of its rows: {stored} {record}"

    def _check_work(self) -> None:
        """Every open activity is with the executor, or waits for its turn."""
        at_work = {key[:3] for key in self._world.executor.waiting}
        for lane in self._world.engine.dispatcher._lanes.values():
            for instance, activity in lane.ready:
                task_id = activity.scheduled.task_id
                at_work.add((instance.iid, instance.record.execution_id, task_id))
        for instance in self._world.engine.orchestrations.by_iid.values():
            for task_id, activity in instance.activities.items():
                key = (instance.iid, instance.record.execution_id, task_id)
                assert key in at_work, f"nobody works on {activity.scheduled}"

    def _check_operations(self) -> None:
        """Every entity does what it may do, or waits for its lock's holder."""
        at_work = {str(job.entity_id) for job, _ in self._world.runner.waiting}
        for entity in self._world.engine.entities._by_iid.values():
            name = entity.record.instance_id
            if entity.batch:
                assert name in at_work, f"nobody runs the operations of {name}"
            elif entity.record.locked_by is None:
                assert not entity.queue, f"{name} does not go on with {entity.queue}"
            else:
                assert not entity._owners, f"{name} does not do what its holder asks"

    def _check_waits(self) -> None:
        """Whatever a child, an entity or a lock is to tell an instance is on its way."""
        engine = self._world.engine
        asked = set()
        for entity in engine.entities._by_iid.values():
            for _, event in [*entity.batch, *entity.queue]:
                if isinstance(event, LockRequested):
                    asked.add((event.owner.instance_id, event.owner.lock_id))
                elif event.caller is not None:
                    asked.add((event.caller.instance_id, event.caller.task_id))
        for instance in engine.orchestrations.by_iid.values():
            name = instance.record.instance_id
            told = {getattr(event, "task_id", 0) for _, event in instance.inbox}
            for task_id, child in instance.children.items():
                is_on_its_way = child in engine.orchestrations.by_id or task_id in told
                assert is_on_its_way, f"{name} waits for {child}, which does not live"
            wanted = [task_id for task_id, one in instance.locks.items() if not one.is_held]
            for task_id in {*instance.calls, *wanted} - told:
                assert (name, task_id) in asked, f"nobody answers task {task_id} of {name}"

    def _check_timers(self) -> None:
        """Every pending timer has a wake-up."""
        engine = self._world.engine
        due = {(one.iid, one.execution_id, one.task_id) for one in engine.timers._heap}
        for instance in engine.orchestrations.by_iid.values():
            for task_id in instance.timers:
                key = (instance.iid, instance.record.execution_id, task_id)
                waits = any(
                    isinstance(event, TimerFired) and event.task_id == task_id
                    for _, event in instance.inbox
                )
                assert key in due or waits, f"nobody wakes the timer {key}"
