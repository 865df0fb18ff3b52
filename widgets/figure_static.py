"""Figures as SVG and as text, for pages and terminals that have no plotly.

It draws what the figures of `ipydurable.widgets.figures` are made of: bars, boxes, markers and
stepped lines over an axis of seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape
from typing import Any, NamedTuple

__all__ = ["FigureTable", "figure_html", "figure_text"]

_WIDTH, _LEFT, _RIGHT, _TOP, _AXIS, _ROW = 900, 250, 56, 8, 40, 26
_LINES_PX = 240
_TICKS = 7
_TAGS = re.compile(r"<br>|<[^>]+>")
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif)"


class FigureTable(NamedTuple):
    """What a figure shows, in words.

    Attributes:
        columns: What each column holds.
        rows: As many cells each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figure_html(figure: Mapping[str, Any], table: FigureTable | None = None) -> str:
    """Return a figure as HTML with inline SVG: no script, no style sheet, nothing loaded.

    Args:
        figure: As plotly writes it to JSON.
        table: The same in words.
    """
    title, below = _titles(figure)
    parts = [
        (
            f'<div style="{_FONT};font-size:13px;max-width:{_WIDTH}px;display:flex;'
            'flex-direction:column">'
            f'<div><b style="font-size:15px">{escape(title)}</b></div>'
            f'<div><span style="opacity:.7">{escape(below)}</span></div>'
        )
    ]
    if table is not None and table.rows:
        parts.extend(_table(table))
    has_nothing = not figure["data"] or (table is not None and not table.rows)
    parts.append("<div>nothing to show yet</div>" if has_nothing else _drawing(figure, title))
    parts.append("</div>")
    return "".join(parts)


def figure_text(figure: Mapping[str, Any], table: FigureTable | None = None) -> str:
    """Return a figure as lines of text: its title, and what it shows as a table.

    Args:
        figure: As plotly writes it to JSON.
        table: The same in words.
    """
    lines = [line for line in _titles(figure) if line]
    if table is None or not table.rows:
        return "\n".join([*lines, "nothing to show yet"])
    all_rows = (table.columns, *table.rows)
    widths = [max(len(row[n]) for row in all_rows) for n in range(len(table.columns))]
    for row in all_rows:
        first, *rest = zip(row, widths, strict=True)
        cells = [f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _titles(figure: Mapping[str, Any]) -> tuple[str, str]:
    text = figure["layout"].get("title", {}).get("text", "")
    title, _, below = text.partition("<br>")
    return _plain(title), _plain(below)


def _plain(text: str) -> str:
    return unescape(_TAGS.sub(" ", text)).strip()


def _table(table: FigureTable) -> Iterator[str]:
    yield '<details style="order:2"><summary>As a table</summary><table><thead><tr>'
    yield from (f"<th>{escape(column)}</th>" for column in table.columns)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></details>"


def _drawing(figure: Mapping[str, Any], title: str) -> str:
    traces: list[Mapping[str, Any]] = list(figure["data"])
    labels = figure["layout"].get("yaxis", {}).get("ticktext")
    parts, height = _over_lines(traces) if labels is None else _on_rows(traces, labels)
    x_title = figure["layout"].get("xaxis", {}).get("title", {}).get("text", "")
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{height - 4}" text-anchor="end" font-size="11" '
        f'fill-opacity=".7">{escape(x_title)}</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="100%" '
        f'role="img" aria-label="{escape(title, quote=True)}" font-size="12" '
        f'fill="currentColor" style="{_FONT};order:1">{"".join(parts)}</svg>'
    )


class _Scale:
    """Places seconds on the axis."""

    def __init__(self, end: float) -> None:
        self.end = end or 1.0

    def __call__(self, seconds: float) -> float:
        return round(_LEFT + seconds / self.end * (_WIDTH - _LEFT - _RIGHT), 1)

    def axis(self, bottom: float) -> Iterator[str]:
        """Draw the ticks and what they say."""
        step = _nice(self.end / _TICKS)
        for n in range(int(self.end / step) + 1):
            x = self(n * step)
            yield (
                f'<path d="M{x} {_TOP}V{bottom}" stroke="currentColor" stroke-opacity=".14"/>'
                f'<text x="{x}" y="{bottom + 14}" text-anchor="middle" font-size="11" '
                f'fill-opacity=".7">{n * step:g} s</text>'
            )


