"""The races of an execution: which of its tasks lost a `when_any`, for the history to tell.

A task has lost when the code goes on after a `when_any` and nothing waits for it any more. It is
looked at once a turn, after the code has run, so that tasks which are waited for again at once, as
in a loop that takes what comes first, have not lost. Timers and waits for events are left out:
what became of them is in the history anyway.

Each task is told of once: that it lost, and that it is waited for again. So a loop over ten
thousand tasks makes two notes, not twenty thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from .events import Event, RaceDecided, Spans
from .tasks import CancellableTask, CompletableTask, LostMark, Task, WhenAllTask, WhenAnyTask

__all__ = ["Races", "spans_of"]


class Races(LostMark):
    """What raced in one execution; the mark of those that have lost."""

    def __init__(self) -> None:
        self._decided: list[WhenAnyTask] = []
        self._awaited_again: list[Task[Any]] = []
        self._lost: set[int] = set()
        self._told: set[int] = set()

    def decided(self, race: WhenAnyTask) -> None:
        """Take note that one of a race's tasks has settled."""
        self._decided.append(race)

    def taken_up(self, task: Task[Any]) -> None:
        """Take note that something waits again for a task that has lost, or asks for its result."""
        self._awaited_again.append(task)

    def let_go(self) -> None:
        """Forget all tasks; for an execution that has ended."""
        self._decided = []
        self._awaited_again = []

    def tell(self, now: datetime, note: Callable[[Event], None]) -> None:
        """Note what has changed since the last turn, if anything.

        Args:
            now: The present (naive UTC).
            note: Adds a note to the history; does nothing in a replay.
        """
        if not self._decided and not self._awaited_again:
            return
        won: set[int] = set()
        lost: set[int] = set()
        races, self._decided = self._decided, []
        for race in races:
            losers = race.losers()
            fresh = [one for one in losers if not self._is_told(one)]
            found = _ids(fresh, open_only=True) - self._told
            if found:
                lost |= found
                won |= _won_ids(race)
                for one in losers:
                    one.mark(self)
        again, self._awaited_again = self._awaited_again, []
        taken_up = _ids(again) & self._lost
        self._lost = (self._lost | lost) - taken_up
        self._told |= lost
        if lost or taken_up:
            note(
                RaceDecided(
                    timestamp=now,
                    won=spans_of(won),
                    lost=spans_of(lost),
                    taken_up=spans_of(taken_up),
                )
            )

    def _is_told(self, task: Task[Any]) -> bool:
        return isinstance(task, CompletableTask) and task.task_id in self._told


def spans_of(ids: Iterable[int]) -> Spans:
    """Return ids as the first and last of each run without a gap, in order."""
    spans: list[tuple[int, int]] = []
    for one in sorted(ids):
        if spans and spans[-1][1] == one - 1:
            spans[-1] = (spans[-1][0], one)
        else:
            spans.append((one, one))
    return tuple(spans)


def _ids(tasks: Iterable[Task[Any]], *, open_only: bool = False) -> set[int]:
    """Return the action ids of the tasks that these are, or wait for with nobody else."""
    found: set[int] = set()
    left = list(tasks)
    while left:
        task = left.pop()
        if isinstance(task, CancellableTask) or (open_only and task.is_complete):
            continue
        if isinstance(task, CompletableTask):
            found.add(task.task_id)
        else:
            left.extend(one for one in task.waits_for if one.is_awaited_only_by(task))
    return found


def _won_ids(race: WhenAnyTask) -> set[int]:
    """Return the action ids of what came first."""
    found: set[int] = set()
    left: list[Task[Any] | None] = [race.winner]
    while left:
        task = left.pop()
        if isinstance(task, WhenAllTask):
            left.extend(task.waits_for)
        elif isinstance(task, WhenAnyTask):
            left.append(task.winner)
        elif isinstance(task, CompletableTask) and not isinstance(task, CancellableTask):
            found.add(task.task_id)
    return found
