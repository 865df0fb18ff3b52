"""Following an entity, or a store: the past first, then what is new; nothing while idle."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.core.events import LockRequested, OperationDone, OperationRequested
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.ports import EntityUpdate, StoreUpdate
from ipydurable.runtime.requests import RaiseEvent
from tests.support.world import World


class Account:
    balance: int = 0
    note: str = ""

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def remember(self, size: int) -> None:
        self.note = "x" * size


async def hold(ctx):
    async with ctx.lock_entities("Account@a"):
        await ctx.wait_for_external_event("go")


def slow(n: int) -> int:
    return n


async def work(ctx):
    return await ctx.call_activity("slow", 1)


@pytest.fixture
def world() -> World:
    world = World()
    world.entity(Account)
    world.orchestrator(hold)
    world.orchestrator(work)
    world.define(slow)
    return world


def follow(world: World, followed: str) -> list:
    """Follow something; returns the list that its updates are put into."""
    updates: list = []
    future = world.service.subscribe(followed, updates.append)
    settle(world)
    future.result(timeout=5)
    return updates


def settle(world: World) -> None:
    """Let the engine work and tell all that it has to tell."""
    world.work()
    world.clock.advance(timedelta(seconds=2))
    world.work()
    world.service._readers.submit(lambda: None).result(timeout=5)


def done(updates: list[EntityUpdate]) -> list[OperationDone]:
    events = [event for update in updates for _, _, event in update.events]
    return [event for event in events if isinstance(event, OperationDone)]


def test_an_entity_is_told_with_its_past_and_then_what_is_new(world: World) -> None:
    world.call("@account@a", "deposit", 1)
    world.call("@account@a", "deposit", 2)
    updates = follow(world, "@account@a")
    assert [event.result for event in done(updates)] == ["1", "3"]
    asked = [one for _, _, one in updates[0].events if isinstance(one, OperationRequested)]
    assert [event.input for event in asked] == ["1", "2"]
    assert updates[0].record.state == '{"balance":3,"note":""}'

    world.call("@account@a", "deposit", 4)
    settle(world)
    assert [event.result for event in done(updates)] == ["1", "3", "7"]
    assert updates[-1].record.state == '{"balance":7,"note":""}'
    numbers = [gseq for update in updates for gseq, _, _ in update.events]
    assert numbers == sorted(set(numbers))


def test_one_that_does_not_exist_yet_is_told_once_it_does(world: World) -> None:
    updates = follow(world, "@Account@new")
    assert (updates[0].record, updates[0].events) == (None, [])
    world.call("@account@new", "deposit", 1)
    settle(world)
    assert updates[-1].record.instance_id == "@account@new"
    assert len(done(updates)) == 1


@pytest.mark.parametrize("followed", ["@", "@no-key", "@@x"])
def test_what_is_no_entity_id_is_refused_and_the_engine_goes_on(
    world: World, followed: str
) -> None:
    future = world.service.subscribe(followed, lambda _: None)
    settle(world)
    with pytest.raises(DurableError):
        future.result(timeout=5)
    assert world.call("@account@a", "deposit", 1) == 1


def test_others_are_not_told_and_nobody_is_who_left(world: World) -> None:
    updates: list[EntityUpdate] = []
    end = world.service.subscribe("@account@a", updates.append)
    settle(world)
    world.call("@account@b", "deposit", 1)
    settle(world)
    assert len(updates) == 1
    end.result(timeout=5)()
    world.call("@account@a", "deposit", 1)
    settle(world)
    assert len(updates) == 1
    assert world.engine.subscriptions.next_at is None


def test_locks_and_their_queue_are_told(world: World) -> None:
    world.start("hold", instance_id="one")
    world.start("hold", instance_id="two")
    updates = follow(world, "@account@a")
    waiting = [one for _, _, one in updates[0].events if isinstance(one, LockRequested)]
    assert [event.owner.instance_id for event in waiting] == ["one", "two"]
    assert updates[0].record.locked_by.instance_id == "one"
    world.ask(RaiseEvent(instance_id="one", name="go", request_id="r"))
    settle(world)
    assert updates[-1].record.locked_by.instance_id == "two"


def test_large_values_are_left_out(world: World) -> None:
    world.call("@account@a", "remember", 20_000)
    updates = follow(world, "@account@a")
    state = done(updates)[0].state
    assert isinstance(state, Blob)
    assert (state.data, state.summary) == (b"", "20 KB")
    assert len(updates[0].record.state) > 20_000
    world.call("@account@a", "remember", 600_000)
    settle(world)
    assert isinstance(updates[-1].record.state, Blob)
    assert len(msgspec.msgpack.encode(updates[-1])) < 10_000


def test_of_a_flood_only_the_newest_is_told(world: World) -> None:
    """A thousand operations at once are one small update, with what is done away with."""
    updates = follow(world, "@account@a")
    for _ in range(300):
        world.signal("@account@a", "deposit", 1)
    settle(world)
    assert world.state("@account@a")["balance"] == 300
    assert len(done(updates)) < 300
    assert updates[-1].record.pending == 0
    asked = {g for u in updates for g, _, e in u.events if isinstance(e, OperationRequested)}
    settled = {ref for u in updates for _, ref, _ in u.events}
    settled |= {gseq for update in updates for gseq in update.consumed}
    assert asked <= settled


def test_a_store_is_told_of_once_a_second_while_anything_happens(world: World) -> None:
    updates: list[StoreUpdate] = follow(world, "")
    assert len(updates) == 1
    for _ in range(20):
        world.signal("@account@a", "deposit", 1)
        world.work()
    world.clock.advance(timedelta(seconds=1))
    world.settle()
    assert 2 <= len(updates) <= 3
    assert updates[-1].gseq == world.store.rows[-1].gseq
    told = len(updates)
    settle(world)
    settle(world)
    assert len(updates) == told
    assert world.engine.subscriptions.next_at is None


def test_a_store_tells_its_load_and_who_works_on_what(world: World) -> None:
    world.start("work", instance_id="one")
    world.executor.begin(next(iter(world.executor.waiting)))
    world.settle()
    world.clock.advance(timedelta(seconds=2))
    world.settle()
    updates: list[StoreUpdate] = []
    world.service.subscribe("", updates.append)
    world.settle()
    assert updates[0].live == 1
    lane = updates[0].lanes[0]
    assert (lane.name, lane.in_flight) == ("processes", 1)
    assert [(one.worker, one.name, one.instance_id) for one in updates[0].work] == [
        ("process 1", "slow", "one")
    ]
