"""Continue-as-new: what an instance's next execution finds of what was there before."""

from __future__ import annotations

from typing import Any

from ipydurable.runtime.core.events import EventRaised
from ipydurable.runtime.requests import Resume, Suspend
from tests.support.world import World


def test_its_id_and_the_events_nobody_took_are_kept_also_over_crashes() -> None:
    async def eternal(ctx: Any, total: int) -> Any:
        if total >= 6:
            return total
        ctx.continue_as_new(total + await ctx.wait_for_external_event("add"))

    world = World()
    world.orchestrator(eternal)
    world.start("eternal", 0)
    for n in (1, 2, 3):
        world.raise_event("add", n)
        world.crash()
        world.settle()
    assert world.output() == 6
    assert world.record().generation == 3


def test_what_waits_behind_events_carried_over_is_taken_once_also_over_a_crash() -> None:
    """It is written anew behind them, in place of the row that it had."""

    async def relay(ctx: Any, is_first: bool) -> Any:
        if is_first:
            await ctx.wait_for_external_event("go")
            ctx.continue_as_new(False)
            return None
        await ctx.wait_for_external_event("end")
        return None

    world = World()
    world.orchestrator(relay)
    world.start("relay", True)
    world.settle()
    world.send(Suspend(instance_id="one"))
    for name in ("early", "go", "late"):
        world.raise_event(name)
    world.send(Resume(instance_id="one"))
    world.settle()
    world.crash()
    world.settle()
    world.raise_event("end")
    world.settle()
    raised = [row.event.name for row in world.rows() if isinstance(row.event, EventRaised)]
    assert raised == ["early", "go", "early", "late", "end"]


def test_an_event_sent_by_another_orchestration_reaches_whichever_execution_there_is() -> None:
    async def waits(ctx: Any, is_first: bool) -> Any:
        found = await ctx.wait_for_external_event("news")
        if is_first:
            ctx.continue_as_new(False)
            return None
        return found

    async def tells(ctx: Any, text: str) -> None:
        ctx.send_event("one", "news", text)

    world = World()
    world.orchestrator(waits)
    world.orchestrator(tells)
    world.start("waits", True)
    for text in ("first", "second"):
        world.start("tells", text, instance_id=text)
        world.settle()
    assert world.output() == "second"
