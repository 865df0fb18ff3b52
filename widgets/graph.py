"""The live fan-out graph: an anywidget that shows a `GraphModel` and follows its updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.ports import InstanceUpdate

from .backstage import Backstage, more_of
from .form_model import FormView
from .graph_boxes import Drawn
from .graph_layout import MAX_NODES, lay_out
from .graph_model import GraphModel
from .graph_scene import Box, Scene
from .graph_shortening import drawn_nodes
from .graph_static import graph_html, graph_text
from .live import Command, LiveView

__all__ = ["PARTS", "Graph", "parts_of"]

PARTS = 16
"""Traits that the boxes are spread over: what changed travels alone."""
_PART_BOXES = 13
_EVERYTHING = 5000
_MAX_CHILDREN = 20


class Graph(LiveView, view="graph"):
    """A live graph of one instance and of those sub-orchestrations that were opened in it.

    Places are decided here, so that the live graph is drawn as its static form; the browser gets
    the parts that changed, and draws, zooms and pans. A view that is mounted later is complete:
    `boxes_0` to `boxes_15` and `links` hold all there is to draw. They are JSON in text, because
    ipywidgets goes through all lists of a message one by one, in search of bytes.

    Args:
        model: What to show; by default a new, empty one. Feed it through `update` only.
        backstage: Follows the sub-orchestrations that are opened, and carries out what is asked
            for; without one nothing can be.
    """

    head = traitlets.Dict().tag(sync=True)
    links = traitlets.Unicode("[]").tag(sync=True)
    detail = traitlets.Dict().tag(sync=True)

    forms: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, model: GraphModel | None = None, backstage: Backstage | None = None) -> None:
        self.model = model if model is not None else GraphModel()
        self._backstage = backstage
        self._forms_sent: tuple[FormView, ...] = ()
        self._children: dict[str, GraphModel] = {}
        self._unsubscribe: list[Callable[[], None]] = []
        self._opened: set[str] = set()
        self._drawn = Drawn()
        self._limit = MAX_NODES
        self._asked: tuple[str, int] | None = None
        # Before the base class opens the comm, so that its first message holds them.
        parts = {f"boxes_{n}": traitlets.Unicode("[]").tag(sync=True) for n in range(PARTS)}
        self.add_traits(**parts)
        if self.model.timeline.record is not None:
            self._draw()
        commands: dict[str, Command] = {}
        if backstage is not None:
            commands = {"answer": backstage.commands()["answer"], "more": self._more}
        super().__init__(commands)

    @property
    def finished(self) -> bool:
        """Whether the instance is in a final status: time to show the static form instead."""
        return self.model.finished

    @property
    def children_shown(self) -> dict[str, GraphModel]:
        """The sub-orchestrations that were opened, by instance id."""
        with self.lock:
            return {name: one for name, one in self._children.items() if one.timeline.record}

    def update(self, update: InstanceUpdate) -> None:
        """Fold an update and show it soon. May be called from any thread.

        Args:
            update: As the host sent it; see `GraphModel.apply`.
        """
        with self.lock:
            epoch = self.model.epoch
            self.model.apply(update)
            if self.model.epoch != epoch:
                self._opened.clear()
                self._drawn = Drawn()
                self._asked = None
            self.send_soon(at_once=self.finished)

    def close(self) -> None:
        """Stop following the sub-orchestrations, and free the widget."""
        with self.lock:
            ended, self._unsubscribe = self._unsubscribe, []
        for unsubscribe in ended:
            unsubscribe()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and its static forms for viewers that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        with self.lock:
            if self.model.timeline.record is not None:
                data["text/html"] = graph_html(self.model, self.children_shown)
                data["text/plain"] = graph_text(self.model)
        return data, metadata

    def send_changes(self) -> None:
        """Send what is drawn now, and the detail that somebody looks at."""
        if self.model.timeline.record is not None:
            self._draw()
            self._show_detail()

    def on_question(self, content: Mapping[str, Any]) -> None:
        """Take what was clicked.

        `{"toggle": key}` opens or closes a node, `{"everything": bool}` lifts the limit of nodes,
        `{"detail": [instance id or "", row]}` asks for a row, null when it is closed.
        """
        if isinstance(content.get("toggle"), str):
            self._toggle(content["toggle"])
        if isinstance(content.get("everything"), bool):
            self._limit = _EVERYTHING if content["everything"] else MAX_NODES
        if "detail" in content:
            match content["detail"]:
                case [str(path), int(row)]:
                    self._asked = path, row
                case _:
                    self._asked = None
        self.send_soon(at_once=True)

    def _toggle(self, key: str) -> None:
        if key in self._opened:
            self._opened.discard(key)
            self._drawn.places.pop(key, None)
            return
        self._opened.add(key)
        models = {"": self.model, **self._children}
        for path, model in models.items():
            if model.timeline.record is None:
                continue
            if key.startswith(f"{path}/") and (child := model.child_of(key[len(path) + 1 :])):
                self._adopt(child)

    def _adopt(self, instance_id: str) -> None:
        """Follow a sub-orchestration from now on."""
        if self._backstage is None or instance_id in self._children:
            return
        if len(self._children) >= _MAX_CHILDREN:
            return
        child = self._children[instance_id] = GraphModel()

        def tell(update: InstanceUpdate) -> None:
            with self.lock:
                child.apply(update)
                self.send_soon()

        self._unsubscribe.append(self._backstage.follow(instance_id, tell))

    def _more(self, path: str, index: int) -> dict[str, Any]:
        """Return what the host knows of a row besides its history. A command of the view."""
        assert self._backstage is not None
        with self.lock:
            model = self._children.get(path) if path else self.model
        return more_of(self._backstage, None if model is None else model.timeline, index)

    def _draw(self) -> None:
        scene = lay_out(self.model, self._opened, self._children, self._limit, self._drawn)
        for number, part in enumerate(parts_of(scene.boxes)):
            # A trait that is set to what it is already is not sent.
            self.set_trait(f"boxes_{number}", part)
        self.links = _json(scene.links)
        if self._forms_sent is not self.model.timeline.forms:
            self._forms_sent = self.model.timeline.forms
            self.forms = msgspec.to_builtins(list(self._forms_sent))
        self.head = self._heading(scene)

    def _heading(self, scene: Scene) -> dict[str, Any]:
        return {
            **msgspec.to_builtins(self.model.timeline.header()),
            "width": scene.width,
            "height": scene.height,
            "is_cut": drawn_nodes(self.model) + 2 > MAX_NODES,
        }

    def _show_detail(self) -> None:
        if self._asked is None:
            self.detail = {}
            return
        path, index = self._asked
        model = self.model if not path else self._children.get(path)
        found = None if model is None else model.timeline.detail(index)
        if model is None or found is None:
            self.detail = {}
            return
        header = model.timeline.header()
        self.detail = {
            "path": path,
            "detail": msgspec.to_builtins(found),
            "row": msgspec.to_builtins(model.row(index)),
            "group": msgspec.to_builtins(header.groups[model.row(index).group]),
            "start": header.start,
        }


def parts_of(boxes: Sequence[Box]) -> list[str]:
    """Return boxes as `PARTS` JSON arrays for the browser; one that changes changes one of them."""
    size = max(_PART_BOXES, -(-len(boxes) // PARTS))
    return [_json(boxes[n * size : (n + 1) * size]) for n in range(PARTS)]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
