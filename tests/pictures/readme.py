"""The pictures of README: a graph that waits for somebody, and the five-minute tour."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.pictures.picture import Picture
from tests.pictures.timeline import told
from tests.widgets.graph_page import GraphKernel
from tests.widgets.scenarios import BOOM, Story

_MONTHS, _CARRIERS = 12, 16


def _report() -> Story:
    """Months are loaded, carriers ranked, one after a retry; then a person or a timer decides."""
    story = Story("delay_report", "delay_report-2013")
    for month in range(_MONTHS):
        story.activity("load_month", 0, 0.1 + month * 0.05, 1.2 + month * 0.05)
    for carrier in range(_CARRIERS):
        begun = 1.9 + carrier * 0.05
        if carrier == 3:
            task_id = story.activity("rank", 1.8, begun, 2.4, failure=BOOM)
            story.timer(2.4, 3.4, origin=task_id)
            story.activity("rank", 3.4, 3.5, 4.2, origin=task_id)
        else:
            story.activity("rank", 1.8, begun, begun + 0.7)
    story.activity("draw", 4.3, 4.4, 5.3, input='"2013"')
    story.wait(5.3, "approval")
    story.timer(5.3, 5000, fired=False)
    return story


def _tour() -> Story:
    """What the orchestrator of the tour has done when it waits for its approval."""
    story = Story("report", "monday")
    story.activity("fetch", 0, 0.12, 0.5, input='"Basel"')
    story.activity("fetch", 0, 0.16, 0.62, input='"Zürich"')
    story.timer(0.62, 1.62)
    story.wait(1.62, "approval")
    return story


def _show(page: Page) -> None:
    kernel = GraphKernel(page)
    kernel.tell_until(_report(), 6)
    kernel.mount()


PICTURES = [
    Picture("graph-readme", "graph", _show),
    Picture("timeline-tour", "timeline", told(_tour, 4)),
]
