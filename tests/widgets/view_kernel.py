"""The kernel's side of any live view: the widget itself, with a page instead of JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import comm
from playwright.sync_api import Page

from ipydurable.widgets.live import LiveView
from tests.widgets.harness import Kernel, PageComm

__all__ = ["ViewKernel"]


class ViewKernel(Kernel):
    """Gives a page what a widget sends.

    Args:
        page: The page, which has loaded the view.
        make: Makes the widget.
    """

    def __init__(self, page: Page, make: Callable[[], LiveView]) -> None:
        self.page = page
        create, comm.create_comm = comm.create_comm, PageComm
        try:
            self.widget: Any = make()
        finally:
            comm.create_comm = create
        self._handled = 0
        self.sizes: list[int] = []
        state = self.widget.get_state()
        self._give({name: value for name, value in state.items() if name[0] != "_"})

    def change(self, change: Callable[[], None]) -> None:
        """Change the widget, and give the page what it sends."""
        with self.widget.lock:
            change()
            self.widget._stop_timer()
        self.flush()

    def mount_at(self, now_ms: float, *, still: bool = False) -> None:
        """Show the view as if it were that moment, in milliseconds since 1970.

        Args:
            now_ms: The moment.
            still: Let the page's clock stand, however slow the machine is.
        """
        self.page.evaluate(
            """([now, still]) => {
              const real = window.realNow ??= Date.now.bind(Date), ahead = now - real();
              Date.now = () => still ? now : real() + ahead;
              mount();
            }""",
            [now_ms, still],
        )
        self.settle()

    def _give(self, state: dict[str, Any]) -> None:
        text = json.dumps(state)
        self.sizes.append(len(text))
        self.page.evaluate("state => model.apply(JSON.parse(state))", text)
