"""What people write in cells: the cell, an expression to evaluate, and its `repr`."""

__all__ = ["TRAVELLERS"]

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
        (
            "import xml as x\nimport xml.dom.minidom\n"
            "def f(): return x.dom.minidom.parseString('<a/>').documentElement.tagName"
        ),
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
        """
        from enum import Enum
        Color = Enum("Color", "RED BLUE")
        def f(): return Color.BLUE.value
        """,
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
        (
            "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\n"
            "HERE = Point(1, 2)\ndef f(): return HERE, isinstance(HERE, Point)"
        ),
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
        (
            "def up(x): return x + 1\nTABLE = {'up': up, 'down': lambda x: x - 1}\n"
            "def f(x): return TABLE['up'](x), TABLE['down'](x)"
        ),
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
        (
            "import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x\n"
            "async def f(x): return await g(x) + 1"
        ),
        "f(3)",
        "4",
    ),
    "a generator function": (
        "def g(n):\n    yield from range(n)\ndef f(n):\n    return sum(g(n))",
        "f(4)",
        "6",
    ),
    "default arguments": (
        (
            "SIZE = 3\nclass Config:\n    depth = 2\n"
            "def f(x=SIZE, *, y=Config.depth, z=(1, 2), w=-1): return x, y, z, w"
        ),
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
        (
            "class Config:\n    def __init__(self, n): self.n = n\nDEFAULT = Config(3)\n"
            "def f(config=DEFAULT): return config.n, config is DEFAULT"
        ),
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
        (
            "from typing import TypeVar, Generic\nT = TypeVar('T')\n"
            "class Box(Generic[T]):\n    def __init__(self, x: T): self.x = x\n"
            "def f(x: T) -> T: return Box[int](x).x"
        ),
        "f(1)",
        "1",
    ),
    "a type alias": (
        "class Row: pass\nRows = list[Row]\ndef f(rows: Rows): return rows",
        "f([])",
        "[]",
    ),
    "a changing global": (
        (
            "count = 0\ndef bump():\n    global count\n    count += 1\n"
            "def f():\n    bump()\n    bump()\n    return count"
        ),
        "f()",
        "2",
    ),
    "a DataFrame": (
        """
        import pandas as pd
        frame = pd.DataFrame({"a": [1, 2]})
        def f(): return int(frame.a.sum())
        """,
        "f()",
        "3",
    ),
    "containers of many kinds": (
        (
            "import datetime\nTHINGS = {(1, 2): {3}, 'd': datetime.date(2026, 1, 1)}\n"
            "def f(): return THINGS"
        ),
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
        """
        class A:
            def go(self): return 1
        class B(A):
            def go(self): return super().go() + 1
        def f(): return B().go()
        """,
        "f()",
        "2",
    ),
    "an exception class in a list of those to catch": (
        """
        class MyError(Exception): pass
        CATCH = (KeyError, MyError)
        def g(): raise MyError("no")
        def f():
            try:
                g()
            except CATCH as error:
                return type(error) is MyError
        """,
        "f()",
        "True",
    ),
    "a class with everything in its body": (
        """
        import abc
        SCALE = 3
        def tagged(cls):
            cls.tag = SCALE
            return cls
        class Meta(type):
            def __new__(mcs, name, bases, body): return super().__new__(mcs, name, bases, body)
        @tagged
        class A(metaclass=Meta):
            limits = [SCALE * n for n in range(2)]
            @staticmethod
            def s(): return SCALE
            @classmethod
            def c(cls): return cls.__name__
            @abc.abstractmethod
            def a(self): ...
        def f(): return A.tag, A.limits, A.s(), A.c(), type(A).__name__
        """,
        "f()",
        "(3, [0, 3], 3, 'A', 'Meta')",
    ),
}
