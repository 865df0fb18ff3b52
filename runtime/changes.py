"""Answers the requests that change something, or need what only the engine knows.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .core.entity_ids import EntityInstanceId
from .core.errors import (
    DurableError,
    DurableInternalError,
    InstanceExistsError,
    InstanceStateError,
)
from .core.events import (
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    OperationRequested,
)
from .core.ids import check_instance_id
from .core.records import InstanceRecord
from .core.status import TERMINAL, RuntimeStatus
from .definitions import Definition, DefinitionAdded, Kind
from .engine import Engine
from .finder import Finder, unknown_instance
from .form_desk import FormDesk
from .instances import Instance, was_done
from .messages import terminated
from .open_tasks import open_tasks
from .purging import Purging
from .requests import (
    Adopt,
    AnswerForm,
    CallEntity,
    CleanEntities,
    CountInFlight,
    Define,
    Defined,
    DescribeForms,
    DescribeOpen,
    ListLocks,
    ListUntrusted,
    Migrate,
    Purge,
    RaiseEvent,
    Request,
    Restart,
    Resume,
    Rewind,
    Signal,
    SignalMany,
    Start,
    StartMany,
    Suspend,
    Terminate,
    Trust,
    WaitForCompletion,
    WaitForStart,
)
from .versions import Versions

__all__ = ["Changes"]


class Changes:
    """Handles requests in the engine's thread; answers once what they did is durable.

    Args:
        engine: The engine.
        finder: Finds the instances that the engine does not hold.
    """

    def __init__(self, engine: Engine, finder: Finder) -> None:
        self._engine = engine
        self._finder = finder
        self._orchestrations = engine.orchestrations
        self._versions = Versions(engine)
        self._purging = Purging(engine, self.record)
        self._forms = FormDesk(engine, self._answer)
        self._handlers: dict[type, Callable[[Any, Future[Any]], None]] = {
            Define: self._define,
            StartMany: self._start_many,
            Restart: self._restart,
            WaitForCompletion: self._wait_for_completion,
            WaitForStart: self._wait_for_start,
            DescribeOpen: self._describe_open,
            DescribeForms: self._forms.describe,
            RaiseEvent: self._raise_event,
            AnswerForm: self._answer_form,
            Suspend: self._suspend,
            Resume: self._resume,
            Terminate: self._terminate,
            Rewind: self._rewind,
            Adopt: self._adopt,
            Migrate: self._migrate,
            CountInFlight: self._count_in_flight,
            ListUntrusted: self._list_untrusted,
            Trust: self._trust,
            Purge: self._purge,
            CallEntity: self._call_entity,
            SignalMany: self._signal_many,
            ListLocks: self._list_locks,
            CleanEntities: self._purging.clean_entities,
        }

    def handle(self, request: Request, future: Future[Any]) -> None:
        """Carry out a request and see to it that `future` gets the answer."""
        if not future.running() and not future.set_running_or_notify_cancel():
            return
        try:
            self._engine.gate.check(request)
            self._handlers[type(request)](request, future)
        except DurableError as error:
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001  (the engine's thread must live on)
            future.set_exception(DurableInternalError(f"{type(request).__name__}: {error!r}"))

    def record(self, instance_id: str) -> InstanceRecord:
        """Return an instance's record as the engine knows it.

        Raises:
            UnknownInstanceError: There is no such instance; lists near ids.
        """
        record = self._orchestrations.find(instance_id)
        if record is None:
            raise unknown_instance(self._engine.store, instance_id)
        return record

    def _answer(self, future: Future[Any], answer: Any = None) -> None:
        self._engine.after_commit(lambda: future.set_result(answer))

    def _live(self, instance_id: str) -> Instance | None:
        """Return a live instance, None for a finished one; raises for an unknown one."""
        instance = self._orchestrations.by_id.get(instance_id)
        if instance is not None and not instance.record.status.is_terminal:
            return instance
        self.record(instance_id)
        return None

    def _is_settling(self, instance_id: str, request: Request, future: Future[Any]) -> bool:
        """Whether an instance has just ended; if so the request is looked at after the commit."""
        instance = self._orchestrations.by_id.get(instance_id)
        if instance is None or not instance.record.status.is_terminal:
            return False
        self._engine.after_commit(lambda: self._engine.post(self.handle, request, future))
        return True

    # Definitions.

    def _define(self, request: Define, future: Future[Any]) -> None:
        engine = self._engine
        answers = []
        if len(request.definitions) == 1:
            # Of all that a script declares, some may be meant for another runtime.
            engine.dispatcher.check(request.definitions[0])
        for definition in request.definitions:
            signed = engine.gate.signer.sign_definition(definition)
            kept, is_new = engine.registry.add(signed, engine.now)
            if is_new:
                engine.write_definition(DefinitionAdded(timestamp=engine.now, definition=kept))
            answers.append(
                Defined(
                    name=kept.name,
                    version=kept.version,
                    number=kept.number,
                    is_new=is_new,
                    in_flight=self._in_flight(kept) if is_new else {},
                )
            )
        self._answer(future, answers)

    def _in_flight(self, kept: Definition) -> dict[int, int]:
        """Count the live instances that stay on other versions of what was defined."""
        counts = self._versions.in_flight(kept.kind, kept.name)
        counts.pop(kept.number, None)
        return counts

    def _count_in_flight(self, request: CountInFlight, future: Future[Any]) -> None:
        self._answer(future, self._versions.in_flight(request.kind, request.name))

    def _adopt(self, request: Adopt, future: Future[Any]) -> None:
        for instance_id in request.instance_ids:
            self.record(instance_id)
        self._answer(future, self._versions.adopt(request))

    def _migrate(self, request: Migrate, future: Future[Any]) -> None:
        """Hold an instance until all its rows are durable, and move it then."""
        record = self.record(request.instance_id)
        done = self._versions.migrated(record, request.to) if request.repeated else None
        if done is not None:
            self._answer(future, done)
            return
        instance = self._versions.in_flight_instance(request.instance_id)
        instance.is_held = True
        self._engine.after_commit(lambda: self._migrate_held(instance, request, future))

    def _migrate_held(self, instance: Instance, request: Migrate, future: Future[Any]) -> None:
        if instance.unwritten or instance.last_gseq > self._engine.durable_gseq:
            # Another request has come between; history is read from the store.
            instance.is_held = True
            self._engine.after_commit(lambda: self._migrate_held(instance, request, future))
            return
        instance.is_held = False
        try:
            self._versions.in_flight_instance(instance.record.instance_id, instance)
            self._answer(future, self._versions.migrate(instance, request.to))
        except DurableError as error:
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001  (the engine's thread must live on)
            future.set_exception(DurableInternalError(f"Migrate: {error!r}"))
        finally:
            self._engine.deliveries.resume_inbox(instance)

    def _list_untrusted(self, request: ListUntrusted, future: Future[Any]) -> None:  # noqa: ARG002
        self._answer(future, self._engine.gate.untrusted())

    def _trust(self, request: Trust, future: Future[Any]) -> None:
        self._answer(future, self._engine.gate.trust(request.versions))

    # Starting.

    def _start_many(self, request: StartMany, future: Future[Any]) -> None:
        for one in request.starts:
            if one.replace and self._is_settling(one.instance_id, request, future):
                return
        found = [(one, self._orchestrations.find(one.instance_id)) for one in request.starts]
        for one, existing in [pair for pair in found if self._may_start(*pair)]:
            self._make_room(existing)
            self._create(one)
        self._answer(future, [one.instance_id for one in request.starts])

    def _may_start(self, one: Start, existing: InstanceRecord | None) -> bool:
        """Return False for a repeated request; raises where the id is taken."""
        check_instance_id(one.instance_id)
        self._engine.registry.newest(Kind.ORCHESTRATOR, one.name)
        if existing is None:
            return True
        if one.request_id and existing.request_id == one.request_id:
            return False
        if existing.status in one.replace:
            return True
        raise InstanceExistsError(one.instance_id, existing.status.value)

    def _make_room(self, existing: InstanceRecord | None) -> None:
        """Have the instance that has the id end and be deleted."""
        if existing is None:
            return
        live = self._live(existing.instance_id)
        if live is not None:
            ended = terminated(live, self._engine.now)
            self._orchestrations.end(live, ended, recurse=True)
        self._orchestrations.purge_after_commit([existing.iid])

    def _create(self, one: Start) -> None:
        engine = self._engine
        definition = engine.registry.newest(Kind.ORCHESTRATOR, one.name)
        begins = max(engine.now, one.start_at or engine.now)
        deadline = None
        if one.timeout_s is not None:
            deadline = begins + timedelta(seconds=one.timeout_s)
        self._orchestrations.create(
            ExecutionStarted(
                timestamp=engine.now,
                instance_id=one.instance_id,
                execution_id=engine.new_id(),
                name=one.name,
                version=definition.version,
                epoch=engine.registry.epoch,
                input=one.input,
                tags=one.tags,
                start_at=one.start_at,
                deadline=deadline,
                request_id=one.request_id,
            ),
            # All become durable together; code that has begun stays in memory until then.
            at_once=not engine.batch_is_full,
        )

    def _restart(self, request: Restart, future: Future[Any]) -> None:
        if self._is_settling(request.instance_id, request, future):
            return
        record = self.record(request.instance_id)
        same_id = request.new_id == request.instance_id
        if request.request_id and same_id and record.request_id == request.request_id:
            self._answer(future, request.new_id)
            return
        self._check_finished(record, "it can be restarted once it has ended")
        start = Start(
            name=record.name,
            instance_id=request.new_id,
            input=record.input,
            tags=record.tags,
            replace=tuple(TERMINAL) if same_id else (),
            request_id=request.request_id,
        )
        existing = self._orchestrations.find(start.instance_id)
        if self._may_start(start, existing):
            self._make_room(existing)
            self._create(start)
        self._answer(future, request.new_id)

    # Waiting.

    def _wait_for_completion(self, request: WaitForCompletion, future: Future[Any]) -> None:
        instance = self._orchestrations.by_id.get(request.instance_id)
        if instance is not None and instance.record.is_parked:
            self._answer(future, copy.copy(instance.record))
        elif instance is not None:
            instance.waiters += (future,)
        else:
            self._finder.find(request.instance_id, future)

    def _wait_for_start(self, request: WaitForStart, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None and instance.record.status is RuntimeStatus.PENDING:
            instance.start_waiters += (future,)
        else:
            self._answer(future, msgspec.structs.replace(self.record(request.instance_id)))

    def _describe_open(self, request: DescribeOpen, future: Future[Any]) -> None:
        found = {}
        for instance_id in request.instance_ids:
            instance = self._orchestrations.by_id.get(instance_id)
            if instance is not None and not instance.record.status.is_terminal:
                self._orchestrations.know_awaited_events(instance)
                found[instance_id] = open_tasks(instance, self._record_of_live)
        self._answer(future, found)

    def _record_of_live(self, instance_id: str) -> InstanceRecord | None:
        instance = self._orchestrations.by_id.get(instance_id)
        return None if instance is None else instance.record

    # Steering.

    def _raise_event(self, request: RaiseEvent, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None and not self._was_raised(request, instance):
            data, form_id = self._forms.fit(request, instance)
            event = EventRaised(
                timestamp=self._engine.now,
                name=request.name,
                input=data,
                request_id=request.request_id,
                form_id=form_id,
                by=request.by,
            )
            self._deliver(instance, event)
        self._answer(future)

    def _was_raised(self, request: RaiseEvent, instance: Instance) -> bool:
        if request.request_id in instance.requests:
            return True
        store = self._engine.store
        return request.repeated and was_done(store, instance.record, request.request_id)

    def _answer_form(self, request: AnswerForm, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        event = self._forms.take(request, instance)
        if instance is not None and event is not None:
            self._deliver(instance, event)
        self._answer(future)

    def _deliver(self, instance: Instance, event: EventRaised) -> None:
        if event.request_id:
            instance.remember(event.request_id)
        self._engine.deliveries.deliver(instance, event)

    def _suspend(self, request: Suspend, future: Future[Any]) -> None:
        self._engine.deliveries.wake_sleepers()
        instance = self._live(request.instance_id)
        if instance is not None and instance.record.start_at is None:
            self._orchestrations.start_delayed(instance)
        if instance is not None and instance.record.status is RuntimeStatus.PENDING:
            raise InstanceStateError(
                request.instance_id, "Pending", "it can be suspended once it has started"
            )
        if instance is not None and instance.record.status is RuntimeStatus.RUNNING:
            event = ExecutionSuspended(timestamp=self._engine.now, reason=request.reason)
            self._engine.write(instance, event)
        self._answer(future)

    def _resume(self, request: Resume, future: Future[Any]) -> None:
        instance = self._live(request.instance_id)
        if instance is not None and instance.record.status is RuntimeStatus.SUSPENDED:
            event = ExecutionResumed(timestamp=self._engine.now, reason=request.reason)
            self._engine.write(instance, event)
            self._orchestrations.wake(instance)
        self._answer(future)

    def _terminate(self, request: Terminate, future: Future[Any]) -> None:
        self._engine.deliveries.wake_sleepers()
        instance = self._live(request.instance_id)
        if instance is not None:
            asked = ExecutionTerminated(
                timestamp=self._engine.now, output=request.output, recurse=request.recurse
            )
            self._engine.write(instance, asked)
            ended = terminated(instance, self._engine.now, request.output)
            self._orchestrations.end(instance, ended, recurse=request.recurse)
        self._answer(future)

    def _rewind(self, request: Rewind, future: Future[Any]) -> None:
        if self._is_settling(request.instance_id, request, future):
            return
        record = self.record(request.instance_id)
        if request.repeated and was_done(self._engine.store, record, request.request_id):
            self._answer(future)
            return
        if record.status is not RuntimeStatus.FAILED:
            wanted = "only a failed instance can be rewound"
            raise InstanceStateError(request.instance_id, record.status.value, wanted)
        self._engine.rewinder.rewind(request, record)
        self._answer(future)

    def _purge(self, request: Purge, future: Future[Any]) -> None:
        if not self._is_settling(request.instance_id, request, future):
            self._purging.purge(request, future)

    # Entities.

    def _call_entity(self, request: CallEntity, future: Future[Any]) -> None:
        requested = self._requested(request)
        self._engine.entities.call(requested, future, repeated=request.repeated)

    def _signal_many(self, request: SignalMany, future: Future[Any]) -> None:
        wanted = [self._requested(one, one.scheduled_at) for one in request.signals]
        entities = self._engine.entities
        entities.expect(requested.entity_id for requested in wanted)
        for requested in wanted:
            entities.signal(requested, repeated=request.repeated)
        self._answer(future)

    def _requested(
        self, request: CallEntity | Signal, scheduled_at: datetime | None = None
    ) -> OperationRequested:
        entity_id = EntityInstanceId.parse(request.entity_id)
        self._engine.registry.newest(Kind.ENTITY, entity_id.name)
        return OperationRequested(
            timestamp=self._engine.now,
            entity_id=str(entity_id),
            operation=request.operation,
            input=request.input,
            scheduled_at=scheduled_at,
            request_id=request.request_id,
        )

    def _list_locks(self, request: ListLocks, future: Future[Any]) -> None:  # noqa: ARG002
        self._answer(future, self._engine.entities.locks())

    def _check_finished(self, record: InstanceRecord, wanted: str) -> None:
        if not record.status.is_terminal:
            raise InstanceStateError(record.instance_id, record.status.value, wanted)
