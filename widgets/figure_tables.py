"""What the figures show, in words: for pages and terminals that cannot draw them."""

from __future__ import annotations

from collections.abc import Callable

from . import figure_data as data
from .figure_static import FigureTable
from .graph_model import GraphModel
from .layout import duration_words

__all__ = ["TABLES"]

_MOST = 40


def _durations(model: GraphModel) -> FigureTable:
    return FigureTable(
        ("operation", "finished", "failed", "median", "mean", "longest"),
        tuple(
            (
                one.name,
                f"{one.finished:,}",
                f"{one.failed:,}",
                _words(one.median),
                _words(one.mean),
                _words(max((one.high, *one.outliers))),
            )
            for one in data.durations(model)[:_MOST]
        ),
    )


def _concurrency(model: GraphModel) -> FigureTable:
    found = data.concurrency(model)
    if len(found.times) <= 1:
        return FigureTable(("activities", "at most", "on average", "reached after"), ())
    whole = found.times[-1] - found.times[0]
    steps = [b - a for a, b in zip(found.times, found.times[1:], strict=False)]
    rows = []
    for name, values in (("running", found.running), ("queued", found.queued)):
        mean = sum(value * step for value, step in zip(values, steps, strict=False)) / whole
        at = found.times[values.index(max(values))]
        rows.append((name, f"{max(values):,}", f"{mean:,.1f}", _words(at)))
    return FigureTable(("activities", "at most", "on average", "reached after"), tuple(rows))


def _critical_path(model: GraphModel) -> FigureTable:
    return FigureTable(
        ("step", "queued", "took", "share"),
        tuple(
            (
                f"{one.name} {one.hint}".strip(),
                _words(one.started - one.scheduled),
                _words(one.ended - one.started),
                f"{one.share:.0%}",
            )
            for one in data.critical_path(model)[:_MOST]
        ),
    )


def _waterfall(model: GraphModel) -> FigureTable:
    return FigureTable(
        ("operation", "state", "after", "took"),
        tuple(
            (
                one.title,
                one.state.name.lower(),
                _words(one.scheduled),
                _words(one.ended - (one.ended if one.started is None else one.started)),
            )
            for one in data.waterfall(model)[:_MOST]
        ),
    )


def _words(seconds: float) -> str:
    return duration_words(seconds * 1000) if seconds else "0"


TABLES: dict[str, Callable[[GraphModel], FigureTable]] = {
    "durations": _durations,
    "concurrency": _concurrency,
    "critical_path": _critical_path,
    "waterfall": _waterfall,
}
"""The table of each figure, by the figure's name."""
