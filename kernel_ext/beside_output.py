"""Outputs of lists from which things are opened, beside them or below."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from .lasting_output import LastingOutput
from .live_output import LiveOutput

if TYPE_CHECKING:
    from ipydurable.widgets.beside import Beside
    from ipydurable.widgets.live import LiveView

__all__ = ["BesideOutput"]


class BesideOutput(LastingOutput):
    """The outputs of a live list, with what was opened from it; see `LastingOutput`."""

    _beside: Beside | None = None
    _opened: LiveOutput | None = None

    @abstractmethod
    def _view_of(self, key: str) -> LiveOutput:
        """Return the view of one that is listed."""

    def open(self, key: str) -> None:
        """Show one that is listed; `""` shows none. Waits for the host.

        Raises:
            DurableError: There is no such thing any more.
        """
        view = self._view_of(key) if key else None
        widget = None if view is None else view.keep_widget()
        with self._lock:
            before, self._opened = self._opened, view
            if self._beside is not None and widget is not None:
                self._beside.show(widget)
            elif self._beside is not None:
                self._beside.clear()
        _end(before)

    def _laid_out(self, widget: LiveView) -> Any:
        from ipydurable.widgets.beside import Beside

        if self._beside is None:
            self._beside = Beside(widget)
        return self._beside

    def _end(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
            beside, self._beside = self._beside, None
        _end(opened)
        if beside is not None and not self._is_shared:
            beside.close()
        super()._end()


def _end(view: LiveOutput | None) -> None:
    if view is not None:
        widget = view.keep_widget()
        view.freeze()
        widget.close()
