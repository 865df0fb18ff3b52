"""The views of a store file: what people query with SQL and get as DataFrames.

Times are naive UTC, durations are seconds, and values that users passed or returned are JSON text,
NULL where they are not JSON. `ipydurable.store.columns` says what each column means.
"""

from __future__ import annotations

from ipydurable.runtime.core.plain_json import AS_WRITTEN

__all__ = ["VIEWS"]


def _plain(value: str) -> str:
    """Return SQL for the JSON text that `value`, SQL too, gives: as people write values.

    Only the column `payload` of the history has values as they are stored: it is replayed.
    """
    found = value
    for pattern, written in AS_WRITTEN:
        found = f"regexp_replace({found}, '{pattern}', '{written}', 'g')"
    return f"""CASE WHEN contains({value}, '"$') THEN {found} ELSE {value} END"""


_INSTANCES = f"""
CREATE OR REPLACE VIEW instances AS
SELECT
  r.instance_id, r.name, r.status, r.created_at, r.started_at, r.completed_at, r.updated_at,
  date_diff('microsecond', r.started_at, r.completed_at) / 1e6 AS duration,
  {_plain("coalesce(json_value(r.record, '$.input')->>'$', i.text)")} AS input,
  {_plain("coalesce(json_value(r.record, '$.output')->>'$', o.text)")} AS output,
  r.record->>'$.failure.message' AS error,
  {_plain("coalesce(json_value(r.record, '$.custom_status')->>'$', c.text)")} AS custom_status,
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
WHERE r.kind = 'orchestration'
"""

# Rows with the instance and the execution they belong to. Most are of the present execution, which
# the record names; only for those before it must the execution be looked for. Entities have no
# executions: theirs is NULL. What was open when its execution ended stays open for ever.
_ROW = "j.gseq, j.iid, j.seq, j.ts, j.kind, j.name, j.task_id, j.payload, j.extra, j.digest"
_FIRST_SEQ = "coalesce((r.record->>'$.first_seq')::INTEGER, 0)"
_ROWS = f"""
(
  SELECT {_ROW}, r.instance_id, r.execution_id, NOT r.is_live AS is_over
  FROM journal j
  JOIN (
    SELECT iid, instance_id, is_live, r.record->>'$.execution_id' AS execution_id,
      {_FIRST_SEQ} AS first_seq
    FROM instance_records r) r ON j.iid = r.iid AND j.seq >= r.first_seq
  WHERE j.stream = 'history'
  UNION ALL
  SELECT {_ROW}, r.instance_id, x.execution_id, true AS is_over
  FROM journal j
  JOIN (
    SELECT iid, instance_id, {_FIRST_SEQ} AS first_seq
    FROM instance_records r) r ON j.iid = r.iid AND j.seq < r.first_seq
  ASOF LEFT JOIN (
    SELECT iid, seq, extra->>'$.execution_id' AS execution_id
    FROM journal WHERE stream = 'history' AND kind = 'ExecutionStarted') x
    ON x.iid = j.iid AND j.seq >= x.seq
  WHERE j.stream = 'history'
) j
"""

_HISTORY = f"""
CREATE OR REPLACE VIEW history AS
SELECT
  j.instance_id, j.execution_id, j.seq, j.ts AS timestamp, j.kind AS event_type, j.name,
  j.task_id, coalesce(j.payload, p.text) AS payload,
  CASE WHEN contains(j.extra, '"failure"') THEN j.extra->>'$.failure.error_type' END AS error_type,
  CASE WHEN contains(j.extra, '"failure"') THEN j.extra->>'$.failure.message' END AS error,
  j.extra AS details, j.gseq, j.iid
FROM {_ROWS}
LEFT JOIN payloads p ON p.digest = j.digest
"""

# The events of each activity, in order; a rewind counts for every task that it takes up again.
_TASK_EVENTS = f"""
task_events AS (
  SELECT j.instance_id, j.iid, j.execution_id, j.seq, j.ts, j.kind, j.name, j.payload, j.extra,
    j.digest, j.is_over,
    unnest(CASE j.kind WHEN 'ExecutionRewound' THEN (j.extra->'$.task_ids')::INTEGER[]
      ELSE [j.task_id] END) AS task_id,
    CASE j.kind WHEN 'TaskScheduled' THEN 1 WHEN 'ExecutionRewound' THEN NULL
      WHEN 'AttemptLost' THEN (j.extra->>'$.attempt')::INTEGER
      WHEN 'AttemptStarted' THEN (j.extra->>'$.attempt')::INTEGER
      ELSE coalesce((j.extra->>'$.attempt.number')::INTEGER, 1) END AS attempt
  FROM {_ROWS}
  WHERE j.kind IN (
    'TaskScheduled', 'AttemptStarted', 'AttemptLost', 'TaskCompleted', 'TaskFailed',
    'ExecutionRewound'))
"""

