"""Sub-orchestrations: children with ids, failures, parents and ends of their own."""

from __future__ import annotations

from typing import Any

from ipydurable import InvalidInstanceIdError, TaskFailedError, orchestrator
from tests.conformance.common import append, double, fail, identity, listen, three_doubles
from tests.conformance.scenario import World, scenario


@orchestrator
async def calls_children(ctx: Any, n: int) -> list[int]:
    return [
        await ctx.call_sub_orchestrator(three_doubles, n),
        await ctx.call_sub_orchestrator("three_doubles", n + 1),
        await three_doubles(n + 2),
    ]


@scenario(gives=[8, 16, 24])
def a_child_is_called_by_reference_by_name_or_like_a_function(world: World) -> Any:
    """The three ways to start a sub-orchestration all give its result."""
    return world.run(calls_children, 1)


@orchestrator
async def child_of_many(ctx: Any, a: int, b: int = 2, *, c: int = 3) -> list[int]:
    return [a, b, c]


@orchestrator
async def passes_arguments(ctx: Any) -> list[Any]:
    return [await child_of_many(1), await child_of_many(1, 5), await child_of_many(1, c=9)]


@scenario(gives=[[1, 2, 3], [1, 5, 3], [1, 2, 9]])
def a_call_of_an_orchestrator_takes_any_arguments(world: World) -> Any:
    """`await child(1, c=9)` hands over any number of arguments."""
    return world.run(passes_arguments)


@orchestrator
def yields_a_child(ctx: Any) -> Any:
    value = yield ctx.call_sub_orchestrator(three_doubles, 2)
    return value


@scenario(gives=16)
def generators_call_sub_orchestrations(world: World) -> Any:
    """`yield ctx.call_sub_orchestrator(...)` waits for the child in a generator."""
    return world.run(yields_a_child)


@orchestrator
async def tells_its_family(ctx: Any) -> list[str | None]:
    return [ctx.instance_id, ctx.parent_instance_id]


@orchestrator
async def asks_its_child(ctx: Any, child_id: str | None) -> list[Any]:
    child, parent = await ctx.call_sub_orchestrator(tells_its_family, instance_id=child_id)
    return [
        parent == ctx.instance_id,
        child == child_id or child.startswith(ctx.execution_id),
        ctx.parent_instance_id,
    ]


@scenario(gives=[True, True, None])
def a_child_knows_its_parent(world: World) -> Any:
    """A child has its parent's id, and an id made of the parent's execution; the top has none."""
    return world.run(asks_its_child, None)


@scenario(gives=[[True, True, None], "Completed"])
def a_childs_id_may_be_chosen(world: World) -> Any:
    """With `instance_id=` the child is found under that id."""
    outcome = world.run(asks_its_child, world.id("child"))
    return [outcome, world.handle(world.id("child")).status.value]


@orchestrator
async def child_that_raises(ctx: Any) -> None:
    await ctx.call_activity(fail, "deep down")


@orchestrator
async def parent_of_failure(ctx: Any) -> None:
    await ctx.call_sub_orchestrator(child_that_raises)


@scenario(gives=["Failed", "TaskFailedError", True])
def a_childs_failure_fails_its_parents_task(world: World) -> Any:
    """Not caught, it fails the parent too, whose message nests the child's."""
    run = world.start(parent_of_failure)
    status = run.wait().value
    assert run.failure is not None
    nested = "child_that_raises (task 1) failed: TaskFailedError: fail (task 1) failed: ValueError"
    return [status, run.failure.type_name, nested in run.failure.message]


@orchestrator
async def child_with_value_error(ctx: Any) -> None:
    raise ValueError("from the child")


@orchestrator
async def catches_its_child(ctx: Any) -> Any:
    try:
        await ctx.call_sub_orchestrator(child_with_value_error)
    except ValueError as error:
        return [type(error).__name__, error.details.message, await ctx.call_activity(double, 1)]


@scenario(gives=["TaskFailedError", "from the child", 2])
def a_childs_error_is_caught_as_its_class(world: World) -> Any:
    """What a child raised is caught by its own class, as that of an activity."""
    return world.run(catches_its_child)


@orchestrator
async def takes_a_taken_id(ctx: Any, taken: str) -> Any:
    try:
        await ctx.call_sub_orchestrator(three_doubles, 1, instance_id=taken)
    except TaskFailedError as error:
        return [error.details.type_name, await ctx.call_activity(double, 4)]


@scenario(gives=["InstanceExistsError", 8])
def a_taken_id_fails_the_task_and_not_the_parent(world: World) -> Any:
    """A child whose id is taken cannot be created: that task fails, and can be caught."""
    run = world.start(listen)
    return world.run(takes_a_taken_id, run.instance_id)


@orchestrator
async def illegal_child_ids(ctx: Any) -> list[str]:
    refused = []
    for wrong in ("", "@x@y", "a/b", "a#b", "x" * 101, "line\nbreak"):
        try:
            ctx.call_sub_orchestrator(three_doubles, 1, instance_id=wrong)
        except InvalidInstanceIdError as error:
            refused.append(error.rule.split("'")[0].strip())
    return refused


@scenario(
    gives=[
        "it must have 1 to 100 characters",
        "ids that begin with @ are those of entities",
        "it must not contain",
        "it must not contain",
        "it must have 1 to 100 characters",
        "it must not contain",
    ]
)
def illegal_child_ids_are_refused(world: World) -> Any:
    """An id that breaks a rule raises at the call and names the rule."""
    return world.run(illegal_child_ids)


