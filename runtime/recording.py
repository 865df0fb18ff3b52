"""Records what running activities print, log and display; each attempt apart from the others.

`sys.stdout` and `sys.stderr` are replaced by streams that look, at each write, whose attempt
runs here: a context variable says so, which threads and tasks of the same process have each for
themselves. What nobody records goes where it always went.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, TextIO

from .core.output import AttemptOutput, OutputBuffer, OutputItem

__all__ = [
    "LOGGER_NAME",
    "Recorder",
    "current_recorder",
    "log_to_recorders",
    "recording",
    "set_sole_recorder",
    "unroute_streams",
]

LOGGER_NAME: Final = "ipydurable.activity"


class Recorder:
    """Keeps the output of one attempt, within bounds; any thread may use it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._buffer: OutputBuffer | None = None  # Most attempts print nothing.
        self._lock = threading.Lock()

    def add(self, item: OutputItem) -> None:
        """Take the next piece."""
        with self._lock:
            if self._buffer is None:
                self._buffer = OutputBuffer()
            self._buffer.add(item)

    def write(self, kind: str, text: str) -> None:
        """Take text that was printed or logged."""
        if text:
            self.add(OutputItem(kind, text))

    def display(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Take a MIME bundle."""
        text = data.get("text/plain", "")
        self.add(OutputItem("display", str(text), data, metadata or {}))

    def take(self) -> AttemptOutput | None:
        """Return what there is so far; None for nothing."""
        if self._buffer is None:
            return None
        with self._lock:
            output = self._buffer.take()
        return output if output.items else None

    def take_away(self) -> AttemptOutput | None:
        """Return what there is so far, and start anew; None for nothing."""
        with self._lock:
            buffer, self._buffer = self._buffer, None
        if buffer is None:
            return None
        output = buffer.take()
        return output if output.items else None


class _Process:
    """What holds in this process.

    Attributes:
        sole: Records what no context variable claims, such as threads that an activity starts.
        is_forked: Whether a child was forked off: it must not speak for its parent. What it
            prints reaches its parent's descriptors.
    """

    def __init__(self) -> None:
        self.sole: Recorder | None = None
        self.is_forked = False

    def note_fork(self) -> None:
        self.is_forked = True

    def begin_anew(self) -> None:
        """Let a forked process speak for itself: it runs attempts of its own, as in a pool."""
        self.is_forked = False
        self.sole = None


_RECORDER: ContextVar[Recorder | None] = ContextVar("ipydurable_recorder", default=None)
_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.note_fork)


def current_recorder() -> Recorder | None:
    """Return what records the attempt that runs in this thread or task; None for none."""
    if _process.is_forked:
        return None
    return _RECORDER.get() or _process.sole


def set_sole_recorder(recorder: Recorder | None) -> None:
    """Have everything in this process recorded, also by threads that an activity starts."""
    _process.sole = recorder
    if recorder is not None:
        _route_streams()


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Record what is printed, logged and displayed in this thread or task."""
    if _process.is_forked:
        _process.begin_anew()
    _route_streams()
    token = _RECORDER.set(recorder)
    try:
        yield recorder
    finally:
        _RECORDER.reset(token)


def log_to_recorders(logger: logging.Logger) -> None:
    """Have what is logged there recorded with the attempt that logs it."""
    if not any(isinstance(handler, _RecordingHandler) for handler in logger.handlers):
        logger.addHandler(_RecordingHandler())


def unroute_streams() -> None:
    """Put the streams back that stood in `sys` before; recording replaces them again."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _RoutedStream):
            setattr(sys, name, stream.original)


def _route_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _RoutedStream):
            setattr(sys, name, _RoutedStream(name, stream))
    logger = logging.getLogger(LOGGER_NAME)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    log_to_recorders(logger)


class _RecordingHandler(logging.Handler):
    """Records what an activity logs."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        recorder = current_recorder()
        if recorder is None or getattr(record, "is_recorded", False):
            return
        record.is_recorded = True  # It may pass here again on its way to the root logger.
        try:
            recorder.write("log", f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as logging does with what cannot be formatted
            self.handleError(record)


class _RoutedStream(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`, and gives each attempt its own."""

    def __init__(self, kind: str, original: TextIO) -> None:
        self._kind = kind
        self.original = original

    def write(self, text: str) -> int:
        recorder = current_recorder()
        if recorder is None:
            return self.original.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        recorder.write(self._kind, text)
        return len(text)

    def flush(self) -> None:
        if current_recorder() is None:
            self.original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return current_recorder() is None and self.original.isatty()

    def fileno(self) -> int:
        return self.original.fileno()

    def close(self) -> None:
        """Stay open: `sys.stdout` is everybody's."""

    @property
    def name(self) -> str:
        return f"<{self._kind}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> Any:
        recorder = current_recorder()
        return self.original.buffer if recorder is None else _RoutedBytes(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _RoutedBytes(io.RawIOBase):
    """What `sys.stdout.buffer` is meanwhile."""

    def __init__(self, stream: _RoutedStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._stream.write(content.decode("utf-8", "replace"))
        return len(content)
