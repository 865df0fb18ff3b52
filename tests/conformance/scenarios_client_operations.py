"""What clients do: start, wait, steer, take up again, delete."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ipydurable import RetryPolicy, RuntimeStatus, activity, orchestrator
from ipydurable.runtime.ports import InstanceQuery
from tests.conformance.common import (
    append,
    double,
    flaky,
    listen,
    parent_of_two,
    sleep_long,
    three_doubles,
)
from tests.conformance.durations import TICK
from tests.conformance.scenario import World, raised, scenario

FINAL = (RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED)


@scenario(gives=[True, 8])
def an_id_is_made_of_the_name_where_none_is_given(world: World) -> Any:
    """The id begins with the orchestrator's name."""
    instance_id = world.client.start("three_doubles", 1)
    return [instance_id.startswith("three_doubles-"), world.handle(instance_id).result()]


@scenario(gives=[["InstanceExistsError", "Running"], ["InstanceExistsError", "Completed"]])
def an_id_is_taken_while_its_instance_exists(world: World) -> Any:
    """Starting an existing id is an error, finished or not."""
    run = world.start(listen, suffix="one")
    running = raised(lambda: world.start(listen, suffix="one"), "status")
    run.raise_event("go")
    run.result()
    return [running, raised(lambda: world.start(listen, suffix="one"), "status")]


@scenario(gives=["InstanceExistsError", 16, "InstanceExistsError"])
def a_reuse_policy_says_which_statuses_are_replaced(world: World) -> Any:
    """An instance in one of the statuses given is ended and deleted to make room."""
    world.start(listen, suffix="one")
    first = raised(lambda: world.start(three_doubles, 1, suffix="one", replace=FINAL))[0]
    run = world.start(three_doubles, 2, suffix="one", replace=[RuntimeStatus.RUNNING])
    result = run.result()
    second = raised(
        lambda: world.start(three_doubles, 1, suffix="one", replace=[RuntimeStatus.FAILED])
    )[0]
    return [first, result, second]


@scenario(gives=["Pending", "start", 8, True])
def a_start_may_be_delayed(world: World) -> Any:
    """With `start_at` an instance is pending until then."""
    begins = world.now() + 12 * TICK
    run = world.start(three_doubles, 1, start_at=begins)
    status, (waiting,) = run.status.value, run.waiting_for
    result = run.result()
    started_at = run.record.started_at
    assert started_at is not None
    return [status, waiting.kind, result, started_at >= begins]


@scenario(gives=8)
def a_start_in_the_past_is_at_once(world: World) -> Any:
    """A `start_at` that is past delays nothing."""
    return world.run(three_doubles, 1, start_at=world.now() - TICK)


@scenario(gives=[0, 8, 16, 24, 32])
def many_are_started_in_one_commit(world: World) -> Any:
    """`start_many` gives the ids in the order of the inputs."""
    ids = world.client.start_many("three_doubles", range(5), tags={"batch": world.prefix})
    return [world.handle(one).result() for one in ids]


@scenario(gives=["UnknownDefinitionError", 0])
def many_are_started_all_or_none(world: World) -> Any:
    """Where one cannot be started, none is."""
    error = raised(lambda: world.client.start_many("three_duobles", [1, 2]))
    return [error[0], len(world.client.query(InstanceQuery(name="three_duobles")))]


@scenario(gives=["Pending", "Running"])
def a_client_waits_for_the_start(world: World) -> Any:
    """`wait_for_start` answers once the instance has left PENDING."""
    run = world.start(listen, start_at=world.now() + 12 * TICK)
    before = run.status.value
    world.until(lambda: run.status is not RuntimeStatus.PENDING, "the start")
    return [before, world.client.wait_for_start(run.instance_id, 5.0).status.value]


@scenario(gives=["WaitTimeoutError", True, "Running"])
def waiting_may_time_out_and_leaves_the_instance_alone(world: World) -> Any:
    """A wait with a timeout raises a `TimeoutError`; the instance goes on."""
    run = world.start(listen)
    try:
        run.result(timeout=0.01)
    except TimeoutError as error:
        return [type(error).__name__, run.instance_id in str(error), run.status.value]


