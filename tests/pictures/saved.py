"""Saved outputs where there is no kernel: figures, and pages that take styles away."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from ipydurable.widgets import TimelineModel, graph_html, static_html
from ipydurable.widgets.figures import figure
from tests.pictures.picture import Picture
from tests.pictures.timeline import PAPER
from tests.widgets.github import as_github_shows
from tests.widgets.graph_stories import model_of
from tests.widgets.scenarios import Story, fan_out, small


def drawn(name: str, story: Callable[[], Story]) -> Callable[[Page], None]:
    """Return what shows the form of a figure that needs no plotly."""

    def show(page: Page) -> None:
        html = PAPER + str(figure(model_of(story()), name).as_saved()["text/html"])
        page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)

    return show


def github(make: Callable[[Story], str], *, keeps_words: bool = False) -> Callable[[Page], None]:
    """Return what shows what is left on a page like GitHub's."""

    def show(page: Page) -> None:
        html = as_github_shows(make(small()), keeps_words=keeps_words)
        style = (
            "<style>body { font: 14px system-ui } table { border-collapse: collapse }"
            "td, th { border: 1px solid #d1d9e0; padding: 6px 13px }"
            "details { margin: 8px 0 }</style>"
        )
        opened = html.replace("<details>", "<details open>", 1)
        page.evaluate(
            "html => { document.getElementById('host').innerHTML = html; }", style + opened
        )

    return show


def _timeline(story: Story) -> str:
    model = TimelineModel()
    model.apply(next(story.updates(1e5)))
    return static_html(model)


def _graph(story: Story) -> str:
    return graph_html(model_of(story))


def crawl() -> Story:
    """A fan-out with failures."""
    return fan_out(500, 30, fail=0.03)


PICTURES = [
    Picture("figure-durations-stored", "graph", drawn("durations", crawl)),
    Picture("figure-concurrency-stored", "graph", drawn("concurrency", crawl)),
    Picture("figure-critical-path-stored", "graph", drawn("critical_path", small)),
    Picture("figure-waterfall-stored", "graph", drawn("waterfall", small)),
    Picture("figure-waterfall-stored-dark", "graph", drawn("waterfall", small), dark=True),
    Picture("saved-timeline-github", "graph", github(_timeline)),
    Picture("saved-timeline-github-words", "graph", github(_timeline, keeps_words=True)),
    Picture("saved-graph-github", "graph", github(_graph)),
]
