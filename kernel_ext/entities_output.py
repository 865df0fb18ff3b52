"""The table of a store's entities in a notebook: live, and static where there is no kernel."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.ports import StoreUpdate

from .beside_output import BesideOutput
from .entity_output import EntityView
from .store_tables import EntityRows

if TYPE_CHECKING:
    from ipydurable.widgets.entities_table import EntitiesTable
    from ipydurable.widgets.live import LiveView

__all__ = ["EntitiesView", "StaticEntities"]

_log = logging.getLogger(__name__)

_STORED_ROWS = 30


class StaticEntities:
    """Some of the entities of a store as they were.

    Args:
        page: As `EntityRows` gives it.
    """

    def __init__(self, page: Mapping[str, Any]) -> None:
        self._page = page

    def __repr__(self) -> str:
        from ipydurable.widgets.entities_static import entities_text

        return entities_text(self._page, shutil.get_terminal_size((120, 24)).columns)

    def _repr_html_(self) -> str:
        from ipydurable.widgets.entities_static import entities_html

        return entities_html(self._page)


class EntitiesView(BesideOutput):
    """The entities of a store: searched, filtered and sorted in the host; a click opens a card.

    Args:
        client: Reaches the host.
        query: What is looked for at first; see `EntityRows`.
        again: The code that shows the same again.
    """

    def __init__(
        self,
        client: DurableClient,
        query: Mapping[str, Any] | None = None,
        again: str = "%durable entities",
    ) -> None:
        super().__init__(client, again)
        self._query = {"sort": "modified", **(query or {})}
        self._rows = EntityRows(client)
        self._page: dict[str, Any] = {"total": 0, "rows": []}

    @classmethod
    def of(
        cls, client: DurableClient, query: Mapping[str, Any], again: str = "%durable entities"
    ) -> EntitiesView:
        """Return the view of these entities; the same for all cells that show it."""
        key = json.dumps(query, sort_keys=True)
        return cls.shared(client, key, lambda: cls(client, query, again))

    def __repr__(self) -> str:
        return "<table of entities>"

    def _make(self) -> EntitiesTable:
        from ipydurable.widgets.entities_table import EntitiesTable

        self._refresh()
        return EntitiesTable(self._rows, self._query, self.open)

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: StoreUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                self.has_news()
            except Exception:  # noqa: BLE001
                _log.exception("the table of entities could not be shown")

        return self.client.subscribe("", tell)

    def _view_of(self, key: str) -> EntityView:
        entity_id = EntityInstanceId.parse(key)
        return EntityView(self.client, entity_id, self._rows.title(entity_id))

    def _static(self, widget: LiveView) -> StaticEntities:
        del widget
        return StaticEntities(self._page)

    def _refresh(self) -> None:
        self._page = self._rows.page(self._query, 0, _STORED_ROWS)

    def _snapshot(self) -> StaticEntities:
        self._refresh()
        return StaticEntities(self._page)
