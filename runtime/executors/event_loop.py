"""Runs `async def` activities on one event loop: hundreds at once, as long as they await."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from ..activity_context import CURRENT
from ..attempt import (
    LOADED,
    Activity,
    describe,
    gave_no_sign,
    make_context,
    never_started,
    timed_out,
    utc_now,
)
from ..core.failure import FailureDetails
from ..core.output import AttemptOutput
from ..core.payload import Payload
from ..ports import AttemptKey, AttemptOutcome, AttemptRequest, Progress, ProgressSink
from ..progress_bars import report_progress_bars
from ..recording import Recorder, log_to_recorders, recording, unroute_streams
from .threads import ThreadExecutor

__all__ = ["AsyncioExecutor"]

_log = logging.getLogger(__name__)

_STARTED_AFTER_S: Final = 0.05
"""An attempt that ends sooner is not reported as started."""
_CLOSE_TIMEOUT_S: Final = 2.0
_WORKER: Final = "event loop"


class _Attempt:
    """An attempt that was submitted."""

    __slots__ = (
        "alive_by",
        "began_at",
        "done",
        "is_cancelled",
        "is_entered",
        "is_watched",
        "recorder",
        "request",
        "started",
        "task",
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
        self.task: asyncio.Task[None] | None = None
        self.began_at: datetime | None = None
        self.alive_by = float("inf")
        self.is_cancelled = False
        self.is_entered = False
        self.is_watched = False

    def beat(self, now: float) -> None:
        """Note a sign of life at the loop's time `now`."""
        heartbeat_s = self.request.heartbeat_s
        if heartbeat_s is not None:
            self.alive_by = now + heartbeat_s

    def ended(
        self,
        *,
        result: Payload | None = None,
        failure: FailureDetails | None = None,
        lost: str = "",
        cancelled: bool = False,
    ) -> AttemptOutcome:
        """Return an outcome as of now."""
        return AttemptOutcome(
            result=result,
            failure=failure,
            lost=lost,
            cancelled=cancelled,
            started_at=self.began_at,
            ended_at=utc_now(),
            worker="" if self.began_at is None else _WORKER,
        )


