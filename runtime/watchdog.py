"""Interrupts orchestrator code that blocks: it would hold up every other instance."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from types import FrameType

from .core.driver import ReplaySignal
from .core.executor import OrchestrationExecutor

__all__ = ["TurnBlocked", "Watchdog"]

_LOOKS_PER_LIMIT = 4
_BUSY_FACTOR = 20


class TurnBlocked(ReplaySignal):
    """Raised in orchestrator code that ran for too long without waiting."""


class Watchdog:
    """Watches the code that the engine's thread runs.

    In the main thread it interrupts by a signal, which also ends `time.sleep` and most system
    calls; in another thread only between two lines of Python.

    Args:
        limit_s: Seconds a piece of code may run from one wait to the next; twenty times as long
            while it goes on asking for activities and the like, as a very wide fan-out does, or
            while its values are encoded and decoded, as a large DataFrame is.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._watched: OrchestrationExecutor | None = None
        self._lock = threading.Lock()
        self._thread_id = 0
        self._by_signal = False
        self._raised = False
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin, for the calling thread."""
        self._thread_id = threading.get_ident()
        self._by_signal = (
            sys.platform != "win32" and threading.current_thread() is threading.main_thread()
        )
        if self._by_signal:
            signal.signal(signal.SIGALRM, self._on_signal)
        threading.Thread(target=self._watch, name="ipydurable-watchdog", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()

    def begin(self, executor: OrchestrationExecutor) -> None:
        """Code of `executor` runs from now on."""
        self._watched = executor

    def end(self) -> None:
        """It runs no more."""
        self._watched = None
        if self._raised:
            with self._lock:
                self._raised = False
                _raise_in_thread(self._thread_id, None)

    def _watch(self) -> None:
        last: tuple[int, int] | None = None
        asked = idle = seen = 0
        # Looks are counted, not time: where the whole process gets no processor, neither ages.
        while not self._closing.wait(self.limit_s / _LOOKS_PER_LIMIT):
            watched = self._watched
            sample = None if watched is None else (id(watched), watched.steps)
            before, asked = asked, 0 if watched is None else watched.asked
            is_converting = watched is not None and watched.is_converting
            seen = seen + 1 if sample == last else 0
            idle = idle + 1 if seen and asked == before and not is_converting else 0
            last = sample
            is_over = idle >= _LOOKS_PER_LIMIT or seen >= _LOOKS_PER_LIMIT * _BUSY_FACTOR
            if sample is not None and is_over:
                self._interrupt(sample)
                last = None

    def _interrupt(self, sample: tuple[int, int]) -> None:
        if self._by_signal:
            signal.pthread_kill(self._thread_id, signal.SIGALRM)
            return
        with self._lock:
            watched = self._watched
            if watched is not None and (id(watched), watched.steps) == sample:
                self._raised = True
                _raise_in_thread(self._thread_id, TurnBlocked)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Runs in the engine's thread: nothing can have changed between the check and the raise.
        if self._watched is not None:
            raise TurnBlocked


def _raise_in_thread(thread_id: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if error is None else ctypes.py_object(error)
    )
