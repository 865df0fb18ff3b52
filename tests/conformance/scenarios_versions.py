"""Versions: cells that are run again while instances are in flight."""

from __future__ import annotations

from typing import Any

from ipydurable import activity, orchestrator
from ipydurable.runtime.definitions import Kind
from tests.conformance.scenario import World, scenario


@orchestrator(name="greeter")
async def greeter_v1(ctx: Any) -> str:
    return f"v1 {await ctx.wait_for_external_event('name')}"


@orchestrator(name="greeter")
async def greeter_v2(ctx: Any) -> str:
    return f"v2 {await ctx.wait_for_external_event('name')}"


@scenario(gives=["v1 Ann", "v2 Bob"])
def instances_in_flight_keep_their_version(world: World) -> Any:
    """An edited orchestrator is a new version: what runs keeps its own, new instances take it."""
    world.define(greeter_v1)
    old = world.start("greeter")
    world.define(greeter_v2)
    new = world.start("greeter")
    old.raise_event("name", "Ann")
    new.raise_event("name", "Bob")
    return [old.result(), new.result()]


@activity(name="price")
def price_v1(item: str) -> str:
    return f"{item} for 10"


@activity(name="price")
def price_v2(item: str) -> str:
    return f"{item} for 12"


@orchestrator
async def quote(ctx: Any, item: str) -> list[str]:
    first = await ctx.call_activity("price", item)
    await ctx.wait_for_external_event("again")
    return [first, await ctx.call_activity("price", item)]


@scenario(gives=[["lamp for 10", "lamp for 10"], ["lamp for 12", "lamp for 12"]])
def instances_in_flight_keep_the_activities_they_started_with(world: World) -> Any:
    """An instance sees all definitions as they were when it started, also those it calls later."""
    world.define(price_v1)
    old = world.start(quote, "lamp")
    world.define(price_v2)
    new = world.start(quote, "lamp")
    for run in (old, new):
        world.until_waiting(run, "external event", "again")
        run.raise_event("again")
    return [old.result(), new.result()]


@orchestrator(name="part")
async def part_v1(ctx: Any) -> str:
    return "part v1"


@orchestrator(name="part")
async def part_v2(ctx: Any) -> str:
    return "part v2"


@orchestrator
async def whole(ctx: Any) -> str:
    await ctx.wait_for_external_event("go")
    return await ctx.call_sub_orchestrator("part")


@scenario(gives=["part v1", "part v2"])
def children_are_of_the_versions_their_parent_started_with(world: World) -> Any:
    """A sub-orchestration that is started later still belongs to its parent's time."""
    world.define(part_v1)
    old = world.start(whole)
    world.define(part_v2)
    new = world.start(whole)
    for run in (old, new):
        run.raise_event("go")
    return [old.result(), new.result()]


@orchestrator(name="eternal")
async def eternal_v1(ctx: Any, n: int = 0) -> Any:
    if await ctx.wait_for_external_event("next") == "stop":
        return f"v1 after {n}"
    ctx.continue_as_new(n + 1)


@orchestrator(name="eternal")
async def eternal_v2(ctx: Any, n: int = 0) -> Any:
    return f"v2 after {n}"


@scenario(gives="v1 after 1")
def continue_as_new_keeps_the_version(world: World) -> Any:
    """The next execution of an instance runs the code the first one ran."""
    world.define(eternal_v1)
    run = world.start("eternal")
    world.define(eternal_v2)
    run.raise_event("next", "go on")
    run.raise_event("next", "stop")
    return run.result()


@scenario(gives="v2 Bob")
def restart_takes_the_newest_version(world: World) -> Any:
    """Starting an instance again starts it with the code there is now."""
    world.define(greeter_v1)
    run = world.start("greeter")
    run.raise_event("name", "Ann")
    run.result()
    world.define(greeter_v2)
    again = run.restart()
    again.raise_event("name", "Bob")
    return again.result()


@activity(name="stable")
def stable_v1(n: int) -> int:
    return n + 1


@activity(name="stable")
def stable_v2(n: int) -> int:
    return n + 2


@scenario(gives=[1, 1, 2, 1, ["v1", "v2", "v1"]])
def the_same_content_is_the_same_version(world: World) -> Any:
    """An unchanged cell adds nothing; taking an edit back makes the old version the newest."""
    numbers = [world.define(one) for one in (stable_v1, stable_v1, stable_v2, stable_v1)]
    names = {stable_v1.version: "v1", stable_v2.version: "v2"}
    versions = world.client.versions(Kind.ACTIVITY, "stable")
    return [*numbers, [names[one.version] for one in versions]]


RATE = 2


def with_rate(n: int) -> int:
    return n * RATE


@activity
def rated(n: int) -> int:
    return with_rate(n)


@orchestrator
async def rates(ctx: Any, n: int) -> int:
    return await ctx.call_activity(rated, n)


@scenario(gives=[True, 10, 15])
def a_changed_value_is_a_new_version(world: World) -> Any:
    """What the code reaches counts: another value of a constant is another version."""
    global RATE  # noqa: PLW0603  (as a cell that is edited and run again)
    results = []
    versions = set()
    try:
        for value in (2, 3):
            RATE = value
            again = activity(rated.__wrapped__)
            world.define(again)
            versions.add(again.version)
            results.append(world.run(rates, 5))
    finally:
        RATE = 2
    return [len(versions) == 2, *results]


@scenario(gives=True)
def what_is_defined_can_be_listed(world: World) -> Any:
    """The newest version of every name is listed, with its source."""
    found = {(one.kind, one.name): one for one in world.client.definitions()}
    return "async def quote" in found[Kind.ORCHESTRATOR, "quote"].source
