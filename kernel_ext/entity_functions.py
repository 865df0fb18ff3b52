"""Entities as their user holds them: what %%entity and `@entity` bind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from ipydurable.runtime.core.context import current_context
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.errors import DefinitionError
from ipydurable.runtime.definitions import Kind

from .functions import DurableFunction

__all__ = ["EntityFunction"]

_KEY = inspect.Parameter("key", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
_CONTEXT_AND_INPUT = 2


class EntityFunction(DurableFunction):
    """An entity's definition; `Account("alice")` is the entity of that key.

    In a cell that is an `EntityHandle`, in an orchestrator the entity as
    `ctx.entity(Account, "alice")` gives it.
    """

    kind = Kind.ENTITY

    @property
    def is_class(self) -> bool:
        """Whether it is a class, whose public attributes are the state."""
        return isinstance(self.__wrapped__, type)

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the operations of a class, in order; empty for a function, which takes any."""
        if not self.is_class:
            return ()
        return tuple(sorted({"delete", *(name for name, _ in self._methods())}))

    def __call__(self, key: str) -> Any:
        """Return the entity of that key; nothing is created by it.

        Args:
            key: Any text that is not empty; upper and lower case differ.
        """
        context = current_context()
        if context is not None:
            return context.call(self.__durable_kind__, self.name, (key,), {})
        from .session import current_session

        return current_session().entity(EntityInstanceId(self.name, key), self)

    def signal_many(
        self, operation: str, inputs: Mapping[str, Any] | Iterable[tuple[str, Any]]
    ) -> None:
        """Have many entities do an operation, all or none, in one commit.

        Args:
            operation: The operation's name.
            inputs: Keys and inputs, as pairs or as a mapping; a key may come several times, and
                gets its inputs in order.

        Raises:
            EncodingError: An input cannot be stored.
            DefinitionError: The code cannot be made durable.

        Example:
            Carrier.signal_many("add", [("UA", 3), ("AA", 5), ("UA", 2)])
        """
        from .session import current_session

        pairs = inputs.items() if isinstance(inputs, Mapping) else inputs
        session = current_session()
        session.send_needed(self)
        session.client.signal_many(
            operation, ((EntityInstanceId(self.name, key), value) for key, value in pairs)
        )

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise DefinitionError(
            f"{self.name} is an entity, and a class cannot be derived from it: put what they "
            "share into a plain class, and derive both from that."
        )

    def _check(self) -> None:
        self.__signature__ = inspect.Signature([_KEY])
        EntityInstanceId(self.name, "key")  # for its rules
        if self.is_class:
            self._check_class(self.__wrapped__)
        elif callable(self.__wrapped__):
            self._check_function(self.__wrapped__)

    def _check_class(self, cls: Callable[..., Any]) -> None:
        try:
            inspect.signature(cls).bind()
        except TypeError as error:
            raise DefinitionError(
                f"A new {self.name} is made without arguments, and its __init__ refuses that: "
                f"{error}. Give the parameters defaults."
            ) from None
        for name, method in self._methods():
            _refuse_generator(f"the operation {name} of {self.name}", method)

    def _check_function(self, function: Callable[..., Any]) -> None:
        _refuse_generator(self.name, function)
        parameters = inspect.signature(function).parameters.values()
        if not 1 <= len(parameters) <= _CONTEXT_AND_INPUT:
            raise DefinitionError(
                f"{self.name} takes {len(parameters)} parameters. An entity that is a function "
                f"takes its context and the operation's input: def {self.name}(ctx, input): ..."
            )

    def _methods(self) -> Iterator[tuple[str, Any]]:
        for name in dir(self.__wrapped__):
            method = getattr(self.__wrapped__, name)
            if not name.startswith("_") and callable(method):
                yield name, method


def _refuse_generator(what: str, function: Any) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(
            f"{what} is a generator, and an operation returns one result: collect what it yields "
            "in a list and return that."
        )
