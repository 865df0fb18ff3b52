"""Content hashes of code and values: the same content is the same hash, in any process.

Comments, formatting, docstrings, file names and line numbers do not count; neither does the order
of a set, nor the module that a definition is at home in.
"""

from __future__ import annotations

import ast
import hashlib
import types
from collections.abc import Callable
from typing import Any

import msgspec

from ipydurable.runtime.core.payload import Payload

__all__ = ["dump_code", "hash_of", "hash_of_value"]

_IGNORED_FIELDS = frozenset({"type_comment", "kind", "type_ignores"})
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), range)

DumpFunction = Callable[[types.FunctionType], str | None]
"""Gives the normalised source of a function, or None where there is none."""


def hash_of(material: Any) -> str:
    """Return the version of what a definition is made of: 16 hexadecimal digits.

    Args:
        material: Lists and text.
    """
    return hashlib.sha256(msgspec.json.encode(material)).hexdigest()[:16]


def dump_code(node: ast.AST) -> str:
    """Return the meaning of a syntax tree as text, the same in all versions of Python.

    Docstrings are left out, and so is whatever is empty.
    """
    parts = []
    for name, value in ast.iter_fields(node):
        if name in _IGNORED_FIELDS or value is None or value == []:
            continue
        if name == "body" and isinstance(value, list):
            value = _without_docstring(node, value)  # noqa: PLW2901 - the same thing, cleaned
        parts.append(f"{name}={_dump_field(value)}")
    return f"{type(node).__name__}({', '.join(parts)})"


def _dump_field(value: Any) -> str:
    if isinstance(value, ast.AST):
        return dump_code(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_dump_field, value))}]"
    return repr(value)


def _without_docstring(node: ast.AST, body: list[Any]) -> list[Any]:
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
        return body[1:]
    return body


def hash_of_value(value: Any, payload: Payload, home: str, dump_function: DumpFunction) -> str:
    """Return the content hash of a captured value.

    Args:
        value: The value.
        payload: How it was encoded.
        home: The module the definition is at home in.
        dump_function: For functions that have no name of their own.
    """
    if isinstance(payload, str):
        # A class at home is named by its module, which must not count.
        return hash_of(payload.replace(f'"{home}:', '"__main__:'))
    if payload.codec == "arrow":
        return hashlib.sha256(payload.data).hexdigest()[:16]
    return _ValueHash(home, dump_function).digest(value).hex()[:16]


class _ValueHash:
    """Hashes objects by what pickling would store, not by its bytes.

    The bytes differ between processes: sets have no order, and equal texts may be one object or
    two. Only finished digests are remembered, so cycles are told by their depth.
    """

    def __init__(self, home: str, dump_function: DumpFunction) -> None:
        self._home = home
        self._dump_function = dump_function
        self._open: dict[int, int] = {}
        # The objects are kept alive: ids are reused otherwise.
        self._done: dict[int, tuple[Any, bytes]] = {}

    def digest(self, value: Any) -> bytes:
        """Return the digest of any object."""
        kind = type(value)
        if kind in _ATOMS:
            return _digest(kind.__name__, repr(value).encode("utf-8", "backslashreplace"))
        if id(value) in self._done:
            return self._done[id(value)][1]
        if id(value) in self._open:
            up = len(self._open) - self._open[id(value)]
            return _digest("itself", str(up).encode())
        self._open[id(value)] = len(self._open)
        try:
            digest = self._digest_parts(value, kind)
        finally:
            del self._open[id(value)]
        self._done[id(value)] = value, digest
        return digest

    def _digest_parts(self, value: Any, kind: type) -> bytes:
        if kind in (list, tuple):
            return _digest(kind.__name__, *map(self.digest, value))
        if kind in (set, frozenset):
            return _digest(kind.__name__, *sorted(map(self.digest, value)))
        if kind is dict:
            pairs = [self.digest(part) for pair in value.items() for part in pair]
            return _digest("dict", *pairs)
        if isinstance(value, type):
            return self._named("class", value)
        if isinstance(value, types.ModuleType):
            return _digest("module", value.__name__.encode())
        if isinstance(value, types.FunctionType):
            return self._function(value)
        durable = getattr(value, "__durable_kind__", None), getattr(value, "__durable_name__", None)
        if type(durable[0]) is str:
            return _digest("durable", repr(durable).encode())
        if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject:
            return _digest(
                "ndarray", repr((value.dtype.str, value.shape)).encode(), value.tobytes()
            )
        return self._reduced(value)

    def _reduced(self, value: Any) -> bytes:
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - dill stores what says it cannot be pickled
            return self._named("instance", type(value))
        if isinstance(reduced, str):
            return _digest("global", f"{self._home_of(value)}:{reduced}".encode())
        made, items = reduced[:3], reduced[3:5]  # items are iterators, or None
        parts = [*made, *(None if each is None else list(each) for each in items)]
        return _digest("instance", *map(self.digest, parts))

    def _function(self, function: types.FunctionType) -> bytes:
        if "<" not in function.__qualname__:
            return self._named("function", function)
        cells = [_contents(cell) for cell in function.__closure__ or ()]
        code = self._dump_function(function)
        return _digest(
            "function",
            code.encode() if code is not None else self.digest(_code(function.__code__)),
            self.digest([function.__defaults__, function.__kwdefaults__]),
            self.digest(cells),
        )

    def _named(self, what: str, named: Any) -> bytes:
        return _digest(what, f"{self._home_of(named)}:{named.__qualname__}".encode())

    def _home_of(self, named: Any) -> str:
        module = getattr(named, "__module__", None) or ""
        return "__main__" if module == self._home else module


def _digest(what: str, *parts: bytes) -> bytes:
    found = hashlib.sha256(what.encode())
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _code(code: types.CodeType) -> tuple[Any, ...]:
    """Return what compiled code does, without file names and line numbers."""
    constants = [
        _code(constant) if isinstance(constant, types.CodeType) else constant
        for constant in code.co_consts
    ]
    return (
        code.co_name,
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_flags,
        constants,
    )
