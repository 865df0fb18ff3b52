"""Classes and functions of many kinds, at home in this module as others are in a notebook."""

import dataclasses
import enum
from typing import NamedTuple

from ipydurable.runtime.signing import Signer

SIGNER = Signer(b"k" * 32)
HOME = __name__


class Color(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = "b"


class Permission(enum.Flag):
    """Flags."""

    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = 1


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that cannot be changed."""

    tags: tuple = ()
    size: int = dataclasses.field(default=3, init=False)


@dataclasses.dataclass
class WithState(Point):
    """A dataclass that says itself how it is stored."""

    def __getstate__(self):
        return dict(vars(self))


class Pair(NamedTuple):
    """A named tuple."""

    left: object
    right: object


class Plain:
    """A class without any form but pickle."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Plain and other.value == self.value

    __hash__ = None


class Holder:
    """A class of classes."""

    class Inner(enum.Enum):
        """An enum in it."""

        A = 1


def helper(x):
    """A function with a name."""
    return offset() + x


def offset():
    """What the other needs."""
    return 10


def namespace(**more) -> dict:
    """The globals of this file, as if they were those of a notebook."""
    return {**globals(), "__name__": __name__, **more}


@dataclasses.dataclass
class CodeError(Exception):
    """A dataclass that is an exception."""

    code: int

    def __reduce__(self):
        return CodeError, (self.code,)


def incomplete(**attributes: object) -> Point:
    """A `Point` that lacks a field, or has more attributes than fields."""
    point = Point(1)
    del point.x
    vars(point).update(attributes)
    return point


class Marked(Pair):
    """A named tuple with attributes of its own."""


def marked() -> Marked:
    """One of them."""
    found = Marked(1, 2)
    found.mark = "x"
    return found
