"""What a live instance waits for, for people."""

from __future__ import annotations

from collections.abc import Callable

from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .instances import Instance
from .waits import OpenTask

__all__ = ["open_tasks"]

_LOST_WAIT = "the next event goes to a wait that lost a when_any: cancel() such a wait"


def open_tasks(
    instance: Instance, record_of: Callable[[str], InstanceRecord | None]
) -> list[OpenTask]:
    """Return everything an instance waits for: activities first, then children, timers, events.

    Args:
        instance: Which.
        record_of: Gives the record of a live instance: children may wait for somebody.
    """
    record = instance.record
    if record.status is RuntimeStatus.PENDING:
        return [OpenTask(kind="start", name=record.name, until=record.start_at)]
    found = []
    if record.status is RuntimeStatus.SUSPENDED:
        found.append(OpenTask(kind="resume", hint=record.suspend_reason))
    found += [
        OpenTask(
            kind="activity",
            name=activity.scheduled.name,
            task_id=task_id,
            since=activity.scheduled.timestamp,
            state="running" if task_id in instance.running else "queued",
        )
        for task_id, activity in instance.activities.items()
    ]
    children = [(task_id, one, record_of(one)) for task_id, one in instance.children.items()]
    found += [
        OpenTask(
            kind="sub-orchestration",
            name=child_id,
            task_id=task_id,
            since=None if child is None else child.created_at,
            state=_state_of(child),
        )
        for task_id, child_id, child in children
    ]
    found += [
        OpenTask(kind="timer", task_id=task_id, since=timer.timestamp, until=timer.fire_at)
        for task_id, timer in instance.timers.items()
    ]
    found += [
        OpenTask(
            kind="entity call",
            name=f"{call.operation} on {call.entity_id}",
            task_id=task_id,
            since=call.timestamp,
        )
        for task_id, call in instance.calls.items()
    ]
    found += [
        OpenTask(kind="lock", name=", ".join(lock.entity_ids), task_id=task_id, since=lock.since)
        for task_id, lock in instance.locks.items()
        if not lock.is_held
    ]
    found += [
        OpenTask(
            kind="external event",
            name=name,
            since=since,
            hint=_LOST_WAIT if name in instance.lost_waits else "",
        )
        for name, since in instance.awaited_events.items()
    ]
    return found


def _state_of(child: InstanceRecord | None) -> str:
    """Return in which state a child goes on only when somebody resumes it; empty if by itself."""
    if child is None or child.status is not RuntimeStatus.SUSPENDED:
        return ""
    return "parked" if child.is_parked else "suspended"
