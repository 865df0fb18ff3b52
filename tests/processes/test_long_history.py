"""An instance with a very long history: it goes on after a crash, can be read, and be looked at."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.definitions import Kind
from ipydurable.widgets import TimelineModel, static_html
from tests.processes.sources import wait_until
from tests.processes.test_bank import definition as made

pytestmark = pytest.mark.processes

EVENTS = int(os.environ.get("IPYDURABLE_HISTORY_EVENTS", "20000"))
# Two events each: that it was scheduled, and what came of it.
ACTIVITIES = EVENTS // 2

COLLECT = """\
async def collect(ctx, count):
    total = sum(await ctx.when_all([ctx.call_activity('double', n) for n in range(count)]))
    return total + await ctx.wait_for_external_event('more')
"""


@pytest.mark.timeout(900)
def test_a_long_history_replays_and_can_be_looked_at(
    connect: Callable[[], DurableClient], record_property: Callable[[str, object], None]
) -> None:
    client = connect()
    client.define([made(Kind.ORCHESTRATOR, "collect", COLLECT)])
    began = time.perf_counter()
    client.start("collect", ACTIVITIES, instance_id="long")
    wait_until(
        lambda: [one.kind for one in client.open_tasks(["long"])["long"]] == ["external event"], 600
    )
    record_property("seconds to make it", round(time.perf_counter() - began, 1))

    os.kill(client.host_status().pid, signal.SIGKILL)
    began = time.perf_counter()
    client.raise_event("long", "more", 1)
    record = client.wait("long", timeout_s=300)
    record_property("seconds to replay it, after a crash", round(time.perf_counter() - began, 1))
    assert client.decode(record.output) == ACTIVITIES * (ACTIVITIES - 1) + 1

    began = time.perf_counter()
    update = client.execution("long", 0)
    assert len(update.events) >= EVENTS
    model = TimelineModel()
    model.apply(update)
    assert len(model.rows()) >= ACTIVITIES
    assert "collect" in static_html(model)
    record_property("seconds to read and draw it", round(time.perf_counter() - began, 1))
    counted = client.sql("SELECT count(*) AS n FROM history WHERE instance_id = 'long'")
    assert counted.to_pylist()[0]["n"] == len(update.events)
    record_property("events", len(update.events))
