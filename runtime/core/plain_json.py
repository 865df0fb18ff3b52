r"""Stored JSON as people write it: without the tags around numbers, dates and arguments.

A value that JSON has no word for is stored with a tag, `{"$numpy":["float64",2.5]}`. Whoever looks
at it wants to see `2.5`. What comes out is for reading; it cannot be decoded again.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["AS_WRITTEN", "as_written"]

AS_WRITTEN: Final = (
    (r'\{"\$numpy":\["\w+",([^][{}]+)\]\}', r"\1"),
    (r'\{"\$(?:datetime|date|time|decimal|uuid|path)":("(?:[^"\\]|\\.)*")\}', r"\1"),
    (r'\{"\$(?:tuple|set|frozenset)":(\[[^][{}]*\])\}', r"\1"),
    (r'^\{"\$args":(\[.*\]),"\$kwargs":\{\}\}$', r"\1"),
    (r'^\{"\$args":\[\],"\$kwargs":(\{.*\})\}$', r"\1"),
    (r'^\{"\$args":\[(.+)\],"\$kwargs":(\{.+\})\}$', r"[\1,\2]"),
)
"""Patterns and what takes their place, one after the other; in Python and in DuckDB alike."""

_STEPS: Final = tuple((re.compile(pattern), written) for pattern, written in AS_WRITTEN)


def as_written(text: str) -> str:
    """Return stored JSON as people write it.

    Numpy's numbers become numbers, dates and decimals text, tuples and sets lists. The arguments
    of a call become a list, with those given by name as an object at its end.
    """
    if '"$' not in text:
        return text
    for pattern, written in _STEPS:
        text = pattern.sub(written, text)
    return text
