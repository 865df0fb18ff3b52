"""The state of a class entity: its public attributes, over edits of the class."""

from __future__ import annotations

import copy
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .errors import EntityStateError

__all__ = ["KEPT_ASIDE", "ClassState"]

KEPT_ASIDE: Final = "$kept_aside"
"""Key, in the state, of attributes the class no longer has."""


_CONSTANT: Final = re.compile(r"(\w+\.)?(ClassVar|Final)\b")


class ClassState:
    """Turns objects of an entity class into state and back.

    A new attribute takes its default; one the class no longer has is kept aside, and comes back
    with it; a value whose type no longer fits is converted where that loses nothing.

    Args:
        cls: The entity class.
        namespace: Its globals, for its type hints.
    """

    def __init__(self, cls: type, namespace: Mapping[str, Any]) -> None:
        self._cls = cls
        try:
            hints = typing.get_type_hints(cls, dict(namespace))
        except Exception:  # noqa: BLE001  (hints are the user's: what cannot be read checks nothing)
            hints = {}
        self._hints = {name: hint for name, hint in hints.items() if not _is_constant(hint)}
        self._constants = (hints.keys() - self._hints.keys()) | _named_constants(cls)

    def load(self, state: Any) -> Any:
        """Return an object with that state; a fresh one for None.

        Raises:
            EntityStateError: A value does not fit the class; the state is left alone.
        """
        entity = self._fresh()
        if state is None:
            return entity
        if not isinstance(state, dict):
            raise EntityStateError(self._cls.__name__, "", type(state).__name__, "an object")
        known = self._known(entity) | {name for name in self._hints if not name.startswith("_")}
        kept = dict(state.get(KEPT_ASIDE, {}))
        for name, value in {**kept, **state}.items():
            if name == KEPT_ASIDE:
                continue
            if name in known:
                setattr(entity, name, self._convert(name, value))
                kept.pop(name, None)
            else:
                kept[name] = value
        if kept:
            self._keep_aside(entity, kept)
        return entity

    def defaults(self) -> dict[str, Any]:
        """Return the attributes of a fresh object: reading an entity does not create it."""
        return self.attributes(self._fresh())

    def attributes(self, entity: Any) -> dict[str, Any]:
        """Return the state of an object: its public attributes, and what was kept aside."""
        values = {name: getattr(entity, name) for name in sorted(self._known(entity))}
        kept = _dict_of(entity).get(KEPT_ASIDE)
        return {**values, KEPT_ASIDE: kept} if kept else values

    def _fresh(self) -> Any:
        """Return a new object with defaults of its own: those of a class body would be shared."""
        entity = self._cls()
        own = _dict_of(entity)
        for cls in type(entity).__mro__[:-1]:
            for name, value in vars(cls).items():
                is_default = not name.startswith("_") and _is_plain(value)
                if is_default and name not in own and name not in self._constants:
                    setattr(entity, name, copy.deepcopy(value))
        return entity

    def _keep_aside(self, entity: Any, kept: dict[str, Any]) -> None:
        """Keep what the class does not know, where it does not get in the way."""
        if not hasattr(entity, "__dict__"):
            name, value = next(iter(kept.items()))
            wanted = "no such attribute (a class with __slots__ keeps nothing aside)"
            raise EntityStateError(self._cls.__name__, name, type(value).__name__, wanted)
        vars(entity)[KEPT_ASIDE] = kept

    def _known(self, entity: Any) -> set[str]:
        """Names of the attributes an object has or its class declares with a value."""
        names = {name for name in _dict_of(entity) if name != KEPT_ASIDE}
        names |= {name for name in self._hints if hasattr(entity, name)}
        for cls in type(entity).__mro__[:-1]:
            for name, value in vars(cls).items():
                if _is_plain(value) or (_is_slot(value) and hasattr(entity, name)):
                    names.add(name)
                elif isinstance(value, functools.cached_property):
                    names.discard(name)
        return {name for name in names - self._constants if not name.startswith("_")}

    def _convert(self, name: str, value: Any) -> Any:
        hint = self._hints.get(name)
        if hint is None or hint is Any or _fits(value, hint):
            return value
        try:
            return msgspec.convert(value, hint, strict=False)
        except (msgspec.ValidationError, TypeError):
            wanted = getattr(hint, "__name__", str(hint))
            raise EntityStateError(self._cls.__name__, name, type(value).__name__, wanted) from None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a hinted type, as far as that can be told quickly."""
    origin = typing.get_origin(hint) or hint
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if not isinstance(origin, type):
        return True
    if origin is float and type(value) is int:
        return True
    try:
        return isinstance(value, origin)
    except TypeError:  # a TypedDict or a protocol says nothing about classes
        return True


def _is_constant(hint: Any) -> bool:
    """Whether a hint marks a constant of the class rather than state."""
    marks = (typing.ClassVar, typing.Final)
    return hint in marks or typing.get_origin(hint) in marks


def _named_constants(cls: type) -> set[str]:
    """Return the constants among the hints that are text, which may not be readable here."""
    hints = [item for base in cls.__mro__ for item in vars(base).get("__annotations__", {}).items()]
    return {name for name, hint in hints if isinstance(hint, str) and _CONSTANT.match(hint)}


def _is_slot(value: Any) -> bool:
    return isinstance(value, types.MemberDescriptorType)


def _dict_of(entity: Any) -> dict[str, Any]:
    """Return the attributes of an object; none where its class has slots only."""
    found: dict[str, Any] = getattr(entity, "__dict__", {})
    return found


def _is_plain(value: Any) -> bool:
    """Whether a class attribute is a default value rather than a method or descriptor."""
    return not callable(value) and not hasattr(value, "__get__")
