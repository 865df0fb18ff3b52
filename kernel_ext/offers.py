"""The other choice that a cell offers: a button in a notebook, a command everywhere."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from ipydurable.runtime.core.errors import DurableError

from .display import FONT, Line, current_shell, is_notebook, show, show_replaceable, take_away

__all__ = ["Offer"]


class _Command:
    """A command, and what it does."""

    def __init__(self, command: str, help_text: str) -> None:
        self._command = command
        self._help = help_text

    def __repr__(self) -> str:
        return f"{self._command}  {self._help}"

    def _repr_html_(self) -> str:
        return (
            f'<div style="{FONT};opacity:.65"><code>{escape(self._command)}</code> '
            f"{escape(self._help)}</div>"
        )


class Offer:
    """Something that can be done with a click, as long as this session lasts.

    What was done takes the button's place; a saved notebook keeps that, never a dead button.

    Args:
        text: What the button says.
        help_text: What it does, in a sentence.
        command: The same as code, for whoever types.
        take: Does it; returns what is to be shown instead.
    """

    def __init__(self, text: str, help_text: str, command: str, take: Callable[[], Any]) -> None:
        self._text = text
        self._help = help_text
        self._command = command
        self._take = take
        self._button: Any = None
        self._output: Any = None

    def show(self) -> None:
        """Show it below the cell that runs now."""
        show(_Command(self._command, self._help))
        if is_notebook(current_shell()):
            from ipydurable.widgets.offer import OfferButton

            self._button = OfferButton(self._text, self._help, self._click)
            self._output = show_replaceable(self._button)

    def freeze(self) -> None:
        """Take the button away: nobody will answer a click."""
        button, self._button = self._button, None
        if button is not None:
            take_away(self._output)
            button.close()

    def _click(self) -> None:
        try:
            shown = self._take()
        except DurableError as error:
            self._output.update(Line(detail=str(error), tone="error"))
        else:
            self._output.update(shown)
        button, self._button = self._button, None
        button.close()
