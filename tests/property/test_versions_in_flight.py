"""Whatever is defined, adopted, migrated and crashed, each step runs the version it should."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.events import TaskCompleted
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.requests import Adopt, CountInFlight, Migrate
from tests.support.world import World

ACTIONS = st.lists(
    st.sampled_from(["define", "define flow", "adopt", "adopt all", "migrate", "crash", "step"]),
    min_size=1,
    max_size=25,
)


async def flow(ctx: Any) -> list[int]:
    results: list[int] = []
    while await ctx.wait_for_external_event("go"):
        results.append(await ctx.call_activity("step", len(results)))
    return results


@given(actions=ACTIONS, resident=st.sampled_from([0, 100]))
@settings(max_examples=150)
def test_each_step_runs_the_version_that_was_pinned_adopted_or_migrated_to(
    actions: list[str], resident: int
) -> None:
    world = World(resident=resident)
    newest, flows = 1, 1
    world.define(lambda n: n, name="step")
    world.define(flow, Kind.ORCHESTRATOR)
    world.start("flow")
    meant, expected = 1, []
    for action in [*actions, "step"]:
        match action:
            case "define":
                newest += 1
                world.define(lambda n: n, name="step", version=f"v{newest}")
            case "define flow":
                flows += 1
                world.define(flow, Kind.ORCHESTRATOR, version=f"v{flows}")
            case "adopt":
                world.ask(Adopt(name="step", instance_ids=["one"]))
                meant = newest
            case "adopt all":
                # Nothing says that these plain functions call it, so nobody takes it.
                assert world.ask(Adopt(name="step")).instance_ids == []
            case "migrate":
                assert world.ask(Migrate(instance_id="one")).number == flows
                meant = newest
            case "crash":
                world.crash()
            case "step":
                world.raise_event("go", data=True)
                world.work()
                expected.append(f"v{meant}")
    ran = [row.event.attempt.version for row in world.rows() if type(row.event) is TaskCompleted]
    assert ran == expected
    assert sum(world.ask(CountInFlight(kind=Kind.ORCHESTRATOR, name="flow")).values()) == 1
    world.raise_event("go", data=False)
    world.work()
    assert world.output() == list(range(len(expected)))
    world.service.close()