@orchestrator
async def child_of_three(ctx: Any, n: int) -> int:
    return sum(await ctx.when_all([ctx.call_activity(identity, n) for _ in range(3)]))


@orchestrator
async def ten_children(ctx: Any) -> int:
    return sum(
        await ctx.when_all([ctx.call_sub_orchestrator(child_of_three, n) for n in range(10)])
    )


@scenario(gives=135, order_varies=True)
def ten_children_fan_out_and_in(world: World) -> Any:
    """Children run side by side, each with activities of its own."""
    return world.run(ten_children)


@orchestrator
async def factorial(ctx: Any, n: int) -> int:
    return 1 if n < 2 else n * await ctx.call_sub_orchestrator(factorial, n - 1)


@scenario(gives=120)
def an_orchestrator_may_call_itself(world: World) -> Any:
    """Recursion: each level is an instance of its own."""
    return world.run(factorial, 5)


@orchestrator
async def waits_for_a_listener(ctx: Any, child_id: str) -> Any:
    try:
        return await ctx.call_sub_orchestrator(listen, instance_id=child_id)
    except TaskFailedError as error:
        return error.details.type_name


@scenario(gives=["OrchestrationTerminatedError", "Terminated"])
def a_terminated_child_is_a_failed_task(world: World) -> Any:
    """Terminating a child from outside fails its parent's task."""
    run = world.start(waits_for_a_listener, world.id("child"))
    child = world.handle(world.id("child"))
    child.terminate()
    return [run.result(), child.status.value]


@scenario(gives=["hello", "Completed"])
def a_child_takes_events_of_its_own(world: World) -> Any:
    """A child is an instance like any other: events are raised at its id."""
    run = world.start(waits_for_a_listener, world.id("child"))
    child = world.handle(world.id("child"))
    child.raise_event("go", "hello")
    return [run.result(), child.status.value]


@orchestrator
async def counts_down(ctx: Any, n: int) -> str | None:
    if n == 0:
        return "lift-off"
    ctx.continue_as_new(n - 1)


@orchestrator
async def parent_of_a_countdown(ctx: Any) -> str:
    return await ctx.call_sub_orchestrator(counts_down, 3)


@scenario(gives="lift-off")
def a_child_that_continues_as_new_returns_to_its_parent(world: World) -> Any:
    """The parent waits through all executions of a child and gets the last one's result."""
    return world.run(parent_of_a_countdown)


@orchestrator
async def does_not_wait(ctx: Any, child_id: str) -> str:
    ctx.call_sub_orchestrator(listen, instance_id=child_id)
    return "gone"


@scenario(gives=["gone", "Running", "on its own"])
def a_child_nobody_waits_for_goes_on(world: World) -> Any:
    """When a parent completes, the children it did not wait for go on."""
    result = world.run(does_not_wait, world.id("child"))
    child = world.handle(world.id("child"))
    status = child.status.value
    child.raise_event("go", "on its own")
    return [result, status, child.result()]


@orchestrator
async def tells_its_tags(ctx: Any) -> dict[str, str]:
    return dict(ctx.tags)


@orchestrator
async def tags_its_child(ctx: Any) -> list[dict[str, str]]:
    return [
        await ctx.call_sub_orchestrator(tells_its_tags, tags={"level": "child"}),
        await ctx.call_sub_orchestrator(tells_its_tags),
        dict(ctx.tags),
    ]


@scenario(gives=[{"level": "child"}, {}, {"level": "top"}])
def a_child_has_the_tags_it_is_given(world: World) -> Any:
    """Tags belong to one instance; a child does not inherit its parent's."""
    return world.run(tags_its_child, tags={"level": "top"})


@scenario(gives=["Terminated", "Terminated"])
def terminating_a_parent_ends_its_children(world: World) -> Any:
    """Terminate is recursive by default."""
    run = world.start(waits_for_a_listener, world.id("child"))
    child = world.handle(world.id("child"))
    run.terminate()
    return [run.wait().value, child.wait().value]


@scenario(gives=["Terminated", "Running"])
def terminating_only_the_parent_leaves_its_children(world: World) -> Any:
    """With `recursive=False` the children go on."""
    run = world.start(waits_for_a_listener, world.id("child"))
    child = world.handle(world.id("child"))
    run.terminate(recursive=False)
    return [run.wait().value, child.status.value]


@orchestrator
async def writes_and_fails(ctx: Any, path: str) -> None:
    await ctx.call_activity(append, [path, "child did its work"])
    raise ValueError("and failed")


@orchestrator
async def middle(ctx: Any, path: str) -> None:
    try:
        await ctx.call_sub_orchestrator(writes_and_fails, path)
    finally:
        await ctx.call_activity(append, [path, "middle cleaned up"])


@orchestrator
async def grandparent(ctx: Any, path: str) -> str:
    try:
        await ctx.call_sub_orchestrator(middle, path)
    except TaskFailedError:
        await ctx.call_activity(append, [path, "top caught it"])
    return "done"


@scenario(gives=["done", ["child did its work", "middle cleaned up", "top caught it"]])
def failures_climb_level_by_level(world: World) -> Any:
    """Each level may clean up and pass a failure on, or end it."""
    return [world.run(grandparent, world.file("log")), world.lines("log")]
