"""Rewinding in and around critical sections, entity calls and sub-orchestrations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.errors import InstanceStateError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import (
    DescribeOpen,
    ListLocks,
    Purge,
    Resume,
    Rewind,
    Suspend,
    Terminate,
)
from tests.support.world import World


class Account:
    """A bank account whose owner may be short of money."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise ValueError("overdrawn")
        self.balance -= amount
        return self.balance


class Switch(dict[str, bool]):
    """What is broken outside."""

    def audit(self, value: Any) -> Any:
        if self["broken"]:
            raise ConnectionError("refused")
        return value


async def withdraw(ctx: Any, amount: int) -> Any:
    return await ctx.call_entity("Account@a", "withdraw", amount)


async def transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount = order
    a, b = ctx.entity("Account", source), ctx.entity("Account", target)
    async with ctx.lock_entities(a, b):
        left = await a.withdraw(amount)
        await ctx.call_activity("audit", left)
        return [left, await b.deposit(amount)]


def generator_transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount = order
    with (yield ctx.lock_entities([f"Account@{source}", f"Account@{target}"])):
        yield ctx.call_entity(f"Account@{target}", "deposit", amount)
        left = yield ctx.call_entity(f"Account@{source}", "withdraw", amount)
    return left


async def holder(ctx: Any, entity: str) -> Any:
    async with ctx.lock_entities(entity):
        return await ctx.wait_for_external_event("leave")


@pytest.fixture
def outside() -> Switch:
    return Switch(broken=True)


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest, outside: Switch) -> World:
    world = World(resident=request.param)
    world.entity(Account)
    world.define(outside.audit, name="audit")
    for one in (withdraw, transfer, generator_transfer, holder):
        world.orchestrator(one)
    return world


def rewind(world: World, instance_id: str = "one") -> None:
    world.ask(Rewind(instance_id=instance_id))


def locks(world: World) -> list[tuple[str, str, list[str]]]:
    return [(one.entity_id, one.owner, one.queue) for one in world.ask(ListLocks())]


def balances(world: World) -> list[int]:
    return [(world.state(f"Account@{key}") or {"balance": 0})["balance"] for key in "ab"]


def fail_inside(world: World) -> None:
    world.call("Account@a", "deposit", 5)
    world.start("transfer", ["a", "b", 3])
    world.work()
    assert world.record().status is RuntimeStatus.FAILED
    assert locks(world) == []


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


