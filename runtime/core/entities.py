"""Entities: runs a batch of operations on a state, one after the other.

State is held encoded. Each operation works on a copy, and only what a successful one leaves
behind counts: a failing operation leaves no trace of state or messages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from .context import NO_INPUT, DurableReference, name_of, utc_time
from .entity_ids import EntityInstanceId, check_operation_name, entity_id_of
from .entity_state import ClassState
from .errors import EntityOperationError
from .failure import FailureDetails
from .ids import check_instance_id
from .payload import Converter, Payload
from .special_values import CallArguments

__all__ = [
    "EntityBatchResult",
    "EntityCode",
    "EntityContext",
    "Operation",
    "OperationResult",
    "SentSignal",
    "StartedOrchestration",
    "execute_batch",
]

_HIDDEN: Final = ("runtime/core/entities.py", "runtime/core/entity_state.py")
_CONTEXT_NAMES: Final = frozenset({"ctx", "context", "_ctx", "_context"})


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation to do.

    Attributes:
        name: The operation's name.
        input: The encoded input; None where none was given.
    """

    name: str
    input: Payload | None = None


class SentSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that an operation sent, to be delivered at once, at a time, or after a delay."""

    entity_id: str
    operation: str
    input: Payload | None = None
    scheduled_at: datetime | None = None
    delay: timedelta | None = None


class StartedOrchestration(msgspec.Struct, frozen=True, kw_only=True):
    """An orchestration that an operation started."""

    name: str
    instance_id: str
    input: Payload | None = None


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one operation; `failure` is None where it succeeded."""

    result: Payload | None = None
    failure: FailureDetails | None = None
    started_at: datetime | None = None
    signals: tuple[SentSignal, ...] = ()
    starts: tuple[StartedOrchestration, ...] = ()


class EntityBatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch.

    Attributes:
        state: The encoded state after it; None where there is none.
        results: One for each operation, in order.
    """

    state: Payload | None
    results: list[OperationResult]


class EntityContext:
    """What an entity's code sees: the operation, the state, and whom it may tell.

    Entities signal other entities and start orchestrations; they never call and wait.
    """

    def __init__(
        self,
        entity_id: EntityInstanceId,
        operation: str,
        state: Payload | None,
        converter: Converter,
        new_id: Callable[[], str],
        now: datetime,
    ) -> None:
        self._now = now
        self.entity_id = entity_id
        self.operation = operation
        self._state = state
        self._converter = converter
        self._new_id = new_id
        self._input: Any = None
        self._has_set_state = False
        self._signals: list[SentSignal] = []
        self._starts: list[StartedOrchestration] = []

    @property
    def entity_name(self) -> str:
        """The entity's name, in lower case."""
        return self.entity_id.name

    @property
    def entity_key(self) -> str:
        """The entity's key."""
        return self.entity_id.key

    def get_input(self) -> Any:
        """Return the operation's input; None where none was given."""
        return self._input

    def get_state(self, default: Any = None) -> Any:
        """Return a copy of the state; changing it changes nothing until `set_state`.

        Args:
            default: Returned where there is no state.
        """
        return default if self._state is None else self._converter.decode(self._state)

    def set_state(self, state: Any) -> None:
        """Replace the state; None deletes the entity.

        Raises:
            EncodingError: The state cannot be stored.
        """
        self._has_set_state = True
        self._state = (
            None if state is None else self._converter.encode(state, f"state of {self.entity_id}")
        )

    def signal_entity(
        self,
        entity: Any,
        operation: str,
        input: Any = NO_INPUT,
        *,
        signal_time: datetime | timedelta | None = None,
    ) -> None:
        """Have another entity do an operation, once this one has succeeded.

        Args:
            entity: An `EntityInstanceId`, its text, or a handle.
            operation: The operation's name.
            input: Its argument; leave out for none.
            signal_time: When to deliver it (naive means UTC), or how long from now; by default
                at once.
        """
        check_operation_name(operation)
        delay = at = None
        if isinstance(signal_time, timedelta):
            # It counts from when the signal is sent, which is when this operation is recorded.
            delay = signal_time
        if signal_time is not None:
            at = utc_time(signal_time, self._now)
        self._signals.append(
            SentSignal(
                entity_id=str(entity_id_of(entity)),
                operation=operation,
                input=self._encode(input, f"input of {operation}"),
                scheduled_at=None if delay is not None else at,
                delay=delay,
            )
        )

    def start_orchestration(
        self,
        orchestrator: str | DurableReference | Callable[..., Any],
        input: Any = NO_INPUT,
        *,
        instance_id: str | None = None,
    ) -> str:
        """Start an orchestration, once this operation has succeeded; returns its id.

        It is dropped, with a line in the host's log, where there is no such orchestrator or the
        id is taken.
        """
        name = name_of(orchestrator, "orchestrator")
        chosen = check_instance_id(instance_id or f"{name}-{self._new_id()}")
        payload = self._encode(input, f"input of {name}")
        self._starts.append(StartedOrchestration(name=name, instance_id=chosen, input=payload))
        return chosen

    def _encode(self, value: Any, where: str) -> Payload | None:
        return None if value is NO_INPUT else self._converter.encode(value, where)


