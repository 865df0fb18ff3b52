"""Random orchestration programs: a small language of all the model, its interpreter, generators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from ipydurable.runtime.core.errors import LockRuleError, TaskCancelledError, TaskFailedError
from ipydurable.runtime.core.retry import RetryPolicy

__all__ = ["EVENT_NAMES", "KEYS", "Tally", "interpret", "interpret_generator", "programs", "work"]

EVENT_NAMES = ("red", "blue")
KEYS = ("Tally@a", "Tally@b")

Op = list[Any]


def work(what: list[Any]) -> Any:
    """The only activity: returns its value, or fails where it is told to."""
    value, fails = what
    if fails:
        raise ValueError(f"told to fail at {value}")
    return value


class Tally:
    """The only entity."""

    count: int = 0

    def add(self, by: int) -> int:
        """Count on; refuses 9."""
        if by == 9:
            raise ValueError("nine is refused")
        self.count += by
        return self.count


def _leaves() -> st.SearchStrategy[Op]:
    number, name, key = st.integers(0, 9), st.sampled_from(EVENT_NAMES), st.sampled_from(KEYS)

    def op(kind: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Op]:
        return st.builds(lambda *values: [kind, *values], *parts)

    return st.one_of(
        op("activity", number, st.booleans()),
        op("retried", number, st.booleans(), st.sampled_from([1, 3])),
        op("timer", number),
        op("cancelled timer", number),
        op("event", name),
        op("cancelled event", name),
        op("event or timeout", name, number),
        op("race", name, number),
        op("reminded", name, number),
        op("send", name),
        op("status", number),
        st.just(["uuid"]),
        st.just(["random"]),
        st.just(["time"]),
        op("unawaited", number),
        op("first of", number, st.booleans()),
        op("call entity", key, number),
        op("signal entity", key, st.integers(0, 8), st.booleans()),
        op("failing child", st.booleans()),
    )


def _branches(children: st.SearchStrategy[Op]) -> st.SearchStrategy[Op]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda ops: ["all", ops], several),
        st.builds(lambda ops: ["any", ops], several),
        st.builds(lambda ops: ["shared", ops], several),
        st.builds(lambda ops: ["child", ops], several),
        st.builds(lambda ops: ["generator child", ops], several),
        st.builds(lambda ops: ["in turn", ops], several),
        st.builds(
            lambda keys, ops: ["locked", keys, ops],
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=2),
            several,
        ),
    )


def programs(max_leaves: int = 12) -> st.SearchStrategy[list[Op]]:
    """Programs: lists of operations, done in turn; some go on as new in between."""
    op = st.recursive(_leaves(), _branches, max_leaves=max_leaves)
    some = st.lists(op, min_size=1, max_size=3)
    as_new = st.builds(
        lambda before, keeps, after: [*before, ["as new", keeps], *after], some, st.booleans(), some
    )
    return st.one_of(some, some, as_new)


async def interpret(ctx: Any, program: list[Op]) -> list[Any]:
    """The orchestrator: does a program and returns what each operation gave."""
    found = []
    for position, op in enumerate(program):
        if op[0] == "as new":
            ctx.continue_as_new(program[position + 1 :], save_events=op[1])
            return found
        found.append(await _do(ctx, op))
    return found


def interpret_generator(ctx: Any, program: list[Op]) -> Any:
    """The same, in the form that Azure Durable Functions' code has."""
    found = []
    for op in program:
        match op:
            case ["activity", value, False]:
                found.append((yield ctx.call_activity("work", [value, False])))
            case ["timer", seconds]:
                found.append((yield ctx.create_timer(timedelta(seconds=seconds))))
            case ["locked", keys, ops]:
                try:
                    with (yield ctx.lock_entities(keys)):
                        found.append((yield ctx._spawn(_do(ctx, ["in turn", ops]))))
                except LockRuleError:
                    found.append("refused")
            case _:
                found.append((yield ctx._spawn(_do(ctx, op))))
    return found


async def _do(ctx: Any, op: Op) -> Any:
    try:
        return await _outcome(ctx, op)
    except LockRuleError:
        return ["refused"]
    except TaskFailedError as error:
        return ["failed", error.details.type_name]
    except TaskCancelledError:
        return ["cancelled"]
    except TimeoutError:
        return ["timeout"]


async def _outcome(ctx: Any, op: Op) -> Any:
    match op:
        case [("status" | "uuid" | "random" | "time"), *_]:
            return _fact(ctx, op)
        case [("activity" | "retried" | "unawaited" | "first of"), *_]:
            return await _activity(ctx, op)
        case [("timer" | "cancelled timer"), *_]:
            return await _timer(ctx, op)
        case ["send", name]:
            return ctx.send_event("one", name, ctx.instance_id)
        case [("event" | "cancelled event" | "event or timeout" | "race" | "reminded"), *_]:
            return await _event(ctx, op)
        case [("call entity" | "signal entity" | "locked"), *_]:
            return await _entity(ctx, op)
        case [("child" | "generator child" | "failing child"), *_]:
            return await _child(ctx, op)
        case ["boom"]:
            raise ArithmeticError("told to fail")
    return await _group(ctx, op)


