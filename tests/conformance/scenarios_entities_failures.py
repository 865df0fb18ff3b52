"""Operations that fail: without a trace, told to those who called, and alone in it."""

from __future__ import annotations

from typing import Any

from ipydurable import entity, orchestrator
from tests.conformance.entity_common import (
    Account,
    ask,
    entity_of,
    failure_of,
    state_of,
    tell,
)
from tests.conformance.scenario import World, raised, scenario


@orchestrator
async def handles_failures(ctx: Any, key: str) -> Any:
    caught = []
    for name, operation, kind in (
        ("Account", "withdraw", ValueError),
        ("tally", "fail", LookupError),
    ):
        try:
            await ctx.call_entity(f"{name}@{key}", operation, 3)
        except kind as error:
            caught.append([type(error).__name__, error.details.message])
    return caught


@scenario(gives=[[["TaskFailedError", "overdrawn"], ["TaskFailedError", "3"]], None, None])
def a_failed_call_is_caught_as_the_class_that_was_raised(world: World) -> Any:
    """Of class and function alike; an instance that handles it completes, and no state is left."""
    caught = world.run(handles_failures, world.id("a"))
    return [caught, *(state_of(world, entity_of(world, name)) for name in ("Account", "tally"))]


@orchestrator
async def handles_no_failure(ctx: Any, job: list[str]) -> Any:
    entity_id, operation = job
    await ctx.call_entity(entity_id, operation, 3)


@scenario(
    gives=[
        ["Failed", "TaskFailedError", "ValueError", True],
        ["Failed", "TaskFailedError", "LookupError", True],
    ]
)
def an_unhandled_failure_of_a_call_fails_the_instance(world: World) -> Any:
    """The failure holds that of the operation, with the line of the entity's code."""
    found = []
    for name, operation in (("Account", "withdraw"), ("tally", "fail")):
        run = world.start(handles_no_failure, [entity_of(world, name), operation])
        status, failure = run.wait().value, run.failure
        assert failure is not None
        cause = failure.cause
        assert cause is not None
        found.append(
            [status, failure.type_name, cause.type_name, "    raise " in cause.stack_trace]
        )
    return found


@scenario(
    gives=[{"balance": 6}, None, "UnknownInstanceError", ["ConnectionError", "lost the line"]]
)
def a_failing_operation_leaves_no_trace_and_others_stand(world: World) -> Any:
    """Its state, signals and starts are dropped; what was done before and after it stays."""
    one, other = entity_of(world, "Account", "one"), entity_of(world, "Account", "other")
    child = world.id("child")
    tell(world, one, "deposit", 5)
    tell(world, one, "promise_and_fail", other, child)
    tell(world, one, "deposit", 1)
    failure = failure_of(lambda: ask(world, one, "promise_and_fail", other, child))
    return [
        state_of(world, one),
        world.client.get_entity(other),
        raised(lambda: world.client.get(child))[0],
        failure,
    ]


@entity
class Misfit:
    """Does what operations should not."""

    n: int = 0
    thing: Any = None

    def answer(self) -> Any:
        self.n += 1
        return (line for line in "ab")

    def keep(self) -> None:
        self.thing = (line for line in "ab")

    def leave(self) -> None:
        raise SystemExit("bye")

    def run_out(self) -> Any:
        return next(iter([]))

    def call(self, ctx: Any, other: str) -> Any:
        return ctx.call_entity(other, "get")

    def call_handle(self, key: str) -> Any:
        return Account(key).get()

    def start_unknown(self, ctx: Any) -> None:
        ctx.start_orchestration("nobody_defined_this")

    def start_oddly(self, ctx: Any) -> None:
        ctx.start_orchestration("echo", instance_id="@account@odd")

    def ok(self) -> str:
        return "ok"


@scenario(
    gives=[
        "EncodingError",
        "EncodingError",
        "SystemExit",
        "AttributeError",
        "DefinitionError",
        "ok",
    ]
)
def whatever_an_operation_does_only_it_fails(world: World) -> Any:
    """Results and state that cannot be stored, exits, and calls, which an entity cannot make."""
    misfit, account = entity_of(world, "Misfit"), entity_of(world, "Account")
    jobs = [["answer"], ["keep"], ["leave"], ["call", account], ["call_handle", "b"]]
    kinds = [failure_of(lambda job=job: ask(world, misfit, *job))[0] for job in jobs]
    assert state_of(world, misfit) is None
    return [*kinds, ask(world, misfit, "ok")]


@scenario(gives=["StopIteration", "ok"])
def an_operation_may_fail_by_running_out_of_an_iterator(world: World) -> Any:
    """StopIteration is a failure like any other; Python's use of it plays no part."""
    misfit = entity_of(world, "Misfit")
    return [failure_of(lambda: ask(world, misfit, "run_out"))[0], ask(world, misfit, "ok")]


@scenario(gives=["InvalidInstanceIdError", "ok"])
def an_entity_cannot_start_under_an_illegal_id(world: World) -> Any:
    """The id is checked where the operation starts the instance, which fails the operation."""
    misfit = entity_of(world, "Misfit")
    return [failure_of(lambda: ask(world, misfit, "start_oddly"))[0], ask(world, misfit, "ok")]


@scenario(gives=["ok"])
def what_an_entity_starts_in_vain_harms_nobody(world: World) -> Any:
    """Starting an orchestrator nobody defined ends neither the entity nor the engine."""
    misfit = entity_of(world, "Misfit")
    tell(world, misfit, "start_unknown")
    return [ask(world, misfit, "ok")]
