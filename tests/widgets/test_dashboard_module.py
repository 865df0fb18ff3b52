"""The dashboard in a real browser: figures, filters, keyboard, pace, what it asks and when."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from ipydurable.runtime.core.errors import DurableError
from tests.widgets.contrast import least_contrast
from tests.widgets.dashboard_stories import NOW_MS, FakeStore, beat_at, busy, empty, large
from tests.widgets.harness import make_dark
from tests.widgets.view_kernel import ViewKernel

pytestmark = pytest.mark.parametrize("page", [{"view": "dashboard"}], indirect=True)


class Board(ViewKernel):
    """The dashboard of a store, shown."""

    def __init__(self, page: Page, store: FakeStore, *, still: bool = False) -> None:
        self.store = store
        super().__init__(page, store.dashboard)
        self.beat(2, 1000)
        self.beat(1, 1400)
        self.mount_at(NOW_MS, still=still)
        self.serve()

    def serve(self) -> None:
        """Have the page draw, which asks, and answer it."""
        self.settle()
        super().serve()

    def beat(self, seconds_ago: float, gseq: int, work: int = 5) -> None:
        """Say that something has happened."""
        self.change(lambda: self.widget.update(beat_at(seconds_ago, gseq, work)))


def test_what_there_is_waits_and_works_is_shown(page: Page) -> None:
    Board(page, busy(), still=True)
    root = page.locator(".ipd-dashboard")
    expect(root).to_contain_text("durable.duckdb")
    expect(root).to_contain_text("400 events/s")
    expect(page.get_by_role("button", name="41 Failed")).to_be_visible()
    waits = page.get_by_role("region", name="Waiting longest")
    expect(waits.locator(".ipd-wait-row").first).to_contain_text("somebody to resume it")
    expect(waits).to_contain_text("lock on Account@alice, held by transfer-9d21")
    second = waits.locator(".ipd-wait-row").nth(1)
    expect(second).to_contain_text("2 d 4 h")
    expect(second).to_contain_text(re.compile(r"since Nov \d+, \d\d:\d\d"))
    # What waits has not failed, whatever is odd about it.
    held = waits.locator(".ipd-wait-row", has_text="it goes on when audit-77f1 is resumed")
    expect(held.locator(".ipd-icon").first).to_have_attribute("data-state", "waiting")
    assert "UTC" in (second.locator(".ipd-wait-time").get_attribute("title") or "")
    workers = page.get_by_role("region", name="Workers")
    expect(workers).to_contain_text("4 of 4 busy, 145 waiting")
    expect(workers.locator(".ipd-work").first).to_contain_text("process 47112 min")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("6, newest is v4")


def test_bars_are_told_by_keyboard_and_choose_what_is_listed(page: Page) -> None:
    board = Board(page, busy())
    bars = page.locator(".ipd-histogram")
    bars.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".ipd-bars-tip")).to_contain_text("Running")
    page.keyboard.press("Enter")
    board.serve()
    query = board.store.rows.asked[-1][0]
    assert query["to"] - query["from"] == board.store.overview.histogram.width
    page.locator(".ipd-filters .ipd-button", has_text="created").click()
    board.serve()
    assert board.store.rows.asked[-1][0]["from"] is None


def test_statuses_names_and_text_choose_what_is_listed(page: Page) -> None:
    board = Board(page, busy())
    page.get_by_role("button", name="Failed").click()
    page.get_by_role("button", name="Suspended").click()
    page.locator("select").select_option("transfer")
    board.serve()
    rows = page.locator(".ipd-table-row")
    shown = {row.locator(".ipd-td").first.inner_text() for row in rows.all()}
    assert shown == {"Failed", "Suspended"}
    page.get_by_role("button", name="Suspended").click()
    page.locator("input[type=search]").fill("no such")
    page.wait_for_timeout(300)
    board.serve()
    expect(page.locator(".ipd-table-foot")).to_have_text("None is like that.")


def test_instances_and_entities_are_opened(page: Page) -> None:
    board = Board(page, busy())
    page.locator(".ipd-table-row").nth(2).click()
    board.serve()
    page.get_by_role("button", name="Show the entity @account@alice").click()
    board.serve()
    page.locator(".ipd-work .ipd-link").first.click()
    board.serve()
    page.get_by_role("button", name="Close").click()
    board.serve()
    assert board.store.opened == ["audit-3dde", "@account@alice", "monthly_report-0000", ""]


def test_a_beat_has_it_look_again_but_not_too_often(page: Page) -> None:
    board = Board(page, busy())
    assert len(board.store.spans) == 2  # when it was made, and at the first sight
    for gseq in range(1500, 1600, 20):
        board.beat(0, gseq)
        board.serve()
    assert len(board.store.spans) == 2
    page.wait_for_timeout(4000)
    board.serve()
    assert len(board.store.spans) == 3


def test_an_idle_dashboard_asks_nothing_and_draws_nothing(page: Page) -> None:
    board = Board(page, large())
    board.beat(0, 1400, work=0)
    page.wait_for_timeout(2500)
    board.serve()
    # As if a minute had gone by since the last beat.
    page.evaluate("() => { const real = Date.now; Date.now = () => real() + 60000; }")
    page.wait_for_timeout(1200)
    board.serve()
    expect(page.locator(".ipd-rate")).to_contain_text("no events now")
    asked = len(board.store.spans)
    page.evaluate("document.querySelector('.ipd-dashboard').dataset.drawMs = 'none'")
    page.wait_for_timeout(2500)
    assert page.locator(".ipd-dashboard").get_attribute("data-draw-ms") == "none"
    board.serve()
    assert len(board.store.spans) == asked


def test_looking_again_sends_only_what_changed(page: Page) -> None:
    board = Board(page, busy())
    board.serve()
    board.store.overview.counts = [("Completed", 1842)]
    page.evaluate("document.querySelectorAll('.ipd-wait-row').forEach(n => n.kept = true)")
    board.sizes.clear()
    board.beat(0, 2000)
    told = page.get_by_role("button", name="1,842 Completed")
    # How soon it looks again depends on how long looking took.
    for _ in range(120):
        board.serve()
        if told.is_visible():
            break
        page.wait_for_timeout(250)
    expect(told).to_be_visible()
    assert page.evaluate("[...document.querySelectorAll('.ipd-wait-row')].every(n => n.kept)")
    assert sum(board.sizes) < 3_000


def test_a_span_is_asked_for(page: Page) -> None:
    board = Board(page, busy())
    page.get_by_role("button", name="day").click()
    board.serve()
    assert board.store.spans[-1] == "1d"
    expect(page.get_by_role("button", name="day")).to_have_attribute("aria-pressed", "true")


def test_trouble_of_the_store_or_of_asking_is_said(page: Page) -> None:
    store = busy()
    store.overview.trouble = "The disk is full."
    board = Board(page, store)
    expect(page.locator(".ipd-dashboard-trouble")).to_contain_text("The disk is full.")

    def refuse(span: str) -> None:
        raise DurableError(f"No answer for {span}.")

    board.widget._take = refuse
    page.get_by_role("button", name="week").click()
    board.serve()
    expect(page.locator(".ipd-dashboard-trouble")).to_contain_text("No answer for 7d.")


def test_a_store_without_anything_says_so(page: Page) -> None:
    Board(page, empty())
    expect(page.get_by_role("region", name="Waiting longest")).to_contain_text("Nothing waits.")
    expect(page.locator(".ipd-table-foot")).to_have_text("No instances.")


def test_news_come_with_few_nodes_touched_and_quickly(page: Page) -> None:
    board = Board(page, large())
    board.beat(0, 5000)
    board.serve()
    assert float(page.locator(".ipd-dashboard").get_attribute("data-draw-ms") or 99) < 50


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_dark(page: Page, dark: bool) -> None:
    if dark:
        make_dark(page)
    board = Board(page, busy())
    page.get_by_role("button", name="Failed").click()
    board.serve()
    assert least_contrast(page, ".ipd-dashboard") >= (4.5, "")


@pytest.mark.parametrize("width", [320, 800, 1700])
def test_nothing_is_wider_than_its_cell(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    Board(page, busy())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
