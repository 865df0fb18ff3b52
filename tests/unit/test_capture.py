"""Capturing code in cells and modules, and running it in another process."""

import base64
import json
import linecache
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ipydurable.capture import Captured, capture
from ipydurable.runtime.core.errors import DefinitionError, NotDurableError
from ipydurable.runtime.definitions import Kind

# Builds each namespace it is sent and evaluates an expression in it.
OTHER_PROCESS = """
import asyncio, base64, inspect, json, sys, traceback
import msgspec
from ipydurable.runtime.definitions import CodePackage
from ipydurable.runtime.namespace import build_namespace
from ipydurable.runtime.stubs import Stub

for line in sys.stdin:
    package, expression = json.loads(line)
    package = msgspec.msgpack.decode(base64.b64decode(package), type=CodePackage)
    answer = {}
    try:
        namespace = build_namespace(package, Stub)
        namespace.update(ENTRY=namespace[package.entry], inspect=inspect)
        value = eval(expression, namespace)
        answer["result"] = repr(asyncio.run(value) if inspect.iscoroutine(value) else value)
    except Exception:
        answer["error"] = traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


class OtherProcess:
    """A Python that knows nothing of the notebook."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def ask(self, captured: Captured, expression: str) -> dict[str, str]:
        """Evaluate an expression in the package's namespace."""
        package = base64.b64encode(msgspec.msgpack.encode(captured.package)).decode()
        self._process.stdin.write(json.dumps([package, expression]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def run(self, captured: Captured, expression: str) -> str:
        """Evaluate an expression that must succeed; returns the `repr` of its value."""
        answer = self.ask(captured, expression)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def fail(self, captured: Captured, expression: str) -> str:
        """Evaluate an expression that must fail; returns the traceback."""
        return self.ask(captured, expression)["error"]


class Notebook:
    """Cells in a real IPython."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def run(self, cell: str) -> None:
        """Run a cell."""
        result = self.shell.run_cell(textwrap.dedent(cell).strip() + "\n", store_history=True)
        result.raise_error()

    def capture(self, name: str, **options) -> Captured:
        """Capture what a global name is bound to."""
        return capture(self.shell.user_ns[name], name=name, **options)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Iterator[OtherProcess]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    ) as process:
        yield OtherProcess(process)
        process.stdin.close()


@pytest.fixture
def notebook(monkeypatch) -> Iterator[Notebook]:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    for name in ("displayhook", "excepthook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    lines = dict(linecache.cache)
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    InteractiveShell._instance = shell
    with shell.builtin_trap:
        yield Notebook(shell)
    InteractiveShell.clear_instance()
    linecache.cache.clear()
    linecache.cache.update(lines)


TRAVELLERS = {
    "a plain function": ("def f(x): return x * 2", "f(4)", "8"),
    "a helper of a helper": (
        """
        def b(x): return x + 1
        def a(x): return b(x) * 2
        def f(x): return a(x)
        """,
        "f(4)",
        "10",
    ),
    "mutual recursion": (
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def f(n): return even(n)
        """,
        "f(11)",
        "False",
    ),
    "a constant": ("LIMIT = 7\ndef f(x): return min(x, LIMIT)", "f(9)", "7"),
    "a constant of an inner function": (
        "LIMIT = 7\ndef f(xs): return [(lambda y: y + LIMIT)(x) for x in xs]",
        "f([1])",
        "[8]",
    ),
    "an attribute that is called like a global it does not use": (
        """
        import sqlite3
        connection = sqlite3.connect(":memory:")
        def f(x): return getattr(x, "y", 3) if not hasattr(x, "z") else x.connection
        """,
        "f(1)",
        "3",
    ),
    "a submodule": (
        """
        import concurrent.futures
        def f(x):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                return pool.submit(abs, x).result()
        """,
        "f(-3)",
        "3",
    ),
    "a module by another name": ("import json as j\ndef f(x): return j.dumps(x)", "f(1)", "'1'"),
    "a package by another name and its submodule": (
        "import xml as x\nimport xml.dom.minidom\n"
        "def f(): return x.dom.minidom.parseString('<a/>').documentElement.tagName",
        "f()",
        "'a'",
    ),
    "an imported function by another name": (
        "from math import sqrt as root\ndef f(x): return root(x)",
        "f(9)",
        "3.0",
    ),
    "an imported constant": ("from math import pi\ndef f(): return pi", "f()", "3.141592653589793"),
    "an imported bound method": (
        "from random import Random, seed, random\ndef f():\n    seed(1)\n    return random() < 1",
        "f()",
        "True",
    ),
    "an imported class": (
        "from collections import Counter\ndef f(x): return Counter(x).most_common(1)",
        "f('aab')",
        "[('a', 2)]",
    ),
    "numpy and its functions": (
        "import numpy as np\nfrom numpy import sin as s\ndef f(x): return float(np.abs(s(x)))",
        "f(0)",
        "0.0",
    ),
    "a class": (
        """
        class Base:
            def hello(self): return "hello " + self.name
        class Person(Base):
            kind = "person"
            def __init__(self, name): self.name = name
            @property
            def loud(self): return shout(self.hello())
        def shout(text): return text.upper()
        def f(name): return Person(name).loud, isinstance(Person(name), Base), Person.__module__
        """,
        "f('Ada')",
        "('HELLO ADA', True, '__main__')",
    ),
    "a class without methods": (
        """
        class MyError(ValueError):
            code = 42
        def f(x):
            try:
                raise MyError(x)
            except MyError as error:
                return error.code, str(error)
        """,
        "f('no')",
        "(42, 'no')",
    ),
    "an enum": (
        """
        import enum
        class Color(enum.Enum):
            RED = 1
            BLUE = 2
        DEFAULT = Color.BLUE
        def f(): return DEFAULT is Color.BLUE, Color(1).name
        """,
        "f()",
        "(True, 'RED')",
    ),
    "an enum made by a call": (
        "from enum import Enum\nColor = Enum('Color', 'RED BLUE')\ndef f(): return Color.BLUE.value",
        "f()",
        "2",
    ),
    "a dataclass": (
        """
        from dataclasses import dataclass, field
        @dataclass(frozen=True)
        class Point:
            x: int
            ys: list = field(default_factory=list)
            def moved(self, by): return Point(self.x + by, self.ys)
        ORIGIN = Point(0, [1])
        def f(by): return ORIGIN.moved(by), isinstance(ORIGIN, Point)
        """,
        "f(3)",
        "(Point(x=3, ys=[1]), True)",
    ),
    "a named tuple": (
        "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\n"
        "HERE = Point(1, 2)\ndef f(): return HERE, isinstance(HERE, Point)",
        "f()",
        "(Point(x=1, y=2), True)",
    ),
    "a named tuple of the typing kind": (
        """
        from typing import NamedTuple
        class Point(NamedTuple):
            x: int
            y: int = 5
        def f(): return Point(1)
        """,
        "f()",
        "Point(x=1, y=5)",
    ),
    "a nested class": (
        """
        class Outer:
            class Inner:
                value = 3
        Inner = Outer.Inner
        def f(): return Inner.value, Inner is Outer.Inner
        """,
        "f()",
        "(3, True)",
    ),
    "a class and its base that use each other": (
        """
        class Node:
            def leaf(self): return Leaf()
        class Leaf(Node):
            pass
        def f(): return isinstance(Node().leaf(), Node)
        """,
        "f()",
        "True",
    ),
    "an instance of a class with state of its own": (
        """
        class Model:
            def __init__(self): self.weights = [1, 2]
            def predict(self, x): return scale(x, self.weights)
        def scale(x, weights): return [x * weight for weight in weights]
        model = Model()
        def f(x): return model.predict(x), type(model) is Model
        """,
        "f(2)",
        "([2, 4], True)",
    ),
    "a bound method": (
        """
        class Model:
            def predict(self, x): return x + 1
        predict = Model().predict
        def f(x): return predict(x)
        """,
        "f(2)",
        "3",
    ),
    "a decorator": (
        """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(*args): return combine(function(*args), function(*args))
            return wrapper
        def combine(*parts): return list(parts)
        @twice
        def g(x): return x
        def f(x): return g(x)
        """,
        "f(2)",
        "[2, 2]",
    ),
    "a decorator without wraps": (
        """
        def twice(function):
            def wrapper(*args): return [function(*args)] * 2
            return wrapper
        @twice
        def g(x): return x
        def f(x): return g(x)
        """,
        "f(2)",
        "[2, 2]",
    ),
    "a decorator that is called while it decorates": (
        """
        REGISTRY = {}
        def register(name):
            def decorate(function):
                note(name, function)
                return function
            return decorate
        def note(name, function): REGISTRY[name] = function
        @register("a")
        def alpha(): return 1
        def f(): return alpha()
        """,
        "f()",
        "1",
    ),
    "a decorated entry": (
        """
        import functools
        @functools.lru_cache(maxsize=None)
        def f(x): return x * 2
        """,
        "f(2)",
        "4",
    ),
    "a cached helper": (
        """
        import functools
        def slow(x): return x * 2
        fast = functools.lru_cache(slow)
        def f(x): return fast(x), fast.cache_info().misses
        """,
        "f(2)",
        "(4, 1)",
    ),
    "a helper wrapped under its own name": (
        """
        import functools
        def g(x): return x * 2
        g = functools.lru_cache(g)
        def f(x): return g(x), g.cache_info().misses
        """,
        "f(2)",
        "(4, 1)",
    ),
    "a partial": (
        """
        from functools import partial
        def power(base, exponent): return base ** exponent
        square = partial(power, exponent=2)
        def f(x): return square(x)
        """,
        "f(3)",
        "9",
    ),
    "a lambda": (
        "double = lambda x: x * FACTOR\nFACTOR = 2\ndef f(x): return double(x)",
        "f(3)",
        "6",
    ),
    "a table of functions": (
        "def up(x): return x + 1\nTABLE = {'up': up, 'down': lambda x: x - 1}\n"
        "def f(x): return TABLE['up'](x), TABLE['down'](x)",
        "f(3)",
        "(4, 2)",
    ),
    "a closure": (
        """
        def adder(n):
            def add(x): return shift(x) + n
            return add
        def shift(x): return x * 10
        add_one, add_two = adder(1), adder(2)
        def f(x): return add_one(x), add_two(x)
        """,
        "f(3)",
        "(31, 32)",
    ),
    "an entry made in a function": (
        """
        def make(n):
            scale = lambda x: x * 10
            class Local:
                def value(self): return n
            def f(x):
                return scale(x) + Local().value()
            return f
        f = make(4)
        """,
        "f(2)",
        "24",
    ),
    "an entry with text at the left margin in a function": (
        "def make():\n    def f():\n        return '''a\nb'''\n    return f\nf = make()",
        "f()",
        "'a\\nb'",
    ),
    "a coroutine function": (
        "import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x\n"
        "async def f(x): return await g(x) + 1",
        "f(3)",
        "4",
    ),
    "a generator function": (
        "def g(n):\n    yield from range(n)\ndef f(n):\n    return sum(g(n))",
        "f(4)",
        "6",
    ),
    "default arguments": (
        "SIZE = 3\nclass Config:\n    depth = 2\n"
        "def f(x=SIZE, *, y=Config.depth, z=(1, 2), w=-1): return x, y, z, w",
        "f()",
        "(3, 2, (1, 2), -1)",
    ),
    "a default of a variable that has changed since": (
        "SIZE = 3\ndef f(x=SIZE): return x, SIZE\nSIZE = 4",
        "f()",
        "(3, 4)",
    ),
    "a default that a call has given": (
        "import random\ndef f(x=random.randint(5, 5)): return x",
        "f()",
        "5",
    ),
    "a sentinel as default": (
        "MISSING = object()\ndef f(x=MISSING): return x is MISSING",
        "f()",
        "True",
    ),
    "a default of a captured class": (
        "class Config:\n    def __init__(self, n): self.n = n\nDEFAULT = Config(3)\n"
        "def f(config=DEFAULT): return config.n, config is DEFAULT",
        "f()",
        "(3, True)",
    ),
    "type hints": (
        """
        from __future__ import annotations
        from dataclasses import dataclass
        @dataclass
        class Tree:
            left: Tree | None = None
        def f(tree: Tree | Unknown) -> Nothing: return tree
        """,
        "f(Tree())",
        "Tree(left=None)",
    ),
    "type hints of which one has gone": (
        "class Gone: pass\ndef g(x: Gone): return x\ndel Gone\ndef f(x): return g(x)",
        "f(1)",
        "1",
    ),
    "a quoted type hint, whose class comes along": (
        "class Point:\n    x = 1\ndef f(p: 'list[Point]'): return Point.x",
        "f([])",
        "1",
    ),
    "a type variable": (
        "from typing import TypeVar, Generic\nT = TypeVar('T')\n"
        "class Box(Generic[T]):\n    def __init__(self, x: T): self.x = x\n"
        "def f(x: T) -> T: return Box[int](x).x",
        "f(1)",
        "1",
    ),
    "a type alias": (
        "class Row: pass\nRows = list[Row]\ndef f(rows: Rows): return rows",
        "f([])",
        "[]",
    ),
    "a changing global": (
        "count = 0\ndef bump():\n    global count\n    count += 1\n"
        "def f():\n    bump()\n    bump()\n    return count",
        "f()",
        "2",
    ),
    "a DataFrame": (
        "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2]})\ndef f(): return int(frame.a.sum())",
        "f()",
        "3",
    ),
    "containers of many kinds": (
        "import datetime\nTHINGS = {(1, 2): {3}, 'd': datetime.date(2026, 1, 1)}\n"
        "def f(): return THINGS",
        "f()",
        "{(1, 2): {3}, 'd': datetime.date(2026, 1, 1)}",
    ),
    "a logger": (
        "import logging\nlog = logging.getLogger('mine')\ndef f(): return log.name",
        "f()",
        "'mine'",
    ),
    "a with, a try and a match": (
        """
        from contextlib import suppress
        def f(x):
            with suppress(KeyError):
                match x:
                    case {"a": [first, *rest]}:
                        return first, rest
            return None
        """,
        "f({'a': [1, 2]})",
        "(1, [2])",
    ),
    "statements on one line": ("x = 2; f = lambda y: x + y; z = 3", "f(1)", "3"),
    "a display": ("def f(): return display.__name__", "f()", "'display'"),
    "IPython's own open": ("import io\ndef f(): return open is io.open", "f()", "True"),
    "a module's own names": ("def f(): return __name__", "f()", "'__main__'"),
    "a super call": (
        "class A:\n    def go(self): return 1\nclass B(A):\n    def go(self): return super().go() + 1\n"
        "def f(): return B().go()",
        "f()",
        "2",
    ),
}


@pytest.mark.parametrize("construct", TRAVELLERS)
def test_travels(construct: str, notebook: Notebook, other: OtherProcess):
    """Every construct gives the same result in a process that has never seen the notebook."""
    cell, expression, expected = TRAVELLERS[construct]
    notebook.run(cell)

    captured = notebook.capture("f")

    here = notebook.shell.user_ns["f"]
    assert other.run(captured, expression.replace("f(", "ENTRY(", 1)) == expected
    assert captured.version == notebook.capture("f").version
    assert notebook.shell.user_ns["f"] is here


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
        ("x * by", "x  *  by  # faster"),
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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A folder for modules, on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


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
