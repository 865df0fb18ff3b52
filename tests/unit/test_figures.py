"""The figures: what they compute, apart from drawing, and how large they get."""

from __future__ import annotations

import pytest

from ipydurable.widgets import figure_data as data
from ipydurable.widgets.figures import FIGURES, figure
from ipydurable.widgets.graph_model import GraphModel
from tests.widgets.graph_stories import chain, model_of, pipelines, race, three
from tests.widgets.scenarios import Story, failed, fan_out, small


def test_durations_are_those_of_finished_operations_by_name():
    """Retries are included, timers and events are not; what took most time comes first."""
    found = {one.name: one for one in data.durations(model_of(small()))}
    assert set(found) == {"fetch", "convert", "entity budget.spend", "summarise"}
    assert found["convert"].median == pytest.approx(5.3)
    assert found["fetch"].finished == 6
    assert next(iter(found)) == "fetch"


def test_quartiles_lie_between_whiskers():
    """As a box plot has them, outliers beyond."""
    (fetch,) = (one for one in data.durations(model_of(fan_out(500))) if one.name == "fetch")
    assert fetch.low <= fetch.q1 <= fetch.median <= fetch.q3 <= fetch.high
    assert all(value > fetch.high or value < fetch.low for value in fetch.outliers)
    assert 0 < len(fetch.outliers) <= 50
    assert fetch.failed == sum(
        1 for row in model_of(fan_out(500)).timeline.rows() if row.state == 4
    )


def test_concurrency_counts_at_every_moment():
    """Two that overlap; the second waits before it runs."""
    story = Story()
    story.activity("a", 0, 1, 4)
    story.activity("b", 0, 2, 3)
    story.end(5)
    found = data.concurrency(model_of(story))
    assert list(zip(*found, strict=True)) == [
        (0.0, 0, 2),
        (1.0, 1, 1),
        (2.0, 2, 0),
        (3.0, 1, 0),
        (4.0, 0, 0),
        (5.0, 0, 0),
    ]


def test_concurrency_of_thousands_keeps_the_peak():
    """It is bounded, and never more than the workers ran."""
    found = data.concurrency(model_of(fan_out(10_000)))
    assert len(found.times) <= 1000
    assert max(found.running) == 40
    assert max(found.queued) > 9_900
    assert list(found.times) == sorted(set(found.times))


def test_the_critical_path_is_the_chain_that_ended_last():
    """Of the six fetches and the retried conversion it is the conversion that all waited for."""
    names = [one.name for one in data.critical_path(model_of(small()))]
    assert names == ["convert", "entity budget.spend", "timer", "event approve", "summarise"]


def test_the_critical_path_leaves_losers_out():
    """The timer that lost its race decided nothing."""
    names = [one.name for one in data.critical_path(model_of(race()))]
    assert names == ["ask_supplier", "book"]


def test_the_critical_path_runs_through_the_stages_of_a_pipeline():
    """The last page: fetched, parsed, reported."""
    steps = data.critical_path(model_of(pipelines(5)))
    assert [one.name for one in steps] == ["fetch", "parse", "report"]
    assert steps[0].ended == pytest.approx(5.0)
    assert sum(one.share for one in steps) == pytest.approx(1.0, abs=0.05)


def test_a_long_critical_path_is_bounded():
    """Of a chain of 3,000 steps those that took longest are shown, in their order."""
    steps = data.critical_path(model_of(chain(3000)))
    assert len(steps) == 60
    assert [one.scheduled for one in steps] == sorted(one.scheduled for one in steps)


def test_a_waterfall_has_a_bar_for_each_operation_or_band():
    """Bars in the order they began; siblings as one, whose failures the title counts."""
    found = data.waterfall(model_of(fan_out(500)))
    assert [one.title.split()[0] for one in found] == ["plan", "fetch", "summarise"]
    assert "✗" in found[1].title
    assert [one.title for one in data.waterfall(model_of(failed()))][-1].startswith("load")


@pytest.mark.parametrize("name", sorted(FIGURES))
@pytest.mark.parametrize("theme", ["neutral", "light", "dark"])
def test_every_figure_is_small_and_measures_in_seconds(name: str, theme: str):
    """Under 60 KB for 10,000 tasks; numeric axes, titles, units."""
    drawn = figure(_TEN_THOUSAND(), name, theme)
    assert len(drawn.to_json()) < 60_000
    assert drawn.layout.xaxis.type == "linear"
    assert drawn.layout.xaxis.ticksuffix == " s"
    assert drawn.layout.xaxis.title.text
    assert "crawl" in drawn.layout.title.text


def test_a_figure_of_nothing_says_so():
    """Before anything was asked for, no figure fails."""
    for name in FIGURES:
        figure(model_of(Story(), 0.0), name)


def test_an_unknown_figure_or_theme_lists_those_there_are():
    """The error names the cure."""
    with pytest.raises(
        ValueError, match="'durations', 'concurrency', 'critical_path', 'waterfall'"
    ):
        figure(model_of(three()), "gantt")
    with pytest.raises(ValueError, match="'neutral', 'light', 'dark'"):
        figure(model_of(three()), "durations", "sepia")


def _TEN_THOUSAND() -> GraphModel:  # noqa: N802
    if "model" not in _made:
        _made["model"] = model_of(fan_out(10_000))
    return _made["model"]


_made: dict[str, GraphModel] = {}
