"""Runs attempts in threads of this process: for code that waits, or shares what is in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import Final

import msgspec

from ..attempt import (
    LOADED,
    Activity,
    describe,
    gave_no_sign,
    make_context,
    never_started,
    run_activity,
    timed_out,
    utc_now,
)
from ..core.failure import FailureDetails
from ..core.output import AttemptOutput
from ..ports import AttemptKey, AttemptOutcome, AttemptRequest, Progress, ProgressSink
from ..progress_bars import report_progress_bars
from ..recording import Recorder, log_to_recorders, recording, unroute_streams

__all__ = ["ThreadExecutor"]

_log = logging.getLogger(__name__)

_STARTED_AFTER_S: Final = 0.05
"""An attempt that ends sooner is not reported as started."""
_LOOK_INTERVAL_S: Final = 0.025
_NEVER: Final = float("inf")


class _Attempt:
    """An attempt that was submitted."""

    __slots__ = (
        "alive_by",
        "began",
        "began_at",
        "deadline",
        "done",
        "is_abandoned",
        "is_cancelled",
        "is_reported",
        "recorder",
        "request",
        "start_by",
        "started",
        "worker",
    )

    def __init__(
        self,
        request: AttemptRequest,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        self.request = request
        self.started = started
        self.done = done
        self.recorder = Recorder()
        self.began = _NEVER
        self.began_at: datetime | None = None
        self.deadline = _NEVER
        self.alive_by = _NEVER
        within_s = request.start_within_s
        self.start_by = _NEVER if within_s is None else time.monotonic() + within_s
        self.worker = ""
        self.is_abandoned = False
        self.is_cancelled = False
        self.is_reported = False

    def begin(self, worker: str) -> None:
        """Note that the body begins now."""
        timeout_s = self.request.timeout_s
        self.worker = worker
        self.began_at = utc_now()
        self.began = time.monotonic()
        if timeout_s is not None:
            self.deadline = self.began + timeout_s
        self.beat()

    def beat(self) -> None:
        """Note a sign of life."""
        heartbeat_s = self.request.heartbeat_s
        if heartbeat_s is not None:
            self.alive_by = time.monotonic() + heartbeat_s

    def ended(
        self, *, failure: FailureDetails | None = None, lost: str = "", cancelled: bool = False
    ) -> AttemptOutcome:
        """Return an outcome that the function itself did not give."""
        return AttemptOutcome(
            failure=failure,
            lost=lost,
            cancelled=cancelled,
            started_at=self.began_at,
            ended_at=utc_now(),
            worker=self.worker,
        )


class ThreadExecutor:
    """Runs attempts in daemon threads, started as they are needed and kept.

    A thread cannot be stopped. `cancel` makes `ctx.cancelled` true and waits for the function to
    end; a timeout reports the failure at once, and drops what the function returns later. Its
    place is then taken by a new thread.

    Args:
        capacity: How many threads at most.
        progress: Receives what activities tell by `ctx.progress`, on their own threads.

    Attributes:
        name: `"threads"`.
        capacity: How many attempts run at once, those that timed out not counted.
        progress: Receives what activities tell.
    """

    name = "threads"

    def __init__(self, capacity: int = 32, *, progress: ProgressSink | None = None) -> None:
        self.capacity = capacity
        self.progress = progress
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Attempt | None] = SimpleQueue()
        # Whoever removes an attempt from here reports its outcome. `dict.pop` is atomic.
        self._open: dict[AttemptKey, _Attempt] = {}
        self._thread_count = 0
        self._threads_started = 0
        self._watcher: threading.Thread | None = None
        self._look_again = threading.Event()
        self._reporting = threading.Lock()
        self._closed = threading.Event()

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
        attempt = _Attempt(request, started, done)
        with self._lock:
            is_closed = self._closed.is_set()
            if not is_closed:
                self._open[request.key] = attempt
                if self._thread_count < min(self.capacity, len(self._open)):
                    self._start_thread()
        if is_closed:
            done(request.key, attempt.ended(lost="the executor is closed"))
            return
        self._queue.put(attempt)
        if request.start_within_s is not None:
            self._look_again.set()

    def cancel(self, key: AttemptKey) -> None:
        """Make `ctx.cancelled` true for the attempt; one that has not begun never begins."""
        attempt = self._open.get(key)
        if attempt is not None:
            attempt.is_cancelled = True
            self._look_again.set()

    def output(self, key: AttemptKey) -> AttemptOutput | None:
        """Return what the attempt has printed so far; None for nothing."""
        attempt = self._open.get(key)
        return attempt.recorder.take() if attempt is not None else None

    def close(self) -> None:
        """Report what is open as lost and let the threads end; does not wait for the functions.

        A `done` that is under way on another thread may still end a little later.
        `ctx.cancelled` is true from now on.
        """
        with self._lock:
            self._closed.set()
            thread_count = self._thread_count
        for _ in range(thread_count):
            self._queue.put(None)
        for attempt in list(self._open.values()):
            attempt.is_cancelled = True
            self._settle(attempt, attempt.ended(lost="the executor was closed before it ended"))
        self._look_again.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()
        unroute_streams()

    def _start_thread(self) -> None:
        """Start a thread; the lock is held."""
        self._thread_count += 1
        self._threads_started += 1
        name = f"ipydurable-thread-{self._threads_started}"
        worker = f"thread {self._threads_started}"
        threading.Thread(target=self._serve, args=(worker,), name=name, daemon=True).start()
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._watch, name="ipydurable-threads-watcher", daemon=True
            )
            self._watcher.start()

    def _serve(self, worker: str) -> None:
        """Run attempts; a thread whose place was taken ends after its attempt."""
        log_to_recorders(logging.getLogger())
        report_progress_bars()
        while (attempt := self._queue.get()) is not None:
            if attempt.is_cancelled:
                self._settle(attempt, attempt.ended(cancelled=True))
                continue
            with recording(attempt.recorder):
                outcome = self._run(attempt, worker)
            if attempt.is_cancelled:
                outcome = attempt.ended(cancelled=True)
            if not self._settle(attempt, outcome) and attempt.is_abandoned:
                return

    def _run(self, attempt: _Attempt, worker: str) -> AttemptOutcome:
        request = attempt.request
        try:
            activity = _load(request)
        except BaseException as error:  # noqa: BLE001 - loading runs the user's code
            attempt.begin(worker)
            return attempt.ended(failure=describe(error))
        context = make_context(
            request.name,
            request.instance_id,
            request.key,
            progress=partial(self._tell, attempt),
            cancelled=lambda: attempt.is_cancelled,
            files=request.files,
        )
        attempt.begin(worker)
        if attempt.is_cancelled:  # Looked at after `begin`, as the watcher looks the other way.
            return attempt.ended(cancelled=True)
        if not self._look_again.is_set():
            self._look_again.set()
        return run_activity(activity, request.input, context, worker)

    def _tell(self, attempt: _Attempt, progress: Progress) -> None:
        attempt.beat()
        sink = self.progress
        if sink is not None and attempt.request.key in self._open:
            sink(attempt.request.key, progress)

    def _settle(self, attempt: _Attempt, outcome: AttemptOutcome) -> bool:
        """Report the outcome; return False where somebody else has reported one."""
        if self._open.pop(attempt.request.key, None) is None:
            return False
        outcome = msgspec.structs.replace(outcome, output=attempt.recorder.take())
        if attempt.is_reported:
            with self._reporting:  # `started` may be under way; it comes first.
                pass
        try:
            attempt.done(attempt.request.key, outcome)
        except Exception:  # noqa: BLE001 - it must not take the executor with it
            _log.exception("A callback of the thread executor failed")
        return True

    def _watch(self) -> None:
        """Report attempts as started, end those that take too long or never began."""
        next_look = _NEVER
        while not self._closed.is_set():
            wait_s = None if next_look == _NEVER else max(0.0, next_look - time.monotonic())
            self._look_again.wait(wait_s)
            self._closed.wait(_LOOK_INTERVAL_S)  # At most so often, however many there are.
            self._look_again.clear()
            next_look = min(map(self._look_at, list(self._open.values())), default=_NEVER)

    def _look_at(self, attempt: _Attempt) -> float:
        """Do what is due for an attempt; return when to look at it again."""
        now = time.monotonic()
        began = attempt.began
        if began == _NEVER:
            if attempt.is_cancelled:
                self._settle(attempt, attempt.ended(cancelled=True))
            elif now >= attempt.start_by:
                self._give_up_waiting(attempt)
            else:
                return attempt.start_by
            return _NEVER
        due = min(attempt.deadline, attempt.alive_by)
        if now >= due:
            self._abandon(attempt)
            return _NEVER
        if attempt.is_reported:
            return due
        if now < began + _STARTED_AFTER_S:
            return min(due, began + _STARTED_AFTER_S)
        self._report(attempt)
        return due

    def _give_up_waiting(self, attempt: _Attempt) -> None:
        """Report an attempt as failed that no thread was free for in time."""
        request = attempt.request
        where = f"a free thread, of which there are {self.capacity}"
        failure = never_started(request.name, request.start_within_s or 0.0, where)
        attempt.is_cancelled = True  # A thread may be about to begin it.
        self._settle(attempt, attempt.ended(failure=failure))

    def _report(self, attempt: _Attempt) -> None:
        with self._reporting:
            attempt.is_reported = True
            key = attempt.request.key
            if key not in self._open:
                return
            try:
                attempt.started(key, attempt.began_at or utc_now(), attempt.worker)
            except Exception:  # noqa: BLE001 - it must not take the executor with it
                _log.exception("A callback of the thread executor failed")

    def _abandon(self, attempt: _Attempt) -> None:
        """Give up on an attempt that takes too long, and on its thread."""
        request = attempt.request
        what_then = "its thread cannot be stopped and goes on, but its result will be dropped"
        if time.monotonic() >= attempt.deadline:
            failure = timed_out(request.name, request.timeout_s or 0.0, what_then)
        else:
            failure = gave_no_sign(request.name, request.heartbeat_s or 0.0, what_then)
        attempt.is_abandoned = True
        if not self._settle(attempt, attempt.ended(failure=failure)):
            return
        attempt.is_cancelled = True
        with self._lock:
            self._thread_count -= 1
            if self._thread_count < min(self.capacity, len(self._open)):
                self._start_thread()


def _load(request: AttemptRequest) -> Activity:
    activity = LOADED.find(request.name, request.version)
    if activity is None:
        activity = LOADED.load(request.name, request.version, lambda: request.package)
    return activity
