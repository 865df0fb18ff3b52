"""What can be asked of a store as a whole: tables, lists to look at, purging."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.core.status import TERMINAL
from ipydurable.runtime.ports import EntityQuery, InstanceQuery

from .arguments import ArgumentError, Statuses, Time, parse_statuses, parse_time
from .dashboard_output import DashboardView
from .entity_handles import state_to_show
from .forms_output import FormsOutput, NotebookForms
from .frames import entities_frame, instances_frame, locks_frame, waiting_text
from .reading import decode_to_show
from .store_data import StoreData, entity_prefix, id_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StoreView"]

_DESCRIBED = 1_000


class StoreView(StoreData):
    """A store to look at: its tables, lists of what is there now, purging."""

    def instances(self, **filters: Any) -> pd.DataFrame:
        """Return the instances, and what each waits for; see `ipydurable.instances`."""
        frame = super().instances(**filters)
        is_live = ~frame["status"].isin([status.value for status in TERMINAL])
        live = frame["instance_id"][is_live].head(_DESCRIBED).tolist()
        waiting = self.client.open_tasks(live) if live else {}
        frame["waiting_for"] = [waiting_text(waiting.get(one, ())) for one in frame["instance_id"]]
        return frame

    def list_instances(  # noqa: PLR0913  (filters, each given by its name)
        self,
        *,
        status: Statuses = (),
        name: str = "",
        prefix: str = "",
        tags: Mapping[str, str] | None = None,
        since: Time | None = None,
        until: Time | None = None,
        parent: str = "",
        limit: int = 0,
        after: str = "",
    ) -> pd.DataFrame:
        """Return the instances newest first, and what each waits for; filters as of `instances`."""
        query = InstanceQuery(
            status=parse_statuses(status),
            name=name,
            prefix=prefix,
            tags=dict(tags or {}),
            created_from=None if since is None else parse_time(since, "ago"),
            created_to=None if until is None else parse_time(until, "ago"),
            parent=parent,
            limit=limit,
            before_iid=self.client.get(after).iid if after else 0,
        )
        records = self.client.query(query)
        live = [one.instance_id for one in records if one.is_live]
        waiting = self.client.open_tasks(live[:_DESCRIBED]) if live else {}
        return instances_frame(records, partial(decode_to_show, self.client), waiting)

    def forms(self, *instances: Any) -> NotebookForms:
        """Return the forms that instances wait for somebody to fill in; `ipydurable.forms`."""
        ids = [self.client.get(id_of(one)).instance_id for one in instances]
        whose = " for " + ", ".join(map(repr, ids)) if ids else ""
        again = f"ipydurable.forms({', '.join(map(repr, ids))})"
        found = self.client.forms(ids)
        return NotebookForms(self.client, found, whose, ids, again, self._keep_forms)

    def _keep_forms(self, view: FormsOutput) -> None:
        """Take note of forms that are shown, so that somebody can end it."""

    def purge(
        self,
        instance_id: str = "",
        *,
        status: Statuses = (),
        name: str = "",
        prefix: str = "",
        tags: Mapping[str, str] | None = None,
        before: Time | None = None,
        recursive: bool = False,
    ) -> int:
        """Delete finished instances, and return how many; see `ipydurable.purge`."""
        filters = (status, name, prefix, tags, before)
        if bool(instance_id) == any(filters):
            raise ArgumentError(
                "say what to purge: one instance by its id, or finished ones by a filter such as "
                'status="completed" or before="7d"'
            )
        if instance_id:
            return self.client.purge(instance_id, recursive=recursive)
        query = InstanceQuery(
            status=parse_statuses(status),
            name=name,
            prefix=prefix,
            tags=dict(tags or {}),
            created_to=None if before is None else parse_time(before, "ago"),
        )
        return self.client.purge_all(query, recursive=recursive)

    def list_entities(
        self,
        *,
        name: str = "",
        prefix: str = "",
        locked: bool = False,
        since: Time | None = None,
        until: Time | None = None,
        include_empty: bool = False,
        limit: int = 0,
        after: str = "",
    ) -> pd.DataFrame:
        """Return the entities newest first, with their states; filters as of `entities`."""
        query = EntityQuery(
            name=name,
            prefix=entity_prefix(prefix),
            modified_from=None if since is None else parse_time(since, "ago"),
            modified_to=None if until is None else parse_time(until, "ago"),
            locked=locked,
            include_empty=include_empty,
            limit=limit,
            before_iid=self.number_of_entity(after) if after else 0,
        )
        client = self.client
        return entities_frame(client.query_entities(query), partial(state_to_show, client))

    def dashboard(self) -> DashboardView:
        """Return the dashboard of the store; see `ipydurable.dashboard`."""
        return DashboardView.of(self.client)

    def list_locks(self) -> pd.DataFrame:
        """Return the locks that are held or asked for, with owner, age (seconds) and queue."""
        return locks_frame(self.client.locks())
