"""What a running activity can ask and tell: its first parameter, or `activity_context()`."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .core.errors import DurableError
from .files import ValueFiles
from .ports import Progress

__all__ = ["CURRENT", "ActivityContext", "activity_context", "takes_context"]

_PROGRESS_INTERVAL_S = 0.05
_CONTEXT_NAMES = frozenset({"ctx", "context", "_ctx", "_context"})
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ActivityContext:
    """The attempt of an activity that runs now.

    An activity gets it as its first parameter where that is named `ctx`, `context`, `_ctx` or
    `_context`, or is annotated `ActivityContext`; anywhere below, `activity_context()` returns it.
    A test of an activity may make one itself.

    Args:
        name: See the attribute, as the four that follow.
        instance_id: See the attribute.
        execution_id: See the attribute.
        task_id: See the attribute.
        attempt: See the attribute.
        progress: Receives what `progress` is told.
        cancelled: Answers `cancelled`.
        files: Where large frames and arrays are kept.

    Attributes:
        name: The activity.
        instance_id: The orchestration instance it runs for.
        execution_id: That instance's execution; changes at continue-as-new.
        task_id: The action id of the call.
        files: As given.
        attempt: Counted from 1 for each action id; above 1 only where attempts were lost.
    """

    __slots__ = (
        "_cancelled",
        "_progress",
        "_told_at",
        "attempt",
        "execution_id",
        "files",
        "instance_id",
        "name",
        "task_id",
    )

    def __init__(
        self,
        name: str,
        instance_id: str = "",
        execution_id: str = "",
        task_id: int = 0,
        attempt: int = 1,
        *,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        files: ValueFiles | None = None,
    ) -> None:
        self.name = name
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.task_id = task_id
        self.attempt = attempt
        self._progress = progress
        self._cancelled = cancelled
        self._told_at = float("-inf")
        self.files = files

    @property
    def idempotency_key(self) -> str:
        """A key for outside systems: the same for all attempts of this call, unlike any other."""
        return f"{self.execution_id}/{self.task_id}"

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was asked to stop.

        Only an activity on a thread needs to look: a worker process is stopped, and an `async
        def` on the event loop gets `asyncio.CancelledError`.
        """
        return self._cancelled is not None and self._cancelled()

    @property
    def logger(self) -> logging.Logger:
        """A logger named `ipydurable.activity.<name>`."""
        return logging.getLogger(f"ipydurable.activity.{self.name}")

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tell how far the activity is; shown while it runs, and a sign of life.

        Cheap enough for a tight loop: what comes within 50 ms of the report before is dropped,
        unless it says that all is done.

        Args:
            done: How much is done, in any unit.
            total: How much there is; None where that is unknown.
            note: A few words on what is being done.
        """
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._told_at < _PROGRESS_INTERVAL_S and (total is None or done < total):
            return
        self._told_at = now
        whole = None if total is None else float(total)
        self._progress(Progress(float(done), whole, str(note)))

    def heartbeat(self) -> None:
        """Tell that the activity lives, for its `--heartbeat` limit; `progress` tells it too.

        Cheap enough for a tight loop.
        """
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._told_at >= _PROGRESS_INTERVAL_S:
            self._told_at = now
            self._progress(Progress())

    def __repr__(self) -> str:
        return (
            f"<ActivityContext {self.name!r}, task {self.task_id} of {self.instance_id!r}, "
            f"attempt {self.attempt}>"
        )


CURRENT: ContextVar[ActivityContext] = ContextVar("ipydurable_activity")
"""Set by whoever runs an attempt, for as long as it runs."""


def activity_context() -> ActivityContext:
    """Return the context of the activity that runs here.

    Raises:
        DurableError: No activity runs in this thread or asyncio task.
    """
    context = CURRENT.get(None)
    if context is None:
        raise DurableError(
            "activity_context() was called outside a running activity. A thread that an "
            "activity starts does not inherit it: pass the context on, or start the thread "
            "with contextvars.copy_context().run."
        )
    return context


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether an activity gets its context: its first parameter says so by name or annotation."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function of C that does not tell
        return False
    if not parameters or parameters[0].kind not in _POSITIONAL:
        return False
    annotation = parameters[0].annotation
    if isinstance(annotation, str):
        annotated = annotation.rpartition(".")[2].strip("'\"") == "ActivityContext"
    else:
        annotated = annotation is ActivityContext
    return annotated or parameters[0].name in _CONTEXT_NAMES
