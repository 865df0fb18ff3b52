"""The live table of entities: an anywidget that asks for the rows it shows, and for no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import traitlets

from ipydurable.runtime.ports import StoreUpdate

from .live import Command, LiveView
from .views import epoch_ms

__all__ = ["EntitiesTable", "TableSource"]


class TableSource(Protocol):
    """Where a table's rows come from; asked in threads of the view."""

    def page(self, query: Mapping[str, Any], offset: int = 0, limit: int = 50) -> dict[str, Any]:
        """Return `total` and `rows`."""
        ...

    def names(self) -> list[list[Any]]:
        """Return the names there are, and how many rows each has."""
        ...


class EntitiesTable(LiveView, view="entities"):
    """A live table of the entities of a store.

    A view of it asks for the rows that it shows whenever the stamp says that they may have
    changed; one that nobody sees asks for none.

    Args:
        source: Where the rows come from.
        query: What is looked for at first.
        open_one: Shows an entity, by its id, and gives the id back as it is shown; `""` closes.
    """

    stamp = traitlets.Dict().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)
    query = traitlets.Dict().tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, source: TableSource, query: Mapping[str, Any], open_one: Callable[[str], None]
    ) -> None:
        self._source = source
        self._open_one = open_one
        self._beat: StoreUpdate | None = None
        self.query = dict(query)
        self.first = {**source.page(query), "names": source.names()}
        commands: dict[str, Command] = {"page": self._page, "open": self._open}
        super().__init__(commands)

    def update(self, update: StoreUpdate) -> None:
        """Take note that rows may have changed. May be called from any thread."""
        with self.lock:
            self._beat = update
            self.send_soon()

    def send_changes(self) -> None:
        """Say that rows may have changed."""
        if self._beat is not None:
            self.stamp = {"gseq": self._beat.gseq, "now": epoch_ms(self._beat.now)}

    def _page(self, query: dict[str, Any], offset: int, limit: int) -> dict[str, Any]:
        page = self._source.page(query, offset, limit)
        return {**page, "names": self._source.names()} if offset == 0 else page

    def _open(self, key: str) -> None:
        self._open_one(key)
        with self.lock:
            self.opened = key
