"""Inputs of queued activities: not kept in memory, and right when their turn comes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import ManualExecutor, World

WIDTH = 200


@pytest.fixture
def world() -> World:
    made = World()
    made.executor.capacity = 1
    made.crash()

    async def fan(ctx: Any, width: int) -> list[int]:
        texts = [f"{n:05}" * 1_000 for n in range(width)]
        return await ctx.when_all([ctx.call_activity("number", text) for text in texts])

    def number(text: str) -> int:
        return int(text[:5])

    made.define(number)
    made.orchestrator(fan)
    return made


def _in_memory(world: World) -> int:
    """How many open activities have their input in memory."""
    open_ones = world.engine.orchestrations.by_id["one"].activities.values()
    return sum(one.scheduled.input is not None for one in open_ones)


def test_only_the_inputs_of_those_whose_turn_is_near_are_in_memory(world: World) -> None:
    world.start("fan", WIDTH)
    world.settle()
    assert 0 < _in_memory(world) < WIDTH // 2
    world.work()
    assert world.output() == list(range(WIDTH))


def test_an_attempt_that_was_lost_gets_the_same_input_again(world: World) -> None:
    world.start("fan", WIDTH)
    world.settle()
    executor: ManualExecutor = world.executor
    for _ in range(WIDTH):
        world.settle()
        key = next(iter(executor.waiting))
        if key.number == 1 and key.task_id % 7 == 0:
            executor.lose(key)
        else:
            executor.run(key)
    world.work()
    assert world.output() == list(range(WIDTH))


def test_a_restart_gives_the_same_inputs(world: World) -> None:
    world.start("fan", WIDTH)
    world.settle()
    world.crash()
    world.settle()
    assert _in_memory(world) < WIDTH // 2
    world.work()
    assert world.output() == list(range(WIDTH))
