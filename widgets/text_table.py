"""Tables as lines of text, for terminals and scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["text_table"]

_GAP = 2
_LEAST = 6


def text_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int = 120
) -> list[str]:
    """Return a table in lines of at most `width` characters; the widest columns give way.

    Args:
        columns: The headings. One that begins with `>` has its column aligned to the right.
        rows: The cells, in words.
        width: How wide a line may be, as a terminal counts.
    """
    right = [name.startswith(">") for name in columns]
    cells = [[name.removeprefix(">") for name in columns]]
    cells += [[" ".join(one.split()) for one in row] for row in rows]
    widths = [max(_columns(row[n]) for row in cells) for n in range(len(columns))]
    while sum(widths) + _GAP * (len(widths) - 1) > width and max(widths) > _LEAST:
        widest = widths.index(max(widths))
        over = sum(widths) + _GAP * (len(widths) - 1) - width
        next_widest = max([one for one in widths if one < widths[widest]], default=_LEAST)
        widths[widest] = max(_LEAST, next_widest, widths[widest] - over)
        if widths[widest] == next_widest and over > 0 and next_widest > _LEAST:
            widths[widest] -= 1
    lines = [
        (" " * _GAP)
        .join(
            _padded(cell, space, is_right=at_right)
            for cell, space, at_right in zip(row, widths, right, strict=True)
        )
        .rstrip()
        for row in cells
    ]
    rule = (" " * _GAP).join("─" * space for space in widths)
    return [lines[0], rule, *lines[1:]]


def _padded(cell: str, space: int, *, is_right: bool) -> str:
    taken = _columns(cell)
    if taken > space:
        kept = ""
        for char in cell:
            if _columns(kept + char) > space - 1:
                break
            kept += char
        cell = kept + "…"
        taken = _columns(cell)
    padding = " " * (space - taken)
    return padding + cell if is_right else cell + padding


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    narrow = sum(1 for char in text if unicodedata.combining(char))
    return len(text) + wide - narrow
