"""Views of what has no end: entities, a store. Below each stands its static form, kept up to date.

The notebook may be saved at any moment, so the form that needs no kernel is there beside the live
one, which hides it; in a notebook that is opened without a kernel it is all there is to see.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Self

from ipydurable.runtime.client import DurableClient

from .live_output import Alone, Code, Kept, LiveOutput

if TYPE_CHECKING:
    from ipydurable.widgets.live import LiveView

__all__ = ["LastingOutput"]

_log = logging.getLogger(__name__)

_QUIET_S = 2.0
_AT_LEAST_EVERY_S = 15.0
_LIVE_AT_ONCE = 20
_OUTPUTS_KEPT = 10


class LastingOutput(LiveOutput):
    """The outputs of a view that never ends; see `LiveOutput`.

    There is one of them for each thing that is shown, however many cells show it. The longest
    shown becomes static where there are too many.
    """

    _all: OrderedDict[Hashable, LastingOutput] = OrderedDict()  # noqa: RUF012  (of all kernels' one)
    _guard = threading.Lock()

    def __init__(self, client: DurableClient, again: str) -> None:
        super().__init__(client, again)
        self._timer: threading.Timer | None = None
        self._told_at_s = 0.0
        self._kept_at_s = 0.0

    @classmethod
    def shared(cls, client: DurableClient, key: Hashable, make: Callable[[], Self]) -> Self:
        """Return the one of a client for `key`, made if there is none that still lives."""
        place = (cls, id(client), key)
        with LastingOutput._guard:
            found = LastingOutput._all.pop(place, None)
            # A client that is gone may have had the number of this one.
            if found is None or found.settled.done() or found.client is not client:
                found = make()
            LastingOutput._all[place] = found
            surplus = len(LastingOutput._all) - _LIVE_AT_ONCE
            old = [LastingOutput._all.popitem(last=False)[1] for _ in range(surplus)]
        for one in old:
            one.freeze()
        assert isinstance(found, cls)
        return found

    def has_news(self, *, is_last: bool = False) -> None:
        """Take note of news, and bring the static form up to date once it is quiet."""
        super().has_news(is_last=is_last)
        with self._lock:
            self._told_at_s = time.monotonic()
            if self._notes and self._timer is None and not self.settled.done():
                self._keep_in(_QUIET_S)

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        with self._lock:
            self._kept_at_s = time.monotonic()
            # What cells showed before is mostly gone; a page passes over it.
            del self._outputs[:-_OUTPUTS_KEPT], self._notes[:-_OUTPUTS_KEPT]

    def _laid_out(self, widget: LiveView) -> Any:
        """Return the widget that an output holds: the view, or a layout with it."""
        return widget

    def _shown(self, widget: LiveView) -> Any:
        return Alone(self._laid_out(widget))

    def _note(self, widget: LiveView) -> Any:
        if not self._has_first.is_set():
            return super()._note(widget)
        return Kept(self._static(widget), Code("live again with", self._again))

    def _refresh(self) -> None:
        """Ask the host for what the static form needs; `_static` must not."""

    def _keep_in(self, wait_s: float) -> None:
        self._timer = threading.Timer(wait_s, self._keep)
        self._timer.daemon = True
        self._timer.start()

    def _keep(self) -> None:
        """Bring the static form below the outputs up to date; in a thread of its own."""
        with self._lock:
            self._timer = None
            now_s = time.monotonic()
            quiet_in_s = self._told_at_s + _QUIET_S - now_s
            if quiet_in_s > 0 and now_s - self._kept_at_s < _AT_LEAST_EVERY_S:
                self._keep_in(quiet_in_s)
                return
            self._kept_at_s = now_s
        try:
            # Not under the lock: the thread that brings its answer may wait for that.
            self._refresh()
            with self._lock:
                if self._widget is None or self.settled.done():
                    return
                kept = self._note(self._widget)
                for note in self._notes:
                    note.update(kept)
        except Exception:  # noqa: BLE001  (nobody waits for this thread)
            _log.exception("the static form of a view could not be kept")

    def _end(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        super()._end()
