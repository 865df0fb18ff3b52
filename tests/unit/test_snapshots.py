"""What new followers of an instance are told first."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate
from tests.support.world import World

WAIT_S = 30


def double(n: int) -> int:
    return 2 * n


async def steps(ctx, count):
    for n in range(count):
        await ctx.call_activity("double", n)


class Reading:
    """Counts how often a history is read for followers, and holds up the first of them."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        read = world.store.history

        def history(*args: Any) -> list[Any]:
            if threading.current_thread() is not threading.main_thread():
                self.count += 1
                self.has_begun.set()
                assert self.may_end.wait(WAIT_S)
            return read(*args)

        monkeypatch.setattr(world.store, "history", history)


@pytest.fixture
def world() -> World:
    world = World()
    world.define(double)
    world.orchestrator(steps)
    world.start("steps", 4)
    return world


def run_one(world: World) -> None:
    world.executor.run(next(iter(world.executor.waiting)))
    world.clock.advance(timedelta(seconds=1))
    world.settle()


def settle(world: World, followers: list[list[InstanceUpdate]]) -> None:
    """Let the engine work until everybody was told what is newest."""
    deadline = threading.Event()
    for _ in range(1000):
        world.settle()
        last = len(world.rows())
        if all(updates and updates[-1].record.last_seq == last for updates in followers):
            return
        deadline.wait(0.01)
    raise AssertionError("somebody was not told")


def follow(world: World) -> tuple[list[InstanceUpdate], Future[Any]]:
    updates: list[InstanceUpdate] = []
    future = world.service.subscribe("one", updates.append)
    world.settle()
    return updates, future


def seen(updates: list[InstanceUpdate]) -> list[int]:
    return [seq for update in updates for seq, _ in update.events]


def test_who_comes_while_a_history_is_read_shares_the_next_reading(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told everything once and in order, whatever happens meanwhile."""
    reading = Reading(world, monkeypatch)
    first, _ = follow(world)
    assert reading.has_begun.wait(WAIT_S)
    run_one(world)
    others = [follow(world)[0] for _ in range(2)]
    run_one(world)
    others += [follow(world)[0] for _ in range(3)]
    reading.may_end.set()
    everybody = [first, *others]
    settle(world, everybody)
    assert reading.count == 2
    while world.executor.waiting:
        run_one(world)
    settle(world, everybody)
    for updates in everybody:
        assert seen(updates) == list(range(1, len(world.rows()) + 1))
        assert updates[-1].record.status is RuntimeStatus.COMPLETED
        assert updates[-1].running == []
    assert all(updates[0] is others[0][0] for updates in others)


def test_a_reading_that_fails_is_not_waited_for_by_those_who_come_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, is_broken = world.store.history, threading.Event()

    def history(*args: Any) -> list[Any]:
        if not is_broken.is_set():
            is_broken.set()
            raise OSError("the disk is away for a moment")
        return read(*args)

    monkeypatch.setattr(world.store, "history", history)
    follow(world)
    assert is_broken.wait(WAIT_S)
    second, _ = follow(world)
    settle(world, [second])
    assert seen(second) == list(range(1, len(world.rows()) + 1))
