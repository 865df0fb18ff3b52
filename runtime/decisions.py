"""Carries out what orchestrator code has decided: each decision is written down, then acted on."""

from __future__ import annotations

from collections import deque
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
from .ports import MORE_FOLLOWS
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
        """Write down what an instance's code asked for, in order, and see to it.

        Of very much only the first part goes into this batch, so that memory need not hold a
        hundred thousand rows on their way to the disk; `go_on` does the rest. Until then the
        instance takes no messages. A host that dies in between replays the code, which asks for
        the rest again.
        """
        if instance.unwritten:
            instance.unwritten.extend(decisions)
            return
        if len(decisions) > self._engine.options.decisions_at_once:
            instance.unwritten = deque(decisions)
            self.go_on(instance)
            return
        for event in decisions:
            self._do(instance, event)

    def go_on(self, instance: Instance) -> None:
        """Write down the next part of what an instance's code has asked for."""
        unwritten = instance.unwritten
        left = max(0, len(unwritten) - self._engine.options.decisions_at_once)
        while len(unwritten) > left + 1:
            self._do(instance, unwritten.popleft())
        if unwritten:
            self._do(instance, unwritten.popleft(), MORE_FOLLOWS if left else 0)
        if instance.unwritten:
            self._engine.deliveries.go_on_later(instance)
        else:
            self._engine.deliveries.resume_inbox(instance)

    def _do(self, instance: Instance, event: Event, ref: int = 0) -> None:
        if not isinstance(event, ExecutionCompleted):
            self._engine.write(instance, event, ref=ref)
            self._see_to(instance, event)
        elif event.status is RuntimeStatus.CONTINUED_AS_NEW:
            self._continue_as_new(instance, event)
        else:
            self._orchestrations.finish(instance, event)

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
                self._engine.deliveries.send(event.instance_id, raised)
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
        self._engine.deliveries.resume_inbox(instance)

    def _requeue(self, instance: Instance, carried: list[EventRaised]) -> None:
        """Put events before those that wait: these came later, and so get later rows."""
        waiting = list(instance.inbox)
        instance.inbox.clear()
        now = self._engine.now
        for event in carried:
            self._engine.deliveries.park(instance, msgspec.structs.replace(event, timestamp=now))
        for gseq, later in waiting:
            self._engine.deliveries.park(instance, later, ref=gseq)

    def create_child(self, parent: Instance, event: SubOrchestrationInstanceCreated) -> None:
        """Start a sub-orchestration; where its id is taken, its parent hears so."""
        existing = self._orchestrations.find(event.instance_id)
        if existing is not None:
            refusal = child_refused(event, existing, self._engine.now)
            record = parent.record
            self._engine.deliveries.send(record.instance_id, refusal, record.execution_id)
            return
        self.start_child(parent, event)

    def start_child(self, parent: Instance, event: SubOrchestrationInstanceCreated) -> None:
        """Create the sub-orchestration that a parent asked for."""
        started = child_started(parent.record, event, self._engine.new_id())
        self._orchestrations.create(started)