@scenario(gives=["UnknownInstanceError", True])
def unknown_ids_are_named_with_near_ones(world: World) -> Any:
    """Asking for a missing instance says so, and lists ids like it."""
    run = world.start(listen, suffix="orders-2026")
    name, near = raised(lambda: world.client.get(world.id("orders-2025")), "near")
    return [name, run.instance_id in near]


@scenario(gives=[["UnknownDefinitionError", True], ["UnknownDefinitionError", False]])
def unknown_orchestrators_are_named_with_near_ones(world: World) -> Any:
    """Starting what is not defined says so, and lists names like it."""
    found = []
    for wrong in ("three_duobles", "zzzzzz"):
        name, near = raised(lambda wrong=wrong: world.client.start(wrong), "near")
        found.append([name, "three_doubles" in near])
    return found


@scenario(
    gives=[
        "it must have 1 to 100 characters",
        "ids that begin with @ are those of entities",
        "it must not contain '/'",
        "it must not contain '#' '?'",
        "it must not contain '\\n'",
        "an instance id is a string",
    ]
)
def illegal_ids_are_refused(world: World) -> Any:
    """An id that breaks a rule is refused, and the rule is named."""
    return [
        raised(lambda wrong=wrong: world.client.start("listen", instance_id=wrong), "rule")[1]
        for wrong in ("x" * 101, "@account@alice", "a/b", "a#b?", "a\nb", 5)
    ]


@scenario(gives=[["value['lock']", "lock"], ["value[0]", "lock"]])
def inputs_and_event_data_that_cannot_be_stored_are_refused(world: World) -> Any:
    """The error names the path inside the value; nothing is started or raised."""
    run = world.start(listen)
    start = raised(lambda: world.start(listen, {"lock": threading.Lock()}), "path", "type_name")
    event = raised(lambda: run.raise_event("go", [threading.Lock()]), "path", "type_name")
    return [start[1:], event[1:]]


@scenario(gives=["three_doubles", 2, 16, None, "Completed", None, True])
def a_handle_tells_everything_of_an_instance(world: World) -> Any:
    """Name, input, output, custom status, status, failure and times of an instance."""
    run = world.start(three_doubles, 2)
    run.result()
    record = run.record
    assert record.started_at is not None
    assert record.completed_at is not None
    return [
        run.name,
        run.input,
        run.output,
        run.custom_status,
        run.status.value,
        run.failure,
        record.created_at <= record.started_at <= record.completed_at,
    ]


@scenario(gives=[["Suspended", "lunch"], ["Suspended", "lunch"], "Running", "hello"])
def an_instance_is_suspended_and_resumed(world: World) -> Any:
    """While it is suspended its reason shows; suspending again changes nothing."""
    run = world.start(listen)
    seen: list[Any] = []
    for reason in ("lunch", "again"):
        run.suspend(reason)
        seen.append([run.status.value, run.record.suspend_reason])
    run.raise_event("go", "hello")
    run.resume("back")
    result = run.result()
    return [*seen, "Running", result]


@scenario(gives=["Running", "Completed", "Completed"])
def suspend_and_resume_are_harmless_where_they_mean_nothing(world: World) -> Any:
    """Resuming a running instance, suspending or resuming a finished one, is no error."""
    run = world.start(listen)
    run.resume()
    seen = [run.status.value]
    run.raise_event("go")
    run.result()
    for steer in (run.suspend, run.resume):
        steer()
        seen.append(run.status.value)
    return seen


@scenario(gives=["InstanceStateError", "Pending"])
def a_pending_instance_cannot_be_suspended(world: World) -> Any:
    """Before it has started there is nothing to suspend."""
    run = world.start(listen, start_at=world.now() + 100_000 * TICK)
    return raised(run.suspend, "status")


@activity
def waits_for_file(path: str) -> str:
    while not Path(path).exists():
        threading.Event().wait(0.002)
    return "there"


@orchestrator
async def waits_for_file_and_timer(ctx: Any, path: str) -> list[Any]:
    return await ctx.when_all([ctx.call_activity(waits_for_file, path), ctx.create_timer(TICK)])


@scenario(gives=["Suspended", ["there", None]], order_varies=True)
def results_and_timers_wait_while_suspended(world: World) -> Any:
    """What ends while an instance is suspended reaches its code when it is resumed."""
    run = world.start(waits_for_file_and_timer, world.file("flag"))
    run.suspend()
    world.write("flag")
    world.advance(2 * TICK)
    status = run.status.value
    run.resume()
    return [status, run.result()]


