"""Carries out what orchestrator code has decided: each decision is written down, then acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .core.events import (
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    Event,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from .core.status import RuntimeStatus
from .instances import Instance
from .messages import child_refused, child_started, next_generation, operation_of, owner_of
from .timers import Due

if TYPE_CHECKING:
    from .engine import Engine
    from .orchestrations import Orchestrations

__all__ = ["Decisions"]


class Decisions:
    """Carries out decisions; belongs to the engine's thread.

    Args:
        engine: Writes the rows and keeps the time.
        orchestrations: Whose code decides.
    """

    def __init__(self, engine: Engine, orchestrations: Orchestrations) -> None:
        self._engine = engine
        self._orchestrations = orchestrations

    def carry_out(self, instance: Instance, decisions: list[Event]) -> None:
        """Write down what an instance's code asked for, in order, and see to it."""
        for event in decisions:
            if isinstance(event, ExecutionCompleted):
                if event.status is RuntimeStatus.CONTINUED_AS_NEW:
                    self._continue_as_new(instance, event)
                else:
                    self._orchestrations.finish(instance, event)
                return
            self._engine.write(instance, event)
            self._see_to(instance, event)

    def _see_to(self, instance: Instance, event: Event) -> None:
        engine, record = self._engine, instance.record
        match event:
            case TaskScheduled():
                engine.run_after_commit(instance, event.task_id)
            case TimerCreated():
                due = Due(event.fire_at, instance.iid, record.execution_id, event.task_id)
                engine.timers.add(due)
            case SubOrchestrationInstanceCreated():
                self.create_child(instance, event)
            case EntityOperationCalled() | EntityOperationSignaled():
                engine.entities.request(operation_of(record, event))
            case EntityLockRequested():
                engine.entities.lock(event.entity_ids, owner_of(record, event.task_id))
            case EntityUnlockSent():
                engine.entities.release(event.entity_id, owner_of(record, event.lock_id))
            case EventSent():
                raised = EventRaised(
                    timestamp=engine.now,
                    name=event.name,
                    input=event.input,
                    sender=record.instance_id,
                )
                self._orchestrations.send(event.instance_id, raised)
            case _:
                pass

    def _continue_as_new(self, instance: Instance, completed: ExecutionCompleted) -> None:
        orchestrations = self._orchestrations
        carried = instance.executor.carried_over if instance.executor else []
        self._engine.dispatcher.cancel(instance)
        self._engine.write(instance, completed)
        started = next_generation(instance.record, completed, self._engine.new_id())
        orchestrations.release_locks(instance)
        instance.drop_outcomes()
        if carried:
            self._requeue(instance, carried)
        orchestrations.begin(instance, started)
        orchestrations.resume_inbox(instance)

    def _requeue(self, instance: Instance, carried: list[EventRaised]) -> None:
        """Put events before those that wait: these came later, and so get later rows."""
        waiting = list(instance.inbox)
        instance.inbox.clear()
        now = self._engine.now
        for event in carried:
            self._orchestrations.park(instance, msgspec.structs.replace(event, timestamp=now))
        for gseq, later in waiting:
            self._orchestrations.park(instance, later, ref=gseq)

    def create_child(self, parent: Instance, event: SubOrchestrationInstanceCreated) -> None:
        """Start a sub-orchestration; where its id is taken, its parent hears so."""
        existing = self._orchestrations.find(event.instance_id)
        if existing is not None:
            refusal = child_refused(event, existing, self._engine.now)
            record = parent.record
            self._orchestrations.send(record.instance_id, refusal, record.execution_id)
            return
        self.start_child(parent, event)

    def start_child(self, parent: Instance, event: SubOrchestrationInstanceCreated) -> None:
        """Create the sub-orchestration that a parent asked for."""
        started = child_started(parent.record, event, self._engine.new_id())
        self._orchestrations.create(started)
