"""The actions of an execution: numbered as the code draws them, checked against its history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from .determinism import compare, describe, error_for
from .driver import ReplaySignal, user_line
from .errors import NonDeterminismError
from .events import (
    DecisionEvent,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    Event,
    EventSent,
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from .tasks import CompletableTask

__all__ = ["Ledger"]

_NUMBERED: Final = (
    TaskScheduled,
    SubOrchestrationInstanceCreated,
    TimerCreated,
    EventSent,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityLockRequested,
    EntityUnlockSent,
)


class Ledger:
    """What the code has asked for so far, and what of it is open.

    Attributes:
        started: The first event of the execution.
        now: Time of the event being applied (naive UTC).
        is_replaying: Whether the event being applied is history.
        is_closed: Whether the code has ended: what it asks for has no effect any more.
        difference: How replay differs from history, once it does.
        warnings: Harmless differences found by replay, one sentence each.
    """

    def __init__(self) -> None:
        self.started: ExecutionStarted | None = None
        self.now: datetime = datetime.min  # noqa: DTZ901  (naive UTC, as all times here)
        self.is_replaying = False
        self.is_closed = False
        self.difference: NonDeterminismError | None = None
        self.warnings: list[str] = []
        self._next_id = 1
        self._open: dict[int, CompletableTask[Any]] = {}
        self._expected: dict[int, DecisionEvent] = {}
        self._decisions: list[Event] = []
        self._turn_at = 0

    @property
    def instance_id(self) -> str:
        """The id of the instance; empty before it has started."""
        return self.started.instance_id if self.started else ""

    @property
    def execution_id(self) -> str:
        """The id of the execution; empty before it has started."""
        return self.started.execution_id if self.started else ""

    @property
    def next_id(self) -> int:
        """The id the next action will get."""
        return self._next_id

    @property
    def open_task_ids(self) -> tuple[int, ...]:
        """Action ids whose outcome is still to come."""
        return tuple(self._open)

    def is_open(self, task_id: int) -> bool:
        """Whether something waits for the outcome of this action."""
        return task_id in self._open

    def expect(self, history: Iterable[HistoryEvent]) -> None:
        """Have the actions of a history be drawn again."""
        self._expected = {event.task_id: event for event in history if isinstance(event, _NUMBERED)}

    @property
    def first_missing(self) -> DecisionEvent | None:
        """The first action of history that the code has not drawn."""
        return self._expected[min(self._expected)] if self._expected else None

    def draw(self, event: DecisionEvent, task: CompletableTask[Any] | None = None) -> None:
        """Take note of what the code asks for, or check it against what history has.

        Args:
            event: The action; its `task_id` is `next_id`.
            task: Settled by its outcome, if it has one.

        Raises:
            ReplaySignal: History has something else; `difference` says what.
        """
        if self.is_closed:
            return
        task_id = self._next_id
        self._next_id += 1
        if task is not None:
            self._open[task_id] = task
        recorded = self._expected.pop(task_id, None) if self._expected else None
        if recorded is None:
            self._decisions.append(event)
        else:
            self._compare(task_id, recorded, event)

    def begin_turn(self, now: datetime) -> None:
        """Take note that an event is applied, of which what is drawn from here on comes."""
        self.now = now
        self._turn_at = len(self._decisions)

    def note(self, event: Event) -> None:
        """Add an event that is no action; replay adds none."""
        if not self.is_replaying and not self.is_closed:
            self._decisions.append(event)

    def note_first(self, event: Event) -> None:
        """Add a note, as `note`, before all that was drawn in this turn."""
        if not self.is_replaying and not self.is_closed:
            self._decisions.insert(self._turn_at, event)

    def end(self, event: Event) -> None:
        """Add the end of the execution; nothing has an effect after it."""
        self._decisions.append(event)
        self.is_closed = True

    def settled(self, task_id: int) -> CompletableTask[Any] | None:
        """Return the task that an outcome is for, which is no longer open; None for no task."""
        return self._open.pop(task_id, None)

    def let_go(self) -> None:
        """Forget the open tasks; for an execution that has ended."""
        for task in self._open.values():
            task.let_go()
        self._open.clear()

    def forget(self, task_id: int) -> None:
        """Nothing waits for the outcome of this action any more."""
        self._open.pop(task_id, None)

    @property
    def decisions(self) -> tuple[Event, ...]:
        """The decision events and notes since the last `take`, in order."""
        return tuple(self._decisions)

    def take(self) -> list[Event]:
        """Return the decision events and notes since the last call, in order."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def _compare(self, task_id: int, recorded: DecisionEvent, event: DecisionEvent) -> None:
        difference = compare(recorded, event)
        if difference.is_fatal:
            self.difference = error_for(
                self.instance_id, task_id, describe(recorded), describe(event), user_line()
            )
            raise ReplaySignal
        if difference.what:
            self.warnings.append(f"action {task_id}: {difference.what} ({user_line()})")
