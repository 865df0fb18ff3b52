"""A button below a line: the other choice, taken with a click."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets  # type: ignore[import-untyped]

__all__ = ["OfferButton"]


class OfferButton(ipywidgets.Button):  # type: ignore[misc]
    """A button that can be clicked once.

    Args:
        text: What it says.
        help_text: What it does, in a sentence; shown when the pointer rests on it.
        take: Called when it is clicked, in the kernel's thread.
    """

    def __init__(self, text: str, help_text: str, take: Callable[[], None]) -> None:
        super().__init__(
            description=text,
            tooltip=help_text,
            layout=ipywidgets.Layout(width="auto", margin="2px 0"),
        )
        self._take = take
        self.on_click(OfferButton._clicked)

    def _clicked(self) -> None:
        self.disabled = True
        try:
            self._take()
        except BaseException:
            self.disabled = False
            raise
