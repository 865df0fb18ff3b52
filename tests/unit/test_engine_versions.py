"""Versions in flight: pinned, adopted, migrated, and rewound to newer code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.errors import (
    InstanceStateError,
    MigrationError,
    UnknownDefinitionError,
    UnknownInstanceError,
    UnknownVersionError,
)
from ipydurable.runtime.core.events import (
    AttemptLost,
    AttemptStarted,
    DefinitionAdopted,
    ExecutionMigrated,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import ActivityOptions, CodePackage, Definition, Kind
from ipydurable.runtime.dispatch import Dispatcher
from ipydurable.runtime.instances import Instance
from ipydurable.runtime.registry import Registry
from ipydurable.runtime.requests import (
    Adopt,
    Adopted,
    CountInFlight,
    Migrate,
    Migrated,
    Resume,
    Rewind,
    Suspend,
    Terminate,
)
from ipydurable.runtime.stored_inputs import StoredInputs
from ipydurable.runtime.testing import MemoryStore
from tests.support.world import START, ManualExecutor, World


def one(n: int) -> int:
    return n


def hundred(n: int) -> int:
    return 100 * n


def broken(n: int) -> int:
    raise ValueError("no")


async def twice(ctx: Any) -> int:
    first: int = await ctx.call_activity("step", 1)
    await ctx.wait_for_external_event("go")
    second: int = await ctx.call_activity("step", 2)
    return first + second


async def thrice(ctx: Any) -> int:
    first: int = await ctx.call_activity("step", 1)
    await ctx.wait_for_external_event("go")
    second: int = await ctx.call_activity("step", 2)
    third: int = await ctx.call_activity("step", 3)
    return first + second + third


async def other(ctx: Any) -> int:
    await ctx.create_timer(timedelta(seconds=1))
    return 0


async def parent(ctx: Any) -> int:
    result: int = await ctx.call_sub_orchestrator("flow", None, instance_id="child")
    return result


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a world with an activity and an orchestrator, kept in memory or replayed."""
    world = World(resident=request.param)
    world.define(one, name="step")
    world.define(twice, Kind.ORCHESTRATOR, name="flow")
    yield world
    world.service.close()


def adopt(world: World, *instance_ids: str, version: str = "") -> Adopted:
    answer: Adopted = world.ask(Adopt(name="step", version=version, instance_ids=[*instance_ids]))
    return answer


def migrate(world: World, to: int | str | None = None, instance_id: str = "one") -> Migrated:
    answer: Migrated = world.ask(Migrate(instance_id=instance_id, to=to))
    return answer


def versions_run(world: World, instance_id: str = "one") -> list[str]:
    """Return the version that each attempt with an outcome ran."""
    return [
        row.event.attempt.version
        for row in world.rows(instance_id)
        if isinstance(row.event, TaskCompleted | TaskFailed)
    ]


