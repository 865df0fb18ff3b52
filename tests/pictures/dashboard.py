"""The dashboard in its states."""

from __future__ import annotations

import random
from collections.abc import Callable

from playwright.sync_api import Page

from ipydurable.widgets.dashboard_static import dashboard_html
from tests.pictures.picture import Picture
from tests.pictures.timeline import PAPER
from tests.widgets.dashboard_stories import (
    NOW_MS,
    FakeStore,
    beat_at,
    busy,
    empty,
    large,
)
from tests.widgets.view_kernel import ViewKernel


def board(
    story: Callable[[], FakeStore],
    work: int = 5,
    then: Callable[[Page, ViewKernel], None] | None = None,
) -> Callable[[Page], None]:
    """Return what shows the dashboard of a store."""

    def show(page: Page) -> None:
        store = story()
        kernel = ViewKernel(page, store.dashboard)
        rnd, gseq = random.Random(5), 100_000
        for second in range(50, -1, -1):
            gseq += int(420 * (0.5 + rnd.random())) if work else 0
            beat = beat_at(second, gseq, work)
            with kernel.widget.lock:
                kernel.widget.last_beat = beat
                kernel.widget._rates.add(beat)
        kernel.flush()
        kernel.mount_at(NOW_MS + (0 if work else 60_000), still=True)
        kernel.settle()
        kernel.serve()
        if then is not None:
            then(page, kernel)
            kernel.settle()
            kernel.serve()

    return show


def filtered(page: Page, kernel: ViewKernel) -> None:
    """List what failed of one orchestrator, and open one."""
    page.get_by_role("button", name="Failed").click()
    page.locator("select").select_option("transfer")
    kernel.settle()
    kernel.serve()
    page.locator(".ipd-table-row").nth(1).click()


def pointed(page: Page, kernel: ViewKernel) -> None:
    """Move over the bars by keyboard."""
    del kernel
    page.locator(".ipd-histogram").focus()
    for _ in range(9):
        page.keyboard.press("ArrowLeft")


def cut(page: Page, kernel: ViewKernel) -> None:
    """Lose the host."""
    kernel.change(
        lambda: kernel.widget.disconnect("The background host ended; another one is being started.")
    )


def stored(page: Page) -> None:
    """Show the form that needs no kernel."""
    store = busy()
    html = dashboard_html(store.overview, beat_at(0, 1), store.rows.page({}, 0, 12))
    page.evaluate("html => { document.getElementById('host').innerHTML = html; }", PAPER + html)


PICTURES = [
    Picture("dashboard", "dashboard", board(busy), width=1100),
    Picture("dashboard-dark", "dashboard", board(busy, 5, filtered), width=1100, dark=True),
    Picture("dashboard-filtered", "dashboard", board(busy, 5, filtered), width=1100),
    Picture("dashboard-large", "dashboard", board(large, 0, pointed), width=1100),
    Picture("dashboard-empty", "dashboard", board(empty, 0), width=900),
    Picture("dashboard-narrow", "dashboard", board(busy), width=420),
    Picture("dashboard-wide", "dashboard", board(busy), width=1700),
    Picture("dashboard-stored", "dashboard", stored, width=1100),
    Picture("dashboard-stored-dark", "dashboard", stored, width=1100, dark=True),
    Picture("dashboard-host-gone", "dashboard", board(busy, 5, cut), width=1100),
]
