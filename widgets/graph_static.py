"""The graph as HTML that needs no kernel, no script and no style sheet.

Inline SVG whose text takes the page's colour, so that it reads on light and dark alike. Where a
page strips SVG (GitHub does), the heading and the table below it are left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from .graph_layout import lay_out
from .graph_model import GraphModel
from .graph_scene import Box, Link, Scene
from .layout import duration_words, total_ms
from .static_render import AFTER, COLUMN, DRAWN_FIRST, STATE_COLOURS, heading
from .text import STATE_SIGNS, STATUS_SIGNS, counts_words
from .views import RowState

__all__ = ["graph_html", "graph_text"]

_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif)"
_PAPER = "var(--jp-layout-color1,Canvas)"
_MARGIN = 12
_RADIUS = {"pill": 17.0, "node": 6.0, "wait": 17.0, "cell": 4.0}
# White words can be read on it; the red of bars is lighter, for dark pages.
_BADGE = "#c23434"
_DONUT = 13.0
_ORDER = (
    RowState.COMPLETED,
    RowState.RUNNING,
    RowState.FAILED,
    RowState.WAITING,
    RowState.ABANDONED,
    RowState.QUEUED,
)


def graph_html(model: GraphModel, children: Mapping[str, GraphModel] | None = None) -> str:
    """Return a graph as a self-contained piece of HTML, under 100 KB for any history.

    Args:
        model: What to show.
        children: Models of sub-orchestrations by instance id; shown opened.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    graph = model.graph()
    opened = [f"/{node.key}" for node in graph.nodes if node.target in (children or {})]
    scene = lay_out(model, opened, children)
    parts = [
        f'<div style="{_FONT};font-size:13px;max-width:960px;{COLUMN}">',
        *heading(graph.header),
    ]
    parts.append(f'<details style="{AFTER}"><summary>As a table</summary><table><thead><tr>')
    parts.append("<th>operation</th>")
    parts.append("<th>state</th><th>more</th></tr></thead><tbody>")
    for box in scene.boxes:
        if box.shape in ("node", "entity", "wait", "group"):
            words = counts_words(box.counts) if box.counts else _state_words(box)
            cells = (box.title, words, box.line)
            parts.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    parts.append("</tbody></table></details>")
    parts.extend(_drawing(scene, graph.header.name))
    parts.append("</div>")
    return "".join(parts)


