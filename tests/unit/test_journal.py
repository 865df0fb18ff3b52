"""When batches become durable, and in which thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from ipydurable.runtime import journal as journal_module
from ipydurable.runtime.core.errors import StoreUnwritableError
from ipydurable.runtime.core.events import EventRaised, ExecutionStarted
from ipydurable.runtime.core.output import AttemptOutput
from ipydurable.runtime.core.records import Record, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.journal import Batch, ThreadedJournal
from ipydurable.runtime.ports import AttemptKey, JournalRow, KeptOutput, Stream
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


def _batch(gseq: int, *records: Record) -> Batch:
    event = EventRaised(timestamp=datetime(2026, 1, 1), name="go")
    return Batch([JournalRow(gseq, 1, gseq, Stream.HISTORY, event)], list(records), [], [])


def _record(iid: int, name: str) -> Record:
    at = datetime(2026, 1, 1)
    event = ExecutionStarted(timestamp=at, execution_id="x", instance_id=f"i{iid}", name=name)
    return fold(None, iid, 1, event)


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


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_batch_is_durable_when_it_was_appended_here() -> None:
    store, told = _Store(), []
    with _journal(store, told.extend) as journal:
        batch = _batch(1)
        assert journal.append_here(batch)
        assert told == [batch]
        assert store.appended == [(1, threading.current_thread().name)]


def test_other_work_of_the_writer_is_tried_until_there_is_room() -> None:
    """Deleting what a start replaces, for instance: the engine must not end over a full disk."""
    tries: list[str] = []
    ended: list[Exception] = []

    def purge() -> None:
        tries.append(journal.trouble)
        if len(tries) == 1:
            raise StoreUnwritableError("orders.duckdb", "No space left on device")

    journal = ThreadedJournal(MemoryStore(), lambda _: None, ended.append)
    journal.run_exclusively(purge)
    _wait_for(lambda: len(tries) == 2)
    journal.close()
    assert "No space left" in tries[1]
    assert (journal.trouble, ended) == ("", [])


def test_the_writer_works_on_after_a_batch_was_appended_here() -> None:
    store, told = _Store(), []
    with _journal(store, told.extend) as journal:
        assert journal.append_here(_batch(1))
        _wait_for(lambda: journal._put_count == journal._taken_count)
        journal.submit(_batch(2))
        _wait_for(lambda: len(told) == 2)


def test_nobody_waits_for_a_writer_that_is_at_work() -> None:
    at_work = threading.Event()

    class Slow(_Store):
        def append(self, rows: Any, records: Any) -> None:
            at_work.set()
            super().append(rows, records)

    store = Slow()
    store.may_append.clear()
    with _journal(store) as journal:
        journal.submit(_batch(1))
        assert at_work.wait(10)
        assert not journal.append_here(_batch(2))


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


def test_it_can_append_here_again_once_all_that_was_submitted_is_done() -> None:
    """Batches and other work, also where several were done at once."""
    store, done = _Store(), []
    with _journal(store, done.extend) as journal:
        for first in (1, 11):
            store.may_append.clear()
            for gseq in range(first, first + 4):
                journal.submit(_batch(gseq))
                journal.run_exclusively(lambda gseq=gseq: done.append(gseq))
            assert not journal.append_here(_batch(first + 4))
            store.may_append.set()
            _wait_for(lambda: len(done) % 9 == 8)
            _wait_for(lambda: journal.append_here(_batch(first + 4)))  # noqa: B023
    assert [gseq for gseq, _ in store.appended] == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]


def test_other_work_is_done_by_the_writer_after_what_was_submitted_before() -> None:
    store, seen = _Store(), []

    def look() -> None:
        seen.append((threading.current_thread().name, [gseq for gseq, _ in store.appended]))

    with _journal(store) as journal:
        store.may_append.clear()
        for gseq in (1, 2):
            journal.submit(_batch(gseq))
        journal.run_exclusively(look)
        journal.submit(_batch(3))
        store.may_append.set()
    assert seen == [("ipydurable-writer", [1, 2])]
    assert [gseq for gseq, _ in store.appended] == [1, 2, 3]


def test_it_says_why_nothing_is_written_as_long_as_that_is_so_and_logs_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ipydurable.runtime.journal._RETRY_AFTER_S", 0.0)
    is_durable, said = threading.Event(), []

    class Refusing(_Store):
        def append(self, rows: Any, records: Any) -> None:
            said.append(journal.trouble)
            super().append(rows, records)

    store = Refusing()
    store.refusals = 3
    with _journal(store, lambda _: is_durable.set()) as journal:
        assert journal.trouble == ""
        journal.submit(_batch(1))
        assert is_durable.wait(10)
        assert journal.trouble == ""
    why = str(StoreUnwritableError("orders.duckdb", "the disk is full"))
    assert said == ["", why, why, why]
    assert caplog.messages == [f"cannot write the journal, trying on: {why}"]


def test_whoever_owns_it_hears_of_an_error_that_ends_the_writer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken: list[Exception] = []

    class Broken(_Store):
        def append(self, rows: Any, records: Any) -> None:
            raise ZeroDivisionError("a bug")

    journal = ThreadedJournal(Broken(), lambda _: None, broken.append)
    journal.submit(_batch(1))
    _wait_for(lambda: bool(broken))
    journal.close()
    assert [type(error) for error in broken] == [ZeroDivisionError]
    assert caplog.messages == ["the journal's writer ends"]


def test_batches_that_are_committed_together_write_each_record_as_it_is_in_the_end() -> None:
    written: list[list[tuple[int, str]]] = []

    class Noting(_Store):
        def append(self, rows: Any, records: Any) -> None:
            written.append([(one.iid, one.name) for one in records])
            super().append(rows, records)

    store = Noting()
    with _journal(store) as journal:
        store.may_append.clear()
        journal.submit(_batch(1, _record(1, "first")))
        _wait_for(lambda: bool(written))
        journal.submit(_batch(2, _record(1, "second"), _record(2, "other")))
        journal.submit(_batch(3, _record(1, "third")))
        store.may_append.set()
    assert written == [[(1, "first")], [(1, "third"), (2, "other")]]


def test_what_attempts_printed_is_kept_once_where_the_rows_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_AFTER_S", 0.0)
    kept: list[Any] = []

    class Keeping(_Store):
        def keep_outputs(self, outputs: Any) -> None:
            kept.extend(outputs)

    printed = KeptOutput(AttemptKey(1, "x", 1, 1), "one", datetime(2026, 1, 1), AttemptOutput())
    store, told = Keeping(), []
    store.refusals = 2
    with _journal(store, told.extend) as journal:
        batch = _batch(1)
        batch.outputs = [printed]
        journal.submit(batch)
        _wait_for(lambda: bool(told))
    assert kept == [printed]


def test_a_process_that_ends_without_closing_it_is_not_held_up() -> None:
    with _journal(_Store()) as journal:
        threads = journal._writer, journal._projector, journal._checkpointer
        assert [one.daemon for one in threads] == [True, True, True]
        assert all(one.is_alive() for one in threads)


class _Projecting(_Store):
    """Notes how much was appended whenever tables are brought up to date."""

    def __init__(self) -> None:
        super().__init__()
        self.projected: list[int] = []

    def project(self) -> None:
        self.projected.append(len(self.appended))


def test_tables_are_brought_up_to_date_also_where_there_is_always_more_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_PROJECT_EVERY_S", 0.001)
    store, is_enough = _Projecting(), threading.Event()

    def submit_next(batches: list[Batch]) -> None:
        if not is_enough.is_set():
            journal.submit(_batch(batches[-1].rows[-1].gseq + 1))

    with _journal(store, submit_next) as journal:
        journal.submit(_batch(1))
        _wait_for(lambda: len(store.projected) > 2)
        is_enough.set()
        assert len(store.appended) >= store.projected[2] > store.projected[0] > 0


def test_no_commit_waits_for_tables_that_are_being_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_PROJECT_EVERY_S", 0.0)
    is_projecting, may_go_on = threading.Event(), threading.Event()

    class Slow(_Store):
        def project(self) -> None:
            is_projecting.set()
            may_go_on.wait(10)

    store, told = Slow(), []
    with _journal(store, told.extend) as journal:
        try:
            journal.submit(_batch(1))
            assert is_projecting.wait(10)
            journal.submit(_batch(2))
            _wait_for(lambda: len(told) == 2)
            _wait_for(lambda: journal.append_here(_batch(3)))
            assert not may_go_on.is_set()
        finally:
            may_go_on.set()


def test_memory_is_given_back_once_when_nothing_has_been_written_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_PROJECT_EVERY_S", 0.0)
    monkeypatch.setattr(journal_module, "_AT_REST_AFTER_S", 0.0)
    given_after: list[int] = []

    class Giving(_Projecting):
        def give_back_memory(self) -> None:
            given_after.append(len(self.projected))

    store = Giving()
    with _journal(store) as journal:
        journal.submit(_batch(1))
        _wait_for(lambda: len(given_after) == 1)
        journal.submit(_batch(2))
        _wait_for(lambda: len(given_after) == 2)
    assert given_after == [1, 2]


def test_no_memory_is_given_back_while_there_is_more_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_PROJECT_EVERY_S", 0.0)
    monkeypatch.setattr(journal_module, "_AT_REST_AFTER_S", 60.0)

    given_after: list[int] = []

    class Giving(_Projecting):
        def give_back_memory(self) -> None:
            given_after.append(len(self.projected))

    store = Giving()
    with _journal(store) as journal:
        for number in range(1, 4):
            journal.submit(_batch(number))
            _wait_for(lambda number=number: len(store.projected) >= number)
    assert not given_after


def test_tables_are_left_alone_while_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PROJECT_EVERY_S", 0.0)
    store = _Projecting()
    with _journal(store) as journal:
        journal.submit(_batch(1))
        _wait_for(lambda: bool(store.projected))
        before = len(store.projected)
        done = threading.Event()
        journal.run_exclusively(done.set)
        assert done.wait(10)
        assert len(store.projected) == before == 1


def test_tables_are_brought_up_to_date_when_there_is_time_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not with each commit, which would take longer then."""
    monkeypatch.setattr("ipydurable.runtime.journal._PROJECT_EVERY_S", 3600.0)
    projected: list[int] = []

    class Projecting(_Store):
        def project(self) -> None:
            projected.append(len(self.appended))

    store, told = Projecting(), []
    with _journal(store, told.extend) as journal:
        for gseq in (1, 2, 3):
            journal.submit(_batch(gseq))
            _wait_for(lambda: len(told) == gseq)  # noqa: B023  (waited for at once)
        assert projected == []
    assert projected == [3]


