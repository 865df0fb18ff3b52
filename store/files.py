"""Files of large values beside a store: which of them nothing names any more."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipydurable.runtime.core.payload import digests_in, digests_in_json, files_folder

if TYPE_CHECKING:
    import duckdb

__all__ = ["drop_unused_files"]

_MIN_AGE_S: Final = 24 * 3600.0
"""What names a younger file may still be on its way to the store."""
_AT_ONCE: Final = 1_000
_BYTES: Final = (
    "SELECT data FROM journal WHERE data IS NOT NULL "
    "UNION ALL SELECT data FROM payloads WHERE data IS NOT NULL"
)
_TEXTS: Final = (
    "SELECT extra FROM journal WHERE kind = 'OperationDone' AND contains(extra, '\"codec\"')"
)


def drop_unused_files(cursor: duckdb.DuckDBPyConnection, store: str) -> None:
    """Delete files that no row of a store names, unless they are younger than a day.

    Args:
        cursor: Reads the store; it is in no transaction.
        store: The path of the store.
    """
    folder = Path(files_folder(store))
    before = time.time() - _MIN_AGE_S
    if not folder.is_dir():
        return
    old = [one for one in folder.iterdir() if one.stat().st_mtime < before]
    if not old:
        return
    used: set[str] = set()
    cursor.execute(_BYTES)
    while rows := cursor.fetchmany(_AT_ONCE):
        used = used.union(*(digests_in(data) for (data,) in rows))
    cursor.execute(_TEXTS)
    while rows := cursor.fetchmany(_AT_ONCE):
        used = used.union(*(digests_in_json(text) for (text,) in rows))
    for one in old:
        if one.name.partition(".")[0] not in used:
            with contextlib.suppress(OSError):
                one.unlink()
