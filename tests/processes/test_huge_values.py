"""Values of a gigabyte, wherever they come from: refused where they are made, and nobody dies."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import EncodingError, EntityCallError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from tests.processes.test_bank import definition as made

pytestmark = pytest.mark.processes

LONG = "IPYDURABLE_HUGE_BYTES" in os.environ
BYTES = int(os.environ.get("IPYDURABLE_HUGE_BYTES", "210000000"))

MAKE = "def make(count):\n    return 'x' * count\n"
PASS = "async def passes(ctx, count):\n    return await ctx.call_activity('make', count)\n"
GIVE = "async def gives(ctx, count):\n    return 'x' * count\n"
CALL = "async def calls(ctx, count):\n    return await ctx.call_activity('double', 'x' * count)\n"
TELL = "async def tells(ctx, count):\n    ctx.set_custom_status('x' * count)\n"
SEND = "async def sends(ctx, count):\n    ctx.signal_entity('Hoard@a', 'keep', 'x' * count)\n"
HOARD = """\
class Hoard:
    kept: str = ''

    def grow(self, count):
        self.kept = 'x' * count

    def give(self, count):
        return 'x' * count

    def size(self):
        return len(self.kept)
"""
ORCHESTRATORS = {"passes": PASS, "gives": GIVE, "calls": CALL, "tells": TELL, "sends": SEND}


@pytest.mark.timeout(600)
def test_a_huge_value_is_refused_wherever_it_is_made(
    connect: Callable[[], DurableClient], record_property: Callable[[str, object], None]
) -> None:
    """By clients, workers, orchestrators and entities; the host is the same afterwards.

    The short form tries the first of each.
    """
    client = connect()
    code = [
        made(Kind.ACTIVITY, "make", MAKE),
        made(Kind.ENTITY, "Hoard", HOARD),
        *(made(Kind.ORCHESTRATOR, *one) for one in ORCHESTRATORS.items()),
    ]
    client.define([msgspec.structs.replace(one, version=one.name) for one in code])
    host = client.host_status().pid
    client.start("listener", instance_id="listens")

    value = "x" * BYTES
    sends: tuple[Callable[[], object], ...] = (
        lambda: client.start("chain", value),
        lambda: client.raise_event("listens", "go", value),
        lambda: client.signal_entity("Hoard@a", "keep", value),
        lambda: client.call_entity("Hoard@a", "keep", value, timeout_s=60),
    )
    for send in sends if LONG else sends[:1]:
        with pytest.raises(EncodingError, match="a value may take"):
            send()

    for name in ORCHESTRATORS if LONG else list(ORCHESTRATORS)[:2]:
        record = client.wait(client.start(name, BYTES), timeout_s=120)
        assert record.status is RuntimeStatus.FAILED
        assert record.failure is not None
        assert "a value may take" in str(record.failure), name

    for operation in ("grow", "give") if LONG else ("grow",):
        with pytest.raises(EntityCallError, match="a value may take"):
            client.call_entity("Hoard@a", operation, BYTES, timeout_s=120)
    assert client.call_entity("Hoard@a", "size", timeout_s=60) == 0

    client.raise_event("listens", "go", "small")
    assert client.decode(client.wait("listens", timeout_s=60).output) == "small"
    assert client.host_status().pid == host
    record_property("bytes of each value", BYTES)
