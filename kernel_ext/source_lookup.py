"""Where a live function or class was written: the statement, its file and its line.

Cells are found by the lines IPython keeps in `linecache`; modules by their files.
"""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

__all__ = ["SourceBook", "SourceOf", "Statement", "absolute_name", "display_name"]

SourceOf = Callable[[Any], tuple[str, str, int] | None]
"""Gives source, file name and first line of an object whose source cannot be found otherwise."""

_Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NESTED = "if True:\n"
_OUR_DECORATORS = frozenset({"activity", "orchestrator", "entity"})


class Statement(NamedTuple):
    """A statement that binds a global name.

    Attributes:
        node: The statement, without the decorators that make it durable.
        source: Its text without these decorators, dedented.
        written: Its text as it was written, dedented.
        filename: What tracebacks call the file.
        first_line: The line of the file at which `source` begins.
    """

    node: ast.stmt
    source: str
    written: str
    filename: str
    first_line: int


class SourceBook:
    """Finds statements in the cells of this process and in the file of a home module.

    Args:
        home: The module whose functions and classes are looked for; `__main__` means cells.
        namespace: Its globals, in which decorators are looked up.
        source_of: Asked first for every object.
    """

    def __init__(
        self, home: str, namespace: Mapping[str, Any], source_of: SourceOf | None = None
    ) -> None:
        self._home = home
        self._namespace = namespace
        self._source_of = source_of

    def of_function(self, function: FunctionType) -> Statement | None:
        """Return the `def` of a function, or the assignment of a lambda."""
        given = self._given(function)
        if given is not None:
            return given
        code = function.__code__
        for node in _statements(_tree_of(code.co_filename)):
            if _is_def_of(node, code) or _is_lambda_of(node, code):
                return self._statement(node, code.co_filename)
        return None

    def of_class(self, cls: type) -> Statement | None:
        """Return the `class` statement of a class, or the assignment of one made by a call.

        Several cells may have defined classes of that name: of those whose body fits the live
        class, the newest counts.
        """
        given = self._given(cls)
        if given is not None:
            return given
        unfit: list[Statement] = []
        for filename in dict.fromkeys([*_files_of_methods(cls), *self.files()]):
            for node in reversed(list(_statements(_tree_of(filename)))):
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                    if self._fits(node, cls):
                        return self._statement(node, filename)
                    unfit.append(self._statement(node, filename))
        # Attributes may have been changed since, so a class that does not fit is better than none.
        return self.of_call(cls.__name__) or next(iter(unfit), None)

    def of_assignment(self, name: str) -> Statement | None:
        """Return the newest top-level statement that assigns a global name."""
        for filename in self.files():
            for node in reversed(_tree_of(filename).body):
                if name in _targets(node):
                    return self._statement(node, filename)
        return None

    def of_call(self, name: str) -> Statement | None:
        """Return the newest assignment of a global name, if what it assigns is made by a call."""
        written = self.of_assignment(name)
        is_call = written is not None and isinstance(getattr(written.node, "value", None), ast.Call)
        return written if is_call else None

    def imports(self) -> Iterator[tuple[str, str, str]]:
        """Yield module, attribute and bound name of every `from module import attribute`.

        A star is an attribute of its own.
        """
        package = getattr(sys.modules.get(self._home), "__package__", None) or ""
        for filename in self.files():
            for node in ast.walk(_tree_of(filename)):
                if isinstance(node, ast.ImportFrom):
                    module = absolute_name(node, package)
                    for alias in node.names:
                        yield module, alias.name, alias.asname or alias.name

    def files(self) -> Iterator[str]:
        """Yield the names of the files of the home module, or of the cells, newest first."""
        module_file = getattr(sys.modules.get(self._home), "__file__", None)
        if module_file:
            yield module_file
        if self._home == "__main__":
            for filename, entry in reversed(list(linecache.cache.items())):
                # Lines that belong to no file: those that IPython, or we, have put there.
                if len(entry) == 4 and entry[1] is None and filename != module_file:  # noqa: PLR2004
                    yield filename

    def _given(self, found: Any) -> Statement | None:
        given = self._source_of(found) if self._source_of is not None else None
        if given is None:
            return None
        source, filename, first_line = given
        lines = textwrap.dedent(source).splitlines()
        node = _parse("\n".join(lines)).body[0]
        return self._cut(node, lines, filename, first_line - 1)

    def _statement(self, node: ast.stmt, filename: str) -> Statement:
        lines = [line.rstrip("\n") for line in linecache.getlines(filename)]
        return self._cut(node, lines, display_name(filename), 0)

    def _cut(self, node: ast.stmt, lines: list[str], filename: str, offset: int) -> Statement:
        """Cut a statement out of its file's lines."""
        first, last = _first_line(node), node.end_lineno or node.lineno
        written = _without_neighbours(node, lines[first - 1 : last])
        kept = list(written)
        for decorator in node.decorator_list if isinstance(node, _Def) else ():
            if self._is_ours(decorator):
                begin, end = decorator.lineno - first, (decorator.end_lineno or 0) - first
                kept[begin : end + 1] = [""] * (end + 1 - begin)
        skipped = next(index for index, line in enumerate(kept) if line.strip())
        source = _dedented(kept[skipped:])
        cut = _parse(source).body[0]
        if source.startswith(_NESTED) and isinstance(cut, ast.If):
            cut = cut.body[0]
            skipped -= 1
        return Statement(
            cut, source, textwrap.dedent("\n".join(written)), filename, first + skipped + offset
        )

    def _fits(self, node: ast.ClassDef, cls: type) -> bool:
        """Whether a class statement may have made a class."""
        if not node.bases and not node.keywords and cls.__bases__ != (object,):
            return False
        if not all(map(self._is_known, [*node.bases, *node.decorator_list])):
            return False
        names = [base.__name__ for base in cls.__mro__]
        for base in node.bases:
            name = base.id if isinstance(base, ast.Name) else ""
            known = self._namespace.get(name, getattr(builtins, name, None))
            if isinstance(known, type) and known.__name__ not in names:
                return False
        return _has_body(cls, node)

    def _is_known(self, expression: ast.expr) -> bool:
        """Whether the names of a base or decorator mean something where the class is used."""
        names = [one.id for one in ast.walk(expression) if isinstance(one, ast.Name)]
        return all(name in self._namespace or hasattr(builtins, name) for name in names)

    def _is_ours(self, decorator: ast.expr) -> bool:
        """Whether a decorator is one that makes a function durable."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        root = called
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or not isinstance(called, ast.Name | ast.Attribute):
            return False
        name = called.id if isinstance(called, ast.Name) else called.attr
        origin = self._namespace.get(root.id)
        module = str(getattr(origin, "__module__", None) or getattr(origin, "__name__", ""))
        ours = origin is None or module.partition(".")[0] == "ipydurable"
        return name in _OUR_DECORATORS and ours


def display_name(filename: str) -> str:
    """Return what IPython's tracebacks call a file: `Cell In[3]` for a cell, else its path."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython is not None else None
    if shell is None:
        return filename
    label = shell.compile.format_code_name(filename)
    return filename if label is None else " ".join(label)


