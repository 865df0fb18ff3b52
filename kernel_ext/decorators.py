"""`@activity`, `@orchestrator` and `@entity`: what the cell magics do, for .py files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ipydurable.runtime.core.entity_ids import EntityInstanceId

from .arguments import Duration, activity_options
from .entity_functions import EntityFunction
from .functions import DECLARED, ActivityFunction, DurableFunction, OrchestratorFunction

if TYPE_CHECKING:
    from .entity_handles import EntityHandle

__all__ = ["activity", "entity", "orchestrator"]

_Function = Callable[..., Any]
_F = TypeVar("_F", bound=DurableFunction)


@overload
def activity(function: _Function, /) -> ActivityFunction: ...


@overload
def activity(
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay: Duration = 1.0,
    backoff: float = 2.0,
    timeout: Duration | None = None,
    heartbeat: Duration | None = None,
    start_within: Duration | None = None,
    on: str | None = None,
    max_parallel: int = 0,
    rate: str | None = None,
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
            `heartbeat`, how long one attempt may give no sign of life (no limit);
            `start_within`, how long it may wait for its turn (no limit);
            `on`, one of `"processes"`, `"threads"`, `"asyncio"` (what suits the function);
            `max_parallel`, how many may run at once (0: no limit);
            `rate`, how many may begin in a time, such as `"10/s"` (no limit).

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
def orchestrator(
    *, name: str | None = None, strict: bool = False
) -> Callable[[_Function], OrchestratorFunction]: ...


def orchestrator(
    function: _Function | None = None, /, *, name: str | None = None, strict: bool = False
) -> OrchestratorFunction | Callable[[_Function], OrchestratorFunction]:
    """Make a function an orchestrator: it says which steps are taken, and is replayed.

    Args:
        function: An `async def` or a generator function whose first parameter is the context.
        name: The orchestrator's name; by default the function's.
        strict: Whether it is refused at its first use where it does what replay would not repeat,
            and gets an error where it does so all the same.

    Raises:
        DefinitionError: The function cannot be an orchestrator.
    """

    def declare(function: _Function) -> OrchestratorFunction:
        return _declared(OrchestratorFunction(_plain(function), name, strict=strict))

    return declare if function is None else declare(function)


@overload
def entity(definition: str | EntityInstanceId, /) -> EntityHandle: ...


@overload
def entity(definition: _Function, /) -> EntityFunction: ...


@overload
def entity(*, name: str | None = None) -> Callable[[_Function], EntityFunction]: ...


def entity(
    definition: _Function | str | EntityInstanceId | None = None, /, *, name: str | None = None
) -> EntityFunction | EntityHandle | Callable[[_Function], EntityFunction]:
    """Make a class or function an entity: it keeps state, and operations change it one by one.

    Of a class, `@entity`, the public attributes are the state, what `__init__` or the class body
    gives a fresh object is its beginning, and the methods are the operations. A function of
    `(ctx, input)` asks for `ctx.operation` and uses `ctx.get_state` and `ctx.set_state`.

    Given an id, `entity("Account@alice")`, it returns the handle of that entity, as
    `Account("alice")` does, for notebooks that do not define `Account`.

    Args:
        definition: The class or function; or the id of an entity.
        name: The entity's name, upper and lower case alike; by default that of the class or
            function.

    Raises:
        DefinitionError: The class or function cannot be an entity.
        ValueError: The id is none.
    """
    if isinstance(definition, str | EntityInstanceId):
        from .session import current_session

        return current_session().entity(definition)

    def declare(definition: _Function) -> EntityFunction:
        return _declared(EntityFunction(_plain(definition), name))

    return declare if definition is None else declare(definition)


def _plain(function: _Function) -> _Function:
    """Return the function itself, if it was made durable already."""
    return function.__wrapped__ if isinstance(function, DurableFunction) else function


def _declared(function: _F) -> _F:
    DECLARED[function.kind, function.name] = function
    return function
