"""The engine: one thread that owns all live instances and is the only producer of journal rows.

Everything reaches it as a posted call. It applies messages to instances, writes down what
happened, hands the rows to the journal, and carries out their effects only when the journal says
they are durable. Messages between instances are applied before that: they are rows of the same
ordered journal, so a crash loses both ends or none.
"""

from __future__ import annotations

import copy
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from .attempts import attempt_outcome, lost_with_host
from .codeloader import CodeLoader
from .core.events import AttemptLost, AttemptStarted, Event, TimerFired
from .core.records import EntityRecord, Record, fold
from .core.status import RuntimeStatus
from .definitions import DefinitionAdded
from .deliveries import Deliveries
from .dispatch import Dispatcher
from .entities import Entities
from .entity_runner import EntityRunner, ThreadEntityRunner
from .files import files_beside
from .gate import Gate
from .instances import Instance, OpenActivity
from .journal import Batch, Journal
from .orchestrations import Orchestrations
from .ports import (
    ActivityExecutor,
    AttemptKey,
    AttemptOutcome,
    Clock,
    JournalRow,
    KeptOutput,
    Progress,
    RunningAttempt,
    Store,
    Stream,
)
from .registry import Registry
from .rewinding import Rewinder
from .stored_inputs import StoredInputs
from .subscriptions import Subscriptions
from .timers import DEADLINE, DELAYED_START, SIGNAL, Due, TimerQueue
from .watchdog import Watchdog

__all__ = ["Engine", "EngineOptions"]

_log = logging.getLogger(__name__)

_MAX_NOTICES = 10
_MAX_ROWS_PER_BATCH = 10_000
_MAX_ROWS_ALONE = 100
_MAX_BATCHES_AHEAD = 2
_MAX_SURPLUS = 2_500
# A signal that comes just before the main thread waits would be looked at only after the wait.
_MAX_WAIT_S = 1.0


