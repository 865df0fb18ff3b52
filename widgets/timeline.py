"""The live timeline: an anywidget that shows a `TimelineModel` and follows its updates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import InstanceUpdate

from .backstage import Backstage, more_of
from .form_model import FormView
from .graph import Graph
from .live import Command, LiveView
from .row_log import PAGES, RowLog
from .static_render import static_html
from .text import text
from .view_models import TimelineModel
from .views import RowState, RowView, SourceView

__all__ = ["Timeline"]

_FAILURES_SENT = 20
_DETAILS_KEPT = 8
_SOURCES_KEPT = 40


class _Source:
    """A history whose rows are shown: the instance's own, a child's, an earlier execution's."""

    def __init__(self, slot: int, key: str, model: TimelineModel) -> None:
        self.slot = slot
        self.key = key
        self.model = model
        self.epoch = model.epoch
        self.end: Callable[[], None] = lambda: None

    def take_changes(self) -> list[RowView]:
        """Return the rows that changed, marked as this source's."""
        rows = self.model.take_changes()
        if self.slot == 0:
            return rows
        return [msgspec.structs.replace(row, source=self.slot) for row in rows]


class Timeline(LiveView, view="timeline"):
    """A live timeline of one instance.

    Bars grow in the browser by its own clock; the kernel sends only what happened, and nothing
    while nothing happens. All state is in traits.

    Args:
        model: What to show; by default a new, empty one. From here on it belongs to the widget:
            feed it through `update` only.
        backstage: Carries out what its buttons ask for; without one it has none.
    """

    header = traitlets.Dict().tag(sync=True)
    details: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    failures: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    forms: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(
        self, model: TimelineModel | None = None, backstage: Backstage | None = None
    ) -> None:
        self.model = model if model is not None else TimelineModel()
        self._backstage = backstage
        self._main = _Source(0, "", self.model)
        self._sources: dict[str, _Source] = {}
        self._slots = 0
        self._log = RowLog()
        self._asked: dict[tuple[int, int], None] = {}
        self._forms_sent: tuple[FormView, ...] = ()
        self._graph: Graph | None = None
        self._graph_knows = False
        self._shows_graph = False
        # Before the base class opens the comm, so that its first message holds them.
        self.add_traits(**{f"page_{n}": traitlets.Unicode().tag(sync=True) for n in range(PAGES)})
        if self.model.record is not None:
            self.model.take_changes()
            self._show(self.model.rows())
        commands: dict[str, Command] = {}
        if backstage is not None:
            own: dict[str, Command] = {
                "open": self._open,
                "more": self._more,
                "look": self._look,
            }
            commands = {**backstage.commands(), **own}
        super().__init__(commands)

    @property
    def finished(self) -> bool:
        """Whether the instance is in a final status: time to show the static form instead."""
        return self.model.finished

    @property
    def graph_shown(self) -> Graph | None:
        """The graph, while somebody looks at that instead of the rows."""
        return self._graph if self._shows_graph and self._graph_knows else None

    def update(self, update: InstanceUpdate) -> None:
        """Fold an update and show it soon. May be called from any thread.

        Args:
            update: As the host sent it; see `TimelineModel.apply`.
        """
        with self.lock:
            self.model.apply(update)
            if self._graph is not None and self._graph_knows:
                self._graph.update(update)
            self.send_soon(at_once=self.finished)

    def close(self) -> None:
        """Stop sending, follow nothing any more, and free the widget."""
        with self.lock:
            ends = [source.end for source in self._sources.values()]
            self._sources = {}
            graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()
        super().close()
        for end in ends:
            end()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and its static forms for viewers that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        with self.lock:
            if self.model.record is not None:
                data["text/html"] = static_html(self.model)
                data["text/plain"] = text(self.model)
        return data, metadata

    def send_changes(self) -> None:
        """Send the rows that changed, the header, and the rows somebody looks at."""
        if self._main.epoch != self.model.epoch:
            self._start_over()
        changes = self._main.take_changes()
        for source in self._sources.values():
            if source.epoch != source.model.epoch:
                source.epoch, source.slot = source.model.epoch, self._next_slot()
            changes += source.take_changes()
        self._show(changes)
        if any((row.source, row.index) in self._asked for row in changes):
            self._show_details()

    def on_question(self, content: Mapping[str, Any]) -> None:
        """Answer the question for a row, `{"detail": [source, index]}`, by showing it in full."""
        match content.get("detail"):
            case [int(source), int(index)]:
                self._asked.pop((source, index), None)
                self._asked[source, index] = None
                while len(self._asked) > _DETAILS_KEPT:
                    del self._asked[next(iter(self._asked))]
                self._show_details()

    def _open(self, key: str) -> None:
        """Show another history too: a child's or an earlier execution's. A command of the view."""
        backstage = self._backstage
        assert backstage is not None
        with self.lock:
            if key in self._sources or len(self._sources) >= _SOURCES_KEPT:
                return
            source = self._sources[key] = _Source(self._next_slot(), key, TimelineModel())
        tell = functools.partial(self._tell_source, source)
        what, _, name = key.partition(":")
        try:
            if what == "generation":
                tell(backstage.execution(int(name)))
            else:
                source.end = backstage.follow(name, tell)
        except BaseException:
            with self.lock:
                self._sources.pop(key, None)
            raise

    def _look(self, graph: bool) -> str:
        """Show the instance as a graph, or as rows again. A command of the view.

        Returns:
            The model id of the graph's own widget; empty for the rows.
        """
        assert self._backstage is not None
        with self.lock:
            self._shows_graph = graph
            if not graph:
                return ""
            if self._graph is not None:
                return str(self._graph.model_id)
            if self.model.record is None:
                raise DurableError("Nothing is known of this instance yet.")
            made = self._graph = Graph(backstage=self._backstage)
            instance_id = self.model.record.instance_id
        ends: list[Callable[[], None]] = []

        def tell(update: InstanceUpdate) -> None:
            """Take the whole history once; what is new comes the way of the rows."""
            with self.lock:
                if not self._graph_knows and self._graph is made:
                    self._graph_knows = True
                    made.update(update)
            for end in ends:
                end()

        ends.append(self._backstage.follow(instance_id, tell))
        with self.lock:
            knows = self._graph_knows
        if knows:
            ends[0]()
        return str(made.model_id)

    def _tell_source(self, source: _Source, update: InstanceUpdate) -> None:
        with self.lock:
            source.model.apply(update)
            self.send_soon()

    def _more(self, source: int, index: int) -> dict[str, Any]:
        """Return what the host knows of a row besides its history. A command of the view."""
        assert self._backstage is not None
        with self.lock:
            model = self._model_of(source)
        return more_of(self._backstage, model, index)

    def _next_slot(self) -> int:
        self._slots += 1
        return self._slots

    def _model_of(self, slot: int) -> TimelineModel | None:
        if slot == 0:
            return self.model
        return next((one.model for one in self._sources.values() if one.slot == slot), None)

    def _start_over(self) -> None:
        """Forget the rows of the execution before; what was opened stays open."""
        self._main.epoch = self.model.epoch
        self._log = RowLog()
        self._asked, self.details, self.failures = {}, [], []
        for number in range(PAGES):
            self.set_trait(f"page_{number}", "")
        again = [
            msgspec.structs.replace(row, source=source.slot)
            for source in self._sources.values()
            for row in source.model.rows()
        ]
        for number, page in self._log.append(again).items():
            self.set_trait(f"page_{number}", page)

    def _show(self, rows: list[RowView]) -> None:
        self._show_failures(rows)
        for number, page in self._log.append(rows).items():
            self.set_trait(f"page_{number}", page)
        header = msgspec.to_builtins(self.model.header())
        header["sources"] = [
            msgspec.to_builtins(SourceView(one.slot, one.key, one.model.header()))
            for one in self._sources.values()
            if one.model.record is not None
        ]
        self.header = header
        if self._forms_sent is not self.model.forms:
            self._forms_sent = self.model.forms
            self.forms = msgspec.to_builtins(list(self._forms_sent))

    def _show_failures(self, rows: list[RowView]) -> None:
        """Send the details of the first failures unasked: a busy kernel answers no question."""
        known = {detail["index"]: detail for detail in self.failures}
        for row in rows:
            if row.source:
                continue
            failed = row.state is RowState.FAILED or (row.state is RowState.WAITING and row.note)
            if row.index in known or (failed and len(known) < _FAILURES_SENT):
                known[row.index] = msgspec.to_builtins(self.model.detail(row.index))
        self.failures = list(known.values())

    def _show_details(self) -> None:
        details = []
        for slot, index in self._asked:
            model = self._model_of(slot)
            found = None if model is None else model.detail(index)
            if found is not None:
                details.append(msgspec.to_builtins(msgspec.structs.replace(found, source=slot)))
        self.details = details
