"""Critical sections: locks of entities that nobody else gets past, and nobody loses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ipydurable import EntityInstanceId, orchestrator
from ipydurable.runtime.ports import EntityQuery
from tests.conformance.durations import LONG
from tests.conformance.entity_common import (
    Account,
    ask,
    entity_of,
    hold,
    holds,
    locks_and_leaves,
    locks_of,
    state_of,
    tell,
)
from tests.conformance.scenario import World, scenario


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
