"""Rewinding: a history in which certain failures no longer count.

History is never rewritten. A rewind adds an `ExecutionRewound` that names the failed tasks to be
redone; whoever reads the history for replay reads it through `effective_history`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .events import (
    ExecutionCompleted,
    ExecutionRewound,
    HistoryEvent,
    SubOrchestrationInstanceFailed,
    TaskFailed,
)

__all__ = ["effective_history"]


def effective_history(history: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """Return the events that still count: without rewound failures and the end they led to.

    Args:
        history: All events of one execution in order.
    """
    events: list[HistoryEvent] = []
    for event in history:
        if isinstance(event, ExecutionRewound):
            redone = frozenset(event.task_ids)
            events = [one for one in events if not _is_undone(one, redone)]
        else:
            events.append(event)
    return events


def _is_undone(event: HistoryEvent, redone: frozenset[int]) -> bool:
    if isinstance(event, TaskFailed | SubOrchestrationInstanceFailed):
        return event.task_id in redone
    return isinstance(event, ExecutionCompleted)
