"""The live dashboard of a store: an anywidget that asks for what is looked at, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import StoreUpdate

from .dashboard_model import SPANS, Overview, Rates
from .entities_table import TableSource
from .live import Command, LiveView
from .views import epoch_ms

__all__ = ["Dashboard"]


class Dashboard(LiveView, view="dashboard"):
    """A live dashboard of a store.

    The host's beat says that something has happened, and what workers do; whoever looks at the
    dashboard then has the rest taken anew. What did not change is not sent.

    Args:
        take: Takes an overview for a span; waits for the host.
        source: Where the rows of the table come from.
        open_one: Shows an instance or entity, by its id; `""` closes what is shown.

    Attributes:
        overview: The last that was taken.
        last_beat: The host's last.
    """

    beat = traitlets.Dict().tag(sync=True)
    rates: traitlets.List[Any] = traitlets.List().tag(sync=True)
    head = traitlets.Dict().tag(sync=True)
    counts: traitlets.List[Any] = traitlets.List().tag(sync=True)
    names: traitlets.List[Any] = traitlets.List().tag(sync=True)
    histogram = traitlets.Dict().tag(sync=True)
    waits: traitlets.List[Any] = traitlets.List().tag(sync=True)
    versions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)
    span = traitlets.Unicode("all").tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        take: Callable[[str], Overview],
        source: TableSource,
        open_one: Callable[[str], None],
    ) -> None:
        self._take = take
        self._source = source
        self._open_one = open_one
        self._rates = Rates()
        self.last_beat: StoreUpdate | None = None
        self.overview = take("all")
        self._send_overview()
        self.first = source.page({"sort": "created"})
        commands: dict[str, Command] = {
            "look": self._look,
            "page": source.page,
            "open": self._open,
        }
        super().__init__(commands)

    def update(self, update: StoreUpdate) -> None:
        """Take note of a beat. May be called from any thread."""
        with self.lock:
            self.last_beat = update
            self._rates.add(update)
            self.send_soon()

    def send_changes(self) -> None:
        """Send the beat."""
        if self.last_beat is not None:
            beat = msgspec.to_builtins(self.last_beat)
            for work, told in zip(self.last_beat.work, beat["work"], strict=True):
                told["since"] = epoch_ms(work.since)
            self.beat = {**beat, "now": epoch_ms(self.last_beat.now)}
            self.rates = self._rates.told()

    def _look(self, span: str) -> None:
        """Take an overview anew. A command of the view."""
        if span not in SPANS:
            raise DurableError(f"There is no span {span!r}.")
        taken = self._take(span)
        with self.lock, self.hold_sync():
            self.overview = taken
            self.span = span
            self._send_overview()

    def _send_overview(self) -> None:
        taken = msgspec.to_builtins(self.overview)
        # A trait that is set to what it is already is not sent.
        for name in ("counts", "names", "histogram", "waits", "versions"):
            self.set_trait(name, taken[name])
        self.head = {name: taken[name] for name in ("store", "size", "trouble", "now")}

    def _open(self, key: str) -> None:
        self._open_one(key)
        with self.lock:
            self.opened = key