@scenario(gives=["Terminated", {"why": "enough"}, "OrchestrationTerminatedError"])
def terminate_ends_an_instance_with_an_output(world: World) -> Any:
    """Termination is at once; its output is what was given, and the result raises."""
    run = world.start(listen)
    run.terminate({"why": "enough"})
    return [run.wait().value, run.output, raised(run.result)[0]]


@scenario(gives=["Completed", "Terminated", "Terminated"])
def terminate_works_in_every_status(world: World) -> Any:
    """A finished instance is left as it is; pending and suspended ones end."""
    done = world.start(three_doubles, 1)
    done.result()
    done.terminate()
    pending = world.start(listen, start_at=world.now() + 100_000 * TICK)
    pending.terminate()
    suspended = world.start(listen)
    suspended.suspend()
    suspended.terminate()
    return [run.wait().value for run in (done, pending, suspended)]


@activity
def works_until_cancelled(ctx: Any, path: str) -> None:
    append([path, "began"])
    while not ctx.cancelled:
        threading.Event().wait(0.002)


@orchestrator
async def works_long(ctx: Any, path: str) -> None:
    await ctx.call_activity(works_until_cancelled, path)


@scenario(gives="Terminated")
def terminate_stops_running_activities(world: World) -> Any:
    """A running activity is told by `ctx.cancelled`, or its worker is stopped."""
    run = world.start(works_long, world.file("log"))
    world.until(lambda: world.lines("log"), "the activity")
    run.terminate()
    return run.wait().value


@scenario(gives=[["InstanceStateError", "Running"], True, "first", "second"])
def restart_runs_a_finished_instance_again(world: World) -> Any:
    """The same orchestrator with the same input, under the same id; unfinished it is refused."""
    run = world.start(listen)
    refused = raised(run.restart, "status")
    run.raise_event("go", "first")
    first = run.result()
    again = run.restart()
    again.raise_event("go", "second")
    return [refused, again.instance_id == run.instance_id, first, again.result()]


@scenario(gives=[False, 16, 16, {"team": "red"}])
def restart_may_keep_the_old_instance(world: World) -> Any:
    """With `new_id=True` the old instance stays; input and tags are the same."""
    run = world.start(three_doubles, 2, tags={"team": "red"})
    run.result()
    again = run.restart(new_id=True)
    return [
        again.instance_id == run.instance_id,
        again.result(),
        run.output,
        dict(again.record.tags),
    ]


@activity
def needs_file(path: str) -> str:
    if not Path(path).exists():
        raise FileNotFoundError("the network is down")
    return "there"


@orchestrator
async def order(ctx: Any, log: str, flag: str) -> list[str]:
    first = await ctx.call_activity(append, [log, "reserved"])
    return [first, *await ctx.when_all([ctx.call_activity(needs_file, flag) for _ in range(2)])]


@scenario(gives=["Failed", ["reserved", "there", "there"], ["reserved"]], order_varies=True)
def rewind_redoes_what_failed_and_nothing_else(world: World) -> Any:
    """A failed instance is taken up where it failed; what succeeded is not run again."""
    run = world.start(order, world.file("log"), world.file("flag"))
    status = run.wait().value
    world.write("flag")
    run.rewind("the network is up")
    return [status, run.result(), world.lines("log")]


@scenario(gives=["Failed", "Failed", ["reserved", "there", "there"]], order_varies=True)
def rewind_works_again_and_again(world: World) -> Any:
    """An instance that fails again after a rewind can be rewound again."""
    run = world.start(order, world.file("log"), world.file("flag"))
    seen: list[Any] = []
    for _ in range(2):
        seen.append(run.wait().value)
        if len(seen) == 2:
            world.write("flag")
        run.rewind()
    return [*seen, run.result()]


@orchestrator
async def rewound_child(ctx: Any, flag: str) -> str:
    return await ctx.call_activity(needs_file, flag)


@orchestrator
async def rewound_parent(ctx: Any, child_id: str, flag: str) -> str:
    return await ctx.call_sub_orchestrator(rewound_child, flag, instance_id=child_id)


