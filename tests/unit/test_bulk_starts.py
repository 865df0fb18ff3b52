"""Many starts and many messages at once: durable together, run in batches, read in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from ipydurable.runtime import engine as engine_module
from ipydurable.runtime.core.records import Record
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import JournalRow
from ipydurable.runtime.requests import RaiseEvent, Start, StartMany, Suspend, Terminate
from tests.support.world import World

COUNT = 60
FULL = 30
"""Rows of a batch in these tests."""


async def listener(ctx: Any) -> Any:
    return await ctx.wait_for_external_event("go")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(engine_module, "_MAX_ROWS_PER_BATCH", FULL)
    made = World(resident=0)
    made.orchestrator(listener)
    return made


def _start_all(world: World) -> list[str]:
    ids = [f"one-{n}" for n in range(COUNT)]
    starts = [Start(name="listener", instance_id=one, request_id=one) for one in ids]
    world.send(StartMany(starts=starts))
    return ids


def _statuses(world: World, ids: list[str]) -> list[RuntimeStatus]:
    return [world.record(one).status for one in ids]


def test_all_are_durable_with_the_first_batch_and_run_with_later_ones(world: World) -> None:
    ids = _start_all(world)
    world.engine.step()
    statuses = _statuses(world, ids)
    assert statuses[0] is RuntimeStatus.RUNNING
    assert statuses[-1] is RuntimeStatus.PENDING
    world.settle()
    assert set(_statuses(world, ids)) == {RuntimeStatus.RUNNING}


def test_a_host_that_dies_in_between_starts_the_rest_when_it_is_back(world: World) -> None:
    ids = _start_all(world)
    world.engine.step()
    world.crash()
    world.settle()
    assert set(_statuses(world, ids)) == {RuntimeStatus.RUNNING}
    for one in ids:
        assert world.history(one) == ["ExecutionStarted"]


def test_the_last_of_them_takes_what_is_asked_before_its_turn_has_come(world: World) -> None:
    ids = _start_all(world)
    world.send(Suspend(instance_id=ids[-1]))
    world.send(Terminate(instance_id=ids[-2]))
    world.send(RaiseEvent(instance_id=ids[-3], name="go", data="1"))
    world.settle()
    assert world.record(ids[-1]).status is RuntimeStatus.SUSPENDED
    assert world.record(ids[-2]).status is RuntimeStatus.TERMINATED
    assert world.output(ids[-3]) == 1


def test_no_more_start_than_memory_holds_until_those_before_them_are_durable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_MAX_SURPLUS", 5)
    orchestrations = world.engine.orchestrations
    in_memory: list[int] = []
    evict = orchestrations.evict

    def noted() -> None:
        in_memory.append(orchestrations.resident)
        evict()

    monkeypatch.setattr(orchestrations, "evict", noted)
    ids = _start_all(world)
    world.settle()
    assert set(_statuses(world, ids)) == {RuntimeStatus.RUNNING}
    assert max(in_memory[1:]) == 6  # the first batch is that of the request itself


def test_histories_of_many_are_read_together_also_where_a_batch_is_full(world: World) -> None:
    reads: list[int] = []
    history = world.store.history

    def counted(records: Iterable[Record]) -> Iterator[list[JournalRow]]:
        wanted = list(records)
        reads.append(len(wanted))
        return (history(record.iid, record.first_seq) for record in wanted)

    def refuse(*_: Any) -> list[JournalRow]:
        raise AssertionError("one by one")

    ids = _start_all(world)
    world.settle()
    world.store.histories = counted  # type: ignore[method-assign]
    world.store.history = refuse  # type: ignore[method-assign]
    for one in ids:
        world.send(RaiseEvent(instance_id=one, name="go", data="1"))
    world.settle()
    assert {world.output(one) for one in ids} == {1}
    assert len(reads) <= COUNT * 3 / FULL


def test_what_a_batch_has_no_room_for_waits_in_inboxes_where_many_wake_at_once(
    world: World,
) -> None:
    ids = _start_all(world)
    world.settle()
    sizes: list[int] = []
    append = world.store.append

    def noted(rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        sizes.append(len(rows))
        append(rows, records)

    world.store.append = noted  # type: ignore[method-assign]
    for one in ids:
        world.send(RaiseEvent(instance_id=one, name="go", data="1"))
    world.settle()
    assert {world.output(one) for one in ids} == {1}
    assert max(sizes) <= FULL + COUNT  # an event that is taken and its result are two rows
