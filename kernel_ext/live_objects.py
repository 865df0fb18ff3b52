"""What live functions, classes and durable definitions say of themselves."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any

__all__ = [
    "globals_of",
    "is_durable",
    "methods_of",
    "module_of",
    "plain",
    "unwrapped",
    "variables_of",
]


def globals_of(obj: Any, home: str) -> dict[str, Any]:
    """Return the globals of the home module, as the object sees them."""
    functions = methods_of(obj) if isinstance(obj, type) else [unwrapped(obj)]
    for function in functions:
        if isinstance(function, FunctionType) and function.__module__ == home:
            return function.__globals__
    return vars(sys.modules[home]) if home in sys.modules else {}


def methods_of(cls: type) -> list[FunctionType]:
    """Return the functions written in a class body."""
    members = [getattr(member, "__func__", member) for member in vars(cls).values()]
    members = [getattr(member, "fget", member) for member in members]
    return [
        member
        for member in members
        # Not the functions of other modules that were assigned to a name of the class.
        if isinstance(member, FunctionType) and member.__module__ == cls.__module__
    ]


def variables_of(function: Any) -> dict[str, Any]:
    """Return the variables of enclosing functions that a function uses."""
    found: dict[str, Any] = {}
    if isinstance(function, FunctionType) and function.__closure__:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    found.pop("__class__", None)
    return found


def unwrapped(live: Any) -> Any:
    """Return the function inside what decorators have made of it."""
    while callable(live) and not is_durable(live) and "__wrapped__" in _attributes_of(live):
        live = live.__wrapped__
    return live


def _attributes_of(live: Any) -> Mapping[str, Any]:
    found = getattr(live, "__dict__", None)
    return found if isinstance(found, Mapping) else {}


def is_durable(live: Any) -> bool:
    """Whether something is, or stands for, a durable definition."""
    kind = getattr(live, "__durable_kind__", None)
    return type(kind) is str and type(getattr(live, "__durable_name__", None)) is str


def plain(live: Any) -> Any:
    """Return the function or class that a durable definition wraps."""
    return getattr(live, "__wrapped__", live) if is_durable(live) else live


def module_of(live: Any) -> str:
    """Return the name of the module something says it is from; empty if it does not say."""
    module = getattr(live, "__module__", None)
    return module if isinstance(module, str) else ""