# An attempt opens when its activity is scheduled, when the one before is lost, or when a rewind
# takes back the failure of the one before. The next event of the activity is its end.
_ATTEMPTS = f"""
CREATE OR REPLACE VIEW attempts AS
WITH {_TASK_EVENTS},
opened AS (
  SELECT instance_id, iid, execution_id, task_id, ts, kind, attempt, is_over,
    first_value(name) OVER one AS task_name,
    first_value(extra->>'$.version') OVER one AS task_version, lag(attempt) OVER one AS before,
    lead(kind) OVER one AS end_kind, lead(attempt) OVER one AS end_attempt,
    lead(ts) OVER one AS end_ts, lead(extra) OVER one AS end_extra
  FROM task_events
  WINDOW one AS (PARTITION BY instance_id, iid, execution_id, task_id ORDER BY seq)
  QUALIFY kind NOT IN ('TaskCompleted', 'TaskFailed') AND task_name IS NOT NULL
    AND coalesce(end_kind, '') <> 'AttemptStarted')
SELECT
  instance_id, task_id,
  coalesce(end_attempt, CASE kind WHEN 'AttemptLost' THEN attempt + 1
    WHEN 'ExecutionRewound' THEN before + 1 ELSE attempt END) AS attempt,
  CASE end_kind WHEN 'TaskCompleted' THEN 'completed' WHEN 'TaskFailed' THEN 'failed'
    WHEN 'AttemptLost' THEN 'lost'
    ELSE CASE WHEN is_over THEN 'abandoned' ELSE 'running' END END AS status,
  coalesce(end_extra->>'$.worker', end_extra->>'$.attempt.worker') AS worker,
  (end_extra->>'$.attempt.started_at')::TIMESTAMP AS started_at, end_ts AS finished_at,
  date_diff('microsecond', ts, (end_extra->>'$.attempt.started_at')::TIMESTAMP) / 1e6 AS queued_s,
  date_diff('microsecond', coalesce((end_extra->>'$.attempt.started_at')::TIMESTAMP, ts), end_ts)
    / 1e6 AS duration,
  coalesce(end_extra->>'$.reason', end_extra->>'$.failure.message') AS reason,
  task_name AS name, ts AS scheduled_at,
  coalesce(end_extra->>'$.version', end_extra->>'$.attempt.version', task_version) AS version,
  execution_id, iid
FROM opened
"""

# Its last event says how an activity stands: one that was rewound may have several outcomes.
_ACTIVITIES = f"""
CREATE OR REPLACE VIEW activities AS
WITH {_TASK_EVENTS},
scheduled AS (
  SELECT instance_id, iid, execution_id, task_id, seq, ts, kind, name, payload, extra, digest,
    is_over, max(attempt) OVER one AS attempts, last_value(kind) OVER one AS end_kind,
    last_value(ts) OVER one AS end_ts, last_value(extra) OVER one AS end_extra,
    last_value(seq) OVER one AS end_seq, last_value(payload) OVER one AS end_payload,
    last_value(digest) OVER one AS end_digest
  FROM task_events
  WINDOW one AS (
    PARTITION BY instance_id, iid, execution_id, task_id ORDER BY seq
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
  QUALIFY kind = 'TaskScheduled'),
judged AS (
  SELECT *, end_kind IN ('TaskCompleted', 'TaskFailed') AS has_ended,
    CASE WHEN has_ended THEN end_ts END AS finished_at,
    CASE WHEN has_ended THEN (end_extra->>'$.attempt.started_at')::TIMESTAMP END AS started_at
  FROM scheduled)
SELECT
  s.instance_id, s.task_id, s.name,
  CASE s.end_kind WHEN 'TaskCompleted' THEN 'completed' WHEN 'TaskFailed' THEN 'failed'
    ELSE CASE WHEN s.is_over THEN 'abandoned' ELSE 'running' END END AS status,
  s.ts AS scheduled_at, s.started_at, s.finished_at,
  date_diff('microsecond', s.ts, s.started_at) / 1e6 AS queued_s,
  date_diff('microsecond', coalesce(s.started_at, s.ts), s.finished_at) / 1e6 AS duration,
  s.attempts + (s.end_kind IN ('AttemptLost', 'ExecutionRewound'))::INTEGER AS attempts,
  CASE WHEN s.has_ended THEN s.end_extra->>'$.attempt.worker' END AS worker,
  coalesce(s.end_extra->>'$.attempt.version', s.extra->>'$.version') AS version,
  {_plain("coalesce(s.payload, i.text)")} AS input,
  CASE s.end_kind WHEN 'TaskCompleted' THEN {_plain("coalesce(s.end_payload, o.text)")}
    END AS output,
  CASE s.end_kind WHEN 'TaskFailed' THEN s.end_extra->>'$.failure.message' END AS error,
  CASE s.end_kind WHEN 'TaskFailed' THEN s.end_extra->>'$.failure.error_type' END AS error_type,
  (s.extra->>'$.origin')::INTEGER AS retry_of,
  s.execution_id, s.seq, CASE WHEN s.has_ended THEN s.end_seq END AS end_seq, s.iid
FROM judged s
LEFT JOIN payloads i ON i.digest = s.digest
LEFT JOIN payloads o ON s.end_kind = 'TaskCompleted' AND o.digest = s.end_digest
"""

