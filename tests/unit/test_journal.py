"""When batches become durable, and in which thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from ipydurable.runtime.core.errors import StoreUnwritableError
from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.journal import Batch, ThreadedJournal
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.runtime.testing import MemoryStore
from tests.support.world import World


class _Store(MemoryStore):
    """Notes which thread appended what; may be made to wait, or to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[tuple[int, str]] = []
        self.may_append = threading.Event()
        self.may_append.set()
        self.refusals = 0

    def append(self, rows: Any, records: Any) -> None:
        self.may_append.wait()
        if self.refusals:
            self.refusals -= 1
            raise StoreUnwritableError("orders.duckdb", "the disk is full")
        self.appended += [(row.gseq, threading.current_thread().name) for row in rows]


def _batch(gseq: int) -> Batch:
    event = EventRaised(timestamp=datetime(2026, 1, 1), name="go")
    return Batch([JournalRow(gseq, 1, gseq, Stream.HISTORY, event)], [], [], [])


@contextmanager
def _journal(
    store: _Store, on_durable: Callable[[list[Batch]], None] = lambda _: None
) -> Iterator[ThreadedJournal]:
    journal = ThreadedJournal(store, on_durable, lambda error: None)
    try:
        yield journal
    finally:
        store.may_append.set()
        journal.close()


def test_a_batch_is_durable_when_it_was_appended_here() -> None:
    store, told = _Store(), []
    with _journal(store, told.extend) as journal:
        batch = _batch(1)
        assert journal.append_here(batch)
        assert told == [batch]
        assert store.appended == [(1, threading.current_thread().name)]


def test_nothing_is_appended_here_before_what_was_submitted_earlier() -> None:
    store = _Store()
    store.may_append.clear()
    with _journal(store) as journal:
        journal.submit(_batch(1))
        assert not journal.append_here(_batch(2))
        journal.submit(_batch(2))
    assert [gseq for gseq, _ in store.appended] == [1, 2]


def test_the_writer_tries_on_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipydurable.runtime.journal._RETRY_AFTER_S", 0.0)
    store, is_durable = _Store(), threading.Event()
    store.refusals = 2
    with _journal(store, lambda _: is_durable.set()) as journal:
        batch = _batch(1)
        assert not journal.append_here(batch)
        assert not is_durable.is_set()
        journal.submit(batch)
        assert is_durable.wait(10)
    assert store.appended == [(1, "ipydurable-writer")]


def test_what_was_appended_here_is_projected_too() -> None:
    projected = threading.Event()

    class Projecting(_Store):
        def project(self) -> None:
            if self.appended:
                projected.set()

    with _journal(Projecting()) as journal:
        assert journal.append_here(_batch(1))
        assert projected.wait(10)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose engine collects, for an hour, rows that nobody waits for."""
    made = World()
    monkeypatch.setattr(made.engine.journal, "linger_s", 3600.0)

    async def fan(ctx: Any, width: int) -> int:
        return sum(await ctx.when_all([ctx.call_activity("one", n) for n in range(width)]))

    made.define(lambda n: n, name="one")
    made.orchestrator(fan)
    return made


def _outcomes(world: World) -> int:
    return sum(type(row.event).__name__ == "TaskCompleted" for row in world.store.all_rows())


def test_outcomes_that_change_nothing_yet_are_committed_together(world: World) -> None:
    world.start("fan", 3)
    world.settle()
    first, second, third = world.executor.waiting
    world.executor.run(first)
    world.executor.run(second)
    world.settle()
    assert _outcomes(world) == 0
    world.executor.run(third)
    world.settle()
    assert _outcomes(world) == 3
    assert world.output() == 3


def test_rows_are_not_collected_for_longer_than_the_journal_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("fan", 2)
    world.settle()
    first, _ = world.executor.waiting
    world.executor.run(first)
    world.settle()
    assert _outcomes(world) == 0
    monkeypatch.setattr("ipydurable.runtime.engine.time.monotonic", lambda: float("inf"))
    world.settle()
    assert _outcomes(world) == 1


def test_rows_that_are_collected_are_not_lost_when_the_engine_ends(world: World) -> None:
    world.start("fan", 2)
    world.settle()
    first, _ = world.executor.waiting
    world.executor.run(first)
    world.settle()
    world.engine.stop()
    world.engine.run()
    assert _outcomes(world) == 1
    assert world.record().status is RuntimeStatus.RUNNING


def test_an_activity_that_a_free_worker_could_begin_is_not_kept_waiting(world: World) -> None:
    async def chain(ctx: Any, length: int) -> None:
        for n in range(length):
            await ctx.call_activity("one", n)

    world.orchestrator(chain)
    world.start("chain", 2)
    world.settle()
    (first,) = world.executor.waiting
    world.executor.run(first)
    world.settle()
    assert len(world.executor.waiting) == 1
