"""The dashboard without a kernel: HTML, and text for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import PurePath
from typing import Any

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import StoreUpdate

from .dashboard_model import Histogram, Overview, lane_words
from .entities_static import table_html
from .layout import duration_words
from .text import STATUS_SIGNS
from .text_table import text_table

__all__ = ["dashboard_html", "dashboard_text"]

_WAITS_SHOWN = 12
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.6"
)
_MUTED = "opacity:.7"
_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT = 720, 64
# Light and dark share them: 3:1 at least against either paper.
_COLOURS = {
    "Completed": "#3a9464",
    "Running": "#3b82d0",
    "Pending": "#858b94",
    "Suspended": "#b07d1e",
    "Terminated": "#858b94",
    "Failed": "#d9534f",
}
_WAIT_COLUMNS = ("Instance", "Waits for", ">For", "Since (UTC)", "")
# An outline goes with the colour of what is not done.
_OUTLINES = {
    "Failed": ' stroke="currentColor" stroke-width="1"',
    "Running": ' stroke="currentColor" stroke-width=".8" stroke-dasharray="3 2"',
    "Suspended": ' stroke="currentColor" stroke-width=".8" stroke-dasharray="1 2"',
}
_ROW_COLUMNS = ("Status", "Instance", "Orchestrator", "Created (UTC)", ">Took", "Note")


def dashboard_html(overview: Overview, beat: StoreUpdate, page: Mapping[str, Any]) -> str:
    """Return a dashboard as HTML.

    Args:
        overview: The store.
        beat: The load of its workers.
        page: The newest instances, as `InstanceRows` gives them.
    """
    head = (
        f'<div style="{_FONT}"><div><b>{escape(_name(overview))}</b> '
        f'<span style="{_MUTED}">{escape(_facts(overview, beat))}</span></div>'
        f"<div>{escape(_counts(overview))}</div></div>"
    )
    parts = [head, _svg(overview.histogram)]
    if overview.trouble:
        parts.append(f'<div style="{_FONT}">✗ {escape(overview.trouble)}</div>')
    if overview.waits:
        parts.append(
            table_html(_title("Waiting longest"), _WAIT_COLUMNS, _waits(overview), wrapped={1, 4})
        )
    if beat.lanes:
        parts.append(table_html(_title("Workers"), ("Executor", "Load"), _lanes(beat)))
    if overview.versions:
        columns = ("Orchestrator", "Version", ">Instances")
        parts.append(table_html(_title("Versions in flight"), columns, _versions(overview)))
    parts.append(
        table_html(
            _title(f"Instances: {_shown(page)}"), _ROW_COLUMNS, _rows(overview, page), wrapped={5}
        )
    )
    gap = '<div style="height:8px"></div>'
    return f'<div class="ipd-dashboard-stored">{gap.join(parts)}</div>'


def dashboard_text(
    overview: Overview, beat: StoreUpdate, page: Mapping[str, Any], width: int = 120
) -> str:
    """Return the same as text of at most `width` columns."""
    lines = [f"{_name(overview)} · {_facts(overview, beat)}", _counts(overview)]
    if overview.trouble:
        lines.append(f"✗ {overview.trouble}")
    lines += _text_bars(overview.histogram)
    if overview.waits:
        lines += ["", "waiting longest", *text_table(_WAIT_COLUMNS, _waits(overview), width)]
    if beat.lanes:
        lines += ["", "workers", *(f"  {name:<10} {load}" for name, load in _lanes(beat))]
    if overview.versions:
        words = [f"{name} {version}: {count}" for name, version, count in _versions(overview)]
        lines += ["", f"versions in flight: {', '.join(words)}"[:width]]
    lines += ["", f"instances: {_shown(page)}"]
    if page["rows"]:
        lines += text_table(_ROW_COLUMNS, _rows(overview, page), width)
    return "\n".join(line[:width] for line in lines)


def _waits(overview: Overview) -> list[list[str]]:
    return [
        [
            wait.instance_id,
            wait.what + ("" if wait.until is None else f" until {_time(wait.until)}"),
            duration_words(max(0.0, overview.now - wait.since)),
            _time(wait.since),
            wait.hint,
        ]
        for wait in overview.waits[:_WAITS_SHOWN]
    ]


def _lanes(beat: StoreUpdate) -> list[list[str]]:
    return [
        [lane.name, lane_words(lane.capacity, lane.in_flight, lane.ready)] for lane in beat.lanes
    ]


def _versions(overview: Overview) -> list[list[str]]:
    return [
        [one.name, f"v{one.number}" if one.number else "unknown", f"{one.count:,}"]
        for one in overview.versions
    ]


def _rows(overview: Overview, page: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"{_sign(status)} {status}",
            instance_id,
            name,
            _time(created),
            "" if started is None else duration_words(max(0.0, (ended or overview.now) - started)),
            note or "",
        ]
        for instance_id, name, status, created, started, ended, note in page["rows"]
    ]


def _shown(page: Mapping[str, Any]) -> str:
    total, count = page["total"], len(page["rows"])
    return f"{total:,}" if count == total else f"{total:,}, the newest {count:,} of them"


def _name(overview: Overview) -> str:
    return PurePath(overview.store).name


def _facts(overview: Overview, beat: StoreUpdate) -> str:
    return f"{_size(overview.size)} · {beat.live:,} in flight · {_time(overview.now)} UTC"


def _counts(overview: Overview) -> str:
    words = [f"{_sign(status)} {count:,} {status}" for status, count in overview.counts]
    return " · ".join(words) or "nothing has been started yet"


def _sign(status: str) -> str:
    return STATUS_SIGNS[RuntimeStatus(status)]


def _title(words: str) -> str:
    return f'<span style="{_MUTED}">{escape(words)}</span>'


def _text_bars(histogram: Histogram) -> list[str]:
    sums = [sum(one) for one in histogram.bins]
    most = max(sums, default=0)
    if not most:
        return []
    bars = "".join(_BARS[-(-count * 8 // most)] for count in sums)
    each = duration_words(histogram.width, exact=True)
    return [f"{bars}  created since {_time(histogram.start)}, {each} each, at most {most:,}"]


def _svg(histogram: Histogram) -> str:
    sums = [sum(one) for one in histogram.bins]
    most, step = max([*sums, 1]), _WIDTH / max(1, len(sums))
    bars = []
    for place, one in enumerate(histogram.bins):
        top = float(_HEIGHT)
        inside = f"<title>{escape(_bar_words(histogram, place))}</title>" if sums[place] else ""
        for status, count in zip(histogram.statuses, one, strict=True):
            if count:
                high = max(2.0, count / most * (_HEIGHT - 6))
                top -= high
                inside += (
                    f'<rect x="{place * step:.1f}" y="{top:.1f}" width="{max(0.5, step - 1):.1f}" '
                    f'height="{high:.1f}" fill="{_COLOURS[status]}"{_OUTLINES.get(status, "")}/>'
                )
        bars.append(f"<g>{inside}</g>" if inside else "")
    label = (
        f"{sum(sums):,} instances since {_time(histogram.start)} UTC, by when they were created; "
        f"{duration_words(histogram.width, exact=True)} a bar, at most {most:,}"
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'style="display:block;width:100%;max-width:{_WIDTH}px">{"".join(bars)}</svg>'
        f'<div style="{_FONT};{_MUTED};font-size:11px">{escape(label)}</div>'
    )


def _bar_words(histogram: Histogram, place: int) -> str:
    """Return what a bar stands for: `2026-11-20 03:00:00: 12 Completed, 1 Failed`."""
    counts = zip(histogram.statuses, histogram.bins[place], strict=True)
    words = ", ".join(f"{count:,} {status}" for status, count in counts if count)
    return f"{_time(histogram.start + place * histogram.width)} UTC: {words}"


def _time(ms: float) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"
