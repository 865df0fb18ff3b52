"""Which global names a statement uses, and when: while it is executed, or when it is called."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Names", "attribute_chains", "first_use", "names_in"]

_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})


class Names(NamedTuple):
    """Global names of a statement.

    Attributes:
        defining: Needed to execute it: decorators, defaults, bases, class bodies, annotations.
        calling: Used by the functions in it when they are called.
        hints: Occur in annotations only, and are not needed to execute it.
    """

    defining: frozenset[str]
    calling: frozenset[str]
    hints: frozenset[str]


def names_in(node: ast.stmt, *, lazy_annotations: bool) -> Names:
    """Return the global names that a statement uses.

    Args:
        node: A `def`, `class` or assignment.
        lazy_annotations: Whether `from __future__ import annotations` applies to it.
    """
    hints = frozenset(_names_of_hints(node))
    if lazy_annotations:
        node = _WithoutAnnotations().visit(ast.parse(ast.unparse(node)).body[0])
    table = symtable.symtable(ast.unparse(node), "<definition>", "exec")
    defining: set[str] = set()
    calling: set[str] = set()
    for symbol in table.get_symbols():
        if symbol.is_referenced():
            defining.add(symbol.get_name())
    for child in table.get_children():
        _collect(child, defining, calling, is_called=False)
    return Names(frozenset(defining), frozenset(calling), hints - defining - calling)


def _collect(
    table: symtable.SymbolTable, defining: set[str], calling: set[str], *, is_called: bool
) -> None:
    # A comprehension runs where it stands; a function, when it is called.
    is_function = table.get_type() == "function" and table.get_name() not in _COMPREHENSIONS
    is_called = is_called or is_function
    for symbol in table.get_symbols():
        if symbol.is_global() and (symbol.is_referenced() or symbol.is_assigned()):
            (calling if is_called else defining).add(symbol.get_name())
    for child in table.get_children():
        _collect(child, defining, calling, is_called=is_called)


def attribute_chains(node: ast.AST, name: str) -> Iterator[tuple[str, ...]]:
    """Yield the attributes used of a global name: `("futures", "wait")` of `x.futures.wait`."""
    for part in ast.walk(node):
        chain: list[str] = []
        while isinstance(part, ast.Attribute):
            chain.append(part.attr)
            part = part.value  # noqa: PLW2901 - walking down the chain
        if chain and isinstance(part, ast.Name) and part.id == name:
            yield tuple(reversed(chain))


def first_use(node: ast.AST, name: str) -> int | None:
    """Return the first line, counted from 1 within the statement, that uses a name."""
    lines = [
        part.lineno for part in ast.walk(node) if isinstance(part, ast.Name) and part.id == name
    ]
    return min(lines, default=None)


def _names_of_hints(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        hints: list[ast.expr | None] = []
        if isinstance(part, ast.arg | ast.AnnAssign):
            hints = [part.annotation]
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            hints = [part.returns]
        for hint in hints:
            if hint is not None:
                yield from _names_of_hint(hint)


def _names_of_hint(hint: ast.expr) -> Iterator[str]:
    for part in ast.walk(hint):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            try:
                quoted = ast.parse(part.value, mode="eval").body
            except SyntaxError:
                continue
            yield from (name.id for name in ast.walk(quoted) if isinstance(name, ast.Name))


class _WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations, which are then not evaluated."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)
