"""What the context tells an orchestrator, and what the orchestrator tells the world."""

# ruff: noqa: ASYNC230  (what these orchestrators do is what nobody should do)

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ipydurable import orchestrator
from tests.conformance.common import append, double, identity, listen
from tests.conformance.durations import TICK
from tests.conformance.scenario import World, scenario


@dataclass
class Order:
    item: str
    count: int
    placed: datetime


@orchestrator
async def reports_progress(ctx: Any) -> str:
    for n in (1, 2):
        ctx.set_custom_status({"step": n, "of": 2})
        await ctx.wait_for_external_event("next")
    return "done"


@scenario(gives=[{"step": 1, "of": 2}, {"step": 2, "of": 2}, {"step": 2, "of": 2}])
def the_custom_status_is_seen_from_outside(world: World) -> Any:
    """It is visible from the commit of the turn that set it on, and stays after the end."""
    run = world.start(reports_progress)
    seen = []
    for _ in range(2):
        seen.append(run.custom_status)
        run.raise_event("next")
    run.result()
    return [*seen, run.custom_status]


@orchestrator
async def clears_its_status(ctx: Any) -> list[Any]:
    seen = [ctx.custom_status]
    ctx.set_custom_status("busy")
    seen.append(ctx.custom_status)
    await ctx.call_activity(identity, 1)
    ctx.set_custom_status(None)
    return [*seen, ctx.custom_status]


@scenario(gives=[[None, "busy", None], None])
def none_clears_the_custom_status(world: World) -> Any:
    """The code reads back what it set; None clears it."""
    run = world.start(clears_its_status)
    return [run.result(), run.custom_status]


@orchestrator
async def sets_an_impossible_status(ctx: Any) -> Any:
    try:
        ctx.set_custom_status({"log": logging.getLogger().handlers, "lock": ctx})
    except Exception as error:
        return type(error).__name__


@scenario(gives="EncodingError")
def a_status_that_cannot_be_stored_is_refused(world: World) -> Any:
    """`set_custom_status` raises where its value cannot be stored."""
    return world.run(sets_an_impossible_status)


@orchestrator
async def works_when_not_replaying(ctx: Any, path: str) -> None:
    for n in range(4):
        if not ctx.is_replaying:
            with Path(path).open("a") as file:
                file.write(f"{n}\n")
        await ctx.call_activity(identity, n)


@scenario(gives=["0", "1", "2", "3"])
def is_replaying_tells_what_happened_already(world: World) -> Any:
    """Code under `if not ctx.is_replaying` runs once a step, however often it is replayed."""
    world.run(works_when_not_replaying, world.file("log"))
    return world.lines("log")


