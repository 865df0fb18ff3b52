"""Completion in SQL: tables behind FROM and JOIN, elsewhere columns of the tables named."""

from __future__ import annotations

import re

from ipydurable.store.columns import COLUMNS

__all__ = ["complete_sql"]

_TYPED = re.compile(r"[\w.]*$")
_TABLE_COMES = re.compile(r"\b(?:from|join|describe)\s+(?:[\w\s.]+,\s*)?[\w.]*$", re.IGNORECASE)
_ENDS_TABLES = re.compile(
    r"\b(?:where|on|using|group|order|having|qualify|limit|select)\b[^()]*$", re.IGNORECASE
)
_NAMED = re.compile(r"\b(?:from|join|,)\s*(\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)
_WORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "USING", "HAVING"),
    *("DISTINCT", "COUNT(*)", "AVG(", "SUM(", "MIN(", "MAX(", "QUANTILE_CONT(", "AND", "OR", "AS"),
)


def complete_sql(before: str, whole: str) -> tuple[str, list[str]]:
    """Return the word that is being typed and what it may become.

    Args:
        before: The query up to the cursor.
        whole: All of it.
    """
    typed = _TYPED.search(before)[0]  # type: ignore[index]
    qualifier, dot, _ = typed.rpartition(".")
    named = {}
    for table, alias in _NAMED.findall(whole):
        if table.lower() in COLUMNS:
            named[table.lower()] = named[alias.lower()] = table.lower()
    named.pop("", None)
    if dot:
        table = named.get(qualifier.lower(), "")
        found = [f"{qualifier}.{column.name}" for column in COLUMNS.get(table, ())]
    elif _TABLE_COMES.search(before) and not _ENDS_TABLES.search(
        before[before.lower().rfind("from") :]
    ):
        found = [*COLUMNS, "payload("]
    else:
        tables = dict.fromkeys(named.values()) or COLUMNS
        names = dict.fromkeys(column.name for table in tables for column in COLUMNS[table])
        words = [word if typed[:1].isupper() or not typed else word.lower() for word in _WORDS]
        found = [*names, *COLUMNS, *(words if typed else ())]
    return typed, [one for one in dict.fromkeys(found) if one.lower().startswith(typed.lower())]
