"""The engine: durable before visible, one outcome a task, everything back after a crash."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.errors import (
    InstanceExistsError,
    InstanceStateError,
    UnknownDefinitionError,
    UnknownInstanceError,
)
from ipydurable.runtime.core.events import AttemptLost, TimerFired
from ipydurable.runtime.core.retry import RetryPolicy
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.engine import Engine
from ipydurable.runtime.journal import ThreadedJournal
from ipydurable.runtime.ports import (
    AttemptOutcome,
    InstanceQuery,
    InstanceUpdate,
    JournalRow,
    Stream,
)
from ipydurable.runtime.requests import (
    Define,
    DescribeOpen,
    GetInstance,
    Purge,
    RaiseEvent,
    Restart,
    Resume,
    Rewind,
    Start,
    StartMany,
    Suspend,
    Terminate,
    WaitForCompletion,
    WaitForStart,
)
from ipydurable.runtime.service import Service
from ipydurable.runtime.testing import MemoryStore, VirtualClock
from tests.support.world import START, World


def double(n: int) -> int:
    return 2 * n


async def chain(ctx: Any, n: int) -> int:
    for _ in range(3):
        n = await ctx.call_activity("double", n)
    return n


async def fan(ctx: Any, n: int) -> int:
    return sum(await ctx.when_all(ctx.call_activity("double", i) for i in range(n)))


async def sleeper(ctx: Any) -> str:
    await ctx.create_timer(timedelta(days=30))
    return "awake"


async def listener(ctx: Any) -> Any:
    return [await ctx.wait_for_external_event("go"), await ctx.wait_for_external_event("go")]


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest) -> World:
    world = World(resident=request.param)
    world.define(double)
    for one in (chain, fan, sleeper, listener):
        world.orchestrator(one)
    return world


def test_a_chain_completes_and_its_history_tells_each_step(world: World) -> None:
    world.start("chain", 1)
    world.work()
    assert world.output() == 8
    assert world.history() == [
        "ExecutionStarted",
        *["TaskScheduled", "TaskCompleted"] * 3,
        "ExecutionCompleted",
    ]


def test_a_fan_out_completes_in_any_order_of_results(world: World) -> None:
    world.start("fan", 100)
    for key in reversed(list(world.executor.waiting)):
        world.executor.run(key)
    world.work()
    assert world.output() == 9900


def test_nothing_is_visible_before_it_is_durable() -> None:
    """Activities, answers, reads and followers wait for the commit."""
    world = World()

    async def doubles(ctx: Any) -> Any:
        return await ctx.call_activity("double", await ctx.wait_for_external_event("go"))

    world.define(double)
    world.orchestrator(doubles)
    world.start("doubles")
    updates = world.follow()
    before, held = len(updates), list[Any]()
    world.engine.journal.submit = held.append  # type: ignore[method-assign]
    answers = [
        world.send(RaiseEvent(instance_id="one", name="go", data="1", request_id="r")),
        world.send(StartMany(starts=[Start(name="doubles", instance_id="two")])),
    ]
    world.engine.step()
    assert held
    assert not any(answer.done() for answer in answers)
    assert not world.executor.waiting
    assert len(updates) == before
    assert "EventRaised" not in world.history()
    with pytest.raises(UnknownInstanceError):
        world.client.get("two")
    for batch in held:
        world.store.append(batch.rows, batch.records)
    world.engine._on_durable(held)
    world.settle()
    assert all(answer.done() for answer in answers)
    assert len(world.executor.waiting) == 1
    assert len(updates) > before
    assert world.client.get("two").status is RuntimeStatus.RUNNING


def test_a_timer_of_thirty_days_fires_when_they_are_over_and_not_before(world: World) -> None:
    world.start("sleeper")
    world.advance(timedelta(days=30, microseconds=-1))
    assert world.record().status is RuntimeStatus.RUNNING
    world.advance(timedelta(microseconds=1))
    assert world.output() == "awake"


def test_the_engine_sleeps_until_the_next_timer_but_never_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that comes just before it sleeps is looked at a second later at most."""
    now = world.clock.now()
    monkeypatch.setattr(world.clock, "wait_s", lambda until: (until - now).total_seconds())
    assert world.engine._wait_s() == 1.0
    world.start("sleeper")
    assert world.engine._wait_s() == 1.0
    now += timedelta(days=30, seconds=-0.25)
    assert world.engine._wait_s() == 0.25


