"""Capturing code in cells, and running it in another process."""

from typing import Any

import msgspec
import pytest

from ipydurable.capture import capture
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DefinitionError, NotDurableError
from ipydurable.runtime.definitions import Kind
from tests.unit.capture.conftest import Notebook, OtherProcess
from tests.unit.capture.constructs import TRAVELLERS
from tests.unit.capture.more_constructs import MORE_TRAVELLERS

ALL = {**TRAVELLERS, **MORE_TRAVELLERS}


@pytest.mark.parametrize("construct", ALL)
def test_travels_and_comes_back(construct: str, notebook: Notebook, other: OtherProcess):
    """Every construct gives the same in a process that never saw the notebook, and returns home."""
    cell, expression, expected = ALL[construct]
    notebook.run(cell)

    captured = notebook.capture("f")

    here = notebook.shell.user_ns["f"]
    called = expression.replace("f(", "ENTRY(", 1)
    assert other.run(captured, called) == expected
    back = NamespaceConverter(notebook.shell.user_ns).decode(other.give(captured, called))
    assert repr(back) == expected
    _assert_at_home(back, notebook.shell.user_ns)
    assert captured.version == notebook.capture("f").version
    assert notebook.shell.user_ns["f"] is here


def _assert_at_home(value: Any, namespace: dict[str, Any]) -> None:
    """Check that what came back is of the notebook's own classes."""
    parts = value if isinstance(value, list | tuple) else [value]
    for part in parts:
        kind = part if isinstance(part, type) else type(part)
        if kind.__module__ == "__main__":
            assert namespace[kind.__qualname__.partition(".")[0]] is kind


def test_tracebacks_show_the_notebooks_own_lines(notebook: Notebook, other: OtherProcess):
    """A traceback from elsewhere names cell and line, and quotes the line."""
    notebook.run("x = 1")
    notebook.run(
        "# a comment\n\ndef helper(x):\n    return 1 / x  # here\n\ndef f(x): return helper(x)"
    )

    trace = other.fail(notebook.capture("f"), "f(0)")

    assert 'File "Cell In[2]", line 4, in helper\n    return 1 / x  # here' in trace
    assert 'File "Cell In[2]", line 6, in f' in trace


def test_lines_of_two_versions_in_one_process_stay_apart(notebook: Notebook, other: OtherProcess):
    """Each version's traceback quotes its own line though the cell number is the same."""
    notebook.run("def f(x):\n    return 1 / x  # older")
    older = notebook.capture("f")
    notebook.shell.execution_count = 1
    notebook.run("def f(x):\n    return 2 / x  # newer")
    newer = notebook.capture("f")

    assert "# newer" in other.fail(newer, "f(0)")
    assert "# older" in other.fail(older, "f(0)")
    assert "# newer" in other.fail(newer, "f(0)")


def test_getsource_works_elsewhere(notebook: Notebook, other: OtherProcess):
    """`inspect.getsource` gives the cell's text in the other process."""
    source = "def helper(x):\n    # why\n    return x\n"
    notebook.run(source + "def f(x): return helper(x)")

    assert other.run(notebook.capture("f"), "inspect.getsource(helper)") == repr(source)


def test_source_is_what_the_user_wrote(notebook: Notebook):
    """The captured source keeps comments, and decorators that make a function durable."""
    notebook.run(
        """
        import ipydurable
        def activity(**options): return lambda function: function
        activity.__module__ = "ipydurable.decorators"
        @activity(
            retries=3,
        )
        def f(x):
            # why
            return x
        """
    )

    captured = notebook.capture("f")

    assert captured.source == "@activity(\n    retries=3,\n)\ndef f(x):\n    # why\n    return x"
    assert [chunk.source for chunk in captured.package.chunks] == [
        "def f(x):\n    # why\n    return x"
    ]
    assert captured.package.chunks[0].first_line == 7


def test_lazy_annotations_of_an_earlier_cell_apply(notebook: Notebook, other: OtherProcess):
    """`from __future__ import annotations` of one cell holds for the functions of later ones."""
    notebook.run("from __future__ import annotations")
    notebook.run("def f(x: NotThere) -> NorThis: return f.__annotations__")

    assert other.run(notebook.capture("f"), "f(1)") == "{'x': 'NotThere', 'return': 'NorThis'}"


DURABLES = """
class Durable:
    def __init__(self, kind, function):
        self.__durable_kind__, self.__wrapped__ = kind, function
        self.__durable_name__ = self.__name__ = function.__name__
    def __call__(self, *args): return self.__wrapped__(*args)

def fetch(city): return clean(city)
fetch = Durable("activity", fetch)
def clean(text): return text.strip()
def child(ctx): ...
child = Durable("orchestrator", child)
"""


