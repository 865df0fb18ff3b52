"""Critical sections: locks of entities that nobody else gets past, and nobody loses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ipydurable import EntityInstanceId, orchestrator
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.ports import EntityQuery
from tests.conformance.common import double, fail, three_doubles
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import World, scenario
from tests.conformance.scenarios_entities import (
    Account,
    ask,
    entity_of,
    state_of,
    tell,
)


@orchestrator
async def holds(ctx: Any, entities: list[str]) -> Any:
    async with ctx.lock_entities(entities):
        return await ctx.wait_for_external_event("leave")


@orchestrator
async def locks_and_leaves(ctx: Any, entities: list[str]) -> Any:
    async with ctx.lock_entities(entities):
        return "was in"


def locks_of(world: World) -> list[list[Any]]:
    """Return the locks of this scenario: the entity's key, the owner, and who waits."""
    found = []
    for lock in world.client.locks():
        key = EntityInstanceId.parse(lock.entity_id).key
        if key.startswith(world.prefix):
            queue = [world.short(one) for one in lock.queue]
            found.append([world.short(key), world.short(lock.owner), queue])
    return sorted(found)


def until_locked(world: World, *owners: str) -> None:
    """Let time pass until locks are held by these instances, and by no others."""
    world.until(lambda: {one[1] for one in locks_of(world)} == set(owners), f"{owners} hold locks")


def hold(world: World, *keys: str, suffix: str = "holder") -> InstanceHandle:
    """Have an instance hold the locks of accounts."""
    run = world.start(holds, [entity_of(world, "Account", key) for key in keys], suffix=suffix)
    world.until_waiting(run, "external event", "leave")
    return run


@orchestrator
async def calls_twice_inside(ctx: Any, account: str) -> Any:
    async with ctx.lock_entities(account) as lock:
        first = await ctx.call_entity(account, "deposit", 1)
        second = await ctx.call_entity(account, "deposit", 2)
        return [first, second, [one.name for one in lock.entities]]


@scenario(gives=[1, 3, ["account"]])
def a_locked_entity_is_called_again_and_again(world: World) -> Any:
    """`async with ctx.lock_entities(...)` gives the locks; inside, calls go one after another."""
    return world.run(calls_twice_inside, entity_of(world, "Account"))


@orchestrator
def locks_in_a_generator(ctx: Any, accounts: list[str]) -> Any:
    with (yield ctx.lock_entities(accounts)):
        yield ctx.call_entity(accounts[0], "deposit", 5)
        balance = yield ctx.call_entity(accounts[1], "deposit", 7)
    ctx.signal_entity(accounts[0], "deposit", 1)
    return balance


@scenario(gives=[7, 6, []])
def a_generator_locks_with_yield(world: World) -> Any:
    """`with (yield ctx.lock_entities([...])):`, as in Durable Functions."""
    accounts = [entity_of(world, "Account", key) for key in "ab"]
    balance = world.run(locks_in_a_generator, accounts)
    return [balance, ask(world, accounts[0], "get"), locks_of(world)]


@orchestrator
async def adds_by_reading_and_writing(ctx: Any, job: list[Any]) -> None:
    account, times = job
    for _ in range(times):
        async with ctx.lock_entities(account):
            balance = await ctx.call_entity(account, "get")
            await ctx.call_entity(account, "set", balance + 1)


@scenario(gives=[24, []])
def locked_increments_lose_nothing(world: World) -> Any:
    """Reading, then writing, is one step to all others, however many do it at once."""
    account = entity_of(world, "Account")
    runs = [world.start(adds_by_reading_and_writing, [account, 3]) for _ in range(8)]
    for run in runs:
        run.result()
    return [ask(world, account, "get"), locks_of(world)]


@orchestrator
async def moves_money(ctx: Any, order: list[Any]) -> str:
    source, target, amount = order
    payer, payee = ctx.entity(source), ctx.entity(target)
    async with ctx.lock_entities(payer, payee):
        if await payer.get() < amount:
            return "too little"
        await payer.withdraw(amount)
        await payee.deposit(amount)
    return "done"


