"""Stand-ins for durable definitions in code that runs in the host or in a worker."""

from __future__ import annotations

from typing import Any

from .core.context import current_context
from .core.errors import DefinitionError

__all__ = ["Stub"]


class Stub:
    """What a definition's name is bound to where its code is not: it schedules, it does not run.

    Args:
        kind: `"activity"`, `"orchestrator"` or `"entity"`.
        name: The definition's name.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.__durable_kind__ = kind
        self.__durable_name__ = name
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Schedule it in the orchestrator that runs now, and return its task.

        Raises:
            DefinitionError: No orchestrator runs now.
        """
        context = current_context()
        if context is None:
            raise DefinitionError(
                f"{self.__durable_name__} is {_with_article(self.__durable_kind__)}: "
                "it can be called from an orchestrator only"
            )
        return context.call(self.__durable_kind__, self.__durable_name__, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self.__durable_kind__} {self.__durable_name__}>"


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
