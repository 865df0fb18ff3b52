"""A whole runtime in one thread: memory store, virtual clock, activities as plain functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.core.code import OrchestratorCode
from ipydurable.runtime.core.entities import EntityBatchResult, EntityCode, execute_batch
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.output import AttemptOutput
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import ActivityOptions, CodePackage, Definition, Kind
from ipydurable.runtime.engine import Engine, EngineOptions
from ipydurable.runtime.entity_runner import EntityJob, run_without_loop
from ipydurable.runtime.journal import InlineJournal
from ipydurable.runtime.ports import (
    AttemptKey,
    AttemptOutcome,
    AttemptRequest,
    InstanceUpdate,
    JournalRow,
    ProgressSink,
    Stream,
)
from ipydurable.runtime.requests import (
    CallEntity,
    Define,
    RaiseEvent,
    Request,
    Signal,
    SignalMany,
    Start,
    StartMany,
)
from ipydurable.runtime.service import Service
from ipydurable.runtime.testing import MemoryStore, VirtualClock

START = datetime(2026, 1, 1)

__all__ = ["START", "JsonConverter", "ManualExecutor", "World"]


class JsonConverter:
    """The plainest converter: JSON and nothing else."""

    def encode(self, value: Any, where: str) -> str:
        """Return JSON."""
        return msgspec.json.encode(value).decode()

    def decode(self, payload: Any) -> Any:
        """Return the value."""
        return msgspec.json.decode(payload)


class ManualExecutor:
    """Runs attempts when told to, in any order; can lose them."""

    name = "threads"

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.progress: ProgressSink | None = None
        self.functions: dict[tuple[str, str], Callable[..., Any]] = {}
        self.waiting: dict[AttemptKey, tuple[AttemptRequest, Callable[..., None]]] = {}
        self.cancelled: list[AttemptKey] = []
        self.printed: dict[AttemptKey, AttemptOutput] = {}
        self._started: dict[AttemptKey, Callable[[AttemptKey, datetime, str], None]] = {}
        self.ran: list[AttemptKey] = []

    def submit(
        self,
        request: AttemptRequest,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        """Keep the attempt until `run` or `lose`."""
        assert request.key not in self.waiting, "the same attempt twice"
        self.waiting[request.key] = (request, done)
        self._started[request.key] = started

    def begin(self, key: AttemptKey) -> None:
        """Let an attempt say that it has begun."""
        self._started[key](key, START, "process 1")

    def run(self, key: AttemptKey) -> None:
        """Run one attempt to its end."""
        request, done = self.waiting.pop(key)
        self.ran.append(key)
        done(key, self.outcome(request))

    def outcome(self, request: AttemptRequest) -> AttemptOutcome:
        """Run the body and return what comes of it."""
        function = self.functions[(request.name, request.version)]
        output = self.printed.get(request.key)
        try:
            args = [] if request.input is None else [msgspec.json.decode(request.input)]
            value = msgspec.json.encode(function(*args)).decode()
        except Exception as error:  # noqa: BLE001
            return AttemptOutcome(failure=FailureDetails.from_exception(error), output=output)
        return AttemptOutcome(result=value, output=output)

    def lose(self, key: AttemptKey, worker: str = "process 1") -> None:
        """Let the worker of an attempt die."""
        _, done = self.waiting.pop(key)
        output = self.printed.get(key)
        done(key, AttemptOutcome(lost="it was killed", worker=worker, output=output))

    def cancel(self, key: AttemptKey) -> None:
        """Stop an attempt."""
        self.cancelled.append(key)
        waiting = self.waiting.pop(key, None)
        if waiting is not None:
            waiting[1](key, AttemptOutcome(cancelled=True))

    def output(self, key: AttemptKey) -> AttemptOutput | None:
        """Return what an attempt was made to print."""
        return self.printed.get(key)

    def close(self) -> None:
        """Forget everything."""
        self.waiting.clear()


class ManualEntityRunner:
    """Runs batches of entity operations when told to, in any order."""

    def __init__(self) -> None:
        self.definitions: dict[tuple[str, str], Any] = {}
        self.waiting: list[tuple[EntityJob, Callable[[EntityBatchResult], None]]] = []
        self.ran: list[tuple[str, str]] = []

    def submit(self, job: EntityJob, done: Callable[[EntityBatchResult], None]) -> None:
        """Keep the batch until `run`."""
        assert all(other.entity_id != job.entity_id for other, _ in self.waiting), "two at once"
        self.waiting.append((job, done))

    def run(self, position: int = 0) -> None:
        """Run one batch to its end."""
        job, done = self.waiting.pop(position)
        self.ran += [(str(job.entity_id), operation.name) for operation in job.operations]
        found = self.definitions[(job.definition.name, job.definition.version)]
        code = EntityCode(found, JsonConverter(), {})
        batch = execute_batch(
            code, job.entity_id, job.state, job.operations, lambda: START, lambda: "new"
        )
        done(asyncio.run(batch) if code.is_async else run_without_loop(batch))

    def close(self) -> None:
        """Forget everything."""
        self.waiting.clear()


class FunctionLoader:
    """Gives plain functions as code, by name and version."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], Callable[..., Any]] = {}

    def fresh(self, definition: Definition) -> OrchestratorCode:
        """Return the code of a definition."""
        return self.load(definition)

    def load(self, definition: Definition) -> OrchestratorCode:
        """Return the code of a definition."""
        function = self.functions[(definition.name, definition.version)]
        return OrchestratorCode(function, JsonConverter(), function.__globals__)