def _fact(ctx: Any, op: Op) -> Any:
    match op:
        case ["status", value]:
            return ctx.set_custom_status(value)
        case ["uuid"]:
            return ctx.new_uuid()
        case ["random"]:
            return ctx.random().random()
    return str(ctx.current_utc_datetime)


async def _activity(ctx: Any, op: Op) -> Any:
    match op:
        case ["activity", value, fails]:
            return await ctx.call_activity("work", [value, fails])
        case ["retried", value, fails, backoff]:
            policy = RetryPolicy(
                first_retry_interval=timedelta(seconds=value),
                max_number_of_attempts=3,
                backoff_coefficient=backoff,
                max_retry_interval=timedelta(seconds=10),
            )
            return await ctx.call_activity("work", [value, fails], retry_policy=policy)
        case ["unawaited", value]:
            ctx.call_activity("work", [value, True])
            return None
        case ["first of", value, waits_on]:
            tasks = [ctx.call_activity("work", [value + n, False]) for n in range(3)]
            winner = await ctx.when_any(tasks)
            await ctx.call_activity("work", [value, False])
            if waits_on:
                await ctx.when_all(tasks)
            return tasks.index(winner)
    raise AssertionError(op)


async def _timer(ctx: Any, op: Op) -> Any:
    timer = ctx.create_timer(timedelta(seconds=op[1]))
    if op[0] == "cancelled timer":
        timer.cancel()
    await timer
    return "fired"


async def _event(ctx: Any, op: Op) -> Any:
    # People are asked for one of them, so that forms come and go with the waits.
    form = list(EVENT_NAMES) if op[1] == "red" else None
    match op:
        case ["event", name]:
            return await ctx.wait_for_external_event(name, form=form)
        case ["cancelled event", name]:
            wait = ctx.wait_for_external_event(name, form=form)
            wait.cancel()
            return await wait
        case ["event or timeout", name, seconds]:
            limit = timedelta(seconds=seconds)
            return await ctx.wait_for_external_event(name, form=form, timeout=limit)
        case ["race", name, seconds]:
            wait, timer = (
                ctx.wait_for_external_event(name, form=form),
                ctx.create_timer(timedelta(seconds=seconds)),
            )
            winner = await ctx.when_any([wait, timer])
            (timer if winner is wait else wait).cancel()
            return winner is wait
        case ["reminded", name, seconds]:
            wait = ctx.wait_for_external_event(name, form=form)
            await ctx.when_any([wait, ctx.create_timer(timedelta(seconds=seconds))])
            await ctx.call_activity("work", ["remind", False])
            return await wait
    raise AssertionError(op)


async def _entity(ctx: Any, op: Op) -> Any:
    match op:
        case ["call entity", key, by]:
            return await ctx.call_entity(key, "add", by)
        case ["signal entity", key, by, later]:
            when = timedelta(seconds=3) if later else None
            return ctx.signal_entity(key, "add", by, signal_time=when)
        case ["locked", keys, ops]:
            async with ctx.lock_entities(keys):
                return [await _do(ctx, one) for one in ops]
    raise AssertionError(op)


async def _child(ctx: Any, op: Op) -> Any:
    match op:
        case ["child", ops]:
            return await ctx.call_sub_orchestrator("interpret", ops)
        case ["generator child", ops]:
            return await ctx.call_sub_orchestrator("interpret_generator", ops)
        case ["failing child", is_retried]:
            policy = RetryPolicy(
                first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2
            )
            return await ctx.call_sub_orchestrator(
                "interpret", [["boom"]], retry_policy=policy if is_retried else None
            )
    raise AssertionError(op)


async def _group(ctx: Any, op: Op) -> Any:
    match op:
        case ["all", ops]:
            return await ctx.when_all(_do(ctx, one) for one in ops)
        case ["any", ops]:
            tasks = [ctx._spawn(_do(ctx, one)) for one in ops]
            winner = await ctx.when_any(tasks)
            return [tasks.index(winner), winner.result]
        case ["shared", ops]:
            tasks = [ctx._spawn(_do(ctx, one)) for one in ops]
            first = ctx.when_any([*tasks, ctx.create_timer(timedelta(seconds=2))])
            both = await ctx.when_all([first, ctx.when_all([*tasks, *tasks]), tasks[0]])
            return [tasks.index(both[0]) if both[0] in tasks else "timer", both[1], both[2]]
        case ["in turn", ops]:
            return [await _do(ctx, one) for one in ops]
    raise AssertionError(op)
