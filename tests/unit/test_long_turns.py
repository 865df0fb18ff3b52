"""Turns that ask for more than one batch holds: written in parts, nothing lost or doubled."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import Migrate, Resume, Start, StartMany, Suspend, Terminate
from tests.support.world import World

WIDTH = 10
AT_ONCE = 3


class Tally:
    total: int = 0

    def add(self, n: int) -> None:
        self.total += n


async def fan(ctx: Any) -> list[int]:
    return await ctx.when_all([ctx.call_activity("number", n) for n in range(WIDTH)])


async def signals(ctx: Any) -> str:
    for _ in range(WIDTH):
        ctx.entity("tally", "one").signal("add", 1)
    await ctx.create_timer(timedelta(hours=1))
    return "done"


async def again(ctx: Any, rounds: int) -> str:
    for n in range(WIDTH):
        ctx.call_activity("number", n)
    if rounds:
        ctx.continue_as_new(rounds - 1)
    return "done"


def number(n: int) -> int:
    return n


@pytest.fixture
def world() -> World:
    made = World(decisions_at_once=AT_ONCE)
    for orchestrator in (fan, signals, again):
        made.orchestrator(orchestrator)
    made.define(number)
    made.entity(Tally)
    return made


def _begin(world: World, name: str, value: Any = None) -> None:
    """Start an instance and work until the first part of its turn is durable."""
    payload = None if value is None else msgspec.json.encode(value).decode()
    world.send(StartMany(starts=[Start(name=name, instance_id="one", input=payload)]))
    world.engine.step()


def _scheduled(world: World) -> int:
    return world.history().count("TaskScheduled")


def test_each_batch_holds_a_part_of_it(world: World) -> None:
    _begin(world, "fan")
    seen = [_scheduled(world)]
    while world.engine.deliveries.has_work:
        world.engine.step()
        seen.append(_scheduled(world))
    assert seen == [3, 6, 9, 10]
    world.work()
    assert world.output() == list(range(WIDTH))


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_host_that_dies_in_between_asks_for_the_rest_and_for_nothing_twice(
    world: World, parts: int
) -> None:
    _begin(world, "fan")
    for _ in range(parts - 1):
        world.engine.step()
    assert _scheduled(world) == AT_ONCE * parts
    world.crash()
    world.work()
    assert world.output() == list(range(WIDTH))
    assert Counter(world.history())["TaskScheduled"] == WIDTH


def test_the_rest_is_asked_for_also_where_no_answer_would_wake_the_code(world: World) -> None:
    _begin(world, "signals")
    assert world.history().count("EntityOperationSignaled") == AT_ONCE
    world.crash()
    world.work()
    assert world.state("@tally@one") == {"total": WIDTH}
    world.advance(timedelta(hours=2))
    assert world.output() == "done"


def test_what_comes_meanwhile_waits_until_all_is_written(world: World) -> None:
    _begin(world, "fan")
    world.engine.step()  # the first part is durable, so its activities begin
    world.executor.run(next(iter(world.executor.waiting)))
    world.engine.step()
    assert "TaskCompleted" not in world.history()
    world.work()
    kinds = world.history()
    assert kinds.index("TaskCompleted") > len(kinds) - kinds[::-1].index("TaskScheduled") - 1
    assert world.output() == list(range(WIDTH))


@pytest.mark.parametrize("crashes", [False, True])
def test_the_rest_of_what_ends_early_is_dropped(world: World, crashes: bool) -> None:
    _begin(world, "fan")
    world.send(Terminate(instance_id="one"))
    world.engine.step()
    if crashes:
        world.crash()
    world.work()
    assert world.record().status is RuntimeStatus.TERMINATED
    assert _scheduled(world) < WIDTH
    assert world.executor.ran == []


def test_code_that_has_ended_goes_on_as_new_once_all_is_written(world: World) -> None:
    world.start("again", 2)
    world.work()
    assert world.output() == "done"
    kinds = [type(row.event).__name__ for row in world.store.rows]
    assert kinds.count("TaskScheduled") == 3 * WIDTH
    assert kinds.count("ExecutionCompleted") == 3


def test_an_instance_that_leaves_memory_as_soon_as_it_can_loses_nothing() -> None:
    world = World(resident=0, decisions_at_once=AT_ONCE)
    world.orchestrator(fan)
    world.define(number)
    world.start("fan")
    world.work()
    assert world.output() == list(range(WIDTH))
    assert _scheduled(world) == WIDTH


def test_one_that_was_suspended_and_cut_asks_for_the_rest_when_it_is_resumed(world: World) -> None:
    _begin(world, "signals")
    world.send(Suspend(instance_id="one"))
    world.engine.step()
    world.crash()
    world.work()
    before = world.state("@tally@one")["total"]
    assert before < WIDTH
    world.ask(Resume(instance_id="one"))
    world.work()
    assert world.state("@tally@one") == {"total": WIDTH}


def test_it_takes_another_version_once_all_is_written(world: World) -> None:
    _begin(world, "fan")
    world.orchestrator(fan, version="v2")
    moved = world.send(Migrate(instance_id="one"))
    world.work()
    assert moved.result(timeout=5).number == 2
    assert world.output() == list(range(WIDTH))
    assert _scheduled(world) == WIDTH
