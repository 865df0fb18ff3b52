"""The rules inside a critical section: each is raised in the code, can be caught, and is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipydurable import orchestrator
from tests.conformance.common import double, three_doubles
from tests.conformance.durations import TICK
from tests.conformance.entity_common import (
    entity_of,
    locks_of,
    state_of,
)
from tests.conformance.scenario import World, scenario


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
