"""Replay of recorded histories: the test that an edited orchestrator still fits what happened.

Example:
    >>> from ipydurable.testing import load_history, replay
    >>> replay(load_history("orders-42.json"), report)  # doctest: +SKIP
    ReplayReport(status=None, open_tasks=(3,), awaited_events=('Approval',), warnings=())

`run.export_history("orders-42.json")` records one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .codecs import NamespaceConverter
from .core.code import OrchestratorCode, Resolve, Resolved
from .core.executor import OrchestrationExecutor
from .core.payload import Payload
from .core.retry import RetryPolicy
from .core.status import RuntimeStatus
from .history_rows import events_of
from .registry import retry_policy_of

__all__ = ["ReplayReport", "replay"]


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
    history: Any,
    orchestrator: Callable[..., Any],
    *,
    retry_policies: Mapping[str, RetryPolicy] | None = None,
) -> ReplayReport:
    """Replay the history of one execution under an orchestrator's code.

    Needs no store, no host and no activities: their results are in the history.

    Args:
        history: What you have: the handle of an instance, the DataFrame `run.history()` (also
            read again from a CSV, JSON or Parquet file) or its rows as dicts, the path of a file
            that `run.export_history(path)` wrote, or the events in order. Of several executions
            the last is replayed.
        orchestrator: The function, or what `%%orchestrator` or `@orchestrator` defined.
        retry_policies: Retry policies that belong to activities, by name; those of activities the
            orchestrator refers to by their variables are known without.

    Raises:
        TypeError: What is given is no history.
        ValueError: The history does not begin with `ExecutionStarted`, or a row is no event.
        NonDeterminismError: The code does not do what the history says; says where they part.

    Example:
        A run of yesterday, kept beside the tests, that every later version must still replay:

        >>> run.export_history("histories/report.jsonl")  # doctest: +SKIP
        >>> assert not replay("histories/report.jsonl", report).warnings  # doctest: +SKIP
    """
    events = events_of(history)
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