@scenario(gives=[500, True, []])
def transfers_conserve_money(world: World) -> Any:
    """Transfers between few accounts, many at once and in all directions, neither hang nor leak."""
    keys = "abcde"
    accounts = [entity_of(world, "Account", key) for key in keys]
    for account in accounts:
        ask(world, account, "deposit", 100)
    orders = [
        [accounts[n % 5], accounts[(n * 3 + 1 + n // 5) % 5], 10 + 7 * (n % 4)] for n in range(40)
    ]
    runs = [world.start(moves_money, order) for order in orders if order[0] != order[1]]
    outcomes = {run.result() for run in runs}
    total = sum(ask(world, account, "get") for account in accounts)
    return [total, "done" in outcomes, locks_of(world)]


@scenario(gives=[[["a", "holder", ["second"]]], 0, None, "in", "was in", [5, 2]])
def nobody_else_gets_at_a_locked_entity(world: World) -> Any:
    """Signals, calls and lock requests of others wait until it is free, from wherever they come."""
    account = entity_of(world, "Account")
    holder = hold(world, "a")
    tell(world, account, "deposit", 2)
    called = world.client.entity_call(account, "get")
    second = world.start(locks_and_leaves, [account], suffix="second")
    world.until(lambda: locks_of(world)[0][2], "the second request")
    later = world.client.entity_call(account, "deposit", 3)
    locks, state = locks_of(world), state_of(world, account)
    done = int(called.done()) + int(later.done())
    holder.raise_event("leave", "in")
    left, was_in = holder.result(), second.result()
    answers = [world.client.call_outcome(account, one.result(20)) for one in (later, called)]
    return [locks, done, state, left, was_in, answers]


@scenario(gives=["one", "two", "three"])
def locks_are_given_in_the_order_they_were_asked_for(world: World) -> Any:
    """First come, first served."""
    holder, order = hold(world, "a"), []
    runs = {}
    for n, name in enumerate(("one", "two", "three"), 1):
        runs[name] = world.start(holds, [entity_of(world, "Account")], suffix=name)
        world.until(lambda n=n: len(locks_of(world)[0][2]) == n, f"the request of {name}")
    holder.raise_event("leave")
    for _ in range(3):
        world.until(lambda: locks_of(world)[0][1] not in ("holder", *order), "the next owner")
        owner = locks_of(world)[0][1]
        order.append(owner)
        runs[owner].raise_event("leave")
        runs[owner].result()
    return order


@orchestrator
async def locks_after_slow_work(ctx: Any, job: list[str]) -> Any:
    entity_id, path = job
    ctx.signal_entity(entity_id, "work", path)
    async with ctx.lock_entities(entity_id):
        return await ctx.call_entity(entity_id, "work")


@scenario(gives=[True, 2])
def a_lock_is_given_once_earlier_work_is_done(world: World) -> Any:
    """A request takes its place among the messages: what came before it is done first."""
    one = entity_of(world, "slow")
    run = world.start(locks_after_slow_work, [one, world.file("go")])
    world.until_waiting(run, "lock")
    waiting = locks_of(world) == [["a", "", [run.instance_id.removeprefix(world.prefix)]]]
    world.write("go")
    return [waiting, run.result()]


@orchestrator
async def crosses(ctx: Any, entities: list[str]) -> list[int]:
    async with ctx.lock_entities(*entities):
        return [await ctx.call_entity(one, "deposit", 1) for one in entities]


@scenario(gives=[20, 20, 20, []])
def requests_in_opposite_orders_never_deadlock(world: World) -> Any:
    """Locks are taken in one order, whatever the order they are asked for in."""
    a, b, c = (entity_of(world, "Account", key) for key in "abc")
    orders = [[a, b, c], [c, b, a], [b, a, c], [c, a, b]]
    runs = [world.start(crosses, orders[n % 4]) for n in range(20)]
    for run in runs:
        run.result()
    return [*(ask(world, one, "get") for one in (a, b, c)), locks_of(world)]


@orchestrator
async def locks_twice_over(ctx: Any, key: str) -> Any:
    ids = [
        f"Account@{key}",
        EntityInstanceId("ACCOUNT", key),
        Account(key),
        ctx.entity(Account, key),
    ]
    async with ctx.lock_entities(one for one in ids) as lock:
        return [len(lock.entities), await Account(key).deposit(1)]


@scenario(gives=[1, 1])
def an_entity_named_twice_is_locked_once(world: World) -> Any:
    """Ids, texts and handles of one entity are one lock."""
    return world.run(locks_twice_over, world.id("a"))


@orchestrator
async def leaves_somehow(ctx: Any, job: list[Any]) -> Any:
    how, entities = job
    async with ctx.lock_entities(entities):
        await ctx.call_entity(entities[0], "deposit", 1)
        if how == "return":
            return "returned"
        if how == "raise":
            raise ValueError("mine")
        if how == "activity":
            await ctx.call_activity(fail, "no luck")
        if how == "operation":
            await ctx.call_entity(entities[0], "withdraw", 100)
        if how == "continue":
            ctx.continue_as_new(["return", entities])
        await ctx.wait_for_external_event("never")


@scenario(
    gives=[
        ["return", "Completed", 1],
        ["raise", "Failed", 1],
        ["activity", "Failed", 1],
        ["operation", "Failed", 1],
        ["continue", "Completed", 2],
    ]
)
def locks_are_given_back_however_the_code_leaves(world: World) -> Any:
    """By return, errors of its own, failed tasks and calls, and continue-as-new."""
    found = []
    for how in ("return", "raise", "activity", "operation", "continue"):
        accounts = [entity_of(world, "Account", f"{how}{n}") for n in "12"]
        status = world.start(leaves_somehow, [how, accounts]).wait().value
        assert locks_of(world) == []
        found.append([how, status, ask(world, accounts[0], "get")])
    return found


@scenario(gives=["Terminated", [], 1])
def terminating_the_owner_gives_its_locks_back(world: World) -> Any:
    """The locks do not outlive it, and who waited goes on."""
    account, holder = entity_of(world, "Account"), hold(world, "a", "b")
    called = world.client.entity_call(account, "deposit", 1)
    holder.terminate()
    status = holder.wait().value
    answer = world.client.call_outcome(account, called.result(20))
    return [status, locks_of(world), answer]


@scenario(gives=["Failed", []])
def an_owner_that_is_out_of_time_gives_its_locks_back(world: World) -> Any:
    """Ending by its deadline is an ending like any other."""
    run = world.start(holds, [entity_of(world, "Account")], timeout=6 * TICK)
    return [run.wait().value, locks_of(world)]


@scenario(gives=[[["a", "second", []], ["b", "holder", ["second"]]], [["b", "holder", []]], []])
def a_request_does_not_outlive_its_owner(world: World) -> Any:
    """Terminated while it waits for its second lock, it leaves the queue and returns the first."""
    holder = hold(world, "b")
    accounts = [entity_of(world, "Account", key) for key in "ab"]
    second = world.start(locks_and_leaves, accounts, suffix="second")
    world.until(lambda: len(locks_of(world)) == 2, "the first lock of the second")
    before = locks_of(world)
    second.terminate()
    second.wait()
    after = locks_of(world)
    holder.raise_event("leave")
    holder.result()
    return [before, after, locks_of(world)]


@orchestrator
async def gives_up_on_a_lock(ctx: Any, account: str) -> Any:
    request = ctx.lock_entities(account)
    timer = ctx.create_timer(3 * TICK)
    winner = await ctx.when_any([request, timer])
    return winner is timer


@scenario(gives=[True, [["a", "holder", []]]])
def a_lock_that_lost_a_race_is_not_taken(world: World) -> Any:
    """A request may race a timer; when its instance ends, it is withdrawn."""
    hold(world, "a")
    lost = world.run(gives_up_on_a_lock, entity_of(world, "Account"))
    return [lost, locks_of(world)]


@orchestrator
def locks_without_with(ctx: Any, account: str) -> Any:
    yield ctx.lock_entities([account])
    yield ctx.call_entity(account, "deposit", 1)
    return (yield ctx.call_entity(account, "deposit", 1))


@scenario(gives=[2, [], 3])
def locks_taken_without_with_end_with_the_instance(world: World) -> Any:
    """Who does not leave the section leaves it at the end."""
    account = entity_of(world, "Account")
    return [
        world.run(locks_without_with, account),
        locks_of(world),
        ask(world, account, "deposit", 1),
    ]


@orchestrator
async def continues_into_a_section(ctx: Any, job: list[Any]) -> Any:
    account, n = job
    async with ctx.lock_entities(account):
        await ctx.wait_for_external_event("next")
        balance = await ctx.call_entity(account, "deposit", 1)
    if n:
        ctx.continue_as_new([account, n - 1])
        return None
    return balance


@scenario(gives=["was in", 2, []])
def each_execution_asks_anew_behind_those_that_wait(world: World) -> Any:
    """Continuing as new gives the locks back; the next execution has to queue like all others."""
    account = entity_of(world, "Account")
    run = world.start(continues_into_a_section, [account, 1], suffix="eternal")
    world.until_waiting(run, "external event", "next")
    waits = world.start(locks_and_leaves, [account], suffix="waits")
    world.until(lambda: locks_of(world)[0][2], "the request")
    run.raise_event("next")
    result = waits.result()
    run.raise_event("next")
    return [result, run.result(), locks_of(world)]


def rule_of(work: Callable[[], Any]) -> str:
    """Return the rule that a call breaks; used in orchestrators."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "allowed"


@orchestrator
async def breaks_rules_inside(ctx: Any, keys: list[str]) -> Any:
    a, b, c = (f"Account@{key}" for key in keys)
    async with ctx.lock_entities(a, b):
        broken = [
            rule_of(lambda: ctx.lock_entities(c)),
            rule_of(lambda: ctx.call_entity(c, "get")),
            rule_of(lambda: ctx.signal_entity(a, "deposit", 1)),
            rule_of(lambda: ctx.call_sub_orchestrator(three_doubles, 1)),
        ]
        call = ctx.call_entity(a, "deposit", 1)
        broken.append(rule_of(lambda: ctx.call_entity(a, "get")))
        # A call that is open does not take the entity out of the section.
        broken.append(rule_of(lambda: ctx.signal_entity(a, "deposit", 100)))
        await call
        # Nothing of that has ended the section, or was done.
        broken.append(await ctx.call_entity(a, "get"))
    return broken


@scenario(
    gives=[
        "cannot be nested",
        "only locked entities may be called",
        "called, not signalled",
        "no sub-orchestration may be started",
        "one call at a time",
        "called, not signalled",
        1,
        [],
    ]
)
def each_rule_is_raised_in_the_code_and_named(world: World) -> Any:
    """No nesting, no calls beyond the locks, no signals to them, no children, no parallel calls."""
    *broken, balance = world.run(breaks_rules_inside, [world.id(key) for key in "abc"])
    rules = [
        "cannot be nested",
        "only locked entities may be called",
        "called, not signalled",
        "no sub-orchestration may be started",
        "one call at a time",
        "called, not signalled",
    ]
    named = [
        rule if text.startswith("LockRuleError: ") and rule in text else text
        for rule, text in zip(rules, broken, strict=True)
    ]
    return [*named, balance, locks_of(world)]


@orchestrator
async def breaks_rules_before(ctx: Any, keys: list[str]) -> Any:
    a, b = (f"Account@{key}" for key in keys)
    broken = [rule_of(ctx.lock_entities), rule_of(lambda: ctx.lock_entities([]))]
    request = ctx.lock_entities(a)
    broken += [
        rule_of(lambda: ctx.call_entity(a, "get")),
        rule_of(lambda: ctx.call_entity(b, "get")),
        rule_of(lambda: ctx.lock_entities(b)),
        rule_of(lambda: ctx.call_sub_orchestrator(three_doubles, 1)),
    ]
    async with request:
        broken.append(await ctx.call_entity(a, "deposit", 5))
    async with ctx.lock_entities(b):
        broken.append(await ctx.call_entity(b, "deposit", 6))
    return [*broken, await ctx.call_entity(a, "get")]


@scenario(gives=[["needs at least one"] * 2, ["await the locks"] * 4, [5, 6, 5]])
def a_request_must_be_awaited_before_anything_else(world: World) -> Any:
    """Calls before the locks are there are refused, as is locking nothing; all works after that."""
    broken = world.run(breaks_rules_before, [world.id(key) for key in "ab"])
    empty = ["needs at least one" if "needs at least one" in one else one for one in broken[:2]]
    early = ["await the locks" if "await the locks" in one else one for one in broken[2:6]]
    return [empty, early, broken[6:]]


@orchestrator
async def breaks_a_rule_unhandled(ctx: Any, account: str) -> None:
    async with ctx.lock_entities(account):
        ctx.signal_entity(account, "deposit", 1)


@scenario(gives=["Failed", "LockRuleError", []])
def an_unhandled_violation_fails_the_instance(world: World) -> Any:
    """It is an error of the code like any other, and gives the locks back."""
    run = world.start(breaks_a_rule_unhandled, entity_of(world, "Account"))
    status, failure = run.wait().value, run.failure
    assert failure is not None
    return [status, failure.type_name, locks_of(world)]


@orchestrator
async def does_what_is_allowed(ctx: Any, keys: list[str]) -> Any:
    a, b, c = (f"Account@{key}" for key in keys)
    async with ctx.lock_entities(a, b):
        both = await ctx.when_all([ctx.call_entity(a, "deposit", 1), ctx.call_entity(b, "get")])
        ctx.signal_entity(c, "deposit", 7)
        doubled = await ctx.call_activity(double, 21)
        await ctx.create_timer(TICK)
        said = await ctx.wait_for_external_event("say")
        await ctx.call_entity(b, "deposit", doubled)
    return [both, said, await ctx.call_entity(b, "get"), await ctx.call_entity(c, "get")]


@scenario(gives=[{"balance": 7}, [[1, 0], "go on", 42, 7]], order_varies=True)
def everything_else_is_allowed_inside(world: World) -> Any:
    """Calls of different locked entities at once, signals to others, activities, timers, events."""
    run = world.start(does_what_is_allowed, [world.id(key) for key in "abc"])
    world.until_waiting(run, "external event", "say")
    told = state_of(world, entity_of(world, "Account", "c"))
    run.raise_event("say", "go on")
    return [told, run.result()]


@orchestrator
async def leaves_with_an_open_call(ctx: Any, job: list[str]) -> Any:
    how, entity_id, path = job
    async with ctx.lock_entities(entity_id):
        call = ctx.call_entity(entity_id, "work", path)
    if how == "continue":
        ctx.continue_as_new(["stop", entity_id, path])
    if how == "await":
        return await call
    if how == "raise":
        raise ValueError("on my way out")
    return how if how != "stop" else "continued"


@scenario(gives=[[1, "continued", "ValueError"], [], [2, 3, 2]])
def a_call_that_is_open_at_the_end_keeps_no_lock(world: World) -> Any:
    """Leaving with a call under way gives its entity back too; the call is done all the same."""
    owners, runs = [], {}
    for how in ("await", "continue", "raise"):
        job = [how, entity_of(world, "slow", how), world.file(how)]
        run = runs[how] = world.start(leaves_with_an_open_call, job)
        if how == "continue":
            world.until(lambda: run.record.generation == 1, "the next execution")  # noqa: B023
            world.until_waiting(run, "lock")
        elif how == "await":
            world.until_waiting(run, "entity call")
        else:
            run.wait()
        owners += [owner for _, owner, _ in locks_of(world) if owner]
        world.write(how)
    failure = runs["raise"].failure
    assert failure is not None
    outcomes = [runs["await"].result(), runs["continue"].result(), failure.type_name]
    return [
        outcomes,
        owners,
        [ask(world, entity_of(world, "slow", how), "work", None) for how in runs],
    ]


@orchestrator
async def fails_halfway(ctx: Any, accounts: list[str]) -> None:
    async with ctx.lock_entities(accounts):
        await ctx.call_entity(accounts[0], "deposit", -5)
        await ctx.call_entity(accounts[1], "withdraw", 100)


@scenario(gives=["Failed", -5, 0])
def a_section_that_fails_undoes_nothing(world: World) -> Any:
    """Locks isolate; what was done inside stays done."""
    accounts = [entity_of(world, "Account", key) for key in "ab"]
    status = world.start(fails_halfway, accounts).wait().value
    return [status, *(ask(world, one, "get") for one in accounts)]


@orchestrator
async def survives_a_failed_call(ctx: Any, account: str) -> Any:
    async with ctx.lock_entities(account):
        try:
            await ctx.call_entity(account, "withdraw", 1)
        except ValueError:
            await ctx.wait_for_external_event("leave")
            return await ctx.call_entity(account, "deposit", 3)


@scenario(gives=[[["a", "one", []]], 3, []])
def a_failed_call_keeps_the_lock(world: World) -> Any:
    """An operation that fails does not end the section, nor the calls of its entity."""
    run = world.start(survives_a_failed_call, entity_of(world, "Account"), suffix="one")
    world.until_waiting(run, "external event", "leave")
    locks = locks_of(world)
    run.raise_event("leave")
    return [locks, run.result(), locks_of(world)]


@scenario(gives=[[["a", "holder", []]], "out", []])
def a_suspended_owner_keeps_its_locks(world: World) -> Any:
    """Suspended, it holds them; resumed, it goes on and leaves."""
    holder = hold(world, "a")
    holder.suspend()
    holder.raise_event("leave", "out")
    locks = locks_of(world)
    holder.resume()
    return [locks, holder.result(), locks_of(world)]


@scenario(gives=[["a"], None, ["lock"], True, 1])
def locks_are_seen_from_outside(world: World) -> Any:
    """With their owner, since when, who waits, and how many messages; a lock is no state."""
    account, began = entity_of(world, "Account"), world.now()
    hold(world, "a")
    waits = world.start(locks_and_leaves, [account], suffix="waits")
    world.until_waiting(waits, "lock")
    (lock,) = (one for one in world.client.locks() if one.owner.startswith(world.prefix))
    locked = world.client.query_entities(EntityQuery(locked=True, include_empty=True))
    keys = [EntityInstanceId.parse(one.instance_id).key for one in locked]
    since = lock.since
    assert isinstance(since, datetime)
    return [
        [world.short(key) for key in keys if key.startswith(world.prefix)],
        state_of(world, account),
        [task.kind for task in waits.waiting_for],
        began <= since <= world.now(),
        lock.pending,
    ]


@scenario(gives=[[["a", "holder", ["waits"]]], "in", "was in", []])
def cleaning_takes_no_lock_away(world: World) -> Any:
    """Locks of a living owner are not orphans, and what is locked is not empty."""
    holder = hold(world, "a")
    waits = world.start(locks_and_leaves, [entity_of(world, "Account")], suffix="waits")
    world.until_waiting(waits, "lock")
    world.client.clean_entities()
    locks = locks_of(world)
    holder.raise_event("leave", "in")
    return [locks, holder.result(), waits.result(), locks_of(world)]


@orchestrator
async def pays_inside(ctx: Any, accounts: list[str]) -> Any:
    payer, payee = accounts
    async with ctx.lock_entities(payer, payee):
        await ctx.entity(payer).pay(payee, 3)
        inside = await ctx.call_entity(payee, "get")
    return [inside, await ctx.call_entity(payee, "get")]


@scenario(gives=[0, 3])
def a_locked_entitys_own_signals_wait_outside(world: World) -> Any:
    """Only the owner gets in: what one locked entity tells another is done after the section."""
    return world.run(pays_inside, [entity_of(world, "Account", key) for key in "ab"])


@orchestrator
async def locks_one_after_another(ctx: Any, accounts: list[str]) -> Any:
    balances = []
    for _ in range(2):
        for account in accounts:
            async with ctx.lock_entities(account):
                balances.append(await ctx.call_entity(account, "deposit", 1))
    child = await ctx.call_sub_orchestrator(locks_and_leaves, accounts)
    return [balances, child]


@scenario(gives=[[1, 1, 2, 2], "was in"])
def sections_may_follow_each_other(world: World) -> Any:
    """After a section all is allowed again: other locks, and children with locks of their own."""
    accounts = [entity_of(world, "Account", key) for key in "ab"]
    return world.run(locks_one_after_another, accounts)


@orchestrator
async def holds_very_long(ctx: Any, account: str) -> Any:
    async with ctx.lock_entities(account):
        await ctx.create_timer(LONG)
        return await ctx.call_entity(account, "get")


@scenario(gives=["holder", 0, 1], ways=("memory", "duckdb", "evicted"))
def a_lock_has_no_timeout(world: World) -> Any:
    """It is held as long as its section takes, be it a month."""
    account = entity_of(world, "Account")
    run = world.start(holds_very_long, account, suffix="holder")
    world.until_waiting(run, "timer")
    called = world.client.entity_call(account, "deposit", 1)
    world.advance(LONG / 2)
    owner = locks_of(world)[0][1]
    assert not called.done()
    world.advance(LONG / 2)
    result = run.result()
    return [owner, result, world.client.call_outcome(account, called.result(20))]
