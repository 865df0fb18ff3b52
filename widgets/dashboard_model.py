"""What a dashboard shows of a store, as data: pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import StoreUpdate

from .views import epoch_ms

__all__ = [
    "BINS",
    "SPANS",
    "STATUS_ORDER",
    "Histogram",
    "InFlight",
    "Overview",
    "Rates",
    "Wait",
    "bin_width_ms",
    "histogram",
    "lane_words",
    "ordered",
    "sorted_waits",
]

SPANS = {"1h": 3_600_000, "1d": 86_400_000, "7d": 604_800_000, "all": 0}
"""How far back one can look, in milliseconds; 0 for everything."""
BINS = 48
"""About how many bars a histogram has."""
STATUS_ORDER = tuple(
    status.value
    for status in (
        RuntimeStatus.COMPLETED,
        RuntimeStatus.RUNNING,
        RuntimeStatus.PENDING,
        RuntimeStatus.SUSPENDED,
        RuntimeStatus.TERMINATED,
        RuntimeStatus.FAILED,
    )
)
"""The order in which statuses are told, and stacked from below."""
_WIDTHS_MS = tuple(
    unit * count
    for unit, counts in (
        (1_000, (1, 2, 5, 10, 15, 30)),
        (60_000, (1, 2, 5, 10, 15, 30)),
        (3_600_000, (1, 2, 3, 6, 12)),
        (86_400_000, (1, 2, 7, 14, 28, 91, 182, 364)),
    )
    for count in counts
)
_RATES_KEPT = 60


class Histogram(msgspec.Struct):
    """How many instances were created when, by what they are now.

    Attributes:
        start: Where the first bar begins, in milliseconds since 1970.
        width: How long a bar is, in milliseconds.
        statuses: What the counts of each bar are of.
        bins: The counts of each bar.
    """

    start: float
    width: float
    statuses: list[str]
    bins: list[list[int]]


class Wait(msgspec.Struct):
    """An instance that has waited for long.

    Attributes:
        instance_id: Which.
        name: Its orchestrator.
        status: Its status.
        what: What it waits for, in words.
        since: Since when, in milliseconds since 1970.
        until: When it goes on by itself; None if that is not known.
        hint: What is odd about it, and what to do.
        entity_id: The entity it waits for; empty for none.
    """

    instance_id: str
    name: str
    status: str
    what: str
    since: float
    until: float | None = None
    hint: str = ""
    entity_id: str = ""


class InFlight(msgspec.Struct):
    """How many instances in flight run a version.

    Attributes:
        name: The orchestrator.
        number: The number of the version; 0 where it is not known.
        count: How many instances.
        newest: The number of the newest version.
    """

    name: str
    number: int
    count: int
    newest: int


class Overview(msgspec.Struct, kw_only=True):
    """A store at one moment.

    Attributes:
        now: When, in milliseconds since 1970.
        store: Its file.
        size: How large that is, in bytes.
        trouble: Why nothing can be written; empty when all is well.
        counts: How many instances have which status.
        names: How many instances each orchestrator has.
        histogram: When they were created.
        waits: Those that have waited longest, the most serious first.
        versions: What versions are in flight.
    """

    now: float
    store: str
    size: int
    trouble: str
    counts: list[tuple[str, int]]
    names: list[tuple[str, int]]
    histogram: Histogram
    waits: list[Wait]
    versions: list[InFlight]


class Rates:
    """Journal rows a second, as the beats of a store tell."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rates: deque[tuple[float, float]] = deque(maxlen=_RATES_KEPT)

    def add(self, update: StoreUpdate) -> None:
        """Take note of a beat."""
        at, gseq = epoch_ms(update.now), update.gseq
        if self._last is not None and at > self._last[0] and gseq >= self._last[1]:
            # A long silence is one of no events: what came was since the beat was due.
            took_s = min(at - self._last[0], 2_000) / 1000
            self._rates.append((at, round((gseq - self._last[1]) / took_s, 1)))
        self._last = at, gseq

    def told(self) -> list[tuple[float, float]]:
        """Return the last minute of them: milliseconds since 1970, and rows a second."""
        return list(self._rates)


def bin_width_ms(span_ms: float) -> int:
    """Return how long a bar is so that a span has about `BINS` of them: a round time."""
    wanted = max(1.0, span_ms / BINS)
    return next((width for width in _WIDTHS_MS if width >= wanted), _WIDTHS_MS[-1])


def histogram(
    rows: Iterable[tuple[int, str, int]], start: float, width: float, now: float
) -> Histogram:
    """Return a histogram.

    Args:
        rows: Number of the bar, status and count.
        start: Where the first bar begins.
        width: How long a bar is.
        now: Where the last one ends at least.
    """
    found = list(rows)
    statuses = ordered({status for _, status, _ in found})
    last = max([math.ceil((now - start) / width) - 1, *(place for place, _, _ in found), 0])
    bins = [[0] * len(statuses) for _ in range(last + 1)]
    for place, status, count in found:
        if place >= 0:
            bins[place][statuses.index(status)] += count
    return Histogram(start, width, statuses, bins)


def ordered(statuses: Iterable[str]) -> list[str]:
    """Return statuses in the order in which they are told."""
    rank = {status: place for place, status in enumerate(STATUS_ORDER)}
    return sorted(statuses, key=lambda status: (rank.get(status, len(rank)), status))


def lane_words(capacity: int, in_flight: int, ready: int) -> str:
    """Return the load of an executor in words: `4 of 4 busy, 12 waiting`."""
    busy = min(capacity, in_flight)
    waiting = in_flight - busy + ready
    return f"{busy:,} of {capacity:,} busy" + (f", {waiting:,} waiting" if waiting else "")


def sorted_waits(waits: Sequence[Wait]) -> list[Wait]:
    """Return waits, the most serious first: who needs somebody, then who waited longest."""

    def rank(wait: Wait) -> tuple[bool, bool, float]:
        return wait.status != RuntimeStatus.SUSPENDED.value, wait.until is not None, wait.since

    return sorted(waits, key=rank)