def _nice(value: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is no smaller."""
    power = 1.0
    while power < value:
        power *= 10
    while power / 10 >= value:
        power /= 10
    return next(power / by for by in (5, 2, 1) if power / by >= value)


def _on_rows(traces: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> tuple[list[str], int]:
    """Draw bars, boxes and markers, a row for each label."""
    bottom = _TOP + _ROW * len(labels)
    scale = _Scale(max(_ends(traces), default=1.0))
    parts = list(scale.axis(bottom))
    for place, label in enumerate(labels):
        words = escape(_plain(label))
        parts.append(f'<text x="{_LEFT - 8}" y="{_y(place) + 4}" text-anchor="end">{words}</text>')
    for trace in traces:
        draw = {"bar": _bars, "box": _boxes}.get(trace["type"], _markers)
        parts.extend(draw(trace, scale))
    return parts, bottom + _AXIS


def _y(place: float) -> float:
    return _TOP + _ROW * (place + 0.5)


def _ends(traces: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    for trace in traces:
        if trace["type"] == "bar":
            yield from (a + b for a, b in zip(trace["base"], trace["x"], strict=True))
        elif trace["type"] == "box":
            yield from trace["upperfence"]
        else:
            yield from trace["x"]


def _bars(trace: Mapping[str, Any], scale: _Scale) -> Iterator[str]:
    high = _ROW * trace["width"]
    said = trace.get("text") or [""] * len(trace["x"])
    rows = zip(trace["base"], trace["x"], trace["y"], said, strict=True)
    for base, length, place, words in rows:
        x, end = scale(base), scale(base + length)
        yield (
            f'<rect x="{x}" y="{_y(place) - high / 2:.1f}" width="{max(1.5, end - x):.1f}" '
            f'height="{high:.1f}" rx="1.5" fill="{trace["marker"]["color"]}"/>'
        )
        if words:
            yield f'<text x="{end + 5:.1f}" y="{_y(place) + 4}" font-size="11">{words}</text>'


def _boxes(trace: Mapping[str, Any], scale: _Scale) -> Iterator[str]:
    colour, y, half = trace["marker"]["color"], _y(trace["y"][0]), _ROW * trace["width"] / 2
    low, q1, median, q3, high = (
        scale(trace[name][0]) for name in ("lowerfence", "q1", "median", "q3", "upperfence")
    )
    yield (
        f'<path d="M{low} {y}H{q1}M{q3} {y}H{high}M{low} {y - 5}v10M{high} {y - 5}v10'
        f'M{median} {y - half}v{2 * half}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<rect x="{q1}" y="{y - half}" width="{max(1.0, q3 - q1):.1f}" height="{2 * half}" '
        f'fill="{colour}" fill-opacity=".3" stroke="{colour}" stroke-width="1.5"/>'
    )


def _markers(trace: Mapping[str, Any], scale: _Scale) -> Iterator[str]:
    colour = trace["marker"]["color"]
    paint = f'fill="{colour}"'
    if "open" in trace["marker"].get("symbol", ""):
        paint = f'fill="none" stroke="{colour}"'
    for x, place in zip(trace["x"], trace["y"], strict=True):
        yield f'<circle cx="{scale(x)}" cy="{_y(place)}" r="3" {paint}/>'


def _over_lines(traces: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    """Draw stepped lines, each over a scale of its own, below each other."""
    scale = _Scale(max((trace["x"][-1] for trace in traces), default=1.0))
    each = _LINES_PX // len(traces)
    bottom = _TOP + each * len(traces)
    parts = list(scale.axis(bottom))
    for number, trace in enumerate(traces):
        base, room = _TOP + each * (number + 1) - 6, each - 26
        top = max(trace["y"]) or 1
        steps = "".join(
            f"H{scale(x)}V{base - y / top * room:.1f}"
            for x, y in zip(trace["x"], trace["y"], strict=True)
        )
        colour = trace["line"]["color"]
        parts.append(
            f'<path d="M{_LEFT} {base}{steps}V{base}z" fill="{colour}" fill-opacity=".25" '
            f'stroke="{colour}" stroke-width="1.4"/>'
            f'<text x="{_LEFT - 8}" y="{base - room / 2 + 4:.1f}" text-anchor="end">'
            f"{escape(trace['name'])}</text>"
            f'<text x="{_LEFT - 8}" y="{base - room / 2 + 19:.1f}" text-anchor="end" '
            f'font-size="11" fill-opacity=".7">at most {max(trace["y"]):,}</text>'
        )
    return parts, bottom + _AXIS
