"""Entities in memory that have nothing to do; those used last stay, as they come back soonest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .core.payload import Blob

if TYPE_CHECKING:
    from .core.payload import Payload
    from .live_entities import Entity

__all__ = ["IdleEntities"]

_MAX_BYTES = 32 * 2**20


class IdleEntities:
    """Idle entities, the longest idle first.

    Args:
        limit: How many may stay in memory.
        max_bytes: How large their states may be together.
    """

    def __init__(self, limit: int, max_bytes: int = _MAX_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._entities: OrderedDict[int, tuple[Entity, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entities)

    def put(self, entity: Entity) -> None:
        """Add an entity, or take note that it has just been used."""
        self.discard(entity.record.iid)
        size = _size_of(entity.record.state)
        self._entities[entity.record.iid] = (entity, size)
        self._bytes += size

    def discard(self, iid: int) -> None:
        """Take an entity out, if it is here: it has something to do."""
        _, size = self._entities.pop(iid, (None, 0))
        self._bytes -= size

    def surplus(self) -> Iterator[Entity]:
        """Give, one by one, entities that should leave memory; `discard` those that do."""
        if len(self._entities) <= self._limit and self._bytes <= self._max_bytes:
            return
        for entity, _ in list(self._entities.values()):
            if len(self._entities) <= self._limit and self._bytes <= self._max_bytes:
                return
            yield entity


def _size_of(state: Payload | None) -> int:
    if state is None:
        return 0
    return len(state.data if isinstance(state, Blob) else state)