class EntityCode:
    """One version of an entity's code.

    Args:
        definition: The class, or the function of `(ctx, input)`.
        converter: Encodes and decodes in its namespace.
        namespace: Its globals, for its type hints.

    Attributes:
        is_async: Whether operations may wait, so that they need an event loop.
    """

    def __init__(self, definition: Any, converter: Converter, namespace: Mapping[str, Any]) -> None:
        self.definition = definition
        self.converter = converter
        self._class = ClassState(definition, namespace) if isinstance(definition, type) else None
        functions = _functions_of(definition)
        self.is_async = any(map(inspect.iscoroutinefunction, functions))
        # Looking a method up and reading its signature costs more than a small operation.
        self._operations: dict[str, _Operation] = {}
        self._takes = 2 if self._class else len(inspect.signature(definition).parameters)

    async def run(self, context: EntityContext, value: Any) -> Any:
        """Do one operation; the context holds the state before and after it.

        Args:
            context: With the operation's name.
            value: The input, `CallArguments`, or NO_INPUT.
        """
        if self._class is None:
            result = self.definition(*([context, _or_none(value)][: self._takes]))
        else:
            known = self._operations.get(context.operation)
            if known is None and _is_built_in_delete(self.definition, context.operation):
                context.set_state(None)
                return None
            entity = self._class.load(context.get_state())
            if known is None:
                known = self._operations[context.operation] = _find(entity, context)
            result = known.call(getattr(entity, known.name), context, value)
        if inspect.isawaitable(result):
            result = await result
        if self._class is not None and not context._has_set_state:
            attributes = self._class.attributes(entity)
            if context._state is not None or attributes != self._class.defaults():
                context.set_state(attributes)
        return result


async def execute_batch(
    code: EntityCode,
    entity_id: EntityInstanceId,
    state: Payload | None,
    operations: Sequence[Operation],
    now: Callable[[], datetime],
    new_id: Callable[[], str],
) -> EntityBatchResult:
    """Do operations one after the other.

    Args:
        code: The entity's newest code.
        entity_id: Which entity.
        state: Its encoded state; None where there is none.
        operations: What to do.
        now: Gives the time.
        new_id: Gives ids for orchestrations that it starts.
    """
    results = []
    for operation in operations:
        started_at = now()
        context = EntityContext(
            entity_id, operation.name, state, code.converter, new_id, started_at
        )
        try:
            value = NO_INPUT
            if operation.input is not None:
                value = code.converter.decode(operation.input)
            context._input = _or_none(value)
            returned = await code.run(context, value)
            payload = None
            if returned is not None:
                payload = code.converter.encode(returned, f"result of {operation.name}")
        except BaseException as error:  # noqa: BLE001  (the user's code: whatever it raises)
            if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
                error = error.__cause__  # a coroutine cannot let it through
            failure = FailureDetails.from_exception(error, hide=_HIDDEN)
            results.append(OperationResult(failure=failure, started_at=started_at))
        else:
            state = context._state
            results.append(
                OperationResult(
                    result=payload,
                    started_at=started_at,
                    signals=tuple(context._signals),
                    starts=tuple(context._starts),
                )
            )
    return EntityBatchResult(state=state, results=results)


class _Operation(NamedTuple):
    """How an operation is called.

    Attributes:
        name: The attribute that holds it.
        takes_context: Whether its first parameter gets the context.
        parameters: How many others there are.
        needs_input: Whether it takes exactly one, and must get it.
    """

    name: str
    takes_context: bool
    parameters: int
    needs_input: bool

    def call(self, method: Callable[..., Any], context: EntityContext, value: Any) -> Any:
        """Call the operation with the input it was given."""
        args = [context] if self.takes_context else []
        if isinstance(value, CallArguments):
            return method(*args, *value.args, **value.kwargs)
        if value is not NO_INPUT and (self.parameters or value is not None):
            return method(*args, value)
        return method(*args, None) if self.needs_input else method(*args)


def _find(entity: Any, context: EntityContext) -> _Operation:
    """Return the operation that the context names; upper and lower case are alike."""
    name = context.operation
    names = [one for one in dir(type(entity)) if not one.startswith("_")]
    if name not in names:
        alike = [one for one in names if one.lower() == name.lower()]
        name = alike[0] if len(alike) == 1 else ""
    method = getattr(entity, name, None) if name else None
    if not callable(method):
        known = sorted(one for one in names if callable(getattr(type(entity), one)))
        raise EntityOperationError(str(context.entity_id), context.operation, tuple(known))
    parameters = list(inspect.signature(method).parameters.values())
    takes_context = bool(parameters) and parameters[0].name in _CONTEXT_NAMES
    rest = parameters[1:] if takes_context else parameters
    return _Operation(name, takes_context, len(rest), _needs_one(rest))


def _needs_one(parameters: list[inspect.Parameter]) -> bool:
    """Whether a method takes exactly one argument, and must get it."""
    if len(parameters) != 1:
        return False
    only = parameters[0]
    positional = (only.POSITIONAL_ONLY, only.POSITIONAL_OR_KEYWORD)
    return only.default is only.empty and only.kind in positional


def _functions_of(definition: Any) -> list[Any]:
    if not isinstance(definition, type):
        return [definition]
    return [value for cls in definition.__mro__ for value in vars(cls).values()]


def _or_none(value: Any) -> Any:
    return None if value is NO_INPUT else value


def _is_built_in_delete(definition: Any, operation: str) -> bool:
    return operation.lower() == "delete" and not any(
        name.lower() == "delete" for name in dir(definition)
    )
