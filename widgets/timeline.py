"""The live timeline: an anywidget that shows a `TimelineModel` and follows its updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.ports import InstanceUpdate

from .live import Command, LiveView
from .static_render import static_html
from .text import text
from .view_models import TimelineModel
from .views import RowState, RowView

__all__ = ["PAGES", "RowLog", "Timeline"]

_FAILURES_SENT = 20
PAGES = 64
_PAGE_BYTES = 16_384


class RowLog:
    """Rows as the browser gets them: an append-only log in pages, later entries win.

    Only the pages that grew are sent again, and all pages together are always the whole state: a
    view mounted later needs nothing else. Pages hold more as the log grows, so that a fixed number
    of traits is enough for any history.
    """

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._pages: list[list[str]] = [[]]
        self._sizes = [0]

    def append(self, rows: Iterable[RowView]) -> dict[int, str]:
        """Add rows and return the pages that changed: page number to JSON array."""
        first = len(self._pages) - 1
        grown = False
        for row in rows:
            if self._sizes[-1] >= _PAGE_BYTES << (len(self._pages) // 8) and (
                len(self._pages) < PAGES
            ):
                self._pages.append([])
                self._sizes.append(0)
            entry = self._encoder.encode(row).decode()
            self._pages[-1].append(entry)
            self._sizes[-1] += len(entry)
            grown = True
        if not grown:
            return {}
        return {
            number: f"[{','.join(self._pages[number])}]"
            for number in range(first, len(self._pages))
        }


class Timeline(LiveView, view="timeline"):
    """A live timeline of one instance.

    Bars grow in the browser by its own clock; the kernel sends only what happened, and nothing
    while nothing happens. All state is in traits.

    Args:
        model: What to show; by default a new, empty one. From here on it belongs to the widget:
            feed it through `update` only.
        commands: What its buttons do; see `LiveView`.
    """

    header = traitlets.Dict().tag(sync=True)
    detail = traitlets.Dict().tag(sync=True)
    failures: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(
        self, model: TimelineModel | None = None, commands: Mapping[str, Command] | None = None
    ) -> None:
        self.model = model if model is not None else TimelineModel()
        self._log = RowLog()
        self._epoch = self.model.epoch
        self._asked: int | None = None
        # Before the base class opens the comm, so that its first message holds them.
        self.add_traits(**{f"page_{n}": traitlets.Unicode().tag(sync=True) for n in range(PAGES)})
        if self.model.record is not None:
            self.model.take_changes()
            self._show(self.model.rows())
        super().__init__(commands)

    @property
    def finished(self) -> bool:
        """Whether the instance is in a final status: time to show the static form instead."""
        return self.model.finished

    def update(self, update: InstanceUpdate) -> None:
        """Fold an update and show it soon. May be called from any thread.

        Args:
            update: As the host sent it; see `TimelineModel.apply`.
        """
        with self.lock:
            self.model.apply(update)
            self.send_soon(at_once=self.finished)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and its static forms for viewers that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        with self.lock:
            if self.model.record is not None:
                data["text/html"] = static_html(self.model)
                data["text/plain"] = text(self.model)
        return data, metadata

    def send_changes(self) -> None:
        """Send the rows that changed, the header, and the row somebody looks at."""
        changes = self.model.take_changes()
        self._show(changes)
        if any(row.index == self._asked for row in changes):
            self._show_detail()

    def on_question(self, content: Mapping[str, Any]) -> None:
        """Answer the question for a row: `{"detail": index}`, null when it is closed."""
        index = content.get("detail")
        self._asked = index if isinstance(index, int) else None
        self._show_detail()

    def _show(self, rows: list[RowView]) -> None:
        if self._epoch != self.model.epoch:
            self._epoch = self.model.epoch
            self._log, self._asked, self.detail = RowLog(), None, {}
            self.failures = []
            for number in range(PAGES):
                self.set_trait(f"page_{number}", "")
        self._show_failures(rows)
        for number, page in self._log.append(rows).items():
            self.set_trait(f"page_{number}", page)
        self.header = msgspec.to_builtins(self.model.header())

    def _show_failures(self, rows: list[RowView]) -> None:
        """Send the details of the first failures unasked: a busy kernel answers no question."""
        known = {detail["index"]: detail for detail in self.failures}
        for row in rows:
            failed = row.state is RowState.FAILED or (row.state is RowState.WAITING and row.note)
            if row.index in known or (failed and len(known) < _FAILURES_SENT):
                known[row.index] = msgspec.to_builtins(self.model.detail(row.index))
        self.failures = list(known.values())

    def _show_detail(self) -> None:
        found = None if self._asked is None else self.model.detail(self._asked)
        self.detail = {} if found is None else msgspec.to_builtins(found)
