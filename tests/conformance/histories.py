"""Histories as they compare: what happened in which order, without times and random ids."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.events import (
    ActivityProgressed,
    AttemptLost,
    AttemptStarted,
    Event,
    kind_of,
)
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.ports import InstanceQuery, InstanceUpdate

__all__ = ["Histories", "Line", "events_of", "histories_of"]

Line = tuple[object, ...]
Histories = dict[str, list[list[Line]]]

_BY_CHANCE = (ActivityProgressed, AttemptLost, AttemptStarted)
_COMPARED = ("name", "task_id", "origin", "status", "abandoned", "failed_tasks", "operation")
_ANSWER_TIMEOUT_S = 20.0


def histories_of(client: DurableClient, prefix: str) -> Histories:
    """Return the histories of the finished instances of a scenario, by stable names.

    An instance is named by its id; a sub-orchestration whose id is random by its parent's name and
    the action that created it.

    Args:
        client: Reaches the instances.
        prefix: Begins the ids of the scenario's instances.
    """
    records = sorted(_with_children(client, prefix), key=lambda record: record.iid)
    names: dict[str, str] = {}
    for record in records:
        names[record.instance_id] = _name(record, prefix, names)
    found: Histories = {}
    for record in records:
        if record.status.is_terminal:
            lines = [
                _line(event, names, prefix)
                for event in events_of(client, record.instance_id)
                if not isinstance(event, _BY_CHANCE)
            ]
            found.setdefault(names[record.instance_id], []).append(lines)
    return found


def _with_children(client: DurableClient, prefix: str) -> Iterator[InstanceRecord]:
    waiting = client.query(InstanceQuery(prefix=prefix))
    seen: set[int] = set()
    while waiting:
        record = waiting.pop()
        if record.iid not in seen:
            seen.add(record.iid)
            yield record
            waiting.extend(client.query(InstanceQuery(parent=record.instance_id)))


def _name(record: InstanceRecord, prefix: str, names: dict[str, str]) -> str:
    if record.instance_id.startswith(prefix):
        return record.instance_id.removeprefix(prefix)
    return f"{names[record.parent_instance_id]}/{record.parent_task_id}"


def events_of(client: DurableClient, instance_id: str) -> list[Event]:
    """Return the events of an instance's last execution, in order.

    Args:
        client: Reaches the instance.
        instance_id: Which.
    """
    updates: list[InstanceUpdate] = []
    has_come = threading.Event()

    def tell(update: InstanceUpdate) -> None:
        updates.append(update)
        has_come.set()

    end = client.subscribe(instance_id, tell)
    assert has_come.wait(_ANSWER_TIMEOUT_S), f"no history of {instance_id}"
    end()
    return [event for _, event in updates[0].events]


def _line(event: Event, names: dict[str, str], prefix: str) -> Line:
    line: list[object] = [kind_of(event)]
    for attribute in _COMPARED:
        value = getattr(event, attribute, None)
        if value:
            line.append((attribute, value))
    failure = getattr(event, "failure", None)
    if failure is not None:
        line.append(("failure", failure.error_type))
    target = getattr(event, "instance_id", None)
    if target is not None:
        line.append(("instance", names.get(target, target.removeprefix(prefix))))
    return tuple(line)