@scenario(gives=["there", "Completed"])
def rewind_reaches_failed_children(world: World) -> Any:
    """Failed sub-orchestrations are rewound with their parent."""
    run = world.start(rewound_parent, world.id("child"), world.file("flag"))
    run.wait()
    world.write("flag")
    run.rewind()
    return [run.result(), world.handle(world.id("child")).status.value]


@scenario(gives=[1, "there"])
def rewind_creates_purged_children_again(world: World) -> Any:
    """A failed child that was purged meanwhile is created again from its input."""
    run = world.start(rewound_parent, world.id("child"), world.file("flag"))
    run.wait()
    purged = world.handle(world.id("child")).purge()
    world.write("flag")
    run.rewind()
    return [purged, run.result()]


@orchestrator
async def retried_order(ctx: Any, path: str) -> int:
    policy = RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=2)
    return await ctx.call_activity(flaky, [path, 2], retry_policy=policy)


@scenario(gives=["Failed", 3])
def rewind_takes_up_retried_tasks(world: World) -> Any:
    """A task that has used up its attempts is tried once more."""
    run = world.start(retried_order, world.file("log"))
    status = run.wait().value
    run.rewind()
    return [status, run.result()]


@orchestrator
async def fails_by_itself(ctx: Any) -> None:
    await ctx.call_activity(double, 1)
    raise ValueError("my own fault")


@scenario(
    gives=[
        ["InstanceStateError", "Running"],
        ["InstanceStateError", "Failed"],
        "UnknownInstanceError",
    ]
)
def rewind_is_refused_where_it_cannot_help(world: World) -> Any:
    """Only failed instances are rewound, and not where their own code would fail again."""
    running = world.start(listen)
    failed = world.start(fails_by_itself)
    failed.wait()
    missing = world.handle(world.id("missing"))
    return [
        raised(running.rewind, "status"),
        raised(failed.rewind, "status"),
        raised(missing.rewind)[0],
    ]


@scenario(gives=[["InstanceStateError", "Running"], 1, "UnknownInstanceError", 8])
def purge_deletes_a_finished_instance(world: World) -> Any:
    """A live instance is refused; afterwards the id is free again."""
    run = world.start(listen, suffix="one")
    refused = raised(run.purge, "status")
    run.raise_event("go")
    run.result()
    return [
        refused,
        run.purge(),
        raised(lambda: run.status)[0],
        world.run(three_doubles, 1, suffix="one"),
    ]


@scenario(gives=[3, 0])
def purge_takes_children_along_if_asked(world: World) -> Any:
    """A recursive purge deletes the finished children too, and counts them."""
    run = world.start(parent_of_two, world.prefix)
    run.result()
    purged = run.purge(recursive=True)
    return [purged, len(world.client.query(InstanceQuery(prefix=world.prefix)))]


@scenario(gives=[2, ["3"]])
def purge_by_filter_deletes_what_has_finished(world: World) -> Any:
    """Of the instances that match, the finished ones are deleted and the live ones stay."""
    for n in range(2):
        world.run(three_doubles, n)
    world.start(listen)
    purged = world.client.purge_all(InstanceQuery(prefix=world.prefix))
    left = world.client.query(InstanceQuery(prefix=world.prefix))
    return [purged, [world.short(one.instance_id) for one in left]]


@orchestrator
async def parent_with_deadline(ctx: Any, child_id: str) -> Any:
    return await ctx.call_sub_orchestrator(sleep_long, instance_id=child_id)


@scenario(gives=["Failed", "OrchestrationTimeoutError", "Terminated"])
def an_orchestration_may_have_a_timeout(world: World) -> Any:
    """What has not ended in time fails, and its children are terminated."""
    run = world.start(parent_with_deadline, world.id("child"), timeout=2 * TICK)
    status = run.wait().value
    assert run.failure is not None
    return [status, run.failure.type_name, world.handle(world.id("child")).wait().value]


@scenario(gives=[8, "ValueError"])
def a_timeout_that_is_met_changes_nothing(world: World) -> Any:
    """An instance that ends in time ends well; a timeout that is not positive is refused."""
    refused = raised(lambda: world.start(three_doubles, 1, timeout=-TICK))[0]
    return [world.run(three_doubles, 1, timeout=100_000 * TICK), refused]
