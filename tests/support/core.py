"""The core alone: an executor of a plain function, and the events that drive it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ipydurable.runtime.core.code import OrchestratorCode, Resolved
from ipydurable.runtime.core.context import NO_INPUT
from ipydurable.runtime.core.events import (
    Event,
    EventRaised,
    ExecutionStarted,
    ParentInstance,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.serialization import decode_json, encode_json

__all__ = [
    "START",
    "PlainConverter",
    "at",
    "completed",
    "failed",
    "failure",
    "fired",
    "json_round_trip",
    "kinds",
    "make",
    "raised",
    "result",
    "run",
    "started",
]

START = datetime(2026, 1, 1)


class PlainConverter:
    """JSON with our tags; what JSON has no form for is refused."""

    def encode(self, value: Any, where: str) -> Any:
        """Return JSON text."""
        return encode_json(value, where, self._refuse)

    def decode(self, payload: Any) -> Any:
        """Return the value."""
        return decode_json(payload, lambda _module, _name: None)

    def _refuse(self, value: Any) -> Any:
        raise TypeError(f"{type(value).__name__} has no JSON form")


def at(seconds: float) -> datetime:
    """Return a time in seconds after the start."""
    return START + timedelta(seconds=seconds)


def make(function: Callable[..., Any], **namespace: Any) -> OrchestrationExecutor:
    """Return an executor of a function, with the globals it may name."""
    code = OrchestratorCode(function, PlainConverter(), namespace)
    return OrchestrationExecutor(code, lambda _kind, _name: Resolved("v1"))


def run(
    function: Callable[..., Any], *events: Event, **namespace: Any
) -> tuple[OrchestrationExecutor, list[Event]]:
    """Run live through incoming events; return the executor and the whole history."""
    executor = make(function, **namespace)
    history: list[Event] = []
    for event in events:
        history.append(event)
        executor.process(event)
        history.extend(executor.take_decisions())
    return executor, history


def result(executor: OrchestrationExecutor) -> Any:
    """Return what a completed execution returned."""
    completion = executor.completion
    assert completion is not None, "it has not ended"
    assert completion.failure is None, completion.failure.stack_trace
    return None if completion.result is None else PlainConverter().decode(completion.result)


def failure(executor: OrchestrationExecutor) -> FailureDetails:
    """Return why a failed execution failed."""
    completion = executor.completion
    assert completion is not None, "it has not ended"
    assert completion.failure is not None, completion
    return completion.failure


def started(
    value: Any = NO_INPUT, *, parent: str = "", tags: dict[str, str] | None = None
) -> ExecutionStarted:
    """The beginning of an execution."""
    of = ParentInstance(instance_id=parent, execution_id="p1", task_id=1) if parent else None
    return ExecutionStarted(
        timestamp=START,
        instance_id="one",
        execution_id="e1",
        name="program",
        version="v1",
        input=None if value is NO_INPUT else PlainConverter().encode(value, "input"),
        parent=of,
        tags=tags or {},
    )


def completed(task_id: int, value: Any = None, at_s: float = 1) -> TaskCompleted:
    """An activity returned."""
    payload = PlainConverter().encode(value, "result")
    return TaskCompleted(timestamp=at(at_s), task_id=task_id, result=payload)


def failed(task_id: int, error: BaseException, at_s: float = 1) -> TaskFailed:
    """An activity raised."""
    details = FailureDetails.from_exception(error)
    return TaskFailed(timestamp=at(at_s), task_id=task_id, failure=details)


def raised(name: str, value: Any = None, at_s: float = 1) -> EventRaised:
    """An external event came."""
    payload = None if value is None else PlainConverter().encode(value, "data")
    return EventRaised(timestamp=at(at_s), name=name, input=payload)


def fired(task_id: int, at_s: float) -> TimerFired:
    """A timer fired at its time."""
    return TimerFired(timestamp=at(at_s), task_id=task_id, fire_at=at(at_s))


def kinds(history: Iterable[Event]) -> list[str]:
    """Return the kinds of events, in order."""
    return [type(event).__name__ for event in history]


def json_round_trip(value: Any, as_type: Any) -> Any:
    """Return a value written as JSON and read again."""
    return msgspec.json.decode(msgspec.json.encode(value), type=as_type)
