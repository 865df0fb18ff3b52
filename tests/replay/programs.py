"""The programs whose recorded histories every engine must replay, and how each was driven."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from ipydurable.runtime.core.forms import Field, Form
from ipydurable.runtime.core.retry import RetryPolicy

__all__ = ["PROGRAMS", "activities"]

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=3)


def double(n: int) -> int:
    return 2 * n


def broken(n: int) -> int:
    raise ValueError(f"no {n}")


activities = {"double": double, "broken": broken}


async def chain(ctx: Any, n: int) -> int:
    for _ in range(3):
        n = await ctx.call_activity("double", n)
    return n


def generator(ctx: Any, n: int) -> Any:
    try:
        yield ctx.call_activity("broken", n)
    except ValueError:
        doubled = yield ctx.call_activity("double", n)
    return doubled


async def fan(ctx: Any, n: int) -> list[int]:
    async def twice(i: int) -> int:
        once: int = await ctx.call_activity("double", i)
        result: int = await ctx.call_activity("double", once)
        return result

    result: list[int] = await ctx.when_all(twice(i) for i in range(n))
    return result


async def retried(ctx: Any) -> str:
    try:
        await ctx.call_activity("broken", 1, retry_policy=POLICY)
    except ValueError as error:
        return str(error)
    return ""


async def race(ctx: Any) -> Any:
    approval = ctx.wait_for_external_event("Approval")
    timer = ctx.create_timer(timedelta(hours=72))
    winner = await ctx.when_any([approval, timer])
    if winner is approval:
        timer.cancel()
        ctx.set_custom_status("approved")
    return [ctx.new_uuid(), ctx.random().random(), approval.is_complete]


async def timed_out(ctx: Any) -> Any:
    try:
        return await ctx.wait_for_external_event("never", timeout=timedelta(minutes=5))
    except TimeoutError:
        return str(ctx.current_utc_datetime)


async def parent(ctx: Any) -> Any:
    values = [await ctx.call_sub_orchestrator("chain", 1)]
    try:
        await ctx.call_sub_orchestrator("failing", instance_id="named-child")
    except ValueError:
        values.append("caught")
    ctx.send_event("somebody", "done", values)
    return values


async def failing(ctx: Any) -> None:
    await ctx.call_activity("broken", 7)


async def eternal(ctx: Any, total: int) -> Any:
    total += await ctx.wait_for_external_event("add")
    if total < 3:
        ctx.continue_as_new(total)
    return total


async def asked(ctx: Any) -> Any:
    verdict = await ctx.wait_for_external_event("verdict", form=["accept", "reject"])
    form = Form({"limit": Field(int, minimum=1), "day": date | None}, title="How much?")
    late = ctx.wait_for_external_event("limit", form=form)
    await ctx.when_any([late, ctx.create_timer(timedelta(minutes=5))])
    await ctx.call_activity("double", 1)
    limit = await late
    try:
        await ctx.wait_for_external_event("never", form=bool, timeout=timedelta(minutes=5))
    except TimeoutError:
        return [verdict, limit]


async def bank(ctx: Any) -> Any:
    async with ctx.lock_entities("Account@b", "Account@a"):
        balance = await ctx.call_entity("Account@a", "deposit", 5)
    ctx.signal_entity("Account@b", "deposit", balance)
    return balance


async def mirrors(ctx: Any) -> Any:
    tasks = [ctx.call_activity("double", n) for n in (1, 2, 3)]
    first = await ctx.when_any(tasks)
    between = await ctx.call_activity("double", first.result)
    return [between, *await ctx.when_all(tasks)]


PROGRAMS: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (
        chain,
        generator,
        fan,
        retried,
        race,
        timed_out,
        parent,
        failing,
        eternal,
        bank,
        asked,
        mirrors,
    )
}
