"""Rewinding into critical sections: nothing goes on before the locks are there again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.errors import InstanceStateError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import (
    DescribeOpen,
    Resume,
    Rewind,
    Suspend,
    Terminate,
)
from tests.support.broken_bank import (
    Switch,
    balances,
    broken_bank,
    fail_inside,
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
