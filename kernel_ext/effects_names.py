"""What a name in captured code stands for, as a dotted origin.

`t` of `from time import time as t` is `time.time`, `np.random.rand` is `numpy.random.rand`; a local
variable `time` is not. Besides dotted names of modules there are origins of its own:
`stub:activity` and so on for durable definitions, `code:helper` for what the package holds the
source of, `value:name` for captured values, `ctx` for the context, `set()` for every set.
"""

from __future__ import annotations

import ast
import builtins
import random
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType
from typing import Any, Final

from ipydurable.runtime.definitions import Chunk, CodePackage

__all__ = ["SET", "Function", "Names", "Scope", "inner_scopes"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

SET: Final = "set()"
"""The origin of everything whose order is not repeated."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_SET_METHODS: Final = frozenset(
    ["union", "intersection", "difference", "symmetric_difference", "copy"]
)
_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
_CONTEXTS: Final = frozenset(["ctx", "context"])
_MAX_DEPTH: Final = 12


class Names:
    """The global names of a package.

    Args:
        package: The code.
        live: The values names have in this process, where they are known.
    """

    def __init__(self, package: CodePackage, live: Mapping[str, Any]) -> None:
        self._live = live
        self._imported = dict(_bound_by_imports("\n".join(package.imports)))
        self._stubs = {name: kind for name, (kind, _) in package.stubs.items()}
        self._values = set(package.values)
        self._aliases: dict[str, ast.expr] = {}
        self.defined: dict[str, tuple[ast.stmt, Chunk]] = {}
        for chunk in package.chunks:
            for node in _statements(chunk.source):
                self._take(node, chunk)

    def _take(self, node: ast.stmt, chunk: Chunk) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.defined.setdefault(node.name, (node, chunk))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._aliases[target.id] = node.value
                    self.defined.setdefault(target.id, (node, chunk))

    def entry(self, name: str) -> str:
        """Return the name its function was written under."""
        alias = self._aliases.get(name)
        return alias.id if isinstance(alias, ast.Name) else name

    def origin(self, name: str) -> str:
        """Return the origin of a global name; empty if nothing is known."""
        alias = self._aliases.get(name)
        stub = alias.id if isinstance(alias, ast.Name) else name
        if name in self._stubs or stub in self._stubs:
            return f"stub:{self._stubs.get(name) or self._stubs[stub]}"
        if name in self._imported:
            return self._imported[name]
        if isinstance(alias, ast.Name) and alias.id not in self.defined:
            return self.origin(alias.id)
        if name in self.defined:
            written = self.defined[name][0]
            return f"value:{name}" if _is_container(written) else f"code:{name}"
        if name in self._values:
            return self._of_value(name)
        if name == "get_ipython" or hasattr(builtins, name):
            return f"builtins.{name}"
        return ""

    def _of_value(self, name: str) -> str:
        live = self._live.get(name)
        if isinstance(live, BuiltinFunctionType):
            owner = live.__self__
            owner = owner if isinstance(owner, type) else getattr(owner, "__name__", "")
            where = f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else owner
            return f"{where}.{live.__name__}"
        return f"value:{name}"

    def is_set(self, name: str) -> bool:
        """Whether a captured value is a set."""
        return isinstance(self._live.get(name), set | frozenset)

    def is_generator(self, name: str) -> bool:
        """Whether a captured value gives random numbers."""
        live = self._live.get(name)
        module = type(live).__module__
        return isinstance(live, random.Random) or (
            module.startswith("numpy.random") and not isinstance(live, type)
        )

    def is_mutable(self, name: str) -> bool:
        """Whether a captured value may be changed in place, as far as is known."""
        live = self._live.get(name)
        return live is None or not isinstance(live, type | tuple | frozenset | str | int | float)


class Scope:
    """The variables of a function.

    Args:
        function: The function.
        names: The global names.
        parent: The scope of the function around it.
        is_entry: Whether it is the orchestrator itself, whose first parameter is the context.
    """

    def __init__(
        self,
        function: Function,
        names: Names,
        parent: Scope | None = None,
        *,
        is_entry: bool = False,
    ) -> None:
        self.function = function
        self.names = names
        self.parent = parent
        self.globals: set[str] = set()
        self._outer: set[str] = set()
        self._bound: dict[str, list[tuple[int, ast.expr | str]]] = {}
        self._bind_parameters(function, is_entry=is_entry)
        body = function.body if isinstance(function.body, list) else [function.body]
        for node in body:
            self._bind(node)
        for found in self._bound.values():
            found.sort(key=lambda one: one[0])

    @property
    def bound_names(self) -> set[str]:
        """The names of its own variables."""
        return set(self._bound) - self._outer

    def bindings_of(self, name: str) -> list[tuple[int, ast.expr | str]]:
        """Return the lines that bind a variable of its own, in order, and what to."""
        return [] if name in self._outer else self._bound.get(name, [])

    def origin(self, node: ast.expr, depth: int = 0) -> str:
        """Return what an expression stands for; empty if nothing is known."""
        if depth > _MAX_DEPTH:
            return ""
        match node:
            case ast.Name():
                return self._of_name(node, depth)
            case ast.Attribute():
                base = self.origin(node.value, depth + 1)
                return f"{base}.{node.attr}" if base and base != SET else ""
            case ast.Set() | ast.SetComp():
                return SET
            case ast.Call():
                return self._of_call(node, depth)
            case ast.BinOp():
                return self._of_operator(node, depth)
            case ast.NamedExpr():
                return self.origin(node.value, depth + 1)
            case ast.IfExp():
                either = self.origin(node.body, depth + 1), self.origin(node.orelse, depth + 1)
                return SET if SET in either else either[0]
            case _:
                return ""

    def _of_name(self, node: ast.Name, depth: int) -> str:
        scope: Scope | None = self
        while scope is not None:
            bound = scope.bindings_of(node.id)
            if bound:
                before = [what for line, what in bound if line < node.lineno]
                # A variable of a function around it has its last value when it is called.
                what = (before if scope is self and before else [w for _, w in bound])[-1]
                return what if isinstance(what, str) else scope.origin(what, depth + 1)
            if node.id in scope.globals:
                break
            scope = scope.parent
        found = self.names.origin(node.id)
        if found.startswith("value:") and self.names.is_set(node.id):
            return SET
        if found.startswith("value:") and self.names.is_generator(node.id):
            return "random"
        return found

    def _of_call(self, node: ast.Call, depth: int) -> str:
        if isinstance(node.func, ast.Attribute):
            base = self.origin(node.func.value, depth + 1)
            if base == SET:
                return SET if node.func.attr in _SET_METHODS else ""
        called = self.origin(node.func, depth + 1)
        if called in ("builtins.set", "builtins.frozenset"):
            return SET
        return f"{called}()" if called else ""

    def _of_operator(self, node: ast.BinOp, depth: int) -> str:
        if isinstance(node.op, _SET_OPERATORS):
            sides = (node.left, node.right)
            if any(self.origin(side, depth + 1) == SET or _is_view(side) for side in sides):
                return SET
        if isinstance(node.op, ast.Div) and self.origin(node.left, depth + 1) == "pathlib.Path()":
            return "pathlib.Path()"
        return ""

    def _add(self, name: str, line: int, what: ast.expr | str) -> None:
        self._bound.setdefault(name, []).append((line, what))

    def _bind_parameters(self, function: Function, *, is_entry: bool) -> None:
        given = function.args
        for index, one in enumerate([*given.posonlyargs, *given.args, *given.kwonlyargs]):
            hint = ast.unparse(one.annotation) if one.annotation is not None else ""
            what = ""
            if (is_entry and not index) or one.arg in _CONTEXTS or "OrchestrationContext" in hint:
                what = "ctx"
            elif hint.partition("[")[0].strip("'\"") in ("set", "frozenset", "Set", "FrozenSet"):
                what = SET
            self._add(one.arg, 0, what)
        for rest in (given.vararg, given.kwarg):
            if rest is not None:
                self._add(rest.arg, 0, "")

    def _bind(self, node: ast.AST) -> None:
        """Note what a statement binds in this scope."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._add(node.name, node.lineno, f"local:{node.name}")
            return
        if isinstance(node, ast.Lambda):
            return
        self._bind_declared(node)
        for target, value in _assignments(node):
            self._bind_target(target, value)
        for child in ast.iter_child_nodes(node):
            self._bind(child)

    def _bind_declared(self, node: ast.AST) -> None:
        if isinstance(node, ast.Global):
            self.globals.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            self._outer.update(node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name, dotted in _bound_by_import(node):
                self._add(name, node.lineno, dotted)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self._add(node.name, node.lineno, "")

    def _bind_target(self, target: ast.expr, value: ast.expr | str) -> None:
        if isinstance(target, ast.Name):
            if target.id not in self.globals:
                # What stands on the line itself is bound only after it.
                self._add(target.id, target.end_lineno or target.lineno, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._bind_target(one, "")
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, "")


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | str]]:
    """Yield what a node assigns to, and the expression; empty where that gives many values."""
    match node:
        case ast.Assign():
            yield from ((target, node.value) for target in node.targets)
        case ast.AnnAssign(value=ast.expr()):
            hint = ast.unparse(node.annotation).partition("[")[0]
            yield node.target, SET if hint in ("set", "frozenset") else node.value or ""
        case ast.NamedExpr():
            yield node.target, node.value
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            yield node.target, ""
        case ast.withitem(optional_vars=ast.expr()):
            yield node.optional_vars, node.context_expr  # type: ignore[misc]
        case _:
            pass


def inner_scopes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function that run in its own scope, without functions inside it."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        part = waiting.pop(0)
        yield part
        if not isinstance(part, _SCOPES):
            waiting[:0] = ast.iter_child_nodes(part)


def _statements(source: str) -> list[ast.stmt]:
    body = ast.parse(source).body
    if len(body) == 1 and isinstance(body[0], ast.If):  # how an indented statement is kept
        return body[0].body
    return body


def _bound_by_imports(text: str) -> Iterator[tuple[str, str]]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _bound_by_import(node)


def _bound_by_import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            root = alias.name.partition(".")[0]
            yield root, root


def _is_container(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(
        node.value, ast.List | ast.Dict | ast.Set | ast.Call | ast.ListComp | ast.DictComp
    )


def _is_view(node: ast.expr) -> bool:
    """Whether it is `x.keys()` or `x.items()`, which operators make sets of."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("keys", "items")
        and not node.args
    )
