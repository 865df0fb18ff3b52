"""What a picture of a view is, and how it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.widgets.harness import browser_page, make_dark

__all__ = ["Picture", "take"]


@dataclass(frozen=True)
class Picture:
    """A picture of one view in one state.

    Attributes:
        name: Of the file, without its ending.
        view: Which view; its folder under `widgets/static`.
        show: Makes the page show it.
        width: Of the cell, in pixels.
        dark: In JupyterLab's dark theme.
        context: More arguments for the browser's page, e.g. `reduced_motion="reduce"`.
    """

    name: str
    view: str
    show: Callable[[Page], None]
    width: int = 900
    dark: bool = False
    context: dict[str, Any] = field(default_factory=dict)


def take(browser: Browser, picture: Picture, folder: Path) -> Path:
    """Save a picture as PNG and return its path."""
    context = {"device_scale_factor": 1.5, "timezone_id": "Europe/Zurich", **picture.context}
    path = folder / f"{picture.name}.png"
    with browser_page(browser, picture.view, width=picture.width, **context) as page:
        if picture.dark:
            make_dark(page)
        picture.show(page)
        page.mouse.move(0, 0)
        page.locator("body").screenshot(path=path)
    return path
