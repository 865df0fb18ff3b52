"""The status of an instance and which statuses are final."""

from __future__ import annotations

import enum

__all__ = ["TERMINAL", "RuntimeStatus"]


class RuntimeStatus(enum.StrEnum):
    """Status of an orchestration instance, with the names Durable Task gives them."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    CONTINUED_AS_NEW = "ContinuedAsNew"

    @property
    def is_terminal(self) -> bool:
        """Whether an instance in this status never changes again by itself."""
        return self in TERMINAL


TERMINAL = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED})