def test_an_orchestrator_sees_stubs(notebook: Notebook, other: OtherProcess):
    """What an orchestrator calls travels as a name only, not as code."""
    notebook.run(DURABLES)
    notebook.run("def f(ctx): return fetch, child, [fetch]")

    captured = notebook.capture("f", kind=Kind.ORCHESTRATOR)

    assert captured.package.stubs == {
        "child": ("orchestrator", "child"),
        "fetch": ("activity", "fetch"),
    }
    assert [chunk.name for chunk in captured.package.chunks] == ["f"]
    expected = "(<activity fetch>, <orchestrator child>, [<activity fetch>])"
    assert other.run(captured, "f(None)") == expected


def test_durable_definitions_in_a_captured_list_are_stubs(notebook: Notebook, other: OtherProcess):
    """A global list of activities means the definitions, wherever it is used."""
    notebook.run(DURABLES)
    notebook.run("STEPS = [fetch]\ndef f(ctx): return STEPS")

    captured = notebook.capture("f", kind=Kind.ORCHESTRATOR)

    assert other.run(captured, "f(None)") == "[<activity fetch>]"


def test_an_orchestrators_own_name_means_its_definition(notebook: Notebook, other: OtherProcess):
    """An orchestrator that calls itself schedules itself; what is loaded is the function."""
    notebook.run(DURABLES)
    notebook.run("def f(ctx, n): return again(n)\ndef again(n): return f, n\nbare = f")
    notebook.run('f = Durable("orchestrator", f)')

    captured = notebook.capture("f", kind=Kind.ORCHESTRATOR)

    assert other.run(captured, "ENTRY(None, 1)") == "(<orchestrator f>, 1)"


def test_an_activity_calls_another_one_as_a_function(notebook: Notebook, other: OtherProcess):
    """Within an activity another activity is a plain function."""
    notebook.run(DURABLES)
    notebook.run("def f(city): return fetch(city) + '!'")

    captured = notebook.capture("f", kind=Kind.ACTIVITY)

    assert captured.package.stubs == {}
    assert other.run(captured, "f(' Basel ')") == "'Basel!'"


def test_an_entity_class_travels(notebook: Notebook, other: OtherProcess):
    """A class is captured like a function, with what its methods use."""
    notebook.run(DURABLES)
    notebook.run(
        """
        RATE = 2
        class Account:
            balance: int = 0
            def deposit(self, amount):
                self.balance += amount * RATE
                return self.balance, fetch
        """
    )

    captured = notebook.capture("Account", kind=Kind.ENTITY)

    assert captured.source.startswith("class Account:")
    assert other.run(captured, "Account().deposit(3)") == "(6, <activity fetch>)"


