"""`when_all` and `when_any`: of tasks, of groups, of coroutines."""

from __future__ import annotations

from typing import Any

from ipydurable import activity, orchestrator
from tests.conformance.common import append, double, fail, flaky, identity, listen
from tests.conformance.durations import LONG, TICK
from tests.conformance.scenario import World, scenario


@orchestrator
async def events_in_order(ctx: Any) -> list[Any]:
    return await ctx.when_all([ctx.wait_for_external_event(name) for name in ("a", "b", "c")])


@scenario(gives=["A", "B", "C"])
def when_all_gives_results_in_the_order_of_the_tasks(world: World) -> Any:
    """Whatever is done first, results stand where their tasks stood."""
    run = world.start(events_in_order)
    for name in ("c", "a", "b"):
        run.raise_event(name, name.upper())
    return run.result()


@orchestrator
async def all_of_nothing(ctx: Any) -> list[Any]:
    return await ctx.when_all([])


@scenario(gives=[])
def when_all_of_nothing_is_complete(world: World) -> Any:
    """`when_all([])` gives an empty list at once."""
    return world.run(all_of_nothing)


@orchestrator
async def any_of_nothing(ctx: Any) -> str:
    try:
        await ctx.when_any([])
    except ValueError as error:
        return str(error).partition(":")[0]
    return ""


@scenario(gives="when_any of no tasks would wait for ever")
def when_any_of_nothing_is_refused(world: World) -> Any:
    """`when_any([])` could never complete, and raises."""
    return world.run(any_of_nothing)


@orchestrator
async def raises_on(ctx: Any, event: str) -> None:
    raise ValueError(await ctx.wait_for_external_event(event))


@orchestrator
async def all_with_failures(ctx: Any, prefix: str) -> Any:
    tasks = [
        ctx.call_sub_orchestrator(raises_on, "go", instance_id=f"{prefix}first"),
        ctx.call_sub_orchestrator(raises_on, "go", instance_id=f"{prefix}second"),
        ctx.wait_for_external_event("last"),
    ]
    try:
        await ctx.when_all(tasks)
    except ValueError as error:
        return [error.details.message, [task.is_complete for task in tasks]]


@scenario(gives=["second fails", [True, True, True]])
def when_all_waits_for_all_and_raises_the_first_failure(world: World) -> Any:
    """All tasks are settled before it raises; of several failures it raises the first observed."""
    run = world.start(all_with_failures, world.prefix)
    for child in ("second", "first"):
        world.handle(world.id(child)).raise_event("go", f"{child} fails")
    run.raise_event("last")
    return run.result()


@orchestrator
async def any_iterable(ctx: Any) -> list[Any]:
    tasks = {n: ctx.wait_for_external_event(str(n)) for n in (1, 2)}
    return [
        await ctx.when_all(tasks.values()),
        await ctx.when_all(task for task in tasks.values()),
        await ctx.when_all(tuple(tasks.values())),
        (await ctx.when_any(iter(tasks.values()))).result,
    ]


@scenario(gives=[["one", "two"], ["one", "two"], ["one", "two"], "one"])
def combinators_take_any_iterable(world: World) -> Any:
    """Lists, tuples, generators and views do."""
    run = world.start(any_iterable)
    run.raise_event("1", "one")
    run.raise_event("2", "two")
    return run.result()


@orchestrator
async def combines_wrongly(ctx: Any) -> list[str]:
    task = ctx.wait_for_external_event("go")
    messages = []
    for wrong in (task, 5, [task, 5], ["double"]):
        for combine in (ctx.when_all, ctx.when_any):
            try:
                combine(wrong)
            except TypeError as error:
                messages.append(str(error).partition(":")[0].partition(".")[0])
    return messages[::2]


@scenario(
    gives=[
        "when_all takes an iterable of tasks, not a CancellableTask",
        "when_all takes an iterable of tasks, not a int",
        "when_all takes tasks; item 1 is a int",
        "when_all takes tasks; item 0 is a str",
    ]
)
def combinators_refuse_what_is_no_task(world: World) -> Any:
    """A single task instead of a list, or a list of other things, raises and says what it got."""
    return world.run(combines_wrongly)


@orchestrator
async def first_of_two(ctx: Any) -> list[Any]:
    slow, quick = ctx.wait_for_external_event("slow"), ctx.wait_for_external_event("quick")
    winner = await ctx.when_any([slow, quick])
    return [winner is quick, winner.result, slow.is_complete, await slow]


