"""Durable functions as sources, and waiting for what other processes do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, Kind

__all__ = ["SOURCES", "definition", "wait_until"]

SOURCES = {
    "double": (Kind.ACTIVITY, "def double(n):\n    return 2 * n\n"),
    "append": (
        Kind.ACTIVITY,
        (
            "def append(item):\n"
            "    path, n = item\n"
            "    with open(path, 'a') as file:\n"
            "        file.write(f'{n}\\n')\n"
            "    return n\n"
        ),
    ),
    "total": (
        Kind.ORCHESTRATOR,
        (
            "async def total(ctx, items):\n"
            "    return sum(await ctx.when_all([ctx.call_activity('append', i) for i in items]))\n"
        ),
    ),
    "chain": (
        Kind.ORCHESTRATOR,
        (
            "async def chain(ctx, n):\n"
            "    value = 1\n"
            "    for _ in range(n):\n"
            "        value = await ctx.call_activity('double', value)\n"
            "    return value\n"
        ),
    ),
    "listener": (
        Kind.ORCHESTRATOR,
        ("async def listener(ctx):\n    return await ctx.wait_for_external_event('go')\n"),
    ),
}


def definition(name: str) -> Definition:
    kind, source = SOURCES[name]
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(kind=kind, name=name, version="v1", package=package, source=source)


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        threading.Event().wait(0.02)
