"""How long attempts usually take: short ones are sent to a worker ahead of its being free."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ..ports import AttemptOutcome, AttemptRequest

__all__ = ["Pace"]

_KEPT: Final = 256
_WEIGHT: Final = 0.1
_NEVER: Final = float("inf")


class Pace:
    """What the latest attempts of each version of an activity took; a slow one counts at once."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._usual_s: OrderedDict[tuple[str, str], float] = OrderedDict()

    def usual_s(self, request: AttemptRequest) -> float:
        """Return how many seconds such an attempt is expected to take; infinite if unknown."""
        return self._usual_s.get((request.name, request.version), _NEVER)

    def note(self, request: AttemptRequest, outcome: AttemptOutcome) -> None:
        """Learn from how long an attempt has taken."""
        if outcome.started_at is None or outcome.ended_at is None or not request.version:
            return
        took_s = (outcome.ended_at - outcome.started_at).total_seconds()
        key = request.name, request.version
        before_s = self._usual_s.pop(key, took_s)
        self._usual_s[key] = max(took_s, before_s + _WEIGHT * (took_s - before_s))
        if len(self._usual_s) > _KEPT:
            self._usual_s.popitem(last=False)
