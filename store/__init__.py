"""The journal in one DuckDB file: the only package that imports duckdb."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .archive import ArchiveStore
    from .duckdb_store import DuckDBStore

__all__ = ["open_archive", "open_store"]


def open_archive(path: str | os.PathLike[str]) -> ArchiveStore:
    """Open a store file, or a Parquet file that was exported, for reading only.

    Raises:
        NotAStoreError: The file is missing, or holds something else.
        StoreDamagedError: The file is damaged.
        StoreLockedError: Another process has the store open.
        StoreVersionError: The file was written by a newer ipydurable.
    """
    from .archive import ArchiveStore

    return ArchiveStore(path)


def open_store(path: str | os.PathLike[str], *, salvage: bool = False) -> DuckDBStore:
    """Open a store file, or create it, private to the user.

    Args:
        path: The file. A write-ahead log beside it, `<path>.wal`, belongs to it.
        salvage: Go on with what was committed before the damage where the write-ahead log is
            damaged; a copy of the log is kept. Without it only a damaged last commit is left out.

    Returns:
        The store. Call `recover` first; it reports what was repaired or upgraded here.

    Raises:
        NotAStoreError: The file holds something else.
        StoreDamagedError: The file is damaged; the error says what to do.
        StoreLockedError: Another process, or another store in this one, has the file open.
        StoreUnwritableError: The folder is missing, or file or folder cannot be written.
        StoreVersionError: The file was written by a newer ipydurable.
    """
    from .duckdb_store import DuckDBStore

    return DuckDBStore(path, salvage=salvage)
