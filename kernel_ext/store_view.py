"""What can be asked of a store as a whole: lists as DataFrames, SQL, purging."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.ports import EntityQuery, InstanceQuery

from .arguments import ArgumentError, Statuses, Time, parse_statuses, parse_time
from .entity_handles import state_to_show
from .frames import entities_frame, instances_frame, locks_frame
from .reading import decode_to_show

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StoreView", "entity_prefix"]

_DESCRIBED = 1_000


class StoreView(ABC):
    """The lists of a store."""

    @property
    @abstractmethod
    def client(self) -> DurableClient:
        """The client; waits until it is connected."""

    def instances(  # noqa: PLR0913  (filters, each given by its name)
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
        """Return the instances as a DataFrame, newest first; see `ipydurable.instances`."""
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

    def entities(
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
        """Return the entities as a DataFrame, newest first; see `ipydurable.entities`."""
        query = EntityQuery(
            name=name,
            prefix=entity_prefix(prefix),
            modified_from=None if since is None else parse_time(since, "ago"),
            modified_to=None if until is None else parse_time(until, "ago"),
            locked=locked,
            include_empty=include_empty,
            limit=limit,
            before_iid=self._number_of_entity(after) if after else 0,
        )
        client = self.client
        return entities_frame(client.query_entities(query), partial(state_to_show, client))

    def locks(self) -> pd.DataFrame:
        """Return the locks as a DataFrame; see `ipydurable.locks`."""
        return locks_frame(self.client.locks())

    def history(self, instance_id: str) -> pd.DataFrame:
        """Return an instance's history as a DataFrame; raises UnknownInstanceError."""
        return InstanceHandle(self.client, instance_id).history()

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the answer to a read-only SQL query; see `ipydurable.sql`."""
        frame: pd.DataFrame = self.client.sql(text, parameters).to_pandas()
        return frame

    def _number_of_entity(self, entity: str) -> int:
        record = self.client.get_entity(entity)
        if record is None:
            raise ArgumentError(f"there is no entity {entity}")
        return record.iid


def entity_prefix(prefix: str) -> str:
    """Return how an entity id in its stored form begins: `Account@al` means `@account@al`."""
    if not prefix:
        return ""
    name, separator, key = prefix.removeprefix("@").partition("@")
    return f"@{name.lower()}{separator}{key}"
