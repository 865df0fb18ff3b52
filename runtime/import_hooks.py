"""Runs code as soon as somebody imports a module, and never imports it itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["when_imported"]


def when_imported(name: str, call: Callable[[ModuleType], None]) -> None:
    """Have `call(module)` run once the module has been executed; at once if it was.

    Further calls for the same name do nothing.
    """
    if any(isinstance(one, _Finder) and one.module == name for one in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder(name, call))
    module = sys.modules.get(name)
    if module is not None:
        call(module)


class _Finder(MetaPathFinder):
    def __init__(self, module: str, call: Callable[[ModuleType], None]) -> None:
        self.module = module
        self._call = call

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._call)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, call: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._call = call

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._call(module)
