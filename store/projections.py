"""Records of instances and entities as columns and back, and those that wait to be written.

The table `instance_records` lags behind the journal; until a record is written there, reads are
answered from `PendingRecords`. The watermark in `meta` says up to which journal row the table is
complete, and is written in the same transaction.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from ipydurable.runtime.core.errors import DecodingError
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.records import InstanceRecord, Record

from .payloads import LargeValue, PayloadRef, is_large, refer, resolve
from .schema import APPLIED_GSEQ, LAST_IID
from .text import storable, to_json

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "PendingRecords",
    "RecordColumns",
    "Watermark",
    "decode_refs",
    "pack_record",
    "read_watermark",
    "unpack_record",
    "write_records",
]

RecordColumns: TypeAlias = tuple[
    int,  # iid
    str,  # instance_id
    Literal["orchestration", "entity"],  # kind
    str,  # name
    str | None,  # status
    bool,  # is_live
    datetime,  # created_at
    datetime,  # updated_at
    datetime | None,  # started_at
    datetime | None,  # completed_at
    str | None,  # parent_instance_id
    str | None,  # tags
    str,  # record
    str | None,  # refs
]
"""A row of the table `instance_records`, in the order of `schema.RECORD_COLUMNS`."""


class Watermark(NamedTuple):
    """How far something is: the last journal row, and the highest instance number up to it."""

    gseq: int
    iid: int


_decode_record = msgspec.json.Decoder(Record).decode
_decode_refs = msgspec.json.Decoder(dict[str, PayloadRef]).decode


def pack_record(record: Record, large: dict[str, LargeValue]) -> RecordColumns:
    """Return the columns of a record.

    Args:
        record: The record; it is not changed.
        large: Receives, by digest, the values the record names that are too large for it.
    """
    refs = {
        name: refer(payload, large)
        for name, payload in _payloads_of(record).items()
        if payload is not None and is_large(payload)
    }
    slim = msgspec.structs.replace(record, **dict.fromkeys(refs)) if refs else record
    instance = record if isinstance(record, InstanceRecord) else None
    return (
        record.iid,
        storable(record.instance_id),
        "orchestration" if instance else "entity",
        storable(record.name),
        instance.status.value if instance else None,
        record.is_live,
        record.created_at,
        record.updated_at,
        instance.started_at if instance else None,
        instance.completed_at if instance else None,
        (storable(instance.parent_instance_id) or None) if instance else None,
        to_json(instance.tags) if instance and instance.tags else None,
        to_json(slim),
        to_json(refs) if refs else None,
    )


def unpack_record(
    record: str, refs: Mapping[str, PayloadRef], large: Mapping[str, str | bytes]
) -> Record:
    """Return the record that `pack_record` made columns of.

    Args:
        record: The column of that name.
        refs: The column of that name, decoded.
        large: Contents of the values that `refs` names, by digest.

    Raises:
        DecodingError: One of those values is missing.
    """
    found: Record = _decode_record(record)
    for name, ref in refs.items():
        content = large.get(ref.digest)
        if content is None:
            what = f"The {name} of {found.instance_id!r}"
            raise DecodingError(what, f"payload {ref.digest} is missing")
        setattr(found, name, resolve(ref, content))
    return found


def decode_refs(refs: str | None) -> dict[str, PayloadRef]:
    """Return the column `refs` as data."""
    return _decode_refs(refs) if refs is not None else {}


def read_watermark(cursor: duckdb.DuckDBPyConnection) -> Watermark:
    """Return how far `instance_records` is."""
    meta = dict(cursor.execute("SELECT key, value FROM meta").fetchall())
    return Watermark(int(meta[APPLIED_GSEQ]), int(meta[LAST_IID]))


def write_records(
    cursor: duckdb.DuckDBPyConnection, rows: Collection[RecordColumns], mark: Watermark
) -> None:
    """Write records and how far they are; `cursor` is in a transaction."""
    if rows:
        appender = cursor.appender("instance_records", action="upsert")
        appender.append_rows(rows)
        appender.flush()
    cursor.execute(
        "UPDATE meta SET value = CASE key WHEN $1 THEN $2 ELSE $4 END WHERE key IN ($1, $3)",
        [APPLIED_GSEQ, str(mark.gseq), LAST_IID, str(mark.iid)],
    ).fetchall()


class PendingRecords:
    """Records as of the last journal row that are not in the table yet. Safe in all threads."""

    def __init__(self, mark: Watermark) -> None:
        self._lock = threading.Lock()
        self._by_iid: dict[int, Record] = {}
        self._newest: dict[str, int] = {}
        self._mark = mark

    @property
    def mark(self) -> Watermark:
        """How far the journal is."""
        return self._mark

    def put(self, records: Iterable[Record], mark: Watermark) -> None:
        """Keep copies of `records`, which are as of `mark`."""
        copies = [copy.copy(record) for record in records]
        with self._lock:
            for record in copies:
                self._by_iid[record.iid] = record
                self._newest[record.instance_id] = max(
                    record.iid, self._newest.get(record.instance_id, 0)
                )
            self._mark = mark

    def find(self, instance_id: str) -> Record | None:
        """Return a copy of the newest record kept for an instance id, or None."""
        with self._lock:
            iid = self._newest.get(instance_id)
            return copy.copy(self._by_iid[iid]) if iid is not None else None

    def snapshot(self) -> tuple[list[Record], Watermark]:
        """Return all that is kept and how far it is; to be given back to `written`."""
        with self._lock:
            return list(self._by_iid.values()), self._mark

    def written(self, records: Iterable[Record]) -> None:
        """Let go of those that were not replaced since `snapshot`."""
        with self._lock:
            for record in records:
                if self._by_iid.get(record.iid) is record:
                    del self._by_iid[record.iid]
                    if self._newest.get(record.instance_id) == record.iid:
                        del self._newest[record.instance_id]


def _payloads_of(record: Record) -> dict[str, Payload | None]:
    if isinstance(record, InstanceRecord):
        return {
            "input": record.input,
            "output": record.output,
            "custom_status": record.custom_status,
        }
    return {"state": record.state}
