"""Leaving a critical section: whatever way it goes, the locks are given back."""

from __future__ import annotations

from typing import Any

from ipydurable import orchestrator
from ipydurable.runtime.core.status import RuntimeStatus
from tests.conformance.common import fail
from tests.conformance.durations import TICK
from tests.conformance.entity_common import (
    ask,
    entity_of,
    hold,
    holds,
    locks_and_leaves,
    locks_of,
)
from tests.conformance.scenario import World, raised, scenario


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


@scenario(gives=[["InstanceStateError", "Running"], [["a", "holder", ["waits"]]], [], 1])
def purging_neither_takes_a_lock_nor_leaves_one(world: World) -> Any:
    """Who holds locks or waits for them is not finished, and is not purged before it is ended."""
    account, holder = entity_of(world, "Account"), hold(world, "a")
    waits = world.start(locks_and_leaves, [account], suffix="waits")
    world.until_waiting(waits, "lock")
    refused = raised(holder.purge, "status")
    locks = locks_of(world)
    for run in (waits, holder):
        run.terminate()
        run.purge()
    return [refused, locks, locks_of(world), ask(world, account, "deposit", 1)]


@scenario(gives=[[["a", "holder", []]], "in", []])
def an_owner_that_is_replaced_gives_its_locks_back(world: World) -> Any:
    """To its successor too, which is another owner although it has the same id."""
    hold(world, "a", "b")
    account = entity_of(world, "Account")
    run = world.start(holds, [account], suffix="holder", replace=[RuntimeStatus.RUNNING])
    world.until_waiting(run, "external event", "leave")
    locks = locks_of(world)
    run.raise_event("leave", "in")
    return [locks, run.result(), locks_of(world)]


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
        # The run before was let go on, and may hold the lock of its own entity for a moment.
        owners += [owner for key, owner, _ in locks_of(world) if owner and key.endswith(how)]
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
