"""The durable functions that the benchmarks run, as cells would define them."""

from __future__ import annotations

from ipydurable.runtime.definitions import ActivityOptions, Chunk, CodePackage, Definition, Kind

__all__ = ["EXECUTORS", "definitions"]

EXECUTORS = ("processes", "threads")

_ACTIVITY = "def hello_{on}(name):\n    return name\n"

_ORCHESTRATORS = {
    "chain": """\
async def chain(ctx, order):
    count, activity = order
    total = 0
    for number in range(count):
        total += await ctx.call_activity(activity, number)
    return total
""",
    "echo": """\
async def echo(ctx, order):
    count, size = order
    text = "x" * size
    for _ in range(count):
        text = await ctx.call_activity('hello_processes', text)
    return len(text)
""",
    "fan": """\
async def fan(ctx, order):
    count, activity = order
    return sum(await ctx.when_all([ctx.call_activity(activity, n) for n in range(count)]))
""",
    "fan_when_told": """\
async def fan_when_told(ctx, order):
    count, activity = order
    await ctx.wait_for_external_event('go')
    return sum(await ctx.when_all([ctx.call_activity(activity, n) for n in range(count)]))
""",
    "transfer": """\
async def transfer(ctx, order):
    source, target, amount = order
    a, b = ctx.entity('Account', source), ctx.entity('Account', target)
    async with ctx.lock_entities(a, b):
        await ctx.when_all([a.add(-amount), b.add(amount)])
""",
    "collect": """\
async def collect(ctx, order):
    count, activity = order
    total = sum(await ctx.when_all([ctx.call_activity(activity, n) for n in range(count)]))
    return total + await ctx.wait_for_external_event('more')
""",
    "sleeper": """\
from datetime import timedelta

async def sleeper(ctx):
    await ctx.create_timer(timedelta(days=30))
""",
    "ticks": """\
from datetime import timedelta

async def ticks(ctx, order):
    rows, count, activity = order
    timers = [ctx.create_timer(timedelta(days=1)) for _ in range(rows)]
    total = 0
    for _ in range(count):
        total += await ctx.wait_for_external_event('tick')
        await ctx.when_all([ctx.call_activity(activity, n) for n in range(10)])
    return total
""",
    "listener": """\
async def listener(ctx):
    return await ctx.wait_for_external_event('go')
""",
}

_ENTITY = """\
class Account:
    balance: int = 0

    def add(self, amount):
        self.balance += amount
        return self.balance

    def get(self):
        return self.balance
"""


def definitions() -> list[Definition]:
    """Return all of them."""
    activities = [
        _definition(
            Kind.ACTIVITY, f"hello_{on}", _ACTIVITY.format(on=on), ActivityOptions(executor=on)
        )
        for on in EXECUTORS
    ]
    orchestrators = [
        _definition(Kind.ORCHESTRATOR, name, source) for name, source in _ORCHESTRATORS.items()
    ]
    return [*activities, *orchestrators, _definition(Kind.ENTITY, "Account", _ENTITY)]


def _definition(
    kind: Kind, name: str, source: str, options: ActivityOptions | None = None
) -> Definition:
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(
        kind=kind,
        name=name,
        version="benchmark",
        package=package,
        source=source,
        options=options or ActivityOptions(),
    )
