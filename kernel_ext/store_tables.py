"""Pages of instances and entities: searched, sorted and cut in the host, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.status import TERMINAL

from .frames import waiting_text

__all__ = ["MAX_ROWS", "EntityRows", "InstanceRows", "Rows"]

MAX_ROWS = 200
"""How many rows a page has at most."""
_NOTE_CHARS = 200
_STATE_CHARS = 160
_FINAL = frozenset(status.value for status in TERMINAL)


class Rows:
    """Pages of one view of the store.

    Args:
        client: Reaches the host.
    """

    view: ClassVar[str]
    columns: ClassVar[str]
    sorts: ClassVar[Mapping[str, str]]
    """SQL by the name of a column that can be sorted by."""

    def __init__(self, client: DurableClient) -> None:
        self.client = client

    def page(self, query: Mapping[str, Any], offset: int = 0, limit: int = 50) -> dict[str, Any]:
        """Return `total`, how many match, and `rows`: some of them, each a list.

        Args:
            query: What to look for; see the subclasses. What is not there does not count.
            offset: How many to pass over.
            limit: How many rows; `MAX_ROWS` at most.
        """
        conditions, parameters = self._conditions(query)
        where = " AND ".join(conditions) or "true"
        sort = self.sorts.get(str(query.get("sort", "")), "iid")
        way = "ASC" if query.get("up") else "DESC"
        offset, limit = max(0, int(offset)), min(MAX_ROWS, max(0, int(limit)))
        order = f"ORDER BY place {way} NULLS LAST, iid DESC"
        # The ids first: what is shown of a row is worked out for those of the page only.
        rows = self.client.sql(
            f"WITH page AS (SELECT iid, {sort} AS place FROM {self.view} WHERE {where} "  # noqa: S608  (names are ours, values are bound)
            f"{order} LIMIT {limit} OFFSET {offset}) "
            f"SELECT {self.columns} FROM {self.view} JOIN page USING (iid) {order}",
            parameters,
        )
        total = self.client.sql(f"SELECT count(*) AS n FROM {self.view} WHERE {where}", parameters)  # noqa: S608
        shown = self._shown([list(row.values()) for row in rows.to_pylist()])
        return {"total": total.to_pylist()[0]["n"], "rows": shown}

    def names(self) -> list[list[Any]]:
        """Return the names there are, and how many rows each has; most first."""
        where = " AND ".join(self._conditions({})[0]) or "true"
        found = self.client.sql(
            f"SELECT name, count(*) AS n FROM {self.view} WHERE {where} GROUP BY ALL "  # noqa: S608
            "ORDER BY n DESC, name LIMIT 200"
        )
        return [[row["name"], row["n"]] for row in found.to_pylist()]

    def _conditions(self, query: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        raise NotImplementedError

    def _shown(self, rows: list[list[Any]]) -> list[list[Any]]:
        return rows


class InstanceRows(Rows):
    """Pages of instances.

    A query may have `text` (in the id, in any case), `name`, `status` (a list), `from` and `to`
    (created between, milliseconds since 1970). A row is: id, name, status, created, started,
    ended (milliseconds since 1970), what it waits for or why it failed.
    """

    view = "instances"
    sorts: ClassVar[Mapping[str, str]] = {
        "created": "created_at",
        "id": "instance_id",
        "name": "name",
        "status": "status",
        "took": "coalesce(completed_at, now() AT TIME ZONE 'UTC') - started_at",
    }
    columns = f"""
      instance_id, name, status, epoch_ms(created_at) AS created, epoch_ms(started_at) AS started,
      epoch_ms(completed_at) AS ended,
      left(coalesce(nullif(suspend_reason, ''), error, custom_status, ''), {_NOTE_CHARS}) AS note
    """

    def _conditions(self, query: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        if text := str(query.get("text") or "").strip().lower():
            conditions.append("contains(lower(instance_id), $text)")
            parameters["text"] = text
        if name := query.get("name"):
            conditions.append("name = $name")
            parameters["name"] = str(name)
        if status := query.get("status"):
            conditions.append("list_contains($status, status)")
            parameters["status"] = [str(one) for one in status]
        for key, comparison in (("from", ">="), ("to", "<")):
            if query.get(key) is not None:
                conditions.append(f"epoch_ms(created_at) {comparison} ${key}")
                parameters[key] = int(query[key])
        return conditions, parameters

    def _shown(self, rows: list[list[Any]]) -> list[list[Any]]:
        live = [row[0] for row in rows if row[2] not in _FINAL]
        waiting = self.client.open_tasks(live) if live else {}
        for row in rows:
            words = waiting_text(waiting.get(row[0], ()))
            if words and not row[6]:
                row[6] = f"waits for {words}"[:_NOTE_CHARS]
        return rows


class EntityRows(Rows):
    """Pages of entities.

    A query may have `text` (in name@key, in any case), `name`, `locked` and `busy` (only those
    that messages wait for), `empty` (also those without state). A row is: id, name, key, state
    (JSON text, cut), how many messages wait, locked by, modified (milliseconds since 1970).
    """

    view = "entities"
    sorts: ClassVar[Mapping[str, str]] = {
        "modified": "updated_at",
        "key": "key",
        "name": "name",
        "pending": "pending",
        "locked": "locked_at",
    }
    columns = f"""
      entity_id, name, key, left(state, {_STATE_CHARS}) AS state, pending, locked_by,
      epoch_ms(updated_at) AS modified
    """

    def __init__(self, client: DurableClient) -> None:
        super().__init__(client)
        self._names: dict[str, str] = {}

    def names(self) -> list[list[Any]]:
        """Return the names as their classes have them, and how many entities each has."""
        return [[self._written(name), count] for name, count in super().names()]

    def title(self, entity_id: EntityInstanceId) -> str:
        """Return an entity's id as people write it."""
        return f"{self._written(entity_id.name)}@{entity_id.key}"

    def _conditions(self, query: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        conditions = [] if query.get("empty") else ["NOT is_empty"]
        parameters: dict[str, Any] = {}
        if text := str(query.get("text") or "").strip().lower().removeprefix("@"):
            conditions.append("contains(lower(entity_id), $text)")
            parameters["text"] = text
        if name := query.get("name"):
            conditions.append("name = $name")
            parameters["name"] = str(name).lower()
        if query.get("locked"):
            conditions.append("locked_by IS NOT NULL")
        if query.get("busy"):
            conditions.append("pending > 0")
        return conditions, parameters

    def _shown(self, rows: list[list[Any]]) -> list[list[Any]]:
        for row in rows:
            row[1] = self._written(row[1])
            if row[3] is None:
                # State that is not JSON has no text.
                row[3] = "" if row[4] or row[5] else "(pickled)"
        return rows

    def _written(self, name: str) -> str:
        """Return a name as its class has it; entities are known by its small letters."""
        if name not in self._names:
            known = self.client.sql("SELECT DISTINCT name FROM definitions WHERE kind = 'entity'")
            self._names = {row["name"].lower(): row["name"] for row in known.to_pylist()}
            self._names.setdefault(name, name)
        return self._names[name]
