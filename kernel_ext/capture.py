"""From a live function or class to the code that makes it again elsewhere, and its version.

Everything the code reaches is found through its source: helpers and classes of the same notebook
or module travel as source, other modules as import statements, other durable functions as stubs,
and plain values encoded. What cannot travel is named at once.
"""

from __future__ import annotations
import __future__

import ast
import builtins
from collections import ChainMap, deque
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import msgspec

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DefinitionError, EncodingError, NotDurableError
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.definitions import Chunk, CodePackage, Kind

from .code_graph import Node, in_order, reached_by
from .code_names import attribute_chains, first_use, names_in
from .content_hash import dump_code, hash_of, hash_of_value
from .defaults import has_stale_defaults
from .live_objects import (
    globals_of,
    is_durable,
    methods_of,
    module_of,
    plain,
    unwrapped,
    variables_of,
)
from .module_imports import LocalModules, find_import, import_module_as, submodule_imports
from .source_lookup import SourceBook, SourceOf, Statement

__all__ = ["Captured", "capture"]

_LARGE_BYTES: Final = 10_000_000
_LAZY_ANNOTATIONS: Final = __future__.annotations.compiler_flag
_MISSING: Final = object()
_AT_TOP_LEVEL: Final = "Define it at the top level of a cell or a module."


class Captured(NamedTuple):
    """What capturing gives.

    Attributes:
        package: The code, to be executed anywhere.
        version: Content hash of the code and all it reaches.
        source: The function or class as the user wrote it; empty if that is not known.
        warnings: What may go wrong later, one sentence each.
    """

    package: CodePackage
    version: str
    source: str
    warnings: tuple[str, ...]


class _Wanted(NamedTuple):
    """A name that something uses.

    Attributes:
        name: The name.
        live: The value it has here.
        user: The statement that uses it, if any.
        optional: Whether only a type hint mentions it, which may stay unknown.
        local: Whether it is a variable of an enclosing function.
    """

    name: str
    live: Any
    user: Statement | None = None
    optional: bool = False
    local: bool = False


def capture(
    obj: Any,
    *,
    name: str,
    kind: Kind = Kind.ACTIVITY,
    home: str = "__main__",
    source_of: SourceOf | None = None,
) -> Captured:
    """Capture a function or class and everything it reaches, as it is now.

    Args:
        obj: The function or class, or the durable definition that wraps it.
        name: The definition's name.
        kind: What it defines. Other durable functions it uses become stubs, except that an
            activity which calls another one gets its function.
        home: The module whose functions and classes travel as source.
        source_of: Gives the source of objects whose source cannot be found otherwise.

    Raises:
        NotDurableError: It uses a variable that cannot travel; names it and says what to do.
        DefinitionError: It cannot be captured for another reason; says which.
    """
    return _Capture(plain(obj), name, kind, home, source_of).run()


