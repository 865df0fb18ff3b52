"""Time for the engine: the system's, made monotonic."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """The system's time, which here never runs backwards."""

    def __init__(self) -> None:
        self._last = datetime.min  # noqa: DTZ901  (naive UTC, as all times here)

    def now(self) -> datetime:
        """Return the present time, naive UTC; never decreases."""
        now = datetime.now(UTC).replace(tzinfo=None)
        self._last = max(self._last, now)
        return self._last

    def wait_s(self, until: datetime) -> float | None:
        """Return the seconds until then; 0 where it has come."""
        return max(0.0, (until - self.now()).total_seconds())

    def on_moved(self, wake: Callable[[], None]) -> None:
        """Nothing to do: this clock never jumps ahead."""
