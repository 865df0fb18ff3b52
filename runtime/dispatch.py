"""Hands attempts to executors: a bounded number in flight, the rest waits its turn."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from .attempt import never_started
from .core.errors import DefinitionError
from .core.failure import FailureDetails
from .core.output import AttemptOutput
from .definitions import Definition, Kind
from .instances import Instance, OpenActivity
from .limits import Gate
from .ports import (
    ActivityExecutor,
    AttemptKey,
    AttemptOutcome,
    AttemptRequest,
    LaneLoad,
    Progress,
    ProgressSink,
    RunningAttempt,
    Work,
)
from .registry import Registry
from .stored_inputs import StoredInputs

__all__ = ["Dispatcher", "Load"]

_IN_FLIGHT = 64
_MIN_PER_SLOT = 4
_MAX_PER_SLOT = 32
_BACKLOG_PER_SLOT = 16
_WORK_TOLD = 100

_Waiting = tuple[Instance, OpenActivity]


class _Lane:
    """What waits for one executor, and how much it has."""

    __slots__ = ("backlog", "executor", "in_flight", "limit", "ready")

    def __init__(self, executor: ActivityExecutor) -> None:
        self.executor = executor
        self.ready: deque[_Waiting] = deque()
        self.in_flight = 0
        slots = executor.capacity
        self.limit = min(slots * _MAX_PER_SLOT, max(_IN_FLIGHT, slots * _MIN_PER_SLOT))
        self.backlog = slots * _BACKLOG_PER_SLOT

    @property
    def has_backlog(self) -> bool:
        """Whether its workers are busy for a while with what waits already."""
        return len(self.ready) >= self.backlog


class Load(msgspec.Struct, frozen=True):
    """How much there is to do, and who does it; see `StoreUpdate`."""

    lanes: list[LaneLoad]
    work: list[Work]
    held: int


class Dispatcher:
    """Runs the open activities of all instances.

    Args:
        executors: By name; `"processes"` and `"asyncio"` are the defaults for `def` and
            `async def`.
        registry: Where the code of activities is found.
        started: Called from any thread when an attempt begins.
        done: Called from any thread when an attempt ended.
        progress: Called from any thread when a running attempt says how far it is.
        max_parallel: How many activities executors have at once, all together; 0 for no limit.
        inputs: Where the inputs are that those who wait long need not keep.
        files: The folder for large frames and arrays; empty for none.
    """

    def __init__(
        self,
        executors: Mapping[str, ActivityExecutor],
        registry: Registry,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
        progress: ProgressSink,
        max_parallel: int = 0,
        *,
        inputs: StoredInputs,
        files: str = "",
    ) -> None:
        self._registry = registry
        self._started = started
        self._done = done
        self._lanes = {name: _Lane(executor) for name, executor in executors.items()}
        self._found: dict[tuple[str, str, int], tuple[Definition, _Lane]] = {}
        for executor in executors.values():
            executor.progress = progress
        self._max_parallel = max_parallel
        self._inputs = inputs
        self._files = files
        self._flying: dict[AttemptKey, tuple[_Lane, str]] = {}
        self._progress: dict[AttemptKey, Progress] = {}
        self._gates: dict[str, Gate[_Waiting]] = {}
        self._start_by: list[tuple[datetime, int, Instance, OpenActivity, int]] = []
        self._count = itertools.count()

    @property
    def in_flight(self) -> int:
        """How many attempts executors have."""
        return len(self._flying)

    @property
    def next_at(self) -> datetime | None:
        """When something is to be done though nothing has happened; None if nothing is."""
        times = [gate.opens_at for gate in self._gates.values()]
        if self._start_by:
            times.append(self._start_by[0][0])
        return min((one for one in times if one is not None), default=None)

    @property
    def has_backlog(self) -> bool:
        """Whether more waits for an executor than it can begin in the next moments."""
        return any(lane.has_backlog for lane in self._lanes.values())

    def has_backlog_before(self, instance: Instance, activity: OpenActivity) -> bool:
        """Whether so much waits for an activity's executor that it would not begin now anyhow."""
        scheduled = activity.scheduled
        found = self._found.get((scheduled.name, scheduled.version, instance.record.epoch))
        return found is not None and found[1].has_backlog

    def check(self, definition: Definition) -> None:
        """Raise DefinitionError where no executor is called as an activity asks for."""
        if definition.kind is Kind.ACTIVITY and definition.options.executor:
            _executor_name(definition, self._lanes)

    def enqueue(self, instance: Instance, activity: OpenActivity, now: datetime) -> None:
        """Have an open activity run; its `TaskScheduled` must be durable."""
        if not _is_open(instance, activity):
            return
        found = self._find(instance, activity)
        if found is None:
            return
        definition, lane = found
        lane.ready.append((instance, activity))
        if lane.has_backlog:
            self._inputs.put_down(activity, len(lane.ready))
        within_s = definition.options.start_within_s
        if within_s is not None:
            # What was lost waits anew.
            since = activity.scheduled.timestamp if activity.attempt == 1 else now
            start_by = since + timedelta(seconds=within_s)
            entry = (start_by, next(self._count), instance, activity, activity.attempt)
            heapq.heappush(self._start_by, entry)

    def pump(self, now: datetime) -> None:
        """Submit as much as may be in flight, and fail what has waited for too long."""
        self._give_up_waiting(now)
        for gate in self._gates.values():
            while gate.held and gate.is_open(now) and self._has_room:
                self._submit(*gate.held.popleft(), now)
        for lane in self._lanes.values():
            while lane.ready and lane.in_flight < lane.limit and self._has_room:
                self._submit(*lane.ready.popleft(), now)

    def finished(self, key: AttemptKey) -> str:
        """Account for an attempt that ended; returns the activity's name, if it was known."""
        flying = self._flying.pop(key, None)
        if flying is None:
            return ""
        lane, name = flying
        lane.in_flight -= 1
        self._progress.pop(key, None)
        gate = self._gates.get(name)
        if gate is not None:
            gate.running -= 1
        return name

    def has(self, key: AttemptKey) -> bool:
        """Whether an executor has this attempt, as far as is known."""
        return key in self._flying

    def told(self, key: AttemptKey, progress: Progress) -> bool:
        """Keep what a running attempt said; False for a mere heartbeat, or one that has ended."""
        if progress.done is None or not self.has(key):
            return False
        self._progress[key] = progress
        return True

    def with_progress(self, key: AttemptKey, running: RunningAttempt) -> RunningAttempt:
        """Return a running attempt with how far it last said to be."""
        progress = self._progress.get(key)
        if progress is None:
            return running
        return msgspec.structs.replace(
            running, done=progress.done, total=progress.total, note=progress.note
        )

    def load(self, instances: Mapping[int, Instance]) -> Load:
        """Return how much executors have to do, and what their workers do now.

        Args:
            instances: Those in memory, by number.
        """
        work = []
        for key, (lane, name) in self._flying.items():
            instance = instances.get(key.iid)
            running = None if instance is None else instance.running.get(key.task_id)
            if instance is None or running is None or running.number != key.number:
                continue
            work.append(
                Work(
                    worker=running.worker,
                    executor=lane.executor.name,
                    name=name,
                    instance_id=instance.record.instance_id,
                    since=running.started_at,
                )
            )
        lanes = [
            LaneLoad(
                name=name,
                capacity=lane.executor.capacity,
                in_flight=lane.in_flight,
                ready=len(lane.ready),
            )
            for name, lane in self._lanes.items()
        ]
        oldest = heapq.nsmallest(_WORK_TOLD, work, key=lambda one: one.since)
        return Load(lanes, oldest, sum(len(gate.held) for gate in self._gates.values()))

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
        scheduled, record = activity.scheduled, instance.record
        key = scheduled.name, scheduled.version, record.epoch
        if key in self._found and not record.adopted:
            return self._found[key]
        try:
            definition = self._definition(instance, activity)
            lane = self._lanes[_executor_name(definition, self._lanes)]
        except DefinitionError as error:
            failure = FailureDetails.from_exception(error)
            self._done(_key(instance, activity), AttemptOutcome(failure=failure))
            return None
        if not record.adopted:  # Else it may be other code, with the options it has now.
            self._found[key] = definition, lane
        return definition, lane

    def _definition(self, instance: Instance, activity: OpenActivity) -> Definition:
        """Return the code for the next attempt: what was scheduled, or adopted since."""
        name, record = activity.scheduled.name, instance.record
        adopted = record.adopted.get(name)
        if adopted is not None:
            return self._registry.version(Kind.ACTIVITY, name, adopted)
        version = activity.scheduled.version
        return self._registry.version(Kind.ACTIVITY, name, version, record.epoch)

    @property
    def _has_room(self) -> bool:
        return not self._max_parallel or len(self._flying) < self._max_parallel

    def _give_up_waiting(self, now: datetime) -> None:
        while self._start_by and self._start_by[0][0] <= now:
            _, _, instance, activity, number = heapq.heappop(self._start_by)
            if activity.is_submitted or activity.attempt != number:
                continue
            if _is_open(instance, activity):
                activity.is_submitted = True  # so that nobody submits it any more
                definition = self._definition(instance, activity)
                within_s = definition.options.start_within_s or 0.0
                self._fail(
                    instance,
                    activity,
                    never_started(definition.name, within_s, "its turn in the queue"),
                )

    def _fail(self, instance: Instance, activity: OpenActivity, failure: FailureDetails) -> None:
        self._done(_key(instance, activity), AttemptOutcome(failure=failure))

    def _gate(self, definition: Definition) -> Gate[_Waiting] | None:
        """Return what limits an activity; None where nothing does."""
        options = definition.options
        gate = self._gates.get(definition.name)
        if gate is None and (options.max_parallel or options.rate_count):
            gate = self._gates[definition.name] = Gate()
            gate.running = sum(name == definition.name for _, name in self._flying.values())
        if gate is not None:
            gate.set_limits(options)
        return gate

    def _submit(self, instance: Instance, activity: OpenActivity, now: datetime) -> None:
        if activity.is_submitted or not _is_open(instance, activity):
            return
        found = self._find(instance, activity)
        if found is None:
            return
        definition, lane = found
        if lane.in_flight >= lane.limit:  # code was adopted meanwhile that runs elsewhere
            lane.ready.append((instance, activity))
            return
        gate = self._gate(definition)
        if gate is not None:
            if not gate.is_open(now):
                gate.held.append((instance, activity))
                return
            gate.begin(now)
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
            input=self._inputs.take(instance, activity, lane.ready),
            timeout_s=definition.options.timeout_s,
            heartbeat_s=definition.options.heartbeat_s,
            start_within_s=_remaining_s(definition, activity, now),
            files=self._files,
        )
        lane.executor.submit(request, self._started, self._done)


def _remaining_s(definition: Definition, activity: OpenActivity, now: datetime) -> float | None:
    """Return within how many seconds from now an attempt must start; None for no limit."""
    within_s = definition.options.start_within_s
    if within_s is None or activity.attempt > 1:
        return within_s
    return max(0.0, within_s - (now - activity.scheduled.timestamp).total_seconds())


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
