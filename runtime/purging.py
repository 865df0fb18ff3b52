"""Deletes finished instances and empty entities, once each however often a client asks for it.

Belongs to the engine; what deletes runs where nothing is being appended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from .core.errors import InstanceStateError, StoreError
from .core.records import InstanceRecord
from .engine import Engine
from .ports import EntityQuery, InstanceQuery
from .requests import CleanEntities, Purge

__all__ = ["Purging"]


class Purging:
    """Handles the requests that delete.

    Args:
        engine: The engine.
        record: Gives an instance's record as the engine knows it; raises for an unknown one.
    """

    def __init__(self, engine: Engine, record: Callable[[str], InstanceRecord]) -> None:
        self._engine = engine
        self._record = record

    def purge(self, request: Purge, future: Future[Any]) -> None:
        """Delete finished instances; `future` gets how many."""
        if self._was_done(request, future):
            return
        if request.instance_id:
            record = self._record(request.instance_id)
            if not record.status.is_terminal:
                wanted = "only a finished instance can be purged; terminate it"
                raise InstanceStateError(record.instance_id, record.status.value, wanted)
            records = [record]
        else:
            found = self._engine.store.query(request.query or InstanceQuery())
            records = [one for one in found if one.status.is_terminal]
        if request.recurse:
            records = self._with_children(records)
        self._delete([record.iid for record in records], request, future)

    def clean_entities(self, request: CleanEntities, future: Future[Any]) -> None:
        """Delete entities without state and work; `future` gets how many."""
        if self._was_done(request, future):
            return
        entities = self._engine.entities
        iids = entities.give_up_empty(
            self._engine.store.query_entities(EntityQuery(only_empty=True))
        )
        self._delete(iids, request, future, lambda: self._engine.post(entities.deleted, iids))

    def _was_done(self, request: Purge | CleanEntities, future: Future[Any]) -> bool:
        """Answer a request that an earlier host carried out before it died."""
        count = self._engine.store.purged(request.request_id) if request.repeated else None
        if count is not None:
            future.set_result(count)
        return count is not None

    def _delete(
        self,
        iids: Sequence[int],
        request: Purge | CleanEntities,
        future: Future[Any],
        deleted: Callable[[], None] = lambda: None,
    ) -> None:
        def delete() -> None:
            try:
                self._engine.store.purge(iids, request.request_id)
            except StoreError as error:  # A full disk, for instance: all is as it was.
                future.set_exception(error)
                return
            deleted()
            future.set_result(len(iids))

        self._engine.after_commit(lambda: self._engine.journal.run_exclusively(delete))

    def _with_children(self, records: list[InstanceRecord]) -> list[InstanceRecord]:
        found = {record.iid: record for record in records}
        waiting = list(records)
        while waiting:
            parent = waiting.pop().instance_id
            for child in self._engine.store.query(InstanceQuery(parent=parent)):
                if child.status.is_terminal and child.iid not in found:
                    found[child.iid] = child
                    waiting.append(child)
        return list(found.values())
