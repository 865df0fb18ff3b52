"""The views of a store as DataFrames, with filters that are carried out in SQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import SQL_TIMEOUT_S, DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.frames import to_frame
from ipydurable.runtime.payloads import payload_of
from ipydurable.store.columns import VIEWS

from .arguments import ArgumentError, Duration, Statuses, Time, parse_seconds
from .selecting import Conditions, labels, read_view

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ClientData", "StoreData", "entity_prefix", "id_of"]


class StoreData(ABC):
    """What a store holds, as tables; `ipydurable.instances` and the like say what each gives."""

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
        parent: Any = "",
        limit: int = 0,
        after: Any = "",
    ) -> pd.DataFrame:
        """Return the instances as a DataFrame, newest first; see `ipydurable.instances`."""
        conditions = Conditions("instances")
        conditions.status(status)
        conditions.equal("name", name)
        conditions.starts("instance_id", prefix)
        conditions.contains("tags", labels(tags))
        conditions.between(since, until)
        conditions.equal("parent_instance_id", id_of(parent))
        if after:
            conditions.text("iid < $after", after=self.client.get(id_of(after)).iid)
        return read_view(self.client, conditions, limit)

    def history(
        self,
        instance: Any = "",
        *,
        event_type: str = "",
        name: str = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return history events as a DataFrame; see `ipydurable.history`."""
        conditions = self._of("history", instance, since, until)
        conditions.equal("event_type", event_type)
        conditions.equal("name", name)
        return read_view(self.client, conditions, limit)

    def activities(
        self,
        instance: Any = "",
        *,
        name: str = "",
        status: str | Iterable[str] = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return activities as a DataFrame; see `ipydurable.activities`."""
        conditions = self._of("activities", instance, since, until)
        conditions.equal("name", name)
        conditions.status(status)
        return read_view(self.client, conditions, limit)

    def attempts(
        self,
        instance: Any = "",
        *,
        name: str = "",
        status: str | Iterable[str] = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return attempts of activities as a DataFrame; see `ipydurable.attempts`."""
        conditions = self._of("attempts", instance, since, until)
        conditions.equal("name", name)
        conditions.status(status)
        return read_view(self.client, conditions, limit)

    def timers(
        self,
        instance: Any = "",
        *,
        status: str | Iterable[str] = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return timers as a DataFrame; see `ipydurable.timers`."""
        conditions = self._of("timers", instance, since, until)
        conditions.status(status)
        return read_view(self.client, conditions, limit)

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
        after: Any = "",
    ) -> pd.DataFrame:
        """Return the entities as a DataFrame, newest first; see `ipydurable.entities`."""
        conditions = Conditions("entities")
        conditions.equal("name", name.lower())
        conditions.starts("entity_id", entity_prefix(prefix))
        if locked:
            conditions.text("locked_by IS NOT NULL")
        if not include_empty:
            conditions.text("NOT is_empty")
        conditions.between(since, until)
        if after:
            conditions.text("iid < $after", after=self.number_of_entity(id_of(after)))
        return read_view(self.client, conditions, limit)

    def operations(
        self,
        entity: Any = "",
        *,
        operation: str = "",
        sender: Any = "",
        status: str | Iterable[str] = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return operations of entities as a DataFrame; see `ipydurable.operations`."""
        conditions = self._of("operations", entity, since, until)
        conditions.equal("operation", operation)
        conditions.equal("sender", id_of(sender))
        conditions.status(status)
        return read_view(self.client, conditions, limit)

    def locks(
        self,
        entity: Any = "",
        *,
        owner: Any = "",
        status: str | Iterable[str] = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return requests for locks as a DataFrame; see `ipydurable.locks`."""
        conditions = self._of("locks", entity, since, until)
        conditions.equal("owner", id_of(owner))
        conditions.status(status)
        return read_view(self.client, conditions, limit)

    def definitions(
        self,
        *,
        name: str = "",
        kind: str = "",
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 0,
    ) -> pd.DataFrame:
        """Return all versions of definitions as a DataFrame; see `ipydurable.definitions`."""
        conditions = Conditions("definitions")
        conditions.equal("name", name)
        conditions.equal("kind", kind.lower())
        conditions.between(since, until)
        return read_view(self.client, conditions, limit)

    def payload(self, instance: Any, seq: int | None = None) -> Any:
        """Return the value of an event, or the output; see `ipydurable.payload`."""
        return payload_of(self.client, id_of(instance), seq)

    def sql(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Duration = SQL_TIMEOUT_S,
    ) -> pd.DataFrame:
        """Return the answer to a read-only SQL query; see `ipydurable.sql`."""
        return to_frame(self.client.sql(text, parameters, parse_seconds(timeout)))

    def number_of_entity(self, entity: str) -> int:
        """Return an entity's number in the store.

        Raises:
            ArgumentError: There is no such entity.
        """
        record = self.client.get_entity(entity)
        if record is None:
            raise ArgumentError(f"there is no entity {entity}")
        return record.iid

    def _of(self, view: str, owner: Any, since: Time | None, until: Time | None) -> Conditions:
        """Return conditions for what belongs to an instance or entity, in a span of time."""
        conditions = Conditions(view)
        known = id_of(owner)
        column = VIEWS[view].owner
        if known and (column == "entity_id" or known.startswith("@")):
            known = str(EntityInstanceId.parse(known))
        elif known:
            self.client.get(known)
        conditions.equal(column, known)
        conditions.between(since, until)
        return conditions


class ClientData(StoreData):
    """What a client reaches, as tables.

    Args:
        client: The client.
    """

    def __init__(self, client: DurableClient) -> None:
        self._client = client

    @property
    def client(self) -> DurableClient:
        """The client."""
        return self._client


def id_of(what: Any) -> str:
    """Return the id of an instance or entity, given by a handle or by the id itself."""
    for name in ("instance_id", "entity_id"):
        found = getattr(what, name, None)
        if found is not None:
            return str(found)
    return str(what)


def entity_prefix(prefix: str) -> str:
    """Return how an entity id in its stored form begins: `Account@al` means `@account@al`."""
    if not prefix:
        return ""
    name, separator, key = prefix.removeprefix("@").partition("@")
    return f"@{name.lower()}{separator}{key}"
