"""Entities: one operation at a time, in order, each once; locks that nobody loses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.errors import EntityCallError, UnknownDefinitionError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import EntityQuery
from ipydurable.runtime.requests import (
    CallEntity,
    CleanEntities,
    DescribeOpen,
    ListLocks,
    Signal,
    SignalMany,
    Terminate,
)
from tests.support.world import World


class Diary:
    entries: list[str] = []  # noqa: RUF012  (entity state: each object gets its own on loading)

    def write(self, entry: str) -> None:
        self.entries = [*self.entries, entry]


class Account:
    """A bank account."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int) -> int:
        self.balance -= amount
        if self.balance < 0:
            raise ValueError("overdrawn")
        return self.balance

    def get(self) -> int:
        return self.balance

    def tell(self, ctx: Any, other: str) -> None:
        ctx.signal_entity(f"Account@{other}", "deposit", 1)

    def tell_and_fail(self, ctx: Any, other: str) -> None:
        self.balance = 99
        ctx.signal_entity(f"Account@{other}", "deposit", 1)
        raise ValueError("no")

    def launch(self, ctx: Any, n: int) -> str:
        started: str = ctx.start_orchestration("echo", n, instance_id="launched")
        return started

    async def slowly(self, amount: int) -> int:
        return self.deposit(amount)


def counter(ctx: Any, value: Any) -> Any:
    match ctx.operation:
        case "add":
            ctx.set_state(ctx.get_state(0) + value)
        case "mutate":
            ctx.get_state([]).append(value)
        case "delete":
            ctx.set_state(None)
    return ctx.get_state()


async def echo(ctx: Any, value: Any) -> Any:
    return value


async def transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount = order
    async with ctx.lock_entities(f"Account@{source}", f"Account@{target}"):
        if await ctx.call_entity(f"Account@{source}", "get") < amount:
            return "too little"
        await ctx.call_entity(f"Account@{source}", "withdraw", amount)
        await ctx.call_entity(f"Account@{target}", "deposit", amount)
    return "done"


async def holder(ctx: Any, entity: str) -> Any:
    async with ctx.lock_entities(entity):
        return await ctx.wait_for_external_event("leave")


@pytest.fixture(params=[10_000, 0], ids=["resident", "evicted"])
def world(request: pytest.FixtureRequest) -> World:
    world = World(resident=request.param)
    world.entity(Account)
    world.entity(counter)
    for one in (echo, transfer, holder):
        world.orchestrator(one)
    return world


def locks(world: World) -> list[tuple[str, str, list[str]]]:
    return [(one.entity_id, one.owner, one.queue) for one in world.ask(ListLocks())]


