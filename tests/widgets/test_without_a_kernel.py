"""Saved outputs where there is no kernel: exported with no network, and on a page like GitHub's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, Route, expect

from ipydurable.display import take_away
from ipydurable.widgets import TimelineModel, graph_html, graph_text, static_html, text
from ipydurable.widgets.figures import FIGURES, figure
from tests.widgets.contrast import least_contrast
from tests.widgets.github import as_github_shows
from tests.widgets.graph_stories import model_of, suppliers
from tests.widgets.harness import make_dark
from tests.widgets.scenarios import Story, failed, fan_out, small, waiting

Bundle = dict[str, object]
PAPER = """body { background: var(--jp-layout-color1, #fff);
  color: var(--jp-ui-font-color1, #212121); }"""
_PLOTLY = "application/vnd.plotly.v1+json"


def _timeline(story: Story) -> Bundle:
    model = TimelineModel()
    for update in story.updates(1e5):
        model.apply(update)
    return {"text/html": static_html(model), "text/plain": text(model)}


def _graph(story: Story) -> Bundle:
    model = model_of(story)
    return {"text/html": graph_html(model), "text/plain": graph_text(model)}


def _figure(name: str, theme: str = "neutral") -> Callable[[Story], Bundle]:
    return lambda story: figure(model_of(story), name, theme).as_saved()


VIEWS: dict[str, Callable[[Story], Bundle]] = {
    "timeline": _timeline,
    "graph": _graph,
    **{name: _figure(name) for name in FIGURES},
}


def exported(*bundles: Bundle) -> str:
    """Return a notebook with these outputs, and nothing of a kernel's, as nbconvert exports it."""
    outputs = [nbformat.v4.new_output("display_data", data=bundle) for bundle in bundles]
    cell = nbformat.v4.new_code_cell("run", outputs=outputs)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.validate(notebook)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    return str(html)


def offline(page: Page, html: str) -> Page:
    """Open HTML in a page that reaches nothing."""
    browser = page.context.browser
    assert browser is not None
    other = browser.new_page()

    def refuse(route: Route) -> None:
        route.abort()

    other.route("**/*", refuse)
    other.set_content(html, wait_until="domcontentloaded")
    return other


def test_an_exported_notebook_shows_every_view_without_network(page: Page) -> None:
    """Drawings are there, in their size, with their words."""
    html = exported(*(make(small()) for make in VIEWS.values()))
    other = offline(page, html)
    drawings = other.locator(".jp-OutputArea-output svg[role=img]")
    expect(drawings).to_have_count(len(VIEWS))
    for drawing in drawings.all():
        box = drawing.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 80
    names = drawings.evaluate_all("nodes => nodes.map(node => node.getAttribute('aria-label'))")
    assert names[:2] == ["Timeline of report", "Graph of report"]
    expect(drawings.first).to_contain_text("convert")
    other.close()


@pytest.mark.parametrize("dark", [False, True])
def test_words_can_be_read_on_light_and_dark_pages(page: Page, dark: bool) -> None:
    """One drawing serves both, also where it dims what lost a race or marks what failed."""
    if dark:
        make_dark(page)
    page.add_style_tag(content=PAPER)
    for story in (failed(), suppliers(), fan_out(200, fail=0.05), waiting()):
        html = "".join(str(VIEWS[name](story)["text/html"]) for name in ("timeline", "graph"))
        page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)
        assert least_contrast(page, "#host", words_only=True) >= (4.5, "")


def test_what_was_taken_away_leaves_no_place_in_an_exported_notebook(page: Page) -> None:
    """Nbconvert has something to show, and shows nothing."""
    taken: list[Any] = []

    class Handle:
        def update(self, what: Any) -> None:
            taken.append(what)

    take_away(Handle())
    gone = {"text/html": taken[0]._repr_html_(), "text/plain": repr(taken[0])}
    other = offline(page, exported(_timeline(small()), gone))
    heights = "nodes => nodes.map(node => node.offsetHeight)"
    first, last = other.locator(".jp-OutputArea-child").evaluate_all(heights)
    assert first > 100
    assert last == 0
    other.close()


@pytest.mark.parametrize("keeps_words", [False, True])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("story", [small, failed, fan_out])
def test_a_page_like_githubs_says_what_happened(
    view: str, story: Callable[..., Story], keeps_words: bool
) -> None:
    """Without styles, scripts and drawings the name, the status and every operation are left.

    Words that stood in a drawing, where such a page leaves them, come after all that is in order.
    """
    told = story(185) if story is fan_out else story()
    html = str(VIEWS[view](told)["text/html"])
    shown = as_github_shows(html, keeps_words=keeps_words)
    assert "style" not in shown
    assert "svg" not in shown
    assert told.name in shown
    readable, _, heap = shown.rpartition("</details>")
    assert "<table>" in readable
    assert "<td>" in readable
    assert bool(heap.removesuffix("</div>").strip()) == keeps_words
    operation = {"small": "convert", "failed": "load", "fan_out": "fetch"}[story.__name__]
    if view != "concurrency":
        assert operation in readable


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("theme", ["neutral", "light", "dark"])
def test_a_figure_has_a_drawing_and_text_beside_plotlys_form(name: str, theme: str) -> None:
    """Small, self-contained, and readable where plotly is not."""
    bundle = _figure(name, theme)(fan_out(1000))
    assert set(bundle) == {_PLOTLY, "text/html", "text/plain"}
    html, plain = str(bundle["text/html"]), str(bundle["text/plain"])
    assert "<script" not in html
    assert len(html) < 60_000
    assert "crawl" in plain
    assert len(plain.splitlines()) >= 4
    assert "Figure({" not in plain


def test_a_figure_of_nothing_says_so_without_plotly() -> None:
    """No form of it is blank."""
    for name in FIGURES:
        bundle = figure(model_of(Story(), 0.0), name).as_saved()
        assert "nothing to show yet" in str(bundle["text/plain"])
        assert "nothing to show yet" in str(bundle["text/html"])


def test_a_figure_that_was_changed_is_saved_as_changed() -> None:
    """It is a plotly figure as any other; its other forms follow."""
    drawn = figure(model_of(small()), "durations")
    drawn.update_layout(title={"text": "Fetching<br><sup>last night</sup>"})
    bundle = drawn.as_saved()
    assert str(bundle["text/plain"]).splitlines()[:2] == ["Fetching", "last night"]
    assert "Fetching" in str(bundle["text/html"])
