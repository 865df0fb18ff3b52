"""The timeline of an instance in a notebook: live, static at the end, with buttons that work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate

from .backstage import Backstage
from .graph_view import StaticGraph
from .live_output import Code, LiveOutput, current_update

if TYPE_CHECKING:
    from ipydurable.widgets import Timeline, TimelineModel
    from ipydurable.widgets.live import LiveView

__all__ = ["Static", "TimelineView", "take_snapshot"]

_log = logging.getLogger(__name__)


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
    Elsewhere it shows how the instance is at that moment.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        super().__init__(client, f"ipydurable.instance({instance_id!r})")
        self._instance_id = instance_id

    @property
    def widget(self) -> Timeline:
        """The live widget, to be put into layouts of widgets; it stays after the end.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        return self.keep_widget()

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
                self.has_news(is_last=widget.finished)
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

    def _last_note(self, widget: LiveView) -> Code | None:
        if widget.model.record.status is not RuntimeStatus.FAILED:
            return None
        # The buttons have gone with the live view.
        return Code("to run again what failed", f"%durable rewind {self._instance_id}")

    def _snapshot(self) -> Static:
        return Static(take_snapshot(self.client, self._instance_id))


def take_snapshot(client: DurableClient, instance_id: str) -> TimelineModel:
    """Return the timeline of an instance as it is now.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    from ipydurable.widgets import TimelineModel

    model = TimelineModel()
    model.apply(current_update(client, instance_id))
    return model
