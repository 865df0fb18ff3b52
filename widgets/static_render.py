"""The timeline as HTML that needs no kernel, no script and no style sheet.

Inline SVG whose text takes the page's colour, so that it reads on light and dark alike. Where a
page strips SVG (GitHub does), the heading and the table below it are left.
"""

from __future__ import annotations

from html import escape

from ipydurable.runtime.core.status import RuntimeStatus

from .form_static import forms_html
from .layout import (
    Band,
    Bin,
    TimeScale,
    arrange,
    density,
    duration_ms,
    duration_words,
    quantiles,
    total_ms,
)
from .text import (
    POINT_SIGN,
    STATE_SIGNS,
    STATUS_SIGNS,
    band_title,
    counts_words,
    row_title,
    waiting_words,
)
from .view_models import LOST, TimelineModel
from .views import AwaitedEvent, Header, Outcome, RowKind, RowState, RowView, Span, shorten

__all__ = ["STATE_COLOURS", "STATUS_COLOURS", "heading", "static_html"]

# Mid tones: at least 3:1 against white and against Lab's dark background (WCAG 1.4.11).
BLUE, GREEN, RED, AMBER, GREY = "#3a7fd5", "#2b9457", "#d64545", "#b07a00", "#858a93"
STATE_COLOURS = {
    RowState.QUEUED: GREY,
    RowState.RUNNING: BLUE,
    RowState.WAITING: AMBER,
    RowState.COMPLETED: GREEN,
    RowState.FAILED: RED,
    RowState.ABANDONED: GREY,
}
STATUS_COLOURS = {
    RuntimeStatus.PENDING: GREY,
    RuntimeStatus.RUNNING: BLUE,
    RuntimeStatus.SUSPENDED: AMBER,
    RuntimeStatus.COMPLETED: GREEN,
    RuntimeStatus.FAILED: RED,
    RuntimeStatus.TERMINATED: GREY,
    RuntimeStatus.CONTINUED_AS_NEW: BLUE,
}
_OUTCOME_COLOURS = {
    Outcome.OPEN: BLUE,
    Outcome.COMPLETED: GREEN,
    Outcome.FAILED: RED,
    Outcome.LOST: RED,
    Outcome.ABANDONED: GREY,
}
_WIDTH, _LABEL, _RIGHT, _ROW, _BAND, _AXIS = 960, 250, 86, 22, 52, 24
_PLOT = _WIDTH - _LABEL - _RIGHT
_BINS = 160
_MAX_ITEMS = 80
_FAILURES_LISTED = 10
_LABEL_CHARS = 34
_HINT_AT_LEAST = 4
_DIM = "opacity:.7"
# Pages that take drawings and styles away may leave the words of a drawing in a heap. So the table
# comes first in the text, and stands below the drawing where there are styles.
COLUMN = "display:flex;flex-direction:column"
DRAWN_FIRST = "order:1"
AFTER = "order:2"
_COUNTED = (
    RowState.COMPLETED,
    RowState.RUNNING,
    RowState.FAILED,
    RowState.WAITING,
    RowState.QUEUED,
    RowState.ABANDONED,
)
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif)"


