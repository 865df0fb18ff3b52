"""The card of an entity in a real browser: drawing, deltas, keyboard, contrast, what is cut off."""

from __future__ import annotations

import msgspec
import pytest
from playwright.sync_api import Page, expect

from ipydurable.runtime.ports import EntityUpdate
from ipydurable.widgets import EntityCard, EntityModel
from ipydurable.widgets.views import epoch_ms
from tests.widgets.contrast import least_contrast
from tests.widgets.entity_stories import (
    START,
    EntityStory,
    account,
    busy,
    flooded,
    model_of,
    portfolio,
)
from tests.widgets.harness import make_dark
from tests.widgets.view_kernel import ViewKernel

pytestmark = pytest.mark.parametrize("page", [{"view": "entity"}], indirect=True)


def _show(page: Page, story: EntityStory, title: str = "Account@alice") -> ViewKernel:
    kernel = ViewKernel(page, lambda: EntityCard(model_of(story, title=title)))
    kernel.mount_at(epoch_ms(story.now))
    return kernel


def _go_on(kernel: ViewKernel, story: EntityStory, begin: int) -> None:
    """Tell what has been added to a story since it had `begin` rows."""
    update = EntityUpdate(
        record=story.record(len(story.rows)), events=story.rows[begin:], now=story.now
    )
    kernel.change(lambda: kernel.widget.update(update))
    kernel.settle()


def test_state_operations_lock_and_backlog_are_shown(page: Page) -> None:
    _show(page, busy())
    root = page.locator(".ipd-entity")
    expect(root.locator(".ipd-entity-state")).to_contain_text("'Alice Ito'")
    expect(root.locator(".ipd-chip", has_text="Locked for 1 min 11 s")).to_be_visible()
    expect(root.locator(".ipd-chip", has_text="6 waiting")).to_be_visible()
    expect(root).to_contain_text("next in line")
    done = root.locator(".ipd-done")
    expect(done.first).to_contain_text("withdraw(40)")
    expect(done.first).to_contain_text("by transfer-9d21")
    expect(done.first.locator(".ipd-change").first).to_have_text("balance100→ 60")
    failed = done.filter(has_text="insufficient funds")
    expect(failed).to_contain_text("failed")
    expect(failed.locator(".ipd-icon.ipd-failed")).to_be_visible()


def test_news_change_only_what_they_concern_and_are_small(page: Page) -> None:
    """One more operation on a large entity: its nodes stay, and little is sent."""
    story = portfolio()
    kernel = _show(page, story, "Portfolio@growth")
    nodes = "[...document.querySelectorAll('.ipd-entity-name-of, .ipd-done')]"
    page.evaluate(f"{nodes}.forEach(n => n.kept = true)")
    begin, first = len(story.rows), kernel.sizes[0]
    state = msgspec.json.decode(story.record(begin).state)  # type: ignore[union-attr, arg-type]
    story.do("rename", "Other", state={**state, "name": "Other"})
    _go_on(kernel, story, begin)
    expect(page.locator(".ipd-entity-state")).to_contain_text("'Other'")
    assert page.evaluate(f"{nodes}.filter(n => n.kept).length") == 5 + 2
    assert kernel.sizes[-1] < first / 3
    assert page.locator(".ipd-new").count() == 2


def test_what_was_opened_stays_open_and_keeps_the_focus(page: Page) -> None:
    story = account()
    kernel = _show(page, story)
    summary = page.locator(".ipd-entity-state summary", has_text="list, 2 items")
    summary.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".ipd-tree[open]").count() == 0
    page.keyboard.press("ArrowRight")
    assert page.locator(".ipd-tree[open]").count() == 1
    page.keyboard.press("ArrowLeft")
    assert page.locator(".ipd-tree[open]").count() == 0
    begin = len(story.rows)
    more = {"balance": 99, "history": [120, -20, -1], "owner": "Alice Ito"}
    story.do("withdraw", 1, state=more)
    _go_on(kernel, story, begin)
    summary = page.locator(".ipd-entity-state summary", has_text="list, 3 items")
    expect(summary).to_be_focused()
    assert page.locator(".ipd-tree[open]").count() == 0


def test_a_flood_is_drawn_as_its_newest(page: Page) -> None:
    _show(page, flooded(), "Counter@hits")
    assert page.locator(".ipd-done").count() == 40
    expect(page.locator(".ipd-done").first).to_contain_text("value2900→ 3000with the")
    expect(page.locator(".ipd-entity-waits summary")).to_have_text("What waits for it: 40")
    page.locator(".ipd-entity-waits summary").click()
    expect(page.locator(".ipd-entity-wait").last).to_have_text("… 20 more")


def test_text_of_users_stays_text(page: Page) -> None:
    _show(page, portfolio(), "Portfolio@growth")
    assert page.locator(".ipd-entity b").count() == 0
    expect(page.locator(".ipd-done").last).to_contain_text("<b>not bold</b>")


def test_an_idle_card_draws_nothing(page: Page) -> None:
    _show(page, account())
    page.wait_for_timeout(50)
    page.evaluate("document.querySelector('.ipd-entity').dataset.drawMs = 'none'")
    page.wait_for_timeout(1300)
    assert page.locator(".ipd-entity").get_attribute("data-draw-ms") == "none"


def test_one_that_nothing_has_reached_says_so_and_comes_alive(page: Page) -> None:
    model = EntityModel("Account@new", msgspec.json.decode)
    model.apply(EntityUpdate(record=None, events=[], now=START, is_whole=True))
    kernel = ViewKernel(page, lambda: EntityCard(model))
    kernel.mount_at(epoch_ms(START))
    expect(page.locator(".ipd-entity")).to_contain_text("Nothing has reached it yet.")
    _go_on(kernel, account(), 0)
    expect(page.locator(".ipd-entity")).to_contain_text("'Alice Ito'")


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_dark(page: Page, dark: bool) -> None:
    """All text has 4.5:1 at least."""
    if dark:
        make_dark(page)
    _show(page, busy())
    page.locator(".ipd-entity-waits summary").click()
    assert least_contrast(page, ".ipd-entity") >= (4.5, "")


@pytest.mark.parametrize("width", [280, 700, 1600])
def test_nothing_is_wider_than_its_cell(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    _show(page, portfolio(), "Portfolio@growth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