def test_a_timer_that_fires_late_says_when_it_fired_and_when_it_should_have(world: World) -> None:
    world.start("sleeper")
    due = world.clock.now() + timedelta(days=30)
    world.advance(timedelta(days=31))
    (fired,) = [row.event for row in world.rows() if isinstance(row.event, TimerFired)]
    assert (fired.timestamp, fired.fire_at) == (due + timedelta(days=1), due)


def test_a_crash_at_any_step_loses_nothing_and_completes_each_task_once(world: World) -> None:
    world.start("chain", 1)
    for _ in range(3):
        world.crash()
        world.settle()
        world.executor.run(next(iter(world.executor.waiting)))
        world.settle()
    world.crash()
    world.work()
    assert world.output() == 8
    assert world.history().count("TaskCompleted") == 3


def test_only_attempts_that_had_begun_count_as_lost_in_a_crash(
    world: World,
) -> None:
    world.start("fan", 2)
    begun, queued = world.executor.waiting
    world.executor.begin(begun)
    world.settle()
    world.crash()
    world.settle()
    again = {key.task_id: key.number for key in world.executor.waiting}
    assert again == {begun.task_id: 2, queued.task_id: 1}
    assert world.history().count("AttemptLost") == 1


def test_an_attempt_says_when_it_began_and_when_it_was_found_lost(world: World) -> None:
    world.start("fan", 1)
    (key,) = world.executor.waiting
    updates = world.follow()
    world.clock.advance(timedelta(seconds=5))
    before = len(updates)
    world.executor.begin(key)
    world.settle()
    assert len(updates) > before
    (running,) = world.engine.orchestrations.by_id["one"].running.values()
    assert (running.started_at, running.worker, running.number) == (START, "process 1", 1)
    world.crash()
    world.settle()
    (lost,) = [row.event for row in world.rows() if isinstance(row.event, AttemptLost)]
    assert lost.timestamp == world.clock.now()


def test_a_step_that_finds_nothing_to_do_waits_no_longer_than_it_may(world: World) -> None:
    assert not world.engine.step(0.001)


