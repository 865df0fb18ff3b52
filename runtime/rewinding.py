"""Rewinding: a failed instance is taken up again where it failed.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from .core.errors import InstanceStateError, NonDeterminismError
from .core.events import (
    AttemptLost,
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
from .core.status import RuntimeStatus
from .definitions import Kind
from .instances import Instance
from .messages import answer_of
from .ports import Stream
from .timers import Due
from .versions import migration

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Rewinder"]


class Rewinder:
    """Rewinds instances of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orchestrations = engine.orchestrations

    def rewind(self, record: InstanceRecord, reason: str, *, newest_code: bool = False) -> None:
        """Take up a failed instance again: the tasks whose failures ended it are redone.

        Args:
            record: The instance's record.
            reason: Why, in words.
            newest_code: Whether it goes on with the newest code, its own and that of activities.

        Raises:
            InstanceStateError: It would not get further, or went on after the failure in a way
                that cannot be taken back; nothing is changed.
        """
        rows = self._engine.store.history(record.iid, record.first_seq)
        history = [row.event for row in rows if row.stream is Stream.HISTORY]
        completed = history[-1]
        assert isinstance(completed, ExecutionCompleted)
        rewound = ExecutionRewound(
            timestamp=self._engine.now, reason=reason, task_ids=completed.failed_tasks
        )
        instance = Instance(copy.copy(record))
        instance.restore(rows)
        instance.note(rewound)
        moved = self._to_newest(instance) if newest_code else None
        if moved is not None:
            # Replayed with what it will be, as the record is read at every call.
            fold(instance.record, record.iid, record.last_seq, moved)
        executor = self._replay_rewound(
            instance.record,
            [*history, rewound],  # type: ignore[list-item]
        )
        self._orchestrations.adopt(instance)
        self._engine.write(instance, rewound)
        if moved is not None:
            self._engine.write(instance, moved)
        self._reopen(instance, frozenset(rewound.task_ids), reason, newest_code=newest_code)
        self._orchestrations.drive(instance, executor, lambda: None)
        self._orchestrations.resume_inbox(instance)

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

    def _reopen(
        self, instance: Instance, redone: frozenset[int], reason: str, *, newest_code: bool
    ) -> None:
        """Have everything that is open after a rewind happen again."""
        engine = self._engine
        for task_id, activity in list(instance.activities.items()):
            if task_id not in redone and activity.has_begun:
                engine.write(
                    instance,
                    AttemptLost(
                        timestamp=engine.now,
                        task_id=task_id,
                        attempt=activity.attempt,
                        reason="the instance was rewound",
                    ),
                )
            engine.run_after_commit(instance, task_id)
        for task_id, timer in instance.timers.items():
            engine.timers.add(
                Due(timer.fire_at, instance.iid, instance.record.execution_id, task_id)
            )
        for task_id, call in list(instance.calls.items()):
            self._answer_again(instance, task_id, call.entity_id)
        for task_id in redone:
            child_id = instance.children.get(task_id)
            child = self._orchestrations.find(child_id) if child_id is not None else None
            if child is not None and child.status is RuntimeStatus.FAILED:
                self.rewind(child, reason, newest_code=newest_code)
            elif child_id is not None:
                self._recreate_child(instance, task_id, child)

    def _answer_again(self, instance: Instance, task_id: int, entity_id: str) -> None:
        """Deliver the answer of an entity that came when nobody was there to take it."""
        entity = self._engine.entities.find(entity_id)
        wanted = OperationCaller(
            instance_id=instance.record.instance_id,
            execution_id=instance.record.execution_id,
            task_id=task_id,
        )
        for row in self._engine.store.history(entity.iid) if entity is not None else ():
            if isinstance(row.event, OperationDone) and row.event.caller == wanted:
                answer = answer_of(row.event, task_id, self._engine.now)
                self._orchestrations.send(wanted.instance_id, answer, wanted.execution_id)

    def _recreate_child(
        self, parent: Instance, task_id: int, existing: InstanceRecord | None
    ) -> None:
        """Create a sub-orchestration again that was purged or terminated."""
        if existing is not None:
            self._orchestrations.purge_after_commit([existing.iid])
            self._orchestrations.by_id.pop(existing.instance_id, None)
        rows = self._engine.store.history(parent.iid, parent.record.first_seq)
        for row in rows:
            event = row.event
            if isinstance(event, SubOrchestrationInstanceCreated) and event.task_id == task_id:
                self._orchestrations.start_child(parent, event)
