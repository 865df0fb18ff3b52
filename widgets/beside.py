"""A list with what was opened from it: beside it in a wide cell, below it in a narrow one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from .live import LiveView

__all__ = ["Beside"]


class Beside(ipywidgets.Box):  # type: ignore[misc]
    """Two live views in one output.

    Args:
        main: The list; always there.
        static: Gives the forms for viewers that have no kernel, by MIME type.
    """

    def __init__(self, main: LiveView, static: Callable[[], dict[str, str]]) -> None:
        self._static = static
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

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the live view, and its static forms for viewers that have no kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), **self._static()}, metadata
