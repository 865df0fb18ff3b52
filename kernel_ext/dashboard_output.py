"""The dashboard of a store in a notebook: live, and static where there is no kernel."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.ports import StoreUpdate

from .beside_output import BesideOutput
from .entity_output import EntityView
from .live_output import LiveOutput
from .overview import take_beat, take_overview
from .store_tables import EntityRows, InstanceRows
from .timeline_output import TimelineView

if TYPE_CHECKING:
    from ipydurable.widgets.dashboard import Dashboard
    from ipydurable.widgets.dashboard_model import Overview
    from ipydurable.widgets.live import LiveView

__all__ = ["DashboardView", "StaticDashboard"]

_log = logging.getLogger(__name__)

_STORED_ROWS = 20


class StaticDashboard:
    """A store as it was.

    Args:
        overview: The store.
        beat: The load of its workers.
        page: Its newest instances.
    """

    def __init__(self, overview: Overview, beat: StoreUpdate, page: Mapping[str, Any]) -> None:
        self._overview = overview
        self._beat = beat
        self._page = page

    def __repr__(self) -> str:
        from ipydurable.widgets.dashboard_static import dashboard_text

        width = shutil.get_terminal_size((120, 24)).columns
        return dashboard_text(self._overview, self._beat, self._page, width)

    def _repr_html_(self) -> str:
        from ipydurable.widgets.dashboard_static import dashboard_html

        return dashboard_html(self._overview, self._beat, self._page)


class DashboardView(BesideOutput):
    """A store at a glance: live in a notebook, and text elsewhere. A click opens an instance.

    Args:
        client: Reaches the host.
    """

    def __init__(self, client: DurableClient) -> None:
        super().__init__(client, "%durable dashboard")
        self._rows = InstanceRows(client)
        self._stored: StaticDashboard | None = None

    @classmethod
    def of(cls, client: DurableClient) -> DashboardView:
        """Return the dashboard of a store; the same for all cells that show it."""
        return cls.shared(client, "", lambda: cls(client))

    def __repr__(self) -> str:
        return repr(self._snapshot())

    def _make(self) -> Dashboard:
        from ipydurable.widgets.dashboard import Dashboard

        self._refresh()
        return Dashboard(lambda span: take_overview(self.client, span), self._rows, self.open)

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: StoreUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                self.has_news()
            except Exception:  # noqa: BLE001
                _log.exception("the dashboard could not be shown")

        return self.client.subscribe("", tell)

    def _view_of(self, key: str) -> LiveOutput:
        if key.startswith("@"):
            entity_id = EntityInstanceId.parse(key)
            return EntityView(self.client, entity_id, EntityRows(self.client).title(entity_id))
        self.client.get(key)
        return TimelineView(self.client, key)

    def _refresh(self) -> None:
        overview, beat = take_overview(self.client), take_beat(self.client)
        self._stored = StaticDashboard(overview, beat, self._rows.page({}, 0, _STORED_ROWS))

    def _static(self, widget: LiveView) -> StaticDashboard:
        del widget
        assert self._stored is not None
        return self._stored

    def _snapshot(self) -> StaticDashboard:
        self._refresh()
        assert self._stored is not None
        return self._stored
