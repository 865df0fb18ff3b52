"""What the process executor knows of its attempts and its workers."""

from __future__ import annotations

import codecs
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from ..attempt import utc_now
from ..core.failure import FailureDetails
from ..ports import AttemptKey, AttemptOutcome, AttemptRequest
from ..recording import Recorder
from .worker_process import WorkerProcess

__all__ = ["Job", "Slot"]

_LOADING_ALLOWANCE_S: Final = 60.0
"""Added to the timeout while a worker loads code that is new to it."""
_NEVER: Final = float("inf")
_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_log = logging.getLogger(__name__)


class Job:
    """An attempt that was submitted and is not done.

    Attributes:
        number: Its number here.
        recorder: Keeps what it prints.
        slot: The worker it was sent to; None while it is queued.
        expected_s: How long it is thought to take, if it was sent ahead.
        start_by: Monotonic time at which it fails if it is still queued.
        is_settled: Whether its outcome was reported.
    """

    __slots__ = (
        "done",
        "expected_s",
        "is_settled",
        "number",
        "recorder",
        "request",
        "slot",
        "start_by",
        "started",
    )

    def __init__(
        self,
        number: int,
        request: AttemptRequest,
        started: Callable[[AttemptKey, datetime, str], None],
        done: Callable[[AttemptKey, AttemptOutcome], None],
    ) -> None:
        self.number = number
        self.request = request
        self.started = started
        self.done = done
        self.recorder = Recorder()
        self.slot: Slot | None = None
        self.expected_s = 0.0
        within_s = request.start_within_s
        self.start_by = _NEVER if within_s is None else time.monotonic() + within_s
        self.is_settled = False


class Slot:
    """A worker process, and what it does now.

    Attributes:
        process: The process; starting a slot starts it.
        is_ready: Whether it has said that it can take work.
        jobs: What it was sent and has not answered: it runs the first, the others come after.
        loaded_versions: Activities whose code it has loaded.
        expected_s: How long all that was sent ahead is thought to take.
        began: Monotonic time at which the body, or the loading of its code, began.
        began_at: The same, naive UTC.
        deadline: Monotonic time at which it is to be stopped.
        alive_by: Monotonic time by which it must give a sign of life.
        is_exclusive: Whether `job` came by the link, after which nothing may be sent ahead.
        is_loading: Whether it loads the code of `job` first.
        is_reported: Whether `job` was reported as started.
    """

    __slots__ = (
        "_decoders",
        "alive_by",
        "began",
        "began_at",
        "deadline",
        "expected_s",
        "is_exclusive",
        "is_loading",
        "is_ready",
        "is_reported",
        "jobs",
        "loaded_versions",
        "process",
    )

    def __init__(self, plugins: Sequence[str] = ()) -> None:
        self.process = WorkerProcess(plugins)
        self._decoders = {kind: _UTF8("replace") for kind in self.process.raw}
        self.is_ready = False
        self.jobs: deque[Job] = deque()
        self.loaded_versions: set[tuple[str, str]] = set()
        self.expected_s = 0.0
        self.began = 0.0
        self.began_at: datetime | None = None
        self.deadline = _NEVER
        self.alive_by = _NEVER
        self.is_exclusive = False
        self.is_loading = False
        self.is_reported = False

    @property
    def job(self) -> Job | None:
        """What it runs."""
        return self.jobs[0] if self.jobs else None

    @property
    def name(self) -> str:
        """Who it is, for outcomes."""
        return f"process {self.process.pid}"

    def knows(self, job: Job) -> bool:
        """Whether the worker has the job's code."""
        return (job.request.name, job.request.version) in self.loaded_versions

    def may_get_ahead(self, job: Job) -> bool:
        """Whether `job` may be sent while it runs another: one that is not known to take long."""
        return bool(self.jobs) and not (self.is_exclusive or self.is_reported) and self.knows(job)

    def begin(self, job: Job) -> None:
        """Note that the worker was sent `job`."""
        job.slot = self
        self.jobs.append(job)
        self.expected_s += job.expected_s
        if len(self.jobs) == 1:
            self._begin_first(job)

    def take_back(self, jobs: Sequence[Job]) -> None:
        """Note that these were taken back from the worker before it began them."""
        first = self.job
        for job in jobs:
            self.jobs.remove(job)
            self._leave(job)
        if self.job is not first:
            self.deadline = self.alive_by = _NEVER
            if self.jobs:
                self._begin_first(self.jobs[0])

    def end_loading(self) -> None:
        """Note that the body begins only now."""
        self.is_loading = False
        self._start_clock(0.0)

    def take_raw(self, kind: str) -> bool:
        """Record what was written to a descriptor; False where it was closed."""
        data = self.process.read_raw(kind)
        if data:
            text = self._decoders[kind].decode(data)
            if self.job is not None:
                self.job.recorder.write(kind, text)
            else:
                _log.warning("%s says: %s", self.name, text.rstrip())
        return data is not None

    def end(self) -> None:
        """Note that the worker has answered; the next job begins."""
        self.deadline = self.alive_by = _NEVER
        self.is_exclusive = False
        if self.jobs:
            job = self.jobs.popleft()
            self.loaded_versions.add((job.request.name, job.request.version))
            self._leave(job)
        if self.jobs:
            self._begin_first(self.jobs[0])

    def beat(self) -> None:
        """Note a sign of life of the attempt."""
        heartbeat_s = self.jobs[0].request.heartbeat_s if self.jobs else None
        self.alive_by = _NEVER if heartbeat_s is None else time.monotonic() + heartbeat_s

    def ended(
        self, *, failure: FailureDetails | None = None, lost: str = "", cancelled: bool = False
    ) -> AttemptOutcome:
        """Return the outcome of an attempt that this worker will not answer."""
        return AttemptOutcome(
            failure=failure,
            lost=lost,
            cancelled=cancelled,
            started_at=self.began_at,
            ended_at=utc_now(),
            worker=self.name,
        )

    def _begin_first(self, job: Job) -> None:
        self.is_loading = not self.knows(job)
        self.is_reported = False
        self._start_clock(_LOADING_ALLOWANCE_S if self.is_loading else 0.0)

    def _leave(self, job: Job) -> None:
        job.slot = None
        self.expected_s = self.expected_s - job.expected_s if self.jobs else 0.0

    def _start_clock(self, allowance_s: float) -> None:
        self.began = time.monotonic()
        self.began_at = utc_now()
        timeout_s = self.jobs[0].request.timeout_s if self.jobs else None
        self.deadline = _NEVER if timeout_s is None else self.began + timeout_s + allowance_s
        self.beat()
        self.alive_by += allowance_s
