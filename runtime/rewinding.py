"""Rewinding: a failed instance is taken up again where it failed.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .core.errors import InstanceStateError, NonDeterminismError
from .core.events import (
    AttemptLost,
    EntityLockRequested,
    EntityOperationCalled,
    EntityUnlockSent,
    ExecutionCompleted,
    ExecutionMigrated,
    ExecutionRewound,
    HistoryEvent,
    OperationCaller,
    OperationDone,
    SubOrchestrationInstanceCreated,
)
from .core.executor import OrchestrationExecutor
from .core.records import InstanceRecord, fold
from .core.rewind import unlocks_after_failure
from .core.status import RuntimeStatus
from .definitions import Kind
from .instances import Instance
from .messages import answer_of, operation_of, outcome_of_record, owner_of
from .ports import JournalRow, Stream
from .requests import Rewind
from .timers import Due
from .versions import migration

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Rewinder"]


class _Plan(NamedTuple):
    """How an instance can be taken up again; nothing of it is done yet.

    Attributes:
        instance: The failed instance, rebuilt as it is to go on.
        rows: Its rows.
        rewound: What is to be redone.
        moved: The code it goes on with, if that is not its own.
        executor: Its code, replayed up to the wait at the first failure.
        children: Failed sub-orchestrations that are taken up with it.
    """

    instance: Instance
    rows: list[JournalRow]
    rewound: ExecutionRewound
    moved: ExecutionMigrated | None
    executor: OrchestrationExecutor
    children: list[_Plan]


class Rewinder:
    """Rewinds instances of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orchestrations = engine.orchestrations

    def rewind(self, request: Rewind, record: InstanceRecord) -> None:
        """Take up a failed instance again: the tasks whose failures ended it are redone.

        Where it failed inside a critical section it gets the locks again before anything of it
        goes on. Others may have used the entities since.

        Args:
            request: Why, and with which code.
            record: The instance's record.

        Raises:
            InstanceStateError: It, or a failed sub-orchestration, would not get further, or went
                on after the failure in a way that cannot be taken back; nothing is changed.
        """
        plan = self._plan(record, request.reason, request.newest_code)
        rewound = msgspec.structs.replace(plan.rewound, request_id=request.request_id)
        self._carry_out(plan._replace(rewound=rewound))

    def go_on(self, instance: Instance) -> None:
        """Have what a rewind reopened happen again: the instance has the locks it needs."""
        for task_id in instance.activities:
            self._engine.run_after_commit(instance, task_id)
        for task_id in instance.redone:
            call = instance.calls.get(task_id)
            if call is not None:
                call = msgspec.structs.replace(call, timestamp=self._engine.now)
                self._engine.entities.request(operation_of(instance.record, call))
        if instance.takes_messages:
            self._orchestrations.wake(instance)

    # Planning.

    def _plan(self, record: InstanceRecord, reason: str, newest_code: bool) -> _Plan:
        rows = self._engine.store.history(record.iid, record.first_seq)
        history: list[HistoryEvent] = [
            row.event  # type: ignore[misc]
            for row in rows
            if row.stream is Stream.HISTORY
        ]
        completed = history[-1]
        assert isinstance(completed, ExecutionCompleted)
        failed = completed.failed_tasks
        rewound = ExecutionRewound(
            timestamp=self._engine.now,
            reason=reason,
            task_ids=failed,
            unlocks=unlocks_after_failure(history, failed),
        )
        instance = Instance(copy.copy(record))
        instance.restore(rows)
        instance.note(rewound)
        moved = self._to_newest(instance) if newest_code else None
        if moved is not None:
            # Replayed with what it will be, as the record is read at every call.
            fold(instance.record, record.iid, record.last_seq, moved)
        executor = self._replay_rewound(instance.record, [*history, rewound])
        if rewound.unlocks:
            # Those that the code draws again had nothing to do with the failure.
            drawn = [
                event.task_id
                for event in executor.take_decisions()
                if isinstance(event, EntityUnlockSent)
            ]
            unlocks = tuple(one for one in rewound.unlocks if one not in drawn)
            rewound = msgspec.structs.replace(rewound, unlocks=unlocks)
            executor.close()
            executor = self._replay_rewound(instance.record, [*history, rewound])
        children = [
            self._plan(child, reason, newest_code)
            for created in _created(rows)
            if created.task_id in failed
            and (child := self._child_of(record, created)) is not None
            and child.status is RuntimeStatus.FAILED
        ]
        return _Plan(instance, rows, rewound, moved, executor, children)

    def _to_newest(self, instance: Instance) -> ExecutionMigrated:
        newest = self._engine.registry.newest(Kind.ORCHESTRATOR, instance.record.name)
        return migration(self._engine, instance, newest)

    def _replay_rewound(
        self, record: InstanceRecord, history: list[HistoryEvent]
    ) -> OrchestrationExecutor:
        executor = self._orchestrations.new_executor(record)
        try:
            executor.replay(history)
        except NonDeterminismError as error:
            raise InstanceStateError(
                record.instance_id,
                record.status.value,
                "it cannot be rewound, as its code went on after the failure: "
                f"it did {error.history}. Start a new instance instead",
            ) from None
        if executor.completion is not None:
            raise InstanceStateError(
                record.instance_id,
                record.status.value,
                "rewinding would fail it again in the same way, as its own code raised. "
                "Mend the code, run its cell, and rewind with code='newest'",
            )
        return executor

    def _child_of(
        self, parent: InstanceRecord, created: SubOrchestrationInstanceCreated
    ) -> InstanceRecord | None:
        """Return the sub-orchestration of an action, unless it is gone or somebody else's."""
        child = self._orchestrations.find(created.instance_id)
        if child is None or (
            child.parent_instance_id,
            child.parent_execution_id,
            child.parent_task_id,
        ) != (parent.instance_id, parent.execution_id, created.task_id):
            return None
        return child

    # Carrying out.

    def _carry_out(self, plan: _Plan) -> None:
        instance = plan.instance
        self._orchestrations.adopt(instance)
        self._engine.write(instance, plan.rewound)
        if plan.moved is not None:
            self._engine.write(instance, plan.moved)
        self._ask_for_locks(instance, plan.executor)
        self._reopen(instance, plan)
        # Code that was mended may have asked for more: that too waits for the locks.
        instance.executor = plan.executor
        if not instance.regains:
            self.go_on(instance)

    def _ask_for_locks(self, instance: Instance, executor: OrchestrationExecutor) -> None:
        """Ask again for the locks that the code holds or waits for: they went with the failure."""
        section = executor.actions.section
        entity_ids = tuple(map(str, section.unreleased))
        if entity_ids:
            requested = EntityLockRequested(
                timestamp=self._engine.now, task_id=section.lock_id, entity_ids=entity_ids
            )
            self._engine.write(instance, requested)
            owner = owner_of(instance.record, section.lock_id)
            self._engine.entities.lock(entity_ids, owner)

    def _reopen(self, instance: Instance, plan: _Plan) -> None:
        """Take up everything that is open after a rewind, as far as it needs no locks."""
        engine = self._engine
        redone = plan.rewound.task_ids
        for task_id, activity in instance.activities.items():
            if task_id not in redone and activity.has_begun:
                lost = AttemptLost(
                    timestamp=engine.now,
                    task_id=task_id,
                    attempt=activity.attempt,
                    reason="the instance was rewound",
                )
                engine.write(instance, lost)
        for task_id, timer in instance.timers.items():
            engine.timers.add(
                Due(timer.fire_at, instance.iid, instance.record.execution_id, task_id)
            )
        for task_id, call in instance.calls.items():
            if task_id not in redone:
                self._answer_again(instance, task_id, call.entity_id, plan.rows)
        for created in _created(plan.rows):
            if created.task_id in instance.children:
                self._reopen_child(instance, created, plan)

    def _answer_again(
        self, instance: Instance, task_id: int, entity_id: str, rows: list[JournalRow]
    ) -> None:
        """Deliver the answer of an entity that came when nobody was there to take it."""
        entity = self._engine.entities.find(entity_id)
        wanted = OperationCaller(
            instance_id=instance.record.instance_id,
            execution_id=instance.record.execution_id,
            task_id=task_id,
        )
        # An earlier rewind may have made the call again; what came before that does not count.
        called = max(row.gseq for row in rows if _is_about_call(row, task_id))
        for row in self._engine.store.history(entity.iid) if entity is not None else ():
            done = row.event
            if isinstance(done, OperationDone) and done.caller == wanted and row.ref > called:
                answer = answer_of(done, task_id, self._engine.now)
                self._engine.deliveries.send(wanted.instance_id, answer, wanted.execution_id)

    def _reopen_child(
        self, parent: Instance, created: SubOrchestrationInstanceCreated, plan: _Plan
    ) -> None:
        """Take up a sub-orchestration again, make it again, or hear what came of it meanwhile."""
        planned = [
            one for one in plan.children if one.instance.record.instance_id == created.instance_id
        ]
        if planned:
            self._carry_out(planned[0])
            return
        child = self._child_of(parent.record, created)
        is_redone = created.task_id in plan.rewound.task_ids
        if child is None:
            self._orchestrations.decisions.create_child(parent, created)
        elif is_redone:
            self._orchestrations.purge_after_commit([child.iid])
            self._orchestrations.by_id.pop(child.instance_id, None)
            self._orchestrations.decisions.start_child(parent, created)
        elif child.status.is_terminal:
            outcome = outcome_of_record(child, self._engine.now)
            record = parent.record
            self._engine.deliveries.send(record.instance_id, outcome, record.execution_id)


def _created(rows: list[JournalRow]) -> list[SubOrchestrationInstanceCreated]:
    events = (row.event for row in rows)
    return [event for event in events if isinstance(event, SubOrchestrationInstanceCreated)]


def _is_about_call(row: JournalRow, task_id: int) -> bool:
    event = row.event
    if isinstance(event, ExecutionRewound):
        return task_id in event.task_ids
    return isinstance(event, EntityOperationCalled) and event.task_id == task_id
