"""Attempts for executors under test, and who watches what becomes of them."""

from __future__ import annotations

import hashlib
import os
import select
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.definitions import Chunk, CodePackage
from ipydurable.runtime.ports import (
    ActivityExecutor,
    AttemptKey,
    AttemptOutcome,
    AttemptRequest,
)

__all__ = ["CONVERTER", "HANG", "WAIT_S", "Watcher", "pid_of", "request_for", "wait_for_death"]

WAIT_S = 30.0
CONVERTER = NamespaceConverter({})

HANG = """
import time
def work(value=None):
    time.sleep(600)
"""


def request_for(
    source: str,
    value: object = ...,
    *,
    number: int = 1,
    timeout_s: float | None = None,
    **package: Any,
) -> AttemptRequest:
    """Attempt `number` of the function `work` that `source` defines."""
    source = textwrap.dedent(source)
    chunk = Chunk(name="work", source=source, filename="Cell In[5]")
    digest = hashlib.sha256(repr((source, package)).encode()).hexdigest()
    return AttemptRequest(
        key=AttemptKey(1, "execution", number, 1),
        instance_id="instance",
        name="work",
        version=digest[:16],
        package=CodePackage(entry="work", chunks=(chunk,), **package),
        input=None if value is ... else CONVERTER.encode(value, "input"),
        timeout_s=timeout_s,
    )


class Watcher:
    """Submits attempts and notes what the executor says of them."""

    def __init__(self, executor: ActivityExecutor) -> None:
        self.executor = executor
        self.started: dict[AttemptKey, tuple[datetime, str]] = {}
        self.outcomes: dict[AttemptKey, AttemptOutcome] = {}
        self.calls: Counter[AttemptKey] = Counter()
        self._changed = threading.Condition()

    def submit(self, request: AttemptRequest) -> AttemptKey:
        """Submit; return the key."""
        self.executor.submit(request, self._started, self._done)
        return request.key

    def run(self, request: AttemptRequest) -> AttemptOutcome:
        """Submit and wait for the outcome."""
        return self.outcome(self.submit(request))

    def result(self, request: AttemptRequest) -> Any:
        """Submit and wait for the decoded result."""
        outcome = self.run(request)
        assert (outcome.failure, outcome.lost, outcome.cancelled) == (None, "", False)
        assert outcome.result is not None
        return CONVERTER.decode(outcome.result)

    def outcome(self, key: AttemptKey) -> AttemptOutcome:
        """Wait for an outcome."""
        self.until(lambda: key in self.outcomes)
        return self.outcomes[key]

    def worker(self, key: AttemptKey) -> str:
        """Wait until the attempt is reported as started; return its worker."""
        self.until(lambda: key in self.started)
        return self.started[key][1]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something noted here makes `condition` true."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), "it did not happen"

    def _started(self, key: AttemptKey, at: datetime, worker: str) -> None:
        with self._changed:
            assert key not in self.started
            assert key not in self.outcomes
            self.started[key] = at, worker
            self._changed.notify_all()

    def _done(self, key: AttemptKey, outcome: AttemptOutcome) -> None:
        with self._changed:
            self.calls[key] += 1
            self.outcomes[key] = outcome
            self._changed.notify_all()


def pid_of(worker: str) -> int:
    """The process id in `"process 4711"`."""
    return int(worker.removeprefix("process "))


def wait_for_death(pid: int) -> None:
    """Wait until any process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], WAIT_S)
    finally:
        os.close(descriptor)
    assert ready, f"process {pid} goes on"
