"""Import statements for what code uses of other modules, and which modules are the user's own."""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ipydurable.runtime.namespace import hash_of_file

from .source_lookup import absolute_name

__all__ = [
    "LocalModules",
    "changed_modules",
    "find_import",
    "import_module_as",
    "is_importable",
    "submodule_imports",
]


class LocalModules(NamedTuple):
    """Modules that lie beside the notebook rather than in an installed package.

    Attributes:
        paths: The folders they are imported from.
        hashes: Content hash of each by name.
    """

    paths: tuple[str, ...]
    hashes: dict[str, str]

    @classmethod
    def of(cls, names: Iterable[str], home: str) -> LocalModules:
        """Return the local ones among some modules, and those they import.

        Args:
            names: Module names.
            home: The module whose code is captured, which itself does not count.
        """
        waiting = sorted(names)
        found: dict[str, ModuleType] = {}
        while waiting:
            name = waiting.pop()
            module = sys.modules.get(name)
            if module is None or name in found or name in ("__main__", home):
                continue
            if _is_local(module):
                found[name] = module
                waiting.extend([*_modules_used_by(module), name.rpartition(".")[0]])
        paths = {_root_of(module) for module in found.values()}
        hashes = {name: hash_of_file(found[name].__file__ or "") for name in sorted(found)}
        return cls(tuple(sorted(paths)), hashes)


def changed_modules(recorded: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return name and file of the local modules that are not as they were recorded.

    Args:
        recorded: Content hash by module name, as in a `CodePackage`.
    """
    found = []
    for name, wanted in sorted(recorded.items()):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and hash_of_file(file) != wanted:
            found.append((name, file))
    return found


def import_module_as(module: ModuleType, name: str) -> str | None:
    """Return the statement that binds `name` to a module; None if it cannot be imported."""
    if sys.modules.get(module.__name__) is not module or module.__name__ == "__main__":
        return None
    if name == module.__name__:
        return f"import {name}"
    return f"import {module.__name__} as {name}"


def submodule_imports(
    module: ModuleType, name: str, chains: Iterable[tuple[str, ...]]
) -> Iterator[str]:
    """Yield statements that import the submodules which code uses as attributes.

    Args:
        module: The package.
        name: The global name it is bound to.
        chains: The attributes the code uses of that name.
    """
    for chain in chains:
        package = module
        for attribute in chain:
            full = f"{package.__name__}.{attribute}"
            found = getattr(package, attribute, None)
            if not isinstance(found, ModuleType) or sys.modules.get(full) is not found:
                break
            # With another name, the plain statement would bind the package's own name too.
            plain = name == module.__name__
            yield f"import {full}" if plain else f"__import__({full!r})"
            package = found


def find_import(
    value: Any, name: str, statements: Iterable[tuple[str, str, str]]
) -> tuple[str, str] | None:
    """Find how a value of another module is imported.

    Args:
        value: The value.
        name: The global name it is bound to.
        statements: Module, attribute and bound name of the import statements that were written.

    Returns:
        The module and the statement that binds `name`; None if nothing is known to give it.
    """
    for module, attribute, bound in statements:
        if bound == name or attribute == "*":
            wanted = name if attribute == "*" else attribute
            if getattr(sys.modules.get(module), wanted, _MISSING) is value:
                return module, _from_import(module, wanted, name)
    if is_importable(value):
        return value.__module__, _from_import(value.__module__, value.__qualname__, name)
    return None


def is_importable(value: Any) -> bool:
    """Whether a class or function is what its module gives under its own name."""
    module = getattr(value, "__module__", None)
    qualname = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or module == "__main__":
        return False
    return getattr(sys.modules.get(module), qualname, _MISSING) is value


_MISSING = object()


def _from_import(module: str, attribute: str, name: str) -> str:
    renamed = "" if attribute == name else f" as {name}"
    return f"from {module} import {attribute}{renamed}"


def _modules_used_by(module: ModuleType) -> Iterator[str]:
    """Yield the names of what may be modules, as a module's import statements say."""
    try:
        tree = ast.parse(Path(module.__file__ or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute_name(node, module.__package__ or "")
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _is_local(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)
    if top in sys.stdlib_module_names or top == "ipydurable" or not isinstance(file, str):
        return False
    return _is_local_file(file)


@functools.lru_cache(maxsize=4096)
def _is_local_file(file: str) -> bool:
    path = Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(name)).resolve() for name in names]


def _root_of(module: ModuleType) -> str:
    """Return the folder that must be on the path for a module to be found."""
    file = Path(module.__file__ or "").resolve()
    depth = module.__name__.count(".") + (file.name == "__init__.py")
    return str(file.parents[depth])
