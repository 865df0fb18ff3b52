"""The layer rules of ARCHITECTURE.md, read off every import statement in the four folders.

Lazy imports inside functions and imports for type checkers count like any other.
"""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "kernel_ext": "ipydurable",
    "runtime": "ipydurable.runtime",
    "store": "ipydurable.store",
    "widgets": "ipydurable.widgets",
}
# What the storage and the views may know of the engine.
CONTRACT = ("ipydurable.runtime.core", "ipydurable.runtime.ports", "ipydurable.runtime.definitions")
# Which modules of ours each package may import; the front door wires all and is free.
MAY_IMPORT = {
    "ipydurable.runtime.core": ("ipydurable.runtime.core",),
    "ipydurable.runtime": ("ipydurable.runtime",),
    "ipydurable.store": ("ipydurable.store", *CONTRACT),
    "ipydurable.widgets": ("ipydurable.widgets", *CONTRACT),
}
SOLE_IMPORTER = {
    "duckdb": "store",
    "IPython": "kernel_ext",
    "anywidget": "widgets",
    "ipywidgets": "widgets",
    "plotly": "widgets",
}
# Clocks, randomness, threads, the machine: the core is told of them in events.
IMPURE = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http", "io"),
    *("locale", "mmap", "multiprocessing", "os", "pathlib", "platform", "queue", "secrets"),
    *("select", "selectors", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib"),
}
# Of these modules the core may use what gives the same answer for the same arguments.
IMPURE_CALLS = {
    "date": {"today"},
    "datetime": {"now", "today", "utcnow"},
    "uuid": {"getnode", "uuid1", "uuid4", "uuid6", "uuid7"},
}
PURE_RANDOM = {"Random"}
MAX_LINES = 600


class Import(NamedTuple):
    """One imported module and where: `ipydurable.store` at `runtime/host.py:12`."""

    importer: str
    imported: str
    place: str


