"""Waiting for what goes on elsewhere, and goes on whatever becomes of the waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["explaining_interrupts", "wait_for"]

_WAKE_S = 0.25

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


async def wait_for(future: Future[T]) -> T:
    """Return a future's result in an event loop; cancelling the wait does not cancel the future."""
    wrapped = asyncio.wrap_future(future)
    while not wrapped.done():
        # A kernel that sleeps does not notice that it was interrupted: wake it at times.
        await asyncio.wait([wrapped], timeout=_WAKE_S)
    return wrapped.result()