def test_an_error_that_ends_the_journal_ends_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is durable is right, and the next engine goes on from there."""

    class Broken(MemoryStore):
        def append(self, rows: Any, records: Any) -> None:
            raise ZeroDivisionError("a bug")

    engine = Engine(Broken(), ThreadedJournal, VirtualClock(), {})
    # So that it comes about in the writer's thread.
    monkeypatch.setattr(engine.journal, "append_here", lambda batch: False)
    engine.write_definition(
        DefinitionAdded(
            timestamp=START,
            definition=Definition(
                kind=Kind.ACTIVITY, name="a", version="v1", package=CodePackage(entry="a")
            ),
        )
    )
    with pytest.raises(ZeroDivisionError):
        engine.run()
    engine.watchdog.close()
    engine.journal.close()


def test_timers_and_waits_survive_a_crash(world: World) -> None:
    world.start("sleeper")
    world.start("listener", instance_id="two")
    world.raise_event("go", 1, "two")
    world.crash()
    world.raise_event("go", 2, "two")
    world.advance(timedelta(days=31))
    assert world.output() == "awake"
    assert world.output("two") == [1, 2]


def test_a_result_of_a_lost_attempt_is_dropped(world: World) -> None:
    world.start("chain", 1)
    (key,) = world.executor.waiting
    _, done = world.executor.waiting[key]
    world.executor.lose(key)
    world.settle()
    done(key, AttemptOutcome(result="999"))
    world.work()
    assert world.output() == 8
    assert world.history().count("AttemptLost") == 1


def test_an_activity_that_costs_three_workers_fails_and_says_so(world: World) -> None:
    world.start("chain", 1)
    for n in range(3):
        world.executor.lose(next(iter(world.executor.waiting)), f"process {n}")
        world.settle()
    record = world.record()
    assert record.status is RuntimeStatus.FAILED
    assert record.failure is not None
    assert "process 0, process 1, process 2" in record.failure.message


def test_waiters_get_the_final_record(world: World) -> None:
    world.start("chain", 1)
    future = world.send(WaitForCompletion(instance_id="one"))
    world.settle()
    assert not future.done()
    world.work()
    assert future.result(timeout=5).output == "8"
    assert world.ask(WaitForCompletion(instance_id="one")).output == "8"


def test_an_id_is_taken_until_it_is_purged(world: World) -> None:
    world.start("chain", 1)
    with pytest.raises(InstanceExistsError, match="Running"):
        world.start("chain", 1)
    world.work()
    with pytest.raises(InstanceExistsError, match="Completed"):
        world.start("chain", 1)


def test_a_repeated_start_request_starts_nothing(world: World) -> None:
    world.start("chain", 1, request_id="r")
    world.start("chain", 1, request_id="r")
    world.work()
    world.start("chain", 1, request_id="r")
    assert world.history().count("ExecutionStarted") == 1


def test_unknown_names_and_ids_list_what_is_near(world: World) -> None:
    with pytest.raises(UnknownDefinitionError, match="'chain'"):
        world.start("chian")
    world.start("chain", 1, instance_id="orders-1")
    with pytest.raises(UnknownInstanceError, match="'orders-1'"):
        world.ask(GetInstance(instance_id="order-1"))


def test_messages_to_a_suspended_instance_wait_until_it_is_resumed(world: World) -> None:
    world.start("listener")
    world.ask(Suspend(instance_id="one", reason="lunch"))
    world.raise_event("go", 1)
    assert world.record().status is RuntimeStatus.SUSPENDED
    world.crash()
    world.raise_event("go", 2)
    world.ask(Resume(instance_id="one"))
    assert world.output() == [1, 2]


def test_terminate_is_recursive_and_stops_running_activities(world: World) -> None:
    async def parent(ctx: Any) -> Any:
        return await ctx.call_sub_orchestrator("chain", 1, instance_id="child")

    world.orchestrator(parent)
    world.start("parent")
    (key,) = world.executor.waiting
    world.ask(Terminate(instance_id="one", output='"enough"'))
    assert world.record().status is RuntimeStatus.TERMINATED
    assert world.record("child").status is RuntimeStatus.TERMINATED
    assert world.executor.cancelled == [key]


def test_results_and_failures_of_children_reach_the_parent(world: World) -> None:
    async def bad(ctx: Any) -> None:
        raise ValueError("no")

    async def parent(ctx: Any) -> Any:
        good = await ctx.call_sub_orchestrator("chain", 1)
        try:
            await ctx.call_sub_orchestrator("bad")
        except ValueError as error:
            return [good, str(error)]

    world.orchestrator(bad)
    world.orchestrator(parent)
    world.start("parent")
    world.work()
    assert world.output() == [8, "bad (task 2) failed: ValueError: no"]


def test_a_delayed_start_waits_for_its_time_also_over_a_crash(world: World) -> None:
    world.start("chain", 1, start_at=world.clock.now() + timedelta(hours=1))
    world.work()
    assert world.record().status is RuntimeStatus.PENDING
    world.crash()
    world.advance(timedelta(hours=1))
    assert world.output() == 8


def test_an_instance_keeps_the_definitions_it_started_with(world: World) -> None:
    world.start("chain", 1)

    def triple(n: int) -> int:
        return 3 * n

    async def chain(ctx: Any, n: int) -> str:
        return f"new {await ctx.call_activity('double', n)}"

    world.define(triple, name="double", version="v2")
    world.orchestrator(chain, version="v2")
    world.start("chain", 1, instance_id="two")
    world.crash()
    world.work()
    assert world.output() == 8
    assert world.output("two") == "new 3"


def test_code_that_no_longer_fits_its_history_is_parked_and_goes_on_when_mended() -> None:
    world = World(resident=0)
    world.define(double)
    world.orchestrator(chain)
    world.start("chain", 1)

    async def edited(ctx: Any, n: int) -> Any:
        await ctx.wait_for_external_event("never")

    world.loader.functions[("chain", "v1")] = edited
    world.work()
    record = world.record()
    assert record.status is RuntimeStatus.SUSPENDED
    assert "activity 'double'" in record.suspend_reason
    world.loader.functions[("chain", "v1")] = chain
    world.ask(Resume(instance_id="one"))
    world.work()
    assert world.output() == 8


def test_subscribers_get_everything_first_and_then_only_what_is_new(world: World) -> None:
    world.start("chain", 1)
    updates: list[InstanceUpdate] = []
    future = world.service.subscribe("one", updates.append)
    world.settle()
    future.result(timeout=5)
    world.service._readers.submit(lambda: None).result(timeout=5)
    for _ in range(3):
        world.executor.run(next(iter(world.executor.waiting)))
        world.clock.advance(timedelta(seconds=1))
        world.settle()
        world.service._readers.submit(lambda: None).result(timeout=5)
    seen = [seq for update in updates for seq, _ in update.events]
    assert seen == list(range(1, len(world.rows()) + 1))
    assert updates[-1].record.status is RuntimeStatus.COMPLETED


def test_a_subscriber_is_never_told_of_an_end_before_the_events_that_led_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.define(double)
    world.orchestrator(chain)
    world.start("chain", 1)
    is_read, go_on, is_told = threading.Event(), threading.Event(), threading.Event()
    updates: list[InstanceUpdate] = []

    def read_and_pause(iid: int, first_seq: int = 1) -> list[JournalRow]:
        rows = history(iid, first_seq)
        is_read.set()
        assert go_on.wait(5)
        return rows

    def tell(update: InstanceUpdate) -> None:
        updates.append(update)
        is_told.set()

    history = world.store.history
    monkeypatch.setattr(world.store, "history", read_and_pause)
    world.service.subscribe("one", tell)
    world.settle()
    assert is_read.wait(5)
    world.work()
    go_on.set()
    assert is_told.wait(5)

    assert len(updates[0].events) < len(world.rows())
    assert updates[0].record.status is RuntimeStatus.RUNNING


def test_the_journal_is_dense_and_a_history_has_no_gaps(world: World) -> None:
    world.start("fan", 20)
    world.work()
    world.crash()
    world.start("chain", 1, instance_id="two")
    world.work()
    assert [row.gseq for row in world.store.rows] == list(range(1, len(world.store.rows) + 1))
    for instance_id in ("one", "two"):
        seqs = [row.seq for row in world.rows(instance_id)]
        assert seqs == list(range(1, len(seqs) + 1))
    assert all(row.stream is not Stream.INBOX for row in world.store.rows)


def test_at_most_as_many_run_as_the_definition_allows(world: World) -> None:
    world.define(double, version="limited", max_parallel=2)
    world.start("fan", 10)
    assert len(world.executor.waiting) == 2
    world.work()
    assert world.output() == 90


class TestWholeClientModel:
    """Restart, rewind, purge, replace, deadlines, and what is waited for."""

    @pytest.fixture
    def flaky(self, world: World) -> dict[str, bool]:
        """An activity that fails while its switch is on."""
        broken = {"on": True}

        def charge(n: int) -> str:
            if broken["on"]:
                raise ConnectionError("no network")
            return f"charged {n}"

        async def order(ctx: Any, n: int) -> list[str]:
            doubled = await ctx.call_activity("double", n)
            return await ctx.when_all([ctx.call_activity("charge", doubled + i) for i in range(2)])

        async def orders(ctx: Any) -> Any:
            return await ctx.call_sub_orchestrator("order", 1, instance_id="child")

        world.define(charge)
        world.orchestrator(order)
        world.orchestrator(orders)
        return broken

    def test_rewind_redoes_what_failed_and_keeps_what_succeeded(
        self, world: World, flaky: dict[str, bool]
    ) -> None:
        world.start("order", 1)
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        flaky["on"] = False
        world.crash()
        world.ask(Rewind(instance_id="one"))
        world.work()
        assert world.output() == ["charged 2", "charged 3"]
        ran = [(key.task_id, key.number) for key in world.executor.ran]
        assert ran == [(2, 2), (3, 2)]

    def test_rewind_reaches_failed_children(self, world: World, flaky: dict[str, bool]) -> None:
        world.start("orders")
        world.work()
        flaky["on"] = False
        world.ask(Rewind(instance_id="one"))
        world.crash()
        world.work()
        assert world.output() == ["charged 2", "charged 3"]
        assert world.record("child").status is RuntimeStatus.COMPLETED

    def test_rewind_creates_a_purged_child_again(
        self, world: World, flaky: dict[str, bool]
    ) -> None:
        world.start("orders")
        world.work()
        world.ask(Purge(instance_id="child"))
        flaky["on"] = False
        world.ask(Rewind(instance_id="one"))
        world.work()
        assert world.output() == ["charged 2", "charged 3"]

    def test_rewind_works_twice_and_for_retried_tasks(
        self, world: World, flaky: dict[str, bool]
    ) -> None:
        async def patient(ctx: Any) -> Any:
            policy = RetryPolicy(
                first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2
            )
            return await ctx.call_activity("charge", 1, retry_policy=policy)

        world.orchestrator(patient)
        world.start("patient")
        for _ in range(2):
            world.work()
            world.advance(timedelta(seconds=5))
            assert world.record().status is RuntimeStatus.FAILED
            world.ask(Rewind(instance_id="one"))
        flaky["on"] = False
        world.work()
        assert world.output() == "charged 1"

    def test_rewind_is_refused_where_it_would_change_nothing(self, world: World) -> None:
        async def broken(ctx: Any) -> None:
            raise ValueError("my own fault")

        world.orchestrator(broken)
        world.start("broken")
        with pytest.raises(InstanceStateError, match="its own code raised"):
            world.ask(Rewind(instance_id="one"))
        world.start("chain", 1, instance_id="two")
        with pytest.raises(InstanceStateError, match="only a failed instance"):
            world.ask(Rewind(instance_id="two"))
        assert world.record().status is RuntimeStatus.FAILED

    def test_rewind_is_refused_where_the_code_went_on_after_the_failure(
        self, world: World, flaky: dict[str, bool]
    ) -> None:
        async def compensating(ctx: Any) -> None:
            try:
                await ctx.call_activity("charge", 1)
            except ConnectionError:
                await ctx.call_activity("double", 2)
                raise

        world.orchestrator(compensating)
        world.start("compensating")
        world.work()
        before = world.history()
        with pytest.raises(InstanceStateError, match="activity 'double'"):
            world.ask(Rewind(instance_id="one"))
        assert world.history() == before

    def test_restart_runs_the_same_input_again(self, world: World) -> None:
        world.start("chain", 5)
        with pytest.raises(InstanceStateError, match="once it has ended"):
            world.ask(Restart(instance_id="one", new_id="one"))
        world.work()
        assert world.ask(Restart(instance_id="one", new_id="two")) == "two"
        assert world.ask(Restart(instance_id="one", new_id="one")) == "one"
        world.work()
        assert world.output("two") == world.output("one") == 40
        assert world.history().count("ExecutionStarted") == 1

    def test_an_existing_instance_is_replaced_where_its_status_allows(self, world: World) -> None:
        world.start("sleeper")
        replace = (RuntimeStatus.RUNNING,)
        world.start("chain", 1, replace=replace)
        world.crash()
        world.work()
        assert world.output() == 8
        with pytest.raises(InstanceExistsError):
            world.start("chain", 1, replace=replace)

    def test_purge_deletes_finished_instances_and_their_children(self, world: World) -> None:
        async def parent(ctx: Any) -> Any:
            return await ctx.call_sub_orchestrator("chain", 1, instance_id="child")

        world.orchestrator(parent)
        world.start("parent")
        with pytest.raises(InstanceStateError, match="terminate it"):
            world.ask(Purge(instance_id="one"))
        world.work()
        world.start("sleeper", instance_id="live")
        assert world.ask(Purge(instance_id="one", recurse=True)) == 2
        assert world.store.find("one") is None
        assert world.store.find("child") is None
        assert world.ask(Purge(query=InstanceQuery())) == 0
        assert world.store.find("live") is not None

    def test_an_orchestration_that_takes_too_long_fails_with_its_children(
        self, world: World
    ) -> None:
        async def parent(ctx: Any) -> Any:
            return await ctx.call_sub_orchestrator("sleeper", instance_id="child")

        world.orchestrator(parent)
        world.start("parent", timeout_s=60)
        world.crash()
        world.advance(timedelta(seconds=60))
        record = world.record()
        assert record.status is RuntimeStatus.FAILED
        assert record.failure is not None
        assert "within the 60 s" in record.failure.message
        assert world.record("child").status is RuntimeStatus.TERMINATED

    def test_waiting_for_the_start_of_a_delayed_instance(self, world: World) -> None:
        world.start("chain", 1, start_at=world.clock.now() + timedelta(hours=1))
        future = world.send(WaitForStart(instance_id="one"))
        world.settle()
        assert not future.done()
        world.clock.advance(timedelta(hours=1))
        world.settle()
        assert future.result(timeout=5).status is RuntimeStatus.RUNNING
        assert world.ask(WaitForStart(instance_id="one")).status is RuntimeStatus.RUNNING

    def test_everything_an_instance_waits_for_is_listed(self, world: World) -> None:
        async def busy(ctx: Any) -> Any:
            await ctx.when_all(
                [
                    ctx.call_activity("double", 1),
                    ctx.create_timer(timedelta(days=1)),
                    ctx.wait_for_external_event("Approval"),
                    ctx.call_sub_orchestrator("sleeper", instance_id="child"),
                ]
            )

        world.orchestrator(busy)
        world.start("busy")
        world.start("chain", 1, "later", start_at=world.clock.now() + timedelta(hours=1))
        world.crash()
        found = world.ask(DescribeOpen(instance_ids=["one", "later", "missing"]))
        assert [(one.kind, one.name) for one in found["one"]] == [
            ("activity", "double"),
            ("sub-orchestration", "child"),
            ("timer", ""),
            ("external event", "Approval"),
        ]
        assert [one.kind for one in found["later"]] == ["start"]
        assert "missing" not in found

    def test_a_repeated_request_raises_an_event_once(self, world: World) -> None:
        world.start("listener")
        for value in ("1", "2"):
            world.ask(RaiseEvent(instance_id="one", name="go", data=value, request_id="r"))
            world.crash()
        assert world.record().status is RuntimeStatus.RUNNING
        world.ask(RaiseEvent(instance_id="one", name="go", data="3", request_id="other"))
        assert world.output() == [1, 3]

    def test_an_event_of_an_earlier_execution_is_not_raised_again(self, world: World) -> None:
        """The host died before it could answer, and the code had already continued as new."""

        async def twice(ctx: Any, heard: list[int]) -> Any:
            heard = [*heard, await ctx.wait_for_external_event("go")]
            if len(heard) < 2:
                ctx.continue_as_new(heard)
            return heard

        world.orchestrator(twice)
        world.start("twice", [])
        first = RaiseEvent(instance_id="one", name="go", data="1", request_id="r1")
        world.ask(first)
        world.crash()
        world.ask(msgspec.structs.replace(first, repeated=True))
        world.ask(RaiseEvent(instance_id="one", name="go", data="2", request_id="r2"))
        assert world.output() == [1, 2]


def test_an_outcome_that_came_while_suspended_is_not_worked_for_again(world: World) -> None:
    """It waits in the inbox, over a crash too, and counts as the task's only outcome."""
    world.start("chain", 1)
    world.ask(Suspend(instance_id="one"))
    world.executor.run(next(iter(world.executor.waiting)))
    world.settle()
    world.crash()
    world.settle()
    assert not world.executor.waiting
    world.ask(Resume(instance_id="one"))
    world.work()
    assert world.output() == 8
    assert world.history().count("TaskCompleted") == 3


