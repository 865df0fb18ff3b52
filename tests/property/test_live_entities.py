"""In which order an entity takes its messages, against the plainest way to say so."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.events import (
    LockOwner,
    LockRequested,
    OperationCaller,
    OperationRequested,
)
from ipydurable.runtime.core.records import EntityRecord
from ipydurable.runtime.live_entities import Entity, Message

_NOW = datetime(2026, 1, 1)
_WHO = st.sampled_from(["one", "two", "three"])
_STEPS = st.lists(
    st.tuples(st.just("call"), _WHO)
    | st.tuples(st.just("signal"), st.just(""))
    | st.tuples(st.just("lock"), _WHO)
    | st.tuples(st.just("withdraw"), _WHO)
    | st.tuples(st.just("take"), st.just(""))
    | st.tuples(st.just("release"), st.just("")),
    max_size=40,
)


def _owner(who: str) -> LockOwner:
    return LockOwner(instance_id=who, execution_id="x", lock_id=1)


def _message(gseq: int, what: str, who: str) -> Message:
    if what == "lock":
        return gseq, LockRequested(timestamp=_NOW, entity_id="@a@b", owner=_owner(who), rest=())
    caller = OperationCaller(instance_id=who, execution_id="x", task_id=1) if who else None
    return gseq, OperationRequested(
        timestamp=_NOW, entity_id="@a@b", operation="do", caller=caller, sender=who
    )


class _Naive:
    """One queue, looked through from the front."""

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.owner = ""

    def take(self) -> list[Message]:
        if self.owner:
            batch = [one for one in self.queue if self._is_owners(one)]
            self.queue = [one for one in self.queue if not self._is_owners(one)]
            return batch
        batch = []
        while self.queue and not isinstance(self.queue[0][1], LockRequested):
            batch.append(self.queue.pop(0))
        return batch

    def lock(self) -> Message | None:
        if self.owner or not self.queue or not isinstance(self.queue[0][1], LockRequested):
            return None
        message = self.queue.pop(0)
        assert isinstance(message[1], LockRequested)
        self.owner = message[1].owner.instance_id
        return message

    def withdraw(self, who: str) -> int:
        for gseq, event in self.queue:
            if isinstance(event, LockRequested) and event.owner.instance_id == who:
                self.queue.remove((gseq, event))
                return gseq
        return 0

    def _is_owners(self, message: Message) -> bool:
        event = message[1]
        return isinstance(event, OperationRequested) and event.sender == self.owner


@given(steps=_STEPS)
def test_messages_are_taken_as_if_there_were_one_queue(steps: list[tuple[str, str]]) -> None:
    record = EntityRecord(iid=1, instance_id="@a@b", name="a", created_at=_NOW, updated_at=_NOW)
    entity, naive = Entity(record), _Naive()
    for gseq, (what, who) in enumerate(steps, 1):
        if what == "take":
            lock = entity.take_lock_request()
            assert lock == naive.lock()
            if lock is not None:
                record.locked_by = lock[1].owner
                entity.was_locked(lock[1].owner)
            assert entity.take_batch() == naive.take()
        elif what == "release":
            record.locked_by, naive.owner = None, ""
            entity.was_released()
        elif what == "withdraw":
            assert entity.withdraw_lock_request(_owner(who)) == naive.withdraw(who)
        else:
            entity.put(_message(gseq, what, who))
            naive.queue.append(_message(gseq, what, who))
        assert sorted(entity.queue, key=lambda one: one[0]) == naive.queue
        assert len(entity) == len(naive.queue)