class AsyncioExecutor:
    """Runs attempts as tasks of an event loop in a daemon thread.

    A timeout or `cancel` raises `asyncio.CancelledError` in the function where it awaits; code
    that never awaits holds up all others and cannot be stopped. A plain `def` is run in a thread
    instead, as `ThreadExecutor` does.

    `started` and `done` are called on the loop's thread, which must not wait: they hand over to
    whoever works on.

    Args:
        capacity: How many tasks at most.
        progress: Receives what activities tell by `ctx.progress`, on the loop's thread.

    Attributes:
        name: `"asyncio"`.
        capacity: How many attempts run at once.
        progress: Receives what activities tell.
    """

    name = "asyncio"

    def __init__(self, capacity: int = 256, *, progress: ProgressSink | None = None) -> None:
        self.capacity = capacity
        self.progress = progress
        self._threads = ThreadExecutor(progress=self._pass_on)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._inbox: deque[_Attempt] = deque()
        self._is_called = False
        # Whoever removes an attempt from here reports its outcome. `dict.pop` is atomic.
        self._open: dict[AttemptKey, _Attempt] = {}
        self._running = 0

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
            is_closed = self._closed
            if not is_closed:
                self._open[request.key] = attempt
                self._inbox.append(attempt)
                if not self._is_called:
                    self._is_called = True
                    self._running_loop().call_soon_threadsafe(self._start_attempts)
        if is_closed:
            done(request.key, attempt.ended(lost="the executor is closed"))

    def cancel(self, key: AttemptKey) -> None:
        """Cancel the attempt's task; one that has not begun never begins."""
        attempt = self._open.get(key)
        if attempt is None:
            return
        attempt.is_cancelled = True  # Before a thread is asked, as `_hand_over` asks after it.
        self._threads.cancel(key)
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(self._cancel, attempt)

    def output(self, key: AttemptKey) -> AttemptOutput | None:
        """Return what the attempt has printed so far; None for nothing."""
        attempt = self._open.get(key)
        if attempt is None:
            return None
        return self._threads.output(key) or attempt.recorder.take()

    def close(self) -> None:
        """Report what is open as lost, cancel its tasks and end the loop.

        Tasks get 2 s to clean up after themselves.
        """
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        self._threads.close()
        for attempt in list(self._open.values()):
            self._settle(attempt, attempt.ended(lost="the executor was closed before it ended"))
        if loop is None or thread is None or not thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(_unwind(loop), loop)
        if thread is not threading.current_thread():
            thread.join(_CLOSE_TIMEOUT_S + 1.0)
        unroute_streams()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, starting it if need be; the lock is held."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._serve, args=(self._loop,), name="ipydurable-asyncio", daemon=True
            )
            self._thread.start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        log_to_recorders(logging.getLogger())
        report_progress_bars()
        while True:
            try:
                loop.run_forever()
                break
            except BaseException:  # noqa: BLE001
                # A task that an activity started raised SystemExit; the others go on.
                _log.exception("An activity tried to end the event loop")
        loop.close()

    # On the loop's thread

    def _start_attempts(self) -> None:
        """Start what waits, as far as there is room."""
        with self._lock:
            self._is_called = False
        loop = asyncio.get_running_loop()
        while self._inbox and self._running < self.capacity:
            attempt = self._inbox.popleft()
            if attempt.request.key in self._open:
                self._running += 1
                attempt.task = loop.create_task(self._run(attempt))
        self._watch_waiting(loop)

    def _watch_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        for attempt in self._inbox:
            within_s = attempt.request.start_within_s
            if within_s is not None and not attempt.is_watched:
                attempt.is_watched = True
                loop.call_later(within_s, self._give_up_waiting, attempt)

    def _give_up_waiting(self, attempt: _Attempt) -> None:
        """Report an attempt as failed that there was no room for in time."""
        if attempt.task is None:
            request = attempt.request
            where = f"one of the event loop's {self.capacity} places"
            failure = never_started(request.name, request.start_within_s or 0.0, where)
            self._settle(attempt, attempt.ended(failure=failure))

    def _cancel(self, attempt: _Attempt) -> None:
        if attempt.task is None:
            self._settle(attempt, attempt.ended(cancelled=True))
        elif attempt.is_entered:  # Else it looks itself: cancelled now, it would not even start.
            attempt.task.cancel()

    async def _run(self, attempt: _Attempt) -> None:
        """Run an attempt; ends normally whatever the activity does."""
        attempt.is_entered = True
        try:
            with recording(attempt.recorder):
                outcome = await self._load_and_call(attempt)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            outcome = attempt.ended(failure=describe(error))
        finally:
            self._running -= 1
            if self._inbox:
                self._start_attempts()
        if outcome is None:
            return
        if attempt.is_cancelled:
            outcome = attempt.ended(cancelled=True)
        self._settle(attempt, outcome)

    async def _load_and_call(self, attempt: _Attempt) -> AttemptOutcome | None:
        """Return the outcome; None where a thread has taken the attempt over."""
        request = attempt.request
        if attempt.is_cancelled:
            return attempt.ended(cancelled=True)
        activity = await _load(request)
        if activity.is_async:
            return await self._call(activity, attempt)
        self._hand_over(attempt)
        return None

    def _hand_over(self, attempt: _Attempt) -> None:
        """Let a thread run a plain function."""
        key = attempt.request.key
        self._threads.submit(
            attempt.request, attempt.started, lambda _, outcome: self._settle(attempt, outcome)
        )
        if attempt.is_cancelled:
            self._threads.cancel(key)

    async def _call(self, activity: Activity, attempt: _Attempt) -> AttemptOutcome:
        request = attempt.request
        context = make_context(
            request.name,
            request.instance_id,
            request.key,
            progress=partial(self._tell, attempt),
            cancelled=lambda: attempt.is_cancelled,
            files=request.files,
        )
        CURRENT.set(context)  # Of this task only.
        attempt.began_at = utc_now()
        report = asyncio.get_running_loop().call_later(_STARTED_AFTER_S, self._report, attempt)
        try:
            if request.timeout_s is None and request.heartbeat_s is None:
                value = await activity.call(request.input, context)
            else:
                value = await _call_in_time(activity, attempt, context)
            return attempt.ended(result=activity.encode(value))
        except _TimedOutError as error:
            return attempt.ended(failure=error.failure)
        finally:
            report.cancel()

    def _tell(self, attempt: _Attempt, progress: Progress) -> None:
        if self._loop is not None:
            attempt.beat(self._loop.time())
        self._pass_on(attempt.request.key, progress)

    def _pass_on(self, key: AttemptKey, progress: Progress) -> None:
        if self.progress is not None and key in self._open:
            self.progress(key, progress)

    def _report(self, attempt: _Attempt) -> None:
        if attempt.request.key not in self._open:
            return
        try:
            attempt.started(attempt.request.key, attempt.began_at or utc_now(), _WORKER)
        except Exception:  # noqa: BLE001 - it must not take the executor with it
            _log.exception("A callback of the asyncio executor failed")

    def _settle(self, attempt: _Attempt, outcome: AttemptOutcome) -> None:
        """Report the outcome, unless somebody has reported one."""
        if self._open.pop(attempt.request.key, None) is None:
            return
        if outcome.output is None:  # else a thread has recorded it
            outcome = msgspec.structs.replace(outcome, output=attempt.recorder.take())
        try:
            attempt.done(attempt.request.key, outcome)
        except Exception:  # noqa: BLE001 - it must not take the executor with it
            _log.exception("A callback of the asyncio executor failed")


class _TimedOutError(Exception):
    """The attempt's time is over, and its function has ended."""

    def __init__(self, failure: FailureDetails) -> None:
        super().__init__(failure)
        self.failure = failure


async def _call_in_time(activity: Activity, attempt: _Attempt, context: Any) -> Any:
    """Call the activity; its task is cancelled when it takes too long or gives no sign of life."""
    request, loop = attempt.request, asyncio.get_running_loop()
    scope = asyncio.timeout(request.timeout_s)
    silent = asyncio.timeout(None)
    attempt.beat(loop.time())
    handle: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal handle
        if loop.time() >= attempt.alive_by:
            silent.reschedule(loop.time())
        else:
            handle = loop.call_at(attempt.alive_by, look)

    if request.heartbeat_s is not None:
        handle = loop.call_at(attempt.alive_by, look)
    try:
        async with scope, silent:
            return await activity.call(request.input, context)
    except BaseException as error:
        if scope.expired():
            failure = timed_out(request.name, request.timeout_s or 0.0, "it was cancelled")
        elif silent.expired():
            failure = gave_no_sign(request.name, request.heartbeat_s or 0.0, "it was cancelled")
        else:
            raise
        raise _TimedOutError(failure) from error
    finally:
        if handle is not None:
            handle.cancel()


async def _load(request: AttemptRequest) -> Activity:
    """Return the activity; its imports may take long, so a thread loads what is new."""
    activity = LOADED.find(request.name, request.version)
    if activity is None:
        activity = await asyncio.to_thread(
            LOADED.load, request.name, request.version, lambda: request.package
        )
    return activity


async def _unwind(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks, wait a little for them, and stop the loop."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT_S)
    await loop.shutdown_asyncgens()
    loop.stop()
