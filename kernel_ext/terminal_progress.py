"""How far an instance is, in one line of a terminal that is rewritten while somebody waits for it.

A line needs no library for terminals, and nothing is written where none is: a script's log stays
clean.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import InstanceUpdate

from .display import current_shell, is_notebook

if TYPE_CHECKING:
    from ipydurable.widgets import TimelineModel

__all__ = ["TerminalProgress", "progress_line"]

_SILENT_S = 0.6
"""What takes no longer than this shows nothing."""
_EVERY_S = 0.25
_JOIN_S = 2.0
_ERASE = "\r\x1b[2K"


def progress_line(model: TimelineModel, width: int) -> str:
    """Return how far an instance is, in one line.

    Args:
        model: Its `TimelineModel`, to which at least one update was applied.
        width: Characters at most.
    """
    from ipydurable.widgets.layout import duration_words, total_ms
    from ipydurable.widgets.text import STATUS_SIGNS, counts_words, waiting_words
    from ipydurable.widgets.views import RowState, shorten

    header = model.header()
    parts = [f"{STATUS_SIGNS[header.status]} {header.name}  {duration_words(total_ms(header))}"]
    total = sum(header.counts)
    if total:
        done = header.counts[RowState.COMPLETED]
        filled = done * 12 // total
        parts.append(f"{'█' * filled}{'░' * (12 - filled)} {done:,}/{total:,}")
        rest = list(header.counts)
        rest[RowState.COMPLETED] = 0
        parts.append(counts_words(tuple(rest)))
    if header.waiting:
        words = " and ".join(waiting_words(one, header.now, header.start) for one in header.waiting)
        parts.append(f"waits for {words}")
    return shorten("  ".join(part for part in parts if part), width)


class TerminalProgress:
    """Shows how far an instance is while its block runs; erases the line at the end.

    Silent in a notebook, which has its live timeline, and where the stream is no terminal.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
        stream: Where to write; by default standard error, so that redirected output stays clean.
    """

    def __init__(
        self, client: DurableClient, instance_id: str, stream: TextIO | None = None
    ) -> None:
        self._client = client
        self._instance_id = instance_id
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._model: TimelineModel | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_shown = False

    def __enter__(self) -> Self:
        if self.is_wanted:
            self._thread = threading.Thread(
                target=self._run, name="ipydurable-progress", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        self.erase()

    def erase(self) -> None:
        """Make room for other text; the line comes back below it."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                self._stream.write(_ERASE)
                self._stream.flush()

    @property
    def is_wanted(self) -> bool:
        """Whether anything will be shown."""
        if is_notebook(current_shell()) or os.environ.get("TERM") == "dumb":
            return False
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError):
            return False

    def _run(self) -> None:
        if self._ended.wait(_SILENT_S):
            return
        from ipydurable.widgets import TimelineModel

        model = TimelineModel()
        self._model = model

        def tell(update: InstanceUpdate) -> None:
            with self._lock:
                model.apply(update)

        try:
            unsubscribe = self._client.subscribe(self._instance_id, tell)
        except DurableError:
            # Whoever waits is told by the wait itself.
            return
        try:
            while True:
                self._write()
                if self._ended.wait(_EVERY_S):
                    return
        finally:
            unsubscribe()

    def _write(self) -> None:
        with self._lock:
            model = self._model
            if model is None or model.record is None:
                return
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(_ERASE + progress_line(model, width))
            self._stream.flush()
            self._is_shown = True
