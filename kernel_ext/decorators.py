"""`@activity` and `@orchestrator`: what %%activity and %%orchestrator do, for .py files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, overload

from .arguments import activity_options
from .functions import DECLARED, ActivityFunction, DurableFunction, OrchestratorFunction

__all__ = ["activity", "orchestrator"]

_Function = Callable[..., Any]
_F = TypeVar("_F", bound=DurableFunction)


@overload
def activity(function: _Function, /) -> ActivityFunction: ...


@overload
def activity(
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay: str | float | timedelta = 1.0,
    backoff: float = 2.0,
    timeout: str | float | timedelta | None = None,
    on: str | None = None,
    max_parallel: int = 0,
) -> Callable[[_Function], ActivityFunction]: ...


def activity(
    function: _Function | None = None, /, *, name: str | None = None, **options: Any
) -> ActivityFunction | Callable[[_Function], ActivityFunction]:
    """Make a function an activity: a step that does the work and is run at least once.

    Used bare, `@activity`, or with options, `@activity(retries=3, timeout="1m")`. Times are
    seconds, timedeltas, or text such as `"100ms"`, `"5s"`, `"2m"`, `"1h"`.

    Args:
        function: The function; a plain call of the result still runs it.
        name: The activity's name; by default the function's.
        **options: How it is run:
            `retries`, how often a failed attempt is tried again (0);
            `retry_delay`, time before the first retry (1 s);
            `backoff`, factor from one delay to the next (2);
            `timeout`, how long one attempt may take (no limit);
            `on`, one of `"processes"`, `"threads"`, `"asyncio"` (what suits the function);
            `max_parallel`, how many may run at once (0: no limit).

    Raises:
        ValueError: An option makes no sense; the message names it.
        DefinitionError: The function cannot be an activity.
    """
    checked = activity_options(**options)

    def declare(function: _Function) -> ActivityFunction:
        return _declared(ActivityFunction(_plain(function), name, checked))

    return declare if function is None else declare(function)


@overload
def orchestrator(function: _Function, /) -> OrchestratorFunction: ...


@overload
def orchestrator(*, name: str | None = None) -> Callable[[_Function], OrchestratorFunction]: ...


def orchestrator(
    function: _Function | None = None, /, *, name: str | None = None
) -> OrchestratorFunction | Callable[[_Function], OrchestratorFunction]:
    """Make a function an orchestrator: it says which steps are taken, and is replayed.

    Args:
        function: An `async def` or a generator function whose first parameter is the context.
        name: The orchestrator's name; by default the function's.

    Raises:
        DefinitionError: The function cannot be an orchestrator.
    """

    def declare(function: _Function) -> OrchestratorFunction:
        return _declared(OrchestratorFunction(_plain(function), name))

    return declare if function is None else declare(function)


def _plain(function: _Function) -> _Function:
    """Return the function itself, if it was made durable already."""
    return function.__wrapped__ if isinstance(function, DurableFunction) else function


def _declared(function: _F) -> _F:
    DECLARED[function.kind, function.name] = function
    return function
