"""Which function or class a cell defines: read off its source, without running it."""

from __future__ import annotations

import ast
from typing import NamedTuple

from ipydurable.runtime.core.errors import DefinitionError

__all__ = ["CellDefinition", "find_definition"]

_Defines = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class CellDefinition(NamedTuple):
    """What a cell defines.

    Attributes:
        function: The global name of the durable function, or of the class of an entity.
        name: The name of its definition.
        helpers: Everything else the cell defines with `def` or `class`, in order.
    """

    function: str
    name: str
    helpers: tuple[str, ...] = ()


def find_definition(source: str, kind: str, name: str | None = None) -> CellDefinition:
    """Find the durable function of a cell.

    It is the function named `name` where the cell defines one of that name, else the last
    function at the top level whose name does not begin with an underscore. Whatever else the
    cell defines are its helpers. An entity may be a class as well as a function.

    Args:
        source: The body of the cell, as Python (magics already replaced).
        kind: What the cell is to define, e.g. `"activity"`.
        name: What the definition is to be called, if not like its function.

    Raises:
        SyntaxError: The source is no Python.
        DefinitionError: The cell defines no such function; says what was found instead.
    """
    defined = [node for node in ast.parse(source).body if isinstance(node, _Defines)]
    names = [
        node.name for node in defined if kind == "entity" or not isinstance(node, ast.ClassDef)
    ]
    candidates = [one for one in names if one == name] or [
        one for one in names if not one.startswith("_")
    ]
    if not candidates:
        raise DefinitionError(_nothing_found(kind, defined))
    function = candidates[-1]
    helpers = dict.fromkeys(node.name for node in defined if node.name != function)
    return CellDefinition(function, name or function, tuple(helpers))


def _nothing_found(kind: str, defined: list[_Defines]) -> str:
    example = {
        "orchestrator": "async def report(ctx, cities): ...",
        "entity": "class Account: ...",
    }.get(kind, "def fetch(city): ...")
    what = "class or function" if kind == "entity" else "function"
    if not defined:
        found = "nothing with def or class at its top level"
    elif kind != "entity" and all(isinstance(node, ast.ClassDef) for node in defined):
        found = "classes only"
    else:
        found = "only names that begin with an underscore, which are helpers"
    return (
        f"A cell with %%{kind} defines one {what}, for example\n    {example}\n"
        f"This one defines {found}."
    )
