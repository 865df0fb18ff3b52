"""Tables of a store file, as of schema version 3.

The journal is the truth. `instance_records` is folded from it and can be rebuilt; `payloads`
holds the large values that journal rows and records name by digest.
"""

from __future__ import annotations

__all__ = [
    "APPLIED_GSEQ",
    "INLINE_LIMIT",
    "IN_USE",
    "JOURNAL_COLUMNS",
    "LAST_IID",
    "META_DEFAULTS",
    "OUTPUT_COLUMNS",
    "PURGED",
    "RECORD_COLUMNS",
    "TABLES",
    "TABLES_V1",
    "TABLES_V2",
]

INLINE_LIMIT = 64 * 1024
"""Values longer than this (characters of JSON text, bytes of a blob) go to `payloads`."""

APPLIED_GSEQ = "applied_gseq"
"""Key in `meta`: `instance_records` reflects the journal up to this row."""

LAST_IID = "last_iid"
"""Key in `meta`: the highest instance number used up to `APPLIED_GSEQ`."""

IN_USE = "in_use"
"""Key in `meta`: `1` from the opening of the file until it is closed in good order."""

PURGED = "purged:"
"""Beginning of keys in `meta`, before a request's id: how many instances it deleted."""

META_DEFAULTS = {APPLIED_GSEQ: 0, LAST_IID: 0}

TABLES = frozenset(
    {"meta", "migrations", "journal", "payloads", "instance_records", "attempt_output_rows"}
)

JOURNAL_COLUMNS = (
    "gseq, iid, seq, ts, stream, kind, name, task_id, ref, payload, extra, digest, data"
)
"""Columns of `journal`, in order."""

RECORD_COLUMNS = (
    "iid, instance_id, kind, name, status, is_live, created_at, updated_at, started_at, "
    "completed_at, parent_instance_id, tags, record, refs"
)
"""Columns of `instance_records`, in order."""

OUTPUT_COLUMNS = "iid, execution_id, task_id, attempt, name, ts, items, dropped"
"""Columns of `attempt_output_rows`, in order."""

# The journal has no key and no index: both cost file size and memory and serve no read. The
# instance number grows with time, so DuckDB's zone maps find an instance's rows.
TABLES_V1 = (
    """
    CREATE TABLE journal(
      gseq BIGINT NOT NULL,
      iid BIGINT NOT NULL,
      seq INTEGER NOT NULL,
      ts TIMESTAMP NOT NULL,
      stream VARCHAR NOT NULL,
      kind VARCHAR NOT NULL,
      name VARCHAR,
      task_id INTEGER,
      ref BIGINT NOT NULL,
      payload VARCHAR,
      extra VARCHAR,
      digest VARCHAR,
      data BLOB)
    """,
    """
    CREATE TABLE payloads(
      digest VARCHAR NOT NULL,
      size BIGINT NOT NULL,
      codec VARCHAR NOT NULL,
      text VARCHAR,
      data BLOB)
    """,
    """
    CREATE TABLE instance_records(
      iid BIGINT PRIMARY KEY,
      instance_id VARCHAR NOT NULL,
      kind VARCHAR NOT NULL,
      name VARCHAR NOT NULL,
      status VARCHAR,
      is_live BOOLEAN NOT NULL,
      created_at TIMESTAMP NOT NULL,
      updated_at TIMESTAMP NOT NULL,
      started_at TIMESTAMP,
      completed_at TIMESTAMP,
      parent_instance_id VARCHAR,
      tags VARCHAR,
      record VARCHAR NOT NULL,
      refs VARCHAR)
    """,
)
"""Statements that create the tables of version 1, but for `meta` and `migrations`."""

TABLES_V2 = (
    """
    CREATE TABLE attempt_output_rows(
      iid BIGINT NOT NULL,
      execution_id VARCHAR NOT NULL,
      task_id INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      name VARCHAR NOT NULL,
      ts TIMESTAMP NOT NULL,
      items VARCHAR NOT NULL,
      dropped BIGINT NOT NULL)
    """,
)
"""What version 2 adds: what attempts printed, one row each; a later row of an attempt counts."""