_TIMERS = f"""
CREATE OR REPLACE VIEW timers AS
WITH created AS (
  SELECT j.instance_id, j.iid, j.execution_id, j.seq, j.ts, j.kind, j.task_id, j.extra,
    j.is_over, lead(j.ts) OVER (
      PARTITION BY j.instance_id, j.iid, j.execution_id, j.task_id ORDER BY j.seq) AS fired_at
  FROM {_ROWS}
  WHERE j.kind IN ('TimerCreated', 'TimerFired')
  QUALIFY j.kind = 'TimerCreated')
SELECT
  instance_id, task_id, ts AS created_at, (extra->>'$.fire_at')::TIMESTAMP AS fire_at, fired_at,
  CASE WHEN fired_at IS NOT NULL THEN 'fired' WHEN is_over THEN 'abandoned'
    ELSE 'pending' END AS status,
  (extra->>'$.origin')::INTEGER AS retry_of, execution_id, seq, iid
FROM created
"""

_ENTITIES = f"""
CREATE OR REPLACE VIEW entities AS
SELECT
  r.instance_id AS entity_id, r.name, substr(r.instance_id, length(r.name) + 3) AS key,
  {_plain("coalesce(json_value(r.record, '$.state')->>'$', p.text)")} AS state,
  r.record->>'$.version' AS version,
  coalesce((r.record->>'$.pending')::INTEGER, 0) AS pending,
  r.record->>'$.locked_by.instance_id' AS locked_by,
  (r.record->>'$.locked_at')::TIMESTAMP AS locked_at,
  r.created_at, r.updated_at,
  NOT r.is_live AND r.record->>'$.state' IS NULL AND r.refs IS NULL AS is_empty, r.iid
FROM instance_records r
LEFT JOIN payloads p ON p.digest = r.refs->>'$.state.digest'
WHERE r.kind = 'entity'
"""

# A message waits in the inbox until a history row consumes it, which names it in `ref`.
_OPERATIONS = f"""
CREATE OR REPLACE VIEW operations AS
WITH requests AS (
  SELECT j.*, (extra->>'$.scheduled_at')::TIMESTAMP AS scheduled_at
  FROM journal j WHERE stream = 'inbox' AND kind = 'OperationRequested'),
done AS (
  SELECT j.*, (extra->>'$.started_at')::TIMESTAMP AS started_at
  FROM journal j WHERE stream = 'history' AND kind = 'OperationDone')
SELECT
  r.instance_id AS entity_id, q.name AS operation,
  {_plain("coalesce(q.payload, i.text)")} AS input,
  {_plain("coalesce(d.payload, o.text)")} AS result,
  CASE WHEN d.extra->>'$.failure.error_type' IS NOT NULL THEN 'failed'
    WHEN d.gseq IS NOT NULL THEN 'completed'
    WHEN q.scheduled_at > now() AT TIME ZONE 'UTC' THEN 'scheduled'
    ELSE 'queued' END AS status,
  coalesce(q.extra->>'$.sender', q.extra->>'$.caller.instance_id') AS sender,
  q.ts AS requested_at, d.started_at, d.ts AS finished_at,
  date_diff('microsecond', greatest(q.ts, q.scheduled_at), d.started_at) / 1e6 AS queued_s,
  date_diff('microsecond', d.started_at, d.ts) / 1e6 AS duration,
  d.extra->>'$.failure.message' AS error, d.extra->>'$.version' AS version,
  d.extra->>'$.failure.error_type' AS error_type, q.scheduled_at,
  (q.extra->>'$.caller.task_id')::INTEGER AS task_id, d.seq, q.iid
FROM requests q
JOIN instance_records r USING (iid)
LEFT JOIN done d ON d.iid = q.iid AND d.ref = q.gseq
LEFT JOIN payloads i ON i.digest = q.digest
LEFT JOIN payloads o ON o.digest = d.digest
"""

