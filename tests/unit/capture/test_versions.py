"""Versions: the same content is the same version. And code that lies in files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipydurable.capture import capture
from tests.unit.capture.conftest import Notebook, OtherProcess

PROGRAM = """
import numpy as np
from dataclasses import dataclass
from math import pi as PI
import enum

class Color(enum.Enum):
    RED = 1

@dataclass
class Point:
    x: int = 0
    def moved(self, by): return Point(self.x + by)

LIMIT = 10
NAMES = {"b", "a", "c"}
DEEP = {"k": [Point(3), Color.RED]}
PICKLED = [frozenset({"x", "y"}), object]

def helper(x, by=2):
    return min(x * by, LIMIT)

double = lambda x: x * 2

def f(point, size=LIMIT):
    return helper(double(point.x)), np.abs(1), PI, NAMES, DEEP, PICKLED, Color.RED, Point(1)
"""


def version_of(notebook: Notebook, program: str) -> str:
    """The version of `f` of a program in a cell."""
    notebook.run(program)
    return notebook.capture("f").version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("by=2):\n", "by = 2):  # faster\n\n"),
        ("def helper(x, by=2):\n", "def helper(x, by=2):\n    '''Explained.'''\n"),
        ("(self.x + by)", "(\n            self.x + by,\n        )"),
        ("import numpy as np\n", "unrelated = 5\nimport numpy as np\n"),
        ("LIMIT = 10\nNAMES", "NAMES"),
        ('{"b", "a", "c"}', '{"c", "b", "a"}'),
    ],
    ids=["nothing", "comment", "docstring", "format", "place", "order", "set"],
)
def test_the_version_does_not_change(old: str, new: str, notebook: Notebook):
    """The same content in another form, place or order is the same version."""
    before = version_of(notebook, PROGRAM)
    changed = PROGRAM.replace(old, new)
    if "LIMIT = 10" not in changed:
        changed = changed.replace("def helper", "LIMIT = 10\ndef helper")
    assert old == new or changed != PROGRAM
    notebook.run("x = 'another cell'")

    assert version_of(notebook, changed) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper(double", "helper(1 + double"),
        ("min(x * by", "max(x * by"),
        ("by=2", "by=3"),
        ("LIMIT = 10", "LIMIT = 11"),
        ("RED = 1", "RED = 2"),
        ("self.x + by", "self.x - by"),
        ("x: int = 0", "x: int = 1"),
        ("Point(3)", "Point(4)"),
        ('{"b", "a", "c"}', '{"b", "a"}'),
        ('frozenset({"x", "y"})', 'frozenset({"x"})'),
        ("lambda x: x * 2", "lambda x: x * 3"),
        ("import pi as PI", "import e as PI"),
        ("np.abs(1)", "np.sign(1)"),
        ("import numpy as np", "import math as np\nnp.abs = abs"),
        ("@dataclass\n", "@dataclass(order=True)\n"),
    ],
)
def test_the_version_changes(old: str, new: str, notebook: Notebook):
    """Each change of what the code does, near or far, is another version."""
    assert old in PROGRAM

    before = version_of(notebook, PROGRAM)

    try:
        assert version_of(notebook, PROGRAM.replace(old, new)) != before
    finally:
        math = sys.modules["math"]
        if hasattr(math, "abs"):
            del math.abs


def test_the_version_is_the_same_in_other_processes(notebook: Notebook, tmp_path: Path):
    """Neither the process, the hash seed, nor being in a script's file changes the version."""
    here = version_of(notebook, PROGRAM)
    script = tmp_path / "script.py"
    script.write_text(
        PROGRAM + "\nfrom ipydurable.capture import capture\n"
        "print(capture(f, name='f').version, end='')"
    )
    for seed in ("0", "1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout == here


def test_a_module_gives_the_same_version_as_a_cell(
    notebook: Notebook, other: OtherProcess, folder: Path
):
    """Code moved from a cell to a .py file unchanged is the same version, and runs."""
    here = version_of(notebook, PROGRAM)
    (folder / "program_in_a_file.py").write_text(PROGRAM)
    module = __import__("program_in_a_file")

    captured = capture(module.f, name="f", home="program_in_a_file")

    assert captured.version == here
    assert captured.package.paths == ()
    assert other.run(captured, "f(Point(2))[0], Point.__module__, DEEP['k'][0] == Point(3)") == (
        "(8, 'program_in_a_file', True)"
    )


def test_decorators_of_ours_do_not_count(notebook: Notebook, folder: Path):
    """A decorated function in a module is the same version as a bare one in a cell."""
    here = version_of(notebook, "def f(x): return x")
    (folder / "decorated_in_a_file.py").write_text(
        "import ipydurable\nfrom ipydurable import activity as step\n"
        "def activity(function): return function\n"
        "activity.__module__ = 'ipydurable.decorators'\n"
        "@activity\ndef f(x): return x\n"
    )
    module = __import__("decorated_in_a_file")

    assert capture(module.f, name="f", home="decorated_in_a_file").version == here


def test_a_decorator_that_is_only_called_like_ours_counts(notebook: Notebook, other: OtherProcess):
    """A user's own decorator named `activity` is kept."""
    notebook.run(
        "def activity(function): return lambda x: function(x) + 1\n@activity\ndef g(x): return x\n"
        "def f(x): return g(x)"
    )

    assert other.run(notebook.capture("f"), "f(1)") == "2"


def test_local_modules_are_imported_from_where_they_lie(
    notebook: Notebook, other: OtherProcess, folder: Path
):
    """A module beside the notebook, and one it imports, are found elsewhere; both are hashed."""
    (folder / "shapes_beside.py").write_text(
        "from units_beside import UNIT\ndef area(x): return x * x * UNIT\nclass Box: pass\n"
    )
    (folder / "units_beside.py").write_text("UNIT = 2\n")
    notebook.run("import shapes_beside\nfrom shapes_beside import area as surface, Box")
    notebook.run("def f(x): return surface(x), shapes_beside.area(x), Box.__module__")

    captured = notebook.capture("f")

    assert captured.package.paths == (str(folder),)
    assert set(captured.package.module_hashes) == {"shapes_beside", "units_beside"}
    assert other.run(captured, "f(3)") == "(18, 18, 'shapes_beside')"


def test_a_changed_local_module_is_another_version_and_is_loaded_anew(
    notebook: Notebook, other: OtherProcess, folder: Path
):
    """After an edit of a local module the new version runs the new code, the old one goes on."""
    module = folder / "rates_beside.py"
    module.write_text("RATE = 1\ndef rate(): return RATE\n")
    notebook.run("import rates_beside\ndef f(): return rates_beside.rate()")
    older = notebook.capture("f")
    assert other.run(older, "f()") == "1"

    module.write_text("RATE = 200\ndef rate(): return RATE\n")
    notebook.run("import importlib\nimportlib.reload(rates_beside)")
    newer = notebook.capture("f")

    assert newer.version != older.version
    assert other.run(newer, "f()") == "200"


def test_a_package_beside_the_notebook(notebook: Notebook, other: OtherProcess, folder: Path):
    """A module in a package is imported from the folder that holds the package."""
    package = folder / "package_beside"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "tools.py").write_text("def tool(): return 'tool'\n")
    notebook.run(
        "import package_beside.inner.tools\ndef f():\n    return package_beside.inner.tools.tool()"
    )

    captured = notebook.capture("f")

    assert captured.package.paths == (str(folder),)
    assert other.run(captured, "f()") == "'tool'"