def graph_text(model: GraphModel) -> str:
    """Return a graph as lines of text: one step from the start after the other.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    graph = model.graph()
    header = graph.header
    status = f"{STATUS_SIGNS[header.status]} {header.status}"
    lines = [f"{header.name}  {status}  {duration_words(total_ms(header))}  {header.instance_id}"]
    layers: dict[int, list[str]] = {}
    for node in graph.nodes:
        if node.kind is not None:
            count = f" \u00d7 {node.total:,}" if node.total > 1 else f" {node.hint}".rstrip()
            sign = STATE_SIGNS[node.state]
            counts = f" ({counts_words(node.counts)})" if node.total > 1 else ""
            layers.setdefault(node.layer, []).append(f"{sign} {node.name}{count}{counts}")
    shown = list(layers.values())
    for number, layer in enumerate(shown[:40]):
        lines.append(f"{'└─' if number else '┌─'} " + "  |  ".join(layer[:6]))
        if len(layer) > len(layer[:6]):
            lines[-1] += f"  |  … {len(layer) - 6:,} more"
    if len(shown) > len(shown[:40]):
        lines.append(f"   … {len(shown) - 40:,} more steps")
    return "\n".join(lines)


def _state_words(box: Box) -> str:
    if box.state < 0:
        return ""
    state = RowState(box.state)
    return f"{STATE_SIGNS[state]} {state.name.lower()}"


def _drawing(scene: Scene, name: str) -> list[str]:
    width, height = scene.width + 2 * _MARGIN, scene.height + 2 * _MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-_MARGIN} {-_MARGIN} {width:.0f} '
            f'{height:.0f}" style="{_FONT};display:block;width:100%;max-width:{width:.0f}px;'
            f'margin:6px auto;{DRAWN_FIRST}" role="img" '
            f'aria-label="Graph of {escape(name, quote=True)}" font-size="12" fill="currentColor">'
            # The ids are shared by all graphs of a page, and so is what they stand for.
            '<defs><marker id="ipd-tip" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" '
            'orient="auto-start-reverse"><path d="M1 1 7 4 1 7" fill="none" '
            'stroke="currentColor" stroke-opacity=".75"/></marker></defs>'
        )
    ]
    frames = [box for box in scene.boxes if box.shape == "frame"]
    groups = [box for box in scene.boxes if box.shape == "group"]
    depths = {link.depth for link in scene.links} | {box.depth for box in scene.boxes}
    for depth in sorted(depths):
        parts.extend(_link(one) for one in scene.links if one.depth == depth)
        parts.extend(_outer(one) for one in (*frames, *groups) if one.depth == depth)
    parts.extend(_box(box) for box in scene.boxes if box.shape not in ("frame", "group"))
    parts.append("</svg>")
    return parts


def _link(link: Link) -> str:
    dash = ' stroke-dasharray="4 4"' if link.kind == "signal" or link.is_dimmed else ""
    opacity = 0.3 if link.is_dimmed else 0.8 if link.is_strong else 0.5
    width = 2.2 if link.is_strong else 1.3
    tail = ' marker-start="url(#ipd-tip)"' if link.kind == "call" else ""
    return (
        f'<path d="{link.path}" fill="none" stroke="currentColor" stroke-opacity="{opacity}" '
        f'stroke-width="{width}"{dash}{tail} marker-end="url(#ipd-tip)"/>'
    )


def _outer(box: Box) -> str:
    is_frame = box.shape == "frame"
    dash = ' stroke-dasharray="6 4"' if is_frame else ""
    x = box.x + (24 if is_frame else 10)
    lock = _lock(box.x + 10, box.y + 7) if is_frame else ""
    counts = "" if is_frame else f" · {_plain_counts(box)}"
    at = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8"'
    # Edges that pass behind a group are hidden by it.
    paper = "" if is_frame else f'<rect {at} style="fill:{_PAPER}"/>'
    return (
        f"<g><title>{escape(box.tip)}</title>{paper}"
        f'<rect {at} fill="currentColor" fill-opacity=".035" '
        f'stroke="currentColor" stroke-opacity=".4"{dash}/>{lock}<text x="{x}" '
        f'y="{box.y + 16}" font-size="11" fill-opacity=".8" '
        f'style="paint-order:stroke;stroke:{_PAPER};stroke-width:4px">'
        f"{escape((box.title + counts).rstrip(' ·'))}</text></g>"
    )


def _lock(x: float, y: float) -> str:
    return (
        f'<path d="M{x + 2.5} {y + 4.5}v-1.5a2.5 2.5 0 0 1 5 0v1.5" fill="none" '
        f'stroke="currentColor"/><rect x="{x}" y="{y + 4.5}" width="10" height="6" rx="1"/>'
    )


def _plain_counts(box: Box) -> str:
    return counts_words(box.counts) if box.counts else box.line


def _box(box: Box) -> str:
    parts = [f"<g><title>{escape(box.tip or box.title)}</title>"]
    seen = 0.75 if box.is_dimmed else 1.0
    if box.shape == "gap":
        parts.append(
            f'<text x="{box.x + box.width / 2}" y="{box.y + 13}" text-anchor="middle" '
            f'font-style="italic" fill-opacity=".75">{escape(box.title)}</text></g>'
        )
        return "".join(parts)
    parts.append(_faded(box, _outline(box)))
    middle = box.y + box.height / 2
    if box.shape == "cell":
        parts.append(_faded(box, _sign(box, box.x + 13, middle, 11)))
        parts.append(_text(box.x + 24, middle + 4, box.title, "11", opacity=seen))
    elif box.shape == "pill":
        place = box.x + (16 if box.state >= 0 else box.width / 2)
        if box.state >= 0:
            parts.append(_sign(box, place + 4, middle, 13))
            parts.append(_text(box.x + 34, middle + 4, box.title, "12", bold=True))
        else:
            parts.append(_text(place, middle + 4, box.title, "12", bold=True, anchor="middle"))
    else:
        inset = 10 if box.shape == "entity" else 0
        parts.append(_faded(box, _donut(box, box.x + 26 + inset, middle)))
        x, y = box.x + 48 + inset, middle - 3 if box.line else middle + 4
        parts.append(_text(x, y, box.title, "12.5", bold=True, opacity=seen))
        parts.append(_text(x, middle + 14, box.line, "11", opacity=0.75))
        parts.append(_badge(box))
    parts.append("</g>")
    return "".join(parts)


def _faded(box: Box, drawing: str) -> str:
    """Dim the drawing of a box that lost a race; its words are to be read."""
    return f'<g opacity=".5">{drawing}</g>' if box.is_dimmed else drawing


def _outline(box: Box) -> str:
    state = RowState(box.state) if box.state >= 0 else None
    colour = "currentColor" if state is None else STATE_COLOURS[state]
    dash = ' stroke-dasharray="4 3"' if state in (RowState.QUEUED, RowState.ABANDONED) else ""
    paint = (
        f'fill="{colour}" fill-opacity=".08" stroke="{colour}" stroke-opacity=".85" '
        f'stroke-width="1.4"{dash}'
    )
    if box.shape == "entity":
        cut = 14
        return (
            f'<path d="M{box.x + cut} {box.y}h{box.width - 2 * cut}l{cut} {box.height / 2}'
            f'l{-cut} {box.height / 2}h{2 * cut - box.width}l{-cut} {-box.height / 2}z" {paint}/>'
        )
    radius = _RADIUS.get(box.shape, 6.0)
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" '
        f'rx="{min(radius, box.height / 2)}" {paint}/>'
    )


def _sign(box: Box, x: float, y: float, size: int) -> str:
    state = RowState(box.state)
    return (
        f'<text x="{x}" y="{y + size * 0.36:.1f}" text-anchor="middle" font-size="{size}" '
        f'font-weight="bold" fill="{STATE_COLOURS[state]}">{STATE_SIGNS[state]}</text>'
    )


def _text(
    x: float,
    y: float,
    words: str,
    size: str,
    *,
    bold: bool = False,
    anchor: str = "start",
    opacity: float = 1.0,
) -> str:
    if not words:
        return ""
    weight = ' font-weight="600"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    see = f' fill-opacity="{opacity}"' if opacity < 1 else ""
    return f'<text x="{x}" y="{y}" font-size="{size}"{weight}{place}{see}>{escape(words)}</text>'


def _badge(box: Box) -> str:
    """Mark a few failures among many, where the box itself is not drawn as failed."""
    count = box.counts[RowState.FAILED] if box.counts else 0
    if not count or box.state == RowState.FAILED:
        return ""
    words = f"{STATE_SIGNS[RowState.FAILED]} {count:,}"
    width = 12 + 6.6 * len(words)
    x, y = box.x + box.width - width + 6, box.y - 9
    return (
        f'<g><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" rx="9" '
        f'fill="{_BADGE}"/><text x="{x + width / 2:.1f}" y="{y + 13}" '
        f'text-anchor="middle" font-size="11" font-weight="600" fill="#fff">{words}</text></g>'
    )


def _donut(box: Box, x: float, y: float) -> str:
    """Draw the shares of the states as a ring around the sign of the state that matters most."""
    total = sum(box.counts)
    colour = STATE_COLOURS[RowState(box.state)]
    paint = 'fill="none" stroke="currentColor" stroke-opacity=".18" stroke-width="5"'
    if not total:
        paint = f'fill="{colour}" fill-opacity=".16"'
    parts = [f'<circle cx="{x}" cy="{y}" r="{_DONUT}" {paint}/>']
    around, at = 2 * math.pi * _DONUT, 0.0
    for state in _ORDER:
        if total and box.counts[state]:
            # Few failures among thousands must still be seen.
            share = max(box.counts[state] / total * around, 2.0)
            parts.append(
                f'<circle cx="{x}" cy="{y}" r="{_DONUT}" fill="none" stroke-width="5" '
                f'stroke="{STATE_COLOURS[state]}" stroke-dasharray="{share:.1f} {around:.1f}" '
                f'stroke-dashoffset="{-at:.1f}" transform="rotate(-90 {x} {y})"/>'
            )
            at += share
    parts.append(_sign(box, x, y, 13))
    return "".join(parts)
