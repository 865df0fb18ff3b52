"""The fan-out graph of an instance below a cell: live while it runs, static once it has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.ports import InstanceUpdate

from .display import current_shell, is_notebook, show, show_replaceable

if TYPE_CHECKING:
    from ipydurable.widgets import Graph, GraphModel

__all__ = ["GraphView", "StaticGraph", "take_graph"]

_log = logging.getLogger(__name__)

_FIRST_UPDATE_S = 5.0
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


class GraphView:
    """The graph of one instance. In a notebook it is live and becomes its static form at the end.

    Elsewhere it shows how the instance is at that moment.

    Args:
        client: Reaches the host.
        instance_id: Which instance.

    Attributes:
        settled: Done once its output will not change any more.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        self.settled: Future[None] = Future()
        self._client = client
        self._instance_id = instance_id
        self._lock = threading.RLock()
        self._widget: Graph | None = None
        self._has_first = threading.Event()
        self._output: Any = None
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether somebody looks at it and it may still change."""
        return self._widget is not None and not self.settled.done()

    def freeze(self) -> None:
        """Replace the live form by the static one, whether or not the instance has ended."""
        with self._lock:
            if self._widget is None or self.settled.done():
                return
            if self._output is not None and self._has_first.is_set():
                self._output.update(StaticGraph(self._widget.model, self._widget.children_shown))
            self._widget.close()
            self.settled.set_result(None)
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def __repr__(self) -> str:
        return f"<graph of {self._instance_id!r}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        static = self._static()
        return {"text/plain": repr(static), "text/html": static._repr_html_()}

    def _ipython_display_(self) -> None:
        if not is_notebook(current_shell()):
            raise NotImplementedError  # IPython then asks for the mime bundle.
        if self._widget is not None or self._client.get(self._instance_id).status.is_terminal:
            show(self._static())
            return
        from ipydurable.widgets import Graph

        widget = self._widget = Graph(follow=self._client.subscribe)
        unsubscribe = self._client.subscribe(self._instance_id, self._on_update)
        # Shown before it knows anything, it would be blank in a notebook saved meanwhile.
        self._has_first.wait(_FIRST_UPDATE_S)
        with self._lock:
            if not self.settled.done():
                self._unsubscribe = unsubscribe
                self._output = show_replaceable(widget)
                return
        unsubscribe()
        show(self._static())

    def _on_update(self, update: InstanceUpdate) -> None:
        """Show news; in the thread of the link, which must go on whatever happens here."""
        try:
            assert self._widget is not None
            self._widget.update(update)
            self._has_first.set()
            if self._widget.finished:
                self.freeze()
        except Exception:  # noqa: BLE001
            _log.exception("the graph of %s could not be shown", self._instance_id)

    def _static(self) -> StaticGraph:
        model = take_graph(self._client, self._instance_id)
        targets = [node.target for node in model.graph().nodes if node.target]
        shown = targets if len(targets) <= _CHILDREN_SHOWN else []
        return StaticGraph(model, {one: take_graph(self._client, one) for one in shown})


def take_graph(client: DurableClient, instance_id: str) -> GraphModel:
    """Return the graph of an instance as it is now.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    from ipydurable.widgets import GraphModel

    first: Future[InstanceUpdate] = Future()

    def tell(update: InstanceUpdate) -> None:
        if not first.done():
            first.set_result(update)

    unsubscribe = client.subscribe(instance_id, tell)
    try:
        model = GraphModel()
        model.apply(first.result(_FIRST_UPDATE_S))
    finally:
        unsubscribe()
    return model