class World:
    """An engine that does nothing by itself: tests move it on.

    Args:
        resident: As `EngineOptions.resident`.
        strict_replay: As `EngineOptions.strict_replay`.
        max_parallel: As `EngineOptions.max_parallel`.
        idle_entities: As `EngineOptions.idle_entities`.
        shadow_turns: As `EngineOptions.shadow_turns`; code runs once unless asked.
    """

    def __init__(
        self,
        resident: int = 10_000,
        *,
        strict_replay: bool = False,
        idle_entities: int = 2_000,
        shadow_turns: int = 0,
        max_parallel: int = 0,
        decisions_at_once: int = 10_000,
    ) -> None:
        self.store = MemoryStore()
        self.clock = VirtualClock()
        self.loader = FunctionLoader()
        self.executor = ManualExecutor()
        self.runner = ManualEntityRunner()
        self._options = EngineOptions(
            resident=resident,
            strict_replay=strict_replay,
            idle_entities=idle_entities,
            shadow_turns=shadow_turns,
            max_parallel=max_parallel,
            decisions_at_once=decisions_at_once,
        )
        self._ids = 0
        self._boot()

    def _boot(self) -> None:
        self.engine = Engine(
            self.store,
            InlineJournal,
            self.clock,
            {"processes": self.executor, "asyncio": self.executor},
            options=self._options,
            new_id=self._new_id,
            loader=self.loader,  # type: ignore[arg-type]
            entity_runner=self.runner,
        )
        self.service = Service(self.engine)
        self.client = DurableClient(InProcess(self.service), JsonConverter())

    def _new_id(self) -> str:
        self._ids += 1
        return f"x{self._ids}"

    def crash(self) -> None:
        """End the engine without a word and start another on the same store."""
        self.service.close()
        executor = ManualExecutor(self.executor.capacity)
        executor.functions = self.executor.functions
        self.executor = executor
        definitions = self.runner.definitions
        self.runner = ManualEntityRunner()
        self.runner.definitions = definitions
        self._boot()

    def define(
        self,
        function: Callable[..., Any],
        kind: Kind = Kind.ACTIVITY,
        *,
        version: str = "v1",
        name: str = "",
        **options: Any,
    ) -> None:
        """Define a plain function as an activity or orchestrator."""
        name = name or function.__name__
        tables: dict[Kind, dict[tuple[str, str], Any]] = {
            Kind.ACTIVITY: self.executor.functions,
            Kind.ORCHESTRATOR: self.loader.functions,
            Kind.ENTITY: self.runner.definitions,
        }
        tables[kind][(name, version)] = function
        definition = Definition(
            kind=kind,
            name=name,
            version=version,
            package=CodePackage(entry=name),
            options=ActivityOptions(**options),
        )
        self.ask(Define(definitions=[definition]))

    def orchestrator(self, function: Callable[..., Any], version: str = "v1") -> None:
        """Define a plain function as an orchestrator."""
        self.define(function, Kind.ORCHESTRATOR, version=version)

    def entity(self, definition: Any, version: str = "v1") -> None:
        """Define a class or plain function as an entity."""
        self.define(definition, Kind.ENTITY, version=version)

    def signal(self, entity_id: str, operation: str, value: Any = None, **more: Any) -> None:
        """Signal an entity."""
        payload = None if value is None else msgspec.json.encode(value).decode()
        repeated = more.pop("repeated", False)
        signal = Signal(entity_id=entity_id, operation=operation, input=payload, **more)
        self.ask(SignalMany(signals=[signal], repeated=repeated))

    def call(self, entity_id: str, operation: str, value: Any = None) -> Any:
        """Call an entity; returns the result or raises why it failed."""
        payload = None if value is None else msgspec.json.encode(value).decode()
        self._ids += 1
        request = CallEntity(
            entity_id=entity_id, operation=operation, input=payload, request_id=f"r{self._ids}"
        )
        future = self.send(request)
        self.work()
        return self.client.call_outcome(entity_id, future.result(timeout=5))

    def state(self, entity_id: str) -> Any:
        """Return an entity's committed state."""
        record = self.store.find(str(EntityInstanceId.parse(entity_id)))
        if record is None:
            return None
        assert isinstance(record, EntityRecord)
        return None if record.state is None else msgspec.json.decode(record.state)  # type: ignore[arg-type]

    def ask(self, request: Request) -> Any:
        """Send a request and work until it is answered."""
        future = self.send(request)
        self.settle()
        return future.result(timeout=5)

    def send(self, request: Request) -> Future[Any]:
        """Send a request; the engine has not looked at it yet."""
        return self.service.handle(request)

    def start(self, name: str, value: Any = None, instance_id: str = "one", **more: Any) -> str:
        """Start an orchestration."""
        payload = None if value is None else msgspec.json.encode(value).decode()
        start = Start(name=name, instance_id=instance_id, input=payload, **more)
        ids: list[str] = self.ask(StartMany(starts=[start]))
        return ids[0]

    def raise_event(self, name: str, data: Any = None, instance_id: str = "one") -> None:
        """Raise an external event."""
        payload = None if data is None else msgspec.json.encode(data).decode()
        self.ask(RaiseEvent(instance_id=instance_id, name=name, data=payload))

    def settle(self) -> None:
        """Work until nothing is left to do without time or activities."""
        while self.engine.step(0.0) or self.engine.deliveries.has_work:
            pass

    def follow(self, instance_id: str = "one") -> list[InstanceUpdate]:
        """Follow an instance; returns what its follower is told, once there is the first of it.

        A thread of its own reads that.
        """
        is_told = threading.Event()
        updates: list[InstanceUpdate] = []

        def tell(update: InstanceUpdate) -> None:
            updates.append(update)
            is_told.set()

        self.service.subscribe(instance_id, tell)
        self.settle()
        assert is_told.wait(5)
        return updates

    def work(self) -> None:
        """Work and run activities, oldest first, until nothing is left to do without time."""
        self.settle()
        while self.executor.waiting or self.runner.waiting:
            if self.runner.waiting:
                self.runner.run()
            else:
                self.executor.run(next(iter(self.executor.waiting)))
            self.settle()

    def advance(self, by: timedelta) -> None:
        """Move the clock on, and work."""
        self.clock.advance(by)
        self.work()

    def record(self, instance_id: str = "one") -> InstanceRecord:
        """Return an instance's committed record."""
        record = self.store.find(instance_id)
        assert isinstance(record, InstanceRecord), f"there is no {instance_id}"
        return record

    def output(self, instance_id: str = "one") -> Any:
        """Return the result of a completed instance."""
        record = self.record(instance_id)
        assert record.status is RuntimeStatus.COMPLETED, record
        return None if record.output is None else msgspec.json.decode(record.output)  # type: ignore[arg-type]

    def history(self, instance_id: str = "one") -> list[str]:
        """Return the kinds of an instance's history events, in order."""
        return [type(row.event).__name__ for row in self.rows(instance_id)]

    def rows(self, instance_id: str = "one") -> Sequence[JournalRow]:
        """Return an instance's history rows."""
        record = self.record(instance_id)
        return [row for row in self.store.history(record.iid) if row.stream is Stream.HISTORY]
