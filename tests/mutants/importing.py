"""A pytest plugin: imports a mutant in place of its module, and runs the tests that are named.

It is told of both in the folder that `IPYDURABLE_MUTANT` names: `mutant.py`, and `order.json`.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import pytest

_FOLDER = Path(os.environ["IPYDURABLE_MUTANT"])
_ORDER = json.loads((_FOLDER / "order.json").read_text(encoding="utf-8"))


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        source = (_FOLDER / "mutant.py").read_text(encoding="utf-8")
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = ".".join(("ipydurable", *path.with_suffix("").parts))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path.resolve()))
        return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chosen = {test: place for place, test in enumerate(_ORDER["tests"])}
    items[:] = [item for item in items if item.nodeid in chosen]
    items.sort(key=lambda item: chosen[item.nodeid])


sys.meta_path.insert(0, _Finder(Path(_ORDER["path"])))
