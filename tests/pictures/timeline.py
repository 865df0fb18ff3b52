"""The timeline in its states."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets import TimelineModel, static_html
from tests.pictures.picture import Picture
from tests.widgets.graph_stories import suppliers
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import (
    Backstage,
    Story,
    at,
    failed,
    fan_out,
    nested,
    parked,
    small,
    waiting,
)


def told(
    story: Callable[[], Story], moment: float, then: Callable[[Page, Kernel], None] | None = None
) -> Callable[[Page], None]:
    """Return what shows a story as it is after `moment` seconds, and then does something."""

    def show(page: Page) -> None:
        kernel = Kernel(page, Backstage())
        kernel.tell_until(story(), moment)
        kernel.mount()
        if then is not None:
            then(page, kernel)
        kernel.settle()

    return show


def stored(story: Callable[[], Story], moment: float) -> Callable[[Page], None]:
    """Return what shows the form that needs no kernel."""

    def show(page: Page) -> None:
        model = TimelineModel()
        model.apply(next(story().updates(moment)))
        html = PAPER + static_html(model)
        page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)

    return show


def wide(count: int, fail: float = 0.0) -> Callable[[], Story]:
    """Return a fan-out's story."""
    return lambda: fan_out(count, 16, fail=fail)


def opened(page: Page, kernel: Kernel) -> None:
    """Open the band."""
    page.click(".ipd-band")


def clicked(page: Page, kernel: Kernel) -> None:
    """Click the row that failed, and have the kernel tell more."""
    page.click(".ipd-row:has(.ipd-icon.ipd-failed)")
    kernel.serve()


def zoomed(page: Page, kernel: Kernel) -> None:
    """Look closer."""
    for _ in range(2):
        page.click("[aria-label^='Zoom in']")


def raising(page: Page, kernel: Kernel) -> None:
    """Be about to raise an event."""
    page.click("text=Raise event")


def ending(page: Page, kernel: Kernel) -> None:
    """Be about to terminate."""
    page.click("text=Terminate")


def nest(page: Page) -> None:
    """Show sub-orchestrations that were opened, to two levels."""
    story, children = nested()
    kernel = Kernel(page, Backstage(children, 4.6))
    kernel.tell_until(story, 4.6)
    kernel.mount()
    # The one that still runs is on top; opening it moves the others down.
    for place in (0, 1):
        page.locator(".ipd-row:has-text('close_books') [data-state=open]").nth(place).click()
        kernel.serve()
    page.click(".ipd-row:has-text('audit') [data-state=open]")
    kernel.serve()


def paged(page: Page) -> None:
    """Show an earlier generation."""
    past = small()
    past.events[-1] = (9.62, ev.ExecutionCompleted(timestamp=at(9.62), status=AS_NEW))
    story = Story()
    story.end(9.62, AS_NEW)
    begun = {"instance_id": "report-7f3a", "execution_id": "e2", "name": "report"}
    story.tell(ev.ExecutionStarted(timestamp=at(9.62), generation=1, **begun))
    kernel = Kernel(page, Backstage(past=[past]))
    kernel.tell_until(story, 12)
    kernel.mount()
    page.click("[aria-label='The generation before']")
    kernel.serve()


def followed(page: Page) -> None:
    """Follow a long run."""
    told(wide(1000, 0.03), 40, lambda page, _: page.click("[aria-label^='Follow']"))(page)


def entity(page: Page, kernel: Kernel) -> None:
    """Open a call of an entity."""
    page.locator(".ipd-row:has-text('budget') [data-state=open]").click()
    kernel.serve()


def cut(page: Page, kernel: Kernel) -> None:
    """Lose the kernel."""
    page.evaluate("model.apply({again: \"ipydurable.instance('report-7f3a')\"})")
    page.evaluate("model.tell('comm_live_update')")


AS_NEW = RuntimeStatus.CONTINUED_AS_NEW
PAPER = """<style>body { margin: 0; padding: 16px; background: var(--jp-layout-color1, #fff);
  color: var(--jp-ui-font-color1, #212121); font: 13px system-ui; }</style>"""
PICTURES = [
    Picture("timeline-running", "timeline", told(small, 3)),
    Picture("timeline-running-dark", "timeline", told(small, 3), dark=True),
    Picture("timeline-done", "timeline", told(small, 20)),
    Picture("timeline-race", "timeline", told(suppliers, 2.5)),
    Picture("timeline-race-dark", "timeline", told(suppliers, 2.5), dark=True),
    Picture("timeline-race-stored", "timeline", stored(suppliers, 2.5)),
    Picture("timeline-narrow", "timeline", told(small, 3), width=420),
    Picture("timeline-failed", "timeline", told(failed, 20)),
    Picture("timeline-detail", "timeline", told(failed, 20, clicked)),
    Picture("timeline-detail-dark", "timeline", told(failed, 20, clicked), dark=True),
    Picture("timeline-waiting", "timeline", told(waiting, 4000)),
    Picture("timeline-raising", "timeline", told(waiting, 4000, raising)),
    Picture("timeline-terminating", "timeline", told(small, 3, ending)),
    Picture("timeline-parked", "timeline", told(parked, 20)),
    Picture("timeline-185", "timeline", told(wide(185, 0.03), 6)),
    Picture("timeline-10000", "timeline", told(wide(10_000, 0.01), 100)),
    Picture("timeline-band-open", "timeline", told(wide(1000, 0.03), 40, opened)),
    Picture("timeline-band-open-dark", "timeline", told(wide(1000, 0.03), 40, opened), dark=True),
    Picture("timeline-zoomed", "timeline", told(wide(1000, 0.03), 40, zoomed)),
    Picture("timeline-nested", "timeline", nest),
    Picture("timeline-entity", "timeline", told(small, 20, entity)),
    Picture("timeline-generation", "timeline", paged),
    Picture("timeline-following", "timeline", followed),
    Picture("timeline-wide", "timeline", told(small, 3), width=1600),
    Picture("timeline-kernel-gone", "timeline", told(small, 3, cut)),
    Picture("timeline-stored", "timeline", stored(small, 20)),
    Picture("timeline-stored-dark", "timeline", stored(wide(1000, 0.03), 1e5), dark=True),
    Picture("timeline-stored-failed", "timeline", stored(failed, 20)),
    Picture("timeline-stored-waiting", "timeline", stored(waiting, 4000)),
]
