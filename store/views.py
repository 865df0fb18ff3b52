"""The views of a store file: what people query with SQL and get as DataFrames.

Times are naive UTC, durations are seconds, and values that users passed or returned are JSON text,
NULL where they are not JSON. `ipydurable.store.columns` says what each column means.
"""

from __future__ import annotations

__all__ = ["VIEWS_V1"]

_INSTANCES = """
CREATE VIEW instances AS
SELECT
  r.instance_id, r.name, r.status, r.created_at, r.started_at, r.completed_at, r.updated_at,
  date_diff('microsecond', r.started_at, r.completed_at) / 1e6 AS duration,
  coalesce(json_value(r.record, '$.input')->>'$', i.text) AS input,
  coalesce(json_value(r.record, '$.output')->>'$', o.text) AS output,
  r.record->>'$.failure.message' AS error,
  coalesce(json_value(r.record, '$.custom_status')->>'$', c.text) AS custom_status,
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

# Entities have no executions: theirs is NULL.
_WITH_EXECUTION = """
journal j
ASOF LEFT JOIN (
  SELECT iid, seq, extra->>'$.execution_id' AS execution_id
  FROM journal WHERE stream = 'history' AND kind = 'ExecutionStarted') x
  ON x.iid = j.iid AND j.seq >= x.seq
"""

_HISTORY = f"""
CREATE VIEW history AS
SELECT
  r.instance_id, x.execution_id, j.seq, j.ts AS timestamp, j.kind AS event_type, j.name,
  j.task_id, coalesce(j.payload, p.text) AS payload,
  j.extra->>'$.failure.error_type' AS error_type,
  j.extra->>'$.failure.message' AS error,
  j.extra AS details, j.gseq, j.iid
FROM {_WITH_EXECUTION}
JOIN instance_records r ON r.iid = j.iid
LEFT JOIN payloads p ON p.digest = j.digest
WHERE j.stream = 'history'
"""

# An execution that was rewound after it had ended goes on.
_EVENTS = f"""
events AS (
  SELECT j.iid, x.execution_id, j.seq, j.ts, j.kind, j.name, j.task_id, j.extra
  FROM {_WITH_EXECUTION}
  WHERE j.stream = 'history'),
ended AS (
  SELECT iid, execution_id FROM events
  WHERE kind IN ('ExecutionCompleted', 'ExecutionRewound')
  GROUP BY ALL HAVING max_by(kind, seq) = 'ExecutionCompleted'),
rewound AS (
  SELECT iid, execution_id, seq, ts, unnest((extra->'$.task_ids')::INTEGER[]) AS task_id
  FROM events WHERE kind = 'ExecutionRewound')
"""

# An attempt opens when its task is scheduled, when the one before is lost, or when a rewind takes
# back the failure of the one before.
_ATTEMPTS = f"""
CREATE VIEW attempts AS
WITH {_EVENTS},
tasks AS (SELECT iid, execution_id, task_id, name, ts FROM events WHERE kind = 'TaskScheduled'),
closed AS (
  SELECT iid, execution_id, task_id,
    CASE kind WHEN 'AttemptLost' THEN (extra->>'$.attempt')::INTEGER
      ELSE coalesce((extra->>'$.attempt.number')::INTEGER, 1) END AS attempt,
    CASE kind WHEN 'AttemptLost' THEN 'lost' WHEN 'TaskFailed' THEN 'failed'
      ELSE 'completed' END AS status,
    coalesce(extra->>'$.worker', extra->>'$.attempt.worker') AS worker,
    (extra->>'$.attempt.started_at')::TIMESTAMP AS started_at,
    ts AS finished_at, coalesce(extra->>'$.reason', extra->>'$.failure.message') AS reason, seq
  FROM events WHERE kind IN ('AttemptLost', 'TaskFailed', 'TaskCompleted')
  QUALIFY row_number() OVER (
    PARTITION BY iid, execution_id, task_id, attempt ORDER BY seq DESC) = 1),
opened AS (
  SELECT iid, execution_id, task_id, 1 AS attempt, ts FROM tasks
  UNION ALL
  SELECT iid, execution_id, task_id, attempt + 1, finished_at FROM closed WHERE status = 'lost'
  UNION ALL
  SELECT iid, execution_id, task_id, (extra->>'$.attempt')::INTEGER, ts
  FROM events WHERE kind = 'AttemptStarted'
  UNION ALL
  SELECT c.iid, c.execution_id, c.task_id, c.attempt + 1, w.ts
  FROM closed c JOIN rewound w USING (iid, execution_id, task_id)
  WHERE c.status = 'failed' AND w.seq > c.seq),
known AS (
  SELECT iid, execution_id, task_id, attempt, min(ts) AS scheduled_at FROM opened GROUP BY ALL)
SELECT
  r.instance_id, t.task_id, attempt,
  CASE WHEN c.status IS NOT NULL THEN c.status
    WHEN e.iid IS NOT NULL THEN 'abandoned' ELSE 'running' END AS status,
  c.worker, c.started_at, c.finished_at, c.reason,
  t.name, k.scheduled_at, execution_id, iid
