"""Entities that do nothing cost no memory, however many there are."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.core.records import EntityRecord
from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, Kind
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.engine import EngineOptions
from ipydurable.runtime.idle_entities import IdleEntities
from ipydurable.runtime.live_entities import Entity
from ipydurable.runtime.ports import EntityQuery
from ipydurable.store import open_store
from tests.support.world import START, JsonConverter, World

NOTE = """\
class Note:
    text: str = ""

    def write(self, size):
        self.text = "x" * size

    def size(self):
        return len(self.text)
"""
TELL = """\
async def tell(ctx, job):
    first, last, size = job
    await ctx.when_all([ctx.call_entity(f"Note@{n}", "write", size) for n in range(first, last)])
"""


def entity(iid: int, state: str | None = None) -> Entity:
    record = EntityRecord(
        iid=iid, instance_id=f"@n@{iid}", name="n", created_at=START, updated_at=START, state=state
    )
    return Entity(record)


class TestWhichOnesLeave:
    def test_the_longest_idle_ones_above_the_limit(self) -> None:
        idle = IdleEntities(limit=2)
        for iid in (1, 2, 3, 1):
            idle.put(entity(iid))
        (first,) = _let_go(idle)
        assert (first.record.iid, len(idle)) == (2, 2)
        assert _let_go(idle) == []

    def test_as_many_as_it_takes_to_make_their_states_small_enough(self) -> None:
        idle = IdleEntities(limit=100, max_bytes=50)
        for iid in range(4):
            idle.put(entity(iid, "x" * 20))
        assert [one.record.iid for one in _let_go(idle)] == [0, 1]

    def test_what_is_used_again_counts_once_and_with_its_new_size(self) -> None:
        idle = IdleEntities(limit=100, max_bytes=50)
        one = entity(1, "x" * 60)
        idle.put(one)
        one.record.state = "x"
        idle.put(one)
        idle.put(entity(2, "x" * 45))
        assert _let_go(idle) == []
        idle.discard(2)
        idle.discard(2)
        idle.put(entity(3, "x" * 45))
        assert _let_go(idle) == []

    def test_one_that_may_not_leave_yet_keeps_nobody_else(self) -> None:
        idle = IdleEntities(limit=1)
        for iid in range(3):
            idle.put(entity(iid))
        offered = [one.record.iid for one in idle.surplus()]
        assert offered == [0, 1, 2]


def _let_go(idle: IdleEntities) -> list[Entity]:
    found = []
    for one in idle.surplus():
        idle.discard(one.record.iid)
        found.append(one)
    return found


def test_an_entity_that_left_comes_back_with_its_state_on_the_next_message() -> None:
    world = World(idle_entities=3)
    world.entity(_counter)
    for n in range(20):
        world.signal(f"_counter@{n}", "add", n)
        world.work()
    assert len(world.engine.entities._by_id) == 3
    assert [world.call(f"_counter@{n}", "add", 1) for n in range(20)] == list(range(1, 21))
    assert world.engine.entities.live == 0


def test_a_message_to_many_entities_finds_them_with_one_query() -> None:
    async def tells(ctx: Any, count: int) -> Any:
        calls = [ctx.call_entity(f"_counter@{n}", "add", 1) for n in range(count)]
        return await ctx.when_all(calls)

    world = World(idle_entities=0)
    world.entity(_counter)
    world.orchestrator(tells)
    world.start("tells", 50)
    world.work()
    assert world.output() == [1] * 50
    asked: list[int] = []
    find_many = world.store.find_many

    def counting(ids: Any) -> Any:
        asked.append(len(ids))
        return find_many(ids)

    world.store.find_many = counting  # type: ignore[method-assign]
    world.start("tells", 50, instance_id="two")
    world.work()
    assert world.output("two") == [2] * 50
    assert [count for count in asked if count > 1] == [50]
    assert len(asked) < 10


def _counter(ctx: Any, value: Any) -> Any:
    ctx.set_state(ctx.get_state(0) + value)
    return ctx.get_state()


def _definition(kind: Kind, name: str, source: str) -> Definition:
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(kind=kind, name=name, version="v1", package=package)


class TestMemory:
    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[DurableClient]:
        embedded = EmbeddedEngine(
            open_store(tmp_path / "e.duckdb"), {}, EngineOptions(idle_entities=200)
        )
        client = DurableClient(InProcess(embedded.service), JsonConverter())
        client.define(
            [
                _definition(Kind.ENTITY, "Note", NOTE),
                _definition(Kind.ORCHESTRATOR, "tell", TELL),
            ]
        )
        self.engine = embedded.engine
        yield client
        embedded.close()

    def test_thousands_of_entities_cost_memory_only_for_the_few_that_are_kept(
        self, client: DurableClient
    ) -> None:
        """Of 20 MB of state that pass through, 2 MB are of the 200 that may stay."""
        size, count, step = 10_000, 2_000, 500
        self._tell(client, 0, 10, size)
        gc.collect()
        tracemalloc.start()
        try:
            for first in range(0, count, step):
                self._tell(client, first, first + step, size)
            gc.collect()
            traced_mb = tracemalloc.get_traced_memory()[0] / 1e6
        finally:
            tracemalloc.stop()
        entities = self.engine.entities
        assert len(entities._by_id) <= 200
        assert entities.live == 0
        assert traced_mb < 8
        assert client.call_entity("Note@17", "size", timeout_s=30) == size

    def _tell(self, client: DurableClient, first: int, last: int, size: int) -> None:
        client.wait(client.start("tell", [first, last, size]), timeout_s=60)
        # Has the records written that are kept for the table until then.
        client.query_entities(EntityQuery(limit=1))