def test_what_came_while_suspended_happens_to_the_code_when_it_is_resumed(world: World) -> None:
    """What it asks for then is timed from there."""

    async def patient(ctx: Any) -> str:
        await ctx.wait_for_external_event("go")
        await ctx.create_timer(timedelta(minutes=1))
        return ctx.current_utc_datetime.isoformat()

    world.orchestrator(patient)
    world.start("patient")
    world.ask(Suspend(instance_id="one"))
    world.raise_event("go")
    world.advance(timedelta(hours=1))
    resumed_at = world.clock.now()
    world.ask(Resume(instance_id="one"))
    world.advance(timedelta(minutes=1))
    assert world.output() == (resumed_at + timedelta(minutes=1)).isoformat()


def test_an_outcome_of_an_earlier_execution_does_not_reach_the_next(world: World) -> None:
    async def loop(ctx: Any, n: int) -> Any:
        if n:
            return await ctx.call_activity("double", 100)
        ctx.call_activity("double", 1)
        await ctx.wait_for_external_event("next")
        ctx.continue_as_new(1)

    world.orchestrator(loop)
    world.start("loop", 0)
    world.ask(Suspend(instance_id="one"))
    world.raise_event("next")
    world.executor.run(next(iter(world.executor.waiting)))
    world.settle()
    world.crash()
    world.ask(Resume(instance_id="one"))
    world.crash()
    world.work()
    assert world.output() == 200


