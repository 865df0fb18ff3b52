"""The card of an entity in its states."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from playwright.sync_api import Page

from ipydurable.runtime.ports import EntityUpdate
from ipydurable.widgets import EntityCard, EntityModel, entity_html
from ipydurable.widgets.views import epoch_ms
from tests.pictures.picture import Picture
from tests.pictures.timeline import PAPER
from tests.widgets.entity_stories import (
    START,
    EntityStory,
    account,
    busy,
    flooded,
    model_of,
    portfolio,
)
from tests.widgets.view_kernel import ViewKernel


def card(
    story: Callable[[], EntityStory],
    title: str,
    then: Callable[[Page, ViewKernel], None] | None = None,
) -> Callable[[Page], None]:
    """Return what shows the live card of a story."""

    def show(page: Page) -> None:
        told = story()
        kernel = ViewKernel(page, lambda: EntityCard(model_of(told, title=title)))
        kernel.mount_at(epoch_ms(told.now))
        if then is not None:
            then(page, kernel)
        kernel.settle()

    return show


def stored(story: Callable[[], EntityStory], title: str) -> Callable[[Page], None]:
    """Return what shows the form that needs no kernel."""

    def show(page: Page) -> None:
        html = PAPER + entity_html(model_of(story(), title=title))
        page.evaluate("html => { document.getElementById('host').innerHTML = html; }", html)

    return show


def empty(page: Page) -> None:
    """Show an entity that nothing has reached."""
    model = EntityModel("Account@new", msgspec.json.decode)
    model.apply(EntityUpdate(record=None, events=[], now=START, is_whole=True))
    ViewKernel(page, lambda: EntityCard(model)).mount_at(epoch_ms(START))


def opened(page: Page, kernel: ViewKernel) -> None:
    """Open what waits, and a part of the state."""
    del kernel
    for summary in page.locator("summary").all():
        summary.click()


def cut(page: Page, kernel: ViewKernel) -> None:
    """Lose the kernel."""
    del kernel
    page.evaluate("model.apply({again: \"ipydurable.entity('account@alice')\"})")
    page.evaluate("model.tell('comm_live_update')")


PICTURES = [
    Picture("entity-card", "entity", card(account, "Account@alice")),
    Picture("entity-card-dark", "entity", card(account, "Account@alice"), dark=True),
    Picture("entity-busy", "entity", card(busy, "Account@alice", opened)),
    Picture("entity-busy-dark", "entity", card(busy, "Account@alice", opened), dark=True),
    Picture("entity-narrow", "entity", card(busy, "Account@alice", opened), width=380),
    Picture("entity-wide", "entity", card(busy, "Account@alice"), width=1600),
    Picture("entity-flooded", "entity", card(flooded, "Counter@hits")),
    Picture("entity-large", "entity", card(portfolio, "Portfolio@growth")),
    Picture("entity-new", "entity", empty, width=600),
    Picture("entity-kernel-gone", "entity", card(busy, "Account@alice", cut)),
    Picture("entity-stored", "entity", stored(busy, "Account@alice")),
    Picture("entity-stored-dark", "entity", stored(portfolio, "Portfolio@growth"), dark=True),
]
