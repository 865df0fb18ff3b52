"""Records: the fold of the journal that lists are read from, equal however it is come by."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.events import (
    ActivityProgressed,
    CustomStatusSet,
    DefinitionAdopted,
    Event,
    ExecutionCompleted,
    ExecutionMigrated,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
    ParentInstance,
    TaskScheduled,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.records import (
    EntityRecord,
    InstanceRecord,
    fold,
    fold_entity,
    fold_record,
)
from ipydurable.runtime.core.status import TERMINAL, RuntimeStatus
from tests.support.core import at

FAILURE = FailureDetails(error_type="builtins.ValueError", message="bad")
OWNER = LockOwner(instance_id="one", execution_id="e1", lock_id=1)


def started(at_s: float = 0, **more: Any) -> ExecutionStarted:
    return ExecutionStarted(
        timestamp=at(at_s),
        **{"instance_id": "one", "execution_id": "e1", "name": "report", **more},
    )


def folded(*events: Event, first_seq: int = 1) -> InstanceRecord:
    record: InstanceRecord | None = None
    for seq, event in enumerate(events, start=first_seq):
        record = fold(record, 7, seq, event)
    assert record is not None
    return record


def ended(status: RuntimeStatus, at_s: float = 9, **more: Any) -> ExecutionCompleted:
    return ExecutionCompleted(timestamp=at(at_s), status=status, **more)


class TestInstances:
    def test_the_first_event_says_who_it_is_and_where_it_comes_from(self) -> None:
        parent = ParentInstance(instance_id="above", execution_id="p1", task_id=3)
        record = folded(
            started(
                version="v1",
                epoch=4,
                input="1",
                parent=parent,
                tags={"a": "b"},
                start_at=at(5),
                deadline=at(99),
                request_id="r1",
            )
        )
        assert record == InstanceRecord(
            iid=7,
            instance_id="one",
            name="report",
            version="v1",
            epoch=4,
            status=RuntimeStatus.RUNNING,
            created_at=at(0),
            updated_at=at(0),
            started_at=at(0),
            start_at=at(5),
            deadline=at(99),
            execution_id="e1",
            first_seq=1,
            last_seq=1,
            parent_instance_id="above",
            parent_execution_id="p1",
            parent_task_id=3,
            input="1",
            tags={"a": "b"},
            request_id="r1",
        )

    def test_one_that_nobody_started_has_no_parent(self) -> None:
        record = folded(started())
        found = record.parent_instance_id, record.parent_execution_id, record.parent_task_id
        assert found == ("", "", 0)

    def test_a_start_that_only_waits_in_the_inbox_is_pending_and_then_runs(self) -> None:
        record = fold(None, 7, 0, started(0))
        assert record is not None
        assert (record.status, record.started_at, record.last_seq) == (
            RuntimeStatus.PENDING,
            None,
            0,
        )
        record = fold(record, 7, 1, started(5))
        assert record is not None
        assert (record.status, record.created_at, record.started_at) == (
            RuntimeStatus.RUNNING,
            at(0),
            at(5),
        )

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_each_end_is_kept_with_its_time_output_and_failure(self, status: RuntimeStatus) -> None:
        record = folded(started(), ended(status, result="5", failure=FAILURE))
        assert (record.status, record.completed_at) == (status, at(9))
        assert (record.output, record.failure) == ("5", FAILURE)
        assert not record.is_live

    def test_continuing_as_new_is_no_end_and_keeps_who_it_is(self) -> None:
        """The start counts from the first execution, replay from the last."""
        record = folded(
            started(0, input="1", tags={"a": "b"}),
            ended(RuntimeStatus.CONTINUED_AS_NEW, result="2"),
            started(9, execution_id="e2", generation=1, input="2", version="v2", epoch=5),
        )
        assert (record.status, record.is_live) == (RuntimeStatus.RUNNING, True)
        assert (record.created_at, record.started_at) == (at(0), at(0))
        assert (record.execution_id, record.generation, record.input) == ("e2", 1, "2")
        assert (record.version, record.epoch, record.tags) == ("v2", 5, {"a": "b"})
        assert (record.first_seq, record.last_seq) == (3, 3)
        assert (record.output, record.completed_at) == (None, None)

    def test_suspending_and_resuming(self) -> None:
        suspended = ExecutionSuspended(timestamp=at(2), reason="look", failure=FAILURE)
        record = folded(started(), suspended)
        assert (record.status, record.suspend_reason) == (RuntimeStatus.SUSPENDED, "look")
        assert (record.failure, record.is_live, record.is_parked) == (FAILURE, True, True)
        resumed = fold(record, 7, 3, ExecutionResumed(timestamp=at(3)))
        assert resumed is not None
        assert (resumed.status, resumed.suspend_reason) == (RuntimeStatus.RUNNING, "")
        assert (resumed.failure, resumed.is_parked) == (None, False)

    def test_an_end_while_suspended_is_no_longer_suspended(self) -> None:
        record = folded(
            started(),
            ExecutionSuspended(timestamp=at(2), reason="look"),
            ended(RuntimeStatus.TERMINATED),
        )
        assert (record.status, record.suspend_reason) == (RuntimeStatus.TERMINATED, "")

    def test_a_rewind_takes_the_end_back(self) -> None:
        record = folded(
            started(),
            ended(RuntimeStatus.FAILED, failure=FAILURE),
            ExecutionRewound(timestamp=at(10), reason="again", task_ids=(1,)),
        )
        assert (record.status, record.is_live) == (RuntimeStatus.RUNNING, True)
        assert (record.completed_at, record.failure, record.output) == (None, None, None)

    def test_other_events_only_move_it_on(self) -> None:
        record = folded(
            started(),
            CustomStatusSet(timestamp=at(1), status='"half"'),
            TaskScheduled(timestamp=at(2), task_id=1, name="a"),
        )
        assert (record.custom_status, record.updated_at, record.last_seq) == ('"half"', at(2), 3)

    def test_messages_in_the_inbox_and_before_the_start_change_nothing(self) -> None:
        record = folded(started())
        before = copy.copy(record)
        assert fold(record, 7, 0, ended(RuntimeStatus.TERMINATED)) == before
        assert fold(None, 7, 1, ended(RuntimeStatus.TERMINATED)) is None

    def test_an_id_that_is_used_again_is_another_instance(self) -> None:
        old = folded(started(0, tags={"a": "b"}), ended(RuntimeStatus.COMPLETED, result="1"))
        new = fold(old, 8, 1, started(20))
        assert new is not None
        assert (new.iid, new.created_at, new.tags, new.output) == (8, at(20), {}, None)
        assert (old.iid, old.output) == (7, "1")


ENTITY_EVENTS: list[Event] = [
    OperationRequested(timestamp=at(0), entity_id="@account@A@1", operation="add"),
    LockRequested(timestamp=at(0), entity_id="@account@A@1", owner=OWNER),
    OperationDone(timestamp=at(0), operation="add", version="v1", sets_state=True, state="5"),
    OperationDone(timestamp=at(0), operation="get", result="5"),
    LockAcquired(timestamp=at(0), owner=OWNER),
    LockReleased(timestamp=at(0), owner=OWNER),
    LockWithdrawn(timestamp=at(0), owner=OWNER),
]


class TestEntities:
    def fold(self, *events: Event) -> EntityRecord:
        record: EntityRecord | None = None
        for number, event in enumerate(events):
            is_request = isinstance(event, OperationRequested | LockRequested)
            moved = msgspec.structs.replace(event, timestamp=at(number))
            record = fold_entity(record, 3, 0 if is_request else number, moved)
        assert record is not None
        return record

    def test_the_first_message_creates_it(self) -> None:
        request = ENTITY_EVENTS[0]
        record = self.fold(request)
        assert (record.instance_id, record.name) == ("@account@A@1", "account")
        assert (record.created_at, record.pending, record.is_live) == (at(0), 1, True)
        assert (record.last_seq, record.first_seq, record.state) == (0, 1, None)

    def test_a_done_operation_leaves_state_only_where_it_says_so(self) -> None:
        request, _, sets, reads, *_ = ENTITY_EVENTS
        record = self.fold(request, request, sets, reads)
        assert (record.pending, record.state, record.version) == (0, "5", "")
        assert (record.last_seq, record.first_seq, record.is_live) == (3, 4, False)
        deletes = OperationDone(timestamp=at(0), operation="delete", sets_state=True)
        assert self.fold(request, request, sets, deletes).state is None

    def test_a_lock_is_waited_for_held_and_given_back(self) -> None:
        _, asks, _, _, acquires, releases, withdraws = ENTITY_EVENTS
        held = self.fold(asks, acquires)
        assert (held.pending, held.locked_by, held.locked_at) == (0, OWNER, at(1))
        assert held.is_live
        free = self.fold(asks, acquires, releases)
        assert (free.locked_by, free.locked_at, free.is_live) == (None, None, False)
        assert not self.fold(asks, withdraws).is_live

    def test_what_is_no_event_of_entities_only_moves_it_on(self) -> None:
        record = self.fold(ENTITY_EVENTS[0], CustomStatusSet(timestamp=at(0)))
        assert (record.pending, record.updated_at, record.last_seq) == (1, at(1), 1)

    def test_nothing_comes_of_an_outcome_without_a_request(self) -> None:
        assert fold_entity(None, 3, 1, ENTITY_EVENTS[2]) is None


class TestEitherKind:
    def test_the_event_and_the_record_say_which_it_is(self) -> None:
        instance = fold_record(None, 1, 1, started())
        entity = fold_record(None, 2, 0, ENTITY_EVENTS[0])
        assert isinstance(instance, InstanceRecord)
        assert isinstance(entity, EntityRecord)
        done = fold_record(entity, 2, 1, ENTITY_EVENTS[2])
        assert isinstance(done, EntityRecord)
        assert done.state == "5"
        assert fold_record(instance, 1, 2, ended(RuntimeStatus.COMPLETED)) is instance

    @pytest.mark.parametrize(
        "record", [folded(started()), fold_entity(None, 3, 0, ENTITY_EVENTS[0])]
    )
    def test_a_record_is_stored_and_read_as_what_it_is(self, record: Any) -> None:
        kind = InstanceRecord | EntityRecord
        assert msgspec.json.decode(msgspec.json.encode(record), type=kind) == record


INSTANCE_EVENTS: list[Event] = [
    CustomStatusSet(timestamp=at(0), status="1"),
    ExecutionSuspended(timestamp=at(0), reason="look"),
    ExecutionResumed(timestamp=at(0)),
    ended(RuntimeStatus.CONTINUED_AS_NEW),
    started(0, execution_id="e2", generation=1),
    ended(RuntimeStatus.FAILED, failure=FAILURE),
    ExecutionRewound(timestamp=at(0)),
    ActivityProgressed(timestamp=at(0), task_id=1, attempt=1, done=0.5),
]


@given(
    st.one_of(
        st.lists(st.sampled_from(INSTANCE_EVENTS)).map(lambda rest: [started(), *rest]),
        st.lists(st.sampled_from(ENTITY_EVENTS)).map(lambda rest: [ENTITY_EVENTS[0], *rest]),
    ),
    st.data(),
)
def test_a_record_that_was_stored_half_way_is_folded_on_to_the_same(
    events: list[Event], data: st.DataObject
) -> None:
    """A table that lags behind its journal catches up, wherever it was left."""
    cut = data.draw(st.integers(1, len(events)))

    def fold_all(record: Any, numbered: list[tuple[int, Event]]) -> Any:
        for number, event in numbered:
            moved = msgspec.structs.replace(event, timestamp=at(number))
            record = fold_record(record, 1, number, moved)
        return record

    numbered = list(enumerate(events, start=1))
    whole = fold_all(None, numbered)
    half = msgspec.json.encode(fold_all(None, numbered[:cut]))
    stored = msgspec.json.decode(half, type=InstanceRecord | EntityRecord)
    assert fold_all(stored, numbered[cut:]) == whole


def test_the_versions_that_an_instance_was_moved_to_are_on_its_record() -> None:
    moved = folded(
        started(version="v1", epoch=3),
        DefinitionAdopted(timestamp=at(1), name="fetch", version="f2"),
        DefinitionAdopted(timestamp=at(2), name="send", version="s2"),
    )
    assert (moved.version, moved.epoch) == ("v1", 3)
    assert moved.adopted == {"fetch": "f2", "send": "s2"}
    migrated = fold(
        moved,
        7,
        4,
        ExecutionMigrated(timestamp=at(3), version="v2", epoch=9, adopted={"send": "s2"}),
    )
    assert migrated is not None
    assert (migrated.version, migrated.epoch, migrated.adopted) == ("v2", 9, {"send": "s2"})


def test_a_status_is_final_or_not() -> None:
    assert [status for status in RuntimeStatus if status.is_terminal] == [
        RuntimeStatus.COMPLETED,
        RuntimeStatus.FAILED,
        RuntimeStatus.TERMINATED,
    ]


def test_a_row_changes_the_record_of_whatever_it_belongs_to_and_says_how_far_it_is() -> None:
    requested = OperationRequested(
        timestamp=at(1), request_id="r1", entity_id="@account@a", operation="get"
    )
    done = OperationDone(timestamp=at(2), operation="get", version="v1")
    record = fold_record(None, 7, 0, requested)
    record = fold_record(record, 7, 4, done)
    assert isinstance(record, EntityRecord)
    assert (record.iid, record.last_seq, record.updated_at) == (7, 4, at(2))
    record = fold_record(record, 7, 0, requested)
    assert record is not None
    assert record.last_seq == 4
    instance = fold_record(None, 8, 1, started())
    assert isinstance(instance, InstanceRecord)
    assert (instance.iid, instance.last_seq) == (8, 1)


def test_each_message_that_was_dealt_with_waits_no_longer_and_no_other() -> None:
    """An entity stays live as long as one does."""
    _, asks, _, done, acquires, _, withdraws = ENTITY_EVENTS
    record: EntityRecord | None = None
    for _ in range(6):
        record = fold_entity(record, 7, 0, asks)
    left = []
    for event in (done, acquires, withdraws):
        record = fold_entity(record, 7, 1, event)
        assert record is not None
        left.append(record.pending)
    assert left == [5, 4, 3]
