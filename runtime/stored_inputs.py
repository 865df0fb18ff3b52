"""The inputs of activities that wait their turn: the store has them, so memory need not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

from .core.events import TaskScheduled
from .core.payload import Payload
from .instances import Instance, OpenActivity
from .ports import Store

__all__ = ["StoredInputs"]

_MIN_SIZE: Final = 1024
"""A smaller input costs less than finding it again."""
_MANY: Final = 10_000
_MIN_SIZE_BEHIND_MANY: Final = 128
"""Together they would cost more; under that they are smaller than what else a task takes."""
_READ_AT_ONCE: Final = 500


class StoredInputs:
    """Puts inputs down while their activities are queued behind many others.

    Args:
        store: Where the rows of their `TaskScheduled` are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[int, Payload | None] = {}

    def put_down(self, activity: OpenActivity, queued: int) -> None:
        """Keep the input of a queued activity no longer; its row must be durable.

        Args:
            activity: It waits its turn.
            queued: How many wait, with it.
        """
        payload = activity.scheduled.input
        if payload is None or activity.input_is_stored:
            return
        size = len(payload if isinstance(payload, str) else payload.data)
        if size >= (_MIN_SIZE if queued < _MANY else _MIN_SIZE_BEHIND_MANY):
            activity.scheduled = msgspec.structs.replace(activity.scheduled, input=None)
            activity.input_is_stored = True

    def take(
        self,
        instance: Instance,
        activity: OpenActivity,
        next_ones: Iterable[tuple[Instance, OpenActivity]],
    ) -> Payload | None:
        """Return the input of an activity.

        Args:
            instance: Whose it is.
            activity: It is to run now.
            next_ones: Those that come after it; their inputs are read together with it.
        """
        if not activity.input_is_stored:
            return activity.scheduled.input
        if activity.gseq not in self._read:
            some = [(instance, activity), *islice(next_ones, _READ_AT_ONCE)]
            self._read = self._read_some(some)
        return self._read.pop(activity.gseq)

    def _read_some(self, some: list[tuple[Instance, OpenActivity]]) -> dict[int, Payload | None]:
        wanted: dict[int, list[int]] = defaultdict(list)
        for instance, activity in some:
            if activity.input_is_stored:
                wanted[instance.iid].append(activity.gseq)
        return {
            row.gseq: row.event.input
            for iid, gseqs in wanted.items()
            for row in self._store.rows_of(iid, sorted(set(gseqs)))
            if isinstance(row.event, TaskScheduled)
        }