class TestOperations:
    def test_a_message_creates_an_entity_and_its_state_is_kept(self, world: World) -> None:
        world.signal("Account@a", "deposit", 5)
        world.work()
        world.crash()
        assert world.call("Account@a", "deposit", 2) == 7
        assert world.state("Account@a") == {"balance": 7}

    def test_names_ignore_case_and_keys_do_not(self, world: World) -> None:
        world.call("ACCOUNT@a", "Deposit", 1)
        world.call("account@A", "deposit", 2)
        assert [world.state("Account@a"), world.state("Account@A")] == [
            {"balance": 1},
            {"balance": 2},
        ]

    def test_a_failing_operation_leaves_no_trace_and_others_of_its_batch_stand(
        self, world: World
    ) -> None:
        world.signal("Account@a", "deposit", 5)
        world.signal("Account@a", "tell_and_fail", "b")
        world.signal("Account@a", "deposit", 1)
        world.work()
        assert world.state("Account@a") == {"balance": 6}
        assert world.state("Account@b") is None
        with pytest.raises(EntityCallError, match="ValueError: overdrawn"):
            world.call("Account@a", "withdraw", 100)
        assert world.state("Account@a") == {"balance": 6}

    def test_operations_run_one_at_a_time_in_the_order_they_came(self, world: World) -> None:
        for n in range(5):
            world.signal("Account@a", "deposit", n)
        assert len(world.runner.waiting) == 1
        world.work()
        assert world.state("Account@a") == {"balance": 10}

    def test_a_slow_operation_delays_only_its_own_entity(self, world: World) -> None:
        world.signal("Account@slow", "deposit", 1)
        world.signal("Account@fast", "deposit", 1)
        world.runner.run(1)
        world.settle()
        assert world.state("Account@fast") == {"balance": 1}
        assert world.state("Account@slow") is None

    def test_operations_that_were_not_done_at_a_crash_are_done_once(self, world: World) -> None:
        for _ in range(3):
            world.signal("Account@a", "deposit", 1)
            world.crash()
            world.settle()
        world.work()
        world.crash()
        world.work()
        assert world.state("Account@a") == {"balance": 3}

    def test_signals_and_starts_of_an_operation_are_passed_on(self, world: World) -> None:
        world.signal("Account@a", "tell", "b")
        world.signal("Account@a", "launch", 42)
        world.work()
        assert world.state("Account@b") == {"balance": 1}
        assert world.output("launched") == 42

    def test_async_operations_work_too(self, world: World) -> None:
        assert world.call("Account@a", "slowly", 3) == 3

    def test_function_entities_keep_falsy_state_and_none_deletes(self, world: World) -> None:
        assert world.call("Counter@c", "add", 0) == 0
        assert world.state("Counter@c") == 0
        world.call("Counter@c", "delete")
        assert world.state("Counter@c") is None

    def test_reading_does_not_create_state(self, world: World) -> None:
        assert world.call("Account@a", "get") == 0
        assert world.state("Account@a") is None

    def test_a_class_entity_can_be_deleted_though_it_does_not_say_how(self, world: World) -> None:
        world.call("Account@a", "deposit", 3)
        world.call("Account@a", "delete")
        assert world.state("Account@a") is None

    def test_a_changed_copy_of_the_state_changes_nothing(self, world: World) -> None:
        world.call("Counter@c", "mutate", 1)
        assert world.state("Counter@c") is None

    def test_an_unknown_operation_lists_those_there_are(self, world: World) -> None:
        with pytest.raises(EntityCallError, match="it has deposit, get"):
            world.call("Account@a", "depose", 1)

    def test_an_unknown_entity_is_refused_with_near_names(self, world: World) -> None:
        with pytest.raises(UnknownDefinitionError, match="'Account'"):
            world.call("Acount@a", "deposit", 1)

    def test_a_scheduled_signal_is_delivered_at_its_time_also_over_a_crash(
        self, world: World
    ) -> None:
        at = world.clock.now() + timedelta(hours=1)
        world.signal("Account@a", "deposit", 5, scheduled_at=at)
        world.work()
        assert world.state("Account@a") is None
        world.crash()
        world.advance(timedelta(hours=1))
        assert world.state("Account@a") == {"balance": 5}

    def test_a_repeated_request_is_done_once_and_answered_twice(self, world: World) -> None:
        request = CallEntity(entity_id="Account@a", operation="deposit", input="5", request_id="r")
        repeated = msgspec.structs.replace(request, repeated=True)
        first = world.send(request)
        again = world.send(repeated)
        world.work()
        world.crash()
        later = world.send(repeated)
        world.work()
        assert [one.result(timeout=5).result for one in (first, again, later)] == ["5", "5", "5"]
        signal = SignalMany(
            signals=[Signal(entity_id="Account@b", operation="deposit", input="1", request_id="s")]
        )
        for _ in range(3):
            world.ask(signal)
            world.crash()
            signal = msgspec.structs.replace(signal, repeated=True)
        world.work()
        assert world.state("Account@b") == {"balance": 1}
        assert world.ask(signal) is None
        world.work()
        assert world.state("Account@b") == {"balance": 1}

    def test_many_signals_are_durable_together_and_done_in_order(self, world: World) -> None:
        world.entity(Diary)
        entries = [("@diary@a", "one"), ("@diary@b", "two"), ("@diary@a", "three")]
        future = world.client.transport.request(
            SignalMany(
                signals=[
                    Signal(entity_id=one, operation="write", input=f'"{what}"', request_id=what)
                    for one, what in entries
                ]
            )
        )
        world.engine.step()
        world.settle()
        assert future.result(timeout=5) is None
        world.crash()
        world.work()
        assert world.state("Diary@a") == {"entries": ["one", "three"]}
        assert world.state("Diary@b") == {"entries": ["two"]}

    def test_of_many_signals_none_is_taken_where_one_is_no_good(self, world: World) -> None:
        signals = [
            Signal(entity_id="@account@a", operation="deposit", input="5", request_id="1"),
            Signal(entity_id="@acount@a", operation="deposit", input="5", request_id="2"),
        ]
        with pytest.raises(UnknownDefinitionError, match="acount"):
            world.ask(SignalMany(signals=signals))
        world.work()
        assert world.state("Account@a") is None

    def test_a_request_repeated_before_its_answer_is_durable_is_done_once(self) -> None:
        """The next host took it from the inbox, and the client asks again just then."""
        world = World()
        world.entity(Account)
        request = CallEntity(entity_id="Account@a", operation="deposit", input="5", request_id="r")
        world.send(request)
        world.settle()
        world.crash()
        world.settle()
        world.runner.run()
        again = world.send(msgspec.structs.replace(request, repeated=True))
        world.settle()
        world.work()
        assert again.result(timeout=5).result == "5"
        assert world.state("Account@a") == {"balance": 5}


