"""Where things go: siblings into bands, time onto an axis, durations into words. Pure.

`static/timeline.js` does the same in the browser, where it must follow a running clock; the two
agree on every constant here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from .views import GroupView, Header, Outcome, RowState, RowView

__all__ = [
    "BAND_FROM",
    "Band",
    "Bin",
    "TimeScale",
    "arrange",
    "density",
    "duration_ms",
    "duration_words",
    "quantiles",
    "total_ms",
]

BAND_FROM = 13
"""Siblings from this number on are drawn as one band."""
IDLE_SHARE = 0.2
"""An idle span longer than this share of the axis is cut."""
IDLE_AT_LEAST_MS = 2000
BREAK_SHARE = 0.06
"""Share of the axis a cut idle span keeps."""
_SEEN = 1e-3
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_STEPS_MS = (
    *(mantissa * 10**power for power in range(3) for mantissa in (1, 2, 5)),
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)


class _Unit(NamedTuple):
    whole_ms: int
    whole_name: str
    rest_ms: int
    rest_name: str
    below_ms: float


_UNITS = (
    _Unit(_MINUTE, "min", _SECOND, "s", _HOUR),
    _Unit(_HOUR, "h", _MINUTE, "min", _DAY),
    _Unit(_DAY, "d", _HOUR, "h", math.inf),
)


class Band(NamedTuple):
    """Siblings drawn as one: failed first, then what is open, then the slowest.

    Attributes:
        group: What they are.
        rows: All of them, in the order in which they are listed when opened.
    """

    group: GroupView
    rows: tuple[RowView, ...]


class Bin(NamedTuple):
    """How many rows of a band were at work during a slice of the axis, on average, by outcome."""

    completed: float
    failed: float
    running: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.completed + self.failed + self.running


class Segment(NamedTuple):
    """A stretch of the axis: times from `t0` to `t1` (ms) lie from `x0` to `x1` (0 to 1)."""

    t0: float
    t1: float
    x0: float
    x1: float
    cut: bool


class TimeScale:
    """Maps milliseconds from the start to 0..1, with long idle spans cut short.

    Args:
        rows: What is drawn on the axis.
        end: The end of the axis in milliseconds; the present, while the instance runs.
    """

    def __init__(self, rows: Iterable[RowView], end: float) -> None:
        self.end = max(float(end), 1.0)
        cuts = _idle_spans(rows, self.end)
        width = max(0.1, 1 - BREAK_SHARE * len(cuts))
        shown = self.end - sum(t1 - t0 for t0, t1 in cuts)
        self.segments: list[Segment] = []
        at = x = 0.0
        for t0, t1 in [*cuts, (self.end, self.end)]:
            if t0 > at:
                self._append(at, t0, x, x + (t0 - at) / shown * width, cut=False)
                x = self.segments[-1].x1
            if t1 > t0:
                self._append(t0, t1, x, x + (1 - width) / len(cuts), cut=True)
                x = self.segments[-1].x1
            at = t1

    def _append(self, t0: float, t1: float, x0: float, x1: float, *, cut: bool) -> None:
        self.segments.append(Segment(t0, t1, x0, x1, cut))

    @property
    def breaks(self) -> list[Segment]:
        """The idle spans that were cut."""
        return [segment for segment in self.segments if segment.cut]

    def x(self, at: float) -> float:
        """Return the place of a time on the axis, from 0 to 1."""
        for t0, t1, x0, x1, _ in self.segments:
            if at <= t1:
                return x0 + max(0.0, at - t0) / (t1 - t0) * (x1 - x0)
        return 1.0

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Return about `count` places and their labels, none of them in a break."""
        drawn = [segment for segment in self.segments if not segment.cut]
        visible = sum(segment.t1 - segment.t0 for segment in drawn)
        step = next((step for step in _STEPS_MS if step * count >= visible), _STEPS_MS[-1])
        found: list[tuple[float, str]] = []
        for t0, t1, _, _, _ in drawn:
            at = math.ceil(t0 / step) * step
            while at <= t1:
                place = self.x(at)
                near = any(abs((cut.x0 + cut.x1) / 2 - place) < BREAK_SHARE for cut in self.breaks)
                if not near and (not found or place - found[-1][0] > 0.6 / count):
                    found.append((place, duration_words(at, exact=True)))
                at += step
        return found


def arrange(header: Header, rows: Sequence[RowView]) -> list[Band | RowView]:
    """Return what is drawn, top to bottom: what is open first, then by time.

    Args:
        header: The header the rows belong to.
        rows: All rows, in order of scheduling.
    """
    members: dict[int, list[RowView]] = {}
    for row in rows:
        members.setdefault(row.group, []).append(row)
    items: list[tuple[bool, int, Band | RowView]] = []
    for index, siblings in members.items():
        if len(siblings) < BAND_FROM:
            items.extend((row.state > RowState.WAITING, row.index, row) for row in siblings)
        else:
            closed = all(row.state > RowState.WAITING for row in siblings)
            band = Band(header.groups[index], tuple(sorted(siblings, key=_listing_order)))
            items.append((closed, siblings[0].index, band))
    return [item for _, _, item in sorted(items, key=lambda item: item[:2])]


_LISTED = {
    RowState.FAILED: 0,
    RowState.RUNNING: 1,
    RowState.WAITING: 2,
    RowState.COMPLETED: 3,
    RowState.ABANDONED: 4,
    RowState.QUEUED: 5,
}


def _listing_order(row: RowView) -> tuple[int, float, int]:
    return _LISTED[row.state], -(duration_ms(row) or 0), row.index


