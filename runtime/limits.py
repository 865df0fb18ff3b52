"""How often and how many at once: the limits of one activity, all its versions together."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .definitions import ActivityOptions

__all__ = ["Gate"]

_Item = TypeVar("_Item")


class Gate(Generic[_Item]):
    """Lets attempts of one activity begin, or holds them until they may.

    Attributes:
        held: What waits here, in order.
        running: How many were let through and have not ended.
    """

    __slots__ = ("_begun", "held", "max_parallel", "rate_count", "rate_per", "running")

    def __init__(self) -> None:
        self.held: deque[_Item] = deque()
        self.running = 0
        self.max_parallel = 0
        self.rate_count = 0
        self.rate_per = timedelta(0)
        self._begun: deque[datetime] = deque()

    def set_limits(self, options: ActivityOptions) -> None:
        """Take over the limits of the version that was asked for last."""
        self.max_parallel = options.max_parallel
        self.rate_count = options.rate_count
        self.rate_per = timedelta(seconds=options.rate_per_s)

    def is_open(self, now: datetime) -> bool:
        """Whether one more may begin now."""
        if self.max_parallel and self.running >= self.max_parallel:
            return False
        opens_at = self._rate_allows_at()
        return opens_at is None or opens_at <= now

    @property
    def opens_at(self) -> datetime | None:
        """When the rate allows what is held here to begin; None where it is not the rate."""
        if not self.held or (self.max_parallel and self.running >= self.max_parallel):
            return None
        return self._rate_allows_at()

    def begin(self, now: datetime) -> None:
        """Note that one begins."""
        self.running += 1
        if self.rate_count:
            self._begun.append(now)
            while len(self._begun) > self.rate_count:
                self._begun.popleft()

    def _rate_allows_at(self) -> datetime | None:
        """Return when the oldest of the last `rate_count` is long enough ago; None for at once."""
        if not self.rate_count or len(self._begun) < self.rate_count:
            return None
        return self._begun[-self.rate_count] + self.rate_per