class TestCriticalSections:
    def test_what_failed_inside_is_redone_with_the_locks_and_the_rest_is_kept(
        self, world: World, outside: Switch
    ) -> None:
        fail_inside(world)
        assert balances(world) == [2, 0]
        outside["broken"] = False
        rewind(world)
        assert locks(world) == [("@account@a", "one", []), ("@account@b", "one", [])]
        world.work()
        assert world.output() == [2, 3]
        assert (balances(world), locks(world)) == ([2, 3], [])
        assert world.history().count("EntityLockRequested") == 2

    def test_a_generators_with_block_is_taken_up_too(self, world: World) -> None:
        world.start("generator_transfer", ["a", "b", 3])
        world.work()
        assert (world.record().status, balances(world)) == (RuntimeStatus.FAILED, [0, 3])
        world.call("Account@a", "deposit", 5)
        rewind(world)
        world.work()
        assert (world.output(), balances(world), locks(world)) == (2, [2, 3], [])

    def test_nothing_goes_on_before_the_locks_are_there_again(
        self, world: World, outside: Switch
    ) -> None:
        fail_inside(world)
        world.start("holder", "Account@b", instance_id="other")
        outside["broken"] = False
        ran = len(world.executor.ran)
        rewind(world)
        world.work()
        assert locks(world) == [("@account@a", "one", []), ("@account@b", "other", ["one"])]
        assert len(world.executor.ran) == ran
        waits_for = world.ask(DescribeOpen(instance_ids=["one"]))["one"]
        assert "lock" in [task.kind for task in waits_for]
        world.raise_event("leave", instance_id="other")
        world.work()
        assert (world.output(), locks(world)) == ([2, 3], [])

    @pytest.mark.parametrize("waits", [False, True], ids=["granted at once", "waits for them"])
    def test_a_crash_at_any_moment_of_it_loses_nothing(
        self, world: World, outside: Switch, waits: bool
    ) -> None:
        fail_inside(world)
        outside["broken"] = False
        if waits:
            world.start("holder", "Account@b", instance_id="other")
        rewind(world)
        world.crash()
        world.settle()
        if waits:
            assert world.executor.waiting == {}
            world.raise_event("leave", instance_id="other")
            world.crash()
        world.work()
        assert (world.output(), locks(world)) == ([2, 3], [])

    def test_it_may_fail_inside_again_and_again(self, world: World, outside: Switch) -> None:
        fail_inside(world)
        for _ in range(3):
            rewind(world)
            world.work()
            assert (world.record().status, locks(world)) == (RuntimeStatus.FAILED, [])
            world.crash()
        outside["broken"] = False
        rewind(world)
        world.work()
        assert (world.output(), balances(world)) == ([2, 3], [2, 3])

    def test_ending_it_while_it_waits_for_its_locks_withdraws_the_request(
        self, world: World
    ) -> None:
        fail_inside(world)
        world.start("holder", "Account@a", instance_id="other")
        rewind(world)
        assert locks(world) == [("@account@a", "other", ["one"])]
        world.ask(Terminate(instance_id="one"))
        assert locks(world) == [("@account@a", "other", [])]

    def test_suspending_it_while_it_waits_keeps_its_place(
        self, world: World, outside: Switch
    ) -> None:
        fail_inside(world)
        outside["broken"] = False
        world.start("holder", "Account@a", instance_id="other")
        rewind(world)
        world.ask(Suspend(instance_id="one"))
        world.raise_event("leave", instance_id="other")
        world.work()
        assert locks(world) == [("@account@a", "one", []), ("@account@b", "one", [])]
        world.crash()
        world.ask(Resume(instance_id="one"))
        world.work()
        assert (world.output(), locks(world)) == ([2, 3], [])

    def test_an_owner_that_ran_out_of_time_inside_gets_its_locks_again(self, world: World) -> None:
        """Its end came from outside, so that its code has given nothing back itself."""
        world.start("holder", "Account@a", timeout_s=60)
        world.advance(timedelta(minutes=2))
        assert (world.record().status, locks(world)) == (RuntimeStatus.FAILED, [])
        world.start("holder", "Account@a", instance_id="other")
        rewind(world)
        world.raise_event("leave", "mine")
        assert locks(world) == [("@account@a", "other", ["one"])]
        assert world.record().status is RuntimeStatus.RUNNING
        world.raise_event("leave", instance_id="other")
        world.work()
        assert (world.output(), locks(world)) == ("mine", [])

    def test_a_request_that_still_waited_is_made_again(self, world: World, outside: Switch) -> None:
        """The code is not inside yet, so it goes on meanwhile."""

        async def waits_and_fails(ctx: Any) -> Any:
            request = ctx.lock_entities("Account@a")
            await ctx.call_activity("audit", 1)
            async with request:
                return await ctx.call_entity("Account@a", "deposit", 1)

        world.orchestrator(waits_and_fails)
        world.start("holder", "Account@a", instance_id="other")
        world.start("waits_and_fails")
        world.work()
        assert locks(world) == [("@account@a", "other", [])]
        outside["broken"] = False
        rewind(world)
        world.work()
        assert locks(world) == [("@account@a", "other", ["one"])]
        world.raise_event("leave", instance_id="other")
        world.work()
        assert (world.output(), locks(world)) == (1, [])

    def test_an_unlock_that_had_nothing_to_do_with_the_failure_still_counts(
        self, world: World, outside: Switch
    ) -> None:
        """Code beside the failed one left its section normally, after the failure."""

        async def section(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.wait_for_external_event("leave")
                return await ctx.call_entity("Account@a", "deposit", 1)

        async def beside(ctx: Any) -> Any:
            return await ctx.when_all([section(ctx), ctx.call_activity("audit", "x")])

        world.orchestrator(beside)
        world.start("beside")
        world.work()
        world.raise_event("leave")
        world.work()
        assert world.record().status is RuntimeStatus.FAILED
        outside["broken"] = False
        rewind(world)
        assert locks(world) == []
        world.work()
        assert world.output() == [1, "x"]
        assert world.history().count("EntityUnlockSent") == 1

    def test_a_later_section_is_not_confused_with_the_one_before_the_failure(
        self, world: World, outside: Switch
    ) -> None:
        """What the code does after the rewind may get the action ids of the unlocks it lost."""

        async def two_sections(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.call_activity("audit", 1)
                await ctx.call_entity("Account@a", "deposit", 1)
            async with ctx.lock_entities("Account@a", "Account@b"):
                await ctx.create_timer(timedelta(seconds=1))
                return await ctx.call_entity("Account@b", "deposit", 1)

        world.orchestrator(two_sections)
        world.start("two_sections")
        world.work()
        outside["broken"] = False
        rewind(world)
        world.work()
        assert [owner for _, owner, _ in locks(world)] == ["one", "one"]
        world.crash()
        world.advance(timedelta(seconds=2))
        assert (world.output(), balances(world), locks(world)) == (1, [1, 1], [])

    def test_code_that_went_on_after_leaving_is_refused_and_nothing_changes(
        self, world: World
    ) -> None:
        async def tells(ctx: Any) -> None:
            try:
                async with ctx.lock_entities("Account@a"):
                    await ctx.call_activity("audit", 1)
            finally:
                ctx.signal_entity("Account@b", "deposit", 1)

        world.orchestrator(tells)
        world.start("tells")
        world.work()
        before = world.history()
        with pytest.raises(InstanceStateError, match="deposit"):
            rewind(world)
        assert (world.history(), locks(world)) == (before, [])

    @pytest.mark.parametrize("crashes", [False, True], ids=["goes on", "crashes"])
    def test_mended_code_that_raised_inside_goes_on_inside(
        self, world: World, crashes: bool
    ) -> None:
        """What it asks for beyond its history waits for the locks too."""

        async def careless(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.call_entity("Account@a", "deposit", 1)
                raise ValueError("my own fault")

        async def mended(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.call_entity("Account@a", "deposit", 1)
                return await ctx.call_entity("Account@a", "deposit", 1)

        mended.__name__ = "careless"
        world.orchestrator(careless)
        world.start("careless")
        world.work()
        world.orchestrator(mended, version="v2")
        world.start("holder", "Account@a", instance_id="other")
        world.ask(Rewind(instance_id="one", newest_code=True))
        if crashes:
            world.crash()
            world.ask(Suspend(instance_id="one"))
            world.ask(Resume(instance_id="one"))
        world.work()
        assert world.history().count("EntityOperationCalled") == 1
        assert locks(world) == [("@account@a", "other", ["one"])]
        world.raise_event("leave", instance_id="other")
        world.work()
        assert (world.output(), locks(world)) == (2, [])


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
