"""Replay safety: code that does not do again what its history says, or never comes to a wait."""

# ruff: noqa: ASYNC230, ASYNC240  (what these orchestrators do is what nobody should do)

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipydurable import orchestrator
from ipydurable.runtime.handles import InstanceHandle
from tests.conformance.common import append, double, identity, listen, three_doubles
from tests.conformance.durations import LONG
from tests.conformance.scenario import EVICTED, World, scenario


def _parked(world: World, run: InstanceHandle) -> str:
    """Wait until the engine has parked an instance; return why."""
    world.until(lambda: run.status.value == "Suspended", f"{run.instance_id} is parked")
    return run.record.suspend_reason


@orchestrator
async def reads_a_file(ctx: Any, path: str) -> Any:
    """Depends on what changes: each run of the code may take another way."""
    way = Path(path).read_text()
    match way:
        case "activity":
            await ctx.call_activity(double, 1)
        case "other activity":
            await ctx.call_activity(identity, 1)
        case "child":
            await ctx.call_sub_orchestrator(three_doubles, 1)
        case "timer":
            await ctx.create_timer(LONG)
        case "event":
            ctx.send_event("somebody", "go")
        case "other event":
            ctx.send_event("somebody else", "go")
        case "child of an id":
            ctx.call_sub_orchestrator(three_doubles, 1, instance_id="chosen")
        case "return":
            return "early"
    await ctx.wait_for_external_event("go")
    return way


def _change(world: World, before: str, after: str) -> str:
    """Let the code take another way at its replay; return why it was parked."""
    world.write("way", before)
    run = world.start(reads_a_file, world.file("way"))
    world.until_waiting(run, "external event", "go")
    world.write("way", after)
    run.raise_event("go")
    reason = _parked(world, run)
    world.write("way", before)
    run.resume()
    return f"{reason} -> {run.result()}"


@scenario(gives=[True, True, True, True, "activity"], ways=EVICTED)
def code_that_changed_is_parked_and_goes_on_when_mended(world: World) -> Any:
    """The message says what history has, what the code did and where; `resume` goes on."""
    said, _, result = _change(world, "activity", "other activity").partition(" -> ")
    return [
        "History: activity 'double'" in said,
        "activity 'identity'" in said,
        "scenarios_replay.py, line" in said,
        "at action 1" in said,
        result,
    ]


@scenario(gives=True, ways=EVICTED)
def another_kind_of_action_is_noticed(world: World) -> Any:
    """An activity that became a sub-orchestration."""
    said = _change(world, "activity", "child")
    return "activity 'double'" in said and "sub-orchestration 'three_doubles'" in said


@scenario(gives=True, ways=EVICTED)
def a_timer_in_place_of_an_activity_is_noticed(world: World) -> Any:
    """An activity that became a timer."""
    return "timer for" in _change(world, "activity", "timer")


@scenario(gives=True, ways=EVICTED)
def an_event_for_somebody_else_is_noticed(world: World) -> Any:
    """An event that is sent to another instance."""
    said = _change(world, "event", "other event")
    return "'somebody'" in said and "'somebody else'" in said


@scenario(gives=True, ways=EVICTED)
def code_that_returns_earlier_is_noticed(world: World) -> Any:
    """Code that ends before its history does is parked instead of hanging."""
    said = _change(world, "activity", "return")
    return "activity 'double'" in said and "ended as Completed before it" in said


@scenario(gives=True, ways=EVICTED)
def code_that_asks_for_less_is_noticed(world: World) -> Any:
    """Code that waits without having asked for what its history has is parked."""
    return "waits without having asked for it" in _change(world, "activity", "nothing")


@scenario(gives="other", ways=EVICTED)
def code_may_ask_for_more_at_its_end(world: World) -> Any:
    """What the code asks for beyond the end of its history is new, and is done."""
    world.write("way", "nothing")
    run = world.start(reads_a_file, world.file("way"))
    world.write("way", "other")
    run.raise_event("go")
    return run.result()


@orchestrator
async def blocks(ctx: Any) -> None:
    await ctx.call_activity(double, 1)
    while True:
        pass


@scenario(gives=[True, True])
def code_that_never_waits_is_interrupted(world: World) -> Any:
    """After a second without a wait the instance is parked with the line; the others go on."""
    run = world.start(blocks)
    other = world.start(listen)
    said = _parked(world, run)
    other.raise_event("go", "still served")
    return ["scenarios_replay.py, line" in said, other.result() == "still served"]


@orchestrator
async def uses_input_and_time(ctx: Any, path: str) -> list[Any]:
    moves = Path(path).read_text()
    await ctx.call_activity(identity, moves)
    await ctx.wait_for_external_event("go")
    return [moves]


@scenario(gives=["second"], ways=EVICTED)
def another_input_is_only_a_warning(world: World) -> Any:
    """An activity that gets another input at replay is not run again, and nothing is parked."""
    world.write("way", "first")
    run = world.start(uses_input_and_time, world.file("way"))
    world.until_waiting(run, "external event", "go")
    world.write("way", "second")
    run.raise_event("go")
    return run.result()


@orchestrator
async def many_turns(ctx: Any, path: str) -> int:
    with Path(path).open("a") as file:
        file.write("run\n")
    for n in range(5):
        await ctx.call_activity(append, [f"{path}.effects", str(n)])
    return 5


@scenario(gives=[True, 5], ways=("memory", "duckdb", "evicted"))
def replay_costs_runs_of_the_code_and_no_effects(world: World) -> Any:
    """The code is run again from its beginning as often as memory asks for; effects are not.

    The first three turns of a new version are replayed at once besides, to see if it repeats them.
    """
    world.run(many_turns, world.file("log"))
    return [len(world.lines("log")) in (1 + 3, 6 + 3), len(world.lines("log.effects"))]
