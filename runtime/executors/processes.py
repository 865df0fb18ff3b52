"""Runs attempts in worker processes: what breaks there, breaks nothing but its own attempt.

Each worker has a link of its own and gets one attempt at a time, so a worker may be killed at any
moment without doubt about the others. One thread serves all of them.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from ..attempt import (
    decode_outcome,
    describe,
    encode_attempt,
    gave_no_sign,
    never_started,
    timed_out,
    utc_now,
)
from ..core.failure import FailureDetails
from ..core.output import AttemptOutput
from ..ports import AttemptKey, AttemptOutcome, AttemptRequest, Progress, ProgressSink
from .frames import Frame
from .inbox import Inbox
from .pace import Pace
from .packages import PackageShelf
from .sending import decode_items
from .slots import Job, Slot

__all__ = ["ProcessExecutor"]

_log = logging.getLogger(__name__)

_STARTED_AFTER_S: Final = 0.05
"""An attempt that ends sooner is not reported as started."""
_LOOK_INTERVAL_S: Final = 1.0
"""How often a busy worker is looked at: one may die while what it started holds its link open."""
_MAX_BOOT_FAILURES: Final = 3
_DROWSY_AFTER_S: Final = 1.0
_AHEAD_S: Final = 0.004
"""How much work is sent to a worker ahead of its being free: longer attempts never are."""

_decode_progress = msgspec.msgpack.Decoder(Progress).decode


class ProcessExecutor:
    """Runs attempts in worker processes, started as they are needed and kept.

    A worker that dies loses its own attempt only. A timeout or `cancel` kills the worker, with
    all that its attempt has started, before `done` is called. Workers end with this process,
    however it ends. They get this process's import path, folder and environment, and never
    import its main module: neither a script without `if __name__ == "__main__"` nor a notebook
    runs twice.

    `done` and `started` are called by the executor's own thread, which must not wait long: they
    hand over to whoever works on.

    Args:
        capacity: How many workers at most; one for each processor if not given.
        progress: Receives what activities tell by `ctx.progress`, on the executor's thread.
        plugins: Modules of hooks that each worker imports; see `worker.main`.

    Attributes:
        name: `"processes"`.
        capacity: How many attempts run at once.
        progress: Receives what activities tell.
    """

    name = "processes"

    def __init__(
        self,
        capacity: int | None = None,
        *,
        progress: ProgressSink | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        self.capacity = capacity or os.cpu_count() or 1
        self.progress = progress
        self._plugins = plugins
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._inbox = Inbox()
        # All below is touched only by whoever has this: the executor's own thread, mostly.
        self._turn = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._inbox.alarm, selectors.EVENT_READ)
        self._slots: set[Slot] = set()
        self._idle: list[Slot] = []
        self._queue: deque[Job] = deque()
        self._jobs: dict[AttemptKey, Job] = {}
        self._news: list[Callable[[], None]] = []
        self._packages = PackageShelf()
        self._pace = Pace()
        self._numbers = itertools.count(1)
        self._next_look = float("inf")
        self._wakes_at = 0.0
        self._drowsy_at = 0.0
        self._boot_failures = 0

    def submit(
        self,
        request: AttemptRequest,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        """Run the attempt soon; see `ActivityExecutor`.

        Args:
            request: What to run.
            started: Left out for attempts that end within 50 ms.
            done: Called exactly once. What is open when the executor closes, or is submitted
                later, is reported as lost.
        """
        job = Job(next(self._numbers), request, started, done)
        if self._begin_at_once(job):
            return
        if not self._post(lambda: self._accept(job)):
            done(request.key, AttemptOutcome(lost="the executor is closed", ended_at=utc_now()))

    def cancel(self, key: AttemptKey) -> None:
        """Kill the worker that runs the attempt; one that has not begun never begins."""
        self._post(lambda: self._cancel(key))

    def output(self, key: AttemptKey) -> AttemptOutput | None:
        """Return what the attempt has printed so far; None for nothing."""
        job = self._jobs.get(key)
        return job.recorder.take() if job is not None else None

    def close(self) -> None:
        """Kill the workers that are busy and let the others end; returns when all are gone.

        Attempts that are open are reported as lost before it returns; nothing is called later.
        Must not be called while a lock is held that `done` needs.
        """
        with self._starting:
            self._inbox.close()
            thread = self._thread
        if thread is None:
            self._free()
        elif thread is not threading.current_thread():
            self._inbox.ring()
            thread.join()
        atexit.unregister(self.close)

    # From any thread

    def _begin_at_once(self, job: Job) -> bool:
        """Send an attempt to an idle worker from here; False where that is not to be done.

        It saves the time in which the executor's thread would wake up.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            if self._inbox.is_closed or self._inbox or self._queue or not self._idle:
                return False
            if not self._idle[-1].knows(job):
                return False
            self._jobs[job.request.key] = job
            self._assign(self._idle.pop(), job)
            must_ring = bool(self._news) or self._next_look < self._wakes_at
        finally:
            self._turn.release()
        if must_ring:
            self._inbox.ring()
        return True

    def _post(self, action: Callable[[], None]) -> bool:
        """Have the executor's thread do something; False where it is closed."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._inbox.is_closed:
                    self._thread = threading.Thread(
                        target=self._serve, name="ipydurable-processes", daemon=True
                    )
                    self._thread.start()
                    atexit.register(self.close)
        return self._inbox.post(action)

    # The executor's own thread

    def _serve(self) -> None:
        try:
            while not self._inbox.is_closed:
                ready = self._wait()
                with self._turn:
                    self._attend_to(ready)
                    self._inbox.do_all()
                    if time.monotonic() >= self._next_look:
                        self._look()
                    self._dispatch()
                self._tell_news()
        except Exception:  # noqa: BLE001 - every attempt must still get its outcome
            _log.exception("The process executor failed; its attempts are lost")
        finally:
            self._shut_down()

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what happens next."""
        with self._turn:
            now = time.monotonic()
            wakes_at = self._next_look if self._inbox.may_sleep() else now
            if now < self._drowsy_at:  # Who begins at once then need not wake it to look in time.
                wakes_at = min(wakes_at, now + _STARTED_AFTER_S)
            self._wakes_at = wakes_at
        ready = self._selector.select(None if wakes_at == float("inf") else wakes_at - now)
        self._inbox.awake()
        return ready

    def _attend_to(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Take in what has happened."""
        for key, _ in ready:
            if key.data is None:
                self._inbox.take_alarm()
                continue
            slot, kind = key.data
            if slot not in self._slots:
                continue
            if not kind:
                self._attend(slot)
            elif not slot.take_raw(kind):
                self._selector.unregister(slot.process.raw[kind])
                slot.process.raw.pop(kind).close()

    def _attend(self, slot: Slot) -> None:
        """Send and receive what the worker's link allows now."""
        if slot.process.has_unsent:
            self._send(slot)
        frames, is_linked = slot.process.receive()
        self._take_in(slot, frames)
        if not is_linked:
            self._bury(slot)

    def _take_in(self, slot: Slot, frames: list[tuple[int, bytes]]) -> None:
        """Act on what the worker said."""
        for kind, body in frames:
            if kind == Frame.READY:
                slot.is_ready = True
                self._boot_failures = 0
                self._idle.append(slot)
            elif (job := slot.job) is None:
                _log.warning("%s spoke out of turn", slot.name)
            elif kind in (Frame.OUTCOME, Frame.SPOKEN_OUTCOME):
                self._end(slot, job, _decoded(body), has_spoken=kind == Frame.SPOKEN_OUTCOME)
            elif kind == Frame.OUTPUT:
                for item in decode_items(body):
                    job.recorder.add(item)
            elif kind == Frame.LOADED:
                slot.end_loading()
                self._look_at(slot)
            elif kind == Frame.PROGRESS:
                slot.beat()
                self._tell_progress(job, body)

    def _end(self, slot: Slot, job: Job, outcome: AttemptOutcome, *, has_spoken: bool) -> None:
        """Take an answer; the worker has begun the next attempt, or is idle."""
        for kind in slot.process.raw if has_spoken else ():
            slot.take_raw(kind)  # What was written before the end belongs to it.
        self._pace.note(job.request, outcome)
        self._drowsy_at = time.monotonic() + _DROWSY_AFTER_S
        slot.end()
        if slot.jobs:
            self._look_at(slot)
        else:
            self._idle.append(slot)
        self._settle(job, outcome)

    def _look_at(self, slot: Slot) -> None:
        self._look_by(min(slot.deadline, slot.alive_by, slot.began + _STARTED_AFTER_S))

    def _tell_progress(self, job: Job, body: bytes) -> None:
        sink, key, told = self.progress, job.request.key, _decode_progress(body)
        if sink is not None:
            self._news.append(lambda: sink(key, told))

    def _accept(self, job: Job) -> None:
        self._jobs[job.request.key] = job
        self._queue.append(job)
        self._look_by(job.start_by)

    def _cancel(self, key: AttemptKey) -> None:
        job = self._jobs.get(key)
        if job is None:
            return
        if job.slot is not None and job.slot.job is not job:
            self._attend(job.slot)  # It may have begun meanwhile, or ended,
        if job.slot is not None:
            self._take_back(job.slot)  # or can still be had back.
        if job.slot is not None:
            self._stop(job.slot, cancelled=True)
        else:
            self._settle(job, AttemptOutcome(cancelled=True, ended_at=utc_now()))

    def _look(self) -> None:
        """Report attempts as started, stop those that take too long, find dead workers."""
        now = time.monotonic()
        self._next_look = float("inf")
        self._give_up_waiting(now)
        for slot in [slot for slot in self._slots if slot.job is not None]:
            job = slot.job
            if job is None or not self._is_in_time(slot, job, now):
                continue
            if not slot.process.is_alive():
                self._bury(slot)
                continue
            if not slot.is_reported and not slot.is_loading:
                self._report(slot, job, now)
            self._look_by(min(slot.deadline, slot.alive_by, now + _LOOK_INTERVAL_S))

    def _give_up_waiting(self, now: float) -> None:
        """Report what was to start by now, and is still queued, as failed."""
        for job in self._queue:
            if job.start_by <= now and not job.is_settled:
                request = job.request
                where = f"a free worker process, of which there are {self.capacity}"
                failure = never_started(request.name, request.start_within_s or 0.0, where)
                self._settle(job, AttemptOutcome(failure=failure, ended_at=utc_now()))
            elif not job.is_settled:
                self._look_by(job.start_by)

    def _is_in_time(self, slot: Slot, job: Job, now: float) -> bool:
        request, what_then = job.request, "its worker process was stopped"
        if now >= slot.deadline:
            failure = timed_out(request.name, request.timeout_s or 0.0, what_then)
        elif now >= slot.alive_by:
            failure = gave_no_sign(request.name, request.heartbeat_s or 0.0, what_then)
        else:
            return True
        self._stop(slot, failure=failure)
        return False

    def _report(self, slot: Slot, job: Job, now: float) -> None:
        """Say that the attempt has begun, once it has run long enough."""
        due = slot.began + _STARTED_AFTER_S
        if now < due:
            self._look_by(due)
            return
        self._take_back(slot)  # What was to come soon must not wait for what takes long.
        if slot.job is not job:
            return
        slot.is_reported = True
        key, began_at, name = job.request.key, slot.began_at or utc_now(), slot.name
        self._news.append(lambda: job.started(key, began_at, name))

    def _look_by(self, when: float) -> None:
        self._next_look = min(self._next_look, when)

    def _dispatch(self) -> None:
        """Give queued attempts to workers; start workers where there are too few."""
        queue = self._queue
        while queue and self._idle:
            job = queue.popleft()
            if not job.is_settled:
                self._assign(self._idle.pop(), job)
        booting = sum(1 for slot in self._slots if not slot.is_ready) if queue else 0
        for _ in range(min(len(queue) - booting, self.capacity - len(self._slots))):
            self._start_worker()
        while queue and (queue[0].is_settled or self._send_ahead(queue[0])):
            queue.popleft()

    def _assign(self, slot: Slot, job: Job) -> None:
        """Give an attempt to an idle worker."""
        is_known = slot.knows(job)
        payload = self._payload(job, is_known=is_known)
        if payload is None:
            self._idle.append(slot)
            return
        job.expected_s = 0.0
        slot.begin(job)
        self._look_at(slot)
        if not (is_known and slot.process.send_ahead(job.number, payload)):
            slot.is_exclusive = True
            self._send(slot, payload)

    def _send_ahead(self, job: Job) -> bool:
        """Give a short attempt to a worker that will be free in a moment; False if there is none.

        Then neither has to wait for the other's next message.
        """
        expected_s = self._pace.usual_s(job.request)
        if expected_s > _AHEAD_S or job.request.start_within_s is not None:
            return False
        free = [slot for slot in self._slots if slot.may_get_ahead(job)]
        slot = min(free, key=lambda one: one.expected_s, default=None)
        if slot is None or slot.expected_s + expected_s > _AHEAD_S:
            return False
        payload = self._payload(job, is_known=True)
        if payload is None:
            return True
        if not slot.process.send_ahead(job.number, payload):
            return False
        job.expected_s = expected_s
        slot.begin(job)
        return True

    def _take_back(self, slot: Slot) -> None:
        """Queue again what was sent ahead to a worker and has not begun."""
        numbers = set(slot.process.take_back())
        jobs = [job for job in slot.jobs if job.number in numbers]
        slot.take_back(jobs)
        self._queue.extendleft(reversed(jobs))
        if jobs and not slot.jobs:  # It was too slow to begin even the first.
            self._idle.append(slot)

    def _payload(self, job: Job, *, is_known: bool) -> bytes | None:
        """Return what travels; None where it cannot, and the attempt has failed."""
        request = job.request
        try:
            return encode_attempt(request, *self._packages.find(request, is_known=is_known))
        except Exception as error:  # noqa: BLE001 - a request that cannot travel is a failure
            self._settle(job, AttemptOutcome(failure=describe(error), ended_at=utc_now()))
            return None

    def _send(self, slot: Slot, payload: bytes | None = None) -> None:
        """Send an attempt, or the rest of one, and have the selector watch what is left."""
        process = slot.process
        had_unsent = process.has_unsent
        try:
            if payload is None:
                process.flush()
            else:
                process.send(Frame.ATTEMPT, payload)
        except OSError:
            return  # It is dead; reading tells, with what it had said before.
        if process.has_unsent != had_unsent:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.has_unsent else 0)
            self._selector.modify(process, events, (slot, ""))

    def _start_worker(self) -> None:
        try:
            slot = Slot(self._plugins)
        except OSError as error:
            self._note_boot_failure(f"a worker process cannot be started: {error}")
            return
        self._slots.add(slot)
        self._selector.register(slot.process, selectors.EVENT_READ, (slot, ""))
        for kind, pipe in slot.process.raw.items():
            self._selector.register(pipe, selectors.EVENT_READ, (slot, kind))

    def _note_boot_failure(self, why: str) -> None:
        """Give up on what is queued when no worker starts: something is wrong with this place."""
        self._boot_failures += 1
        _log.error("A worker process did not start: %s", why)
        if self._boot_failures < _MAX_BOOT_FAILURES:
            self._look_by(time.monotonic())
            return
        self._boot_failures = 0
        for job in list(self._queue):
            self._settle(job, AttemptOutcome(lost=f"no worker starts: {why}", ended_at=utc_now()))
        self._queue.clear()

    def _bury(self, slot: Slot) -> None:
        """Take leave of a worker that died by itself."""
        self._stop(slot)
        if not slot.is_ready:
            self._note_boot_failure(slot.process.obituary)

    def _stop(
        self,
        slot: Slot,
        *,
        failure: FailureDetails | None = None,
        lost: str = "",
        cancelled: bool = False,
    ) -> None:
        """Kill a worker and report its attempt, if it has not answered before.

        Args:
            slot: The worker.
            failure: Why the attempt failed.
            lost: Why it is lost; if nothing else is given, how the worker died.
            cancelled: Whether it was asked to stop.
        """
        if not slot.process.kill():
            _log.error("Worker process %d does not die", slot.process.pid)
        self._take_in(slot, slot.process.receive_rest())
        for kind in slot.process.raw:
            slot.take_raw(kind)
        self._take_back(slot)
        job = slot.job
        if job is not None:
            if failure is None and not cancelled:
                lost = lost or slot.process.obituary
            outcome = slot.ended(failure=failure, lost=lost, cancelled=cancelled)
            slot.end()
            self._settle(job, outcome)
        self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        self._slots.discard(slot)
        if slot in self._idle:
            self._idle.remove(slot)
        self._selector.unregister(slot.process)
        for pipe in slot.process.raw.values():
            self._selector.unregister(pipe)
        slot.process.hang_up()

    def _settle(self, job: Job, outcome: AttemptOutcome) -> None:
        """Report the outcome, once; the only place that does."""
        if job.is_settled:
            return
        job.is_settled = True
        output = job.recorder.take()
        if output is not None:
            outcome = msgspec.structs.replace(outcome, output=output)
        self._jobs.pop(job.request.key, None)
        self._news.append(lambda: job.done(job.request.key, outcome))

    def _tell_news(self) -> None:
        """Call the callbacks, after the workers have got new work."""
        news, self._news = self._news, []
        for tell in news:
            try:
                tell()
            except Exception:  # noqa: BLE001 - it must not take the executor with it
                _log.exception("A callback of the process executor failed")

    def _shut_down(self) -> None:
        lost = "the executor was closed before the attempt ended"
        with self._turn:
            self._inbox.close()
            self._inbox.do_all()
            for slot in [slot for slot in self._slots if slot.jobs or not slot.is_ready]:
                self._stop(slot, lost=lost)
            for job in list(self._jobs.values()):
                self._settle(job, AttemptOutcome(lost=lost, ended_at=utc_now()))
            idle = list(self._slots)
            for slot in idle:
                self._forget(slot)
        for slot in idle:
            slot.process.end()
        self._free()
        self._tell_news()

    def _free(self) -> None:
        self._selector.close()
        self._inbox.free()
        self._packages.close()


def _decoded(body: bytes) -> AttemptOutcome:
    try:
        return decode_outcome(body)
    except msgspec.MsgspecError as error:
        return AttemptOutcome(lost=f"its answer cannot be read: {error}", ended_at=utc_now())
