"""Rewinding: a history in which certain failures no longer count.

History is never rewritten. A rewind adds an `ExecutionRewound` that names the failed tasks to be
redone; whoever reads the history for replay reads it through `effective_history`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import dropwhile, takewhile

from .events import (
    CustomStatusSet,
    EntityOperationFailed,
    EntityUnlockSent,
    EventFormClosed,
    EventFormOpened,
    ExecutionCompleted,
    ExecutionRewound,
    HistoryEvent,
    SubOrchestrationInstanceFailed,
    TaskFailed,
)

__all__ = ["effective_history", "unlocks_after_failure"]

_FAILURES = (TaskFailed, SubOrchestrationInstanceFailed, EntityOperationFailed)
_ENDS = (
    EntityUnlockSent,
    CustomStatusSet,
    EventFormOpened,
    EventFormClosed,
    ExecutionCompleted,
)


def effective_history(history: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """Return the events that still count: without rewound failures and the end they led to.

    Args:
        history: All events of one execution in order.
    """
    events: list[HistoryEvent] = []
    for event in history:
        if isinstance(event, ExecutionRewound):
            events = [one for one in events if not _is_undone(one, event)]
        else:
            events.append(event)
    return events


def unlocks_after_failure(
    history: Sequence[HistoryEvent], task_ids: Collection[int]
) -> tuple[int, ...]:
    """Return the action ids of the unlocks that certain failures may have led to.

    These are all that come after the first of the failures; where it was the code itself that
    raised, those it drew last. Code that runs beside the failed one may have drawn some of them
    for reasons of its own.

    Args:
        history: All events of one execution in order.
        task_ids: Action ids of the failed tasks.
    """
    events = effective_history(history)
    after = list(dropwhile(lambda event: not _is_failure(event, task_ids), events))
    if not after:
        after = list(takewhile(lambda event: isinstance(event, _ENDS), reversed(events)))
    return tuple(sorted(one.task_id for one in after if isinstance(one, EntityUnlockSent)))


def _is_failure(event: HistoryEvent, task_ids: Collection[int]) -> bool:
    return isinstance(event, _FAILURES) and event.task_id in task_ids


def _is_undone(event: HistoryEvent, rewound: ExecutionRewound) -> bool:
    if _is_failure(event, rewound.task_ids):
        return True
    if isinstance(event, EntityUnlockSent):
        return event.task_id in rewound.unlocks
    return isinstance(event, ExecutionCompleted)
