"""Figures of several rounds as one table of medians, spread and targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .bench import Figure

__all__ = ["table"]

_CHAIN = "steps/s"


def table(figures: Sequence[Figure]) -> str:
    """Return a Markdown table: one row for each workload and case, in the order they first ran.

    Rates of durable steps are set in relation to the bare floor of the same round.
    """
    rows = [
        "| workload | case | median | min to max | target | of the floor |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.workload, figure.case), []).append(figure)
    floors = [figure.value for figure in figures if figure.workload == "floor"]
    for (workload, case), group in groups.items():
        values = [figure.value for figure in group]
        first, median = group[0], statistics.median(values)
        target = ""
        if first.target is not None:
            sign, verdict = ("at least" if first.more_is_better else "at most"), "missed"
            verdict = "reached" if first.reaches(median) else "missed"
            target = f"{sign} {_number(first.target)}: {verdict}"
        ratio = ""
        if first.unit == _CHAIN and len(values) == len(floors):
            ratio = f"{statistics.median(v / f for v, f in zip(values, floors, strict=True)):.2f}"
        spread = f"{_number(min(values))} to {_number(max(values))}"
        shown = f"{_number(median)} {first.unit}"
        rows.append(f"| {workload} | {case} | {shown} | {spread} | {target} | {ratio} |")
    return "\n".join(rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
