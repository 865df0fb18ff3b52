"""Checks an orchestrator, and the helpers it reaches, for what replay would not do again.

Pure: reads the sources of a captured package, runs nothing. What activities and entities do is
nobody's business here, nor is what happens inside libraries beyond the names everybody knows.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ipydurable.runtime.definitions import Chunk, CodePackage
from ipydurable.runtime.effects import IS_SILENCED, Advice, advice_for, advice_for_method

from .effects_flow import caught_exits, endless_loops, lost_tasks
from .effects_names import SET, Function, Names, Scope

__all__ = ["Finding", "check_effects"]

_MAX_CODE_CHARS: Final = 72
_REFERENCES: Final = frozenset(
    [
        "call_activity",
        "call_sub_orchestrator",
        "call_activity_with_retry",
        "call_entity",
        "signal_entity",
        "call_sub_orchestrator_with_retry",
        "lock_entities",
        "entity",
    ]
)
_MUTATORS: Final = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "appendleft",
        "popleft",
        "extendleft",
        "sort",
        "reverse",
    ]
)
_ANY_ORDER: Final = frozenset(
    f"builtins.{name}"
    for name in ["sorted", "sum", "min", "max", "len", "any", "all", "set", "frozenset"]
)
_KEEPS_ORDER: Final = frozenset(
    f"builtins.{name}"
    for name in ["list", "tuple", "enumerate", "iter", "zip", "map", "filter", "reversed"]
)
_COMBINATORS: Final = ("ctx.when_all", "ctx.when_any", "ctx.task_all", "ctx.task_any")
_SET_ORDER: Final = Advice(
    "set order", "a set's order differs from process to process", "sorted(...)"
)
_MUTATION: Final = Advice(
    "global state",
    "is shared by all instances, and changed again by each replay",
    "a local variable, custom status, or an entity",
)
_PRINT: Final = Advice(
    "print",
    "goes to the host's log, once more at each replay",
    "if not ctx.is_replaying: print(...)",
)


class Finding(NamedTuple):
    """One thing an orchestrator should not do.

    Attributes:
        kind: What it is about, in a word: `"clock"`.
        code: The offending code, in a line.
        reason: Why it is a problem.
        remedy: What to write instead.
        filename: What tracebacks call the file: `"Cell In[3]"`, or a path.
        line: The line of that file, from 1.
        text: That line, as it was written.
        is_hint: Whether it may well be meant; strict mode lets it pass.
    """

    kind: str
    code: str
    reason: str
    remedy: str
    filename: str
    line: int
    text: str
    is_hint: bool = False

    def __str__(self) -> str:
        return (
            f"{self.filename}, line {self.line}: {self.code} · {self.reason}. "
            f"Instead: {self.remedy}"
        )


def check_effects(package: CodePackage, live: Mapping[str, Any] | None = None) -> list[Finding]:
    """Return what an orchestrator should not do, in the order of its source; empty if it is fine.

    A line that ends with the comment `# durable: ok` is left alone.

    Args:
        package: The orchestrator's captured code.
        live: The values its global names have, where they are known.
    """
    return _Check(package, live or {}).run()


class _Check:
    """Walks all functions that an orchestrator reaches."""

    def __init__(self, package: CodePackage, live: Mapping[str, Any]) -> None:
        self.names = Names(package, live)
        self._entry = self.names.entry(package.entry)
        self._waiting: list[str] = [self._entry]
        self._seen: set[str] = set()
        self._classes: list[tuple[ast.ClassDef, Chunk]] = []
        self._attributes: set[str] = set()
        self._findings: dict[tuple[str, int, str, str], Finding] = {}

    def run(self) -> list[Finding]:
        while self._waiting:
            name = self._waiting.pop(0)
            if name not in self._seen and name in self.names.defined:
                self._seen.add(name)
                self._visit_global(name)
            if not self._waiting:
                self._visit_methods()
        return sorted(
            self._findings.values(), key=lambda one: (one.filename, one.line, one.is_hint)
        )

    def _visit_global(self, name: str) -> None:
        node, chunk = self.names.defined[name]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.function(node, chunk, None, is_entry=name == self._entry)
        elif isinstance(node, ast.ClassDef):
            self._classes.append((node, chunk))
        elif isinstance(node, ast.Assign):
            for part in ast.walk(node.value):
                if isinstance(part, ast.Lambda):
                    self.function(part, chunk, None, is_entry=name == self._entry)
                elif isinstance(part, ast.Name):
                    self.want(part.id)

    def _visit_methods(self) -> None:
        """Visit the methods that something reached mentions; others may be for activities."""
        for cls, chunk in self._classes:
            for node in cls.body:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                key = f"{cls.name}.{node.name}"
                is_special = node.name.startswith("__") and node.name.endswith("__")
                if key not in self._seen and (is_special or node.name in self._attributes):
                    self._seen.add(key)
                    self.function(node, chunk, None)

    def function(
        self, node: Function, chunk: Chunk, parent: Scope | None, *, is_entry: bool = False
    ) -> None:
        """Check a function that the orchestrator reaches."""
        scope = Scope(node, self.names, parent, is_entry=is_entry)
        visitor = _Visitor(self, chunk, scope)
        for part in node.body if isinstance(node.body, list) else [node.body]:
            visitor.visit(part)
        for decorator in getattr(node, "decorator_list", ()):
            for used in ast.walk(decorator):
                if isinstance(used, ast.Name):
                    self.want(used.id)
        for at, advice, is_hint in [*endless_loops(scope), *caught_exits(node), *lost_tasks(scope)]:
            self.report(chunk, at, advice, is_hint=is_hint)

    def want(self, name: str) -> None:
        """Note that a global name is used."""
        self._waiting.append(name)

    def mention(self, attribute: str) -> None:
        """Note that a method of that name may be called."""
        self._attributes.add(attribute)

    def report(
        self,
        chunk: Chunk,
        node: ast.AST,
        advice: Advice,
        *,
        statement: ast.stmt | None = None,
        is_hint: bool = False,
    ) -> None:
        """Add a finding, unless its line or its statement is silenced."""
        lines = chunk.source.splitlines()
        spans = [_lines_of(node), _lines_of(statement or node)]
        if any(IS_SILENCED.search(line) for span in spans for line in lines[span]):
            return
        code = _shown(node, chunk.source)
        finding = Finding(
            kind=advice.kind,
            code=code,
            reason=advice.reason,
            remedy=advice.remedy,
            filename=chunk.filename,
            line=chunk.first_line - 1 + getattr(node, "lineno", 1),
            text=lines[getattr(node, "lineno", 1) - 1].rstrip(),
            is_hint=is_hint,
        )
        self._findings.setdefault((finding.filename, finding.line, finding.kind, code), finding)


class _Visitor(ast.NodeVisitor):
    """Looks at the expressions of one function."""

    def __init__(self, check: _Check, chunk: Chunk, scope: Scope) -> None:
        self._check = check
        self._chunk = chunk
        self._scope = scope
        self._any_order = 0
        self._not_replaying = 0
        self._statement: ast.stmt | None = None

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._statement = node
        super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inner(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inner(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inner(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in node.body:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                self._inner(part)

    def _inner(self, node: Function) -> None:
        self._check.function(node, self._chunk, self._scope)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            found = self._scope.origin(node)
            if found in ("os.environ", "sys.argv"):
                self._advise(node, found)
            self._check.want(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        found = self._scope.origin(node)
        if found in ("os.environ", "os.environb", "sys.argv"):
            self._advise(node, found)
        elif isinstance(node.ctx, ast.Store | ast.Del):
            self._changed(node.value, node)
        self._check.mention(node.attr)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store | ast.Del):
            self._changed(node.value, node)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Global(self, node: ast.Global) -> None:
        changed = {
            part.id
            for part in ast.walk(self._scope.function)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del)
        }
        if changed.intersection(node.names):
            self._report(node, _MUTATION)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        guarded = "is_replaying" in ast.unparse(node.test)
        self._not_replaying += guarded
        for part in [*node.body, *node.orelse]:
            self.visit(part)
        self._not_replaying -= guarded

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        if isinstance(node.ctx, ast.Load) and not self._any_order:
            self._iterated(node.value)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, node.generators)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, node.generators)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        # The order of a dict rarely matters; that of what it schedules does.
        self._comprehension(node, node.generators if _schedules(node, self._scope) else [])

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node, node.generators if _schedules(node, self._scope) else [])

    def _comprehension(self, node: ast.expr, generators: list[ast.comprehension]) -> None:
        if not self._any_order or _schedules(node, self._scope):
            for one in generators:
                self._iterated(one.iter)
        outer, self._any_order = self._any_order, 0
        self.generic_visit(node)
        self._any_order = outer

    def visit_Call(self, node: ast.Call) -> None:
        called = self._scope.origin(node.func)
        if called == "builtins.print" and not self._not_replaying:
            self._report(node, _PRINT, is_hint=True)
        elif not self._advise(node, called, len(node.args) + len(node.keywords)):
            self._method(node)
        self._order_of_sets(node, called)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(argument, ast.Name | ast.Attribute):
                self._passed(argument)
        if called.startswith("ctx.") and called[4:] in _REFERENCES and node.args:
            # A function that only names an activity is not called here.
            self.visit(node.func)
            rest: list[ast.expr] = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
            if not isinstance(node.args[0], ast.Name):
                rest.insert(0, node.args[0])
            for argument in rest:
                self.visit(argument)
            return
        self.visit(node.func)
        outer, self._any_order = self._any_order, int(called in _ANY_ORDER)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.visit(argument)
        self._any_order = outer

    def _method(self, node: ast.Call) -> None:
        """Look at a call of a method whose object may be anything."""
        if not isinstance(node.func, ast.Attribute):
            if self._scope.origin(node.func) == "builtins.next" and node.args:
                self._changed(node.args[0], node)
            return
        owner, name = self._scope.origin(node.func.value), node.func.attr
        if name in _MUTATORS:
            self._changed(node.func.value, node)
        advice = advice_for_method(name)
        if advice is not None and not owner.startswith(("stub:", "ctx", "code:", "local:")):
            self._report(node, advice)

    def _order_of_sets(self, node: ast.Call, called: str) -> None:
        arguments = [one for one in node.args if not isinstance(one, ast.Starred)]
        if called in _COMBINATORS:
            for argument in arguments:
                self._iterated(argument, "a list, or the keys of a dict")
        elif called in _KEEPS_ORDER and not self._any_order:
            for argument in arguments:
                self._iterated(argument)
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr == "join":
                for argument in arguments:
                    self._iterated(argument)
            elif node.func.attr == "pop" and self._scope.origin(node.func.value) == SET:
                self._report(node, _SET_ORDER)

    def _report(self, node: ast.AST, advice: Advice, *, is_hint: bool = False) -> None:
        self._check.report(self._chunk, node, advice, statement=self._statement, is_hint=is_hint)

    def _iterated(self, node: ast.expr, remedy: str = "") -> None:
        if self._scope.origin(node) == SET:
            remedy = remedy or f"sorted({_shown(node, self._chunk.source)})"
            self._report(node, _SET_ORDER._replace(remedy=remedy))

    def _passed(self, node: ast.expr) -> None:
        """Look at a function that is handed on to be called: `map(random.choice, ...)`."""
        found = self._scope.origin(node)
        if "." in found and found.rpartition(".")[2].islower():
            # Whether it would get arguments nobody knows; classes are handed on for other ends.
            self._advise(node, found)

    def _advise(self, node: ast.expr, called: str, arguments: int = 0) -> bool:
        if not called or called.startswith(("code:", "stub:", "local:", "ctx")):
            return False
        first = None
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            first = node.args[0].value
        advice = advice_for(called, arguments, first)
        if advice is not None:
            self._report(node, advice)
        return advice is not None

    def _changed(self, target: ast.expr, node: ast.expr) -> None:
        """Report a change of something that is not the orchestrator's own."""
        root = target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if not isinstance(root, ast.Name):
            return
        found = self._scope.origin(root)
        if "()" in found and found != SET:
            return  # made by a call: its own
        name = found.partition(":")[2].partition(".")[0] or root.id
        is_value = found.startswith("value:") or (
            found == SET and root.id not in _local_names(self._scope)
        )
        is_other = found.startswith("code:") and not isinstance(node, ast.Call)
        if (is_value and self._check.names.is_mutable(name)) or is_other:
            self._report(node, _MUTATION)


def _local_names(scope: Scope) -> set[str]:
    found: set[str] = set()
    current: Scope | None = scope
    while current is not None:
        found |= current.bound_names
        current = current.parent
    return found


def _schedules(node: ast.AST, scope: Scope) -> bool:
    """Whether something in an expression asks for an action."""
    return any(
        scope.origin(part.func).startswith(("ctx.", "stub:"))
        for part in ast.walk(node)
        if isinstance(part, ast.Call)
    )


def _lines_of(node: ast.AST) -> slice:
    """Return the lines of a node, without those of the block it begins."""
    first = getattr(node, "lineno", 1)
    last = getattr(node, "end_lineno", None) or first
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        last = max(first, body[0].lineno - 1)
    return slice(first - 1, last)


def _shown(node: ast.AST, source: str) -> str:
    """Return the code of a node in one line."""
    if isinstance(node, ast.stmt | ast.ExceptHandler) and hasattr(node, "body"):
        text = source.splitlines()[node.lineno - 1].partition("#")[0]
    else:
        text = ast.get_source_segment(source, node) or ast.unparse(node)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CODE_CHARS else f"{text[: _MAX_CODE_CHARS - 1]}…"
