"""What holds for each of the views: motion, keyboard, times and their zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.widgets import dashboard_stories, entity_stories
from tests.widgets.form_stories import REVIEW, asking
from tests.widgets.graph_page import GraphKernel
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import Backstage, fan_out
from tests.widgets.test_dashboard_module import Board
from tests.widgets.test_entities_module import Table
from tests.widgets.test_entity_module import _go_on, _show
from tests.widgets.test_forms_view import Shown


def _timeline(page: Page) -> None:
    kernel = Kernel(page, Backstage())
    kernel.tell_until(fan_out(185), 3, 3.1)
    kernel.mount()
    page.click(".ipd-band")
    page.click(".ipd-row[data-key^='row']")
    kernel.settle()


def _graph(page: Page) -> None:
    kernel = GraphKernel(page)
    kernel.tell_until(asking(), 90)
    kernel.mount()
    page.locator(".ipd-box-node").first.click()
    kernel.answer()


def _forms(page: Page) -> None:
    other = asking(REVIEW, None)
    other.instance_id = "paper"
    Shown(page, asking(), other)


def _entity(page: Page) -> None:
    story = entity_stories.busy()
    kernel = _show(page, story)
    begin = len(story.rows)
    story.do("deposit", 5, state={"owner": "Alice Ito", "balance": 65})
    _go_on(kernel, story, begin)


def _entities(page: Page) -> None:
    Table(page, 100)


def _dashboard(page: Page) -> None:
    Board(page, dashboard_stories.busy())


VIEWS: dict[str, Callable[[Page], None]] = {
    "timeline": _timeline,
    "graph": _graph,
    "forms": _forms,
    "entity": _entity,
    "entities": _entities,
    "dashboard": _dashboard,
}
MOVING = """() => {
  const all = [...document.querySelectorAll(".ipd-view, .ipd-view *")];
  const named = all.filter((node) => {
    const style = getComputedStyle(node);
    return style.animationName !== "none" || style.scrollBehavior === "smooth"
      || style.transitionDuration.split(", ").some((one) => one !== "0s");
  });
  return [document.getAnimations().length, named.map((node) => node.outerHTML.slice(0, 80))];
}"""
CONTROLS = """() => {
  const wanted = "button, input, select, textarea, summary, a[href], [tabindex='0']";
  const seen = (node) => node.getClientRects().length > 0
    && getComputedStyle(node).visibility === "visible";
  return [...document.querySelectorAll(`.ipd-view :is(${wanted})`)]
    .filter((node) => seen(node) && !node.matches(":disabled"))
    .map((node, n) => (node.dataset.control = node.type === "radio" ? node.name : `${n}`));
}"""
FOCUSED = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  return node.dataset.control === undefined ? null
    : [node.dataset.control, style.outlineStyle !== "none" || style.boxShadow !== "none"];
}"""
# What looks as if it could be clicked must be, or be in, something that the keyboard reaches.
OUT_OF_REACH = """() => [...document.querySelectorAll(".ipd-view *")]
  .filter((node) => getComputedStyle(node).cursor === "pointer" && node.getClientRects().length
    && !node.closest("button, input, select, textarea, summary, a[href], label, [tabindex]"))
  .map((node) => node.outerHTML.slice(0, 90))"""


def _every(**context: Any) -> pytest.MarkDecorator:
    """Run a test once for each view."""
    pages = [({"view": view, **context}, view) for view in VIEWS]
    return pytest.mark.parametrize(("page", "view"), pages, indirect=["page"], ids=list(VIEWS))


@_every(reduced_motion="reduce")
def test_nothing_moves_for_those_who_asked_for_that(page: Page, view: str) -> None:
    """No animation, no transition, no smooth scrolling; not even of what has just come."""
    VIEWS[view](page)
    assert page.evaluate(MOVING) == [0, []]


@pytest.mark.parametrize("page", [{"view": "timeline"}], indirect=True)
def test_what_is_at_work_moves_for_all_others(page: Page) -> None:
    """Otherwise the test above would see nothing."""
    _timeline(page)
    moving, named = page.evaluate(MOVING)
    assert moving
    assert named


@_every()
def test_tab_reaches_every_control_and_shows_where_it_is(page: Page, view: str) -> None:
    """What can be clicked can be reached, and has an outline while it has the focus."""
    VIEWS[view](page)
    wanted = set(page.evaluate(CONTROLS))
    assert wanted
    page.evaluate("document.activeElement.blur()")
    page.mouse.click(1, 1)
    reached: dict[str, bool] = {}
    for _ in range(3 * len(wanted) + 10):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is not None:
            reached.setdefault(*found)
    assert wanted - set(reached) == set()
    assert [name for name, is_marked in reached.items() if not is_marked] == []
    assert page.evaluate(OUT_OF_REACH) == []


@_every(timezone_id="Asia/Kolkata")
def test_times_say_their_zone_and_are_exact_on_hovering(page: Page, view: str) -> None:
    """Where somebody looks from a place that is not the host's, too."""
    VIEWS[view](page)
    expect(page.locator(".ipd-view").first).to_contain_text("GMT+5:30")
    exact = page.locator(".ipd-view [title*='UTC']")
    assert exact.count() > 0
    assert "2026-" in (exact.first.get_attribute("title") or "")