REFUSED = {
    "connection": ("import sqlite3\nvalue = sqlite3.connect(':memory:')", "Connection", "open it"),
    "file": ("value = open('/dev/null')", "TextIOWrapper", "pass its path"),
    "lock": ("import threading\nvalue = threading.Lock()", "lock", "within one process"),
    "generator": ("value = (x for x in [1])", "generator", "pass a list"),
    "thread": ("import threading\nvalue = threading.Thread()", "Thread", "start it inside"),
    "socket": ("import socket\nvalue = socket.socket()", "socket", "open it inside"),
    "part of a dict": (
        "import threading\nvalue = {'a': [1, threading.Lock()]}",
        "lock",
        "within one process",
    ),
    "shell": ("value = get_ipython()", "InteractiveShell", ""),
    "module made by hand": ("import types\nvalue = types.ModuleType('m')", "module", "import"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_travel_is_named(what: str, notebook: Notebook):
    """The error names definition, variable, type, the line that uses it, and what to do."""
    cell, type_name, remedy = REFUSED[what]
    notebook.run(cell)
    notebook.run("def helper():\n    return value\ndef f(): return helper()")

    with pytest.raises(NotDurableError) as caught:
        notebook.capture("f")

    assert caught.value.definition == "f"
    assert caught.value.variable.startswith("value")
    assert caught.value.type_name in (type_name, "TerminalInteractiveShell")
    assert remedy in str(caught.value)
    assert "Cell In[2], line 2" in str(caught.value)
    if what in ("file", "connection", "socket"):
        notebook.shell.user_ns["value"].close()


def test_the_path_inside_a_variable_is_named(notebook: Notebook):
    """A lock deep in a dict is named by how one gets at it."""
    notebook.run("import threading\nvalue = {'a': [1, threading.Lock()]}\ndef f(): return value")

    with pytest.raises(NotDurableError, match=r"value\['a'\]\[1\]"):
        notebook.capture("f")


def test_a_class_that_was_defined_again_is_refused(notebook: Notebook):
    """A name that still means an older class is reported, not silently replaced."""
    notebook.run("class A:\n    x = 1\nolder = A\nclass A:\n    x = 2\ndef f(): return older.x")

    with pytest.raises(NotDurableError, match="'older'"):
        notebook.capture("f")


REDEFINED = {
    "bases": ("class A(KeyError): pass", "class A(ValueError): pass"),
    "value": ("class A:\n    x = [1]", "class A:\n    x = [2]"),
    "kind": ("class A: pass", "import enum\nA = enum.Enum('A', 'X')"),
    "method": (
        "class A:\n    def go(self): return 1",
        "class A:\n    'Longer.'\n    def go(self): return 2",
    ),
}


@pytest.mark.parametrize("what", REDEFINED)
def test_the_live_class_is_captured_whatever_ran_before(what: str, notebook: Notebook):
    """Of several cells that define a class, the one that made the live class is captured."""
    versions = {}
    for run in (0, 1, 0, 1):
        notebook.run(REDEFINED[what][run])
        notebook.run("def f(): return A")
        versions.setdefault(run, set()).add(notebook.capture("f").version)

    assert [len(found) for found in versions.values()] == [1, 1]
    assert versions[0] != versions[1]


def test_two_things_of_one_name_are_refused(notebook: Notebook):
    """A variable of an enclosing function may not be called like another global that is used."""
    notebook.run(
        """
        n = 1
        def helper(): return n
        def make(n):
            def f(): return n, helper()
            return f
        f = make(2)
        """
    )

    with pytest.raises(DefinitionError, match="two different things called 'n'"):
        notebook.capture("f")


def test_a_name_that_is_not_defined_yet_is_a_warning(notebook: Notebook, other: OtherProcess):
    """Code that uses what comes in a later cell is captured, with a warning of it."""
    notebook.run("def f(x):\n    if x:\n        return later(x)\n    return 0")

    captured = notebook.capture("f")

    (warning,) = captured.warnings
    assert "'later'" in warning
    assert "Cell In[1], line 3" in warning
    assert other.run(captured, "f(0)") == "0"


def test_a_large_variable_is_a_warning(notebook: Notebook):
    """Data that would be stored with each version is reported with its name and size."""
    notebook.run("import numpy as np\nbig = np.zeros(2_000_000)\ndef f(): return big[0]")

    (warning,) = notebook.capture("f").warnings

    assert "'big'" in warning
    assert "16 MB" in warning


def test_a_module_that_is_missing_elsewhere_is_named(notebook: Notebook, other: OtherProcess):
    """The other process says which module it lacks, and who needs it."""
    notebook.run("import json\ndef f(): return json")
    captured = notebook.capture("f")
    package = msgspec.structs.replace(captured.package, imports=("import not_here",))

    trace = other.fail(captured._replace(package=package), "f()")

    assert "f needs the module not_here (import not_here)" in trace


def test_a_given_source_is_used(other: OtherProcess):
    """Where no source can be found, the caller's is taken, with its file and line."""
    namespace = {"__name__": "__main__"}
    exec("def f(x): return 1 / x", namespace)

    captured = capture(
        namespace["f"],
        name="f",
        source_of=lambda _: ("def f(x): return 1 / x\n", "elsewhere.ipynb", 7),
    )

    assert 'File "elsewhere.ipynb", line 7, in f' in other.fail(captured, "f(0)")


def test_a_function_without_source_travels_compiled(other: OtherProcess):
    """A function that was made from text nobody kept still runs."""
    namespace = {"__name__": "__main__", "K": 3}
    exec("def helper(x): return x + K\ndef f(x): return helper(x)", namespace)

    captured = capture(namespace["f"], name="f")

    assert captured.source == ""
    assert other.run(captured, "f(1)") == "4"


def test_a_class_made_by_a_call_is_not_taken_for_an_older_class_of_its_name(
    notebook: Notebook, other: OtherProcess
):
    """Cells that are still known here may belong to another notebook, or to code replaced since."""
    notebook.run("import enum\nclass Color(enum.Enum):\n    RED = 1")
    notebook.run('Color = enum.Enum("Color", "RED BLUE")\ndef f(): return Color.BLUE.value')
    assert other.run(notebook.capture("f"), "ENTRY()") == "2"


def test_a_class_is_not_looked_for_in_cells_whose_names_mean_nothing_here(
    notebook: Notebook, other: OtherProcess
):
    notebook.run("from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int = 1")
    notebook.run("del dataclass\nPoint = type('Point', (), {'x': 1})\ndef f(): return Point.x")
    assert other.run(notebook.capture("f"), "ENTRY()") == "1"
