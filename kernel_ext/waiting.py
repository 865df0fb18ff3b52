"""Waiting for what goes on elsewhere, and goes on whatever becomes of the waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from ipydurable.runtime.core.errors import WaitTimeoutError

__all__ = ["explaining_interrupts", "wait_for", "wait_here"]

_WAKE_S = 0.25
_SILENT_WAKES = 4

T = TypeVar("T")


@contextlib.contextmanager
def explaining_interrupts(said: str) -> Iterator[None]:
    """Have an interrupt of a wait say in one line that only the waiting has ended.

    Args:
        said: What goes on, and how to wait again or end it.
    """
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        error.add_note(said)
        kind = type(error).__name__
        # IPython asks the exception itself; the frames of the wait say nothing.
        error._render_traceback_ = lambda: [f"{kind}: {said}"]  # type: ignore[union-attr]
        raise


async def wait_for(future: Future[T], explain: Callable[[], None] | None = None) -> T:
    """Return a future's result in an event loop; cancelling the wait does not cancel the future.

    Args:
        future: Any.
        explain: Called once where it takes longer than a second, to say why it may.
    """
    wrapped = asyncio.wrap_future(future)
    wakes = 0
    while not wrapped.done():
        # A kernel that sleeps does not notice that it was interrupted: wake it at times.
        await asyncio.wait([wrapped], timeout=_WAKE_S)
        wakes += 1
        if explain is not None and wakes == _SILENT_WAKES and not wrapped.done():
            explain()
    return wrapped.result()


def wait_here(
    future: Future[T], what: str, timeout_s: float | None, explain: Callable[[], None]
) -> T:
    """Return a future's result in plain code.

    Args:
        future: Any.
        what: What is waited for, for the message of an error.
        timeout_s: Seconds to wait at most; None for no limit.
        explain: Called once where it takes longer than a second, to say why it may.

    Raises:
        WaitTimeoutError: It is not done by then.
    """
    silent_s = _SILENT_WAKES * _WAKE_S
    try:
        if timeout_s is not None and timeout_s <= silent_s:
            return future.result(timeout_s)
        try:
            return future.result(silent_s)
        except FutureTimeoutError:
            explain()
            return future.result(None if timeout_s is None else timeout_s - silent_s)
    except FutureTimeoutError:
        raise WaitTimeoutError(what, timeout_s or 0.0) from None
