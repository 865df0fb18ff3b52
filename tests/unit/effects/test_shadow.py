"""The first turns of a new version are replayed at once, to see whether its code repeats them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ipydurable.runtime.core.status import RuntimeStatus
from tests.support.world import World

_numbers = itertools.count()


async def another_each_time(ctx: Any) -> Any:
    return await ctx.call_activity(f"a{next(_numbers)}")


async def another_in_the_second_turn(ctx: Any) -> Any:
    await ctx.call_activity("step")
    return await ctx.call_activity("a" if next(_numbers) % 2 else "b")


async def another_at_replay(ctx: Any) -> Any:
    return await ctx.call_activity("a" if ctx.is_replaying else "b")


async def another_input(ctx: Any) -> Any:
    return await ctx.call_activity("step", next(_numbers))


async def another_result(ctx: Any) -> Any:
    return next(_numbers)


async def ends_differently(ctx: Any) -> Any:
    if next(_numbers) % 2:
        raise ValueError
    return 1


async def steady(ctx: Any) -> Any:
    ctx.set_custom_status("begun")
    number = ctx.random().random()
    first = await ctx.call_activity("step", number)
    return [first, await ctx.call_activity("step", ctx.new_uuid())]


async def many_turns(ctx: Any) -> Any:
    for _ in range(10):
        _turns.append(ctx.is_replaying)
        await ctx.call_activity("step")


_turns: list[bool] = []


async def blocks_at_replay(ctx: Any) -> Any:
    while ctx.is_replaying:
        pass
    return "done"


def step(value: Any = None) -> Any:
    return value


@pytest.fixture
def world() -> World:
    world = World(shadow_turns=3)
    for name in ("step", "a", "b", *(f"a{n}" for n in range(200))):
        world.define(step, name=name)
    for one in (
        *(another_each_time, another_in_the_second_turn, another_at_replay, another_input),
        *(another_result, ends_differently, steady, many_turns, blocks_at_replay),
    ):
        world.orchestrator(one)
    return world


@pytest.mark.parametrize("name", ["another_each_time", "another_at_replay", "ends_differently"])
def test_code_that_does_something_else_is_parked_before_it_has_an_effect(
    world: World, name: str
) -> None:
    world.start(name)
    record = world.record()
    assert record.status is RuntimeStatus.SUSPENDED
    assert world.history() == ["ExecutionStarted", "ExecutionSuspended"]
    assert "As this version is new, its first turns were replayed" in record.suspend_reason
    assert f"%durable check {name}" in record.suspend_reason


def test_the_line_that_differs_is_named(world: World) -> None:
    world.start("another_at_replay")
    assert "History: activity 'b'. Code at " in world.record().suspend_reason
    assert "test_shadow.py, line " in world.record().suspend_reason


def test_later_turns_are_looked_at_too(world: World) -> None:
    world.start("another_in_the_second_turn")
    world.work()
    assert world.record().status is RuntimeStatus.SUSPENDED
    assert world.history()[-1] == "ExecutionSuspended"
    assert world.history().count("TaskScheduled") == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("another_input", "now gets another input"), ("another_result", "its result becomes another")],
)
def test_what_replay_would_accept_is_only_told(world: World, name: str, said: str) -> None:
    world.start(name)
    world.work()
    assert world.record().status is RuntimeStatus.COMPLETED
    assert said in world.engine.notices[0]


def test_steady_code_is_not_noticed(world: World) -> None:
    world.start("steady")
    world.work()
    assert world.record().status is RuntimeStatus.COMPLETED
    assert not world.engine.notices


def test_only_the_first_instance_of_a_version_is_looked_at(world: World) -> None:
    world.start("steady")
    world.start("another_at_replay", instance_id="first")
    world.start("another_at_replay", instance_id="second")
    world.work()
    assert world.record("first").status is RuntimeStatus.SUSPENDED
    assert world.record("second").status is RuntimeStatus.COMPLETED


def test_only_the_first_turns_cost_anything(world: World) -> None:
    _turns.clear()
    world.start("many_turns")
    world.work()
    assert world.record().status is RuntimeStatus.COMPLETED
    assert _turns.count(False) == 10
    assert _turns.count(True) == 1 + 2 + 3


def test_code_that_blocks_only_when_looked_at_is_let_go(world: World) -> None:
    world.engine.watchdog.limit_s = 0.05
    world.engine.watchdog.start()
    try:
        world.start("blocks_at_replay")
    finally:
        world.engine.watchdog.close()
    assert world.output() == "done"


def test_it_can_be_turned_off() -> None:
    world = World()
    world.define(step, name="b")
    world.orchestrator(another_at_replay)
    world.start("another_at_replay")
    world.work()
    assert world.record().status is RuntimeStatus.COMPLETED
