"""Random orchestration programs: a small language, its interpreter, and how to generate it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from ipydurable.runtime.core.errors import TaskFailedError
from ipydurable.runtime.core.retry import RetryPolicy

__all__ = ["EVENT_NAMES", "interpret", "programs", "work"]

EVENT_NAMES = ("red", "blue")

Op = list[Any]


def work(what: list[Any]) -> Any:
    """The only activity: returns its value, or fails where it is told to."""
    value, fails = what
    if fails:
        raise ValueError(f"told to fail at {value}")
    return value


def _leaves() -> st.SearchStrategy[Op]:
    number = st.integers(0, 9)
    return st.one_of(
        st.builds(lambda n, f: ["activity", n, f], number, st.booleans()),
        st.builds(lambda n, f: ["retried", n, f], number, st.booleans()),
        st.builds(lambda n: ["timer", n], number),
        st.builds(lambda name: ["event", name], st.sampled_from(EVENT_NAMES)),
        st.builds(
            lambda name, n: ["event or timeout", name, n], st.sampled_from(EVENT_NAMES), number
        ),
        st.builds(lambda n: ["status", n], number),
        st.just(["uuid"]),
        st.just(["random"]),
        st.just(["time"]),
        st.builds(lambda n: ["unawaited", n], number),
    )


def _branches(children: st.SearchStrategy[Op]) -> st.SearchStrategy[Op]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda ops: ["all", ops], several),
        st.builds(lambda ops: ["any", ops], several),
        st.builds(lambda ops: ["child", ops], several),
        st.builds(lambda ops: ["in turn", ops], several),
    )


def programs(max_leaves: int = 12) -> st.SearchStrategy[list[Op]]:
    """Programs: lists of operations, done in turn."""
    op = st.recursive(_leaves(), _branches, max_leaves=max_leaves)
    return st.lists(op, min_size=1, max_size=4)


async def interpret(ctx: Any, program: list[Op]) -> list[Any]:
    """The orchestrator: does a program and returns what each operation gave."""
    return [await _do(ctx, op) for op in program]


async def _do(ctx: Any, op: Op) -> Any:
    try:
        return await _outcome(ctx, op)
    except TaskFailedError as error:
        return ["failed", error.details.type_name]
    except TimeoutError:
        return ["timeout"]


async def _outcome(ctx: Any, op: Op) -> Any:  # noqa: C901, PLR0912  (one case an operation)
    match op:
        case ["activity", value, fails]:
            return await ctx.call_activity("work", [value, fails])
        case ["retried", value, fails]:
            policy = RetryPolicy(
                first_retry_interval=timedelta(seconds=value), max_number_of_attempts=2
            )
            return await ctx.call_activity("work", [value, fails], retry_policy=policy)
        case ["timer", seconds]:
            await ctx.create_timer(timedelta(seconds=seconds))
            return "fired"
        case ["event", name]:
            return await ctx.wait_for_external_event(name)
        case ["event or timeout", name, seconds]:
            return await ctx.wait_for_external_event(name, timeout=timedelta(seconds=seconds))
        case ["status", value]:
            return ctx.set_custom_status(value)
        case ["uuid"]:
            return ctx.new_uuid()
        case ["random"]:
            return ctx.random().random()
        case ["time"]:
            return str(ctx.current_utc_datetime)
        case ["unawaited", value]:
            ctx.call_activity("work", [value, True])
            return None
        case ["all", ops]:
            return await ctx.when_all(_do(ctx, one) for one in ops)
        case ["any", ops]:
            tasks = [ctx._spawn(_do(ctx, one)) for one in ops]
            winner = await ctx.when_any(tasks)
            return [tasks.index(winner), winner.result]
        case ["child", ops]:
            return await ctx.call_sub_orchestrator("interpret", ops)
        case ["in turn", ops]:
            return [await _do(ctx, one) for one in ops]
    raise AssertionError(op)
