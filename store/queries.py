"""What is read from a store: rows and records for the engine, views and SQL for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ipydurable.runtime.core.errors import QueryError
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.ports import InstanceQuery, JournalRow

from .codec import DIGEST, unpack
from .payloads import LargeValues
from .projections import decode_refs, unpack_record
from .schema import JOURNAL_COLUMNS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "VIEWS_V1",
    "conditions_of",
    "delete_instances",
    "histories",
    "journal_rows",
    "record_rows",
    "run_select",
]

_INSTANCES = """
CREATE VIEW instances AS
SELECT
  r.instance_id, r.name, r.status, r.created_at, r.started_at, r.completed_at, r.updated_at,
  date_diff('microsecond', r.started_at, r.completed_at) / 1e6 AS duration,
  coalesce(r.record->>'$.input', i.text) AS input,
  coalesce(r.record->>'$.output', o.text) AS output,
  r.record->>'$.failure.message' AS error,
  coalesce(r.record->>'$.custom_status', c.text) AS custom_status,
  r.tags, r.parent_instance_id,
  r.record->>'$.execution_id' AS execution_id,
  coalesce((r.record->>'$.generation')::INTEGER, 0) AS generation,
  r.record->>'$.version' AS version,
  r.record->>'$.suspend_reason' AS suspend_reason,
  (r.record->>'$.start_at')::TIMESTAMP AS start_at,
  coalesce((r.record->>'$.last_seq')::INTEGER, 0) AS last_seq,
  r.iid
FROM instance_records r
LEFT JOIN payloads i ON i.digest = r.refs->>'$.input.digest'
LEFT JOIN payloads o ON o.digest = r.refs->>'$.output.digest'
LEFT JOIN payloads c ON c.digest = r.refs->>'$.custom_status.digest'
"""

_HISTORY = """
CREATE VIEW history AS
SELECT
  r.instance_id, x.execution_id, j.seq, j.ts AS timestamp, j.kind AS event_type, j.name,
  j.task_id, coalesce(j.payload, p.text) AS payload,
  j.extra->>'$.failure.error_type' AS error_type,
  j.extra->>'$.failure.message' AS error,
  j.extra AS details, j.gseq, j.iid
FROM journal j
JOIN instance_records r ON r.iid = j.iid
ASOF LEFT JOIN (
  SELECT iid, seq, extra->>'$.execution_id' AS execution_id
  FROM journal WHERE stream = 'history' AND kind = 'ExecutionStarted') x
  ON x.iid = j.iid AND j.seq >= x.seq
LEFT JOIN payloads p ON p.digest = j.digest
WHERE j.stream = 'history'
"""

# A rewound activity may have several outcomes: the last one counts.
_ACTIVITIES = """
CREATE VIEW activities AS
WITH outcomes AS (
  SELECT iid, execution_id, task_id, event_type, timestamp, payload, error_type, error,
    (details->>'$.attempt.started_at')::TIMESTAMP AS started_at,
    coalesce((details->>'$.attempt.number')::INTEGER, 1) AS attempts,
    details->>'$.attempt.worker' AS worker
  FROM history WHERE event_type IN ('TaskCompleted', 'TaskFailed')
  QUALIFY row_number() OVER (PARTITION BY iid, execution_id, task_id ORDER BY seq DESC) = 1),
reattempts AS (
  SELECT iid, execution_id, task_id, max((details->>'$.attempt')::INTEGER) AS attempts
  FROM history WHERE event_type = 'AttemptStarted' GROUP BY ALL),
ended AS (
  SELECT iid, execution_id FROM history WHERE event_type = 'ExecutionCompleted')
SELECT
  s.instance_id, s.task_id, s.name,
  CASE WHEN o.event_type = 'TaskCompleted' THEN 'completed'
    WHEN o.event_type = 'TaskFailed' THEN 'failed'
    WHEN e.iid IS NOT NULL THEN 'abandoned'
    ELSE 'running' END AS status,
  s.timestamp AS scheduled_at, o.started_at, o.timestamp AS finished_at,
  date_diff('microsecond', s.timestamp, o.started_at) / 1e6 AS queued_s,
  date_diff('microsecond', coalesce(o.started_at, s.timestamp), o.timestamp) / 1e6 AS duration,
  coalesce(o.attempts, a.attempts, 1) AS attempts,
  o.worker, s.details->>'$.version' AS version,
  s.payload AS input,
  CASE WHEN o.event_type = 'TaskCompleted' THEN o.payload END AS output,
  o.error, o.error_type,
  (s.details->>'$.origin')::INTEGER AS retry_of,
  s.execution_id, s.seq, s.iid
FROM history s
LEFT JOIN outcomes o USING (iid, execution_id, task_id)
LEFT JOIN reattempts a USING (iid, execution_id, task_id)
LEFT JOIN ended e ON e.iid = s.iid AND e.execution_id = s.execution_id
WHERE s.event_type = 'TaskScheduled'
"""

_DEFINITIONS = """
CREATE VIEW definitions AS
SELECT
  extra->>'$.kind' AS kind, name, extra->>'$.version' AS version,
  (extra->>'$.number')::INTEGER AS number, (extra->>'$.epoch')::INTEGER AS epoch,
  ts AS added_at, (extra->>'$.created_at')::TIMESTAMP AS created_at,
  extra->>'$.source' AS source, (extra->>'$.is_async')::BOOLEAN AS is_async,
  extra->>'$.notebook' AS notebook, (extra->>'$.cell')::INTEGER AS cell
