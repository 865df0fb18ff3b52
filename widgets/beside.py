"""A list with what was opened from it: beside it in a wide cell, below it in a narrow one."""

from __future__ import annotations

from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from .live import LiveView

__all__ = ["Beside"]


class Beside(ipywidgets.Box):  # type: ignore[misc]
    """Two live views in one output.

    Args:
        main: The list; always there.
    """

    def __init__(self, main: LiveView) -> None:
        self._main = main
        super().__init__((main,))
        self.add_class("ipd-beside")

    def show(self, widget: Any) -> None:
        """Show what was opened, instead of what was before."""
        self._place(self._main, widget)

    def clear(self) -> None:
        """Show the list alone."""
        self._place(self._main)

    def _place(self, *views: Any) -> None:
        self.children = views