def sources(*folders: str) -> list[Path]:
    """Return all Python files of the given top-level folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the import name of one of our files: `store/codec.py` is `ipydurable.store.codec`."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = [FOLDERS.get(folder, folder), *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(source: str, path: Path) -> Iterator[Import]:
    """Yield every import of a module, made absolute; `from a import b` gives `a.b`."""
    importer = module_name(path)
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - 1 if is_package else node.level
                parent = importer.split(".")[: len(importer.split(".")) - up]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        yield from (Import(importer, name, place) for name in names)


def all_imports(*folders: str) -> list[Import]:
    """Return every import in the given top-level folders."""
    return [
        found
        for path in sources(*folders)
        for found in imports_in(path.read_text(encoding="utf-8"), path)
    ]


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Tell whether `module` is one of `packages` or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def layer_of(module: str) -> str | None:
    """Return the innermost package with a layer rule that holds `module`."""
    holders = [package for package in MAY_IMPORT if within(module, (package,))]
    return max(holders, key=len, default=None)


def layer_violations(found: list[Import]) -> list[str]:
    """Return the imports that reach into a layer their importer must not know."""
    violations = []
    for each in found:
        layer = layer_of(each.importer)
        ours = within(each.imported, ("ipydurable",))
        if layer and ours and not within(each.imported, MAY_IMPORT[layer]):
            violations.append(f"{each.place} imports {each.imported}")
    return violations


def sole_importer_violations(found: list[Import]) -> list[str]:
    """Return the imports of libraries that only one other folder may import."""
    return [
        f"{each.place} imports {each.imported}, which only {owner}/ may"
        for each in found
        for owner in [SOLE_IMPORTER.get(each.imported.split(".")[0])]
        if owner and not each.place.startswith(f"{owner}/")
    ]


def impurities(source: str, path: Path) -> list[str]:
    """Return what makes a core module depend on more than its arguments."""
    allowed = (sys.stdlib_module_names - IMPURE) | {"msgspec", "ipydurable"}
    found = [
        f"{each.place} imports {each.imported}"
        for each in imports_in(source, path)
        if each.imported.split(".")[0] not in allowed
    ]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        owner, name = node.value.id, node.attr
        impure_random = owner == "random" and name not in PURE_RANDOM
        if impure_random or name in IMPURE_CALLS.get(owner, ()):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} uses {owner}.{name}")
    return found


def test_layers():
    """No folder imports one above it or beside it, not even lazily."""
    assert layer_violations(all_imports(*FOLDERS)) == []


def test_sole_importers():
    """duckdb, IPython and the widget libraries are each imported by one folder."""
    assert sole_importer_violations(all_imports(*FOLDERS)) == []


def test_core_is_pure():
    """The core has no clock, randomness, thread or I/O, and no dependency but msgspec."""
    core = sorted((ROOT / "runtime" / "core").rglob("*.py"))
    found = [each for path in core for each in impurities(path.read_text(encoding="utf-8"), path)]

    assert core
    assert found == []


def test_nobody_imports_a_folder_by_its_own_name():
    """`import store` works by accident where the checkout is on sys.path, and is a second copy."""
    found = all_imports(*FOLDERS, "tests", "notebooks")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        # Magics are no Python: keep the lines that import.
        lines = [line for cell in code for line in cell.splitlines()]
        statements = [line for line in lines if line.startswith(("import ", "from "))]
        found += [each for line in statements for each in imports_in(line, path)]

    assert [each for each in found if each.imported.split(".")[0] in FOLDERS] == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("runtime/host.py", "from ipydurable.store import open_store"),
        ("runtime/core/tasks.py", "from ..ports import Clock"),
        ("runtime/engine.py", "def later():\n    import ipydurable"),
        ("store/queries.py", "from ipydurable.runtime import engine"),
        ("widgets/timeline.py", "from ipydurable.store import queries"),
    ],
)
def test_a_forbidden_layer_is_seen(file: str, line: str):
    """The layer rule catches each way of reaching where one must not."""
    assert layer_violations(list(imports_in(line, ROOT / file)))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("runtime/engine.py", "from .core.events import EventRaised"),
        ("runtime/__init__.py", "from . import ports"),
        ("store/journal.py", "from ipydurable.runtime.core import records"),
        ("store/__init__.py", "from .journal import Journal"),
        ("widgets/view_models.py", "from ipydurable.runtime.core.events import EventRaised"),
        ("kernel_ext/session.py", "from ipydurable.store import open_store"),
    ],
)
def test_a_permitted_layer_is_left_alone(file: str, line: str):
    """The layer rule accepts the ways through the house that are meant."""
    assert layer_violations(list(imports_in(line, ROOT / file))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from concurrent import futures",
        "import pandas",
        "from datetime import datetime\ndatetime.now()",
        "import random\nrandom.random()",
        "import uuid\nuuid.uuid4()",
    ],
)
def test_an_impurity_is_seen(code: str):
    """The purity rule catches imports and calls that give other answers another time."""
    assert impurities(code, ROOT / "runtime" / "core" / "tasks.py")


def test_sole_importer_rule_sees_a_stranger():
    """The rule on libraries knows a submodule, and the folder that may."""
    line = "from plotly import express"

    assert sole_importer_violations(list(imports_in(line, ROOT / "store" / "queries.py")))
    assert not sole_importer_violations(list(imports_in(line, ROOT / "widgets" / "figures.py")))


def test_every_package_is_shipped():
    """pyproject.toml lists every folder with an __init__.py, or it would be missing in wheels."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    packages = [module_name(path) for path in sources(*FOLDERS) if path.name == "__init__.py"]

    assert sorted(listed) == sorted(packages)
    for folder in {path.parent for path in sources(*FOLDERS)}:
        assert (folder / "__init__.py").exists(), f"{folder} is no package"


def test_modules_say_what_is_public():
    """Every module that defines public names lists them in __all__."""
    missing = []
    for path in sources(*FOLDERS):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        assigned = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        ]
        public = [name for name in defined if not name.startswith("_")]
        if public and "__all__" not in assigned and path.name != "__main__.py":
            missing.append(str(path.relative_to(ROOT)))

    assert missing == []


def test_files_stay_small():
    """No file grows into the one that everybody fears to open."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*FOLDERS)
    }

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ipydurable.runtime.core", {"duckdb", "IPython", "ipywidgets", "pandas"}),
        ("ipydurable", {"pandas", "plotly", "pyarrow"}),
    ],
)
def test_imports_stay_light(module: str, absent: set[str]):
    """Importing us does not drag in what only some calls need: %load_ext must be quick."""
    code = f"import sys, importlib; importlib.import_module({module!r}); print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout

    assert absent.isdisjoint(output.split())