def _dedented(lines: list[str]) -> str:
    """Move a block to the left margin, without changing texts that span its lines."""
    text = "\n".join(lines)
    if not lines[0][:1].isspace():
        return text
    nested, moved = _NESTED + text, textwrap.dedent(text)
    block = _parse(nested).body[0]
    assert isinstance(block, ast.If)
    tree = _parse(moved)
    same = [ast.dump(node) for node in tree.body] == [ast.dump(node) for node in block.body]
    return moved if same else nested


def _without_neighbours(node: ast.stmt, lines: list[str]) -> list[str]:
    """Drop what other statements, set apart by semicolons, have on the same lines."""
    first, last = lines[0].encode(), lines[-1].encode()
    if last[node.end_col_offset :].lstrip().startswith(b";"):
        lines = [*lines[:-1], last[: node.end_col_offset].decode()]
        first = lines[0].encode()
    if first[: node.col_offset].strip() and not first.lstrip().startswith(b"@"):
        lines = [first[node.col_offset :].decode(), *lines[1:]]
    return lines


def _tree_of(filename: str) -> ast.Module:
    return _parse("".join(linecache.getlines(filename)))


@lru_cache(maxsize=1024)
def _parse(text: str) -> ast.Module:
    """Parse a file; one that is no Python has no statements."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, _Def) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _is_def_of(node: ast.stmt, code: CodeType) -> bool:
    return (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == code.co_name
        and _first_line(node) == code.co_firstlineno
    )


def _is_lambda_of(node: ast.stmt, code: CodeType) -> bool:
    return (
        code.co_name == "<lambda>"
        and isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Lambda)
        and node.value.lineno == code.co_firstlineno
    )


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _files_of_methods(cls: type) -> Iterator[str]:
    for member in vars(cls).values():
        function = _function_in(member)
        if function is not None and function.__qualname__.startswith(f"{cls.__qualname__}."):
            filename = function.__code__.co_filename
            if linecache.getlines(filename):  # not what @dataclass has generated
                yield filename


def _function_in(member: Any) -> FunctionType | None:
    """Return the function a class member was written as."""
    member = getattr(member, "__func__", getattr(member, "fget", member))
    if isinstance(member, type):
        return None
    found = inspect.unwrap(member)
    return found if isinstance(found, FunctionType) else None


def _has_body(cls: type, node: ast.ClassDef) -> bool:
    """Whether the names and plain values of a class body are those of a live class."""
    members = vars(cls)
    if issubclass(cls, enum.Enum) and not set(cls.__members__) <= set(_bound_in(node)):
        return False
    annotated = {**members.get("__annotations__", {}), **getattr(cls, "__dataclass_fields__", {})}
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            function = _function_in(members.get(part.name))
            if function is None or function.__code__.co_firstlineno != _first_line(part):
                return False
        for name in _targets(part):
            if name.startswith("_"):
                continue
            if name not in members and name not in annotated:
                return False
            live = members.get(name)
            live = live.value if isinstance(live, enum.Enum) else live
            if not _may_be(getattr(part, "value", None), live):
                return False
    return True


def _bound_in(node: ast.ClassDef) -> list[str]:
    return [name for part in node.body for name in _targets(part)]


def _may_be(expression: ast.expr | None, live: Any) -> bool:
    """Whether a live value may be that of an expression; only literals are compared."""
    try:
        written = ast.literal_eval(expression) if expression is not None else live
    except (ValueError, TypeError):
        return True
    return type(written) is not type(live) or bool(written == live)


def absolute_name(node: ast.ImportFrom, package: str) -> str:
    """Return the module that a `from` statement in a package names."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])