class TestAdopting:
    """An instance in flight takes another version of an activity."""

    @pytest.mark.parametrize("crashes", [False, True])
    def test_it_takes_it_from_the_next_attempt_on(self, world: World, crashes: bool) -> None:
        world.start("flow")
        world.work()
        world.define(hundred, name="step", version="v2")
        assert adopt(world, "one") == Adopted(name="step", number=2, instance_ids=["one"])
        if crashes:
            world.crash()
        world.raise_event("go")
        world.work()
        assert world.output() == 1 + 200
        assert versions_run(world) == ["v1", "v2"]
        assert [row.event.name for row in world.rows() if isinstance(row.event, DefinitionAdopted)]

    def test_others_keep_theirs(self, world: World) -> None:
        for name in ("one", "two"):
            world.start("flow", instance_id=name)
        world.work()
        world.define(hundred, name="step", version="v2")
        adopt(world, "one")
        for name in ("one", "two"):
            world.raise_event("go", instance_id=name)
        world.work()
        assert (world.output("one"), world.output("two")) == (201, 3)

    def test_an_attempt_that_runs_ends_on_its_own_version_and_the_next_takes_the_new(
        self, world: World
    ) -> None:
        world.start("flow")
        (key,) = world.executor.waiting
        world.executor.begin(key)
        world.settle()
        world.define(hundred, name="step", version="v2")
        adopt(world, "one")
        world.executor.lose(key)
        world.settle()
        (key,) = world.executor.waiting
        assert world.executor.waiting[key][0].version == "v2"
        world.executor.begin(key)
        world.work()
        told = [
            (type(row.event).__name__, row.event.version)
            for row in world.rows()
            if isinstance(row.event, AttemptStarted | AttemptLost)
        ]
        assert told == [("AttemptStarted", "v1"), ("AttemptLost", "v1"), ("AttemptStarted", "v2")]
        assert versions_run(world) == ["v2"]

    @pytest.mark.parametrize("crashes", [False, True])
    def test_a_retry_takes_it(self, world: World, crashes: bool) -> None:
        world.define(broken, name="step", version="v2", max_attempts=3, retry_delay_s=60.0)
        world.start("flow")
        world.work()
        world.define(hundred, name="step", version="v3")
        adopt(world, "one")
        if crashes:
            world.crash()
        world.advance(timedelta(seconds=60))
        world.raise_event("go")
        world.work()
        assert world.output() == 100 + 200
        assert versions_run(world) == ["v2", "v3", "v3"]

    def test_it_outlives_continue_as_new(self, world: World) -> None:
        async def loop(ctx: Any, n: int) -> int:
            await ctx.wait_for_external_event("go")
            if n:
                ctx.continue_as_new(n - 1)
                return 0
            result: int = await ctx.call_activity("step", 1)
            return result

        world.orchestrator(loop)
        world.start("loop", 1)
        world.define(hundred, name="step", version="v2")
        adopt(world, "one")
        world.raise_event("go")
        world.crash()
        world.raise_event("go")
        world.work()
        assert world.output() == 100

    def test_sub_orchestrations_take_it_too_also_those_to_come(self, world: World) -> None:
        async def two_children(ctx: Any) -> list[int]:
            first = await ctx.call_sub_orchestrator("flow", None, instance_id="first")
            return [first, await ctx.call_sub_orchestrator("flow", None, instance_id="second")]

        world.orchestrator(two_children)
        world.start("two_children")
        world.work()
        world.define(hundred, name="step", version="v2")
        assert adopt(world, "one").instance_ids == ["one", "first"]
        for name in ("first", "second"):
            world.raise_event("go", instance_id=name)
            world.work()
        assert world.output() == [1 + 200, 100 + 200]

    def test_all_in_flight_that_may_call_it_take_it(self, world: World) -> None:
        async def unconcerned(ctx: Any) -> None:
            await ctx.wait_for_external_event("go")

        world.orchestrator(unconcerned)
        world.start("flow", instance_id="one")
        world.start("unconcerned", instance_id="two")
        world.work()
        world.define(hundred, name="step", version="v2")
        # Of plain functions the world knows no source, so only what is open is seen.
        world.start("flow", instance_id="three")
        world.define(broken, name="step", version="v3")
        assert world.ask(CountInFlight(kind=Kind.ACTIVITY, name="step")) == {2: 1}
        assert adopt(world).instance_ids == ["three"]
        assert adopt(world).instance_ids == []

    def test_it_is_refused_for_what_is_not_in_flight(self, world: World) -> None:
        world.start("flow")
        world.start("flow", instance_id="two")
        world.ask(Terminate(instance_id="one"))
        with pytest.raises(InstanceStateError, match="in flight"):
            adopt(world, "two", "one")
        assert world.record("two").adopted == {}
        with pytest.raises(UnknownInstanceError):
            adopt(world, "three")
        with pytest.raises(UnknownDefinitionError):
            adopt(world, "two", version="v9")

    def test_options_of_what_was_not_adopted_stay_as_they_were(self, world: World) -> None:
        world.define(one, name="step", timeout_s=5.0)
        world.start("flow")
        world.work()
        world.define(one, name="step", timeout_s=7.0)
        world.raise_event("go")
        (request,) = [request for request, _ in world.executor.waiting.values()]
        assert request.timeout_s == 5.0


