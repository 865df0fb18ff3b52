"""Entities and locks against a plain model, under any interleaving, crash and eviction."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import msgspec
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
from ipydurable.runtime.requests import (
    CallEntity,
    CleanEntities,
    ListLocks,
    Purge,
    Resume,
    Rewind,
    Suspend,
    Terminate,
)
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

    def forward(self, ctx: Any, what: list[Any]) -> None:
        target, *rest = what
        ctx.signal_entity(f"Account@{target}", "add", rest)


class PlainAccount:
    """The model: the same account as an object in memory."""

    def __init__(self) -> None:
        self.balance = START
        self.log: list[Any] = []

    def apply(self, operation: str, value: Any) -> Any:
        """Do an operation; returns its result, or "failed"."""
        match operation:
            case "add":
                self.balance += value[2]
                self.log.append(value[:2])
                return self.balance
            case "get":
                return self.balance
            case "fail":
                return "failed"
        return None


async def transfer(ctx: Any, order: list[Any]) -> Any:
    """Move money; the audit in the middle may fail, and a rewind repeats it."""
    source, target, amount, number, audited = order
    a, b = ctx.entity("Account", source), ctx.entity("Account", target)
    async with ctx.lock_entities(a, b):
        await a.call("add", [ctx.instance_id, number, -amount])
        if audited:
            await ctx.call_activity("audit", ctx.instance_id)
        before = await b.get()
        after = await b.call("add", [ctx.instance_id, number + 0.5, amount])
        # Nobody else got in between.
        assert after == before + amount
    return "done"


async def walker(ctx: Any, state: list[Any]) -> None:
    """Hold a lock over a continue-as-new, again and again."""
    key, n = state
    async with ctx.lock_entities(f"Account@{key}"):
        await ctx.call_entity(f"Account@{key}", "add", [ctx.instance_id, -n, 0])
        if n:
            ctx.continue_as_new([key, n - 1])


async def signaller(ctx: Any, order: list[Any]) -> None:
    target, count, later = order
    for n in range(count):
        ctx.signal_entity(f"Account@{target}", "add", [ctx.instance_id, n, 0])
    if later:
        at = timedelta(seconds=later)
        ctx.signal_entity(f"Account@{target}", "add", ["later", 0, 0], signal_time=at)


class EntitiesAndLocks(RuleBasedStateMachine):
    """Any interleaving of operations looks like one after the other, and a lock has one holder."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.started = 0
        self.added = 0
        self.transfers: set[str] = set()
        self.broken: set[str] = set()
        self.ended_early: set[str] = set()
        self.asked: list[tuple[CallEntity, Future[Any]]] = []

    @initialize(
        resident=st.sampled_from([0, 2, 10_000]), idle_entities=st.sampled_from([0, 1, 2_000])
    )
    def build(self, resident: int, idle_entities: int) -> None:
        self.world = World(resident, idle_entities=idle_entities)
        self.world.entity(Account)
        self.world.define(self.audit, name="audit")
        for one in (transfer, walker, signaller):
            self.world.orchestrator(one)

    def audit(self, instance_id: str) -> None:
        if instance_id in self.broken:
            raise ConnectionError("refused")

    def begin(self, name: str, value: list[Any]) -> str:
        self.started += 1
        return self.world.start(name, value, f"{name}-{self.started}")

    # What happens.

    @rule(
        source=st.sampled_from(KEYS),
        to=st.sampled_from(KEYS),
        amount=st.integers(1, 50),
        audited=st.booleans(),
        fails=st.booleans(),
    )
    def begin_transfer(self, source: str, to: str, amount: int, audited: bool, fails: bool) -> None:
        if fails and audited:
            self.broken.add(f"transfer-{self.started + 1}")
        order = [source, to, amount, self.started, audited]
        self.transfers.add(self.begin("transfer", order))

    @rule(to=st.sampled_from(KEYS), count=st.integers(0, 3))
    def begin_walk(self, to: str, count: int) -> None:
        self.begin("walker", [to, count])

    @rule(to=st.sampled_from(KEYS), count=st.integers(1, 5), later=st.integers(0, 3))
    def begin_signals(self, to: str, count: int, later: int) -> None:
        self.begin("signaller", [to, count, later])

    @rule(
        to=st.sampled_from(KEYS),
        amount=st.integers(1, 9),
        operation=st.sampled_from(["add", "fail", "forward"]),
    )
    def signal_from_outside(self, to: str, amount: int, operation: str) -> None:
        self.started += 1
        what = ["client", self.started, amount]
        if operation != "fail":
            self.added += amount
        if operation == "forward":
            what = ["b", f"client by {to}", self.started, amount]
        self.world.signal(f"Account@{to}", operation, what)

    @rule(to=st.sampled_from(KEYS), amount=st.integers(1, 9))
    def call_from_outside(self, to: str, amount: int) -> None:
        self.started += 1
        self.added += amount
        request = CallEntity(
            entity_id=f"@account@{to}",
            operation="add",
            input=msgspec.json.encode(["client", self.started, amount]).decode(),
            request_id=f"call {self.started}",
        )
        self.asked.append((request, self.world.send(request)))
        self.world.settle()

    @precondition(lambda self: self.world.runner.waiting)
    @rule(data=st.data())
    def run_a_batch(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.world.runner.waiting) - 1))
        self.world.runner.run(position)
        self.world.settle()

    @precondition(lambda self: self.world.executor.waiting)
    @rule(data=st.data())
    def run_an_audit(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.world.executor.waiting)))
        self.world.executor.run(key)
        self.world.settle()

    @rule()
    def let_time_pass(self) -> None:
        self.world.clock.advance(timedelta(seconds=1))
        self.world.settle()

    @rule(is_answered=st.booleans())
    def crash(self, is_answered: bool) -> None:
        """Clients ask the next host what this one did not answer; some did not hear the answer."""
        self.world.crash()
        for position, (request, future) in enumerate(self.asked):
            if not (is_answered and future.done()):
                repeated = msgspec.structs.replace(request, repeated=True)
                self.asked[position] = repeated, self.world.send(repeated)
        self.world.settle()

    @rule()
    def clean(self) -> None:
        self.world.ask(CleanEntities())

    @precondition(lambda self: self.world.engine.orchestrations.by_id)
    @rule(data=st.data(), what=st.sampled_from(["terminate", "suspend", "resume"]))
    def steer(self, data: st.DataObject, what: str) -> None:
        live = sorted(self.world.engine.orchestrations.by_id)
        instance_id = data.draw(st.sampled_from(live))
        if what == "terminate":
            self.ended_early.add(instance_id)
            self.world.ask(Terminate(instance_id=instance_id))
        else:
            request = Suspend if what == "suspend" else Resume
            self.world.ask(request(instance_id=instance_id))

    @precondition(lambda self: self.failed())
    @rule(data=st.data(), mended=st.booleans())
    def rewind(self, data: st.DataObject, mended: bool) -> None:
        instance_id = data.draw(st.sampled_from(self.failed()))
        if mended:
            self.broken.discard(instance_id)
        self.world.ask(Rewind(instance_id=instance_id))

    @precondition(lambda self: self.failed())
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        instance_id = data.draw(st.sampled_from(self.failed()))
        self.ended_early.add(instance_id)
        self.world.ask(Purge(instance_id=instance_id))

    def failed(self) -> list[str]:
        candidates = sorted(self.transfers - self.ended_early)
        found = self.world.store.find_many(candidates)
        return [one for one in candidates if found[one].status is RuntimeStatus.FAILED]  # type: ignore[union-attr]

    # What must hold.

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

    @invariant()
    def each_entity_is_as_if_its_operations_ran_one_after_the_other(self) -> None:
        """The results and the state are those of the plain model in the order of the journal."""
        model: dict[int, PlainAccount] = defaultdict(PlainAccount)
        requested: dict[int, OperationRequested] = {}
        last_done: dict[tuple[int, str], int] = {}
        for row in self.world.store.rows:
            if isinstance(row.event, OperationRequested):
                requested[row.gseq] = row.event
            if not isinstance(row.event, OperationDone):
                continue
            request = requested[row.ref]
            value = None if request.input is None else msgspec.json.decode(request.input)  # type: ignore[arg-type]
            expected = model[row.iid].apply(request.operation, value)
            result = row.event.result
            found = None if result is None else msgspec.json.decode(result)  # type: ignore[arg-type]
            assert ("failed" if row.event.failure else found) == expected, row
            if row.event.sets_state:
                self.check_state(row.event.state, model[row.iid])
            if request.sender and request.scheduled_at is None:
                sender = (row.iid, request.sender)
                assert row.ref > last_done.get(sender, 0), "not in the order they were sent"
                last_done[sender] = row.ref

    def check_state(self, payload: Any, model: PlainAccount) -> None:
        state = msgspec.json.decode(payload)
        assert state == {"balance": model.balance, "log": model.log}

    def teardown(self) -> None:
        for instance_id in list(self.world.engine.orchestrations.by_id):
            self.world.ask(Resume(instance_id=instance_id))
        self.world.advance(timedelta(hours=1))
        self.broken.clear()
        for instance_id in self.failed():
            self.world.ask(Rewind(instance_id=instance_id))
        self.world.work()
        assert self.world.ask(ListLocks()) == []
        assert all(future.done() for _, future in self.asked)
        self.each_entity_is_as_if_its_operations_ran_one_after_the_other()
        # A transfer that was ended by force may have done half; without any, money is conserved.
        if not self.transfers & self.ended_early:
            states = [self.world.state(f"Account@{key}") for key in KEYS]
            total = sum(state["balance"] if state else START for state in states)
            assert total == START * len(KEYS) + self.added
        for instance_id in self.transfers - self.ended_early:
            assert self.world.record(instance_id).status is RuntimeStatus.COMPLETED


TestEntitiesAndLocks = EntitiesAndLocks.TestCase
TestEntitiesAndLocks.settings = settings(deadline=None, stateful_step_count=30)
