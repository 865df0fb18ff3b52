"""An entity as a cell shows it: its state as a tree that opens, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from html import escape
from itertools import islice
from typing import Any

from .display import FONT, MUTED, Facts

__all__ = ["EntityCard", "state_tree"]

_DEPTH, _ITEMS, _CHARS = 8, 50, 400
_NODES, _OPEN_UP_TO = 400, 12
_CELL = "text-align:left;padding:1px 16px 1px 0;border:0;vertical-align:top"
_LABEL = f"{_CELL};{MUTED};white-space:nowrap"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace);white-space:pre-wrap"
_BLOCK = "display:inline-block;vertical-align:top;max-width:100%"
_WRAPPED = "overflow-wrap:anywhere"


class EntityCard:
    """An entity at one moment; its HTML needs no kernel and no script to be opened and read.

    Args:
        heading: Stands above it.
        state: The parts of its state: name and value.
        facts: What else is known: what, and its value.
    """

    def __init__(
        self,
        heading: str,
        state: Iterable[tuple[str, Any]],
        facts: Iterable[tuple[str, str]],
    ) -> None:
        self._heading = heading
        self._state = list(state)
        self._facts = [(label, value) for label, value in facts if value]

    def __repr__(self) -> str:
        state = [(name, repr(value)) for name, value in self._state]
        return repr(Facts(self._heading, [*state, *self._facts]))

    def _repr_html_(self) -> str:
        left = _NODES
        rows = []
        for name, value in self._state:
            tree, left = _tree(value, 0, left)
            rows.append(_row(name, tree))
        rows += [_row(label, escape(value)) for label, value in self._facts]
        return (
            f'<div style="{FONT}"><b>{escape(self._heading)}</b>'
            f'<table style="border-collapse:collapse;margin:2px 0 0;{FONT}">{"".join(rows)}</table>'
            "</div>"
        )


def state_tree(value: Any) -> str:
    """Return a value as HTML: what holds others opens and closes, by keyboard as well.

    Deep, long and cyclic values are cut, and say so.
    """
    return _tree(value, 0, _NODES)[0]


def _tree(value: Any, depth: int, left: int) -> tuple[str, int]:
    """Return the HTML of a value, and how many more nodes may be shown after it."""
    left -= 1
    total, parts = _parts(value)
    if not total:
        return _leaf(value), left
    words = f"{type(value).__name__}, {total:,} item{'s' * (total != 1)}"
    if depth == _DEPTH or left <= 0:
        return f'<span style="{MUTED}">{escape(words)}, not shown</span>', left
    rows = []
    for name, part in islice(parts, _ITEMS):
        if left <= 0:
            break
        tree, left = _tree(part, depth + 1, left)
        rows.append(
            f'<div style="{_WRAPPED}"><span style="{MUTED}">{escape(name)}</span> {tree}</div>'
        )
    if len(rows) < total:
        rows.append(f'<div style="{MUTED}">… {total - len(rows):,} more</div>')
    is_open = " open" if depth == 0 and total <= _OPEN_UP_TO else ""
    summary = f'<summary style="cursor:pointer;{MUTED}">{escape(words)}</summary>'
    inside = f'<div style="padding-left:16px">{"".join(rows)}</div>'
    return (
        f'<details{is_open} style="{_BLOCK}">{summary}{inside}</details>',
        left,
    )


def _parts(value: Any) -> tuple[int, Iterable[tuple[str, Any]]]:
    """Return how many values one holds, and those with their names; none where it is one itself."""
    if isinstance(value, Mapping):
        return len(value), (
            (_short(repr(name)) if not isinstance(name, str) else name, one)
            for name, one in value.items()
        )
    if isinstance(value, (str, bytes, bytearray, range)):
        return 0, ()
    if isinstance(value, Sequence):
        return len(value), ((str(place), one) for place, one in enumerate(value))
    if isinstance(value, AbstractSet):
        return len(value), (("·", one) for one in value)
    return 0, ()


def _leaf(value: Any) -> str:
    return f'<span style="{_MONO};{_WRAPPED}">{escape(_short(repr(value)))}</span>'


def _short(words: str) -> str:
    return words if len(words) <= _CHARS else f"{words[:_CHARS]}… ({len(words):,} characters)"


def _row(label: str, inside: str) -> str:
    return (
        f'<tr style="background:none"><td style="{_LABEL}">{escape(label)}</td>'
        f'<td style="{_CELL};{_WRAPPED}">{inside}</td></tr>'
    )