def static_html(model: TimelineModel) -> str:
    """Return a timeline as a self-contained piece of HTML, under 100 KB for any history.

    Args:
        model: What to show.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    header, rows = model.header(), model.rows()
    items = arrange(header, rows)
    left_out = len(items) - _MAX_ITEMS
    parts = [
        f'<div style="{_FONT};font-size:13px;max-width:{_WIDTH}px;{COLUMN}">',
        *heading(header),
    ]
    parts.extend(forms_html(model.forms))
    has_drawing = bool(rows or header.awaited)
    if has_drawing:
        parts.extend(_table(header, items[:_MAX_ITEMS]))
    if header.message is not None and header.message.trace:
        trace = escape(header.message.trace[-4000:])
        parts.append(
            f'<details style="{AFTER}"><summary>Traceback</summary><pre>{trace}</pre></details>'
        )
    if has_drawing:
        parts.extend(_drawing(header, rows, items[:_MAX_ITEMS]))
        if left_out > 0:
            parts.append(f'<p style="{DRAWN_FIRST}">… {left_out:,} more rows</p>')
    parts.append("</div>")
    return "".join(parts)


def heading(header: Header) -> list[str]:
    """Return what stands above a static form: name, status, duration, counts, waits, failure."""
    colour = STATUS_COLOURS[header.status]
    sign = f'<b style="color:{colour}">{STATUS_SIGNS[header.status]}</b>'
    chip = f"border:1px solid {colour};border-radius:10px;padding:0 9px;font-size:12px"
    parts = [
        (
            '<div style="display:flex;align-items:center;gap:10px;padding:4px 0 6px">'
            f'<b style="font-size:15px">{escape(header.name)}</b> '
            f'<span style="{chip}">{sign} <b>{header.status}</b></span> '
            f"<span>{duration_words(total_ms(header))}</span> "
            f'<code style="margin-left:auto;background:none;opacity:.7">'
            f"{escape(header.instance_id)}</code></div>"
        ),
        _progress(header),
    ]
    words = " · ".join(filter(None, [_counts(header.counts), _generation(header)]))
    lines = [("", words)] if words else []
    if header.message is not None:
        what = f"<b>{header.message.kind.capitalize()}</b>"
        lines.append((what, escape(shorten(header.message.text, 500))))
    if header.waiting:
        waits = " and ".join(waiting_words(one, header.now, header.start) for one in header.waiting)
        lines.append(("Waits for", escape(waits)))
    if header.custom_status:
        lines.append(("Status", escape(header.custom_status)))
    if header.output:
        code = f'<code style="background:none">{escape(header.output)}</code>'
        lines.append(("Output", code))
    for what, text in lines:
        label = f'<span style="{_DIM};display:inline-block;min-width:76px">{what}</span> '
        parts.append(f"<div>{label if what else ''}{text}</div>")
    return parts


def _progress(header: Header) -> str:
    """Draw the share of what has completed, failed, was abandoned, and runs, as one bar."""
    total = sum(header.counts)
    if not total:
        return ""
    order = (RowState.COMPLETED, RowState.FAILED, RowState.ABANDONED, RowState.RUNNING)
    shares = "".join(
        f'<span style="width:{header.counts[state] / total:.2%};background:{STATE_COLOURS[state]}">'
        "</span>"
        for state in order
        if header.counts[state]
    )
    style = "display:flex;height:4px;border-radius:2px;overflow:hidden;margin:0 0 6px"
    return f'<div style="{style};background:rgba(128,128,128,.25)">{shares}</div>'


def _counts(counts: tuple[int, ...]) -> str:
    """Return the counts by state, each with its sign in its colour."""
    return " &nbsp; ".join(
        f'<b style="color:{STATE_COLOURS[state]}">{STATE_SIGNS[state]}</b> '
        f'<b>{counts[state]:,}</b> <span style="{_DIM}">{state.name.lower()}</span>'
        for state in _COUNTED
        if counts[state]
    )


def _generation(header: Header) -> str:
    return f"generation {header.generation + 1:,}" if header.generation else ""


def _drawing(header: Header, rows: list[RowView], items: list[Band | RowView]) -> list[str]:
    now = float(total_ms(header))
    scale = TimeScale(rows, now)
    waits = () if header.finished else header.awaited
    height = _AXIS + sum(_BAND if isinstance(item, Band) else _ROW for item in items) + 4
    height += _ROW * len(waits)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="100%" role="img" aria-label="Timeline of {escape(header.name)}" '
            'font-family="system-ui,sans-serif" font-size="12" fill="currentColor" '
            f'style="{_FONT};{DRAWN_FIRST}">'
            # Hatching for what is queued; the id is shared by all timelines of a page, and so is
            # what it stands for.
            '<defs><pattern id="ipd-q" width="5" height="5" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0 0V5" stroke="currentColor" '
            'stroke-opacity=".45" stroke-width="2"/></pattern></defs>'
        ),
        *_axis(scale, height),
    ]
    y = _AXIS
    for wait in waits:
        parts.append(_wait(wait, scale, now, y))
        y += _ROW
    for item in items:
        if isinstance(item, Band):
            parts.extend(_band(item, scale, now, y))
            y += _BAND
        else:
            parts.extend(_row(item, header, scale, now, y))
            y += _ROW
    parts.append("</svg>")
    return parts


def _x(scale: TimeScale, at: float) -> float:
    return _LABEL + scale.x(at) * _PLOT


def _axis(scale: TimeScale, height: int) -> list[str]:
    parts = []
    for place, label in scale.ticks(7):
        x = round(_LABEL + place * _PLOT, 1)
        parts.append(
            f'<path d="M{x} {_AXIS - 6}V{height}" stroke="currentColor" stroke-opacity=".13"/>'
            f'<text x="{x}" y="12" text-anchor="middle" font-size="11" fill-opacity=".7">'
            f"{label}</text>"
        )
    for cut in scale.breaks:
        x0, x1 = _LABEL + cut.x0 * _PLOT, _LABEL + cut.x1 * _PLOT
        words = duration_words(cut.t1 - cut.t0)
        parts.append(
            f"<g><title>nothing ran for {words}</title>"
            f'<rect x="{x0:.1f}" y="{_AXIS - 6}" width="{x1 - x0:.1f}" height="{height}" '
            'fill="url(#ipd-q)" opacity=".3"/>'
            f'<path d="M{x0:.1f} {_AXIS - 6}V{height}M{x1:.1f} {_AXIS - 6}V{height}" '
            'stroke="currentColor" stroke-opacity=".25"/></g>'
            f'<text x="{(x0 + x1) / 2:.1f}" y="12" text-anchor="middle" font-size="10" '
            f'font-style="italic" fill-opacity=".7">{words}</text>'
        )
    return parts


def _wait(wait: AwaitedEvent, scale: TimeScale, now: float, y: int) -> str:
    """Draw an external event that the code waits for."""
    sign, colour = STATE_SIGNS[RowState.WAITING], STATE_COLOURS[RowState.WAITING]
    return (
        f"<g><title>waits for the event {escape(wait.name)}</title>"
        + _label(sign, colour, "event", f'"{wait.name}"', y + 15)
        + _gap(scale, wait.since, now, y)
        + _took(duration_words(max(0, now - wait.since)), y)
        + "</g>"
    )


def _took(words: str, y: int) -> str:
    return (
        f'<text x="{_WIDTH - 4}" y="{y + 15}" text-anchor="end" font-size="11" '
        f'fill-opacity=".8">{words}</text>'
    )


def _label(sign: str, colour: str, title: str, hint: str, y: float) -> str:
    shown = shorten(title, _LABEL_CHARS - 4)
    left = _LABEL_CHARS - len(shown)
    rest = shorten(hint, left) if left > _HINT_AT_LEAST else ""
    dim = f'<tspan fill-opacity=".65"> {escape(rest)}</tspan>' if rest else ""
    return (
        f'<text x="2" y="{y}" fill="{colour}" font-weight="bold">{sign}</text>'
        f'<text x="20" y="{y}">{escape(shown)}{dim}</text>'
    )


def _row(row: RowView, header: Header, scale: TimeScale, now: float, y: int) -> list[str]:
    group = header.groups[row.group]
    point = group.kind.is_point
    title = row_title(row, header)
    sign, colour = (
        (POINT_SIGN, BLUE) if point else (STATE_SIGNS[row.state], STATE_COLOURS[row.state])
    )
    parts = [f"<g><title>{escape(' '.join(filter(None, (title, row.hint, row.note))))}</title>"]
    hint = row.hint
    if group.kind is RowKind.ORCHESTRATION:
        # What tells siblings apart stands before what they have in common.
        kind = title.removesuffix(group.name).strip()
        if hint.startswith(f"{header.instance_id}:"):
            hint = "…" + hint.removeprefix(header.instance_id)
        title, hint = group.name, " · ".join(filter(None, (hint, kind)))
    is_outrun = row.note == LOST
    if is_outrun:
        hint = " · ".join(filter(None, (LOST, hint)))
    parts.append(_label(sign, colour, title, hint, y + 15))
    if point:
        x = _x(scale, row.spans[0].scheduled)
        parts.append(f'<path d="M{x:.1f} {y + 5}l5 6l-5 6l-5 -6z" fill="{BLUE}"/></g>')
        return parts
    parts.append('<g opacity=".45">' if is_outrun else "<g>")
    before: Span | None = None
    for span in row.spans:
        if before is not None and before.ended is not None:
            parts.append(_gap(scale, before.ended, span.scheduled, y))
        parts.append(_bars(scale, span, now, y, waiting=row.state is RowState.WAITING))
        if len(row.spans) > 1:
            x = _x(scale, span.scheduled)
            parts.append(f'<path d="M{x:.1f} {y + 2}v18" stroke="currentColor" opacity=".55"/>')
        before = span
    if row.due is not None and before is not None and before.ended is not None:
        parts.append(_gap(scale, before.ended, now, y))
    parts.append("</g>")
    taken = duration_ms(row, now)
    if taken is not None:
        parts.append(_took(duration_words(taken), y))
    parts.append("</g>")
    return parts


def _bars(scale: TimeScale, span: Span, now: float, y: int, *, waiting: bool) -> str:
    end = now if span.ended is None else span.ended
    x0, x2 = _x(scale, span.scheduled), _x(scale, end)
    if span.started is None:
        if waiting or span.outcome is not Outcome.OPEN:
            return _gap(scale, span.scheduled, end, y)
        return _rect(x0, x2, y, 'fill="url(#ipd-q)"')
    x1 = _x(scale, span.started)
    queued = _rect(x0, x1, y, 'fill="url(#ipd-q)"') if x1 - x0 >= 1 else ""
    return queued + _rect(x1, x2, y, f'fill="{_OUTCOME_COLOURS[span.outcome]}"')


def _rect(x0: float, x1: float, y: int, paint: str) -> str:
    width = max(2.0, x1 - x0)
    return f'<rect x="{x0:.1f}" y="{y + 5}" width="{width:.1f}" height="12" rx="2" {paint}/>'


def _gap(scale: TimeScale, start: float, end: float, y: int) -> str:
    """Draw time in which a row waits: a thin line, for timers, locks and back-offs."""
    x0, x1 = _x(scale, start), _x(scale, end)
    return (
        f'<path d="M{x0:.1f} {y + 11}H{max(x1, x0 + 1):.1f}" stroke="{AMBER}" '
        'stroke-width="2" stroke-dasharray="1 3" stroke-linecap="round"/>'
    )


def _band(band: Band, scale: TimeScale, now: float, y: int) -> list[str]:
    counts = band.group.counts
    order = (RowState.RUNNING, RowState.FAILED, RowState.WAITING, RowState.QUEUED)
    state = next((one for one in order if counts[one]), RowState.COMPLETED)
    parts = [_label(STATE_SIGNS[state], STATE_COLOURS[state], band_title(band), "", y + 17)]
    signs = "  ".join(
        f'<tspan fill="{STATE_COLOURS[one]}">{STATE_SIGNS[one]}</tspan> {counts[one]:,}'
        for one in (RowState.COMPLETED, *order, RowState.ABANDONED)
        if counts[one]
    )
    parts.append(f'<text x="20" y="{y + 35}" font-size="11">{signs}</text>')
    parts.extend(_strip(density(band.rows, scale, _BINS, now), y))
    found = quantiles(band.rows)
    if found is not None:
        p50, p95, longest = map(duration_words, found)
        parts.append(
            f'<text x="{_LABEL}" y="{y + 46}" font-size="11" fill-opacity=".7">'
            f"p50 {p50} · p95 {p95} · max {longest}</text>"
        )
    return parts


def _strip(bins: list[Bin], y: int) -> list[str]:
    """Draw a density strip: how many were at work over time, failures at the bottom."""
    top = max((one.total for one in bins), default=0.0) or 1.0
    base, height, width = y + 34, 28.0, _PLOT / len(bins)
    layers: list[tuple[str, list[float]]] = [
        (RED, [one.failed for one in bins]),
        (BLUE, [one.running for one in bins]),
        (GREEN, [one.completed for one in bins]),
    ]
    parts = [f'<path d="M{_LABEL} {base}.5h{_PLOT}" stroke="currentColor" stroke-opacity=".25"/>']
    floor = [0.0] * len(bins)
    for colour, values in layers:
        steps = []
        for index, value in enumerate(values):
            if value > 0:
                high = max(value / top * height, 2.0 if colour == RED else 0.7)
                x = _LABEL + index * width
                steps.append(
                    f"M{x:.1f} {base - floor[index]:.1f}v{-high:.1f}h{width:.1f}v{high:.1f}z"
                )
                floor[index] += high
        if steps:
            parts.append(f'<path d="{"".join(steps)}" fill="{colour}"/>')
    return parts


def _table(header: Header, items: list[Band | RowView]) -> list[str]:
    parts = [
        (
            f'<details style="{AFTER}"><summary>As a table</summary><table><thead><tr>'
            "<th>operation</th>"
            "<th>state</th><th>started after</th><th>duration</th><th>note</th></tr></thead><tbody>"
        )
    ]
    for item in items:
        if isinstance(item, Band):
            found = quantiles(item.rows)
            taken = "" if found is None else f"p50 {duration_words(found[0])}"
            cells = [band_title(item), counts_words(item.group.counts), "", taken, ""]
            failed = [row for row in item.rows[:_FAILURES_LISTED] if row.note]
            parts.append(_table_row(cells))
            parts.extend(_table_row(_cells(row, header)) for row in failed)
        else:
            parts.append(_table_row(_cells(item, header)))
    parts.append("</tbody></table></details>")
    return parts


def _cells(row: RowView, header: Header) -> list[str]:
    taken = duration_ms(row)
    begun = row.spans[0].scheduled if row.spans[0].started is None else row.spans[0].started
    retried = f" ({len(row.spans)} attempts)" if len(row.spans) > 1 else ""
    return [
        f"{row_title(row, header)} {row.hint}".strip(),
        f"{STATE_SIGNS[row.state]} {row.state.name.lower()}{retried}",
        duration_words(begun),
        "" if taken is None else duration_words(taken),
        row.note,
    ]


def _table_row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
