"""The rows of a timeline as they travel to the browser: a log in pages."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .views import RowView

__all__ = ["PAGES", "RowLog"]

PAGES = 64
_PAGE_BYTES = 16_384


class RowLog:
    """Rows as the browser gets them: an append-only log in pages, later entries win.

    Only the pages that grew are sent again, and all pages together are always the whole state: a
    view mounted later needs nothing else. Pages hold more as the log grows, so that a fixed number
    of traits is enough for any history.
    """

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._pages: list[list[str]] = [[]]
        self._sizes = [0]

    def append(self, rows: Iterable[RowView]) -> dict[int, str]:
        """Add rows and return the pages that changed: page number to JSON array."""
        first = len(self._pages) - 1
        grown = False
        for row in rows:
            if self._sizes[-1] >= _PAGE_BYTES << (len(self._pages) // 8) and (
                len(self._pages) < PAGES
            ):
                self._pages.append([])
                self._sizes.append(0)
            entry = self._encoder.encode(row).decode()
            self._pages[-1].append(entry)
            self._sizes[-1] += len(entry)
            grown = True
        if not grown:
            return {}
        return {
            number: f"[{','.join(self._pages[number])}]"
            for number in range(first, len(self._pages))
        }
