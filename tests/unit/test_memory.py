"""What the host does to keep little in memory: nothing waits for the collector, or for ever."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.tasks import Task
from tests.support.world import World

GROW_AND_FREE = """
import psutil
from ipydurable.runtime.memory import give_back_memory
texts = [bytes(1_000) for _ in range(100_000)]
kept = texts[::1_000]  # what stays is spread over the whole of it
full = psutil.Process().memory_full_info().uss
del texts
give_back_memory()
print((full - psutil.Process().memory_full_info().uss) / 1e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems return it by themselves")
def test_what_was_freed_between_what_is_still_used_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROW_AND_FREE], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 70


async def waits(ctx: Any) -> Any:
    return await ctx.wait_for_external_event("go")


async def sleeps(ctx: Any) -> None:
    await ctx.create_timer(timedelta(days=30))


async def fans_out(ctx: Any) -> list[int]:
    return await ctx.when_all([ctx.call_activity("number", n) for n in range(3)])


async def races(ctx: Any) -> None:
    timer = ctx.create_timer(timedelta(days=30))
    await ctx.when_any([timer, ctx.call_activity("number", 1), ctx.wait_for_external_event("go")])


async def helps_itself(ctx: Any) -> list[int]:
    async def helper(n: int) -> int:
        return await ctx.call_activity("number", n)

    return await ctx.when_all([helper(n) for n in range(3)])


async def fails(ctx: Any) -> None:
    await ctx.call_activity("number", 1)
    raise ValueError("as told")


def fails_at_once(ctx: Any) -> None:
    raise ValueError(ctx.instance_id)


def _executions() -> list[Any]:
    """Return all there are, also those of other tests."""
    return [one for one in gc.get_objects() if isinstance(one, OrchestrationExecutor | Task)]


@pytest.mark.parametrize(
    "orchestrator", [waits, sleeps, fans_out, races, helps_itself, fails, fails_at_once]
)
@pytest.mark.parametrize("works", [False, True])
def test_code_that_has_left_memory_leaves_nothing_to_the_garbage_collector(
    orchestrator: Callable[..., Any], works: bool
) -> None:
    world = World(resident=0)
    world.orchestrator(orchestrator)
    world.define(lambda n: n, name="number")
    gc.collect()
    gc.disable()
    others = _executions()
    try:
        world.start(orchestrator.__name__)
        if works:
            world.work()
        known = set(map(id, others))
        left = [one for one in _executions() if id(one) not in known]
    finally:
        gc.enable()
    assert left == []