FROM journal WHERE stream = 'definition'
"""

VIEWS_V1 = (_INSTANCES, _HISTORY, _ACTIVITIES, _DEFINITIONS)
"""Statements that create the views of schema version 1."""


def journal_rows(
    cursor: duckdb.DuckDBPyConnection, tail: str, parameters: Sequence[Any] = ()
) -> list[JournalRow]:
    """Return journal rows, with their large values.

    Args:
        cursor: A cursor with no open result.
        tail: What follows `FROM journal`.
        parameters: For the placeholders in `tail`.
    """
    found = cursor.execute(f"SELECT {JOURNAL_COLUMNS} FROM journal {tail}", parameters).fetchall()
    return _unpack_all(cursor, found)


def record_rows(
    cursor: duckdb.DuckDBPyConnection, tail: str, parameters: Sequence[Any] = ()
) -> list[InstanceRecord]:
    """Return the records in the table `instance_records`, with their large values.

    Args:
        cursor: A cursor with no open result.
        tail: What follows `FROM instance_records`.
        parameters: For the placeholders in `tail`.
    """
    found = cursor.execute(
        f"SELECT record, refs FROM instance_records {tail}", parameters
    ).fetchall()
    rows = [(record, decode_refs(refs)) for record, refs in found]
    digests = {ref.digest for _, refs in rows for ref in refs.values()}
    large = LargeValues.read(cursor, digests)
    return [unpack_record(record, refs, large) for record, refs in rows]


def histories(
    cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[int, int]]
) -> list[list[JournalRow]]:
    """Return, for each (iid, first seq), what `Store.history` promises; one query."""
    mine = "SELECT unnest($1::BIGINT[]) AS iid, unnest($2::BIGINT[]) AS first_seq"
    columns = ", ".join(f"j.{name}" for name in JOURNAL_COLUMNS.split(", "))
    found = cursor.execute(
        f"""
        WITH wanted AS MATERIALIZED ({mine})
        SELECT {columns} FROM journal j JOIN wanted USING (iid)
        WHERE j.stream = 'history' AND j.seq >= wanted.first_seq
        UNION ALL
        SELECT {columns} FROM journal j SEMI JOIN wanted USING (iid)
        ANTI JOIN (
          SELECT ref FROM journal SEMI JOIN wanted USING (iid) WHERE ref > 0
        ) consumed ON consumed.ref = j.gseq
        WHERE j.stream = 'inbox'
        ORDER BY gseq
        """,
        [[iid for iid, _ in wanted], [first_seq for _, first_seq in wanted]],
    ).fetchall()
    by_iid: dict[int, list[JournalRow]] = {iid: [] for iid, _ in wanted}
    for row in _unpack_all(cursor, found):
        by_iid[row.iid].append(row)
    return [by_iid[iid] for iid, _ in wanted]


def conditions_of(query: InstanceQuery) -> tuple[str, list[Any]]:
    """Return what follows `FROM instance_records` for a query, and its parameters."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for given, condition, value in (
        (query.status, "status IN (SELECT unnest(?::VARCHAR[]))", [s.value for s in query.status]),
        (query.name, "name = ?", query.name),
        (query.prefix, "starts_with(instance_id, ?)", query.prefix),
        (query.created_from is not None, "created_at >= ?", query.created_from),
        (query.created_to is not None, "created_at < ?", query.created_to),
        (query.parent, "parent_instance_id = ?", query.parent),
        (query.before_iid, "iid < ?", query.before_iid),
        (query.tags, "json_contains(tags, ?)", msgspec.json.encode(query.tags).decode()),
    ):
        if given:
            conditions.append(condition)
            parameters.append(value)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    limit = f" LIMIT {query.limit:d}" if query.limit else ""
    return f"{where}ORDER BY iid DESC{limit}", parameters


def delete_instances(cursor: duckdb.DuckDBPyConnection, iids: Collection[int]) -> None:
    """Delete the rows of these instances; `cursor` is in a transaction."""
    for table in ("journal", "instance_records"):
        cursor.execute(
            f"DELETE FROM {table} WHERE iid IN (SELECT unnest($1::BIGINT[]))", [list(iids)]
        ).fetchall()


def run_select(cursor: duckdb.DuckDBPyConnection, text: str, parameters: Any = None) -> pa.Table:
    """Run one query that only reads.

    Raises:
        QueryError: It is not one query, would write, or failed; in DuckDB's words.
    """
    import duckdb

    try:
        statements = cursor.extract_statements(text)
        if len(statements) != 1:
            raise QueryError(text, f"One query at a time: this text holds {len(statements)}.")
        kind = statements[0].type
        if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise QueryError(
                text, f"Only queries that read are allowed here, and this is {kind.name}."
            )
        # A query can write as well (a CTE that deletes): such a transaction refuses it.
        cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
        try:
            return cursor.sql(text, params=parameters).to_arrow_table()
        finally:
            cursor.execute("ROLLBACK").fetchall()
    except duckdb.Error as error:
        raise QueryError(text, str(error)) from None


def _unpack_all(cursor: duckdb.DuckDBPyConnection, found: list[Any]) -> list[JournalRow]:
    digests = {columns[DIGEST] for columns in found} - {None}
    large = LargeValues.read(cursor, digests)
    return [unpack(columns, large) for columns in found]
