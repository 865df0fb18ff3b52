"""Instances whose code leaves memory before their rows are durable."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.journal import Batch
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.runtime.requests import Resume, Start, StartMany
from tests.support.world import START, World


class LateCommits:
    """Holds back what the engine of a world submits until `commit`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.held: list[Batch] = []
        world.engine.journal.submit = self.held.append  # type: ignore[method-assign]

    def commit(self) -> None:
        """Make everything durable that is held, and what follows from it."""
        while self.held:
            batch = self.held.pop(0)
            self._world.store.append(batch.rows, batch.records)
            self._world.engine._on_durable([batch])
            self._world.settle()


def test_an_instance_parked_in_a_batch_that_is_not_durable_goes_on_when_resumed() -> None:
    """Its history is not in the store yet when its code is to be replayed."""
    world = World(shadow_turns=1)
    names = ["one way", "another"]

    async def fickle(ctx: Any) -> Any:
        names.reverse()
        return await ctx.call_activity(names[0], 21)

    def double(n: int) -> int:
        return 2 * n

    for name in ("one way", "another"):
        world.define(double, name=name)
    world.orchestrator(fickle)
    late = LateCommits(world)
    world.send(StartMany(starts=[Start(name="fickle", instance_id="one")]))
    world.settle()
    assert world.engine.orchestrations.by_id["one"].record.status is RuntimeStatus.SUSPENDED
    names[:] = ["one way", "one way"]
    world.send(Resume(instance_id="one"))
    world.settle()
    late.commit()
    while world.executor.waiting:
        world.executor.run(next(iter(world.executor.waiting)))
        world.settle()
        late.commit()
    assert world.output() == 42


def test_no_more_is_made_of_a_long_turn_than_the_disk_takes() -> None:
    """A few batches wait for it at most; the rest is written as they become durable."""
    world = World(decisions_at_once=1)

    async def fan(ctx: Any) -> Any:
        return await ctx.when_all([ctx.call_activity("number", n) for n in range(20)])

    world.orchestrator(fan)
    world.define(lambda n: n, name="number")
    late = LateCommits(world)
    world.engine.journal.append_here = lambda batch: False  # type: ignore[method-assign]
    world.send(StartMany(starts=[Start(name="fan", instance_id="one")]))
    world.settle()
    assert len(late.held) <= 4
    while late.held or world.executor.waiting:
        late.commit()
        for key in list(world.executor.waiting):
            world.executor.run(key)
        world.settle()
    assert world.output() == list(range(20))


def test_what_is_not_durable_of_the_present_execution_is_read_from_memory_each_row_once() -> None:
    """The store may be ahead of what the engine was told of."""

    def row(gseq: int, iid: int, seq: int, stream: Stream = Stream.HISTORY) -> JournalRow:
        return JournalRow(gseq, iid, seq, stream, EventRaised(timestamp=START, name="go"))

    engine = World().engine
    engine.durable_gseq = 10
    instance: Any = SimpleNamespace(
        iid=1, last_history_gseq=18, record=SimpleNamespace(first_seq=4)
    )
    stored = [row(9, 1, 4), row(12, 1, 5)]
    earlier, other, inbox = row(11, 1, 3), row(13, 2, 5), row(14, 1, 0, Stream.INBOX)
    first = Batch([earlier, stored[1], other], [], [], [])
    second = Batch([inbox, row(15, 1, 6)], [], [], [])
    engine._submitted = deque([first, second])
    engine._rows = [row(16, 2, 6), row(17, 1, 5, Stream.INBOX), row(18, 1, 7)]
    found = engine.with_late_rows(instance, stored)
    assert [one.gseq for one in found] == [9, 12, 15, 18]
    instance.last_history_gseq = 10
    assert engine.with_late_rows(instance, stored) == stored


def test_an_engine_is_behind_when_more_than_two_batches_wait_for_the_disk() -> None:
    world = World()
    late = LateCommits(world)
    world.engine.journal.append_here = lambda batch: False  # type: ignore[method-assign]
    for _ in range(2):
        world.engine.after_commit(lambda: None)
        world.engine.step()
    assert (len(late.held), world.engine.is_behind) == (2, False)
    world.engine.after_commit(lambda: None)
    world.engine.step()
    assert (len(late.held), world.engine.is_behind) == (3, True)


def test_rows_that_consume_no_message_name_none() -> None:
    """What a row names would be taken for consumed, whose it is."""
    world = World()

    async def listener(ctx: Any) -> Any:
        return await ctx.wait_for_external_event("go")

    world.orchestrator(listener)
    world.start("listener")
    world.raise_event("go", 1)
    assert world.output() == 1
    assert [row.ref for row in world.rows()] == [0] * len(world.rows())
