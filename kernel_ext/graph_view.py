"""The fan-out graph of an instance below a cell: live while it runs, static once it has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.ports import InstanceUpdate

from .backstage import Backstage
from .display import current_shell, is_notebook, show
from .live_output import LiveOutput, current_update

if TYPE_CHECKING:
    from ipydurable.widgets import Graph, GraphModel
    from ipydurable.widgets.live import LiveView

__all__ = ["GraphView", "StaticGraph", "take_graph"]

_log = logging.getLogger(__name__)

_CHILDREN_SHOWN = 8


class StaticGraph:
    """The graph of an instance as it was: needs no kernel to be shown again.

    Args:
        model: The instance.
        children: Its sub-orchestrations that are shown, by instance id.
    """

    def __init__(self, model: GraphModel, children: dict[str, GraphModel] | None = None) -> None:
        from ipydurable.widgets import graph_html, graph_text

        self._html = graph_html(model, children)
        self._text = graph_text(model)

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


class GraphView(LiveOutput):
    """The graph of one instance. In a notebook it is live and becomes its static form at the end.

    Elsewhere it shows how the instance is at that moment.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        super().__init__(client, f"ipydurable.instance({instance_id!r}).graph()")
        self._instance_id = instance_id

    def __repr__(self) -> str:
        return f"<graph of {self._instance_id!r}>"

    def _ipython_display_(self) -> None:
        # Of an instance that has ended, sub-orchestrations can be shown that nobody has opened.
        is_new = self._widget is None and is_notebook(current_shell())
        if is_new and self.client.get(self._instance_id).status.is_terminal:
            show(self._snapshot())
        else:
            super()._ipython_display_()

    def _make(self) -> Graph:
        from ipydurable.widgets import Graph

        return Graph(backstage=Backstage(self.client, self._instance_id))

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: InstanceUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                self.has_news(is_last=widget.finished)
            except Exception:  # noqa: BLE001
                _log.exception("the graph of %s could not be shown", self._instance_id)

        return self.client.subscribe(self._instance_id, tell)

    def _static(self, widget: LiveView) -> StaticGraph:
        return StaticGraph(widget.model, widget.children_shown)

    def _snapshot(self) -> StaticGraph:
        model = take_graph(self.client, self._instance_id)
        targets = [node.target for node in model.graph().nodes if node.target]
        shown = targets if len(targets) <= _CHILDREN_SHOWN else []
        return StaticGraph(model, {one: take_graph(self.client, one) for one in shown})


def take_graph(client: DurableClient, instance_id: str) -> GraphModel:
    """Return the graph of an instance as it is now.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    from ipydurable.widgets import GraphModel

    model = GraphModel()
    model.apply(current_update(client, instance_id))
    return model