# Only one section holds an entity at a time, so what follows an acquisition is its release.
_LOCKS = """
CREATE OR REPLACE VIEW locks AS
WITH held AS (
  SELECT iid, kind, ref, ts AS acquired_at,
    lead(ts) OVER (PARTITION BY iid ORDER BY seq) AS released_at
  FROM journal WHERE stream = 'history' AND kind IN ('LockAcquired', 'LockReleased')
  QUALIFY kind = 'LockAcquired'),
withdrawn AS (
  SELECT iid, ref FROM journal WHERE stream = 'history' AND kind = 'LockWithdrawn')
SELECT
  r.instance_id AS entity_id, q.extra->>'$.owner.instance_id' AS owner,
  q.ts AS requested_at, h.acquired_at, h.released_at,
  date_diff('microsecond', q.ts, h.acquired_at) / 1e6 AS waited_s,
  date_diff('microsecond', h.acquired_at, h.released_at) / 1e6 AS held_s,
  CASE WHEN h.released_at IS NOT NULL THEN 'released' WHEN h.iid IS NOT NULL THEN 'held'
    WHEN w.iid IS NOT NULL THEN 'withdrawn' ELSE 'waiting' END AS status,
  q.extra->>'$.owner.execution_id' AS execution_id,
  (q.extra->>'$.owner.lock_id')::INTEGER AS task_id, q.iid
FROM journal q
JOIN instance_records r USING (iid)
LEFT JOIN held h ON h.iid = q.iid AND h.ref = q.gseq
LEFT JOIN withdrawn w ON w.iid = q.iid AND w.ref = q.gseq
WHERE q.stream = 'inbox' AND q.kind = 'LockRequested'
"""

_DEFINITIONS = """
CREATE OR REPLACE VIEW definitions AS
SELECT
  extra->>'$.kind' AS kind, name, extra->>'$.version' AS version,
  (extra->>'$.number')::INTEGER AS number, (extra->>'$.epoch')::INTEGER AS epoch,
  ts AS added_at, (extra->>'$.created_at')::TIMESTAMP AS created_at,
  extra->>'$.source' AS source, (extra->>'$.is_async')::BOOLEAN AS is_async,
  extra->>'$.notebook' AS notebook, (extra->>'$.cell')::INTEGER AS cell
FROM journal WHERE stream = 'definition'
"""

_ATTEMPT_OUTPUTS = """
CREATE OR REPLACE VIEW attempt_outputs AS
SELECT
  r.instance_id, o.task_id, o.attempt, o.name,
  array_to_string(o.items->>'$[*].text', '') AS text,
  len(list_filter(o.items->>'$[*].kind', lambda one: one = 'display')) AS displays,
  o.dropped, o.ts AS finished_at, o.items, o.execution_id, o.iid
FROM attempt_output_rows o
JOIN instance_records r USING (iid)
QUALIFY row_number() OVER (
  PARTITION BY o.iid, o.execution_id, o.task_id, o.attempt ORDER BY o.rowid DESC) = 1
"""

VIEWS = (
    _INSTANCES,
    _HISTORY,
    _ATTEMPTS,
    _ACTIVITIES,
    _TIMERS,
    _ENTITIES,
    _OPERATIONS,
    _LOCKS,
    _DEFINITIONS,
    _ATTEMPT_OUTPUTS,
)
"""Statements that create all views, or replace what an older version left."""
