"""A value as a tree that opens: what holds others, how much, and as many of them as fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from html import escape
from itertools import islice
from typing import Any

import msgspec

__all__ = ["TreeNode", "Trees", "state_tree", "tree_html", "tree_of", "words_of"]

_DEPTH, _ITEMS, _CHARS = 8, 50, 400
_NODES, _OPEN_UP_TO = 400, 12
_LEAST_CHARS = 40
_BUDGET = 24_000
"""How many characters all values of one state have together."""

_MUTED = "opacity:.65"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace);white-space:pre-wrap"
_BLOCK = "display:inline-block;vertical-align:top;max-width:100%"
_WRAPPED = "overflow-wrap:anywhere"


class TreeNode(msgspec.Struct, array_like=True):
    """A value.

    Attributes:
        name: What it is called where it is.
        words: The value itself; of one that holds others what it is, e.g. `"dict, 2 items"`.
        children: What it holds; None for a value without parts.
        left_out: How many parts are not among them.
        is_open: Whether its parts are shown at first.
    """

    name: str
    words: str
    children: list[TreeNode] | None = None
    left_out: int = 0
    is_open: bool = False


class Trees:
    """Makes nodes of values that are shown together: their sizes are bounded all together.

    Args:
        count: How many values there will be: a large one leaves enough for those after it.
    """

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._spare_nodes = _NODES
        self._spare_chars = _BUDGET
        self._nodes = self._chars = 0

    def node(self, name: str, value: Any) -> TreeNode:
        """Return a value as a tree; deep, long and cyclic ones are cut, and say so."""
        share = max(1, self._count)
        self._count -= 1
        self._nodes, self._chars = self._spare_nodes // share, self._spare_chars // share
        self._spare_nodes -= self._nodes
        self._spare_chars -= self._chars
        node = self._node(name, value, 0)
        self._spare_nodes += max(0, self._nodes)
        self._spare_chars += max(0, self._chars)
        return node

    def _node(self, name: str, value: Any, depth: int) -> TreeNode:
        self._nodes -= 1
        total, parts = _parts(value)
        if not total:
            words = words_of(value, max(_LEAST_CHARS, min(_CHARS, self._chars)))
            self._chars -= len(words)
            return TreeNode(name, words)
        kind = f"{type(value).__name__}, {total:,} item{'s' * (total != 1)}"
        if depth == _DEPTH or self._nodes <= 0 or self._chars <= 0:
            return TreeNode(name, f"{kind}, not shown")
        children: list[TreeNode] = []
        for inner, part in islice(parts, _ITEMS):
            if self._nodes <= 0 or self._chars <= 0:
                break
            children.append(self._node(inner, part, depth + 1))
        is_open = depth == 0 and total <= _OPEN_UP_TO
        return TreeNode(name, kind, children, total - len(children), is_open)


def tree_of(value: Any) -> TreeNode:
    """Return one value as a tree, without a name."""
    return Trees().node("", value)


def state_tree(value: Any) -> str:
    """Return a value as HTML: what holds others opens and closes, by keyboard as well."""
    return tree_html(tree_of(value))


def tree_html(node: TreeNode) -> str:
    """Return a tree as HTML that needs no script, without its name."""
    words = escape(node.words)
    if node.children is None:
        return f'<span style="{_MONO};{_WRAPPED}">{words}</span>'
    rows = [
        f'<div style="{_WRAPPED}"><span style="{_MUTED}">{escape(one.name)}</span> '
        f"{tree_html(one)}</div>"
        for one in node.children
    ]
    if node.left_out:
        rows.append(f'<div style="{_MUTED}">… {node.left_out:,} more</div>')
    is_open = " open" if node.is_open else ""
    summary = f'<summary style="cursor:pointer;{_MUTED}">{words}</summary>'
    inside = f'<div style="padding-left:16px">{"".join(rows)}</div>'
    return f'<details{is_open} style="{_BLOCK}">{summary}{inside}</details>'


def words_of(value: Any, limit: int = _CHARS) -> str:
    """Return a value as text of bounded length; whatever its class does, this does not fail."""
    try:
        words = repr(value)
    except Exception as error:  # noqa: BLE001  (the class is the user's)
        words = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return words if len(words) <= limit else f"{words[:limit]}… ({len(words):,} characters)"


def _parts(value: Any) -> tuple[int, Iterable[tuple[str, Any]]]:
    """Return how many values one holds, and those with their names; none where it is one itself."""
    if isinstance(value, Mapping):
        return len(value), (
            (words_of(name) if not isinstance(name, str) else name[:_CHARS], one)
            for name, one in value.items()
        )
    if isinstance(value, (str, bytes, bytearray, range)):
        return 0, ()
    if isinstance(value, Sequence):
        return len(value), ((str(place), one) for place, one in enumerate(value))
    if isinstance(value, AbstractSet):
        return len(value), (("·", one) for one in value)
    return 0, ()
