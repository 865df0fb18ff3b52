"""The table of entities in its states."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from ipydurable.widgets.entities_static import entities_html
from ipydurable.widgets.entities_table import EntitiesTable
from tests.pictures.picture import Picture
from tests.pictures.timeline import PAPER
from tests.widgets.table_stories import NOW_MS, FakeEntities
from tests.widgets.view_kernel import ViewKernel


def table(
    count: int = 10_000, then: Callable[[Page, ViewKernel], None] | None = None
) -> Callable[[Page], None]:
    """Return what shows the live table of so many entities."""

    def show(page: Page) -> None:
        source = FakeEntities(count)
        kernel = ViewKernel(
            page, lambda: EntitiesTable(source, {"sort": "modified"}, lambda _: None)
        )
        kernel.mount_at(NOW_MS)
        kernel.serve()
        if then is not None:
            then(page, kernel)

    return show


def opened(page: Page, kernel: ViewKernel) -> None:
    """Open one."""
    page.locator(".ipd-table-row").nth(3).click()
    kernel.serve()


def searched(page: Page, kernel: ViewKernel) -> None:
    """Look for some."""
    page.locator("input[type=search]").fill("alice-00")
    page.locator("text=with a backlog").click()
    page.wait_for_timeout(300)
    kernel.serve()


def stored(page: Page) -> None:
    """Show the form that needs no kernel."""
    html = PAPER + entities_html(FakeEntities().page({"sort": "modified"}, 0, 12))
    page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)


PICTURES = [
    Picture("entities-table", "entities", table()),
    Picture("entities-table-dark", "entities", table(10_000, opened), dark=True),
    Picture("entities-table-ten", "entities", table(10)),
    Picture("entities-table-none", "entities", table(0), width=600),
    Picture("entities-table-searched", "entities", table(10_000, searched)),
    Picture("entities-table-narrow", "entities", table(10_000, opened), width=420),
    Picture("entities-table-wide", "entities", table(), width=1600),
    Picture("entities-table-stored", "entities", stored),
]
