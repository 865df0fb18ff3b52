"""The table of entities without a kernel: HTML, and text for terminals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .text_table import text_table

__all__ = ["entities_html", "entities_text", "table_html"]

_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.6"
)
_MUTED = "opacity:.7"
_CELL = "padding:1px 16px 1px 0;border:0;vertical-align:top;overflow-wrap:break-word"
_MONO = "overflow-wrap:anywhere;font-family:var(--jp-code-font-family,ui-monospace,monospace)"
_STATE_CHARS = 90


def entities_html(page: Mapping[str, Any]) -> str:
    """Return a page of entities as HTML.

    Args:
        page: `total` and `rows`, as `EntityRows` gives them.
    """
    heading = f"<b>Entities</b> <span style='{_MUTED}'>{_shown(page)}</span>"
    columns = ["Kind", "Key", "State", ">Waiting", "Locked by", "Modified (UTC)"]
    return table_html(heading, columns, _cells(page["rows"]), wrapped={2}, mono={2})


def entities_text(page: Mapping[str, Any], width: int = 120) -> str:
    """Return the same as text of at most `width` columns."""
    columns = ["kind", "key", "state", ">waiting", "locked by", "modified (UTC)"]
    lines = text_table(columns, _cells(page["rows"]), width) if page["rows"] else []
    return "\n".join([f"entities: {_shown(page)}", *lines])


def table_html(
    heading: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    wrapped: Collection[int] = (),
    mono: Collection[int] = (),
) -> str:
    """Return a table as HTML with styles of its own; `heading` is HTML, all else is text.

    Args:
        heading: Stands above it.
        columns: The headings; one that begins with `>` has its column aligned to the right.
        rows: The cells.
        wrapped: The columns whose words may take several lines, by place.
        mono: The columns in a typewriter's letters, by place.
    """
    names = [(name.removeprefix(">"), name.startswith(">")) for name in columns]
    head = "".join(
        f'<th style="{_CELL};{_MUTED};font-weight:400;'
        f'text-align:{"right" if right else "left"}">{escape(name)}</th>'
        for name, right in names
    )
    body = ""
    for row in rows:
        cells = "".join(
            f'<td style="{_CELL};text-align:{"right" if names[n][1] else "left"}'
            f"{';white-space:normal' if n in wrapped else ''}"
            f'{";" + _MONO if n in mono else ""}">{escape(cell)}</td>'
            for n, cell in enumerate(row)
        )
        body += f'<tr style="background:none;white-space:nowrap">{cells}</tr>'
    table = f'<table style="border-collapse:collapse;margin:2px 0 0;{_FONT}">'
    inside = f'{table}<thead><tr style="background:none">{head}</tr></thead>{body}</table>'
    return f'<div style="{_FONT}"><div>{heading}</div>{inside if rows else ""}</div>'


def _cells(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [
        [
            name,
            key,
            state if len(state) <= _STATE_CHARS else f"{state[: _STATE_CHARS - 1]}…",
            f"{pending:,}" if pending else "",
            locked_by or "",
            f"{datetime.fromtimestamp(modified / 1000, UTC):%Y-%m-%d %H:%M:%S}",
        ]
        for _, name, key, state, pending, locked_by, modified in rows
    ]


def _shown(page: Mapping[str, Any]) -> str:
    total, count = page["total"], len(page["rows"])
    return f"{total:,}" if count == total else f"{total:,}, of which {count:,} are shown"
