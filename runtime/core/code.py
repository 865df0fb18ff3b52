"""The code of one orchestrator version, ready to run, and what it may refer to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .context import NO_INPUT, OrchestrationContext
from .payload import Converter, Payload
from .retry import RetryPolicy
from .serialization import CallArguments

__all__ = ["OrchestratorCode", "Resolve", "Resolved"]


class Resolved(NamedTuple):
    """What a name means to an instance.

    Attributes:
        version: Content hash of the definition.
        retry_policy: The definition's own retry policy, if it has one.
    """

    version: str
    retry_policy: RetryPolicy | None = None


Resolve = Callable[[str, str], Resolved]
"""Gives what a definition name means, by kind and name; raises `UnknownDefinitionError`."""


class OrchestratorCode:
    """One orchestrator version.

    Args:
        function: An `async def`, a generator function, or a plain function.
        converter: Encodes and decodes in the function's namespace.
        namespace: Its globals, in which exception classes are looked up.

    Attributes:
        is_converting: Whether a value is being encoded or decoded, as far as large ones take time.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        converter: Converter,
        namespace: Mapping[str, Any],
    ) -> None:
        self.function = function
        self.is_converting = False
        self._converter = converter
        self.namespace = namespace
        self._takes_input, self._needs_input = _input_parameters(function)

    @property
    def line(self) -> str:
        """`file:line` at which the function begins; empty where that is not known."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{code.co_filename}, line {code.co_firstlineno}" if code is not None else ""

    def encode(self, value: Any, where: str) -> Payload:
        """Return the payload of a value; see `Converter.encode`."""
        self.is_converting = True
        try:
            return self._converter.encode(value, where)
        finally:
            self.is_converting = False

    def decode(self, payload: Payload) -> Any:
        """Return the value of a payload; see `Converter.decode`."""
        self.is_converting = True
        try:
            return self._converter.decode(payload)
        finally:
            self.is_converting = False

    def begin(self, context: OrchestrationContext, value: Any) -> Any:
        """Call the function; returns its coroutine, its generator, or its result.

        Args:
            context: The first argument.
            value: The input, `CallArguments`, or NO_INPUT.
        """
        if isinstance(value, CallArguments):
            return self.function(context, *value.args, **value.kwargs)
        if not self._takes_input:
            return self.function(context)
        if value is NO_INPUT:
            return self.function(context, None) if self._needs_input else self.function(context)
        return self.function(context, value)


def _input_parameters(function: Callable[..., Any]) -> tuple[bool, bool]:
    """Return whether the function takes an input after the context, and whether it must get one."""
    positional = 0
    required = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += 2
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional += 1
            required += parameter.default is parameter.empty
    return positional > 1, required > 1
