"""Hands attempts to executors: a bounded number in flight, the rest waits its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

from .core.errors import DefinitionError
from .core.failure import FailureDetails
from .core.output import AttemptOutput
from .definitions import Definition, Kind
from .instances import Instance, OpenActivity
from .ports import ActivityExecutor, AttemptKey, AttemptOutcome, AttemptRequest
from .registry import Registry

__all__ = ["Dispatcher"]

_IN_FLIGHT_PER_SLOT = 4


class _Lane:
    """What waits for one executor, and how much it has."""

    __slots__ = ("executor", "in_flight", "limit", "ready")

    def __init__(self, executor: ActivityExecutor) -> None:
        self.executor = executor
        self.ready: deque[tuple[Instance, OpenActivity]] = deque()
        self.in_flight = 0
        self.limit = executor.capacity * _IN_FLIGHT_PER_SLOT


class Dispatcher:
    """Runs the open activities of all instances.

    Args:
        executors: By name; `"processes"` and `"asyncio"` are the defaults for `def` and
            `async def`.
        registry: Where the code of activities is found.
        started: Called from any thread when an attempt begins.
        done: Called from any thread when an attempt ended.
    """

    def __init__(
        self,
        executors: Mapping[str, ActivityExecutor],
        registry: Registry,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        self._registry = registry
        self._started = started
        self._done = done
        self._lanes = {name: _Lane(executor) for name, executor in executors.items()}
        self._flying: dict[AttemptKey, tuple[_Lane, str]] = {}
        self._parallel: dict[str, int] = {}
        self._held: dict[str, deque[tuple[Instance, OpenActivity]]] = {}

    @property
    def in_flight(self) -> int:
        """How many attempts executors have."""
        return len(self._flying)

    def enqueue(self, instance: Instance, activity: OpenActivity) -> None:
        """Have an open activity run; its `TaskScheduled` must be durable."""
        if not _is_open(instance, activity):
            return
        found = self._find(instance, activity)
        if found is not None:
            found[1].ready.append((instance, activity))

    def pump(self) -> None:
        """Submit as much as may be in flight."""
        for lane in self._lanes.values():
            while lane.ready and lane.in_flight < lane.limit:
                instance, activity = lane.ready.popleft()
                self._submit(lane, instance, activity)

    def finished(self, key: AttemptKey) -> str:
        """Account for an attempt that ended; returns the activity's name, if it was known."""
        flying = self._flying.pop(key, None)
        if flying is None:
            return ""
        lane, name = flying
        lane.in_flight -= 1
        running = self._parallel.get(name)
        if running is not None:
            self._parallel[name] = running - 1
            held = self._held.get(name)
            if held:
                lane.ready.append(held.popleft())
        return name

    def output(self, instance: Instance, task_id: int) -> tuple[int, AttemptOutput | None] | None:
        """Return the number of an activity's running attempt and what it has printed so far.

        Any thread may ask. None where no executor has it.
        """
        activity = instance.activities.get(task_id)
        if activity is None:
            return None
        key = _key(instance, activity)
        flying = self._flying.get(key)
        return None if flying is None else (key.number, flying[0].executor.output(key))

    def cancel(self, instance: Instance) -> None:
        """Stop all attempts of an instance's open activities."""
        for activity in instance.activities.values():
            key = _key(instance, activity)
            flying = self._flying.get(key)
            if flying is not None:
                flying[0].executor.cancel(key)

    def close(self) -> None:
        """Stop all executors."""
        for lane in self._lanes.values():
            lane.executor.close()

    def _find(self, instance: Instance, activity: OpenActivity) -> tuple[Definition, _Lane] | None:
        """Return the code for the next attempt and where it runs; None where it failed for that."""
        try:
            definition = self._definition(instance, activity)
            return definition, self._lanes[_executor_name(definition, self._lanes)]
        except DefinitionError as error:
            failure = FailureDetails.from_exception(error)
            self._done(_key(instance, activity), AttemptOutcome(failure=failure))
            return None

    def _definition(self, instance: Instance, activity: OpenActivity) -> Definition:
        """Return the code for the next attempt: what was scheduled, or adopted since."""
        name, record = activity.scheduled.name, instance.record
        adopted = record.adopted.get(name)
        if adopted is not None:
            return self._registry.version(Kind.ACTIVITY, name, adopted)
        version = activity.scheduled.version
        return self._registry.version(Kind.ACTIVITY, name, version, record.epoch)

    def _submit(self, lane: _Lane, instance: Instance, activity: OpenActivity) -> None:
        if activity.is_submitted or not _is_open(instance, activity):
            return
        found = self._find(instance, activity)
        if found is None:
            return
        definition, wanted = found
        if wanted is not lane:  # code was adopted meanwhile that runs elsewhere
            if wanted.in_flight >= wanted.limit:
                wanted.ready.append((instance, activity))
                return
            lane = wanted
        limit = definition.options.max_parallel
        if limit:
            running = self._parallel.get(definition.name, 0)
            if running >= limit:
                self._held.setdefault(definition.name, deque()).append((instance, activity))
                return
            self._parallel[definition.name] = running + 1
        activity.is_submitted = True
        activity.version = definition.version
        key = _key(instance, activity)
        self._flying[key] = (lane, definition.name)
        lane.in_flight += 1
        request = AttemptRequest(
            key=key,
            instance_id=instance.record.instance_id,
            name=definition.name,
            version=definition.version,
            package=definition.package,
            is_async=definition.is_async,
            input=activity.scheduled.input,
            timeout_s=definition.options.timeout_s,
        )
        lane.executor.submit(request, self._started, self._done)


def _key(instance: Instance, activity: OpenActivity) -> AttemptKey:
    task_id = activity.scheduled.task_id
    return AttemptKey(instance.iid, instance.record.execution_id, task_id, activity.attempt)


def _is_open(instance: Instance, activity: OpenActivity) -> bool:
    """Whether the activity is still wanted: not that of an earlier execution, for one."""
    return instance.activities.get(activity.scheduled.task_id) is activity


def _executor_name(definition: Definition, lanes: Mapping[str, _Lane]) -> str:
    name = definition.options.executor or ("asyncio" if definition.is_async else "processes")
    if name not in lanes:
        raise DefinitionError(
            f"activity {definition.name} asks for the executor {name!r}; "
            f"there are {', '.join(sorted(lanes))}"
        )
    return name