def test_one_instance_that_breaks_the_engines_rules_does_not_stop_the_others(
    world: World,
) -> None:
    async def odd(ctx: Any) -> Any:
        def broken(failure: Any) -> bool:
            raise KeyError("filter")

        policy = RetryPolicy(
            first_retry_interval=timedelta(0), max_number_of_attempts=3, retry_filter=broken
        )
        return await ctx.call_activity("missing", retry_policy=policy)

    def missing() -> None:
        raise ValueError("no")

    world.define(missing)
    world.orchestrator(odd)
    world.start("odd")
    world.work()
    record = world.record()
    assert record.failure is not None
    assert record.failure.type_name == "KeyError"
    assert record.failure.cause is not None
    assert record.failure.cause.type_name == "TaskFailedError"
    world.start("chain", 1, instance_id="two")
    world.work()
    assert world.output("two") == 8


@pytest.mark.parametrize("edit", ["another activity", "another input"])
def test_strict_replay_fails_what_would_be_parked_or_only_warned_of(edit: str) -> None:
    world = World(resident=0, strict_replay=True)
    world.define(double)
    world.orchestrator(chain)

    async def edited(ctx: Any, n: int) -> Any:
        await ctx.call_activity("double", n + 1)
        await ctx.wait_for_external_event("never")

    async def other(ctx: Any, n: int) -> Any:
        await ctx.create_timer(timedelta(days=1))

    world.start("chain", 1)
    world.loader.functions[("chain", "v1")] = other if edit == "another activity" else edited
    world.work()
    record = world.record()
    assert record.status is RuntimeStatus.FAILED
    assert record.failure is not None
    assert record.failure.type_name == "NonDeterminismError"


