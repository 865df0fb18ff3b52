"""Every benchmark runs and finds its results right; none is timed here."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import WORKLOADS, measure
from tests.benchmarks.bench import Figure
from tests.benchmarks.curves import CURVES
from tests.benchmarks.report import table
from tests.benchmarks.sizes import Sizes

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("number", WORKLOADS)
def test_a_small_run_gives_right_results_and_figures(number: str) -> None:
    figures = measure([number], Sizes(divisor=500), rounds=1)
    assert len(figures) > 1
    assert all(figure.value >= 0 for figure in figures)


@pytest.mark.parametrize("curve", ["processors", "history", "payload"])
def test_a_small_curve_has_a_row_for_each_case(curve: str) -> None:
    """Those of disks and of waiting instances do the same, longer."""
    rows = dict(CURVES[curve](Sizes(divisor=500)))
    assert len(rows) >= 1
    assert all(value > 0 for row in rows.values() for value in row.values())


def test_the_table_sets_medians_against_targets_and_the_floor() -> None:
    figures = [
        Figure("floor", "bare", 1000, "steps/s"),
        Figure("W1 chain", "500", 700, "steps/s", 900),
        Figure("floor", "bare", 1200, "steps/s"),
        Figure("W1 chain", "500", 960, "steps/s", 900),
        Figure("W11", "host", 0.25, "s", 0.5),
    ]
    _, _, floor, chain, load = table(figures).splitlines()
    assert floor.startswith("| floor | bare | 1,100 steps/s | 1,000 to 1,200 |")
    assert "| 830 steps/s | 700 to 960 | at least 900: missed | 0.75 |" in chain
    assert "| 0.25 s | 0.25 to 0.25 | at most 0.5: reached |" in load
