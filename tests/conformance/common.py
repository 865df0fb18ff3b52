"""Durable functions that several topics use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipydurable import activity, orchestrator
from tests.conformance.durations import LONG

__all__ = [
    "append",
    "double",
    "fail",
    "flaky",
    "identity",
    "listen",
    "parent_of_two",
    "sleep_long",
    "three_doubles",
]


@activity
def double(n: int) -> int:
    return 2 * n


@activity
def identity(value: Any) -> Any:
    return value


@activity
def fail(message: str) -> None:
    raise ValueError(message)


@activity
def append(job: list[str]) -> str:
    """Write a line to a file, for scenarios that count effects."""
    path, line = job
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


@activity
def flaky(job: list[Any]) -> int:
    """Fail the first so many times; return how often it was called."""
    path, failures = job
    with Path(path).open("a") as file:
        file.write("called\n")
    calls = len(Path(path).read_text().splitlines())
    if calls <= failures:
        raise ConnectionError(f"call {calls}")
    return calls


@orchestrator
async def three_doubles(ctx: Any, n: int) -> int:
    for _ in range(3):
        n = await ctx.call_activity(double, n)
    return n


@orchestrator
async def listen(ctx: Any, name: str = "go") -> Any:
    return await ctx.wait_for_external_event(name)


@orchestrator
async def sleep_long(ctx: Any) -> str:
    await ctx.create_timer(LONG)
    return "awake"


@orchestrator
async def parent_of_two(ctx: Any, prefix: str) -> None:
    for n in range(2):
        await ctx.call_sub_orchestrator(three_doubles, n, instance_id=f"{prefix}child{n}")