JournalMaker = Callable[
    [Store, Callable[[list[Batch]], None], Callable[[Exception], None]], Journal
]


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine uses memory and time.

    Attributes:
        resident: How many waiting instances keep their code in memory; the others replay when
            something happens to them. 0 keeps none.
        idle_entities: How many entities with nothing to do stay in memory; the others are read
            again when a message reaches them.
        turn_limit_s: Seconds orchestrator code may run without waiting before it is interrupted
            and its instance parked.
        max_parallel: How many activities run or are about to, in the whole host; 0 for as many as
            the executors take.
        strict_replay: Whether an instance whose code no longer fits its history fails, rather
            than being parked until it is mended; other inputs and timer times count then too.
        decisions_at_once: How many decisions of one turn are written with one batch; what there
            is more follows with the next ones.
        shadow_turns: How many turns of the first instance of each version are replayed at once,
            to see whether the code repeats them; 0 for none.
    """

    resident: int = 10_000
    idle_entities: int = 2_000
    turn_limit_s: float = 1.0
    max_parallel: int = 0
    strict_replay: bool = False
    decisions_at_once: int = 10_000
    shadow_turns: int = 3


class Engine:
    """Executes all orchestrations of one store.

    Args:
        store: Where everything is kept.
        journal: Makes the journal of that store, given its callbacks.
        clock: The time.
        executors: Run the activities, by name.
        options: See `EngineOptions`.
        new_id: Gives a fresh id each time: 12 or more random characters.
        loader: Makes code of definitions.
        entity_runner: Runs the operations of entities; threads by default.
    """

    def __init__(
        self,
        store: Store,
        journal: JournalMaker,
        clock: Clock,
        executors: Mapping[str, ActivityExecutor],
        *,
        options: EngineOptions | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
        loader: CodeLoader | None = None,
        entity_runner: EntityRunner | None = None,
    ) -> None:
        options = options or EngineOptions()
        self.store = store
        self.clock = clock
        self.options = options
        self.watchdog = Watchdog(options.turn_limit_s)
        self.new_id = new_id
        self.now: datetime = clock.now()
        recovery = store.recover()
        self.report = recovery.report
        self.notices: deque[str] = deque(maxlen=_MAX_NOTICES)
        self.registry = Registry(recovery.definitions)
        self.subscriptions = Subscriptions()
        self.timers = TimerQueue()
        self.durable_gseq = recovery.last_gseq
        self._gseq = recovery.last_gseq
        self._posted: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self._rows: list[JournalRow] = []
        self._outputs: list[KeptOutput] = []
        self._effects: list[Callable[[], None] | tuple[Instance, OpenActivity]] = []
        self._dirty: dict[int, Record] = {}
        self._is_awaited = False
        self._held_until: float | None = None
        self._submitted: deque[Batch] = deque()
        self._last_iid = recovery.last_iid
        self._stopping = False
        files = files_beside(store.path)
        self.orchestrations = Orchestrations(
            self,
            loader or CodeLoader(self.notice, files),
            options,
        )
        self.deliveries = Deliveries(self, self.orchestrations)
        self.rewinder = Rewinder(self)
        runner = entity_runner or ThreadEntityRunner(files)
        self.entities = Entities(self, runner, options.idle_entities)
        self.journal = journal(
            store,
            lambda batches: self.post(self._on_durable, batches),
            lambda error: self.post(self._on_broken, error),
        )
        self.dispatcher = Dispatcher(
            executors,
            self.registry,
            lambda *told: self.post(self._on_attempt_started, *told),
            lambda *told: self.post(self._on_attempt_done, *told),
            lambda *told: self.post(self._on_progress, *told),
            options.max_parallel,
            inputs=StoredInputs(store),
            files="" if files is None else files.folder,
        )
        clock.on_moved(lambda: self.post(_nothing))
        self.gate = Gate(self, recovery.definitions, recovery.live)
        if not self.gate.foreign:
            self.restore(recovery.live)

    def notice(self, text: str) -> None:
        """Log something that people should know of, and keep it for who asks how the host is."""
        _log.warning("%s", text)
        self.notices.append(text)

    # The loop.

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Have `call(*args)` run in the engine's thread; from any thread."""
        self._posted.put((call, args))

    def run(self) -> None:
        """Work until `stop` is called."""
        self.watchdog.start()
        while not self._stopping:
            self.step(self._wait_s())
        self._seal()
        self.orchestrations.close()
        self.watchdog.close()
        self.journal.close()
        self.dispatcher.close()
        self.entities.close()

    def stop(self) -> None:
        """Have `run` return soon; running activities are stopped and start anew next time."""
        self.post(self._stop)

    def step(self, wait_s: float = 0.0) -> bool:
        """Do what there is to do, waiting for it at most `wait_s` seconds.

        Returns:
            Whether there was anything.
        """
        calls = self._take_posted(wait_s)
        self.now = self.clock.now()
        self.deliveries.go_on()
        for call, args in calls:
            call(*args)
        due = self.timers.take_due(self.now)
        for entry in due:
            self._on_due(entry)
        self.deliveries.settle()
        if not self._may_linger():
            self._seal()
        self.dispatcher.pump(self.now)
        self.subscriptions.flush(self)
        return bool(calls or due)

    @property
    def is_at_rest(self) -> bool:
        """Whether only time, or somebody who asks, can bring anything about; ask in its thread."""
        is_busy = (
            self.dispatcher.in_flight
            or self.deliveries.has_work
            or self.entities.running
            or self._rows
            or self._effects
            or self._submitted
            or self._posted.qsize()
            or self._gseq > self.durable_gseq
        )
        return not is_busy

    def _take_posted(self, wait_s: float) -> list[tuple[Callable[..., None], tuple[Any, ...]]]:
        posted = self._posted
        calls = []
        try:
            if wait_s > 0:
                calls.append(posted.get(timeout=wait_s))
            calls.extend(posted.get_nowait() for _ in range(posted.qsize()))
        except Empty:
            pass
        return calls

    def _wait_s(self) -> float:
        if self.deliveries.has_work:
            return 0.0
        waits = [
            self.clock.wait_s(until)
            for until in (
                self.timers.next_at,
                self.subscriptions.next_at,
                self.dispatcher.next_at,
            )
            if until is not None
        ]
        if self._held_until is not None:
            waits.append(max(0.0, self._held_until - time.monotonic()))
        return min([_MAX_WAIT_S, *(one for one in waits if one is not None)])

    def _stop(self) -> None:
        self._stopping = True

    def _on_broken(self, error: Exception) -> None:
        """Give up: what is durable is right, and the next engine goes on from there."""
        raise error

    # Rows.

    def write(
        self, instance: Instance, event: Event, stream: Stream = Stream.HISTORY, ref: int = 0
    ) -> int:
        """Add a row to the batch being made; returns its gseq."""
        record = instance.record
        seq = record.last_seq + 1 if stream is Stream.HISTORY else 0
        instance.last_gseq = self.add_row(record, seq, stream, event, ref)
        fold(record, record.iid, seq, event)
        if seq:
            instance.last_history_gseq = instance.last_gseq
            instance.note(event)
        return instance.last_gseq

    def add_row(self, record: Record, seq: int, stream: Stream, event: Event, ref: int) -> int:
        """Add a row to the batch being made, for a record the caller folds; returns its gseq."""
        self._gseq += 1
        self._rows.append(JournalRow(self._gseq, record.iid, seq, stream, event, ref))
        self._dirty[record.iid] = record
        return self._gseq

    def new_iid(self) -> int:
        """Return an instance number that was never used."""
        self._last_iid += 1
        return self._last_iid

    def write_definition(self, added: DefinitionAdded) -> None:
        """Add a definition's row to the batch being made."""
        self._gseq += 1
        self._rows.append(JournalRow(self._gseq, 0, 0, Stream.DEFINITION, added))

    def with_late_rows(self, instance: Instance, stored: list[JournalRow]) -> list[JournalRow]:
        """Return an instance's stored rows and those of its history that are not durable yet."""
        if instance.last_history_gseq <= self.durable_gseq:
            return stored
        # The store may be ahead of what the engine was told of.
        known = {row.gseq for row in stored}
        late = [
            row
            for rows in (*(batch.rows for batch in self._submitted), self._rows)
            for row in rows
            if row.iid == instance.iid
            and row.stream is Stream.HISTORY
            and row.seq >= instance.record.first_seq
            and row.gseq not in known
        ]
        return [*stored, *late]

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Have `effect` run in the engine's thread once the batch being made is durable."""
        self._effects.append(effect)
        if not self._is_awaited:
            self._is_awaited = not self.dispatcher.has_backlog

    def run_after_commit(self, instance: Instance, task_id: int) -> None:
        """Have an open activity run once the batch being made is durable."""
        activity = instance.activities[task_id]
        self._effects.append((instance, activity))
        if not self._is_awaited:
            self._is_awaited = not self.dispatcher.has_backlog_before(instance, activity)

    @property
    def is_behind(self) -> bool:
        """Whether batches, or code to keep in memory, come faster than the disk takes them."""
        if not self._submitted and not self._rows:
            return False
        surplus = self.orchestrations.resident - self.options.resident
        return len(self._submitted) > _MAX_BATCHES_AHEAD or surplus > _MAX_SURPLUS

    @property
    def batch_is_full(self) -> bool:
        """Whether the batch being made should be handed over before more is written."""
        return len(self._rows) >= _MAX_ROWS_PER_BATCH

    def _may_linger(self) -> bool:
        """Whether the batch being made may grow for a moment, as nobody waits for it.

        Such are outcomes of which the code waits for more, and activities that come after many
        others. Fewer commits leave the processors to the activities.
        """
        if self._is_awaited or self.batch_is_full or not self.journal.linger_s:
            return False
        if not self._rows:
            return False
        now = time.monotonic()
        linger_s = self.journal.linger_s
        if self._held_until is None:
            self._held_until = now + linger_s
        if self._effects:  # Activities follow, whose queue may run empty.
            self._held_until = min(self._held_until, now + linger_s / 4)
        return now < self._held_until

    def _seal(self) -> None:
        """Hand the batch to the journal."""
        self._is_awaited, self._held_until = False, None
        if not self._rows and not self._effects and not self._outputs:
            return
        records = [copy.copy(record) for record in self._dirty.values()]
        batch = Batch(self._rows, records, self._effects, self._outputs)
        self._rows, self._effects, self._dirty, self._outputs = [], [], {}, []
        self._submitted.append(batch)
        if self._has_more_to_do(batch) or not self.journal.append_here(batch):
            self.journal.submit(batch)

    def _has_more_to_do(self, batch: Batch) -> bool:
        """Whether something could be done while a batch is committed, which may take its time."""
        return bool(
            len(batch.rows) > _MAX_ROWS_ALONE
            or self.dispatcher.in_flight
            or self.entities.running
            or self._posted.qsize()
        )

    def _on_durable(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._submitted.popleft()
            if batch.rows:
                self.durable_gseq = batch.rows[-1].gseq
                self.subscriptions.collect(batch.rows, batch.records)
            for effect in batch.effects:
                if type(effect) is tuple:
                    instance, activity = effect
                    self.dispatcher.enqueue(instance, activity, self.now)
                else:
                    effect()
        self.orchestrations.evict()
        self.entities.evict()

    # Time and attempts.

    def _on_due(self, due: Due) -> None:
        if due.execution_id == SIGNAL:
            self.entities.on_due(due.iid, due.task_id)
            return
        instance = self.orchestrations.by_iid.get(due.iid)
        if instance is None:
            return
        if due.task_id == DELAYED_START:
            self.orchestrations.start_delayed(instance)
        elif due.task_id == DEADLINE:
            self.orchestrations.expire(instance)
        elif due.execution_id == instance.record.execution_id:
            timer = instance.timers.get(due.task_id)
            if timer is not None:
                self.deliveries.deliver(
                    instance,
                    TimerFired(timestamp=self.now, task_id=due.task_id, fire_at=timer.fire_at),
                )

    def _on_attempt_started(self, key: AttemptKey, at: datetime, worker: str) -> None:
        instance = self.orchestrations.by_iid.get(key.iid)
        # Pools may say so on another thread, and later, than how it ended.
        if instance is None or not self.dispatcher.has(key):
            return
        activity = instance.activities.get(key.task_id)
        if activity is None:
            return
        running = RunningAttempt(
            task_id=key.task_id, number=key.number, started_at=at, worker=worker
        )
        instance.own("running")[key.task_id] = self.dispatcher.with_progress(key, running)
        event = AttemptStarted(
            timestamp=self.now,
            task_id=key.task_id,
            attempt=key.number,
            worker=worker,
            version=activity.version,
        )
        self.write(instance, event)
        self.subscriptions.touch(instance.iid)

    def _on_progress(self, key: AttemptKey, progress: Progress) -> None:
        """Show how far an attempt is; nothing of it is written."""
        instance = self.orchestrations.by_iid.get(key.iid)
        if not self.dispatcher.told(key, progress) or instance is None:
            return
        running = instance.running.get(key.task_id)
        if running is not None and running.number == key.number:
            instance.own("running")[key.task_id] = self.dispatcher.with_progress(key, running)
            self.subscriptions.touch(instance.iid)

    def _on_attempt_done(self, key: AttemptKey, outcome: AttemptOutcome) -> None:
        instance = self.orchestrations.by_iid.get(key.iid)
        activity = instance.activities.get(key.task_id) if instance is not None else None
        name = self.dispatcher.finished(key)
        if outcome.output is not None:
            output = self.gate.signer.sign_output(outcome.output)
            self._outputs.append(KeptOutput(key, name, self.now, output))
        if (
            instance is None
            or activity is None
            or outcome.cancelled
            or instance.record.execution_id != key.execution_id
            or activity.attempt != key.number
        ):
            return
        event = attempt_outcome(activity, key, outcome, self.now)
        if isinstance(event, AttemptLost):
            self.write(instance, event)
            self.run_after_commit(instance, key.task_id)
        else:
            self.deliveries.deliver(instance, event)

    # Recovery.

    def restore(self, live: list[Record]) -> None:
        """Rebuild all live instances, and start anew what was running when the host ended."""
        for record, rows in zip(live, self.store.histories(live), strict=True):
            if isinstance(record, EntityRecord):
                self.entities.restore(record, rows)
                continue
            instance = Instance(record)
            instance.restore(rows)
            self.orchestrations.adopt(instance)
            for task_id, timer in instance.timers.items():
                self.timers.add(Due(timer.fire_at, record.iid, record.execution_id, task_id))
            if record.status is RuntimeStatus.PENDING and record.start_at is not None:
                self.timers.add(Due(record.start_at, record.iid, "", DELAYED_START))
            if record.deadline is not None:
                self.timers.add(Due(record.deadline, record.iid, "", DEADLINE))
            self.post(self._restart_open, instance)

    def _restart_open(self, instance: Instance) -> None:
        for task_id, activity in list(instance.activities.items()):
            # What never began was not lost: it only waits for its turn again.
            if activity.has_begun:
                self.write(instance, lost_with_host(activity, task_id, self.now))
            if not instance.regains:
                self.run_after_commit(instance, task_id)
        self.orchestrations.restart(instance)


def _nothing() -> None:
    """Wakes the engine's thread."""
