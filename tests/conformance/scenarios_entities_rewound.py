"""Rewinding instances that failed because of an entity, or inside a critical section."""

from __future__ import annotations

from typing import Any

from ipydurable import orchestrator
from tests.conformance.common import flaky
from tests.conformance.entity_common import ask, entity_of, hold, locks_of, state_of
from tests.conformance.scenario import World, scenario


@orchestrator
async def fails_while_an_entity_works(ctx: Any, job: list[str]) -> Any:
    entity_id, path, log = job
    call = ctx.call_entity(entity_id, "work", path)
    await ctx.call_activity(flaky, [log, 1])
    return await call


@scenario(gives=["Failed", 1, 1])
def a_rewound_instance_gets_the_answer_it_missed(world: World) -> Any:
    """An operation that was done while its caller had failed is not done again, and answers."""
    one = entity_of(world, "slow")
    run = world.start(fails_while_an_entity_works, [one, world.file("go"), world.file("log")])
    status = run.wait().value
    world.write("go")
    world.until(lambda: state_of(world, one) is not None, "the operation")
    run.rewind()
    return [status, run.result(), state_of(world, one)]


@orchestrator
async def withdraws(ctx: Any, account: str) -> Any:
    await ctx.call_entity(account, "deposit", 1)
    return await ctx.call_entity(account, "withdraw", 5)


@scenario(gives=["Failed", "Failed", 0, 2])
def a_failed_call_is_made_again_and_those_before_it_are_not(world: World) -> Any:
    """As often as it takes."""
    account = entity_of(world, "Account")
    run = world.start(withdraws, account)
    statuses = [run.wait().value]
    for _ in range(2):
        ask(world, account, "deposit", 2)
        run.rewind()
        statuses.append(run.wait().value)
    return [*statuses[:2], run.result(), len(statuses) - 1]


@orchestrator
async def fails_inside_once(ctx: Any, job: list[str]) -> Any:
    account, path = job
    async with ctx.lock_entities(account):
        first = await ctx.call_entity(account, "deposit", 1)
        called = await ctx.call_activity(flaky, [path, 1])
        return [first, called, await ctx.call_entity(account, "deposit", 1)]


@scenario(gives=["Failed", [], [1, 2, 12], [], 12])
def a_section_is_taken_up_where_it_failed(world: World) -> Any:
    """With its locks, without doing again what succeeded; others may have come in between."""
    account = entity_of(world, "Account")
    run = world.start(fails_inside_once, [account, world.file("log")])
    status, free = run.wait().value, locks_of(world)
    ask(world, account, "deposit", 10)
    run.rewind()
    return [status, free, run.result(), locks_of(world), ask(world, account, "get")]


@scenario(gives=["Failed", [["a", "holder", ["one"]]], ["lock"], 1, [1, 2, 2], []])
def a_rewound_section_waits_for_its_locks(world: World) -> Any:
    """Nothing of it goes on while somebody else holds them; its request stands in the queue."""
    account = entity_of(world, "Account")
    run = world.start(fails_inside_once, [account, world.file("log")], suffix="one")
    status = run.wait().value
    holder = hold(world, "a")
    run.rewind()
    waits_for = [task.kind for task in run.waiting_for if task.kind == "lock"]
    waiting, calls = locks_of(world), len(world.lines("log"))
    holder.raise_event("leave")
    return [status, waiting, waits_for, calls, run.result(), locks_of(world)]


@orchestrator
def pays_in_a_generator(ctx: Any, accounts: list[str]) -> Any:
    source, target = accounts
    with (yield ctx.lock_entities(accounts)):
        yield ctx.call_entity(target, "deposit", 5)
        left = yield ctx.call_entity(source, "withdraw", 5)
    return left


@scenario(gives=["Failed", 1, 5, []])
def a_call_that_failed_inside_is_made_again_inside(world: World) -> Any:
    """In the generator form too; what it paid in before stays paid in, once."""
    source, target = (entity_of(world, "Account", key) for key in "ab")
    run = world.start(pays_in_a_generator, [source, target])
    status = run.wait().value
    ask(world, source, "deposit", 6)
    run.rewind()
    return [status, run.result(), ask(world, target, "get"), locks_of(world)]


@scenario(gives=["Failed", "Terminated", [["a", "holder", []]], []])
def a_rewound_instance_that_is_ended_leaves_the_queue(world: World) -> Any:
    """The request that a rewind made is withdrawn like any other."""
    account = entity_of(world, "Account")
    run = world.start(fails_inside_once, [account, world.file("log")], suffix="one")
    status = run.wait().value
    holder = hold(world, "a")
    run.rewind()
    run.terminate()
    ended, locks = run.wait().value, locks_of(world)
    holder.raise_event("leave")
    holder.result()
    return [status, ended, locks, locks_of(world)]
