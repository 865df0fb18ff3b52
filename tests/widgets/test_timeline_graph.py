"""One place for both views of an instance: rows or graph, chosen in the page and remembered."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.widgets.harness import Kernel
from tests.widgets.scenarios import Backstage, Story, small


def _shown(page: Page, moment: float = 3.0) -> tuple[Kernel, Story]:
    story = small()
    kernel = Kernel(page, Backstage({story.instance_id: story}, moment))
    kernel.tell_until(story, moment)
    kernel.mount()
    return kernel, story


def _choose(page: Page, kernel: Kernel, what: str) -> None:
    page.locator(".ipd-switch").get_by_text(what).click()
    kernel.serve()
    kernel.settle()


def test_the_graph_takes_the_place_of_the_rows_and_gives_it_back(page: Page) -> None:
    """Head and buttons stay; rows and tools for rows give way."""
    kernel, _ = _shown(page)
    _choose(page, kernel, "Graph")
    expect(page.locator(".ipd-box", has_text="fetch \u00d7 6")).to_be_visible()
    expect(page.locator(".ipd-body")).to_be_hidden()
    expect(page.locator(".ipd-axis")).to_be_hidden()
    assert page.locator(".ipd-chip:visible").count() == 1
    expect(page.locator(".ipd-actions")).to_contain_text("Terminate")
    _choose(page, kernel, "Timeline")
    expect(page.locator(".ipd-graph")).to_be_hidden()
    expect(page.locator(".ipd-body")).to_be_visible()


def test_the_graph_is_live_and_opens_what_is_clicked(page: Page) -> None:
    """News reach it by way of the rows; the history is asked for once."""
    kernel, story = _shown(page)
    _choose(page, kernel, "Graph")
    backstage = kernel.widget._backstage
    assert isinstance(backstage, Backstage)
    assert backstage.followed == {}
    updates = story.updates(3.0, 20.0)
    next(updates)
    kernel.widget.update(next(updates))
    kernel.flush()
    expect(page.locator(".ipd-box-pill", has_text="Completed")).to_be_visible()
    page.locator(".ipd-box", has_text="fetch \u00d7 6").click()
    kernel.serve()
    expect(page.locator(".ipd-box-cell")).to_have_count(6)


def test_the_choice_is_remembered_for_the_next_instance(page: Page) -> None:
    """Another view in the same browser begins as the last one was left."""
    kernel, _ = _shown(page)
    _choose(page, kernel, "Graph")
    page.evaluate("unmount()")
    page.evaluate("mount()")
    kernel.settle()
    kernel.serve()
    kernel.settle()
    expect(page.locator(".ipd-graph .ipd-box").first).to_be_visible()
    pressed = page.locator(".ipd-switch [aria-pressed=true]")
    expect(pressed).to_have_text("Graph")


def test_there_is_no_choice_where_nobody_can_be_asked(page: Page) -> None:
    """Without the host's side of it a timeline is a timeline."""
    kernel = Kernel(page)
    kernel.tell_until(small(), 3.0)
    kernel.mount()
    expect(page.locator(".ipd-switch")).to_be_hidden()


def test_a_hidden_view_is_not_drawn(page: Page) -> None:
    """The one that gave way costs nothing."""
    kernel, story = _shown(page)
    _choose(page, kernel, "Graph")
    _choose(page, kernel, "Timeline")
    drawn = page.locator(".ipd-graph").get_attribute("data-draw-ms")
    before = page.locator(".ipd-graph .ipd-box").count()
    updates = story.updates(3.0, 20.0)
    next(updates)
    kernel.widget.update(next(updates))
    kernel.flush()
    kernel.settle()
    assert page.locator(".ipd-graph .ipd-box").count() == before
    assert page.locator(".ipd-graph").get_attribute("data-draw-ms") == drawn
