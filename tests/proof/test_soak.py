"""Hours of work in minutes, by a clock under control: what never ends takes no more memory."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import ipydurable
from ipydurable.testing import VirtualClock

MINUTES = int(os.environ.get("IPYDURABLE_SOAK_MINUTES", "6"))
ETERNAL = 20
STEP_S = 10
# Of a fifth of the time, so that everything has come about that comes about once.
WARM_UP = 5
MOST_BYTES_A_ROW = 1_000
MOST_LOG_BYTES = 32 * 1024 * 1024


@ipydurable.entity
class Meter:
    count: int = 0
    seen: list = []  # noqa: RUF012  (entity state: each object gets its own on loading)

    def add(self, number):
        self.count += 1
        self.seen = [*self.seen[-9:], number]
        return self.count


@ipydurable.activity(on="threads")
def measure(number):
    return number % 7


@ipydurable.orchestrator
async def watch(ctx, order):
    """Never ends: waits, measures, tells its meter, starts over; every third time by a child."""
    number, turns = order
    await ctx.create_timer(timedelta(seconds=STEP_S))
    value = await measure(turns)
    if turns % 3 == 0:
        value += await ctx.call_sub_orchestrator("look", turns)
    count = await ctx.call_entity(f"@Meter@{number}", "add", value)
    ctx.signal_entity("@Meter@all", "add", count)
    ctx.continue_as_new([number, turns + 1])


@ipydurable.orchestrator
async def look(ctx, turns):
    async with ctx.lock_entities("@Meter@shared"):
        return await ctx.call_entity("@Meter@shared", "add", turns)


def test_what_runs_for_ever_takes_no_more_memory_with_time(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Objects in memory are counted after a fifth of the time and at the end."""
    path, clock = tmp_path / "soak.duckdb", VirtualClock()
    steps = MINUTES * 60 // STEP_S
    objects: list[int] = []
    largest_log = 0
    with ipydurable.Runtime(path, clock=clock) as runtime:
        runtime.entity("@Meter@all").signal("add", 0)
        for number in range(ETERNAL):
            runtime.start(watch, [number, 1])
        for step in range(steps):
            runtime.settle()
            clock.advance(timedelta(seconds=STEP_S))
            log = Path(f"{path}.wal")
            largest_log = max(largest_log, log.stat().st_size if log.exists() else 0)
            if step in (steps // WARM_UP, steps - 1):
                runtime.settle()
                gc.collect()
                objects.append(len(gc.get_objects()))
        counts = [runtime.entity(f"@Meter@{n}").state["count"] for n in range(ETERNAL)]
        rows = runtime.sql("SELECT max(gseq) AS n FROM journal")["n"][0]
    assert counts == [steps] * ETERNAL
    assert objects[1] < objects[0] * 1.05 + 5_000
    assert largest_log < MOST_LOG_BYTES
    assert path.stat().st_size < 5_000_000 + rows * MOST_BYTES_A_ROW
    record_property("minutes by the clock", MINUTES)
    record_property("journal rows", int(rows))
    record_property("objects in memory, after a fifth and at the end", objects)
    record_property("largest log in bytes", largest_log)
    record_property("bytes of the file a row", round(path.stat().st_size / rows))
