"""Versions in flight: who is on which, who takes a newer activity, who moves to newer code.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from .core.determinism import difference_error
from .core.errors import (
    DefinitionError,
    DurableError,
    InstanceStateError,
    MigrationError,
    NonDeterminismError,
    UnknownDefinitionError,
)
from .core.events import (
    DefinitionAdopted,
    ExecutionMigrated,
    ExecutionResumed,
    ExecutionStarted,
    HistoryEvent,
)
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .definitions import Definition, Kind
from .instances import Instance
from .messages import blocked_error
from .ports import Stream
from .registry import Registry
from .requests import Adopt, Adopted, Migrated
from .watchdog import TurnBlocked

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Versions", "migration"]


class Versions:
    """Counts and changes what versions the live instances of an engine are on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orchestrations = engine.orchestrations

    def in_flight(self, kind: Kind, name: str) -> dict[int, int]:
        """Count the live instances on each version of a name, by its number."""
        counts: dict[int, int] = {}
        reached = _Reached(self._engine.registry)
        for instance in self._orchestrations.by_iid.values():
            found = self._meant(instance, kind, name, reached)
            if found is not None and instance.record.is_live:
                counts[found.number] = counts.get(found.number, 0) + 1
        return dict(sorted(counts.items()))

    def _meant(
        self, instance: Instance, kind: Kind, name: str, reached: _Reached
    ) -> Definition | None:
        """Return the version that a name means to an instance; None where it does not use it."""
        registry, record = self._engine.registry, instance.record
        try:
            if kind is Kind.ORCHESTRATOR:
                return registry.version(kind, name, record.version) if record.name == name else None
            if kind is Kind.ENTITY or not _runs(instance, name, reached):
                return None
            adopted = record.adopted.get(name)
            if adopted is not None:
                return registry.version(kind, name, adopted)
            return registry.newest(kind, name, record.epoch)
        except UnknownDefinitionError:
            return None

    # Adopting a version of an activity.

    def adopt(self, request: Adopt) -> Adopted:
        """Have instances take a version of an activity from their next attempt on.

        Args:
            request: Which instances and which version. Of a repeated one those that have ended
                since are left out, and those that have taken it already are named.

        Raises:
            UnknownDefinitionError: There is no such version.
            InstanceStateError: An instance has not started, or has ended; nothing is changed.
        """
        registry, name, instance_ids = self._engine.registry, request.name, request.instance_ids
        definition = (
            registry.version(Kind.ACTIVITY, name, request.version)
            if request.version
            else registry.newest(Kind.ACTIVITY, name)
        )
        reached = _Reached(registry)
        if instance_ids:
            chosen = self._with_children(
                [
                    self.in_flight_instance(one)
                    for one in instance_ids
                    if not request.repeated or one in self._orchestrations.by_id
                ]
            )
        else:
            chosen = [one for one in self._orchestrations.by_iid.values() if _has_started(one)]
        taken = []
        for instance in chosen:
            meant = self._meant(instance, Kind.ACTIVITY, name, reached)
            if meant is None and not instance_ids:
                continue
            has = meant.version if meant is not None else instance.record.adopted.get(name)
            if has != definition.version:
                event = DefinitionAdopted(
                    timestamp=self._engine.now, name=name, version=definition.version
                )
                self._engine.write(instance, event)
                taken.append(instance.record.instance_id)
            elif request.repeated and instance.record.adopted.get(name) == has:
                taken.append(instance.record.instance_id)
        return Adopted(name=name, number=definition.number, instance_ids=taken)

    def in_flight_instance(self, instance_id: str, known: Instance | None = None) -> Instance:
        """Return an instance whose versions can be changed.

        Args:
            instance_id: Its id.
            known: What it must still be, where another one may have replaced it.

        Raises:
            InstanceStateError: It has not started, or has ended.
        """
        instance = self._orchestrations.by_id.get(instance_id)
        if instance is None or not _has_started(instance) or known not in (None, instance):
            record = self._orchestrations.find(instance_id)
            status = record.status.value if record is not None else "unknown"
            wanted = "only an instance in flight, which has started, can take another version"
            raise InstanceStateError(instance_id, status, wanted)
        return instance

    def _with_children(self, instances: list[Instance]) -> list[Instance]:
        found: dict[int, Instance] = {}
        waiting = deque(instances)
        while waiting:
            instance = waiting.popleft()
            if instance.iid in found or not _has_started(instance):
                continue
            found[instance.iid] = instance
            children = map(self._orchestrations.by_id.get, instance.children.values())
            waiting.extend(child for child in children if child is not None)
        return list(found.values())

    # Moving to another version of the orchestrator.

    def migrate(self, instance: Instance, to: int | str | None) -> Migrated:
        """Move an instance to another version of its orchestrator; its rows must be durable.

        Args:
            instance: A live instance that has started.
            to: Number or beginning of the content hash of the version; None for the newest.

        Raises:
            UnknownVersionError: There is no such version.
            MigrationError: Its history does not replay under it; nothing is changed.
            DefinitionError: The code of the version cannot be executed here.
        """
        engine, record = self._engine, instance.record
        definition = engine.registry.find(Kind.ORCHESTRATOR, record.name, to)
        before = engine.registry.version(Kind.ORCHESTRATOR, record.name, record.version)
        moved = migration(engine, instance, definition)
        warnings = self._check(instance, moved, definition)
        self._orchestrations.move(instance, moved)
        if record.is_parked:
            # It was parked because its old code could not go on.
            why = f"it was moved to v{definition.number}"
            engine.write(instance, ExecutionResumed(timestamp=engine.now, reason=why))
        if record.status is RuntimeStatus.RUNNING:
            self._orchestrations.wake(instance)
        return Migrated(
            instance_id=record.instance_id,
            name=record.name,
            number=definition.number,
            version=definition.version,
            before=before.number,
            status=record.status,
            warnings=warnings,
        )

    def migrated(self, record: InstanceRecord, to: int | str | None) -> Migrated | None:
        """Return what `migrate` gave for an instance that was moved to that version, else None."""
        registry = self._engine.registry
        definition = registry.find(Kind.ORCHESTRATOR, record.name, to)
        events = [row.event for row in self._engine.store.history(record.iid, record.first_seq)]
        moves = [one for one in events if isinstance(one, ExecutionStarted | ExecutionMigrated)]
        if not isinstance(moves[-1], ExecutionMigrated) or moves[-1].version != definition.version:
            return None
        return Migrated(
            instance_id=record.instance_id,
            name=record.name,
            number=definition.number,
            version=definition.version,
            before=registry.version(Kind.ORCHESTRATOR, record.name, moves[-2].version).number,
            status=record.status,
        )

    def _check(
        self, instance: Instance, moved: ExecutionMigrated, definition: Definition
    ) -> list[str]:
        """Replay the history under the code an instance is to move to; returns the warnings."""
        record = msgspec.structs.replace(
            instance.record, version=moved.version, epoch=moved.epoch, adopted=moved.adopted
        )
        stored = self._engine.store.history(record.iid, record.first_seq)
        rows = self._engine.with_late_rows(instance, stored)
        history = [row.event for row in rows if row.stream is Stream.HISTORY]
        named = f"{definition.name} v{definition.number}"
        try:
            return self._replay(record, history)  # type: ignore[arg-type]
        except NonDeterminismError as error:
            raise MigrationError(
                record.instance_id, named, error.task_id, error.history, error.code, error.line
            ) from None
        except DefinitionError:
            raise
        except DurableError as error:
            raise MigrationError(record.instance_id, named, 0, "it ran", str(error), "") from error

    def _replay(self, record: InstanceRecord, history: list[HistoryEvent]) -> list[str]:
        watchdog = self._engine.watchdog
        executor = self._orchestrations.new_executor(record)
        try:
            try:
                watchdog.begin(executor)
                executor.replay(history)
            finally:
                watchdog.end()
            if executor.warnings and self._engine.options.strict_replay:
                raise difference_error(record.instance_id, executor.warnings[0])
            return list(executor.warnings)
        except TurnBlocked as blocked:
            raise blocked_error(blocked, watchdog.limit_s) from None
        finally:
            executor.close()


