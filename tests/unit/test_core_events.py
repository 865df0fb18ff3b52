"""Events: four kinds that do not overlap, each read as it was written."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
import pytest

from ipydurable.runtime.core import events
from ipydurable.runtime.core.asked_forms import AskedForm
from ipydurable.runtime.core.events import (
    DECISIONS,
    INCOMING,
    AttemptRecord,
    EntityEvent,
    Event,
    HistoryEvent,
    LockOwner,
    Note,
    OperationCaller,
    ParentInstance,
    kind_of,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.forms import Field, asked_form
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.core.status import RuntimeStatus
from tests.support.core import json_round_trip

KINDS: list[type[Event]] = [
    one
    for one in vars(events).values()
    if isinstance(one, type) and issubclass(one, Event) and one is not Event
]
FAILURE = FailureDetails(
    error_type="x.E", message="m", cause=FailureDetails(error_type="F", message="")
)
# One value of each type that a field has, none of them a default.
VALUES: dict[Any, Any] = {
    int: 7,
    float: 0.5,
    float | None: 2.5,
    str: "text",
    bool: True,
    datetime: datetime(2026, 1, 1, 12, 30, 15, 123456),
    datetime | None: datetime(2027, 1, 1),
    tuple[int, ...]: (1, 2),
    tuple[str, ...]: ("@a@1", "@b@2"),
    tuple[tuple[int, int], ...]: ((1, 3), (5, 5)),
    dict[str, str]: {"team": "x"},
    Payload | None: Blob(codec="pickle", data=b"\x00\xff", summary="a Point"),
    FailureDetails: FAILURE,
    FailureDetails | None: FAILURE,
    RuntimeStatus: RuntimeStatus.FAILED,
    AttemptRecord: AttemptRecord(number=2, worker="process 1"),
    ParentInstance | None: ParentInstance(instance_id="p", execution_id="e", task_id=1),
    LockOwner: LockOwner(instance_id="o", execution_id="e", lock_id=1),
    AskedForm: asked_form({"level": ["low", 2], "share": Field(float, 0.5, maximum=1)}),
    Literal["answered", "expired", "withdrawn"]: "expired",
    OperationCaller | None: OperationCaller(instance_id="o", execution_id="e", task_id=1),
}


def sample(kind: type[Event]) -> Event:
    """Return an event of a kind with every field set."""
    fields = msgspec.structs.fields(kind)
    return kind(**{field.name: VALUES[field.type] for field in fields})


def test_each_kind_is_incoming_a_decision_a_note_or_of_an_entity() -> None:
    groups = [INCOMING, DECISIONS, get_args(Note), get_args(EntityEvent)]
    assert {kind for group in groups for kind in group} == set(KINDS)
    for one, other in itertools.combinations(groups, 2):
        assert not set(one) & set(other)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
class TestEachKind:
    def test_it_is_read_as_it_was_written(self, kind: type[Event]) -> None:
        anything = HistoryEvent | EntityEvent
        event = sample(kind)
        assert json_round_trip(event, anything) == event
        packed = msgspec.msgpack.encode(event)
        assert msgspec.msgpack.decode(packed, type=anything) == event

    def test_its_name_is_that_of_its_kind(self, kind: type[Event]) -> None:
        event = sample(kind)
        assert kind_of(event) == kind.__name__
        assert msgspec.to_builtins(event)["kind"] == kind.__name__

    def test_it_cannot_be_changed(self, kind: type[Event]) -> None:
        with pytest.raises(AttributeError):
            sample(kind).timestamp = datetime(2030, 1, 1)  # type: ignore[misc]


def test_what_is_left_at_its_default_is_not_written() -> None:
    """Histories of a million events are mostly defaults."""
    event = events.TaskScheduled(timestamp=datetime(2026, 1, 1), task_id=1, name="a")
    assert msgspec.json.encode(event) == (
        b'{"kind":"TaskScheduled","timestamp":"2026-01-01T00:00:00","task_id":1,"name":"a"}'
    )
