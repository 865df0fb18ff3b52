"""The table of entities in a real browser: ten thousand rows, search, keyboard, opening."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import StoreUpdate
from ipydurable.widgets.entities_static import entities_html, entities_text
from ipydurable.widgets.entities_table import EntitiesTable
from tests.widgets.contrast import least_contrast
from tests.widgets.entity_stories import START
from tests.widgets.harness import make_dark
from tests.widgets.table_stories import NOW_MS, FakeEntities
from tests.widgets.view_kernel import ViewKernel

pytestmark = pytest.mark.parametrize("page", [{"view": "entities"}], indirect=True)


class Table(ViewKernel):
    """The table of many entities, shown."""

    def __init__(self, page: Page, count: int = 10_000) -> None:
        self.source = FakeEntities(count)
        self.opened: list[str] = []
        super().__init__(
            page, lambda: EntitiesTable(self.source, {"sort": "modified"}, self.opened.append)
        )
        self.mount_at(NOW_MS)
        self.serve()

    def serve(self) -> None:
        """Have the page draw, which asks, and answer it."""
        self.settle()
        super().serve()

    def beat(self, gseq: int) -> None:
        """Say that something has happened."""
        update = StoreUpdate(now=START, gseq=gseq, live=0, lanes=[], work=[])
        self.change(lambda: self.widget.update(update))
        self.serve()


def _keys(page: Page) -> list[str]:
    rows = page.locator(".ipd-table-row")
    return [row.locator(".ipd-td").nth(1).inner_text() for row in rows.all()]


def test_of_ten_thousand_only_those_in_sight_have_nodes(page: Page) -> None:
    table = Table(page)
    assert page.locator(".ipd-table-row").count() < 20
    expect(page.locator(".ipd-table-foot")).to_contain_text("10,000, 1 to 12 in sight")
    page.locator(".ipd-table-body").evaluate("node => node.scrollTop = 27 * 5000")
    table.serve()
    assert page.locator(".ipd-table-row").count() < 20
    expect(page.locator(".ipd-grid")).to_contain_text("alice-05000")
    assert max(limit for _, _, limit in table.source.asked) <= 50
    assert {offset for _, offset, _ in table.source.asked} == {0, 4950, 5000}


def test_ten_thousand_scroll_quickly(page: Page) -> None:
    """A drawing takes a few milliseconds, wherever one scrolls to."""
    Table(page)
    page.locator(".ipd-table-body").evaluate(
        """async node => {
          for (let n = 0; n < 40; n++) {
            node.scrollTop = n * 6000;
            await new Promise(requestAnimationFrame);
          }
        }"""
    )
    assert float(page.locator(".ipd-entities").get_attribute("data-draw-ms") or 0) < 16


def test_search_kind_and_ticks_choose(page: Page) -> None:
    table = Table(page)
    page.locator("input[type=search]").fill("alice")
    page.wait_for_timeout(300)
    table.serve()
    expect(page.locator(".ipd-table-foot")).to_contain_text("2,000")
    page.locator("select").select_option("Account")
    table.serve()
    expect(page.locator(".ipd-table-foot")).to_contain_text("1,000")
    page.locator("text=locked").first.click()
    table.serve()
    expect(page.locator(".ipd-table-foot")).to_have_text("None is like that.")
    assert page.locator(".ipd-table-row").count() == 0


def test_a_click_on_a_heading_sorts_and_another_turns_it(page: Page) -> None:
    table = Table(page)
    page.get_by_role("button", name="Key").click()
    table.serve()
    assert _keys(page)[0] == "erin-09999"
    page.get_by_role("button", name="Key").click()
    table.serve()
    assert _keys(page)[0] == "alice-00000"
    assert page.locator("[data-sort=key]").get_attribute("aria-sort") == "ascending"


def test_by_keyboard_one_moves_opens_and_closes(page: Page) -> None:
    table = Table(page)
    page.locator(".ipd-table-body").focus()
    for key in ("ArrowDown", "ArrowDown", "End", "Home", "PageDown", "Enter"):
        page.keyboard.press(key)
        table.serve()
    assert table.opened == ["@account@bob-00011"]
    row = page.locator(".ipd-table-row.ipd-opened")
    assert row.get_attribute("aria-selected") == "true"
    expect(page.locator(".ipd-opened-line")).to_contain_text("account@bob-00011")
    page.keyboard.press("Enter")
    table.serve()
    assert table.opened[-1] == ""
    expect(page.locator(".ipd-opened-line")).to_be_hidden()


def test_news_ask_for_what_is_in_sight_again_and_show_it_in_place(page: Page) -> None:
    table = Table(page)
    table.source.asked.clear()
    table.beat(5)
    assert [(offset, limit) for _, offset, limit in table.source.asked] == [(0, 50)]
    table.source.rows.insert(0, ["@account@new", "Account", "new", "{}", 0, None, NOW_MS + 1])
    table.beat(6)
    assert _keys(page)[0] == "new"
    assert table.sizes[-1] < 200


def test_one_that_nobody_sees_asks_for_nothing(page: Page) -> None:
    table = Table(page)
    page.evaluate("document.getElementById('host').style.display = 'none'")
    page.wait_for_timeout(100)
    table.serve()
    table.source.asked.clear()
    table.beat(5)
    assert table.source.asked == []
    page.evaluate("document.getElementById('host').style.display = ''")
    page.wait_for_timeout(100)
    table.serve()
    assert len(table.source.asked) == 1


def test_rows_that_are_gone_leave_no_gap_where_one_had_scrolled_to(page: Page) -> None:
    table = Table(page)
    page.locator(".ipd-table-body").evaluate("node => node.scrollTop = 27 * 9000")
    table.serve()
    del table.source.rows[5:]
    table.beat(7)
    table.serve()
    expect(page.locator(".ipd-table-foot")).to_have_text("5")
    assert page.locator(".ipd-table-row").count() == 5
    assert _keys(page)[0] == "alice-00000"


def test_trouble_is_said(page: Page) -> None:
    table = Table(page, 30)

    def refuse(*_: object) -> dict:
        raise DurableError("The host is busy.")

    table.source.page = refuse  # type: ignore[method-assign]
    table.beat(5)
    expect(page.locator(".ipd-table-foot")).to_have_text("The host is busy.")


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_dark(page: Page, dark: bool) -> None:
    if dark:
        make_dark(page)
    table = Table(page)
    page.locator(".ipd-table-row").nth(2).click()
    table.serve()
    assert least_contrast(page, ".ipd-entities") >= (4.5, "")


@pytest.mark.parametrize("width", [300, 700, 1600])
def test_nothing_is_wider_than_its_cell(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    Table(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_static_forms_are_small_and_say_what_they_leave_out(page: Page) -> None:
    del page
    found = FakeEntities().page({}, 0, 30)
    found["rows"][0][2] = "<b>x</b>"
    assert len(entities_html(found)) < 33_000
    assert "10,000, of which 30 are shown" in entities_html(found)
    assert "<b>x</b>" not in entities_html(found)
    lines = entities_text(found, 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "entities: 10,000, of which 30 are shown"
