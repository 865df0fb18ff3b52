"""Makes the mutants of a file: the operators are mutmut's, each is applied to one place at a time.

mutmut runs tests on copies that hold all mutants of a function behind a switch. Our code is read
by what it runs (sources, code objects, pickles), so each mutant is a module of its own here.
"""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

__all__ = ["Mutant", "make_mutants"]

# Without an argument they fail at once, whatever is tested.
_NEVER_MUTATED_CALLS = {"len", "isinstance", "cast"}


class Mutant(NamedTuple):
    """One change of one file.

    Attributes:
        path: The file, from the root of the repository.
        function: The qualified name of the function, of the outer one where they are nested.
        line: Where the changed place begins.
        lines: All lines of the statement that holds it, or of the function whose head does.
        removed: The lines that it replaces, stripped.
        added: What stands there instead.
        source: The whole changed file.
        text: The changed function, as it stands there.
    """

    path: str
    function: str
    line: int
    lines: range
    removed: str
    added: str
    source: str
    text: str


class _Changes(cst.CSTVisitor):
    """Collects changed nodes within functions, with their outermost definition, name and line."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, cst.CSTNode, str, int]] = []
        self._names: list[tuple[cst.CSTNode, str]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator) or _is_left_alone(node):
            return False
        if isinstance(node, cst.Param) and not _is_plain_default(node):
            return False
        if any(isinstance(outer, cst.FunctionDef) for outer, _ in self._names):
            name = _qualified(self._names)
            line = self.get_metadata(PositionProvider, node).start.line
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    self.found.extend(
                        (node, changed, self._names[0][0], name, line) for changed in operator(node)
                    )
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._names.append((node, node.name.value))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self._names and self._names[-1][0] is original_node:
            self._names.pop()


class _Replacement(cst.CSTTransformer):
    def __init__(self, place: cst.CSTNode, changed: cst.CSTNode) -> None:
        super().__init__()
        self._place = place
        self._changed = changed

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node is not self._place

    def on_leave(self, original_node: cst.CSTNode, updated_node: Any) -> Any:
        return self._changed if original_node is self._place else updated_node


def make_mutants(root: Path, path: str, sample: int = 0, seed: int = 0) -> tuple[list[Mutant], int]:
    """Return mutants of a file, without those that are no Python, and how many there may be.

    Args:
        root: The root of the repository.
        path: The file, from there.
        sample: How many, chosen at random; 0 for all.
        seed: Of the choice.
    """
    text = (root / path).read_text(encoding="utf-8")
    module = cst.parse_module(text)
    changes = _Changes()
    MetadataWrapper(module, unsafe_skip_copy=True).visit(changes)
    statements, functions = _statements(text), _functions(text)
    length = text.count("\n")
    parts = [module.code_for_node(node) for node in (*module.header, *module.body, *module.footer)]
    places = {node: place for place, node in enumerate(module.body, len(module.header))}
    chosen = changes.found
    if 0 < sample < len(chosen):
        order = sorted(random.Random(seed).sample(range(len(chosen)), sample))
        chosen = [chosen[place] for place in order]
    made = []
    for node, changed, outermost, function, line in chosen:
        place = places[outermost]
        part = module.code_for_node(outermost.visit(_Replacement(node, changed)))
        source = "".join([*parts[:place], part, *parts[place + 1 :]])
        try:
            compile(source, path, "exec")
        except SyntaxError:
            continue
        removed, added = _difference(parts[place], part)
        lines = statements.get(line, range(line, line + 1))
        first, last = next(ends for ends in functions if ends[0] <= line <= ends[1])
        longer = source.count("\n") - length
        whole = "\n".join(source.splitlines()[first - 1 : last + longer])
        made.append(Mutant(path, function, line, lines, removed, added, source, whole))
    return made, len(changes.found)


def _qualified(names: list[tuple[cst.CSTNode, str]]) -> str:
    """Return the qualified name of the outermost function."""
    found = []
    for node, name in names:
        found.append(name)
        if isinstance(node, cst.FunctionDef):
            break
    return ".".join(found)


def _is_left_alone(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Name)
        and node.func.value in _NEVER_MUTATED_CALLS
    )


def _is_plain_default(param: cst.Param) -> bool:
    """Whether a default cannot fail where the function is defined."""
    plain = cst.Name | cst.BaseNumber | cst.BaseString
    return param.default is None or isinstance(param.default, plain)


def _statements(text: str) -> dict[int, range]:
    """Return the lines of the innermost statement, or of its head, for each line.

    For the head of a function, with its defaults, those of the whole function.
    """
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(text)):  # outer statements come before inner ones
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            lines = concerned = range(first, max(first, last) + 1)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                concerned = range(first, node.end_lineno + 1)  # its head runs on import
            found.update(dict.fromkeys(lines, concerned))
    return found


def _functions(text: str) -> list[tuple[int, int]]:
    """Return the first and last lines of all functions, outer ones before inner ones."""
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _difference(before: str, after: str) -> tuple[str, str]:
    """Return the lines that differ: nothing but the place differs, so ends are cut off."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return " ".join(line.strip() for line in old), " ".join(line.strip() for line in new)
