"""A definition's code, live: its sources executed in a namespace of their own.

Tracebacks show the notebook's own lines and `inspect.getsource` works, as the sources are known
to `linecache` under the file names and at the lines they were written at.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import importlib
import itertools
import linecache
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from .codecs import NamespaceConverter
from .core.errors import DecodingError, DefinitionError
from .definitions import Chunk, CodePackage
from .signing import Signer

__all__ = ["build_namespace", "hash_of_file"]

_log = logging.getLogger(__name__)
# Modules and source lines belong to the whole process.
_import_lock = threading.RLock()
_lines_lock = threading.Lock()
_main_lock = threading.RLock()
_registered: set[str] = set()
_imported: dict[str, str] = {}


def build_namespace(
    package: CodePackage,
    make_stub: Callable[[str, str], Any],
    signer: Signer | None = None,
    *,
    rewrite: Callable[[ast.Module, Chunk], ast.Module] | None = None,
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Execute a package.

    Its classes get the module name `__main__`, or that of the module the package was made from.
    A value that needs a class of the package is decoded as soon as the class is there.

    Args:
        package: The code.
        make_stub: Makes what a durable definition's name is bound to, of its kind and name.
        signer: Checks the captured values; by default the user's own.
        rewrite: Changes the syntax tree of each chunk before it is executed.
        given: Names that are there from the beginning.

    Returns:
        The globals; `namespace[package.entry]` is the function or class.

    Raises:
        DefinitionError: A module is missing here, or the code fails while it is defined; says
            which line.
        DecodingError: A captured value cannot be rebuilt here.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins, **(given or {})}
    with _import_lock, _paths_in_front(package.paths):
        _forget_changed_modules(package)
        for statement in package.imports:
            _import(statement, namespace, package.entry)
        _note_imported(package)
    for name, (kind, definition) in package.stubs.items():
        namespace[name] = make_stub(kind, definition)
    values = _Values(package, namespace, NamespaceConverter(namespace, signer, strict=True))
    flags = reduce(int.__or__, (_future_flag(name) for name in package.future), 0)
    values.settle()
    for chunk in package.chunks:
        _execute(chunk, flags, namespace, package.entry, rewrite)
        values.settle()
    values.finish()
    return namespace


def hash_of_file(path: str) -> str:
    """Return the content hash of a module's file; empty if it cannot be read."""
    try:
        return sha256(Path(path).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


class _Values:
    """The captured values that are not decoded yet."""

    def __init__(
        self, package: CodePackage, namespace: dict[str, Any], converter: NamespaceConverter
    ) -> None:
        self._entry = package.entry
        self._namespace = namespace
        self._converter = converter
        self._pending = dict(package.values)

    def settle(self) -> None:
        """Decode what can be decoded, now that one more name is known."""
        decoded = True
        while decoded and self._pending:
            decoded = False
            for name, payload in list(self._pending.items()):
                try:
                    self._namespace[name] = self._converter.decode(payload)
                except DecodingError:
                    continue
                del self._pending[name]
                decoded = True

    def finish(self) -> None:
        """Say what the rest lacks; raises `DecodingError`."""
        for name, payload in self._pending.items():
            try:
                self._converter.decode(payload)
            except DecodingError as error:
                what = f"the variable {name!r} of {self._entry}"
                raise DecodingError(what, error.reason) from error


@contextlib.contextmanager
def _paths_in_front(paths: Sequence[str]) -> Iterator[None]:
    """Let local modules be found first, as in the notebook; later imports find them last."""
    before = list(sys.path)
    sys.path[:0] = [path for path in paths if path not in before]
    try:
        yield
    finally:
        sys.path[:] = before + [path for path in paths if path not in before]


def _forget_changed_modules(package: CodePackage) -> None:
    """Let changed local modules be imported anew; older namespaces keep the ones they have."""
    importlib.invalidate_caches()
    for name, wanted in package.module_hashes.items():
        module = sys.modules.get(name)
        if module is None:
            _imported.pop(name, None)
            continue
        if _imported.get(name) in (None, wanted):
            continue
        if _hash_of(module) == wanted:
            for other in package.module_hashes:
                sys.modules.pop(other, None)
                _imported.pop(other, None)
            return


def _note_imported(package: CodePackage) -> None:
    for name, wanted in package.module_hashes.items():
        module = sys.modules.get(name)
        if module is None:
            continue
        found = _imported.setdefault(name, _hash_of(module))
        if found != wanted:
            _log.warning(
                "the module %s has changed since this version of %s was defined",
                name,
                package.entry,
            )


def _hash_of(module: ModuleType) -> str:
    return hash_of_file(getattr(module, "__file__", None) or "")


def _import(statement: str, namespace: dict[str, Any], entry: str) -> None:
    try:
        exec(compile(statement, "<imports>", "exec", dont_inherit=True), namespace)  # noqa: S102
    except ModuleNotFoundError as error:
        raise DefinitionError(
            f"{entry} needs the module {error.name} ({statement}), which {sys.executable} does not "
            "have. Install it there"
        ) from error
    except Exception as error:
        raise DefinitionError(
            f"{entry} needs {statement!r}, which fails in {sys.executable}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _future_flag(name: str) -> int:
    feature: Any = getattr(__future__, name)
    return int(feature.compiler_flag)


def _execute(
    chunk: Chunk,
    flags: int,
    namespace: dict[str, Any],
    entry: str,
    rewrite: Callable[[ast.Module, Chunk], ast.Module] | None,
) -> None:
    filename = _register(chunk)
    padding = "\n" * (chunk.first_line - 1)
    try:
        written: Any = padding + chunk.source
        if rewrite is not None:
            written = rewrite(ast.parse(written, filename), chunk)
        code = compile(written, filename, "exec", flags, dont_inherit=True)
        with _as_module(namespace, is_lazy=bool(flags)):
            exec(code, namespace)  # noqa: S102 - running the user's code is what this is for
    except Exception as error:
        raise DefinitionError(
            f"{entry} cannot be defined: {chunk.name} ({filename}, line "
            f"{_line_of(error, filename, chunk)}) fails with {type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _as_module(namespace: dict[str, Any], *, is_lazy: bool) -> Iterator[None]:
    """Have the namespace found as a module: dataclasses look their annotations up in it.

    That of `__main__` is put in the place of this process's own for a moment, and only where
    annotations are text, which they must understand.
    """
    name = namespace["__name__"]
    if name in sys.modules and not (is_lazy and name == "__main__"):
        yield
        return
    module = ModuleType(name)
    module.__dict__.update(namespace)
    with _main_lock:
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            yield
        finally:
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before


def _line_of(error: Exception, filename: str, chunk: Chunk) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == filename and frame.lineno]
    return lines[-1] if lines else chunk.first_line


def _register(chunk: Chunk) -> str:
    """Make a chunk's lines known to tracebacks; returns the file name to compile it with.

    Versions and notebooks share file names such as `Cell In[3]`: where other lines are known
    under the name, it gets a number.
    """
    lines = [f"{line}\n" for line in chunk.source.rstrip("\n").split("\n")]
    start = chunk.first_line - 1
    with _lines_lock:
        for number in itertools.count(1):
            filename = chunk.filename if number == 1 else f"{chunk.filename} ({number})"
            known = linecache.getlines(filename)
            is_ours = filename in _registered
            if known and not is_ours:  # a file of this machine: right or wrong, but not ours
                if _agree(known, lines, start, missing=False):
                    break
            elif _agree(known, lines, start, missing=True):
                _merge(filename, known, lines, start)
                break
    return filename


def _agree(known: list[str], lines: list[str], start: int, *, missing: bool) -> bool:
    """Whether known lines are those of a chunk; `missing` ones may be unknown as yet."""
    for index, line in enumerate(lines, start):
        text = line.strip()
        old = known[index].strip() if index < len(known) else ""
        if text and old != text and (old or not missing):
            return False
    return True


def _merge(filename: str, known: list[str], lines: list[str], start: int) -> None:
    merged = known + ["\n"] * (start + len(lines) - len(known))
    for index, line in enumerate(lines, start):
        if line.strip():
            merged[index] = line
    _registered.add(filename)
    # Without a modification time, linecache keeps the lines for good.
    linecache.cache[filename] = (sum(map(len, merged)), None, merged, filename)
