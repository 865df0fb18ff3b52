"""Ids of entities: a name without regard to case, and a key with it."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["EntityInstanceId", "check_operation_name", "entity_id_of"]


class EntityInstanceId(msgspec.Struct, frozen=True, order=True):
    """Which entity: `EntityInstanceId("Counter", "a")`, as text `@counter@a`.

    Attributes:
        name: The entity's definition; upper and lower case are the same.
        key: Which one of that name; upper and lower case differ.

    Raises:
        ValueError: The name is empty or contains `@`, or the key is empty.
    """

    name: str
    key: str

    def __post_init__(self) -> None:
        if not self.name or "@" in self.name:
            raise ValueError(f"an entity's name must not be empty or contain '@': {self.name!r}")
        if not isinstance(self.key, str) or not self.key:
            raise ValueError(f"an entity's key is a string that is not empty, not {self.key!r}")
        msgspec.structs.force_setattr(self, "name", self.name.lower())

    def __str__(self) -> str:
        return f"@{self.name}@{self.key}"

    @classmethod
    def parse(cls, text: str) -> EntityInstanceId:
        """Return the id that `@name@key`, or `name@key`, means.

        Raises:
            ValueError: It is neither.
        """
        name, separator, key = text.removeprefix("@").partition("@")
        if not separator:
            raise ValueError(f"{text!r} is no entity id; write name@key, for example Account@alice")
        return cls(name, key)


def check_operation_name(operation: str) -> str:
    """Return the name of an operation if it may be one.

    Raises:
        ValueError: It is no string of at least one character.
    """
    if not isinstance(operation, str) or not operation:
        raise ValueError(
            f"an operation's name is a string of at least one character, not {operation!r}"
        )
    return operation


def entity_id_of(reference: Any) -> EntityInstanceId:
    """Return the entity id that `reference` means: an id, its text, or an entity handle.

    Raises:
        TypeError: It is none of these.
        ValueError: It is text and no entity id.
    """
    if isinstance(reference, EntityInstanceId):
        return reference
    if isinstance(reference, str):
        return EntityInstanceId.parse(reference)
    found = getattr(reference, "entity_id", None)
    if isinstance(found, EntityInstanceId):
        return found
    raise TypeError(
        f"an entity is named by its id or its handle, Account('alice') for example; "
        f"got a {type(reference).__name__}"
    )