FROM known k
FULL JOIN closed c USING (iid, execution_id, task_id, attempt)
JOIN tasks t USING (iid, execution_id, task_id)
JOIN instance_records r USING (iid)
LEFT JOIN ended e USING (iid, execution_id)
"""

# A rewound activity may have several outcomes: the last one counts, unless it was taken back.
_ACTIVITIES = f"""
CREATE VIEW activities AS
WITH {_EVENTS},
outcomes AS (
  SELECT h.iid, h.execution_id, h.task_id, h.event_type, h.timestamp, h.payload, h.error_type,
    h.error, (h.details->>'$.attempt.started_at')::TIMESTAMP AS started_at,
    h.details->>'$.attempt.worker' AS worker
  FROM history h
  ANTI JOIN rewound w ON w.iid = h.iid AND w.execution_id = h.execution_id
    AND w.task_id = h.task_id AND w.seq > h.seq
  WHERE h.event_type IN ('TaskCompleted', 'TaskFailed')
  QUALIFY row_number() OVER (
    PARTITION BY h.iid, h.execution_id, h.task_id ORDER BY h.seq DESC) = 1),
tried AS (
  SELECT iid, execution_id, task_id, max(attempt) AS attempts FROM attempts GROUP BY ALL)
SELECT
  s.instance_id, s.task_id, s.name,
  CASE WHEN o.event_type = 'TaskCompleted' THEN 'completed'
    WHEN o.event_type = 'TaskFailed' THEN 'failed'
    WHEN e.iid IS NOT NULL THEN 'abandoned'
    ELSE 'running' END AS status,
  s.timestamp AS scheduled_at, o.started_at, o.timestamp AS finished_at,
  date_diff('microsecond', s.timestamp, o.started_at) / 1e6 AS queued_s,
  date_diff('microsecond', coalesce(o.started_at, s.timestamp), o.timestamp) / 1e6 AS duration,
  a.attempts, o.worker, s.details->>'$.version' AS version,
  s.payload AS input,
  CASE WHEN o.event_type = 'TaskCompleted' THEN o.payload END AS output,
  o.error, o.error_type,
  (s.details->>'$.origin')::INTEGER AS retry_of,
  s.execution_id, s.seq, s.iid
FROM history s
JOIN tried a USING (iid, execution_id, task_id)
LEFT JOIN outcomes o USING (iid, execution_id, task_id)
LEFT JOIN ended e ON e.iid = s.iid AND e.execution_id = s.execution_id
WHERE s.event_type = 'TaskScheduled'
"""

_TIMERS = f"""
CREATE VIEW timers AS
WITH {_EVENTS},
fired AS (SELECT iid, execution_id, task_id, ts FROM events WHERE kind = 'TimerFired')
SELECT
  r.instance_id, c.task_id, c.ts AS created_at, (c.extra->>'$.fire_at')::TIMESTAMP AS fire_at,
  f.ts AS fired_at,
  CASE WHEN f.iid IS NOT NULL THEN 'fired'
    WHEN e.iid IS NOT NULL THEN 'abandoned' ELSE 'pending' END AS status,
  (c.extra->>'$.origin')::INTEGER AS retry_of, c.execution_id, c.seq, c.iid
FROM events c
JOIN instance_records r USING (iid)
LEFT JOIN fired f USING (iid, execution_id, task_id)
LEFT JOIN ended e ON e.iid = c.iid AND e.execution_id = c.execution_id
WHERE c.kind = 'TimerCreated'
"""

_ENTITIES = """
CREATE VIEW entities AS
SELECT
  r.instance_id AS entity_id, r.name, substr(r.instance_id, length(r.name) + 3) AS key,
  coalesce(json_value(r.record, '$.state')->>'$', p.text) AS state,
  r.record->>'$.version' AS version,
  coalesce((r.record->>'$.pending')::INTEGER, 0) AS pending,
  r.record->>'$.locked_by.instance_id' AS locked_by,
  (r.record->>'$.locked_at')::TIMESTAMP AS locked_at,
  r.created_at, r.updated_at, r.iid
FROM instance_records r
LEFT JOIN payloads p ON p.digest = r.refs->>'$.state.digest'
WHERE r.kind = 'entity'
"""

# A message waits in the inbox until a history row consumes it, which names it in `ref`.
_OPERATIONS = """
CREATE VIEW operations AS
WITH requests AS (
  SELECT j.*, (extra->>'$.scheduled_at')::TIMESTAMP AS scheduled_at
  FROM journal j WHERE stream = 'inbox' AND kind = 'OperationRequested'),
done AS (
  SELECT j.*, (extra->>'$.started_at')::TIMESTAMP AS started_at
  FROM journal j WHERE stream = 'history' AND kind = 'OperationDone')
SELECT
  r.instance_id AS entity_id, q.name AS operation,
  coalesce(q.payload, i.text) AS input, coalesce(d.payload, o.text) AS result,
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
CREATE VIEW locks AS
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
CREATE VIEW definitions AS
SELECT
  extra->>'$.kind' AS kind, name, extra->>'$.version' AS version,
  (extra->>'$.number')::INTEGER AS number, (extra->>'$.epoch')::INTEGER AS epoch,
  ts AS added_at, (extra->>'$.created_at')::TIMESTAMP AS created_at,
  extra->>'$.source' AS source, (extra->>'$.is_async')::BOOLEAN AS is_async,
  extra->>'$.notebook' AS notebook, (extra->>'$.cell')::INTEGER AS cell
FROM journal WHERE stream = 'definition'
"""

VIEWS_V1 = (
    _INSTANCES,
    _HISTORY,
    _ATTEMPTS,
    _ACTIVITIES,
    _TIMERS,
    _ENTITIES,
    _OPERATIONS,
    _LOCKS,
    _DEFINITIONS,
)
"""Statements that create the views of schema version 1, in order."""