def test_tables_that_cannot_be_brought_up_to_date_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ipydurable.runtime.journal._PROJECT_EVERY_S", 0.0)
    tried: list[int] = []

    class Refusing(_Store):
        def project(self) -> None:
            tried.append(len(self.appended))
            raise StoreUnwritableError("orders.duckdb", "the disk is full")

    with _journal(Refusing()) as journal:
        journal.submit(_batch(1))
        _wait_for(lambda: bool(tried))
        before = len(tried)
        journal.submit(_batch(2))
        _wait_for(lambda: len(tried) > before)
    why = StoreUnwritableError("orders.duckdb", "the disk is full")
    assert set(caplog.messages) == {f"cannot update the tables, trying again later: {why}"}


def test_checkpoints_are_made_beside_the_writer_also_after_one_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ipydurable.runtime.journal._CHECKPOINT_EVERY_S", 0.0)
    by: list[threading.Thread] = []

    class Refusing(_Store):
        def checkpoint(self) -> None:
            by.append(threading.current_thread())
            raise StoreUnwritableError("orders.duckdb", "the disk is full")

    with _journal(Refusing()):
        _wait_for(lambda: len(by) > 1)
    why = StoreUnwritableError("orders.duckdb", "the disk is full")
    assert set(caplog.messages) == {f"cannot checkpoint, trying again later: {why}"}
    assert {one.name for one in by} == {"ipydurable-checkpoint"}
    assert not any(one.is_alive() for one in by)


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