class TestMigrating:
    """An instance in flight is moved to another version of its orchestrator."""

    @pytest.mark.parametrize("crashes", [False, True])
    def test_it_goes_on_under_the_new_code_where_its_history_replays(
        self, world: World, crashes: bool
    ) -> None:
        world.start("flow")
        world.work()
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v2")
        moved = migrate(world)
        assert (moved.number, moved.before, moved.version) == (2, 1, "v2")
        if crashes:
            world.crash()
        world.raise_event("go")
        world.work()
        assert world.output() == 6
        assert world.record().version == "v2"
        assert [
            row.event.version for row in world.rows() if isinstance(row.event, ExecutionMigrated)
        ]

    def test_where_it_does_not_replay_nothing_changes(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.define(other, Kind.ORCHESTRATOR, name="flow", version="v2")
        before = world.history()
        with pytest.raises(MigrationError, match=r"flow v2\. They part at action 1.*'step'.*timer"):
            migrate(world)
        assert world.history() == before
        world.raise_event("go")
        world.work()
        assert world.output() == 3
        assert world.record().version == "v1"

    def test_it_sees_the_definitions_of_that_versions_time(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.define(hundred, name="step", version="v2")
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v2")
        world.define(broken, name="step", version="v3")
        world.define(twice, Kind.ORCHESTRATOR, name="flow", version="v3")
        migrate(world, to=2)
        world.define(one, name="step", version="v4")
        world.raise_event("go")
        world.settle()
        assert {request.version for request, _ in world.executor.waiting.values()} == {"v3"}

    def test_open_attempts_take_the_code_of_that_time_next(self, world: World) -> None:
        world.start("flow")
        (key,) = world.executor.waiting
        world.define(hundred, name="step", version="v2")
        migrate(world)
        world.executor.lose(key)
        world.raise_event("go")
        world.work()
        assert world.output() == 100 + 200

    def test_what_it_adopted_stays_unless_the_new_time_has_newer(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.define(hundred, name="step", version="v2")
        adopt(world, "one")
        migrate(world, to=1)
        assert world.record().adopted == {"step": "v2"}
        world.define(broken, name="step", version="v3")
        migrate(world)
        assert world.record().adopted == {"step": "v3"}

    def test_messages_meanwhile_are_kept(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v2")
        future = world.send(Migrate(instance_id="one"))
        world.raise_event("go")
        world.work()
        assert future.result(5).number == 2
        assert world.output() == 6

    def test_two_moves_at_once_come_one_after_the_other(self, world: World) -> None:
        async def eager(ctx: Any) -> int:
            first: int = await ctx.call_activity("step", 1)
            more = ctx.call_activity("step", 9)
            await ctx.wait_for_external_event("go")
            return first + int(await more)

        world.start("flow")
        world.work()
        for version in ("v2", "v3"):
            world.define(eager, Kind.ORCHESTRATOR, name="flow", version=version)
        futures = [world.send(Migrate(instance_id="one", to=number)) for number in (2, 3)]
        world.work()
        assert [future.result(5).number for future in futures] == [2, 3]
        scheduled = [row.event.task_id for row in world.rows() if type(row.event) is TaskScheduled]
        assert scheduled == [1, 2]
        world.raise_event("go")
        world.work()
        assert world.output() == 10

    def test_a_suspended_instance_stays_suspended(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.ask(Suspend(instance_id="one"))
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v2")
        assert migrate(world).status is RuntimeStatus.SUSPENDED
        world.raise_event("go")
        world.work()
        assert world.record().status is RuntimeStatus.SUSPENDED
        world.ask(Resume(instance_id="one"))
        world.work()
        assert world.output() == 6

    def test_a_parked_instance_goes_on(self, world: World) -> None:
        world.start("flow")
        world.work()
        world.loader.functions["flow", "v1"] = other
        world.crash()
        world.raise_event("go")
        assert world.record().status is RuntimeStatus.SUSPENDED
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v2")
        assert migrate(world).status is RuntimeStatus.RUNNING
        world.work()
        assert world.output() == 6

    def test_it_says_which_versions_there_are(self, world: World) -> None:
        world.start("flow")
        with pytest.raises(UnknownVersionError, match="v1"):
            migrate(world, to=7)
        world.ask(Terminate(instance_id="one"))
        with pytest.raises(InstanceStateError, match="in flight"):
            migrate(world)

    def test_a_hash_names_a_version_too(self, world: World) -> None:
        world.start("flow")
        assert migrate(world, to="v1").number == 1

    def test_strict_replay_minds_other_inputs(self) -> None:
        async def louder(ctx: Any) -> int:
            first: int = await ctx.call_activity("step", 7)
            return first

        for strict in (False, True):
            world = World(strict_replay=strict)
            world.define(one, name="step")
            world.define(twice, Kind.ORCHESTRATOR, name="flow")
            world.start("flow")
            world.settle()
            world.define(louder, Kind.ORCHESTRATOR, name="flow", version="v2")
            if strict:
                with pytest.raises(MigrationError, match="another input"):
                    migrate(world)
            else:
                (warning,) = migrate(world).warnings
                assert "another input" in warning
            world.service.close()


class TestRewindingToNewestCode:
    """A failed instance takes the mended code, its own and that of its activities."""

    def test_the_activity_that_failed_is_redone_with_its_newest_version(self, world: World) -> None:
        world.define(broken, name="step", version="v2")
        world.define(parent, Kind.ORCHESTRATOR, name="parent")
        world.start("parent")
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        world.define(hundred, name="step", version="v3")
        world.ask(Rewind(instance_id="one"))
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        world.ask(Rewind(instance_id="one", newest_code=True))
        world.raise_event("go", instance_id="child")
        world.work()
        assert world.output() == 100 + 200
        assert versions_run(world, "child") == ["v2", "v2", "v3", "v3"]

    def test_an_orchestrator_that_raised_goes_on_with_its_newest_version(
        self, world: World
    ) -> None:
        async def raises(ctx: Any) -> int:
            await ctx.call_activity("step", 1)
            raise KeyError("oops")

        world.define(raises, Kind.ORCHESTRATOR, name="flow", version="v2")
        world.start("flow")
        world.work()
        with pytest.raises(InstanceStateError, match="code='newest'"):
            world.ask(Rewind(instance_id="one"))
        world.define(thrice, Kind.ORCHESTRATOR, name="flow", version="v3")
        world.ask(Rewind(instance_id="one", newest_code=True))
        world.crash()
        world.raise_event("go")
        world.work()
        assert world.output() == 6

    def test_it_is_refused_where_the_newest_code_does_not_fit(self, world: World) -> None:
        world.define(broken, name="step", version="v2")
        world.start("flow")
        world.work()
        world.define(other, Kind.ORCHESTRATOR, name="flow", version="v2")
        before = world.history()
        with pytest.raises(InstanceStateError):
            world.ask(Rewind(instance_id="one", newest_code=True))
        assert world.history() == before
        assert world.record().version == "v1"


@pytest.mark.parametrize("capacity", [1, 0], ids=["at once", "later"])
def test_what_waits_for_its_turn_goes_where_the_adopted_version_runs(capacity: int) -> None:
    here, there = ManualExecutor(), ManualExecutor(capacity)
    registry = Registry()
    for version, executor in (("v1", "processes"), ("v2", "threads")):
        package = CodePackage(entry="step")
        options = ActivityOptions(executor=executor)
        registry.add(
            Definition(
                kind=Kind.ACTIVITY, name="step", version=version, package=package, options=options
            ),
            START,
        )
    record = InstanceRecord(
        iid=1, instance_id="one", name="flow", epoch=1, created_at=START, updated_at=START
    )
    instance = Instance(record)
    instance.note(TaskScheduled(timestamp=START, task_id=1, name="step", version="v1"))
    executors = {"processes": here, "threads": there}
    inputs = StoredInputs(MemoryStore())
    dispatcher = Dispatcher(executors, registry, *[lambda *_: None] * 3, inputs=inputs)

    dispatcher.enqueue(instance, instance.activities[1], START)
    record.adopted = {"step": "v2"}
    dispatcher.pump(START)

    assert not here.waiting
    assert [request.version for request, _ in there.waiting.values()] == ["v2"] * capacity