def test_a_wait_that_lost_a_race_and_still_takes_the_next_event_gets_a_hint(world: World) -> None:
    async def racing(ctx: Any) -> Any:
        first = ctx.wait_for_external_event("go")
        await ctx.when_any([first, ctx.create_timer(timedelta(seconds=1))])
        return await ctx.wait_for_external_event("go")

    world.orchestrator(racing)
    world.start("racing")
    world.advance(timedelta(seconds=1))
    (found,) = world.ask(DescribeOpen(instance_ids=["one"]))["one"]
    assert "cancel()" in found.hint


def test_an_engine_whose_journal_is_broken_ends_instead_of_waiting_for_ever() -> None:
    """What is durable is right; whoever runs the engine starts another."""

    class Broken(MemoryStore):
        def append(self, rows: Any, records: Any) -> None:
            raise RuntimeError("a bug in the store")

    engine = Engine(Broken(), ThreadedJournal, VirtualClock(), {})
    service = Service(engine)
    package = CodePackage(entry="double")
    broken = Definition(kind=Kind.ACTIVITY, name="double", version="v1", package=package)
    service.handle(Define(definitions=[broken]))
    with pytest.raises(RuntimeError, match="a bug in the store"):
        engine.run()
    service.close()


def test_an_attempt_that_is_said_to_have_begun_once_it_is_over_has_not() -> None:
    """A pool may say so on another thread than how it ended; the next attempt has not begun."""
    world = World()

    async def one(ctx: Any) -> Any:
        return await ctx.call_activity("number")

    world.orchestrator(one)
    world.define(lambda: 7, name="number")
    world.start("one")
    key = next(iter(world.executor.waiting))
    world.executor.lose(key)
    world.executor.begin(key)
    world.settle()
    assert "AttemptStarted" not in world.history()
    assert not world.engine.orchestrations.by_id["one"].running
    world.work()
    assert world.output() == 7
