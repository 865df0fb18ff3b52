"""Stand-ins for durable definitions in code that runs in the host or in a worker."""

from __future__ import annotations

from typing import Any

from .core.context import current_context
from .core.entity_ids import EntityInstanceId
from .core.errors import DefinitionError

__all__ = ["EntityReference", "Stub"]


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

        That of an entity schedules nothing: `Account("alice")` is the entity of that key, in an
        orchestrator with operations to be called, elsewhere to be signalled by `ctx`.

        Raises:
            DefinitionError: No orchestrator runs now.
        """
        context = current_context()
        if context is not None:
            return context.call(self.__durable_kind__, self.__durable_name__, args, kwargs)
        if self.__durable_kind__ == "entity":
            return EntityReference(EntityInstanceId(self.__durable_name__, *args, **kwargs))
        raise DefinitionError(
            f"{self.__durable_name__} is {_with_article(self.__durable_kind__)}: "
            "it can be called from an orchestrator only"
        )

    def __repr__(self) -> str:
        return f"<{self.__durable_kind__} {self.__durable_name__}>"


class EntityReference:
    """Which entity: what `Account("alice")` is in entities and activities, and in what is stored.

    It is accepted wherever an entity id is. In an orchestrator its operations are methods that
    give tasks, as those of `ctx.entity(Account, "alice")`.

    Args:
        entity_id: Which.
    """

    def __init__(self, entity_id: EntityInstanceId) -> None:
        self.entity_id = entity_id

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "entity_id":
            raise AttributeError(name)
        context = current_context()
        if context is None:
            raise DefinitionError(
                f"{name} on {self.entity_id}: only an orchestrator calls entities and waits. An "
                "entity tells another one by ctx.signal_entity(entity, operation, input)."
            )
        return getattr(context.entity(self.entity_id), name)

    def __reduce__(self) -> tuple[Any, ...]:
        return EntityReference, (self.entity_id,)

    def __eq__(self, other: object) -> bool:
        return getattr(other, "entity_id", None) == self.entity_id

    def __hash__(self) -> int:
        return hash(self.entity_id)

    def __repr__(self) -> str:
        return f"<entity {self.entity_id}>"


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