@scenario(gives=[True, 1, False, 2])
def when_any_gives_the_winning_task_and_cancels_nothing(world: World) -> Any:
    """The result is the task itself; the others stay open and can be awaited later."""
    run = world.start(first_of_two)
    run.raise_event("quick", 1)
    run.raise_event("slow", 2)
    return run.result()


@orchestrator
async def failure_wins(ctx: Any) -> list[Any]:
    failing = ctx.call_activity(fail, "first")
    winner = await ctx.when_any([failing, ctx.create_timer(LONG)])
    try:
        return [winner.result]
    except ValueError:
        return [winner is failing, winner.is_failed, winner.get_exception().details.message]


@scenario(gives=[True, True, "first"])
def a_failed_task_wins_without_raising(world: World) -> Any:
    """`when_any` gives a failed winner as a task; looking at its result raises."""
    return world.run(failure_wins)


@orchestrator
async def nested_groups(ctx: Any) -> list[Any]:
    red = ctx.when_all([ctx.wait_for_external_event("r1"), ctx.wait_for_external_event("r2")])
    blue = ctx.when_all([ctx.wait_for_external_event("b1"), ctx.wait_for_external_event("b2")])
    winner = await ctx.when_any([red, blue])
    return ["blue" if winner is blue else "red", winner.result, red.is_complete]


@scenario(gives=["blue", [3, 4], False])
def groups_race_each_other(world: World) -> Any:
    """`when_any` of several `when_all`: the first group that is complete wins."""
    run = world.start(nested_groups)
    for name, n in (("r1", 1), ("b2", 4), ("b1", 3)):
        run.raise_event(name, n)
    return run.result()


@orchestrator
async def all_of_races(ctx: Any) -> list[Any]:
    races = [
        ctx.when_any([ctx.wait_for_external_event(f"{side}{n}") for side in "ab"]) for n in (1, 2)
    ]
    return [winner.result for winner in await ctx.when_all(races)]


@scenario(gives=["b1", "a2"])
def a_group_of_races_waits_for_each_winner(world: World) -> Any:
    """`when_all` of several `when_any` gives the winner of each."""
    run = world.start(all_of_races)
    for name in ("a2", "b2", "b1"):
        run.raise_event(name, name)
    return run.result()


@orchestrator
async def shares_tasks(ctx: Any) -> list[Any]:
    task = ctx.wait_for_external_event("go")
    other = ctx.wait_for_external_event("other")
    return [
        await ctx.when_all([task, other]),
        await ctx.when_all([other, task]),
        await ctx.when_all([task, task]),
    ]


@scenario(gives=[[1, 2], [2, 1], [1, 1]])
def a_task_may_be_in_several_groups(world: World) -> Any:
    """Groups may share tasks, and one may hold the same task twice."""
    run = world.start(shares_tasks)
    run.raise_event("go", 1)
    run.raise_event("other", 2)
    return run.result()


async def in_turn(ctx: Any, names: str) -> list[Any]:
    return [await ctx.wait_for_external_event(name) for name in names]


@orchestrator
async def side_by_side(ctx: Any) -> list[Any]:
    return await ctx.when_all([in_turn(ctx, "ab"), in_turn(ctx, "cd")])


@scenario(gives=[[1, 2], [3, 4]])
def coroutines_run_side_by_side(world: World) -> Any:
    """Coroutines given to `when_all` each go on at their own pace, several steps long."""
    run = world.start(side_by_side)
    for name, n in (("c", 3), ("a", 1), ("d", 4), ("b", 2)):
        run.raise_event(name, n)
    return run.result()


async def doubled_twice(ctx: Any, n: int) -> int:
    return await ctx.call_activity(double, await ctx.call_activity(double, n))


@orchestrator
async def chains_side_by_side(ctx: Any) -> list[int]:
    return await ctx.when_all(doubled_twice(ctx, n) for n in range(5))


@scenario(gives=[0, 4, 8, 12, 16], order_varies=True)
def chains_of_activities_run_side_by_side(world: World) -> Any:
    """Each coroutine is a chain of activities; none waits for the others."""
    return world.run(chains_side_by_side)


async def doomed(ctx: Any) -> None:
    await ctx.wait_for_external_event("go")
    raise KeyError("doomed")


