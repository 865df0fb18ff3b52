"""Attempts that die, with real hosts and workers: what was done, and what history says of it."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, Kind
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes

WIDTH = 1_000
SEED = int(os.environ.get("IPYDURABLE_SEED", "5"))

ACTIVITIES = {
    "write_down": """
import time
def write_down(order):
    path, n = order
    with open(path, "a") as file:
        file.write(f"{n}\\n")
    time.sleep(0.005)
    return n
""",
    "measure": "def measure(text):\n    return len(text)\n",
    "devour": """
import resource
def devour(order):
    path, n = order
    if n == 3:
        room = 256 * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (room + (4 << 30), room + (4 << 30)))
        kept = []
        while True:
            kept.append(bytearray(64 * 1024 * 1024))
    return n
""",
    "vanish": """
import os, pathlib, signal
def vanish(order):
    folder, n, end = order
    mark = pathlib.Path(folder, f"{end}-{n}")
    if n == 3 and not mark.exists():
        mark.touch()
        if end == "out of memory":
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "segfault":
            import ctypes
            ctypes.string_at(0)
        os._exit(0)
    return n
""",
    "hang": """
import os, pathlib, time
def hang(folder):
    mark = pathlib.Path(folder, "pids")
    with mark.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if len(mark.read_text().split()) == 1:
        time.sleep(600)
    return "done"
""",
}
MANY = """
async def many(ctx, width):
    texts = (f"{n:0500}" for n in range(width))
    return sum(await ctx.when_all([ctx.call_activity("measure", text) for text in texts]))
"""
EACH = """
async def each(ctx, order):
    name, items = order
    return await ctx.when_all([ctx.call_activity(name, item) for item in items])
"""


def _definition(kind: Kind, name: str, source: str) -> Definition:
    package = CodePackage(entry=name, chunks=(Chunk(name=name, source=source),))
    return Definition(kind=kind, name=name, version="v1", package=package, source=source)


@pytest.fixture
def client(connect: Callable[[], DurableClient]) -> DurableClient:
    made = connect()
    made.define(
        [
            *(_definition(Kind.ACTIVITY, name, text) for name, text in ACTIVITIES.items()),
            _definition(Kind.ORCHESTRATOR, "each", EACH),
            _definition(Kind.ORCHESTRATOR, "many", MANY),
        ]
    )
    return made


def _rows(client: DurableClient, instance_id: str, event: str) -> list[dict[str, object]]:
    found = client.sql(
        "SELECT task_id, details FROM history WHERE instance_id = $id AND event_type = $event",
        {"id": instance_id, "event": event},
    )
    return found.to_pylist()


def test_a_thousand_activities_run_at_least_once_and_count_exactly_once(
    client: DurableClient, tmp_path: Path
) -> None:
    """Workers are killed all the time; the file tells what ran, the store what counted."""
    effects = tmp_path / "effects.txt"
    rng = random.Random(SEED)
    instance_id = client.start("each", ["write_down", [[str(effects), n] for n in range(WIDTH)]])
    host = psutil.Process(client.host_status().pid)
    is_done = threading.Event()
    killed: list[int] = []

    def kill_workers() -> None:
        # Not by the clock: on a slow machine none would live long enough to do anything.
        kill_at = 1
        while not is_done.wait(0.005):
            workers = [one.pid for one in host.children()]
            if workers and effects.exists() and effects.stat().st_size >= kill_at:
                killed.append(rng.choice(workers))
                os.kill(killed[-1], signal.SIGKILL)
                kill_at = effects.stat().st_size + rng.randint(200, 500)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        record = client.wait(instance_id, timeout_s=90)
    finally:
        is_done.set()
        killer.join()
    assert client.decode(record.output) == list(range(WIDTH))
    assert len(killed) > 5, "too few were killed to prove anything"
    ran = Counter(int(line) for line in effects.read_text().split())
    assert set(ran) == set(range(WIDTH))
    completed = Counter(row["task_id"] for row in _rows(client, instance_id, "TaskCompleted"))
    assert len(completed) == WIDTH
    assert set(completed.values()) == {1}
    lost = _rows(client, instance_id, "AttemptLost")
    assert lost
    assert len(lost) <= len(killed)
    # What ran twice is what was lost, and nothing else.
    assert sum(ran.values()) - WIDTH <= len(lost)


@pytest.mark.parametrize("end", ["out of memory", "segfault", "os._exit"])
def test_a_worker_that_dies_costs_its_own_attempt_and_no_other(
    client: DurableClient, tmp_path: Path, end: str
) -> None:
    orders = [[str(tmp_path), n, end] for n in range(20)]
    instance_id = client.start("each", ["vanish", orders])
    record = client.wait(instance_id, timeout_s=60)
    assert client.decode(record.output) == list(range(20))
    (lost,) = _rows(client, instance_id, "AttemptLost")
    assert "worker process" in str(lost["details"])


def test_an_activity_that_asks_for_more_memory_than_there_is_fails_by_itself(
    client: DurableClient, tmp_path: Path
) -> None:
    orders = [[str(tmp_path), n] for n in range(8)]
    record = client.wait(client.start("each", ["devour", orders]), timeout_s=60)
    assert record.status is RuntimeStatus.FAILED
    assert record.failure is not None
    assert record.failure.is_caused_by(MemoryError)


def test_attempts_of_a_killed_host_begin_anew_and_none_of_its_workers_is_left(
    client: DurableClient, tmp_path: Path
) -> None:
    instance_id = client.start("each", ["hang", [str(tmp_path)]])
    pids = tmp_path / "pids"
    wait_until(lambda: pids.exists() and bool(pids.read_text().strip()))
    # Its start is in the journal, so that the next host knows that it had begun.
    wait_until(lambda: bool(_rows(client, instance_id, "AttemptStarted")))
    os.kill(client.host_status().pid, signal.SIGKILL)
    record = client.wait(instance_id, timeout_s=60)
    assert client.decode(record.output) == ["done"]
    first, second = map(int, pids.read_text().split())
    assert first != second
    wait_until(lambda: not psutil.pid_exists(first))
    (lost,) = _rows(client, instance_id, "AttemptLost")
    assert "host" in str(lost["details"])
    assert len(_rows(client, instance_id, "TaskCompleted")) == 1


def _peak_growth(client: DurableClient, width: int) -> int:
    """Fan out to so many activities; return by how many bytes the host grew meanwhile."""
    host = psutil.Process(client.host_status().pid)
    before = peak = host.memory_full_info().uss
    done = client.completion(client.start("many", width))
    while not done.done():
        peak = max(peak, host.memory_full_info().uss)
        wait([done], 0.05)
    assert client.decode(done.result().output) == 500 * width
    return peak - before


def test_memory_stays_flat_with_ten_and_a_hundred_thousand_activities(
    client: DurableClient,
) -> None:
    """What grows with each is the code's own task, and what the code asks for in its one turn."""
    client.wait(client.start("many", 100), timeout_s=60)
    few = _peak_growth(client, 10_000)
    many = _peak_growth(client, 100_000)
    assert few < 80_000_000
    assert many - few < 90_000 * 3_000
