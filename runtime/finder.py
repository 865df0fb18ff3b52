"""Finds finished instances in the store, beside the engine and many with one query."""

from __future__ import annotations

import difflib
import threading
from concurrent.futures import Executor, Future
from typing import Any

from .core.errors import DurableError, DurableInternalError, UnknownInstanceError
from .core.records import InstanceRecord
from .ports import InstanceQuery, ReadableStore, Store

__all__ = ["Finder", "unknown_instance"]

_NEAR_AMONG = 500


class Finder:
    """Answers with the records of instances that the engine does not hold.

    Whoever asks while a query runs is answered by the next one, all together.

    Args:
        store: Where the records are.
        readers: Runs the queries.
    """

    def __init__(self, store: Store, readers: Executor) -> None:
        self._store = store
        self._readers = readers
        self._lock = threading.Lock()
        self._wanted: list[tuple[str, Future[Any]]] = []
        self._is_busy = False

    def find(self, instance_id: str, future: Future[Any]) -> None:
        """Have `future` get the record, or UnknownInstanceError; from any thread."""
        with self._lock:
            self._wanted.append((instance_id, future))
            if self._is_busy:
                return
            self._is_busy = True
        self._readers.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, []
                if not wanted:
                    self._is_busy = False
                    return
            self._answer(wanted)

    def _answer(self, wanted: list[tuple[str, Future[Any]]]) -> None:
        try:
            found = self._store.find_many([instance_id for instance_id, _ in wanted])
        except Exception as error:  # noqa: BLE001  (whoever waits must hear of it)
            told = error if isinstance(error, DurableError) else DurableInternalError(repr(error))
            for _, future in wanted:
                future.set_exception(told)
            return
        for instance_id, future in wanted:
            record = found.get(instance_id)
            if isinstance(record, InstanceRecord):
                future.set_result(record)
            else:
                future.set_exception(unknown_instance(self._store, instance_id))


def unknown_instance(store: ReadableStore, instance_id: str) -> UnknownInstanceError:
    """Return the error for an id that no instance has; it lists near ones."""
    known = store.query(InstanceQuery(limit=_NEAR_AMONG))
    near = difflib.get_close_matches(instance_id, [one.instance_id for one in known], n=3)
    return UnknownInstanceError(instance_id, store.path, tuple(near))
