"""Entities and locks against a plain model, under any interleaving, crash and eviction."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ipydurable.runtime.core.events import (
    LockAcquired,
    LockReleased,
    OperationDone,
    OperationRequested,
)
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.requests import ListLocks, Terminate
from tests.support.world import World

KEYS = ("a", "b", "c")
START = 100


class Account:
    """An account that also remembers who did what, in order."""

    balance: int = START
    log: list[Any] = []  # noqa: RUF012  (entity state: each object gets its own on loading)

    def add(self, what: list[Any]) -> int:
        sender, n, amount = what
        self.balance += amount
        self.log = [*self.log, [sender, n]]
        return self.balance

    def get(self) -> int:
        return self.balance

    def fail(self, what: list[Any]) -> None:
        self.add(what)
        raise ValueError("told to")


async def transfer(ctx: Any, order: list[Any]) -> Any:
    source, target, amount, number = order
    a, b = ctx.entity("Account", source), ctx.entity("Account", target)
    async with ctx.lock_entities(a, b):
        before = await a.get()
        await a.call("add", [ctx.instance_id, number, -amount])
        if source != target:
            await b.call("add", [ctx.instance_id, number, amount])
        else:
            await a.call("add", [ctx.instance_id, number, amount])
        # Nobody else got in between.
        assert await a.get() == (before - amount if source != target else before)
    return "done"


async def signaller(ctx: Any, order: list[Any]) -> None:
    target, count = order
    for n in range(count):
        ctx.signal_entity(f"Account@{target}", "add", [ctx.instance_id, n, 0])


class EntitiesAndLocks(RuleBasedStateMachine):
    """The model: money is conserved, senders are served in order, a lock has one holder."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.started = 0
        self.added: dict[str, int] = defaultdict(int)
        self.transfers: set[str] = set()
        self.ended_early: set[str] = set()

    @initialize(resident=st.sampled_from([0, 2, 10_000]))
    def build(self, resident: int) -> None:
        self.world = World(resident)
        self.world.entity(Account)
        self.world.orchestrator(transfer)
        self.world.orchestrator(signaller)

    @rule(source=st.sampled_from(KEYS), to=st.sampled_from(KEYS), amount=st.integers(1, 50))
    def begin_transfer(self, source: str, to: str, amount: int) -> None:
        self.started += 1
        instance_id = f"t{self.started}"
        self.transfers.add(instance_id)
        self.world.start("transfer", [source, to, amount, self.started], instance_id)

    @rule(to=st.sampled_from(KEYS), count=st.integers(1, 5))
    def begin_signals(self, to: str, count: int) -> None:
        self.started += 1
        self.world.start("signaller", [to, count], f"s{self.started}")

    @rule(to=st.sampled_from(KEYS), amount=st.integers(1, 9), fails=st.booleans())
    def signal_from_outside(self, to: str, amount: int, fails: bool) -> None:
        self.started += 1
        operation = "fail" if fails else "add"
        if not fails:
            self.added[to] += amount
        self.world.signal(f"Account@{to}", operation, ["client", self.started, amount])

    @precondition(lambda self: self.world.runner.waiting)
    @rule(data=st.data())
    def run_a_batch(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.world.runner.waiting) - 1))
        self.world.runner.run(position)
        self.world.settle()

    @rule()
    def crash(self) -> None:
        self.world.crash()
        self.world.settle()

    @precondition(lambda self: self.world.engine.orchestrations.by_id)
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        live = sorted(self.world.engine.orchestrations.by_id)
        instance_id = data.draw(st.sampled_from(live))
        self.ended_early.add(instance_id)
        self.world.ask(Terminate(instance_id=instance_id))

    @invariant()
    def a_lock_has_one_holder_and_the_holder_lives(self) -> None:
        for lock in self.world.ask(ListLocks()):
            for instance_id in filter(None, [lock.owner, *lock.queue]):
                assert instance_id in self.world.engine.orchestrations.by_id, lock

    @invariant()
    def every_request_is_done_at_most_once_and_locked_ones_only_by_the_holder(self) -> None:
        holder: dict[int, str] = {}
        requested: dict[int, OperationRequested] = {}
        done: set[int] = set()
        for row in self.world.store.rows:
            match row.event:
                case OperationRequested():
                    requested[row.gseq] = row.event
                case LockAcquired():
                    assert row.iid not in holder
                    holder[row.iid] = row.event.owner.instance_id
                case LockReleased():
                    assert holder.pop(row.iid) == row.event.owner.instance_id
                case OperationDone():
                    assert row.ref not in done
                    done.add(row.ref)
                    owner = holder.get(row.iid)
                    assert owner is None or requested[row.ref].sender == owner

    def teardown(self) -> None:
        self.world.work()
        assert self.world.ask(ListLocks()) == []
        states = {key: self.world.state(f"Account@{key}") for key in KEYS}
        for key, state in states.items():
            self.check_order(state["log"] if state else [], key)
        # A transfer that was ended by force may have done half; without any, money is conserved.
        if not self.transfers & self.ended_early:
            total = sum(state["balance"] if state else START for state in states.values())
            assert total == START * len(KEYS) + sum(self.added.values())
        for instance_id in self.transfers - self.ended_early:
            assert self.world.record(instance_id).status is RuntimeStatus.COMPLETED

    def check_order(self, log: list[Any], key: str) -> None:
        by_sender: dict[str, list[int]] = defaultdict(list)
        for sender, n in log:
            by_sender[sender].append(n)
        for sender, numbers in by_sender.items():
            assert numbers == sorted(numbers), (key, sender, numbers)


TestEntitiesAndLocks = EntitiesAndLocks.TestCase
TestEntitiesAndLocks.settings = settings(deadline=None, stateful_step_count=30)
