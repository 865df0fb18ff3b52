"""A kernel killed with -9 while a cell waits: what it started goes on, and the next one has it."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.link import Link
from tests.kernel.shells import Kernel, without_colors
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes

ROUNDS = int(os.environ.get("IPYDURABLE_KERNEL_ROUNDS", "2"))
SEED = int(os.environ.get("IPYDURABLE_SEED", "3"))

CELLS = (
    "%load_ext ipydurable\nimport asyncio, ipydurable",
    """%%activity
def note(path, what):
    with open(path, "a") as file:
        file.write(f"{what}\\n")
    return what""",
    """%%orchestrator
async def night(ctx, path):
    parts = [await note(path, f"before {n}") for n in range(3)]
    parts.append(await ctx.wait_for_external_event("morning"))
    return [*parts, await note(path, "after")]""",
)
START = "run = night.start({path!r}, instance_id={id!r})"
# Each kind of cell that waits: a task of the kernel's loop, and one that holds its main thread.
WAITS = ("print(await run)", "print(run.result())")


def said(kernel: Kernel, cell: str) -> str:
    """Run a cell and return what it says, errors too."""
    words = []
    for one in kernel.run(cell):
        words.append(one.get("text", "") + one.get("data", {}).get("text/plain", ""))
        words.append("\n".join(one.get("traceback", [])))
    return without_colors("\n".join(words))


def kill(kernel: Kernel) -> None:
    """Kill a kernel with -9, whatever it does."""
    pid = kernel.manager.provisioner.process.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: kernel.manager.provisioner.process.poll() is not None)
    kernel.close()


def until_waiting(client: DurableClient, instance_id: str) -> None:
    """Wait until an instance has come to its event."""
    wait_until(
        lambda: (
            [one.kind for one in client.open_tasks([instance_id])[instance_id]]
            == ["external event"]
        )
    )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[DurableClient]:
    """Give a client of the host of the kernels' store, which ends with the test."""
    paths = HostPaths(tmp_path / "durable.duckdb")
    client = DurableClient(Link(paths), NamespaceConverter({}))
    yield client
    client.stop_host()
    client.close()
    wait_until(lambda: not is_locked(paths.lock))


def test_a_killed_kernel_takes_nothing_along(
    client: DurableClient,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Host and workers live on; the next kernel attaches by id, and starts nothing again."""
    logging.getLogger(__name__).warning("seed %s, %s rounds", SEED, ROUNDS)
    rng = random.Random(SEED)
    kernel = Kernel(tmp_path)
    for cell in CELLS:
        assert "Error" not in said(kernel, cell)
    host = client.host_status().pid
    for n in range(ROUNDS):
        path, name = str(tmp_path / f"effects-{n}"), f"night-{n}"
        start = START.format(path=path, id=name)
        assert "Error" not in said(kernel, start)
        kernel.client.execute(WAITS[n % len(WAITS)])
        if n < len(WAITS):
            until_waiting(client, name)
        else:  # at any moment
            threading.Event().wait(rng.uniform(0, 0.2))
        workers = {one.pid for one in psutil.Process(host).children()}
        kill(kernel)
        kernel = Kernel(tmp_path)
        said(kernel, CELLS[0])
        assert client.host_status().pid == host
        assert workers <= {one.pid for one in psutil.Process(host).children()}
        client.raise_event(name, "morning", "day")
        expected = ["before 0", "before 1", "before 2", "day", "after"]
        assert str(expected) in said(kernel, f"print(await ipydurable.instance({name!r}))")
        for cell in CELLS[1:]:
            said(kernel, cell)
        assert "InstanceExistsError" in said(kernel, start)
        assert client.get(name).status is RuntimeStatus.COMPLETED
        done = [one for one in expected if one != "day"]
        assert Path(path).read_text(encoding="utf-8").splitlines() == done
    count = client.sql("SELECT count(*) AS n FROM instances").to_pylist()[0]["n"]
    assert count == ROUNDS
    record_property("kernels that were killed", ROUNDS)
    kernel.close()
