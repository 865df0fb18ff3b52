"""Stores with many entities and instances, as tables ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["NOW_MS", "FakeEntities", "FakeRows"]

NOW_MS = datetime(2026, 11, 21, 9, 0, tzinfo=UTC).timestamp() * 1000


class FakeRows:
    """Answers pages from a list, and counts what it was asked.

    Args:
        rows: All rows.
        columns: The place of each column that can be sorted by.
    """

    def __init__(self, rows: list[list[Any]], columns: Mapping[str, int]) -> None:
        self.rows = rows
        self.columns = columns
        self.asked: list[tuple[dict[str, Any], int, int]] = []

    def page(self, query: Mapping[str, Any], offset: int = 0, limit: int = 50) -> dict[str, Any]:
        """Return a page."""
        self.asked.append((dict(query), offset, limit))
        found = [row for row in self.rows if self.matches(row, query)]
        place = self.columns.get(query.get("sort", ""))
        if place is not None:
            found.sort(
                key=lambda row: (row[place] is None, row[place]), reverse=not query.get("up")
            )
        return {"total": len(found), "rows": found[offset : offset + limit]}

    def names(self) -> list[list[Any]]:
        """Return names and counts."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row[1]] = counts.get(row[1], 0) + 1
        return [[name, count] for name, count in counts.items()]

    def matches(self, row: list[Any], query: Mapping[str, Any]) -> bool:
        """Whether a row is looked for."""
        text = str(query.get("text", "")).lower()
        return text in row[0].lower() and query.get("name") in ("", None, row[1])


class FakeEntities(FakeRows):
    """Many accounts, some baskets; every hundredth is locked."""

    def __init__(self, count: int = 10_000) -> None:
        rows: list[list[Any]] = []
        for n in range(count):
            name = "Account" if n % 10 else "Basket"
            key = f"{['alice', 'bob', 'carol', 'dave', 'erin'][n % 5]}-{n:05}"
            state = f'{{"balance":{n * 7 % 9001},"owner":"{key.title()}","history":[{n},{n + 1}]}}'
            lock = f"transfer-{n:04x}" if n % 100 == 7 else None
            pending = (n % 100 == 7) * (n // 100 % 9 + 1)
            rows.append(
                [f"@{name.lower()}@{key}", name, key, state, pending, lock, NOW_MS - n * 61_000]
            )
        super().__init__(rows, {"name": 1, "key": 2, "pending": 4, "modified": 6})

    def matches(self, row: list[Any], query: Mapping[str, Any]) -> bool:
        """Whether a row is looked for."""
        if query.get("locked") and row[5] is None:
            return False
        if query.get("busy") and not row[4]:
            return False
        return super().matches(row, query)
