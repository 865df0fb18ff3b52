"""External events: raised, buffered, awaited, sent between instances."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ipydurable import InvalidInstanceIdError, TaskCancelledError, orchestrator
from tests.conformance.common import double, listen
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import World, raised, scenario


@scenario(gives={"approved": True})
def an_event_reaches_the_code_that_waits(world: World) -> Any:
    """The data of a raised event is the result of the wait."""
    run = world.start(listen)
    world.until_waiting(run, "external event", "go")
    run.raise_event("go", {"approved": True})
    return run.result()


@orchestrator
async def work_then_listen(ctx: Any) -> list[Any]:
    await ctx.wait_for_external_event("begin")
    return [await ctx.wait_for_external_event("data") for _ in range(3)]


@scenario(gives=[1, 2, 3])
def events_are_buffered_until_somebody_waits(world: World) -> Any:
    """Events that come before anybody waits are kept, in the order they came."""
    run = world.start(work_then_listen)
    for n in (1, 2, 3):
        run.raise_event("data", n)
    run.raise_event("begin")
    return run.result()


@orchestrator
async def listen_by_letter(ctx: Any) -> list[Any]:
    return [await ctx.wait_for_external_event(name) for name in ("A", "B", "C")]


@scenario(gives=[1, 2, 3])
def waits_take_events_of_their_own_name(world: World) -> Any:
    """Events of several names are told apart, whatever the order they are raised in."""
    run = world.start(listen_by_letter)
    for name, n in (("C", 3), ("A", 1), ("B", 2)):
        run.raise_event(name, n)
    return run.result()


@scenario(gives="yes")
def event_names_know_no_case(world: World) -> Any:
    """Upper and lower case are alike in the names of events."""
    run = world.start(listen, "Approval")
    run.raise_event("APPROVAL", "yes")
    return run.result()


@orchestrator
async def several_waiters(ctx: Any) -> list[Any]:
    waits = [ctx.wait_for_external_event("go") for _ in range(3)]
    await ctx.when_all(waits)
    return [one.result for one in waits]


@scenario(gives=["first", "second", "third"])
def waiters_are_served_first_come_first_served(world: World) -> Any:
    """Of several waits for one name the oldest gets the next event."""
    run = world.start(several_waiters)
    for data in ("first", "second", "third"):
        run.raise_event("go", data)
    return run.result()


@orchestrator
async def cancels_a_wait(ctx: Any) -> list[Any]:
    given_up = ctx.wait_for_external_event("go")
    seen: list[Any] = [given_up.cancel(), given_up.cancel()]
    seen.append(await ctx.wait_for_external_event("go"))
    try:
        await given_up
    except TaskCancelledError:
        seen.append("raises")
    return seen


@scenario(gives=[True, False, "data", "raises"])
def a_cancelled_wait_takes_no_event(world: World) -> Any:
    """After `cancel` the next event goes to the next waiter."""
    run = world.start(cancels_a_wait)
    run.raise_event("go", "data")
    return run.result()


@orchestrator
async def forgets_to_cancel(ctx: Any) -> list[Any]:
    lost = ctx.wait_for_external_event("go")
    await ctx.when_any([lost, ctx.create_timer(TICK)])
    live = ctx.wait_for_external_event("go")
    return [await live, lost.result]


@scenario(gives=["second", "first"])
def a_wait_that_lost_a_race_still_takes_the_next_event(world: World) -> Any:
    """Not cancelled, a wait keeps its place in the queue: the live one gets the event after."""
    run = world.start(forgets_to_cancel)
    world.until(lambda: not _has_timer(run), "the second wait")
    run.raise_event("go", "first")
    run.raise_event("go", "second")
    return run.result()


def _has_timer(run: Any) -> bool:
    return any(task.kind == "timer" for task in run.waiting_for)


@scenario(gives=[None, [1, {"a": (2,)}]])
def events_carry_any_data_or_none(world: World) -> Any:
    """The data may be nothing at all, or any value that can be stored."""
    results = []
    for data in (None, [1, {"a": (2,)}]):
        run = world.start(listen)
        run.raise_event("go", data)
        results.append(run.result())
    return results


@orchestrator
async def listen_for(ctx: Any, patience: timedelta) -> Any:
    try:
        return await ctx.wait_for_external_event("go", timeout=patience)
    except TimeoutError:
        return "too late"


@scenario(gives=["in time", "too late"])
def a_wait_may_have_a_timeout(world: World) -> Any:
    """An event in time is the result; without one the wait fails with a `TimeoutError`."""
    run = world.start(listen_for, LONG)
    run.raise_event("go", "in time")
    return [run.result(), world.run(listen_for, TICK)]


@orchestrator
async def listens_again(ctx: Any) -> list[Any]:
    try:
        await ctx.wait_for_external_event("go", timeout=TICK)
    except TimeoutError:
        return ["timeout", await ctx.wait_for_external_event("go")]


@scenario(gives=["timeout", "late"])
def a_late_event_is_for_the_next_wait(world: World) -> Any:
    """An event after the timeout is not lost: the next wait of that name takes it."""
    run = world.start(listens_again)
    world.until(lambda: not _has_timer(run), "the second wait")
    run.raise_event("go", "late")
    return run.result()


@scenario(gives=["Pending", "kept"])
def an_instance_that_has_not_started_keeps_events(world: World) -> Any:
    """Events for a pending instance are queued until it starts."""
    run = world.start(listen, start_at=world.now() + 12 * TICK)
    run.raise_event("go", "kept")
    return [run.status.value, run.result()]


@scenario(gives=["Suspended", 1, 2])
def a_suspended_instance_keeps_events(world: World) -> Any:
    """Events for a suspended instance are delivered when it is resumed, in their order."""
    run = world.start(several_waiters)
    run.suspend()
    for n in (1, 2, 3):
        run.raise_event("go", n)
    status = run.status.value
    run.resume()
    return [status, *run.result()[:2]]


@scenario(gives=["one", "Completed"])
def events_for_a_finished_instance_are_dropped(world: World) -> Any:
    """Raising an event at a finished instance is no error and changes nothing."""
    run = world.start(listen)
    run.raise_event("go", "one")
    result = run.result()
    run.raise_event("go", "two")
    return [result, run.status.value]


@scenario(gives=["UnknownInstanceError", True])
def raising_an_event_at_no_instance_is_an_error(world: World) -> Any:
    """The error names the id and lists ids like it."""
    run = world.start(listen, suffix="orders")
    name, near = raised(lambda: world.client.raise_event(world.id("order"), "go"), "near")
    return [name, run.instance_id in near]


@orchestrator
async def send_to(ctx: Any, target: str, name: str, data: Any) -> str:
    ctx.send_event(target, name, data)
    await ctx.call_activity(double, 1)
    return "sent"


@scenario(gives=["sent", "hello"])
def an_orchestration_sends_an_event_to_another(world: World) -> Any:
    """`send_event` raises an event at another instance."""
    run = world.start(listen)
    return [world.run(send_to, run.instance_id, "go", "hello"), run.result()]


@orchestrator
async def listen_until_stop(ctx: Any) -> list[Any]:
    seen: list[Any] = []
    while not seen or seen[-1] != "stop":
        seen.append(await ctx.wait_for_external_event("go"))
    return seen


@scenario(gives=["hello", "stop"])
def a_sent_event_is_sent_once(world: World) -> Any:
    """However often the sender replays, its event arrives once."""
    run = world.start(listen_until_stop)
    world.run(send_to, run.instance_id, "go", "hello")
    run.raise_event("go", "stop")
    return run.result()


@scenario(gives=["sent", "sent"])
def events_sent_to_nobody_are_dropped(world: World) -> Any:
    """Sending to a missing or a finished instance is no error."""
    run = world.start(listen)
    run.raise_event("go", 1)
    run.result()
    return [
        world.run(send_to, run.instance_id, "go", 2),
        world.run(send_to, world.id("missing"), "go", 3),
    ]


@orchestrator
async def send_to_oneself(ctx: Any) -> Any:
    wait = ctx.wait_for_external_event("note")
    ctx.send_event(ctx.instance_id, "note", "to myself")
    return await wait


@scenario(gives="to myself")
def an_orchestration_may_send_to_itself(world: World) -> Any:
    """An event sent to the own instance arrives like any other."""
    return world.run(send_to_oneself)


@orchestrator
async def sends_wrongly(ctx: Any) -> list[str]:
    refused = []
    for target in ("", "@account@alice", "a/b"):
        try:
            ctx.send_event(target, "go")
        except InvalidInstanceIdError as error:
            refused.append(error.instance_id)
    for name in ("", 5):
        for use in (ctx.wait_for_external_event, lambda name: ctx.send_event("somebody", name)):
            try:
                use(name)
            except ValueError as error:
                refused.append(str(error).partition(",")[2])
    return refused


@scenario(
    gives=[
        ["", "@account@alice", "a/b", " not ''", " not ''", " not 5", " not 5"],
        ["ValueError", "ValueError"],
    ]
)
def illegal_targets_and_names_are_refused(world: World) -> Any:
    """Ids that cannot be instance ids, and names that are no text or empty, raise at the call."""
    run = world.start(listen)
    inside = world.run(sends_wrongly)
    return [inside, [raised(lambda name=name: run.raise_event(name))[0] for name in ("", 5)]]


@orchestrator
async def approval(ctx: Any, patience: timedelta) -> str:
    timeout = ctx.create_timer(patience)
    answer = ctx.wait_for_external_event("Approval")
    if await ctx.when_any([answer, timeout]) is answer:
        timeout.cancel()
        return f"approved by {answer.result}"
    answer.cancel()
    return "escalated"


@scenario(gives=["approved by Ann", "escalated"])
def an_event_races_a_timer(world: World) -> Any:
    """The classic approval: whichever comes first, the other is cancelled."""
    run = world.start(approval, LONG)
    run.raise_event("Approval", "Ann")
    return [run.result(), world.run(approval, TICK)]


@scenario(gives=["external event", "go"])
def what_an_instance_waits_for_can_be_asked(world: World) -> Any:
    """A waiting instance tells the name of the event it waits for."""
    run = world.start(listen)
    (task,) = run.waiting_for
    return [task.kind, task.name]


@orchestrator
def listen_in_a_generator(ctx: Any) -> Any:
    first = yield ctx.wait_for_external_event("go")
    second = yield ctx.wait_for_external_event("go")
    return [first, second]


@scenario(gives=[1, 2])
def generators_wait_for_events(world: World) -> Any:
    """`yield ctx.wait_for_external_event(...)` waits in a generator."""
    run = world.start(listen_in_a_generator)
    run.raise_event("go", 1)
    run.raise_event("go", 2)
    return run.result()


@orchestrator
async def collect_votes(ctx: Any, wanted: int) -> dict[str, int]:
    votes: dict[str, int] = {}
    for _ in range(wanted):
        choice = await ctx.wait_for_external_event("vote")
        votes[choice] = votes.get(choice, 0) + 1
    return votes


@scenario(gives={"a": 3, "b": 2})
def an_aggregator_collects_events(world: World) -> Any:
    """A loop of waits takes each event once."""
    run = world.start(collect_votes, 5)
    for vote in "abaab":
        run.raise_event("vote", vote)
    return run.result()
