"""Rewinding what failed because of an entity, and what ran beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.errors import InstanceStateError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import (
    Purge,
    Terminate,
)
from tests.support.broken_bank import (
    Switch,
    balances,
    broken_bank,
    locks,
    rewind,
)
from tests.support.world import World


@pytest.fixture
def outside() -> Switch:
    return Switch(broken=True)


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest, outside: Switch) -> World:
    return broken_bank(request.param, outside)


class TestEntityCalls:
    def test_a_failed_call_is_made_again(self, world: World) -> None:
        world.start("withdraw", 3)
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        world.call("Account@a", "deposit", 5)
        rewind(world)
        world.work()
        assert world.output() == 2

    def test_a_call_may_fail_and_be_made_again_any_number_of_times(self, world: World) -> None:
        world.start("withdraw", 4)
        for n in range(4):
            world.work()
            assert world.record().status is RuntimeStatus.FAILED
            world.call("Account@a", "deposit", 1)
            rewind(world)
            if n % 2:
                world.crash()
        world.work()
        assert world.output() == 0

    def test_a_call_made_again_is_lost_by_no_crash(self, world: World) -> None:
        world.start("withdraw", 3)
        world.work()
        world.call("Account@a", "deposit", 5)
        rewind(world)
        world.crash()
        world.crash()
        world.work()
        assert (world.output(), world.state("Account@a")) == (2, {"balance": 2})

    def test_an_answer_from_before_the_last_rewind_is_not_mistaken_for_the_new_one(
        self, world: World, outside: Switch
    ) -> None:
        async def both(ctx: Any) -> Any:
            call = ctx.call_entity("Account@a", "withdraw", 3)
            await ctx.call_activity("audit", 0)
            return await call

        world.orchestrator(both)
        world.start("both")
        world.settle()
        world.runner.run()  # the call fails, and nobody looks at it yet
        world.settle()
        world.executor.run(next(iter(world.executor.waiting)))
        world.settle()
        outside["broken"] = False
        rewind(world)  # takes up the activity, and now the call is what fails
        world.work()
        outside["broken"] = True
        assert world.record().status is RuntimeStatus.FAILED
        world.call("Account@a", "deposit", 5)
        rewind(world)
        world.work()
        assert world.output() == 2

    @pytest.mark.parametrize("when", ["while it had failed", "after the rewind"])
    def test_an_answer_that_nobody_was_there_to_take_is_heard(
        self, world: World, outside: Switch, when: str
    ) -> None:
        async def beside(ctx: Any) -> Any:
            call = ctx.call_entity("Account@a", "deposit", 3)
            await ctx.call_activity("audit", 0)
            return await call

        world.orchestrator(beside)
        world.start("beside")
        world.executor.run(next(iter(world.executor.waiting)))
        world.settle()
        assert world.record().status is RuntimeStatus.FAILED
        if when == "while it had failed":
            world.runner.run()
            world.settle()
        outside["broken"] = False
        rewind(world)
        world.work()
        assert (world.output(), world.state("Account@a")) == (3, {"balance": 3})

    def test_what_ran_beside_the_failure_is_taken_up_too(
        self, world: World, outside: Switch
    ) -> None:
        """An activity that was stopped in the middle counts as lost; a timer keeps its time."""

        async def beside(ctx: Any) -> Any:
            timer = ctx.create_timer(timedelta(hours=1))
            slow = ctx.call_activity("slow", 1)
            await ctx.call_activity("audit", 0)
            await timer
            return await slow

        world.define(outside.get, name="slow")
        world.orchestrator(beside)
        world.start("beside")
        slow, audit = world.executor.waiting
        world.executor.begin(slow)
        world.settle()
        world.executor.run(audit)
        world.settle()
        assert world.record().status is RuntimeStatus.FAILED
        outside["broken"] = False
        rewind(world)
        world.work()
        assert [(key.task_id, key.number) for key in world.executor.ran] == [(3, 1), (2, 2), (3, 2)]
        assert world.record().status is RuntimeStatus.RUNNING
        world.advance(timedelta(hours=1))
        assert world.record().status is RuntimeStatus.COMPLETED


class TestChildren:
    @pytest.fixture(autouse=True)
    def parents(self, world: World) -> None:
        async def calls_child(ctx: Any, child: str) -> Any:
            return await ctx.call_sub_orchestrator(child, "Account@a", instance_id="child")

        async def broken(ctx: Any, value: str) -> None:
            raise ValueError("my own fault")

        async def child_and_audit(ctx: Any) -> Any:
            child = ctx.call_sub_orchestrator("holder", "Account@a", instance_id="child")
            await ctx.call_activity("audit", 0)
            return await child

        for one in (calls_child, broken, child_and_audit):
            world.orchestrator(one)

    def test_a_child_that_was_ended_by_force_begins_anew(self, world: World) -> None:
        world.start("calls_child", "holder")
        world.work()
        world.ask(Terminate(instance_id="child"))
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        rewind(world)
        world.work()
        assert locks(world) == [("@account@a", "child", [])]
        world.raise_event("leave", "again", instance_id="child")
        world.work()
        assert world.output() == "again"

    def test_failed_children_are_rewound_with_their_parent_and_their_locks(
        self, world: World, outside: Switch
    ) -> None:
        async def parent(ctx: Any) -> Any:
            order = ["a", "b", 3]
            return await ctx.call_sub_orchestrator("transfer", order, instance_id="child")

        world.orchestrator(parent)
        world.call("Account@a", "deposit", 5)
        world.start("parent")
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        outside["broken"] = False
        rewind(world)
        assert [owner for _, owner, _ in locks(world)] == ["child", "child"]
        world.work()
        assert (world.output(), balances(world), locks(world)) == ([2, 3], [2, 3], [])

    def test_a_child_that_cannot_be_rewound_leaves_its_parent_alone(self, world: World) -> None:
        world.start("calls_child", "broken")
        world.work()
        before = world.history()
        with pytest.raises(InstanceStateError, match="its own code raised") as refused:
            rewind(world)
        assert refused.value.instance_id == "child"
        assert (world.history(), world.record().status) == (before, RuntimeStatus.FAILED)

    def test_an_instance_that_only_has_the_childs_id_is_left_alone(self, world: World) -> None:
        world.start("holder", "Account@a", instance_id="child")
        world.start("calls_child", "holder")
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        rewind(world)
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        assert world.record("child").status is RuntimeStatus.RUNNING
        world.ask(Terminate(instance_id="child"))
        world.ask(Purge(instance_id="child"))
        rewind(world)
        world.work()
        assert locks(world) == [("@account@a", "child", [])]

    @pytest.mark.parametrize("purged", [False, True], ids=["ended", "purged"])
    def test_a_child_that_went_on_alone_is_heard_of(
        self, world: World, outside: Switch, purged: bool
    ) -> None:
        world.start("child_and_audit")
        world.work()
        assert world.record("child").status is RuntimeStatus.RUNNING
        world.raise_event("leave", "first", instance_id="child")
        world.work()
        if purged:
            world.ask(Purge(instance_id="child"))
        outside["broken"] = False
        rewind(world)
        world.work()
        if purged:
            world.raise_event("leave", "second", instance_id="child")
            world.work()
        assert world.output() == ("second" if purged else "first")
