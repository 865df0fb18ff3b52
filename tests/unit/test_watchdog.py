"""Code that blocks is interrupted, its instance parked, and the others go on."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import Resume
from ipydurable.runtime.watchdog import _LOOKS_PER_LIMIT
from tests.support.world import JsonConverter, World


async def endless(ctx: Any) -> None:
    while True:
        pass


async def fine(ctx: Any) -> str:
    return "fine"


def step_until_parked(world: World) -> None:
    """Start the watchdog for this thread and run the blocking turn."""
    world.engine.watchdog.start()
    try:
        world.start("endless")
    finally:
        world.engine.watchdog.close()


@pytest.mark.parametrize("in_main_thread", [True, False], ids=["signal", "async exception"])
def test_a_blocking_turn_is_interrupted_and_the_line_is_named(in_main_thread: bool) -> None:
    world = World()
    world.engine.watchdog.limit_s = 0.05
    world.orchestrator(endless)
    world.orchestrator(fine)
    if in_main_thread:
        step_until_parked(world)
    else:
        thread = threading.Thread(target=step_until_parked, args=(world,))
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive()
    record = world.record()
    assert record.status is RuntimeStatus.SUSPENDED
    assert "test_watchdog.py, line 1" in record.suspend_reason
    world.start("fine", instance_id="two")
    assert world.output("two") == "fine"


def test_values_that_take_long_to_encode_are_no_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large DataFrame on a busy machine takes longer than code may run without waiting."""
    looks = threading.Semaphore(0)

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            looks.release()
            return super().wait(0.001)

    def encode(self: JsonConverter, value: Any, where: str) -> str:
        for _ in range(3 * _LOOKS_PER_LIMIT):
            assert looks.acquire(timeout=30)
        return json.dumps(value)

    async def asks(ctx: Any) -> Any:
        return await ctx.wait_for_external_event("go")

    world = World()
    world.orchestrator(asks)
    monkeypatch.setattr(JsonConverter, "encode", encode)
    monkeypatch.setattr(world.engine.watchdog, "_closing", Impatient())
    world.engine.watchdog.start()
    world.start("asks")
    world.raise_event("go", 1)
    world.engine.watchdog.close()
    assert world.output() == 1


def test_a_parked_instance_goes_on_when_its_code_is_mended() -> None:
    world = World()
    world.engine.watchdog.limit_s = 0.05
    world.orchestrator(endless)
    step_until_parked(world)
    world.loader.functions[("endless", "v1")] = fine
    world.ask(Resume(instance_id="one"))
    assert world.output() == "fine"


def test_long_replays_are_no_blocking(world_with_long_history: World) -> None:
    """Only the time between two waits counts."""
    world = world_with_long_history
    world.engine.watchdog.limit_s = 0.1
    world.engine.watchdog.start()
    world.raise_event("go", 1)
    world.engine.watchdog.close()
    assert world.output() == 20_000


@pytest.fixture
def world_with_long_history() -> World:
    world = World(resident=0)

    async def counter(ctx: Any) -> int:
        for _ in range(20_000):
            await ctx.wait_for_external_event("go")
        return 20_000

    world.orchestrator(counter)
    world.start("counter")
    for _ in range(20_000 - 1):
        world.engine.deliveries.send("one", EventRaised(timestamp=world.clock.now(), name="go"))
    world.settle()
    world.crash()
    return world


def test_code_that_asks_for_very_many_activities_is_not_blocking() -> None:
    world = World()
    world.engine.watchdog.limit_s = 0.05

    async def wide(ctx: Any, width: int) -> int:
        tasks = []
        for n in range(width):
            tasks.append(ctx.call_activity("one", n))
            if not n % 5_000:  # All of it takes several times the limit, each piece less.
                threading.Event().wait(0.02)
        return len(await ctx.when_all(tasks))

    world.define(lambda n: n, name="one")
    world.orchestrator(wide)
    world.engine.watchdog.start()
    try:
        world.start("wide", 60_000)
    finally:
        world.engine.watchdog.close()
    assert world.record().status is RuntimeStatus.RUNNING


def test_code_that_asks_without_end_is_blocking() -> None:
    world = World()
    world.engine.watchdog.limit_s = 0.02

    async def endless_calls(ctx: Any) -> None:
        while True:
            ctx.call_activity("one", 1)
            threading.Event().wait(0.001)

    world.define(lambda n: n, name="one")
    world.orchestrator(endless_calls)
    world.engine.watchdog.start()
    try:
        world.start("endless_calls")
    finally:
        world.engine.watchdog.close()
    assert world.record().status is RuntimeStatus.SUSPENDED
