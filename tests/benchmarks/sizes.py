"""How much the benchmarks do."""

from __future__ import annotations

__all__ = ["Sizes"]


class Sizes:
    """How much of everything is done.

    Args:
        divisor: 1 for the sizes that the targets are for; more for a quicker look.
    """

    def __init__(self, divisor: int = 1) -> None:
        self.divisor = divisor
        self.chain = self._of(500)
        self.instances = self._of(500)
        self.fans = sorted({self._of(1_000), self._of(10_000)})
        self.signals = self._of(5_000)
        self.transfers = self._of(200)
        self.calls = self._of(300)
        self.starts = self._of(100_000)
        self.completed = self._of(2_000)
        self.waiting = self._of(100_000)
        self.events = self._of(10_000)
        self.rows = self._of(10_000_000)
        self.explored = self._of(1_000_000)
        self.live_rows = self._of(1_000)
        self.ticks = self._of(50)
        self.commits = self._of(1_000)

    def _of(self, full: int) -> int:
        return max(10, full // self.divisor)
