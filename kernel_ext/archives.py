"""Archives: stores that are only read, and instances in Parquet files to share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.payload import digests_in, digests_in_json, files_folder

from .session import DurableSession
from .store_data import StoreData, id_of
from .version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

    from ipydurable.runtime.files import ValueFiles

__all__ = ["export_instances", "import_instances", "open_archive"]

_EVENTS_AT_ONCE = 500_000
_MINE = "SELECT iid FROM instance_records WHERE instance_id IN (SELECT unnest($ids::VARCHAR[]))"
_EXPORT = f"""
WITH mine AS MATERIALIZED ({_MINE}),
rows AS (FROM journal WHERE iid IN (FROM mine)),
versions AS (
  SELECT version FROM instances WHERE iid IN (FROM mine)
  UNION SELECT version FROM activities WHERE iid IN (FROM mine)
  UNION SELECT version FROM entities WHERE iid IN (FROM mine)),
digests AS (
  SELECT digest FROM rows UNION
  SELECT extra->>'$.state_ref.digest' FROM rows WHERE kind = 'OperationDone')
SELECT 'journal' AS part, r.instance_id, j.*
FROM rows j JOIN instance_records r USING (iid)
UNION ALL BY NAME SELECT 'journal' AS part, * FROM journal
WHERE stream = 'definition' AND extra->>'$.version' IN (FROM versions)
UNION ALL BY NAME SELECT 'instance_records' AS part, *
FROM instance_records WHERE iid IN (FROM mine)
UNION ALL BY NAME SELECT 'payloads' AS part, * FROM payloads WHERE digest IN (FROM digests)
UNION ALL BY NAME SELECT 'attempt_output_rows' AS part, *
FROM attempt_output_rows WHERE iid IN (FROM mine)
"""  # noqa: S608  (no values in it)
_WITH_CHILDREN = """
WITH RECURSIVE family AS (
  SELECT unnest($ids::VARCHAR[]) AS id
  UNION
  SELECT i.instance_id FROM instances i JOIN family ON i.parent_instance_id = family.id)
SELECT id, coalesce(i.last_seq, 0) AS events
FROM family LEFT JOIN instances i ON i.instance_id = family.id ORDER BY i.iid
"""


def open_archive(path: str | Path) -> DurableSession:
    """Open a store, or a file that `export` wrote, for reading only: no host, nothing written.

    Tables, SQL, histories, timelines and handles work as always; what would change something
    raises `ReadOnlyStoreError`, and pickled values are not loaded. While a host has the store
    open, it is read through that host.

    Args:
        path: A store file, of any earlier version too, also on a medium that cannot be written;
            or a Parquet file.

    Returns:
        The session; close it, or use it as a context manager.

    Raises:
        NotAStoreError: The file is missing, or holds something else.
        StoreDamagedError: The file is damaged.
        StoreLockedError: Another process that is no host has the store open.
    """
    place = Path(path).expanduser().absolute()
    client = _client(place)
    session = DurableSession(lambda: client, str(path))
    _ = session.client
    return session


def import_instances(path: str | Path) -> DurableSession:
    """Read instances that `export` wrote: an archive of its own, beside the store.

    Nothing of it gets into the store, so nothing of it can run, and nothing is unpickled.

    Args:
        path: The Parquet file.

    Returns:
        The session, as of `open_archive`; `archive.instances()` says what came in.

    Raises:
        NotAStoreError: The file is missing, or `export` did not write it.
    """
    return open_archive(path)


def export_instances(
    data: StoreData,
    path: str | Path,
    instances: Any = (),
    *,
    children: bool = True,
    **filters: Any,
) -> int:
    """Write instances to a Parquet file; see `ipydurable.export`."""
    import pyarrow.parquet as pq

    wanted = _ids(instances) if instances else data.instances(**filters)["instance_id"].tolist()
    for one in wanted:
        data.payload(one)  # says which is unknown
    found = data.client.sql(_WITH_CHILDREN, {"ids": wanted}).to_pylist() if wanted else []
    if not children:
        found = [row for row in found if row["id"] in set(wanted)]
    place = Path(path).expanduser().absolute()
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    writer: pq.ParquetWriter | None = None
    digests: set[str] = set()
    try:
        for ids in _bulks(found) if found else [[]]:
            table: pa.Table = data.client.sql(_EXPORT, {"ids": ids})
            if writer is None:
                writer = pq.ParquetWriter(partial, table.schema, compression="zstd")
            writer.write_table(table)
            digests |= _digests_of(table)
        assert writer is not None
        writer.close()
        _copy_files(getattr(data.client.converter, "files", None), place, digests)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return len(found)


def _digests_of(table: pa.Table) -> set[str]:
    """Return which files the values of an export lie in."""
    found: set[str] = set()
    for data in table["data"].to_pylist():
        found |= digests_in(data or b"")
    for text in table["extra"].to_pylist():
        found |= digests_in_json(text or "")
    return found


def _copy_files(files: ValueFiles | None, place: Path, digests: set[str]) -> None:
    """Copy files of values beside an export, where whoever reads it looks for them."""
    if files is None:
        return
    target = Path(files_folder(str(place)))
    for one in Path(files.folder).glob("*") if digests else ():
        if one.name.partition(".")[0] in digests:
            target.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(one, target / one.name)


def _client(place: Path) -> DurableClient:
    from ipydurable.runtime.archive import ArchiveTransport, PlainConverter, ReadingTransport
    from ipydurable.runtime.connection import HostPaths
    from ipydurable.runtime.files import files_beside
    from ipydurable.runtime.launch import find_host
    from ipydurable.runtime.link import Link
    from ipydurable.store import open_archive as open_archive_store

    paths = HostPaths(place)
    files = files_beside(str(paths.store))
    if find_host(paths) is not None:
        return DurableClient(ReadingTransport(Link(paths), str(place)), PlainConverter(files))
    store = open_archive_store(place)
    return DurableClient(
        ArchiveTransport(store, store.definitions, __version__), PlainConverter(files)
    )


def _ids(instances: Any) -> list[str]:
    if isinstance(instances, str) or hasattr(instances, "instance_id"):
        return [id_of(instances)]
    many: Iterable[Any] = instances
    return [id_of(one) for one in many]


def _bulks(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    bulk: list[str] = []
    events = 0
    for row in found:
        bulk.append(row["id"])
        events += row["events"]
        if events >= _EVENTS_AT_ONCE:
            yield bulk
            bulk, events = [], 0
    if bulk:
        yield bulk
