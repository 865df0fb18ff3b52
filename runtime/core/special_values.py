"""Values of ours that payloads know apart from all others."""

from __future__ import annotations

from typing import Any

import msgspec

from .payload import Blob

__all__ = ["CallArguments", "StandIn", "blob_of"]


class CallArguments(msgspec.Struct, frozen=True):
    """The arguments of a call with more than one, or with keywords.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}

    def __repr__(self) -> str:
        words = [*map(repr, self.args), *(f"{name}={one!r}" for name, one in self.kwargs.items())]
        return f"({', '.join(words)})"


class StandIn:
    """A value whose class is not known to the code that received it.

    Its fields can be read, and it is passed on unchanged; methods need the class. Two stand-ins
    are equal if what they stand for was stored equal.
    """

    __slots__ = ("_class_name", "_data", "_extra", "_tag")

    _tag: str
    _class_name: str
    _data: Any
    _extra: dict[str, Any]

    def __init__(
        self, tag: str, class_name: str, data: Any, extra: dict[str, Any] | None = None
    ) -> None:
        """Keep what was decoded.

        Args:
            tag: How it was stored, e.g. `"$dataclass"`.
            class_name: Its class, as `module:qualified name`.
            data: Its fields by name, the name of its enum member, or its `Blob`.
            extra: What else was stored with it.
        """
        object.__setattr__(self, "_tag", tag)
        object.__setattr__(self, "_class_name", class_name)
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "_extra", extra or {})

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            if isinstance(self._data, dict) and name in self._data:
                return self._data[name]
            if self._tag == "$enum" and name == "name":
                return self._data
        short = self._class_name.rpartition(":")[2]
        raise AttributeError(
            f"the class {short} is not known to this code, so {name!r} of its value cannot be "
            f"used: name {short} in the code that uses it, for example in a type hint"
        )

    def __setattr__(self, name: str, value: object) -> None:
        short = self._class_name.rpartition(":")[2]
        raise AttributeError(
            f"the class {short} is not known to this code, so its value cannot be changed"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StandIn):
            return NotImplemented
        return (self._tag, self._class_name, self._data) == (
            other._tag,
            other._class_name,
            other._data,
        )

    def __hash__(self) -> int:
        return hash((self._tag, self._class_name))

    def __repr__(self) -> str:
        short = self._class_name.rpartition(":")[2]
        if isinstance(self._data, dict):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._data.items())
            return f"<{short} ({fields}), class not known here>"
        if isinstance(self._data, str):
            return f"<{short}.{self._data}, class not known here>"
        return f"<{short}, class not known here>"


def blob_of(value: Any) -> Blob | None:
    """Return the blob that a stand-in stands for, or None for anything else."""
    if type(value) is StandIn and isinstance(value._data, Blob):
        return value._data
    return None
