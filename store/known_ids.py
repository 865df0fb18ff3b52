"""Which ids a store may hold: most starts bring a new one, and need not ask the table.

A query over all records costs a millisecond and more the more there are. Eight bytes of hash for
each id answer "certainly new" in a microsecond.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .text import storable

if TYPE_CHECKING:
    import duckdb

__all__ = ["KnownIds"]

_RUN = 32_768


class KnownIds:
    """A set of ids that may answer yes for one it does not hold, never no for one it does.

    One thread adds, any may ask. Deleted ids stay: asking the table for them does no harm.

    Args:
        cursor: Reads the ids in the table `instance_records`.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        found = cursor.execute(
            "SELECT md5_number_lower(instance_id) AS hash FROM instance_records ORDER BY hash"
        ).fetchall()
        # Sorted runs, each at least twice as long as the next: adding stays cheap.
        self._runs: tuple[array[int], ...] = (array("Q", (hash_ for (hash_,) in found)),)
        self._fresh: set[int] = set()

    def may_hold(self, instance_id: str) -> bool:
        """Whether the id may be there; False is certain."""
        return self._holds(_hash(instance_id))

    def add(self, instance_ids: Iterable[str]) -> None:
        """Add ids."""
        for instance_id in instance_ids:
            hash_ = _hash(instance_id)
            if not self._holds(hash_):
                self._fresh.add(hash_)
        if len(self._fresh) >= _RUN:
            self._begin_run()

    def _holds(self, hash_: int) -> bool:
        # In this order: what leaves `_fresh` is in `_runs` before.
        if hash_ in self._fresh:
            return True
        for run in self._runs:
            at = bisect_left(run, hash_)
            if at < len(run) and run[at] == hash_:
                return True
        return False

    def _begin_run(self) -> None:
        run = array("Q", sorted(self._fresh))
        runs = list(self._runs)
        while runs and len(runs[-1]) < 2 * len(run):
            run = array("Q", sorted([*runs.pop(), *run]))
        self._runs = (*runs, run)
        self._fresh = set()


def _hash(instance_id: str) -> int:
    """Return what DuckDB's `md5_number_lower` gives for the id as it is stored."""
    text = storable(instance_id).encode()
    return int.from_bytes(hashlib.md5(text, usedforsecurity=False).digest()[8:], "little")
