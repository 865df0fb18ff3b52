"""The threads that entity operations run in: more come when those there are do not get on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["GrowingThreads"]

_log = logging.getLogger(__name__)


class GrowingThreads:
    """Daemon threads that serve one queue.

    As long as work is taken from the queue a few threads do, however long it is. Where none is
    taken for a moment, all of them are held up, and another one is started; so work that takes
    long delays no other. Threads that are not needed end again.

    Args:
        few: How many threads serve a queue that moves.
        most: How many threads there may be.
        patience_s: Seconds for which a queue may stand still before a thread is added.
        idle_s: Seconds without work, or since one was added, after which one above the few ends.
    """

    def __init__(
        self, few: int, most: int, *, patience_s: float = 0.02, idle_s: float = 5.0
    ) -> None:
        self._few = few
        self._most = most
        self._patience_s = patience_s
        self._idle_s = idle_s
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        self._taken = 0
        self._added_at = 0.0
        self._watcher: threading.Thread | None = None
        self._waiting = threading.Event()
        self._closed = threading.Event()

    @property
    def count(self) -> int:
        """How many threads there are."""
        return self._count

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` soon; it must not raise. Nothing is run once this is closed."""
        if self._closed.is_set():
            return
        self._queue.put(work)
        with self._lock:
            if self._count < self._few:
                self._start_thread()
            if self._watcher is None:
                self._watcher = self._start("ipydurable-entities-watcher", self._watch)
        self._waiting.set()

    def close(self) -> None:
        """Take no more from the queue; does not wait for what is running."""
        self._closed.set()
        self._waiting.set()
        with self._lock:
            for _ in range(self._count):
                self._queue.put(None)

    def _start_thread(self) -> None:
        """Start a thread; the lock is held."""
        self._count += 1
        self._start("ipydurable-entity", self._serve)

    @staticmethod
    def _start(name: str, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                work = self._queue.get(timeout=self._idle_s)
            except Empty:
                if self._may_end():
                    return
                continue
            if work is None or self._closed.is_set():
                return
            with self._lock:
                self._taken += 1
            try:
                work()
            except Exception:  # noqa: BLE001  (it must not take the thread with it)
                _log.exception("the work of an entity raised")
            # As they take turns, a steady load leaves none of them without work for long.
            if time.monotonic() - self._added_at > self._idle_s and self._may_end():
                return

    def _may_end(self) -> bool:
        with self._lock:
            if self._count <= self._few:
                return False
            self._count -= 1
            return True

    def _watch(self) -> None:
        """Add a thread whenever work waits and none has been taken for a moment."""
        while True:
            self._waiting.wait()
            taken = self._taken
            if self._closed.wait(self._patience_s):
                return
            if self._queue.empty():
                self._waiting.clear()
                if self._queue.empty():
                    continue
                self._waiting.set()
            with self._lock:
                if taken == self._taken and self._count < self._most:
                    self._added_at = time.monotonic()
                    self._start_thread()