def test_no_more_rows_are_collected_than_a_batch_may_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("fan", 3)
    world.settle()
    monkeypatch.setattr("ipydurable.runtime.engine._MAX_ROWS_PER_BATCH", 2)
    first, second, _ = world.executor.waiting
    world.executor.run(first)
    world.settle()
    assert _outcomes(world) == 0
    world.executor.run(second)
    world.settle()
    assert _outcomes(world) == 2


def test_rows_are_collected_from_the_first_step_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a timer is due when a host starts, and the code waits for another one."""

    async def sleeper(ctx: Any) -> None:
        await ctx.when_all([ctx.create_timer(timedelta(minutes=n)) for n in (1, 2)])

    def fired() -> int:
        return sum(type(row.event).__name__ == "TimerFired" for row in world.store.all_rows())

    world.orchestrator(sleeper)
    world.start("sleeper")
    world.crash()
    monkeypatch.setattr(world.engine.journal, "linger_s", 3600.0)
    world.clock.advance(timedelta(minutes=1))
    world.settle()
    assert fired() == 0
    world.advance(timedelta(minutes=1))
    assert fired() == 2
    assert world.record().status is RuntimeStatus.COMPLETED


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


def test_activities_that_have_no_rows_to_wait_for_are_not_kept_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart, when they are handed out as they stand in the journal."""
    world.start("fan", 5)
    world.settle()
    world.crash()
    monkeypatch.setattr(world.engine.journal, "linger_s", 3600.0)
    world.settle()
    assert len(world.executor.waiting) == 5


def test_who_waits_for_what_is_durable_already_is_not_kept_waiting_behind_many_activities(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("fan", 50)
    world.settle()
    world.executor.capacity = 1
    world.crash()
    monkeypatch.setattr(world.engine.journal, "linger_s", 3600.0)
    world.settle()
    assert world.engine.dispatcher.has_backlog
    told = threading.Event()
    world.engine.after_commit(told.set)
    world.engine.step()
    world.settle()
    assert told.is_set()


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
