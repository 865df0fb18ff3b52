"""What a dashboard shows: bars of round lengths, rates of events, the most serious first."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.ports import StoreUpdate
from ipydurable.widgets.dashboard_model import (
    BINS,
    STATUS_ORDER,
    Rates,
    Wait,
    bin_width_ms,
    histogram,
    lane_words,
    ordered,
    sorted_waits,
)
from ipydurable.widgets.dashboard_static import dashboard_html, dashboard_text
from tests.widgets.dashboard_stories import beat_at, busy, empty, large

NOW = datetime(2026, 1, 1)


def beat(seconds: float, gseq: int) -> StoreUpdate:
    return StoreUpdate(now=NOW + timedelta(seconds=seconds), gseq=gseq, live=0, lanes=[], work=[])


@given(st.floats(1, 3e11))
def test_a_span_has_about_as_many_bars_as_wanted(span: float) -> None:
    width = bin_width_ms(span)
    assert span / width <= BINS or width == bin_width_ms(1e13)
    assert width >= 1000


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(STATUS_ORDER), st.integers(1, 99))),
    st.integers(1, 10**8),
)
def test_a_histogram_counts_everything_once(rows: list, elapsed: int) -> None:
    found = histogram(rows, 0, 1000, float(elapsed))
    assert sum(map(sum, found.bins)) == sum(count for _, _, count in rows)
    assert len(found.bins) * 1000 >= elapsed
    assert all(len(one) == len(found.statuses) for one in found.bins)
    assert found.statuses == ordered(found.statuses)


def test_rates_are_events_a_second_and_silence_is_not_spread_over() -> None:
    rates = Rates()
    for seconds, gseq in ((0, 100), (1, 500), (2, 600), (3600, 800)):
        rates.add(beat(seconds, gseq))
    assert [rate for _, rate in rates.told()] == [400, 100, 100]
    rates.add(beat(3601, 5))
    assert len(rates.told()) == 3
    for second in range(100):
        rates.add(beat(4000 + second, second))
    assert len(rates.told()) == 60


def test_who_needs_somebody_comes_first_and_who_goes_on_by_itself_last() -> None:
    waits = [
        Wait("timer", "", "Running", "timer", 0, until=99),
        Wait("young", "", "Running", "event", 50),
        Wait("old", "", "Running", "event", 10),
        Wait("parked", "", "Suspended", "somebody", 90),
    ]
    assert [one.instance_id for one in sorted_waits(waits)] == ["parked", "old", "young", "timer"]


def test_loads_in_words() -> None:
    assert lane_words(4, 9, 20) == "4 of 4 busy, 25 waiting"
    assert lane_words(100, 3, 0) == "3 of 100 busy"


def test_the_text_fits_the_terminal_and_the_html_a_saved_notebook() -> None:
    for store in (busy(), large(), empty()):
        overview, page = store.overview, store.rows.page({}, 0, 20)
        for width in (60, 120):
            lines = dashboard_text(overview, beat_at(0, 1), page, width).splitlines()
            assert max(len(line) for line in lines) <= width
        html = dashboard_html(overview, beat_at(0, 1), page)
        assert len(html) < 60_000
    assert "created since" in dashboard_text(busy().overview, beat_at(0, 1), page)


def test_text_of_users_stays_text() -> None:
    store = busy()
    store.overview.waits[0].hint = "<img src=x>"
    html = dashboard_html(store.overview, beat_at(0, 1), {"total": 0, "rows": []})
    assert "<img" not in html


def test_a_stored_bar_tells_its_statuses_in_words() -> None:
    html = dashboard_html(busy().overview, beat_at(0, 1), {"total": 0, "rows": []})
    assert " Completed, " in html.partition("<title>")[2]
    assert html.count("<title>") == len(busy().overview.histogram.bins)