def duration_ms(row: RowView, now: float | None = None) -> int | None:
    """Return how long a row took, from its first start to its end, back-offs included.

    Args:
        row: The row.
        now: The end to assume for a row that is open.

    Returns:
        Milliseconds; None for a row that has not begun, or is open while `now` is not given.
    """
    first, last = row.spans[0], row.spans[-1]
    start = first.started
    if start is None:
        if last.ended is None or row.state is RowState.ABANDONED:
            return None
        start = first.scheduled
    open_ = row.state <= RowState.WAITING
    end = now if open_ else last.ended
    return None if end is None else max(0, round(end) - start)


def quantiles(rows: Iterable[RowView]) -> tuple[int, int, int] | None:
    """Return p50, p95 and the maximum of the durations of finished rows; None without any."""
    finished = [row for row in rows if row.state in (RowState.COMPLETED, RowState.FAILED)]
    durations = sorted(found for row in finished if (found := duration_ms(row)) is not None)
    if not durations:
        return None
    last = len(durations) - 1
    return durations[(last + 1) // 2], durations[int(last * 0.95 + 0.5)], durations[last]


def density(rows: Iterable[RowView], scale: TimeScale, bins: int, now: float) -> list[Bin]:
    """Return how many rows were at work in each of `bins` slices of the axis.

    Each failure leaves a trace in its slice, however short the attempt was.

    Args:
        rows: The members of a band.
        scale: The axis.
        bins: How many slices.
        now: The end to assume for open attempts.
    """
    steps = [[0.0] * (bins + 1) for _ in range(3)]
    failed = [0] * bins
    for row in rows:
        for span in row.spans:
            if span.started is None and span.ended is None:
                continue
            start = span.scheduled if span.started is None else span.started
            x0 = scale.x(start) * bins
            x1 = max(scale.x(now if span.ended is None else span.ended) * bins, x0)
            which = {Outcome.COMPLETED: 0, Outcome.OPEN: 2, Outcome.ABANDONED: 2}.get(
                span.outcome, 1
            )
            _spread(steps[which], x0, x1)
            if span.outcome in (Outcome.FAILED, Outcome.LOST):
                failed[min(int(x1), bins - 1)] += 1
    done, lost, running = (list(accumulate(step))[:bins] for step in steps)
    return [
        Bin(max(0.0, a), max(0.0, b, min(f, 1) * _SEEN), max(0.0, c))
        for a, b, c, f in zip(done, lost, running, failed, strict=True)
    ]


def _spread(step: list[float], x0: float, x1: float) -> None:
    """Add an interval to a difference array whose running sum is the share covered per bin."""
    last = len(step) - 1
    for x, sign in ((x0, 1.0), (x1, -1.0)):
        index = min(int(x), last - 1)
        covered = sign * (index + 1 - x)
        step[index] += covered
        step[index + 1] += sign - covered


def total_ms(header: Header) -> int:
    """Return how long the instance has taken so far, in milliseconds."""
    return max(0, header.now if header.end is None else header.end)


def duration_words(ms: float, *, exact: bool = False) -> str:
    """Return a duration as people say it: `"850 ms"`, `"12.3 s"`, `"2 min 5 s"`, `"3 h 4 min"`.

    Args:
        ms: Milliseconds.
        exact: For axis labels: nothing rounded, zeros left out: `"0"`, `"5 s"`, `"1 h 30 s"`.
    """
    if exact and ms >= _SECOND:
        return _exact_words(ms)
    if exact and ms == 0:
        return "0"
    if ms < _SECOND:
        return f"{ms:.0f} ms" if ms >= 1 else "< 1 ms"
    if ms < _MINUTE - 50:
        return f"{ms / _SECOND:.1f} s"
    unit = next(unit for unit in _UNITS if round(ms / unit.rest_ms) * unit.rest_ms < unit.below_ms)
    whole, rest = divmod(round(ms / unit.rest_ms), unit.whole_ms // unit.rest_ms)
    return f"{whole} {unit.whole_name} {rest} {unit.rest_name}"


def _exact_words(ms: float) -> str:
    parts = []
    for unit in reversed(_UNITS):
        whole, ms = divmod(ms, unit.whole_ms)
        if whole:
            parts.append(f"{whole:.0f} {unit.whole_name}")
    if ms:
        parts.append(f"{ms / _SECOND:.3f}".rstrip("0").rstrip(".") + " s")
    return " ".join(parts)


def _idle_spans(rows: Iterable[RowView], end: float) -> list[tuple[float, float]]:
    """Return the spans in which nothing is at work and which are worth cutting."""
    busy = sorted(
        (max(0.0, min(start, end)), max(0.0, min(stop, end)))
        for row in rows
        for start, stop in _busy_spans(row, end)
    )
    gaps, at = [], 0.0
    for start, stop in [*busy, (end, end)]:
        if start - at >= IDLE_AT_LEAST_MS:
            gaps.append((at, start))
        at = max(at, stop)
    cut: set[tuple[float, float]] = set()
    shown = end
    while True:
        more = [gap for gap in gaps if gap not in cut and gap[1] - gap[0] > IDLE_SHARE * shown]
        rest = shown - sum(t1 - t0 for t0, t1 in more)
        if not more or rest < 1:
            return sorted(cut)
        cut.update(more)
        shown = rest


def _busy_spans(row: RowView, end: float) -> Iterable[tuple[float, float]]:
    """Yield when something is done for a row; timers, locks and back-offs are idle time."""
    waits = row.due is not None or row.state is RowState.WAITING
    for span in row.spans:
        stop = end if span.ended is None else span.ended
        if span.started is None and (waits or span.outcome is not Outcome.OPEN):
            # A timer, a lock nobody granted yet: only its ends are events.
            yield span.scheduled, span.scheduled
            yield stop, stop
        else:
            yield span.scheduled, stop
