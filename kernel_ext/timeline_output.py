"""The timeline of an instance in a notebook: live, static at the end, with buttons that work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate

from .backstage import Backstage
from .graph_view import StaticGraph
from .live_output import Alone, Code, Kept, LiveOutput, current_update

if TYPE_CHECKING:
    from ipydurable.widgets import Timeline, TimelineModel
    from ipydurable.widgets.live import LiveView

__all__ = ["Static", "TimelineView", "take_snapshot"]

_log = logging.getLogger(__name__)

_FAILED_LIVE = 10
_FAILED_ROWS = 20_000


class Static:
    """The timeline of an instance as it was: needs no kernel to be shown again."""

    def __init__(self, model: TimelineModel) -> None:
        from ipydurable.widgets import static_html, text

        self._html = static_html(model)
        self._text = text(model)

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


class TimelineView(LiveOutput):
    """The timeline of one instance: live in a notebook, and its static form once it has ended.

    Each output that shows it is replaced in place at the end, so a saved notebook is never blank.
    Of an instance that has failed it stays live, with the button that rewinds it, and the static
    form stands below; that of the longest failed goes where there are too many. Elsewhere it shows
    how the instance is at that moment.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        super().__init__(client, f"ipydurable.instance({instance_id!r})")
        self._instance_id = instance_id
        self._is_resting = False
        self.rested = Future()

    @property
    def widget(self) -> Timeline:
        """The live widget, to be put into layouts of widgets; it stays after the end.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        return self.keep_widget()

    @property
    def size(self) -> int:
        """How many rows it keeps in memory."""
        return 0 if self._widget is None else len(self._widget.model.rows())

    def __repr__(self) -> str:
        return f"<timeline of {self._instance_id!r}>"

    def _make(self) -> Timeline:
        from ipydurable.widgets import Timeline

        return Timeline(backstage=Backstage(self.client, self._instance_id))

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: InstanceUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                has_failed = update.record.status is RuntimeStatus.FAILED
                self.has_news(is_last=widget.finished and not has_failed)
                if has_failed:
                    self._rest()
                elif self._is_resting:
                    self._go_on()
            except Exception:  # noqa: BLE001
                _log.exception("the timeline of %s could not be shown", self._instance_id)

        return self.client.subscribe(self._instance_id, tell)

    def _static(self, widget: LiveView) -> Static | StaticGraph:
        graph = widget.graph_shown
        # What somebody looked at is what stays.
        return (
            Static(widget.model)
            if graph is None
            else StaticGraph(graph.model, graph.children_shown)
        )

    def _shown(self, widget: LiveView) -> Any:
        return Alone(widget) if self._is_resting else super()._shown(widget)

    def _note(self, widget: LiveView) -> Any:
        if not self._is_resting:
            return super()._note(widget)
        return Kept(self._static(widget), self._rewinding)

    def _last_note(self, widget: LiveView) -> Code | None:
        has_failed = widget.model.record.status is RuntimeStatus.FAILED
        # The buttons have gone with the live view.
        return self._rewinding if has_failed else None

    @property
    def _rewinding(self) -> Code:
        return Code("to run again what failed", f"%durable rewind {self._instance_id}")

    def _rest(self) -> None:
        """Stay live, so that a failed instance can be rewound; what is saved needs no kernel."""
        with self._lock:
            widget = self._widget
            if widget is None or self.settled.done():
                return
            if not self._is_resting:
                # An output of a page that was reloaded since cannot be replaced: there it is the
                # live view that has to show how it ends.
                self._is_resting = self._outlives_end = True
                for output in self._outputs:
                    output.update(self._shown(widget))
            # Also where it has failed again before anything of its being rewound was told.
            for note in self._notes:
                note.update(self._note(widget))
            if not self.rested.done():
                self.rested.set_result(None)
        if not self._is_shared:
            _resting.add(self)

    def _go_on(self) -> None:
        """Somebody has rewound it: until its end it is as it is now that is saved."""
        with self._lock:
            widget = self._widget
            if widget is None or self.settled.done():
                return
            self._is_resting = False
            self.rested = Future()
            kept = Kept(self._static(widget), Code("live again with", self._again))
            for note in self._notes:
                note.update(kept)

    def freeze(self) -> None:
        """Have the outputs show the static form; see `LiveOutput.freeze`."""
        super().freeze()
        _resting.discard(self)
        with self._lock:
            if self._outlives_end and not self._is_shared and self._widget is not None:
                self._widget.close()

    def _settle(self) -> None:
        super()._settle()
        with self._lock:
            if self.settled.done() and not self.rested.done():
                self.rested.set_result(None)

    def _snapshot(self) -> Static:
        return Static(take_snapshot(self.client, self._instance_id))


class _Resting:
    """The views of instances that have failed, at least once: the newest, and not too many."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._views: dict[TimelineView, int] = {}

    def add(self, view: TimelineView) -> None:
        """Take in a view; the oldest become static."""
        with self._guard:
            self._views[view] = view.size
            surplus = []
            while len(self._views) > 1 and self._is_too_much:
                oldest = next(iter(self._views))
                del self._views[oldest]
                surplus.append(oldest)
        for one in surplus:
            one.freeze()

    def discard(self, view: TimelineView) -> None:
        """Forget a view, if it is among them."""
        with self._guard:
            self._views.pop(view, None)

    @property
    def _is_too_much(self) -> bool:
        return len(self._views) > _FAILED_LIVE or sum(self._views.values()) > _FAILED_ROWS


_resting = _Resting()


def take_snapshot(client: DurableClient, instance_id: str) -> TimelineModel:
    """Return the timeline of an instance as it is now.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    from ipydurable.widgets import TimelineModel

    model = TimelineModel()
    model.apply(current_update(client, instance_id))
    return model
