"""What the figures show, computed from a graph model. Pure; all times in seconds from the start.

Sizes are bounded for any history: a figure is saved with the notebook.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .graph_model import GraphModel
from .layout import Band, arrange, duration_ms, total_ms
from .text import STATE_SIGNS, band_title, counts_words, row_title
from .views import Header, RowKind, RowState, RowView

__all__ = [
    "Concurrency",
    "Durations",
    "Segment",
    "Step",
    "concurrency",
    "critical_path",
    "durations",
    "waterfall",
]

_MS = 1000.0
_MAX_NAMES = 40
_MAX_OUTLIERS = 50
_MAX_POINTS = 1000
_MAX_BARS = 60
_MAX_STEPS = 60
_WHISKERS = 1.5


class Durations(NamedTuple):
    """How long the finished operations of one name took, in seconds.

    Attributes:
        name: Their name.
        finished: How many have finished.
        failed: How many of those failed.
        low: The shortest within 1.5 times the interquartile range of `q1`.
        q1: The first quartile.
        median: Half took no longer.
        q3: The third quartile.
        high: The longest within 1.5 times the interquartile range of `q3`.
        mean: The average.
        outliers: The longest beyond `high`, and the shortest below `low`, 50 at most.
    """

    name: str
    finished: int
    failed: int
    low: float
    q1: float
    median: float
    q3: float
    high: float
    mean: float
    outliers: tuple[float, ...]


class Concurrency(NamedTuple):
    """How many activities were at work over time; each value holds until the next time.

    Attributes:
        times: Seconds from the start, strictly increasing.
        running: How many ran.
        queued: How many were scheduled and did not run yet.
    """

    times: tuple[float, ...]
    running: tuple[int, ...]
    queued: tuple[int, ...]


class Step(NamedTuple):
    """A link of the chain of operations that decided how long all took.

    Attributes:
        name: The operation.
        hint: What tells it from its siblings.
        kind: What it stands for.
        state: Its state.
        scheduled: When it was asked for, in seconds from the start.
        started: When it first began.
        ended: When it ended.
        share: Its share of the whole time, queueing included, from 0 to 1.
    """

    name: str
    hint: str
    kind: RowKind
    state: RowState
    scheduled: float
    started: float
    ended: float
    share: float


class Segment(NamedTuple):
    """A bar of the waterfall: an operation, or all siblings of one name.

    Attributes:
        title: What it is.
        detail: More about it, in words.
        state: Its state; of siblings the one of those that did not fail.
        scheduled: When the first was asked for, in seconds from the start.
        started: When the first began; None before that.
        ended: When the last ended, or the present.
    """

    title: str
    detail: str
    state: RowState
    scheduled: float
    started: float | None
    ended: float


def durations(model: GraphModel) -> list[Durations]:
    """Return how long the finished operations took by name, the most time in total first.

    What happens at one moment, and timers, which take as long as they were told, are left out.
    """
    header = model.timeline.header()
    found: dict[str, list[tuple[float, bool]]] = {}
    for row in model.timeline.rows():
        kind = header.groups[row.group].kind
        if kind.is_point or kind in (RowKind.TIMER, RowKind.LOCK):
            continue
        taken = duration_ms(row)
        if taken is not None and row.state in (RowState.COMPLETED, RowState.FAILED):
            failed = row.state is RowState.FAILED
            found.setdefault(row_title(row, header), []).append((taken / _MS, failed))
    summaries = [_summary(name, values) for name, values in found.items()]
    summaries.sort(key=lambda one: -one.mean * one.finished)
    return summaries[:_MAX_NAMES]


def _summary(name: str, values: Sequence[tuple[float, bool]]) -> Durations:
    taken = sorted(value for value, _ in values)
    q1, median, q3 = (_quantile(taken, share) for share in (0.25, 0.5, 0.75))
    reach = _WHISKERS * (q3 - q1)
    # Interpolated quartiles of few values may lie between all of them.
    low = min(next(value for value in taken if value >= q1 - reach), q1)
    high = max(next(value for value in reversed(taken) if value <= q3 + reach), q3)
    outside = [value for value in reversed(taken) if value > high or value < low]
    return Durations(
        name,
        len(taken),
        sum(failed for _, failed in values),
        low,
        q1,
        median,
        q3,
        high,
        sum(taken) / len(taken),
        tuple(outside[:_MAX_OUTLIERS]),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    value = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return round(value, 6)


def concurrency(model: GraphModel) -> Concurrency:
    """Return how many activities were running and queued over time.

    Above 1,000 steps each of about 500 slices keeps its last value and the moment it was busiest.
    """
    header = model.timeline.header()
    now = total_ms(header)
    changes: dict[int, list[int]] = {0: [0, 0], now: [0, 0]}

    def change(at: int, running: int, queued: int) -> None:
        entry = changes.setdefault(at, [0, 0])
        entry[0] += running
        entry[1] += queued

    for row in model.timeline.rows():
        if header.groups[row.group].kind is not RowKind.ACTIVITY:
            continue
        for span in row.spans:
            ended = now if span.ended is None else span.ended
            started = ended if span.started is None else span.started
            # Workers and the host may read clocks that differ a little.
            started = max(started, span.scheduled)
            ended = max(ended, started)
            change(span.scheduled, 0, 1)
            change(started, 1, -1)
            change(ended, -1, 0)
    points: list[tuple[int, int, int]] = []
    running = queued = 0
    for at in sorted(changes):
        running += changes[at][0]
        queued += changes[at][1]
        points.append((at, running, queued))
    shown = _thinned(points, now)
    return Concurrency(
        tuple(at / _MS for at, _, _ in shown),
        tuple(count for _, count, _ in shown),
        tuple(count for _, _, count in shown),
    )


def _thinned(points: list[tuple[int, int, int]], now: int) -> list[tuple[int, int, int]]:
    if len(points) <= _MAX_POINTS:
        return points
    slices = _MAX_POINTS // 2 - 1
    kept = {points[0], points[-1]}
    busiest: dict[int, tuple[int, int, int]] = {}
    last: dict[int, tuple[int, int, int]] = {}
    for point in points:
        place = min(slices - 1, point[0] * slices // max(1, now))
        last[place] = point
        if place not in busiest or point[1:] > busiest[place][1:]:
            busiest[place] = point
    kept.update(busiest.values(), last.values())
    return sorted(kept)


def critical_path(model: GraphModel) -> list[Step]:
    """Return the chain of operations that decided how long all took, first to last.

    From the end backwards: of what each followed from, the one that ended last. Of an instance
    that has not ended yet, the chain that led to what ended last so far.
    """
    header = model.timeline.header()
    whole = max(1, total_ms(header))
    steps: list[Step] = []
    index: int | None = None
    before = float("inf")
    while True:
        ready = [
            row
            for row in model.predecessors(index)
            if row.index != index
            and row.spans[-1].ended is not None
            and not model.has_lost(row.index)
            and _end(row) <= before
        ]
        if not ready:
            return _bounded(steps[::-1])
        row = max(ready, key=lambda one: (_end(one), one.spans[0].scheduled, one.index))
        index, before = row.index, row.spans[0].scheduled
        steps.append(_step(row, header, whole))


def _end(row: RowView) -> float:
    ended = row.spans[-1].ended
    return float("inf") if ended is None else ended


def _step(row: RowView, header: Header, whole: int) -> Step:
    first, ended = row.spans[0], row.spans[-1].ended
    assert ended is not None
    started = first.scheduled if first.started is None else first.started
    return Step(
        row_title(row, header),
        row.hint,
        header.groups[row.group].kind,
        row.state,
        first.scheduled / _MS,
        started / _MS,
        ended / _MS,
        (ended - first.scheduled) / whole,
    )


def _bounded(steps: list[Step]) -> list[Step]:
    """Of a long chain keep the steps that took longest, in their order."""
    if len(steps) <= _MAX_STEPS:
        return steps
    longest = heapq.nlargest(_MAX_STEPS, range(len(steps)), key=lambda n: steps[n].share)
    return [steps[n] for n in sorted(longest)]


def waterfall(model: GraphModel) -> list[Segment]:
    """Return the bars of the waterfall in the order they began, siblings of a name as one bar."""
    header = model.timeline.header()
    now = total_ms(header)
    items = arrange(header, model.timeline.rows())
    segments = [
        _band_segment(item, now) if isinstance(item, Band) else _segment(item, header, now)
        for item in items
    ]
    segments.sort(key=lambda one: (one.scheduled, one.ended))
    if len(segments) > _MAX_BARS:
        longest = heapq.nlargest(
            _MAX_BARS,
            range(len(segments)),
            key=lambda n: (segments[n].state is RowState.FAILED, _length(segments[n])),
        )
        return [segments[n] for n in sorted(longest)]
    return segments


def _length(segment: Segment) -> float:
    return segment.ended - segment.scheduled


def _segment(row: RowView, header: Header, now: int) -> Segment:
    tries = f"{len(row.spans)} attempts" if len(row.spans) > 1 else ""
    detail = " · ".join(part for part in (row.state.name.lower(), tries, row.note) if part)
    title = f"{row_title(row, header)} {row.hint}".strip()
    return Segment(title, detail, row.state, *_extent([row], now))


def _band_segment(band: Band, now: int) -> Segment:
    counts = band.group.counts
    failed = counts[RowState.FAILED]
    order = (RowState.RUNNING, RowState.WAITING, RowState.QUEUED, RowState.COMPLETED)
    # A few failures of thousands must not colour all: the title counts them.
    state = next((one for one in order if counts[one]), RowState.FAILED)
    title = f"{band_title(band)} {STATE_SIGNS[RowState.FAILED]} {failed:,}"
    return Segment(
        title if failed else band_title(band),
        counts_words(counts),
        state,
        *_extent(band.rows, now),
    )


def _extent(rows: Iterable[RowView], now: int) -> tuple[float, float | None, float]:
    spans = [span for row in rows for span in row.spans]
    started = [span.started for span in spans if span.started is not None]
    return (
        min(span.scheduled for span in spans) / _MS,
        min(started) / _MS if started else None,
        max(now if span.ended is None else span.ended for span in spans) / _MS,
    )