def test_a_lock_is_given_when_the_whole_batch_before_it_is_written_down() -> None:
    """Also where an operation of the batch tells its own entity something."""
    world = World()
    world.entity(Account)
    world.orchestrator(holder)
    world.signal("Account@a", "get")
    world.signal("Account@a", "tell", "a")
    world.signal("Account@a", "deposit", 5)
    world.start("holder", "Account@a")
    world.runner.run()
    world.settle()
    world.runner.run()
    world.settle()
    record = world.store.find("@account@a")
    assert record is not None
    rows = [row.event for row in world.store.history(record.iid) if row.seq]
    assert [type(event).__name__ for event in rows] == ["OperationDone"] * 3 + ["LockAcquired"]


class TestFromOrchestrations:
    def test_a_call_gives_the_result_and_a_failure_is_caught_by_its_class(
        self, world: World
    ) -> None:
        async def program(ctx: Any) -> Any:
            balance = await ctx.call_entity("Account@a", "deposit", 5)
            try:
                await ctx.entity("Account", "a").withdraw(9)
            except ValueError:
                return balance

        world.orchestrator(program)
        world.start("program")
        world.crash()
        world.work()
        assert world.output() == 5

    def test_signals_keep_their_order_and_come_once(self, world: World) -> None:
        async def program(ctx: Any) -> Any:
            for n in range(5):
                ctx.signal_entity("Counter@c", "add", n)
            return await ctx.call_entity("Counter@c", "add", 0)

        world.orchestrator(program)
        world.start("program")
        world.work()
        assert world.output() == 10
        assert [name for _, name in world.runner.ran] == ["add"] * 6

    def test_an_answer_for_an_earlier_execution_is_dropped(self, world: World) -> None:
        async def program(ctx: Any, n: int) -> Any:
            if n:
                return await ctx.call_entity("Counter@other", "add", 1)
            ctx.call_entity("Account@a", "deposit", 77)
            ctx.continue_as_new(1)

        world.orchestrator(program)
        world.start("program", 0)
        world.work()
        assert world.output() == 1


