"""Waiting until an embedded engine has nothing to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from ipydurable.runtime.definitions import ActivityOptions
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.requests import Define, Start, StartMany
from ipydurable.runtime.testing import MemoryStore, VirtualClock
from tests.processes.sources import definition
from tests.support.world import ManualExecutor


@pytest.fixture
def embedded() -> Iterator[EmbeddedEngine]:
    """Give an engine whose activities run when told to."""
    executor = ManualExecutor()
    with closing(EmbeddedEngine(MemoryStore(), {"threads": executor}, clock=VirtualClock())) as one:
        activity = msgspec.structs.replace(
            definition("double"), options=ActivityOptions(executor="threads")
        )
        one.service.handle(Define(definitions=[activity, definition("chain")])).result(10)
        yield one


def test_an_engine_that_is_about_to_start_an_activity_is_not_at_rest(
    embedded: EmbeddedEngine,
) -> None:
    """What is started after the commit that the question waits for counts as well."""
    is_held, go_on, answers = threading.Event(), threading.Event(), []

    def hold() -> None:
        is_held.set()
        go_on.wait(10)

    embedded.engine.post(hold)  # So that both are done in the next step, in this order.
    assert is_held.wait(10)
    asking = threading.Thread(target=lambda: answers.append(embedded.is_at_rest()))
    asking.start()
    while not embedded.engine._posted.qsize():
        threading.Event().wait(0.001)
    start = Start(name="chain", instance_id="one", input="1", request_id="r")
    started = embedded.service.handle(StartMany(starts=[start]))
    go_on.set()
    started.result(10)
    asking.join(10)
    assert answers == [False]
