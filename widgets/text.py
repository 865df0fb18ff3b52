"""The timeline as text: for terminals, and for viewers that show nothing richer."""

from __future__ import annotations

from datetime import UTC, datetime

from ipydurable.runtime.core.status import RuntimeStatus

from .form_static import forms_text
from .layout import (
    Band,
    TimeScale,
    arrange,
    density,
    duration_ms,
    duration_words,
    quantiles,
    total_ms,
)
from .view_models import LOST, TimelineModel
from .views import AwaitedEvent, Header, Outcome, RowKind, RowState, RowView, Span, Waiting, shorten

__all__ = [
    "POINT_SIGN",
    "STATE_SIGNS",
    "STATUS_SIGNS",
    "band_title",
    "counts_words",
    "row_title",
    "text",
    "waiting_words",
]

STATE_SIGNS = {
    RowState.FAILED: "✗",
    RowState.RUNNING: "▶",
    RowState.WAITING: "‖",
    RowState.COMPLETED: "✓",
    RowState.ABANDONED: "⊘",
    RowState.QUEUED: "○",
}
STATUS_SIGNS = {
    RuntimeStatus.PENDING: "○",
    RuntimeStatus.RUNNING: "▶",
    RuntimeStatus.SUSPENDED: "‖",
    RuntimeStatus.COMPLETED: "✓",
    RuntimeStatus.FAILED: "✗",
    RuntimeStatus.TERMINATED: "■",
    RuntimeStatus.CONTINUED_AS_NEW: "↻",
}
_KIND_WORDS = {
    RowKind.ACTIVITY: "",
    RowKind.ORCHESTRATION: "sub-orchestration",
    RowKind.ENTITY_CALL: "entity",
    RowKind.TIMER: "",
    RowKind.LOCK: "",
    RowKind.EVENT: "event",
    RowKind.EVENT_SENT: "event to",
    RowKind.SIGNAL: "signal",
}
"""The word before a row's name, where its name does not say what it is."""
_WORDS = {
    RowState.COMPLETED: "completed",
    RowState.RUNNING: "running",
    RowState.FAILED: "failed",
    RowState.WAITING: "waiting",
    RowState.QUEUED: "queued",
    RowState.ABANDONED: "abandoned",
}
POINT_SIGN = "◆"
_MAX_ROWS = 40
_BLOCKS = " ▁▂▃▄▅▆▇█"
_OUTCOME_BLOCKS = {
    Outcome.COMPLETED: "█",
    Outcome.FAILED: "▚",
    Outcome.LOST: "▚",
    Outcome.OPEN: "▓",
    Outcome.ABANDONED: "▒",
}


