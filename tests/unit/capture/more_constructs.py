"""More of what people write in cells: what comes back, and what rarer forms of code need."""

__all__ = ["MORE_TRAVELLERS"]

MORE_TRAVELLERS = {
    "an exception as a value": (
        """
        class NotFound(LookupError):
            def __init__(self, key):
                super().__init__(key)
                self.key = key
        def f(key): return NotFound(key)
        """,
        "f('a')",
        "NotFound('a')",
    ),
    "exceptions in a hierarchy": (
        """
        class AppError(Exception): pass
        class RetryLater(AppError):
            delay = 3
        def work(): raise RetryLater("soon")
        def f():
            try:
                work()
            except AppError as error:
                return type(error).__name__, error.delay
        """,
        "f()",
        "('RetryLater', 3)",
    ),
    "an enum as a value": (
        "import enum\nclass Color(enum.Enum):\n    RED = 1\ndef f(): return Color.RED",
        "f()",
        "<Color.RED: 1>",
    ),
    "enums with numbers, texts and flags": (
        """
        from enum import IntEnum, StrEnum, Flag, auto
        class Level(IntEnum):
            LOW = 1
        class Name(StrEnum):
            A = auto()
        class Right(Flag):
            READ = auto()
            WRITE = auto()
        def f(): return [Level.LOW, Name.A, Right.READ | Right.WRITE]
        """,
        "f()",
        "[<Level.LOW: 1>, <Name.A: 'a'>, <Right.READ|WRITE: 3>]",
    ),
    "an enum with methods and a table of its members": (
        """
        import enum
        class Op(enum.Enum):
            ADD = "+"
            def apply(self, a, b): return TABLE[self](a, b)
        TABLE = {Op.ADD: lambda a, b: a + b}
        def f(): return Op.ADD.apply(1, 2)
        """,
        "f()",
        "3",
    ),
    "a dataclass as a value": (
        """
        from dataclasses import dataclass
        @dataclass
        class Inner:
            n: int
        @dataclass
        class Outer:
            inner: Inner
            many: list[Inner]
        def f(n): return Outer(Inner(n), [Inner(n + 1)])
        """,
        "f(1)",
        "Outer(inner=Inner(n=1), many=[Inner(n=2)])",
    ),
    "a dataclass with slots, a post-init and a default factory": (
        """
        from dataclasses import dataclass, field
        def fresh(): return [1]
        @dataclass(slots=True, kw_only=True, order=True)
        class Box:
            items: list[int] = field(default_factory=fresh)
            size: int = field(init=False, default=0)
            def __post_init__(self): self.size = len(self.items)
        def f(): return Box(items=[1, 2])
        """,
        "f()",
        "Box(items=[1, 2], size=2)",
    ),
    "a dataclass under lazy annotations": (
        """
        from __future__ import annotations
        from dataclasses import dataclass, fields
        from typing import ClassVar
        @dataclass
        class Node:
            LIMIT: ClassVar[int] = 3
            next: Node | None = None
        def f(node: Node | Missing = None) -> Missing: return len(fields(Node)), Node(Node())
        """,
        "f()",
        "(1, Node(next=Node(next=None)))",
    ),
    "an async generator and an async context": (
        """
        from contextlib import asynccontextmanager
        @asynccontextmanager
        async def opened(x):
            yield x
        async def count(n):
            for i in range(n):
                yield i
        async def f(n):
            async with opened(n) as m:
                return [i async for i in count(m)]
        """,
        "f(3)",
        "[0, 1, 2]",
    ),
    "a generator that is sent to": (
        """
        def averager():
            total = 0
            while True:
                got = yield total
                total += got
        def f(xs):
            each = averager()
            next(each)
            return [each.send(x) for x in xs]
        """,
        "f([1, 2])",
        "[1, 3]",
    ),
    "mutual recursion through a class and a table": (
        """
        class Parser:
            def term(self, text): return RULES["factor"](self, text) + 1
        def factor(parser, text): return len(text) if len(text) < 3 else parser.term(text[1:])
        RULES = {"factor": factor}
        def f(text): return Parser().term(text)
        """,
        "f('abcd')",
        "5",
    ),
    "a submodule by another name": (
        (
            "import os.path as p\n"
            "import xml.dom.minidom as dom\ndef f(): return p.basename('a/b'), dom.__name__"
        ),
        "f()",
        "('b', 'xml.dom.minidom')",
    ),
    "a submodule from its package": (
        (
            "from concurrent import futures\n"
            "from os import path as p\ndef f(): return futures.__name__, p.basename('a/b')"
        ),
        "f()",
        "('concurrent.futures', 'b')",
    ),
    "a star import": ("from math import *\ndef f(): return floor(pi)", "f()", "3"),
    "an import inside": (
        "def f():\n    import json\n    from math import pi as p\n    return json.dumps(int(p))",
        "f()",
        "'3'",
    ),
    "a decorator with arguments and a counter in a closure": (
        """
        import functools
        def counted(start):
            def decorate(function):
                calls = start
                @functools.wraps(function)
                def wrapper(*args, **kwargs):
                    nonlocal calls
                    calls += 1
                    return calls, function(*args, **kwargs)
                return wrapper
            return decorate
        @counted(start=10)
        def f(x): return x
        """,
        "f('a')",
        "(11, 'a')",
    ),
    "two decorators": (
        """
        def plus(function): return lambda x: function(x) + 1
        def times(function): return lambda x: function(x) * 10
        @plus
        @times
        def g(x): return x
        def f(x): return g(x)
        """,
        "f(2)",
        "21",
    ),
    "a decorator that is a class": (
        """
        class Loud:
            def __init__(self, function): self.function = function
            def __call__(self, x): return self.function(x).upper()
        @Loud
        def g(x): return x
        def f(x): return g(x)
        """,
        "f('a')",
        "'A'",
    ),
    "a partial of a partial, and of a method": (
        """
        from functools import partial, partialmethod
        class Maker:
            def make(self, a, b): return a, b
            make_one = partialmethod(make, 1)
        def join(*parts): return parts
        start = partial(partial(join, 1), 2)
        def f(): return start(3), Maker().make_one(2), partial(Maker().make, 5)(6)
        """,
        "f()",
        "((1, 2, 3), (1, 2), (5, 6))",
    ),
    "lambdas in lambdas, with defaults": (
        (
            "K = 2\n"
            "make = lambda n=K: (lambda x, y=K: x * n + y)\n"
            "def f(x): return make()(x), make(5)(x)"
        ),
        "f(3)",
        "(8, 17)",
    ),
    "a lambda as the entry": ("f = lambda x, y=2: x * y", "f(3)", "6"),
    "single dispatch": (
        """
        from functools import singledispatch
        @singledispatch
        def kind(x): return "other"
        @kind.register
        def _(x: int): return "number"
        def f(): return kind("a")
        """,
        "f()",
        "'other'",
    ),
    "cached and plain properties, static and class methods": (
        """
        from functools import cached_property
        RATE = 3
        class Shape:
            def __init__(self, n): self.n = n
            @cached_property
            def area(self): return self.n * RATE
            @property
            def name(self): return type(self).__name__
            @classmethod
            def unit(cls): return cls(1)
            @staticmethod
            def double(x): return x * RATE
        def f(n): return Shape(n).area, Shape.unit().area, Shape.double(2), Shape(1).name
        """,
        "f(2)",
        "(6, 3, 6, 'Shape')",
    ),
    "abstract classes and protocols": (
        """
        from abc import ABC, abstractmethod
        from typing import Protocol, runtime_checkable
        class Base(ABC):
            @abstractmethod
            def go(self): ...
        class Real(Base):
            def go(self): return 1
        @runtime_checkable
        class Goes(Protocol):
            def go(self): ...
        def f(): return Real().go(), isinstance(Real(), Goes)
        """,
        "f()",
        "(1, True)",
    ),
    "typed dicts, generics and new types": (
        """
        from typing import Generic, NewType, TypedDict, TypeVar
        T = TypeVar("T")
        UserId = NewType("UserId", int)
        class Row(TypedDict):
            id: UserId
        class Stack(Generic[T]):
            def __init__(self): self.items: list[T] = []
        def f(n): return Row(id=UserId(n)), Stack[int]().items
        """,
        "f(1)",
        "({'id': 1}, [])",
    ),
    "an instance as default and in a class body": (
        """
        class Policy:
            def __init__(self, n): self.n = n
            def __repr__(self): return f"Policy({self.n})"
        DEFAULT = Policy(1)
        class Task:
            policy = DEFAULT
            policies = {"one": Policy(2)}
        def f(policy=DEFAULT, *, other=Policy(3)): return policy, Task.policy, Task.policies, other
        """,
        "f()",
        "(Policy(1), Policy(1), {'one': Policy(2)}, Policy(3))",
    ),
    "a namespace of constants and a frozen set": (
        (
            "from types import SimpleNamespace as N\n"
            "CONF = N(a=1, b=frozenset({'x'}))\ndef f(): return CONF.a, CONF.b"
        ),
        "f()",
        "(1, frozenset({'x'}))",
    ),
    "an operator and a method of a builtin": (
        (
            "from operator import itemgetter, attrgetter\nfirst = itemgetter(0)\n"
            "up = str.upper\ndef f(): return up(first(['a']))"
        ),
        "f()",
        "'A'",
    ),
    "a compiled pattern and a path": (
        (
            "import re\nfrom pathlib import Path\n"
            "WORD = re.compile('[a-z]+')\n"
            "HERE = Path('/x')\n"
            "def f(): return WORD.findall('a b'), HERE"
        ),
        "f()",
        "(['a', 'b'], PosixPath('/x'))",
    ),
    "a with that defines, a walrus and a chained comparison": (
        """
        from contextlib import contextmanager
        LOW, HIGH = 1, 5
        @contextmanager
        def limits():
            yield LOW, HIGH
        def f(xs):
            with limits() as (low, high):
                return [y for x in xs if low < (y := x * 2) < high]
        """,
        "f([1, 2, 3])",
        "[2, 4]",
    ),
    "a class made by type": (
        "Point = type('Point', (), {'x': 1})\ndef f(): return Point.x",
        "f()",
        "1",
    ),
    "a metaclass registry": (
        """
        REGISTRY = {}
        class Plugin:
            def __init_subclass__(cls, **kwargs):
                super().__init_subclass__(**kwargs)
                REGISTRY[cls.__name__] = cls
        class A(Plugin): pass
        def f(): return sorted(REGISTRY), REGISTRY["A"] is A
        """,
        "f()",
        "(['A'], True)",
    ),
}
