"""Any `concurrent.futures.Executor` as an executor of activities."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Final

import msgspec

from ..attempt import (
    decode_outcome,
    describe,
    encode_attempt,
    encode_package,
    never_started,
    run_attempt,
    timed_out,
    utc_now,
)
from ..core.failure import FailureDetails
from ..core.output import AttemptOutput
from ..ports import AttemptKey, AttemptOutcome, AttemptRequest, ProgressSink

__all__ = ["FuturesExecutor"]

_log = logging.getLogger(__name__)

_LOOK_INTERVAL_S: Final = 0.05
_NEVER: Final = float("inf")


class _Job:
    """An attempt that was submitted."""

    __slots__ = (
        "began_at",
        "deadline",
        "done",
        "future",
        "is_cancelled",
        "refusal",
        "request",
        "start_by",
        "started",
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
        self.future: Future[bytes] | None = None
        self.began_at: datetime | None = None
        self.deadline = _NEVER
        within_s = request.start_within_s
        self.start_by = _NEVER if within_s is None else time.monotonic() + within_s
        self.is_cancelled = False
        self.refusal: FailureDetails | None = None


class FuturesExecutor:
    """Runs attempts in a pool of any kind; what travels there and back is bytes.

    `run_attempt` must be importable where the pool runs it. A pool tells nothing of a running
    attempt but that it runs: no progress and no output before its end, so a heartbeat timeout
    means nothing here. It cannot stop one either: a timeout reports the failure at once, and what
    comes later is dropped. Whatever the pool raises means that the attempt is lost, not that the
    activity failed.

    Args:
        pool: The pool; it is shut down with this executor.
        name: What activities call it.
        capacity: How many attempts the pool runs at once; by default what it says itself.

    Attributes:
        name: See above.
        capacity: See above.
        progress: Never called.
    """

    def __init__(self, pool: Executor, name: str, capacity: int | None = None) -> None:
        self.name = name
        self.capacity = capacity or int(getattr(pool, "_max_workers", 0) or 1)
        self.progress: ProgressSink | None = None
        self._pool = pool
        self._packages: dict[str, bytes] = {}
        # Whoever removes a job from here reports its outcome. `dict.pop` is atomic.
        self._open: dict[AttemptKey, _Job] = {}
        self._watcher: threading.Thread | None = None
        self._has_open = threading.Event()
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
            done: Called exactly once.
        """
        job = self._open[request.key] = _Job(request, started, done)
        try:
            payload = encode_attempt(request, self._package(request))
        except Exception as error:  # noqa: BLE001 - a request that cannot travel is a failure
            self._settle(job, self._ended(job, failure=describe(error)))
            return
        try:
            job.future = self._pool.submit(run_attempt, payload)
        except Exception as error:  # noqa: BLE001 - pools raise what they like
            self._settle(job, self._ended(job, lost=f"{self.name} takes no work: {error!r}"))
            return
        job.future.add_done_callback(lambda future: self._take(job, future))
        self._watch()

    def cancel(self, key: AttemptKey) -> None:
        """Withdraw the attempt if it has not begun; else its result is dropped."""
        job = self._open.get(key)
        if job is not None:
            job.is_cancelled = True
            if job.future is not None:
                job.future.cancel()

    def output(self, key: AttemptKey) -> AttemptOutput | None:  # noqa: ARG002 - see above
        """Return None: what an attempt prints is known at its end."""
        return None

    def close(self) -> None:
        """Report what is open as lost, and shut the pool down without waiting for it."""
        self._closed.set()
        self._has_open.set()
        for job in list(self._open.values()):
            self._settle(job, self._ended(job, lost="the executor was closed before it ended"))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _package(self, request: AttemptRequest) -> bytes:
        package = self._packages.get(request.version)
        if package is None:
            package = encode_package(request.package)
            if request.version:
                self._packages[request.version] = package
        return package

    def _take(self, job: _Job, future: Future[bytes]) -> None:
        """Report what the pool says of an attempt."""
        if job.is_cancelled:
            outcome = self._ended(job, cancelled=True)
        elif job.refusal is not None:
            outcome = self._ended(job, failure=job.refusal)
        else:
            try:
                outcome = decode_outcome(future.result())
            except BaseException as error:  # noqa: BLE001 - cancelled by others, a broken pool, ...
                outcome = self._ended(job, lost=f"{self.name} lost it: {error!r}")
            else:
                outcome = msgspec.structs.replace(outcome, worker=f"{self.name} {outcome.worker}")
        self._settle(job, outcome)

    def _settle(self, job: _Job, outcome: AttemptOutcome) -> None:
        if self._open.pop(job.request.key, None) is None:
            return
        try:
            job.done(job.request.key, outcome)
        except Exception:  # noqa: BLE001 - it must not take the pool's thread with it
            _log.exception("A callback of the executor %s failed", self.name)

    def _ended(
        self,
        job: _Job,
        *,
        failure: FailureDetails | None = None,
        lost: str = "",
        cancelled: bool = False,
    ) -> AttemptOutcome:
        return AttemptOutcome(
            failure=failure,
            lost=lost,
            cancelled=cancelled,
            started_at=job.began_at,
            ended_at=utc_now(),
            worker=self.name,
        )

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._look, name=f"ipydurable-{self.name}-watcher", daemon=True
            )
            self._watcher.start()
        self._has_open.set()

    def _look(self) -> None:
        while not self._closed.wait(_LOOK_INTERVAL_S):
            self._has_open.clear()
            if not self._open and not self._closed.is_set():
                self._has_open.wait()
            now = time.monotonic()
            for job in list(self._open.values()):
                self._look_at(job, now)

    def _look_at(self, job: _Job, now: float) -> None:
        request, future = job.request, job.future
        if future is None:
            return
        if job.began_at is None and future.running():
            job.began_at = utc_now()
            job.started(request.key, job.began_at, self.name)
            if request.timeout_s is not None:
                job.deadline = now + request.timeout_s
        if job.began_at is None and now >= job.start_by:
            where = f"a free place in {self.name}"
            job.refusal = never_started(request.name, request.start_within_s or 0.0, where)
            if not future.cancel():  # it has just begun
                job.refusal = None
        elif now >= job.deadline:
            what_then = f"{self.name} cannot stop it, but its result will be dropped"
            failure = timed_out(request.name, request.timeout_s or 0.0, what_then)
            self._settle(job, self._ended(job, failure=failure))