def text(model: TimelineModel, width: int = 100) -> str:
    """Return a timeline as lines of text, without colours.

    Args:
        model: What to show.
        width: Characters in a line, at least 60.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    width = max(60, width)
    header, rows = model.header(), model.rows()
    now = float(header.now if header.end is None else header.end)
    scale = TimeScale(rows, now)
    items = arrange(header, rows)
    label_width = min(38, width // 3)
    bar_width = width - label_width - 15
    lines = [*_head(header, width)]
    lines.extend(forms_text(model.forms))
    waits = () if header.finished else header.awaited
    lines.extend(_wait_line(wait, scale, now, label_width, bar_width) for wait in waits)
    for item in items[:_MAX_ROWS]:
        if isinstance(item, Band):
            lines.extend(_band_lines(item, scale, now, label_width, bar_width))
        else:
            lines.append(_row_line(item, header, scale, now, label_width, bar_width))
            if item.state is RowState.FAILED and item.note:
                lines.append("    " + shorten(item.note, width - 4))
    if len(items) > _MAX_ROWS:
        lines.append(f"  … {len(items) - _MAX_ROWS:,} more rows")
    return "\n".join(shorten(line.rstrip(), width) for line in lines)


def counts_words(counts: tuple[int, ...]) -> str:
    """Return counts by state in words, e.g. `"✓ 950 completed · ▶ 40 running"`; empty for none."""
    found = [(state, counts[state]) for state in _WORDS if counts[state]]
    return " · ".join(f"{STATE_SIGNS[state]} {count:,} {_WORDS[state]}" for state, count in found)


def row_title(row: RowView, header: Header) -> str:
    """Return what a row is called: its name, and what it is where that is not clear."""
    group = header.groups[row.group]
    return f"{_KIND_WORDS[group.kind]} {group.name}".strip()


def band_title(band: Band) -> str:
    """Return what a band is called: the name of its rows and how many they are."""
    return f"{_KIND_WORDS[band.group.kind]} {band.group.name} {len(band.rows):,}".strip()


def waiting_words(waiting: Waiting, now: int, start: int) -> str:
    """Return what an instance waits for, in words.

    Args:
        waiting: What for.
        now: The present, in milliseconds from the start.
        start: The start, in milliseconds since 1970.
    """
    left = "" if waiting.due is None else f" (due in {duration_words(max(0, waiting.due - now))})"
    match waiting.kind:
        case RowKind.EVENT:
            since = ""
            if waiting.since is not None:
                at = datetime.fromtimestamp((start + waiting.since) / 1000, UTC)
                since = f" since {at:%Y-%m-%d %H:%M:%S} UTC"
            return (f'the event "{waiting.name}"' if waiting.name else "an external event") + since
        case RowKind.LOCK:
            return f"the lock of {waiting.hint}"
        case RowKind.TIMER:
            return ("its start" if waiting.name == "start" else "a timer") + left
        case RowKind.ACTIVITY:
            return f"the retry of {waiting.name}{left}"
        case _:
            return f"{_KIND_WORDS[waiting.kind]} {waiting.name} {waiting.hint}".rstrip() + left


def _head(header: Header, width: int) -> list[str]:
    status = f"{STATUS_SIGNS[header.status]} {header.status}"
    lines = [f"{header.name}  {status}  {duration_words(total_ms(header))}  {header.instance_id}"]
    total = sum(header.counts)
    if total:
        done = header.counts[RowState.COMPLETED]
        filled = done * 20 // total
        bar = "█" * filled + "░" * (20 - filled)
        lines.append(f"{bar} {done:,}/{total:,}  {counts_words(header.counts)}")
    if header.generation:
        lines.append(f"continued as new {header.generation:,} times")
    if header.waiting:
        words = " and ".join(waiting_words(one, header.now, header.start) for one in header.waiting)
        lines.append(f"waits for {words}")
    if header.message is not None:
        lines.append(shorten(f"{header.message.kind}: {header.message.text}", width))
    if header.custom_status:
        lines.append(shorten(f"status: {header.custom_status}", width))
    if header.output:
        lines.append(shorten(f"output: {header.output}", width))
    lines.append("─" * width)
    return lines


def _wait_line(
    wait: AwaitedEvent, scale: TimeScale, now: float, label_width: int, bar_width: int
) -> str:
    bar = [" "] * bar_width
    _draw_breaks(bar, scale)
    _draw(bar, scale, wait.since, now, "·", at_least=1)
    shown = shorten(f'{STATE_SIGNS[RowState.WAITING]} event "{wait.name}"', label_width)
    words = duration_words(max(0, now - wait.since))
    return f"{shown:<{label_width}} │{''.join(bar)}│ {words:>11}"


def _row_line(
    row: RowView, header: Header, scale: TimeScale, now: float, label_width: int, bar_width: int
) -> str:
    title = row_title(row, header)
    point = header.groups[row.group].kind.is_point
    hint = " · ".join(filter(None, (LOST if row.note == LOST else "", row.hint)))
    label = f"{POINT_SIGN if point else STATE_SIGNS[row.state]} {title} {hint}".rstrip()
    bar = [" "] * bar_width
    _draw_breaks(bar, scale)
    for before, span in zip((None, *row.spans), row.spans, strict=False):
        if before is not None and before.ended is not None:
            _draw(bar, scale, before.ended, span.scheduled, "·")
        _draw_span(bar, scale, span, now, POINT_SIGN if point else "")
    if row.due is not None and row.spans[-1].ended is not None:
        _draw(bar, scale, row.spans[-1].ended, now, "·")
    taken = None if point else duration_ms(row, now)
    words = "" if taken is None else duration_words(taken)
    shown = shorten(label, label_width)
    return f"{shown:<{label_width}} │{''.join(bar)}│ {words:>11}"


def _draw_span(bar: list[str], scale: TimeScale, span: Span, now: float, point: str) -> None:
    end = now if span.ended is None else span.ended
    if point:
        bar[min(len(bar) - 1, int(scale.x(span.scheduled) * len(bar)))] = point
    elif span.started is None:
        _draw(bar, scale, span.scheduled, end, "░" if span.outcome is Outcome.OPEN else "┈")
    else:
        _draw(bar, scale, span.scheduled, span.started, "░")
        _draw(bar, scale, span.started, end, _OUTCOME_BLOCKS[span.outcome], at_least=1)


def _draw(
    bar: list[str], scale: TimeScale, start: float, end: float, block: str, at_least: int = 0
) -> None:
    first = min(int(scale.x(start) * len(bar)), len(bar) - 1)
    last = max(int(scale.x(end) * len(bar)), first + at_least)
    for index in range(first, min(last, len(bar))):
        bar[index] = block


def _draw_breaks(bar: list[str], scale: TimeScale) -> None:
    for segment in scale.breaks:
        bar[min(len(bar) - 1, int((segment.x0 + segment.x1) / 2 * len(bar)))] = "/"


def _band_lines(
    band: Band, scale: TimeScale, now: float, label_width: int, bar_width: int
) -> list[str]:
    group = band.group
    counts = group.counts
    sign = next((STATE_SIGNS[s] for s in (RowState.RUNNING, RowState.FAILED) if counts[s]), "✓")
    bins = density(band.rows, scale, bar_width, now)
    top = max((one.total for one in bins), default=0.0) or 1.0
    strip = [_BLOCKS[min(8, round(one.total / top * 8) or (one.total > 0))] for one in bins]
    label = shorten(f"{sign} {band_title(band)}", label_width)
    words = ""
    found = quantiles(band.rows)
    if found is not None:
        p50, p95, longest = map(duration_words, found)
        words = f"p50 {p50} · p95 {p95} · max {longest}"
    lines = [f"{label:<{label_width}} │{''.join(strip)}│", f"    {counts_words(counts)}"]
    if words and len(lines[-1]) + len(words) < label_width + bar_width:
        lines[-1] += f"   {words}"
    elif words:
        lines.append(f"    {words}")
    first = band.rows[0]
    if first.state is RowState.FAILED and first.note:
        lines.append("    " + shorten(f"✗ {first.hint} {first.note}", label_width + bar_width))
    return lines
