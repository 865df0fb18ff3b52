"""What replay must check: the action the code draws against the one its history recorded."""

from __future__ import annotations

from typing import NamedTuple

from .errors import NonDeterminismError
from .events import (
    DecisionEvent,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    EventSent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)

__all__ = ["Difference", "compare", "describe", "difference_error", "error_for"]

_EDITED = (
    "The code was edited, or depends on something that changes: the clock, random numbers, "
    "the environment, the order of a set. Mend it and resume the instance, or start a new one."
)


class Difference(NamedTuple):
    """How an action differs from history.

    Attributes:
        what: In words; empty where there is no difference.
        is_fatal: Whether replay cannot go on; otherwise it is a warning.
    """

    what: str
    is_fatal: bool


def describe(event: DecisionEvent) -> str:
    """Return what an action is, for people, e.g. `"activity 'fetch'"`."""
    match event:
        case TaskScheduled():
            return f"activity {event.name!r}"
        case SubOrchestrationInstanceCreated():
            named = f" with id {event.instance_id!r}" if event.explicit_id else ""
            return f"sub-orchestration {event.name!r}{named}"
        case TimerCreated():
            return f"timer for {event.fire_at:%Y-%m-%d %H:%M:%S} UTC"
        case EventSent():
            return f"event {event.name!r} to {event.instance_id!r}"
        case EntityOperationCalled():
            return f"call of {event.operation!r} on {event.entity_id}"
        case EntityOperationSignaled():
            return f"signal {event.operation!r} to {event.entity_id}"
        case EntityLockRequested():
            return f"lock of {', '.join(event.entity_ids)}"
        case EntityUnlockSent():
            return f"unlock of {event.entity_id}"
    return f"end as {event.status}"


def compare(history: DecisionEvent, code: DecisionEvent) -> Difference:
    """Compare the action history recorded with the one the code draws now, of the same id."""
    if type(history) is not type(code) or _identity(history) != _identity(code):
        return Difference(f"{describe(history)} became {describe(code)}", is_fatal=True)
    if isinstance(history, TimerCreated) and isinstance(code, TimerCreated):
        if history.fire_at != code.fire_at and not history.origin:
            return Difference(f"{describe(history)} became {describe(code)}", is_fatal=False)
    elif getattr(history, "input", None) != getattr(code, "input", None):
        return Difference(f"{describe(history)} now gets another input", is_fatal=False)
    return Difference("", is_fatal=False)


def error_for(
    instance_id: str, task_id: int, history: str, code: str, line: str
) -> NonDeterminismError:
    """Build the error that names history, code, line, likely cause and next step."""
    return NonDeterminismError(instance_id, task_id, history, code, line, _EDITED)


def difference_error(instance_id: str, warning: str) -> NonDeterminismError:
    """Build the error for a difference that only strict replay minds."""
    return NonDeterminismError(instance_id, 0, "what was recorded", warning, "", _EDITED)


def _identity(event: DecisionEvent) -> tuple[object, ...]:
    match event:
        case TaskScheduled():
            return (event.name,)
        case SubOrchestrationInstanceCreated():
            return (event.name, event.instance_id if event.explicit_id else None)
        case EventSent():
            return (event.name, event.instance_id)
        case EntityOperationCalled() | EntityOperationSignaled():
            return (event.entity_id, event.operation)
        case EntityLockRequested():
            return event.entity_ids
        case EntityUnlockSent():
            return (event.entity_id,)
        case TimerCreated():
            return ()
    return (event.status,)