def migration(engine: Engine, instance: Instance, definition: Definition) -> ExecutionMigrated:
    """Return the event that moves an instance to a version of its orchestrator.

    It sees all names as they were when that version was the newest, and so do the next attempts of
    the activities it has scheduled already.
    """
    registry = engine.registry
    epoch = registry.last_epoch(definition)
    open_names = {activity.scheduled.name for activity in instance.activities.values()}
    adopted: dict[str, str] = {}
    for name in sorted(open_names | instance.record.adopted.keys()):
        try:
            meant = registry.newest(Kind.ACTIVITY, name, epoch)
        except UnknownDefinitionError:
            continue
        own = instance.record.adopted.get(name)
        taken = registry.version(Kind.ACTIVITY, name, own) if own is not None else meant
        adopted[name] = max(meant, taken, key=lambda one: one.epoch).version
    return ExecutionMigrated(
        timestamp=engine.now, version=definition.version, epoch=epoch, adopted=adopted
    )


class _Reached:
    """Which activities the code of instances may call, found once for each version and epoch."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found: dict[tuple[str, str, int], Definition | None] = {}
        self._calls: dict[tuple[str, str, int, str], bool] = {}

    def may_call(self, record: InstanceRecord, activity: str) -> bool:
        """Whether an orchestrator, or one that it may start, names an activity."""
        key = (record.name, record.version, record.epoch, activity)
        if key not in self._calls:
            self._calls[key] = self._search(record, activity)
        return self._calls[key]

    def _search(self, record: InstanceRecord, activity: str) -> bool:
        registry, seen = self._registry, set()
        waiting = [self._version(record)]
        while waiting:
            definition = waiting.pop()
            if definition is None or definition.name in seen:
                continue
            seen.add(definition.name)
            stubs = definition.package.stubs.values()
            if (Kind.ACTIVITY.value, activity) in map(tuple, stubs):
                return True
            text = "\n".join(chunk.source for chunk in definition.package.chunks)
            if any(quote + activity + quote in text for quote in "'\""):
                return True
            for kind, name in stubs:
                if kind == Kind.ORCHESTRATOR.value:
                    try:
                        waiting.append(registry.newest(Kind.ORCHESTRATOR, name, record.epoch))
                    except UnknownDefinitionError:
                        continue
        return False

    def _version(self, record: InstanceRecord) -> Definition | None:
        try:
            return self._registry.version(Kind.ORCHESTRATOR, record.name, record.version)
        except UnknownDefinitionError:
            return None


def _runs(instance: Instance, name: str, reached: _Reached) -> bool:
    """Whether an instance may still run an activity."""
    is_open = any(one.scheduled.name == name for one in instance.activities.values())
    return is_open or reached.may_call(instance.record, name)


def _has_started(instance: Instance) -> bool:
    status = instance.record.status
    return not status.is_terminal and status is not RuntimeStatus.PENDING
