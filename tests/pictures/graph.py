"""The graph in its states."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from ipydurable.widgets.graph_static import graph_html
from tests.pictures.picture import Picture
from tests.pictures.timeline import PAPER
from tests.widgets.form_stories import asking, asking_below
from tests.widgets.graph_page import GraphKernel
from tests.widgets.graph_stories import (
    chain,
    critical_section,
    mirrors,
    model_of,
    nested,
    pipelines,
    race,
    sequence,
    suppliers,
    three,
)
from tests.widgets.scenarios import Story, failed, fan_out, parked, small, waiting


def told(
    story: Callable[[], Story],
    moment: float,
    then: Callable[[Page, GraphKernel], None] | None = None,
) -> Callable[[Page], None]:
    """Return what shows a story as it is after `moment` seconds, and then does something."""

    def show(page: Page) -> None:
        kernel = GraphKernel(page)
        kernel.tell_until(story(), moment)
        kernel.mount()
        if then is not None:
            then(page, kernel)
        kernel.settle()

    return show


def stored(story: Callable[[], Story], moment: float = 1e6) -> Callable[[Page], None]:
    """Return what shows the form that needs no kernel."""

    def show(page: Page) -> None:
        html = PAPER + graph_html(model_of(story(), moment))
        page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)

    return show


def fan(count: int, fail: float = 0.0) -> Callable[[], Story]:
    """Return a fan-out's story."""
    return lambda: fan_out(count, 40, fail=fail)


def opened(page: Page, kernel: GraphKernel) -> None:
    """Open what stands for several."""
    page.locator(".ipd-box", has=page.locator(".ipd-more")).first.click()
    kernel.answer()


def clicked(page: Page, kernel: GraphKernel) -> None:
    """Look at what failed."""
    page.locator(".ipd-box.ipd-failed").nth(0).click()
    kernel.answer()


def nest(page: Page) -> None:
    """Open a sub-orchestration, and its tasks."""
    story, children = nested()
    kernel = GraphKernel(page, children)
    kernel.tell_until(story, 4.5)
    kernel.mount()
    page.locator(".ipd-box", has_text="load_eu").click()
    kernel.answer()
    page.locator(".ipd-box", has_text="fetch").click()
    kernel.answer()


def nest_stored(page: Page) -> None:
    """Show sub-orchestrations without a kernel."""
    story, children = nested()
    models = {name: model_of(child) for name, child in children.items()}
    html = PAPER + graph_html(model_of(story), models)
    page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)


def cut(page: Page, kernel: GraphKernel) -> None:
    """Lose the kernel."""
    page.evaluate("model.apply({again: \"ipydurable.instance('report-7f3a').graph()\"})")
    page.evaluate("model.tell('comm_live_update')")


def long() -> Story:
    """Nine hundred steps, no two alike that follow each other."""
    return sequence(900, "load", "clean", "save")


PICTURES = [
    Picture("graph-running", "graph", told(small, 3)),
    Picture("graph-running-dark", "graph", told(small, 3), dark=True),
    Picture("graph-done", "graph", told(small, 20)),
    Picture("graph-narrow", "graph", told(small, 3), width=400),
    Picture("graph-wide", "graph", told(pipelines, 2), width=1600),
    Picture("graph-ten", "graph", told(fan(10), 3)),
    Picture("graph-10000", "graph", told(fan(10_000, 0.01), 100)),
    Picture("graph-10000-open", "graph", told(fan(10_000, 0.01), 100, opened)),
    Picture("graph-10000-open-dark", "graph", told(fan(10_000, 0.01), 100, opened), dark=True),
    Picture("graph-few-failures", "graph", told(fan(1000, 0.003), 1e5)),
    Picture("graph-failed", "graph", told(failed, 20, clicked)),
    Picture("graph-failed-dark", "graph", told(failed, 20, clicked), dark=True),
    Picture("graph-race", "graph", told(race, 2.5)),
    Picture("graph-race-dark", "graph", told(race, 2.5), dark=True),
    Picture("graph-suppliers", "graph", told(suppliers, 2.5)),
    Picture("graph-suppliers-dark", "graph", told(suppliers, 2.5), dark=True),
    Picture("graph-mirrors", "graph", told(mirrors, 1.5, opened)),
    Picture("graph-mirrors-stored-dark", "graph", stored(mirrors), dark=True),
    Picture("graph-suppliers-stored", "graph", stored(suppliers)),
    Picture("graph-section", "graph", told(critical_section, 1.3)),
    Picture("graph-section-dark", "graph", told(critical_section, 1.3), dark=True),
    Picture("graph-nested", "graph", nest),
    Picture("graph-nested-dark", "graph", nest, dark=True),
    Picture("graph-waiting", "graph", told(waiting, 4000)),
    Picture("graph-parked", "graph", told(parked, 20)),
    Picture("graph-form", "graph", told(asking, 90)),
    Picture("graph-form-dark", "graph", told(asking_below, 90), dark=True),
    Picture("graph-form-narrow", "graph", told(asking_below, 90), width=400),
    Picture("graph-long", "graph", told(long, 1e4)),
    Picture("graph-loop", "graph", told(lambda: chain(1000), 500)),
    Picture("graph-kernel-gone", "graph", told(small, 3, cut)),
    Picture("graph-stored", "graph", stored(small, 20)),
    Picture("graph-stored-dark", "graph", stored(fan(1000, 0.03)), dark=True),
    Picture("graph-stored-narrow", "graph", stored(small, 20), width=400),
    Picture("graph-stored-nested", "graph", nest_stored),
    Picture("graph-three", "graph", told(three, 1.5)),
]
