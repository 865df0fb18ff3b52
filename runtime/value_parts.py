"""What a value is made of, and what a person needs to know of it without seeing all."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from .core.serialization import class_name

__all__ = ["Part", "parts_of", "summarise"]


class Part(NamedTuple):
    """A part of a value, and the step that leads to it, e.g. `[3]` or `.name`."""

    value: Any
    step: str


def parts_of(value: Any) -> Iterator[Part]:
    """Yield what a value is made of, each with the step that leads to it."""
    if isinstance(value, dict):
        yield from (Part(part, f"[{key!r}]") for key, part in value.items())
        yield from (Part(key, f" (the key {key!r})") for key in value)
    elif isinstance(value, list | tuple):
        yield from (Part(part, f"[{index}]") for index, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from (Part(part, " (one of its items)") for part in value)
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        for name, cell in cells:
            try:
                yield Part(cell.cell_contents, f" (its variable {name})")
            except ValueError:  # the cell is empty
                continue
    elif not isinstance(value, type):
        yield from (Part(part, f".{name}") for name, part in _attributes(value))


def _attributes(value: Any) -> Iterable[tuple[str, Any]]:
    try:
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.asdict(value).items()
        if dataclasses.is_dataclass(value):
            return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return list(vars(value).items())
    except (AttributeError, TypeError):
        return ()


def summarise(value: Any) -> str:
    """Return what a person needs to know of a value that only Python can read."""
    kind = type(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        size = " x ".join(map(str, shape)) or "scalar"
        dtype = getattr(value, "dtype", None)
        return f"{kind.__qualname__} {size}" + (f" {dtype}" if dtype is not None else "")
    if isinstance(value, types.FunctionType | type):
        return class_name(value).removeprefix("__main__:")
    if isinstance(value, list | tuple | dict | set | frozenset):
        return f"{kind.__qualname__} of {len(value)}"
    return kind.__qualname__