class FileHandler(logging.Handler):
    """Writes each message to a file at once."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{record.getMessage()}\n")


@orchestrator
async def logs_its_steps(ctx: Any, path: str) -> None:
    logger = logging.Logger("steps")  # noqa: LOG001  (handlers of its own, at every replay)
    logger.addHandler(FileHandler(path))
    log = ctx.create_replay_safe_logger(logger)
    for n in range(3):
        log.info("step %s", n)
        await ctx.call_activity(identity, n)


@scenario(gives=["step 0", "step 1", "step 2"])
def a_replay_safe_logger_says_everything_once(world: World) -> Any:
    """The logger is silent while the code replays."""
    world.run(logs_its_steps, world.file("log"))
    return world.lines("log")


@orchestrator
async def draws_repeatedly(ctx: Any) -> list[Any]:
    drawn: list[Any] = []
    for _ in range(3):
        drawn.append([ctx.new_uuid(), ctx.random().random(), ctx.current_utc_datetime])
        await ctx.wait_for_external_event("next")
    again = await ctx.call_activity(identity, drawn)
    return [again == drawn, drawn]


@scenario(gives=[True, 3, 3, True])
def uuids_random_numbers_and_times_are_the_same_at_every_replay(world: World) -> Any:
    """What the context draws is unique within an instance and the same at each replay."""
    run = world.start(draws_repeatedly)
    for _ in range(3):
        run.raise_event("next")
    is_same, drawn = run.result()
    uuids, numbers, times = zip(*drawn, strict=True)
    is_in_order = list(times) == sorted(times)
    return [is_same, len({uuid.UUID(one) for one in uuids}), len(set(numbers)), is_in_order]


@orchestrator
async def draws_once(ctx: Any) -> list[Any]:
    return [ctx.new_uuid(), ctx.random().random()]


@scenario(gives=[2, 2])
def each_instance_draws_its_own(world: World) -> Any:
    """Uuids and random numbers differ from instance to instance."""
    uuids, numbers = zip(*(world.run(draws_once) for _ in range(2)), strict=True)
    return [len(set(uuids)), len(set(numbers))]


@orchestrator
async def describes_itself(ctx: Any) -> list[Any]:
    return [ctx.instance_id, ctx.execution_id, ctx.name, ctx.version, dict(ctx.tags)]


@scenario(gives=["me", True, "describes_itself", True, {"team": "red"}])
def the_context_tells_who_it_is(world: World) -> Any:
    """Instance id, execution id, name, version and tags are those of the record."""
    run = world.start(describes_itself, suffix="me", tags={"team": "red"})
    instance_id, execution_id, name, version, tags = run.result()
    return [
        world.short(instance_id),
        execution_id == run.record.execution_id,
        name,
        version == run.record.version == describes_itself.version,
        tags,
    ]


@orchestrator
async def changes_its_input(ctx: Any, order: list[int]) -> list[Any]:
    order.append(99)
    await ctx.call_activity(identity, 1)
    first, second = ctx.get_input(), ctx.get_input()
    first.append(1)
    return [order, second]


@scenario(gives=[[[1, 99], [1]], [1]])
def get_input_gives_a_fresh_copy(world: World) -> Any:
    """Changing the input changes neither what `get_input` gives nor what is recorded."""
    run = world.start(changes_its_input, [1])
    return [run.result(), run.input]


@orchestrator
async def has_a_default(ctx: Any, value: Any = "default") -> Any:
    return [value, ctx.get_input()]


@orchestrator
async def wants_an_input(ctx: Any, value: Any) -> Any:
    return value


@scenario(gives=[["default", None], [None, None], [5, 5], None, None])
def an_input_may_be_missing_or_none(world: World) -> Any:
    """No input takes the default, or None where there is none; None given is None."""
    return [
        world.run(has_a_default),
        world.run(has_a_default, None),
        world.run(has_a_default, 5),
        world.run(wants_an_input),
        world.run(wants_an_input, None),
    ]


@orchestrator
async def takes_many(ctx: Any, a: int, b: int = 2, *, c: int = 3, d: str = "d") -> list[Any]:
    return [a, b, c, d]


@scenario(gives=[[1, 2, 3, "d"], [1, 5, 3, "d"], [1, 2, 9, "e"]])
def an_orchestrator_takes_any_arguments(world: World) -> Any:
    """Several inputs and keywords become its parameters after the context."""
    return [
        world.run(takes_many, 1),
        world.run(takes_many, 1, 5),
        world.run(takes_many, 1, c=9, d="e"),
    ]


@orchestrator
async def keeps_the_order(ctx: Any, order: Order) -> Order:
    order.count = await ctx.call_activity(double, order.count)
    return order


@scenario(gives=Order("lamp", 4, datetime(2026, 5, 1)))
def inputs_and_outputs_may_be_the_users_classes(world: World) -> Any:
    """A dataclass given as input is one in the code, and one again as the result."""
    return world.run(keeps_the_order, Order("lamp", 2, datetime(2026, 5, 1)))


@orchestrator
async def counts_rows(ctx: Any, frame: pd.DataFrame) -> pd.DataFrame:
    await ctx.call_activity(identity, len(frame))
    return frame.head(1)


@scenario(gives=[3, 1])
def dataframes_are_inputs_and_outputs(world: World) -> Any:
    """A DataFrame goes in and another comes out; the input can be looked at later."""
    run = world.start(counts_rows, pd.DataFrame({"x": [1, 2, 3]}))
    result = run.result()
    return [len(run.input), len(result)]


@orchestrator
async def cleans_up_when_closed(ctx: Any, path: str) -> str:
    try:
        await ctx.wait_for_external_event("go")
        await ctx.wait_for_external_event("go")
    finally:
        ctx.set_custom_status("cleaned up")
        await ctx.call_activity(append, [path, "cleaned up"])
    return "done"


@scenario(gives=[None, "done", "cleaned up", ["cleaned up"]])
def finally_blocks_take_effect_once(world: World) -> Any:
    """Leaving memory ends the suspended code; what its `finally` block asks for then is muted."""
    run = world.start(cleans_up_when_closed, world.file("log"))
    run.raise_event("go")
    before = run.custom_status
    run.raise_event("go")
    result = run.result()
    return [before, result, run.custom_status, world.lines("log")]


@orchestrator
async def catches_everything(ctx: Any) -> list[str]:
    caught = []
    try:
        await ctx.wait_for_external_event("go")
        await ctx.wait_for_external_event("go")
    except BaseException as error:
        caught.append(type(error).__name__)
        await ctx.wait_for_external_event("go")
    return [*caught, "done"]


@scenario(gives=["done"])
def code_that_catches_base_exceptions_changes_nothing(world: World) -> Any:
    """`except BaseException` may catch the end of suspended code, which no result shows."""
    run = world.start(catches_everything)
    run.raise_event("go")
    run.raise_event("go")
    return run.result()


@scenario(gives=[["external event", "go"], []])
def a_finished_instance_waits_for_nothing(world: World) -> Any:
    """What an instance waits for is listed while it runs, and empty once it has ended."""
    run = world.start(listen)
    (task,) = run.waiting_for
    run.raise_event("go")
    run.result()
    return [[task.kind, task.name], run.waiting_for]


@orchestrator
async def waits_for_everything(ctx: Any) -> None:
    await ctx.when_all(
        [
            ctx.create_timer(100_000 * TICK),
            ctx.wait_for_external_event("Approval"),
            ctx.call_sub_orchestrator(listen, instance_id=f"{ctx.instance_id}.child"),
        ]
    )


@scenario(gives=[["sub-orchestration", True], ["timer", True], ["external event", "Approval"]])
def open_tasks_of_all_kinds_are_listed(world: World) -> Any:
    """A list answers "waiting for what": children, timers with their time, events."""
    run = world.start(waits_for_everything)
    child, timer, event = run.waiting_for
    return [
        [child.kind, child.name == f"{run.instance_id}.child"],
        [timer.kind, timer.until == run.record.created_at + 100_000 * TICK],
        [event.kind, event.name],
    ]
