"""Ids: instance ids, execution ids, and the deterministic uuids an orchestrator draws."""

from __future__ import annotations

import uuid

from .errors import InvalidInstanceIdError

__all__ = [
    "MAX_INSTANCE_ID_CHARS",
    "check_event_name",
    "check_instance_id",
    "child_instance_id",
    "derived_uuid",
]

MAX_INSTANCE_ID_CHARS = 100
_FORBIDDEN = frozenset("/\\#?")
_NAMESPACE = uuid.UUID("9e952958-5e33-4daf-827f-2fa12937b875")


def check_instance_id(instance_id: str) -> str:
    """Return `instance_id` if it may be one.

    Raises:
        InvalidInstanceIdError: It breaks a rule; says which.
    """
    if not isinstance(instance_id, str):
        raise InvalidInstanceIdError(repr(instance_id), "an instance id is a string")
    if not 1 <= len(instance_id) <= MAX_INSTANCE_ID_CHARS:
        raise InvalidInstanceIdError(
            instance_id, f"it must have 1 to {MAX_INSTANCE_ID_CHARS} characters"
        )
    if instance_id.startswith("@"):
        raise InvalidInstanceIdError(instance_id, "ids that begin with @ are those of entities")
    bad = sorted({char for char in instance_id if char in _FORBIDDEN or not char.isprintable()})
    if bad:
        shown = " ".join(repr(char) for char in bad)
        raise InvalidInstanceIdError(instance_id, f"it must not contain {shown}")
    return instance_id


def check_event_name(name: str) -> str:
    """Return the name of an external event if it may be one.

    Raises:
        ValueError: It is no string of at least one character.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"the name of an external event is a string of at least one character, not {name!r}"
        )
    return name


def child_instance_id(execution_id: str, task_id: int) -> str:
    """Return the default id of the sub-orchestration that action `task_id` creates.

    It contains the execution id, so that generations of a parent never collide.
    """
    return f"{execution_id}:{task_id:04x}"


def derived_uuid(instance_id: str, execution_id: str, counter: int) -> uuid.UUID:
    """Return the `counter`-th uuid of an execution: the same at every replay."""
    return uuid.uuid5(_NAMESPACE, f"{instance_id}\n{execution_id}\n{counter}")