class TestCriticalSections:
    def test_money_is_conserved_by_transfers_in_any_order(self, world: World) -> None:
        for key in "abc":
            world.call(f"Account@{key}", "deposit", 100)
        orders = [["a", "b", 30], ["b", "a", 50], ["b", "c", 70], ["c", "a", 90], ["a", "c", 60]]
        for n, order in enumerate(orders):
            world.start("transfer", order, instance_id=f"t{n}")
        world.work()
        assert {world.output(f"t{n}") for n in range(5)} == {"done"}
        assert sum(world.state(f"Account@{key}")["balance"] for key in "abc") == 300
        assert locks(world) == []

    def test_others_wait_while_an_entity_is_locked(self, world: World) -> None:
        world.start("holder", "Account@a")
        world.signal("Account@a", "deposit", 5)
        world.start("holder", "Account@a", instance_id="two")
        world.work()
        assert world.state("Account@a") is None
        assert locks(world) == [("@account@a", "one", ["two"])]
        found = world.ask(DescribeOpen(instance_ids=["two"]))
        (wanted,) = found["two"]
        assert (wanted.kind, wanted.name) == ("lock", "@account@a")
        assert wanted.since == world.record("two").created_at
        world.crash()
        world.raise_event("leave", "x")
        world.work()
        assert world.state("Account@a") == {"balance": 5}
        assert locks(world) == [("@account@a", "two", [])]

    @pytest.mark.parametrize("ending", ["return", "exception", "continue", "terminate", "expire"])
    def test_locks_are_given_back_on_every_way_out(self, world: World, ending: str) -> None:
        async def program(ctx: Any, how: str) -> Any:
            if how == "continued":
                return None
            with await ctx.lock_entities("Account@a", "Account@b"):
                if how == "exception":
                    raise ValueError("no")
                if how == "continue":
                    ctx.continue_as_new("continued")
                    await ctx.wait_for_external_event("never")
                if how != "return":
                    await ctx.wait_for_external_event("never")

        world.orchestrator(program)
        world.start("program", ending, timeout_s=60)
        world.work()
        if ending == "terminate":
            world.ask(Terminate(instance_id="one"))
        world.advance(timedelta(seconds=60))
        assert world.record().status.is_terminal
        assert locks(world) == []
        assert world.call("Account@a", "deposit", 1) == 1

    @pytest.mark.parametrize("strict", [False, True], ids=["parked", "strict"])
    def test_code_that_no_longer_fits_its_history_leaves_no_orphaned_lock(
        self, strict: bool
    ) -> None:
        """A parked owner keeps its locks until it is ended; strict replay fails it at once."""

        async def edited(ctx: Any, entity: str) -> None:
            await ctx.create_timer(timedelta(hours=1))

        world = World(resident=0, strict_replay=strict)
        world.entity(Account)
        world.orchestrator(holder)
        world.start("holder", "Account@a")
        world.start("holder", "Account@a", instance_id="two")
        world.loader.functions["holder", "v1"] = edited
        world.raise_event("leave")
        status = RuntimeStatus.FAILED if strict else RuntimeStatus.SUSPENDED
        assert world.record().status is status
        if not strict:
            assert locks(world) == [("@account@a", "one", ["two"])]
            world.ask(Terminate(instance_id="one"))
        assert "one" not in str(locks(world))
        world.ask(Terminate(instance_id="two"))
        assert locks(world) == []
        assert world.call("Account@a", "deposit", 1) == 1

    def test_a_request_that_is_still_queued_is_withdrawn_with_its_owner(self, world: World) -> None:
        world.start("holder", "Account@b")
        world.start("transfer", ["a", "b", 1], instance_id="two")
        world.work()
        assert ("@account@a", "two", []) in locks(world)
        world.ask(Terminate(instance_id="two"))
        assert locks(world) == [("@account@b", "one", [])]
        world.crash()
        world.raise_event("leave", 1)
        world.work()
        assert locks(world) == []

    def test_a_section_that_is_left_without_with_is_released_at_the_end(self, world: World) -> None:
        def program(ctx: Any) -> Any:
            yield ctx.lock_entities(["Account@a"])
            return (yield ctx.call_entity("Account@a", "deposit", 1))

        world.orchestrator(program)
        world.start("program")
        world.work()
        assert world.output() == 1
        assert locks(world) == []

    def test_each_rule_is_raised_in_the_orchestrator_and_named(self, world: World) -> None:
        async def program(ctx: Any) -> Any:
            broken = []

            def attempt(what: Any) -> None:
                try:
                    what()
                except Exception as error:  # noqa: BLE001
                    broken.append(str(error))

            attempt(ctx.lock_entities)
            request = ctx.lock_entities("Account@a", "Account@b")
            attempt(lambda: ctx.call_entity("Account@a", "get"))
            attempt(lambda: ctx.lock_entities("Account@c"))
            async with request:
                attempt(lambda: ctx.lock_entities("Account@c"))
                attempt(lambda: ctx.call_entity("Account@c", "get"))
                attempt(lambda: ctx.signal_entity("Account@a", "get"))
                attempt(lambda: ctx.call_sub_orchestrator("echo", 1))
                first = ctx.call_entity("Account@a", "get")
                attempt(lambda: ctx.call_entity("Account@a", "get"))
                other = ctx.call_entity("Account@b", "get")
                ctx.signal_entity("Account@c", "deposit", 1)
                await ctx.when_all([first, other])
                await ctx.call_entity("Account@a", "get")
            return broken

        world.orchestrator(program)
        world.start("program")
        world.work()
        rules = world.output()
        wanted = [
            "at least one", "await the locks", "await the locks", "cannot be nested",
            "only locked entities", "called, not signalled", "no sub-orchestration",
            "one call at a time",
        ]  # fmt: skip
        assert [want in rule for want, rule in zip(wanted, rules, strict=True)] == [True] * 8
        assert world.state("Account@c") == {"balance": 1}

    def test_the_same_entity_twice_is_locked_once(self, world: World) -> None:
        async def program(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a", "ACCOUNT@a") as lock:
                return len(lock.entities)

        world.orchestrator(program)
        world.start("program")
        world.work()
        assert world.output() == 1

    def test_a_failed_call_does_not_give_the_lock_back(self, world: World) -> None:
        async def program(ctx: Any) -> Any:
            async with ctx.lock_entities("Account@a"):
                try:
                    await ctx.call_entity("Account@a", "withdraw", 1)
                except ValueError:
                    await ctx.wait_for_external_event("leave")

        world.orchestrator(program)
        world.start("program")
        world.work()
        assert locks(world) == [("@account@a", "one", [])]
        assert world.record().status is RuntimeStatus.RUNNING


class TestRedefinition:
    def test_new_code_runs_on_old_state(self, world: World) -> None:
        world.call("Account@a", "deposit", 5)

        class Renamed:
            amount: int = 1

            def get(self) -> int:
                return self.amount

        Renamed.__name__ = "Account"
        world.entity(Renamed, "v2")
        assert world.call("Account@a", "get") == 1
        world.entity(Account, "v3")
        assert world.call("Account@a", "get") == 5

    def test_a_type_that_does_not_convert_is_an_error_and_leaves_the_state_alone(
        self, world: World
    ) -> None:
        world.call("Account@a", "deposit", 5)

        class Strict:
            balance: list[int]

            def get(self) -> list[int]:
                return self.balance

        Strict.__name__ = "Account"
        world.entity(Strict, "v2")
        with pytest.raises(EntityCallError, match="'balance' of this Account"):
            world.call("Account@a", "get")
        assert world.state("Account@a") == {"balance": 5}


def test_entities_are_queried_and_empty_ones_cleaned(world: World) -> None:
    world.call("Account@a", "deposit", 1)
    world.call("Account@b", "get")
    world.call("Counter@c", "add", 1)
    assert {one.instance_id for one in world.store.query_entities(EntityQuery(name="Account"))} == {
        "@account@a"
    }
    assert world.ask(CleanEntities()) == 1
    everything = world.store.query_entities(EntityQuery(include_empty=True))
    assert {one.instance_id for one in everything} == {"@account@a", "@counter@c"}
    assert world.call("Account@b", "deposit", 1) == 1
