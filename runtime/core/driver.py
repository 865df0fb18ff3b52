"""Drives orchestrator code: a coroutine or generator, with no event loop.

The code suspends on one of our tasks and is sent on when that task settles. Anything else it
suspends on is refused at once, with the remedy.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .errors import ForeignAwaitableError
from .tasks import Task

__all__ = ["Driver", "ReplaySignal", "as_failure", "is_drivable", "line_of", "user_line"]

Code = Coroutine[Any, Any, Any] | Generator[Any, Any, Any]

_NO_LOOP = re.compile("no (running|current) event loop")

# Code that swallows GeneratorExit. Letting go of it would have the collector try again, later.
_unending: list[Code] = []


class ReplaySignal(BaseException):
    """Ends the code from inside one of its own calls; no `except Exception` may stop it."""


class Driver(Task[Any]):
    """A running coroutine or generator, seen as the task of its result.

    Args:
        description: What it is, for people.
        code: The coroutine or generator, not started yet.
        wake: Called with the driver and the task it waited for when it can go on.
    """

    __slots__ = ("_code", "_sends_results", "_waits_for", "_wake")

    def __init__(
        self, description: str, code: Code, wake: Callable[[Driver, Task[Any]], None]
    ) -> None:
        super().__init__(description)
        self._code = code
        self._sends_results = not isinstance(code, Coroutine)
        self._wake = wake
        self._waits_for: tuple[Task[Any], ...] = ()

    @property
    def waits_for(self) -> tuple[Task[Any], ...]:
        """What its code has waited for last; empty before that."""
        return self._waits_for

    def resume(self, awaited: Task[Any] | None) -> None:
        """Run the code to its next wait or its end.

        Args:
            awaited: The settled task it waited for; None to begin.

        Raises:
            ReplaySignal: The code was ended from inside.
        """
        while True:
            try:
                yielded = self._step(awaited)
            except StopIteration as stop:
                self._settle(stop.value, None)
                return
            except ReplaySignal:
                raise
            except BaseException as error:  # noqa: BLE001  (the user's code: whatever it raises)
                self._settle(None, as_failure(error))
                return
            if isinstance(yielded, Task):
                if not yielded.is_complete:
                    self._waits_for = (yielded,)
                    yielded.watch(self._on_settled)
                    return
                awaited = yielded
            else:
                awaited = _refused(yielded, self.waiting_line())

    def close(self) -> None:
        """End the suspended code now, so that its `finally` blocks do not run at a random time."""
        try:
            self._code.close()
        except BaseException:  # noqa: BLE001  (code that refuses to end, or fails in ending)
            if self.waiting_line():
                _unending.append(self._code)

    def let_go(self) -> None:
        """Wake nobody and tell nobody: the execution has ended."""
        super().let_go()
        self._wake = _wake_nobody
        self._waits_for = ()
        forget_frames(self._error)

    def waiting_line(self) -> str:
        """Return `file:line` of the user's line that waits; empty if it is not suspended."""
        frame = None
        code: Any = self._code
        while code is not None:
            inner = getattr(code, "cr_frame", None) or getattr(code, "gi_frame", None)
            if inner is None or _is_ours(inner):
                break
            frame = inner
            code = getattr(code, "cr_await", None) or getattr(code, "gi_yieldfrom", None)
        return _place(frame) if frame is not None else ""

    def _step(self, awaited: Task[Any] | None) -> Any:
        if awaited is None:
            return self._code.send(None)
        error = awaited.get_exception()
        if isinstance(error, ForeignAwaitableError) and type(awaited) is Task:
            return self._code.throw(error)
        if not self._sends_results:
            return self._code.send(None)
        if error is not None:
            return self._code.throw(error.with_traceback(None))
        return self._code.send(awaited.get_result())

    def _on_settled(self, task: Task[Any]) -> None:
        self._wake(self, task)


def forget_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and its causes, which keep all that its frames knew."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _wake_nobody(driver: Driver, task: Task[Any]) -> None:
    """Stands in for an executor that is closed."""


def is_drivable(value: object) -> bool:
    """Whether `value` is a coroutine or generator."""
    return isinstance(value, (Coroutine, types.GeneratorType))


def user_line() -> str:
    """Return `file:line` of the innermost frame of the calling stack that is not ours."""
    frame = inspect.currentframe()
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return _place(frame) if frame is not None else ""


def _place(frame: types.FrameType) -> str:
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def _is_ours(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("ipydurable.runtime")


def _refused(yielded: object, line: str) -> Task[Any]:
    task: Task[Any] = Task("refused")
    task._settle(None, ForeignAwaitableError(*_describe_foreign(yielded, line)))
    return task


def _describe_foreign(yielded: object, line: str) -> tuple[str, str, str]:
    name = type(yielded).__name__
    if yielded is None:
        return (
            "bare suspension (asyncio.sleep(0)?)",
            line,
            "An orchestrator waits only for durable tasks: ctx.create_timer to wait for a time.",
        )
    if isinstance(yielded, _Future):
        name = "awaitable of asyncio"
    if "Future" in type(yielded).__name__ or hasattr(yielded, "_asyncio_future_blocking"):
        remedy = (
            "asyncio's own awaitables are forgotten at a crash: use ctx.create_timer instead of "
            "asyncio.sleep, ctx.when_all instead of asyncio.gather, and put I/O in an activity."
        )
    elif isinstance(yielded, (list, tuple)):
        remedy = "To wait for several tasks use ctx.when_all([...]) or ctx.when_any([...])."
    else:
        remedy = (
            "An orchestrator waits only for durable tasks: those of ctx.call_activity, "
            "ctx.create_timer, ctx.wait_for_external_event, ctx.when_all and their like."
        )
    return name, line, remedy


def as_failure(error: BaseException) -> Exception:
    """Return what the orchestrator fails with when its code raises `error`."""
    if isinstance(error, RuntimeError) and _NO_LOOP.search(str(error)):
        refusal = ForeignAwaitableError(*_describe_foreign(_Future(), line_of(error)))
        refusal.__traceback__ = error.__traceback__
        return refusal
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"the orchestrator raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    wrapped.__traceback__ = error.__traceback__
    return wrapped


class _Future:
    """Stands for the asyncio future that could not even be made."""


def line_of(error: BaseException) -> str:
    """Return `file:line` of the user's line an error comes from; empty if there is none."""
    place = ""
    step = error.__traceback__
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith(("ipydurable.runtime", "asyncio")):
            place = f"{step.tb_frame.f_code.co_filename}, line {step.tb_lineno}"
        step = step.tb_next
    return place