class _Capture:
    """Walks what one definition reaches, name by name."""

    def __init__(
        self, obj: Any, name: str, kind: Kind, home: str, source_of: SourceOf | None
    ) -> None:
        self._obj = obj
        self._name = name
        self._kind = kind
        self._home = home
        self._globals = globals_of(obj, home)
        self._sources = SourceBook(home, self._globals, source_of)
        self._written_imports = list(self._sources.imports())
        self._converter = NamespaceConverter(self._globals)
        self._nodes: dict[str, Node] = {}
        self._waiting: deque[_Wanted] = deque()
        self._submodules: dict[str, set[str]] = {}
        self._modules: set[str] = set()
        self._future: set[str] = set()
        self._warnings: dict[str, None] = {}
        self._calls_itself = False
        self._source = ""
        own_name = getattr(obj, "__name__", name)
        self._entry = own_name if own_name.isidentifier() else "entry"

    def run(self) -> Captured:
        """Walk, and put together what was found."""
        self._nodes[self._entry] = self._make(_Wanted(self._entry, self._obj, local=True))
        self._walk()
        for name in sorted(self._nodes):
            self._rewrite_if_circular(name)
        local = LocalModules.of(self._modules, self._home)
        return Captured(
            self._package(local), self._version(local), self._source, tuple(self._warnings)
        )

    def _walk(self) -> None:
        """Make nodes of all names that are reached from here."""
        while self._waiting:
            wanted = self._waiting.popleft()
            known = self._nodes.get(wanted.name)
            if known is None:
                try:
                    self._nodes[wanted.name] = self._make(wanted)
                except DefinitionError:
                    if not wanted.optional:
                        raise
            elif known.live is not wanted.live and not wanted.optional:
                raise DefinitionError(
                    f"{self._name} reaches two different things called {wanted.name!r}, "
                    "one of them in an enclosing function. Rename one of them"
                )

    def _rewrite_if_circular(self, name: str) -> None:
        """Let its source, not its value, make what its own contents need in order to be made.

        A registry that a decorator fills is empty again then, and filled again.
        """
        node = self._nodes[name]
        if node.payload is None or name not in reached_by(self._nodes, node.defining):
            return
        written = self._sources.of_assignment(name)
        if written is not None:
            self._nodes[name] = self._written(_Wanted(name, node.live), [written], self._globals)
            self._walk()

    def _package(self, local: LocalModules) -> CodePackage:
        order = in_order(self._nodes)
        chunks = [chunk for name in order for chunk in self._nodes[name].chunks]
        imports = {one for node in self._nodes.values() for one in node.imports}
        imports.update(*self._submodules.values())
        stubs = {name: node.stub for name, node in self._nodes.items() if node.stub is not None}
        values: dict[str, Payload] = {}
        if self._home != "__main__":
            # First of all, since classes at home are looked up in the namespace itself.
            values["__name__"] = msgspec.json.encode(self._home).decode()
        for name in sorted(self._nodes):
            payload = self._nodes[name].payload
            if payload is not None:
                values[name] = payload
        entry = self._entry
        if self._calls_itself:
            # Within its own code its name means the definition, not the bare function.
            entry, stub = f"{self._entry}__code", f"{self._entry}__stub"
            stubs[stub] = (self._kind.value, self._name)
            chunks += [_assignment(entry, self._entry), _assignment(self._entry, stub)]
        return CodePackage(
            entry=entry,
            chunks=tuple(chunks),
            imports=tuple(sorted(imports)),
            values=values,
            stubs=dict(sorted(stubs.items())),
            future=tuple(sorted(self._future)),
            paths=local.paths,
            module_hashes=local.hashes,
            content={name: hash_of(self._nodes[name].material) for name in sorted(self._nodes)},
        )

    def _version(self, local: LocalModules) -> str:
        nodes = [[name, self._nodes[name].material] for name in sorted(self._nodes)]
        submodules = sorted(one for found in self._submodules.values() for one in found)
        own_name = self._name if self._calls_itself else ""
        return hash_of([self._entry, own_name, nodes, submodules, sorted(local.hashes.items())])

    def _want(self, wanted: _Wanted) -> None:
        """Note that a name is used."""
        name, live = wanted.name, wanted.live
        if name == self._entry and plain(live) is self._obj:
            self._calls_itself = self._calls_itself or self._kind is not Kind.ACTIVITY
            return
        if self._kind is Kind.ACTIVITY and getattr(live, "__durable_kind__", "") == Kind.ACTIVITY:
            live = plain(live)
        self._waiting.append(wanted._replace(live=live))
        if isinstance(live, ModuleType) and wanted.user is not None:
            chains = list(attribute_chains(wanted.user.node, name))
            found = set(submodule_imports(live, name, chains))
            self._submodules.setdefault(name, set()).update(found)

    def _make(self, wanted: _Wanted) -> Node:
        """Find out how a name gets its value."""
        name, live = wanted.name, wanted.live
        if is_durable(live):
            stub = live.__durable_kind__, live.__durable_name__
            return Node(live, ["stub", *stub], stub=stub)
        if isinstance(live, ModuleType):
            return self._module(wanted, live)
        if isinstance(live, type):
            if live.__module__ == self._home:
                return self._class(wanted, live)
        else:
            inner = unwrapped(live)
            if isinstance(inner, FunctionType) and inner.__module__ == self._home:
                return self._function(wanted, inner)
        found = find_import(live, name, self._written_imports)
        if found is not None:
            module, statement = found
            self._modules.add(module)
            return Node(live, ["import", statement], imports={statement})
        if type(live).__module__ == "typing" and getattr(live, "__module__", "") == self._home:
            written = self._sources.of_assignment(name)  # a TypeVar, for one
            if written is not None:
                return self._written(wanted, [written], self._globals)
        return self._value(wanted)

    def _module(self, wanted: _Wanted, module: ModuleType) -> Node:
        statement = import_module_as(module, wanted.name)
        if statement is None:
            raise self._not_durable(
                wanted, "", "module", "Only modules that `import` finds by their name can be used."
            )
        self._modules.add(module.__name__)
        return Node(module, ["import", statement], imports={statement})

    def _function(self, wanted: _Wanted, inner: FunctionType) -> Node:
        """A function of the home module, or what a decorator has made of one."""
        name, live = wanted.name, wanted.live
        environment = ChainMap(variables_of(inner), self._globals)
        written = self._sources.of_function(inner)
        if written is not None and (wanted.local or "<locals>" not in inner.__qualname__):
            bound = _bound_by(written.node)
            if name in bound and (live is inner or _is_decorated(written.node)):
                return self._written(wanted, [written], environment, inner)
            wrapping = self._sources.of_call(name)
            if name in bound and wrapping is not None:  # f = cache(f)
                return self._written(wanted, [written, wrapping], environment, inner)
            for other in bound:
                if self._globals.get(other) is live:
                    return self._alias(wanted, other)
            if live is not inner and wrapping is not None:  # g = cache(f)
                return self._written(wanted, [wrapping], self._globals)
        for decorated in variables_of(inner).values():
            # A decorator without functools.wraps: the function it got is the one that was written.
            if isinstance(decorated, FunctionType) and decorated.__qualname__ == name:
                written = self._sources.of_function(decorated)
                if written is not None and _is_decorated(written.node):
                    return self._written(wanted, [written], self._globals, decorated)
        return self._value(wanted)

    def _class(self, wanted: _Wanted, cls: type) -> Node:
        """A class of the home module."""
        name = wanted.name
        outer, *inner = cls.__qualname__.rpartition("<locals>.")[2].split(".")
        if inner:
            return self._alias(wanted, outer, cls.__qualname__.rpartition("<locals>.")[2])
        if name != outer and plain(self._globals.get(outer)) is cls:
            return self._alias(wanted, outer)
        if "<locals>" in cls.__qualname__ and not wanted.local:
            raise self._not_durable(wanted, "", "class made in a function", _AT_TOP_LEVEL)
        written = self._sources.of_class(cls) if name == outer else self._sources.of_call(name)
        if written is None or name not in _bound_by(written.node):
            remedy = "Its source is not known here, or it has been defined again since: run the "
            raise self._not_durable(
                wanted, "", "class", remedy + f"cell that defines {name}, and then this one."
            )
        environment = ChainMap(*map(variables_of, methods_of(cls)), self._globals)
        return self._written(wanted, [written], environment)

    def _alias(self, wanted: _Wanted, root: str, expression: str = "") -> Node:
        """Another name of something that has a node of its own, or of a part of it."""
        expression = expression or root
        node = Node(wanted.live, ["alias", expression], defining={root})
        node.chunks.append(_assignment(wanted.name, expression))
        live = self._globals.get(root, wanted.live)
        self._want(_Wanted(root, live, wanted.user, local=wanted.local))
        return node

    def _written(
        self,
        wanted: _Wanted,
        statements: list[Statement],
        environment: Mapping[str, Any],
        function: FunctionType | None = None,
    ) -> Node:
        """Something that its own source makes."""
        name = wanted.name
        node = Node(wanted.live, ["code", *(dump_code(one.node) for one in statements)])
        if wanted.live is self._obj:
            self._source = statements[0].written
        lazy = _has_lazy_annotations(wanted.live, function)
        if lazy:
            self._future.add("annotations")
        for statement in statements:
            node.chunks.append(
                Chunk(
                    name=name,
                    source=statement.source,
                    filename=statement.filename,
                    first_line=statement.first_line,
                )
            )
            names = names_in(statement.node, lazy_annotations=lazy)
            node.defining |= names.defining - {name}
            node.calling |= (names.calling | names.hints) - {name}
            for used in sorted(names.defining | names.calling | names.hints):
                local = used not in self._globals or environment[used] is not self._globals[used]
                self._use(used, environment, statement, is_hint=used in names.hints, local=local)
        if function is not None and wanted.live is function:
            self._keep_defaults(node, wanted, statements[0], environment)
        return node

    def _use(
        self,
        name: str,
        environment: Mapping[str, Any],
        user: Statement,
        *,
        is_hint: bool,
        local: bool,
    ) -> None:
        if name.startswith("__") and name.endswith("__"):
            return
        builtin = getattr(builtins, name, _MISSING)
        live = environment.get(name, builtin)
        # IPython gives cells an `open` of its own, which is not what the code means, and makes
        # `display` a builtin, which other processes do not have.
        is_real = builtin is not _MISSING and not _is_of_ipython(builtin)
        if is_real and (unwrapped(live) is builtin or _is_of_ipython(live)):
            return
        if live is not _MISSING:
            self._want(_Wanted(name, live, user, is_hint, local))
        elif not is_hint:
            line = user.first_line - 1 + (first_use(user.node, name) or 1)
            self._warnings[
                f"{self._name} uses {name!r} ({user.filename}, line {line}), which is not defined "
                "yet. Define it, then run this cell again."
            ] = None
            # Annotations of names that have gone are not evaluated then.
            self._future.update({"annotations"} if name in _hints_of(user.node) else ())

    def _keep_defaults(
        self, node: Node, wanted: _Wanted, written: Statement, environment: Mapping[str, Any]
    ) -> None:
        """Let a function have the default arguments it has now, if its source gives others."""
        name, function = wanted.name, wanted.live
        if not has_stale_defaults(written.node, function, environment):
            return
        kept = f"{name}__defaults"
        try:
            defaults = function.__defaults__, function.__kwdefaults__
            self._nodes[kept] = self._value(_Wanted(kept, defaults))
        except NotDurableError:
            return
        node.defining.add(kept)
        node.chunks.append(
            Chunk(
                name=name,
                source=f"{name}.__defaults__, {name}.__kwdefaults__ = {kept}",
                filename=f"<defaults of {name}>",
            )
        )

    def _value(self, wanted: _Wanted) -> Node:
        """Anything else: its value as it is now."""
        name, live = wanted.name, wanted.live
        try:
            payload, reached = self._converter.encode_captured(
                live, f"variable {name!r}", by_value=isinstance(live, FunctionType)
            )
        except EncodingError as error:
            remedy = error.reason.partition(". ")[2]
            path = error.path.removeprefix("value")
            raise self._not_durable(wanted, path, error.type_name, remedy) from error
        self._report_if_large(name, payload)
        found = hash_of_value(live, payload, self._home, self._dump_function)
        node = Node(live, ["value", found], payload=payload)
        for used in [*reached, type(live)]:
            if module_of(used) not in (self._home, "__main__"):
                self._modules.add(module_of(used))
                continue
            root = used.__qualname__.partition(".")[0]
            if root in self._globals:
                node.defining.add(root)
                self._want(_Wanted(root, self._globals[root], wanted.user))
        return node

    def _report_if_large(self, name: str, payload: Payload) -> None:
        size = len(payload.data if isinstance(payload, Blob) else payload)
        if size > _LARGE_BYTES:
            summary = f"{payload.summary}, " if isinstance(payload, Blob) else ""
            self._warnings[
                f"{self._name} takes the variable {name!r} along ({summary}{size / 1e6:.0f} MB), "
                "which is stored with each version of it. Load it inside the function instead."
            ] = None

    def _dump_function(self, function: FunctionType) -> str | None:
        written = self._sources.of_function(function)
        return None if written is None else dump_code(written.node)

    def _not_durable(
        self, wanted: _Wanted, path: str, type_name: str, remedy: str
    ) -> NotDurableError:
        if wanted.user is not None:
            user = wanted.user
            line = user.first_line - 1 + (first_use(user.node, wanted.name) or 1)
            remedy = f"{remedy} (It is used in {user.filename}, line {line}.)"
        return NotDurableError(self._name, f"{wanted.name}{path}", type_name, remedy)


def _assignment(name: str, expression: str) -> Chunk:
    return Chunk(name=name, source=f"{name} = {expression}", filename=f"<{name}>")


def _is_of_ipython(live: Any) -> bool:
    return module_of(live).partition(".")[0] == "IPython"


def _bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_decorated(node: ast.stmt) -> bool:
    return bool(getattr(node, "decorator_list", None))


def _has_lazy_annotations(live: Any, function: FunctionType | None) -> bool:
    functions = [function] if function is not None else []
    if isinstance(live, type):
        functions += methods_of(live)
        hints = vars(live).get("__annotations__", {})
        if any(isinstance(hint, str) for hint in hints.values()):
            return True
    return any(each.__code__.co_flags & _LAZY_ANNOTATIONS for each in functions)


def _hints_of(node: ast.stmt) -> Iterator[str]:
    return iter(names_in(node, lazy_annotations=True).hints)
