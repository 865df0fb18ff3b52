"""Orchestrations: how live instances are created, given messages, carried on and ended.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from .codeloader import CodeLoader
from .core.code import Resolved
from .core.determinism import difference_error
from .core.errors import DurableError, DurableInternalError, NonDeterminismError
from .core.events import (
    ExecutionCompleted,
    ExecutionMigrated,
    ExecutionStarted,
    ExecutionSuspended,
    HistoryEvent,
    TimerFired,
)
from .core.executor import OrchestrationExecutor
from .core.failure import FailureDetails
from .core.payload import Payload
from .core.records import InstanceRecord, fold
from .core.status import RuntimeStatus
from .decisions import Decisions
from .definitions import Kind
from .instances import Instance
from .messages import (
    blocked_error,
    outcome_for_parent,
    owner_of,
    terminated,
    told_entities,
)
from .ports import Stream
from .shadow import Shadow
from .timers import DEADLINE, DELAYED_START, Due
from .watchdog import TurnBlocked

if TYPE_CHECKING:
    from .engine import Engine, EngineOptions

__all__ = ["Orchestrations"]

_log = logging.getLogger(__name__)


class Orchestrations:
    """All live orchestrations of an engine.

    Args:
        engine: Writes the rows and keeps the time.
        loader: Makes code of definitions.
        options: Of the engine.

    Attributes:
        by_iid: Live instances by number.
        by_id: Live instances by instance id.
        decisions: Carries out what their code decides.
    """

    def __init__(self, engine: Engine, loader: CodeLoader, options: EngineOptions) -> None:
        self._engine = engine
        self._loader = loader
        self._options = options
        self.by_iid: dict[int, Instance] = {}
        self.by_id: dict[str, Instance] = {}
        self._resident: OrderedDict[int, Instance] = OrderedDict()
        self._shadow = Shadow(options.shadow_turns, engine, loader)
        self.decisions = Decisions(engine, self)

    # Their code.

    def consume(self, instance: Instance, event: HistoryEvent, ref: int = 0) -> bool:
        """Apply a message; returns False, and the instance is suspended, if its code cannot."""
        executor = self.executor_of(instance)
        if executor is None:
            return instance.record.status.is_terminal
        if isinstance(event, TimerFired) and not executor.is_open(event.task_id):
            instance.timers.pop(event.task_id, None)
            return True
        self._engine.write(instance, event, ref=ref)
        self.drive(instance, executor, self._shadow.turn(instance.record, executor, event))
        return True

    def drive(
        self, instance: Instance, executor: OrchestrationExecutor, work: Callable[[], None]
    ) -> bool:
        """Run an instance's code and carry out what it asks for.

        Returns:
            False where it could not go on; the instance is suspended then.
        """
        watchdog = self._engine.watchdog
        try:
            try:
                watchdog.begin(executor)
                work()
            finally:
                watchdog.end()
        except TurnBlocked as blocked:
            self._halt(instance, executor, blocked_error(blocked, watchdog.limit_s))
            return False
        except NonDeterminismError as error:
            if self._options.strict_replay:
                self._fail(instance, error)
            else:
                self._halt(instance, executor, error)
            return False
        except DurableError as error:
            self._halt(instance, executor, error)
            return False
        except Exception as error:  # noqa: BLE001  (one instance must not end the engine)
            _log.exception("%s cannot go on", instance.record.instance_id)
            self._halt(instance, executor, DurableInternalError(f"{type(error).__name__}: {error}"))
            return False
        instance.executor = executor
        self._resident[instance.iid] = instance
        self._resident.move_to_end(instance.iid)
        instance.awaited_events = executor.awaited_since
        instance.lost_waits = executor.lost_waits
        decisions = executor.take_decisions()
        if decisions:
            if len(decisions) > 1:  # one alone is found by itself
                self._engine.entities.expect(told_entities(decisions))
            self.decisions.carry_out(instance, decisions)
        return True

    def restart(self, instance: Instance) -> None:
        """Go on with an instance of a host that has ended: with the rest of its turn, first."""
        record = instance.record
        if record.status is RuntimeStatus.PENDING and record.start_at is None:
            self._engine.deliveries.start_later(instance)
        if instance.is_cut and instance.takes_messages:
            self.executor_of(instance)
        self._engine.deliveries.resume_inbox(instance)

    def know_awaited_events(self, instance: Instance) -> None:
        """Have `instance.awaited_events` hold, by replay if its code has not run here yet."""
        if instance.executor is None and not instance.awaited_events and instance.takes_messages:
            self.executor_of(instance)

    def wake(self, instance: Instance) -> None:
        """Go on with an instance that was resumed; its code may ask for more than it did."""
        executor = instance.executor
        if instance.regains:
            return
        if executor is not None:
            self.drive(instance, executor, lambda: None)
        elif instance.record.first_seq:
            self.executor_of(instance)
        self._engine.deliveries.resume_inbox(instance)

    # Instances.

    def adopt(self, instance: Instance) -> None:
        """Take an instance that was rebuilt from its rows."""
        self.by_iid[instance.iid] = instance
        self.by_id[instance.record.instance_id] = instance

    def close(self) -> None:
        """End all suspended code."""
        for instance in self.by_iid.values():
            if instance.executor is not None:
                instance.executor.close()

    def create(self, started: ExecutionStarted, *, at_once: bool = True) -> Instance:
        """Create an instance; it runs at once, or at its `start_at`.

        Args:
            started: Its first event.
            at_once: Whether it runs in this step; else soon, with one of the next batches.
        """
        record = InstanceRecord(
            iid=self._engine.new_iid(),
            instance_id=started.instance_id,
            name=started.name,
            created_at=self._engine.now,
            updated_at=self._engine.now,
        )
        folded = fold(None, record.iid, 0, started)
        assert folded is not None
        instance = Instance(folded)
        self.adopt(instance)
        if started.deadline is not None:
            self._engine.timers.add(Due(started.deadline, instance.iid, "", DEADLINE))
        if started.start_at is not None and started.start_at > self._engine.now:
            self._engine.deliveries.park(instance, started)
            self._engine.timers.add(Due(started.start_at, instance.iid, "", DELAYED_START))
        elif not at_once:
            self._engine.deliveries.park(instance, started)
            self._engine.deliveries.start_later(instance)
        else:
            self.begin(instance, started)
        return instance

    def find(self, instance_id: str) -> InstanceRecord | None:
        """Return the record of an instance, live or not."""
        instance = self.by_id.get(instance_id)
        return instance.record if instance is not None else self._find_stored(instance_id)

    def _find_stored(self, instance_id: str) -> InstanceRecord | None:
        found = self._engine.store.find(instance_id)
        return found if isinstance(found, InstanceRecord) else None

    def finish(self, instance: Instance, completed: ExecutionCompleted) -> None:
        """Write the end of an instance and tell everybody who waits."""
        self._engine.dispatcher.cancel(instance)
        if instance.executor is not None:
            instance.executor.close()
            instance.executor = None
        self._resident.pop(instance.iid, None)
        self._engine.write(instance, completed)
        self.release_locks(instance)
        instance.forget_open()
        self._tell_parent(instance.record, completed)
        record = copy.copy(instance.record)
        waiters, instance.waiters = instance.waiters, ()
        self._engine.after_commit(lambda: self._forget(instance, record, waiters))

    def start(
        self, name: str, instance_id: str, payload: Payload | None, tags: dict[str, str]
    ) -> None:
        """Create an instance of the newest version of an orchestrator, and run it.

        Raises:
            UnknownDefinitionError: There is no such orchestrator.
        """
        definition = self._engine.registry.newest(Kind.ORCHESTRATOR, name)
        self.create(
            ExecutionStarted(
                timestamp=self._engine.now,
                instance_id=instance_id,
                execution_id=self._engine.new_id(),
                name=name,
                version=definition.version,
                epoch=self._engine.registry.epoch,
                input=payload,
                tags=tags,
            )
        )

    def release_locks(self, instance: Instance) -> None:
        """Give back what an execution that ends still holds or waits for."""
        for lock_id, lock in list(instance.locks.items()):
            owner = owner_of(instance.record, lock_id)
            for entity_id in lock.entity_ids:
                self._engine.entities.release(entity_id, owner)
        instance.locks = {}

    def resolve_for(self, record: InstanceRecord) -> Callable[[str, str], Resolved]:
        """Return what definition names mean to an instance, as its record says at each call.

        Retries are part of what an orchestrator decides, so they are those of its epoch whatever
        code it adopts.
        """

        def resolve(kind: str, name: str) -> Resolved:
            resolved = self._engine.registry.resolve(Kind(kind), name, record.epoch)
            adopted = record.adopted.get(name) if kind == Kind.ACTIVITY else None
            return resolved._replace(version=adopted) if adopted else resolved

        return resolve

    def end(self, instance: Instance, completed: ExecutionCompleted, *, recurse: bool) -> None:
        """End an instance from outside, and its sub-orchestrations with it if so asked."""
        children = list(instance.children.values())
        self.finish(instance, completed)
        for child_id in children if recurse else ():
            child = self.by_id.get(child_id)
            if child is not None and not child.record.status.is_terminal:
                ended = terminated(child, self._engine.now, completed.result)
                self.end(child, ended, recurse=True)

    def expire(self, instance: Instance) -> None:
        """Fail an instance whose deadline has come."""
        record = instance.record
        if record.status.is_terminal or record.deadline is None:
            return
        allowed_s = (record.deadline - (record.start_at or record.created_at)).total_seconds()
        failure = FailureDetails(
            error_type="ipydurable.OrchestrationTimeoutError",
            message=f"it did not end within the {allowed_s:g} s it was given",
        )
        completed = ExecutionCompleted(
            timestamp=self._engine.now,
            status=RuntimeStatus.FAILED,
            failure=failure,
            abandoned=instance.open_task_ids,
        )
        self.end(instance, completed, recurse=True)

    def start_delayed(self, instance: Instance) -> None:
        """Start an instance whose time, or turn, has come."""
        if instance.record.status is not RuntimeStatus.PENDING or not instance.inbox:
            return
        gseq, started = instance.take()
        assert isinstance(started, ExecutionStarted)
        started = msgspec.structs.replace(started, timestamp=self._engine.now)
        self.begin(instance, started, ref=gseq)
        self._engine.deliveries.resume_inbox(instance)

    def begin(self, instance: Instance, started: ExecutionStarted, ref: int = 0) -> None:
        """Begin an execution; `ref` is the inbox row that asked for it, if one did."""
        self._engine.write(instance, started, ref=ref)
        self._tell_started(instance)
        try:
            executor = self.new_executor(instance.record)
        except DurableError as error:
            self._halt(instance, None, error)
            return
        self.drive(instance, executor, self._shadow.turn(instance.record, executor, started))

    def new_executor(self, record: InstanceRecord) -> OrchestrationExecutor:
        """Return an executor of an instance's code, which has seen no event yet.

        Raises:
            DefinitionError: The code is not there, or cannot be executed here.
        """
        definition = self._engine.registry.version(Kind.ORCHESTRATOR, record.name, record.version)
        return OrchestrationExecutor(self._loader.load(definition), self.resolve_for(record))

    def move(self, instance: Instance, migrated: ExecutionMigrated) -> None:
        """Have an instance go on with other code, under which its history replays."""
        if instance.executor is not None:
            instance.executor.close()
            instance.executor = None
        self._resident.pop(instance.iid, None)
        self._engine.write(instance, migrated)

    def executor_of(self, instance: Instance) -> OrchestrationExecutor | None:
        """Return an instance's code, replayed if need be; None where it could not go on."""
        if instance.executor is not None:
            return instance.executor
        record = instance.record
        rows = self._engine.with_late_rows(instance, self._engine.deliveries.rows_of(record))
        history = [row.event for row in rows if row.stream is Stream.HISTORY]
        try:
            executor = self.new_executor(record)
        except DurableError as error:
            self._halt(instance, None, error)
            return None
        replayed = self.drive(instance, executor, lambda: executor.replay(history))  # type: ignore[arg-type]
        for warning in executor.warnings:
            _log.warning("%s: %s", record.instance_id, warning)
        if executor.warnings and replayed and self._options.strict_replay:
            self._fail(instance, difference_error(record.instance_id, executor.warnings[0]))
            return None
        return executor if replayed and instance.executor is executor else None

    @property
    def resident(self) -> int:
        """How many instances have their code in memory."""
        return len(self._resident)

    def evict(self) -> None:
        """Have the longest idle instances leave memory, as far as their rows are durable."""
        surplus = len(self._resident) - self._options.resident
        if surplus <= 0:
            return
        for iid, instance in list(islice(self._resident.items(), surplus)):
            is_durable = instance.last_gseq <= self._engine.durable_gseq and not instance.unwritten
            if is_durable and instance.executor is not None:
                instance.executor.close()
                instance.executor = None
                del self._resident[iid]

    def purge_after_commit(self, iids: list[int]) -> None:
        """Have everything about finished instances deleted once this batch is durable."""
        engine = self._engine
        engine.after_commit(
            lambda: engine.journal.run_exclusively(lambda: engine.store.purge(iids))
        )

    def _halt(
        self, instance: Instance, executor: OrchestrationExecutor | None, error: DurableError
    ) -> None:
        """Park an instance whose code cannot go on, until somebody mends it and resumes."""
        if executor is not None:
            executor.close()
        instance.executor = None
        instance.awaited_events = {}
        instance.lost_waits = ()
        self._resident.pop(instance.iid, None)
        failure = FailureDetails.from_exception(error)
        _log.warning("%s is suspended: %s", instance.record.instance_id, error)
        self._engine.write(
            instance,
            ExecutionSuspended(timestamp=self._engine.now, reason=str(error), failure=failure),
        )
        waiters, instance.waiters = instance.waiters, ()
        self._tell(waiters, instance.record)

    def _tell_started(self, instance: Instance) -> None:
        waiters, instance.start_waiters = instance.start_waiters, ()
        self._tell(waiters, instance.record)

    def _tell(self, waiters: tuple[Future[Any], ...], record: InstanceRecord) -> None:
        """Answer with the record as it is now, once it is durable."""
        if waiters:
            now = copy.copy(record)
            self._engine.after_commit(lambda: _answer_all(waiters, now))

    def _fail(self, instance: Instance, error: NonDeterminismError) -> None:
        """Fail an instance whose code no longer fits its history."""
        completed = ExecutionCompleted(
            timestamp=self._engine.now,
            status=RuntimeStatus.FAILED,
            failure=FailureDetails.from_exception(error),
            abandoned=instance.open_task_ids,
        )
        self.end(instance, completed, recurse=True)

    def _forget(
        self, instance: Instance, record: InstanceRecord, waiters: tuple[Future[Any], ...]
    ) -> None:
        if self.by_id.get(record.instance_id) is instance:
            del self.by_id[record.instance_id]
        self.by_iid.pop(record.iid, None)
        _answer_all([*waiters, *instance.waiters, *instance.start_waiters], record)

    def _tell_parent(self, record: InstanceRecord, completed: ExecutionCompleted) -> None:
        if record.parent_instance_id:
            outcome = outcome_for_parent(record, completed, self._engine.now)
            self._engine.deliveries.send(
                record.parent_instance_id, outcome, record.parent_execution_id
            )


def _answer_all(waiters: Iterable[Future[Any]], record: InstanceRecord) -> None:
    for waiter in waiters:
        waiter.set_result(record)
