"""Replay of recorded histories: the test that an edited orchestrator still fits what happened.

Example:
    >>> from ipydurable.testing import load_history, replay
    >>> replay(load_history("orders-42.json"), report)  # doctest: +SKIP
    ReplayReport(status=None, open_tasks=(3,), awaited_events=('Approval',), warnings=())

`run.export_history("orders-42.json")` records one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .codecs import NamespaceConverter
from .core.code import OrchestratorCode, Resolve, Resolved
from .core.events import Event, ExecutionStarted, HistoryEvent
from .core.executor import OrchestrationExecutor
from .core.payload import Payload
from .core.retry import RetryPolicy
from .core.status import RuntimeStatus
from .registry import retry_policy_of

__all__ = ["ReplayReport", "dump_history", "load_history", "replay"]


class ReplayReport(NamedTuple):
    """Where code stands after the replay of a history.

    Attributes:
        status: How it ended; None where it goes on.
        result: The encoded result it ended with.
        open_tasks: Action ids it waits for.
        awaited_events: External events it waits for.
        warnings: Harmless differences, one sentence each.
    """

    status: RuntimeStatus | None
    result: Payload | None
    open_tasks: tuple[int, ...]
    awaited_events: tuple[str, ...]
    warnings: tuple[str, ...]


def replay(
    history: Iterable[HistoryEvent],
    orchestrator: Callable[..., Any],
    *,
    retry_policies: Mapping[str, RetryPolicy] | None = None,
) -> ReplayReport:
    """Replay the history of one execution under an orchestrator's code.

    Needs no store, no host and no activities: their results are in the history.

    Args:
        history: The events in order, from `ExecutionStarted` on.
        orchestrator: The function, or what `%%orchestrator` or `@orchestrator` defined.
        retry_policies: Retry policies that belong to activities, by name; those of activities the
            orchestrator refers to by their variables are known without.

    Raises:
        TypeError: Something given is no history event; `load_history` reads a file.
        ValueError: The history does not begin with `ExecutionStarted`.
        NonDeterminismError: The code does not do what the history says; says where they part.
    """
    events = _checked(history)
    function = getattr(orchestrator, "__wrapped__", orchestrator)
    namespace = getattr(function, "__globals__", {})
    code = OrchestratorCode(function, NamespaceConverter(namespace), namespace)
    executor = OrchestrationExecutor(code, _resolver(orchestrator, retry_policies or {}))
    try:
        executor.replay(events)
        completion = executor.completion
        return ReplayReport(
            status=completion.status if completion else None,
            result=completion.result if completion else None,
            open_tasks=() if completion else executor.open_task_ids,
            awaited_events=() if completion else executor.awaited_events,
            warnings=tuple(executor.warnings),
        )
    finally:
        executor.close()


def dump_history(history: Iterable[HistoryEvent], path: str | Path) -> None:
    """Write a history as JSON, one event a line."""
    lines = [msgspec.json.encode(event) for event in history]
    Path(path).write_bytes(b"\n".join(lines) + b"\n")


def load_history(path: str | Path) -> list[HistoryEvent]:
    """Read a history that `dump_history` wrote.

    Raises:
        ValueError: A line is no history event; says which.
    """
    events = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            events.append(msgspec.json.decode(line, type=HistoryEvent))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path}, line {number}, is no history event: {error}") from error
    return events


def _checked(history: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """Return the events; a replay of nothing would report that all is well."""
    events = list(history)
    for event in events:
        if not isinstance(event, Event):
            raise TypeError(f"a history is made of events, not of {type(event).__name__}")
    if not events or not isinstance(events[0], ExecutionStarted):
        raise ValueError("a history begins with ExecutionStarted; this one does not")
    return events


def _resolver(orchestrator: Any, policies: Mapping[str, RetryPolicy]) -> Resolve:
    known = {
        used.__durable_name__: retry_policy_of(used.options)
        for used in getattr(orchestrator, "uses", ())
        if hasattr(used, "options")
    }
    known.update(policies)

    def resolve(kind: str, name: str) -> Resolved:  # noqa: ARG001
        return Resolved("", known.get(name))

    return resolve