@orchestrator
async def coroutine_fails(ctx: Any) -> list[Any]:
    try:
        await ctx.when_all([doomed(ctx), ctx.wait_for_external_event("other")])
    except KeyError as error:
        return [error.args[0], await ctx.call_activity(identity, "goes on")]
    return []


@scenario(gives=["doomed", "goes on"])
def a_failing_coroutine_fails_its_group(world: World) -> Any:
    """What a coroutine raises is raised by the `when_all` it was given to."""
    run = world.start(coroutine_fails)
    run.raise_event("go")
    run.raise_event("other")
    return run.result()


@orchestrator
async def as_they_come(ctx: Any) -> list[Any]:
    waiting = [ctx.wait_for_external_event(name) for name in ("a", "b", "c")]
    seen = []
    while waiting:
        winner = await ctx.when_any(waiting)
        waiting.remove(winner)
        seen.append(winner.result)
    return seen


@scenario(gives=[2, 3, 1])
def results_are_taken_as_they_come(world: World) -> Any:
    """A loop of `when_any` over what is left handles results in the order of their arrival."""
    run = world.start(as_they_come)
    for name, n in (("b", 2), ("c", 3), ("a", 1)):
        run.raise_event(name, n)
    return run.result()


@orchestrator
async def quorum(ctx: Any, needed: int) -> list[Any]:
    waiting = {ctx.wait_for_external_event(f"vote{n}") for n in range(5)}
    votes: list[Any] = []
    while len(votes) < needed:
        winner = await ctx.when_any(sorted(waiting, key=lambda task: task.description))
        waiting.discard(winner)
        votes.append(winner.result)
    for task in waiting:
        task.cancel()
    return votes


@scenario(gives=["yes", "no", "yes"])
def a_quorum_needs_only_some(world: World) -> Any:
    """Three of five are enough; the rest is cancelled."""
    run = world.start(quorum, 3)
    for n, vote in ((4, "yes"), (0, "no"), (2, "yes"), (1, "too late")):
        run.raise_event(f"vote{n}", vote)
    return run.result()


@orchestrator
async def mixture(ctx: Any) -> list[Any]:
    return await ctx.when_all(
        [
            ctx.call_activity(double, 1),
            ctx.create_timer(TICK),
            ctx.wait_for_external_event("go"),
            ctx.call_sub_orchestrator(listen, instance_id=f"{ctx.instance_id}.child"),
        ]
    )


@scenario(gives=[2, None, "parent", "child"], order_varies=True)
def a_group_may_hold_tasks_of_all_kinds(world: World) -> Any:
    """Activities, timers, events and children wait in one group."""
    run = world.start(mixture)
    run.raise_event("go", "parent")
    world.handle(f"{run.instance_id}.child").raise_event("go", "child")
    return run.result()


@orchestrator
async def settled_already(ctx: Any) -> list[Any]:
    done = ctx.call_activity(double, 1)
    await done
    winner = await ctx.when_any([ctx.create_timer(LONG), done])
    return [winner is done, await ctx.when_all([done, done])]


@scenario(gives=[True, [2, 2]])
def settled_tasks_complete_a_group_at_once(world: World) -> Any:
    """A task that is settled already wins a race at once."""
    return world.run(settled_already)


@activity
def fail_late(path: str) -> None:
    append([path, "failed"])
    raise ValueError("late")


@orchestrator
async def both_fail(ctx: Any, path: str) -> str:
    try:
        await ctx.when_all([ctx.call_activity(fail_late, path) for _ in range(4)])
    except ValueError:
        return "caught"
    return ""


@scenario(gives=["caught", 4], order_varies=True)
def all_of_a_failing_group_are_run(world: World) -> Any:
    """One failure does not stop the others of a group."""
    return [world.run(both_fail, world.file("log")), len(world.lines("log"))]


@orchestrator
def yields_groups(ctx: Any, path: str) -> Any:
    results = yield ctx.when_all([ctx.call_activity(double, n) for n in (1, 2)])
    try:
        yield ctx.when_all([ctx.call_activity(flaky, [path, 1])])
    except ConnectionError:
        results.append("failed")
    winner = yield ctx.when_any([ctx.call_activity(double, 3), ctx.create_timer(LONG)])
    return [*results, winner.result]


@scenario(gives=[2, 4, "failed", 6], order_varies=True)
def generators_yield_groups(world: World) -> Any:
    """`yield ctx.when_all(...)` and `yield ctx.when_any(...)` wait in a generator."""
    return world.run(yields_groups, world.file("log"))
