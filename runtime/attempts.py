"""What the outcome of an attempt means to its activity."""

from __future__ import annotations

from datetime import datetime

from .core.events import AttemptLost, AttemptRecord, TaskCompleted, TaskFailed
from .core.failure import FailureDetails
from .instances import OpenActivity
from .ports import AttemptKey, AttemptOutcome

__all__ = ["MAX_LOST_ATTEMPTS", "attempt_outcome", "lost_with_host"]

MAX_LOST_ATTEMPTS = 3
"""How many workers an activity may take down before it counts as failed."""


def attempt_outcome(
    activity: OpenActivity, key: AttemptKey, outcome: AttemptOutcome, now: datetime
) -> TaskCompleted | TaskFailed | AttemptLost:
    """Return the event that an attempt's end is recorded as.

    A lost attempt is not the activity's failure: it is tried again, until it has cost
    `MAX_LOST_ATTEMPTS` workers.
    """
    record = AttemptRecord(
        number=key.number,
        started_at=outcome.started_at,
        worker=outcome.worker,
        version=activity.version,
    )
    if outcome.lost:
        workers = (*activity.lost_workers, outcome.worker or "a worker")
        if len(workers) < MAX_LOST_ATTEMPTS:
            return AttemptLost(
                timestamp=now,
                task_id=key.task_id,
                attempt=key.number,
                reason=outcome.lost,
                worker=workers[-1],
                version=activity.version,
            )
        failure = FailureDetails(
            error_type="ipydurable.AttemptsLostError",
            message=f"{len(workers)} workers died running it ({', '.join(workers)}); "
            f"the last: {outcome.lost}",
        )
        return TaskFailed(timestamp=now, task_id=key.task_id, failure=failure, attempt=record)
    if outcome.failure is not None:
        return TaskFailed(
            timestamp=now, task_id=key.task_id, failure=outcome.failure, attempt=record
        )
    return TaskCompleted(timestamp=now, task_id=key.task_id, result=outcome.result, attempt=record)


def lost_with_host(activity: OpenActivity, task_id: int, now: datetime) -> AttemptLost:
    """Return the event for an attempt that was open when the host ended."""
    return AttemptLost(
        timestamp=now,
        task_id=task_id,
        attempt=activity.attempt,
        reason="the host ended",
        version=activity.version,
    )
