"""Cells that are edited while instances are in flight: the matrix that no other system gets right.

One orchestration takes a step, waits for an event, and takes a second step in a sub-orchestration:
the right answer is 3. Then cells are run again with edited code, and something dies. What is in
flight must give 3 all the same, and a new instance what the edited code says. Elsewhere the old
instance gives 102 (the second step is new), fails as its schedule differs, cannot be edited while
the worker runs, or the new instance silently takes the old code.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.launch import find_host
from tests.kernel.shells import Kernel, without_colors
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes

HELPER = "def helper_{0}(n):\n    return n * FACTOR_{0}"
STEP = "%%activity\ndef step_{0}(n):\n    return helper_{0}(n)"
PART = "%%orchestrator\nasync def part_{0}(ctx, n):\n    return await step_{0}(n)"
FLOW = """%%orchestrator
async def flow_{0}(ctx):
    first = await step_{0}(1)
    await ctx.wait_for_external_event("go")
    return first + await part_{0}(2)"""
NEW_STEP = "%%activity\ndef step_{0}(n):\n    return 100 * n"
NEW_PART = "%%orchestrator\nasync def part_{0}(ctx, n):\n    return 1000 * await step_{0}(n)"
NEW_FLOW = """%%orchestrator
async def flow_{0}(ctx):
    await ctx.create_timer(ctx.current_utc_datetime)
    second = await part_{0}(2)
    await ctx.wait_for_external_event("go")
    return 10 * second + await step_{0}(1) + await step_{0}(0)"""

CELLS = ["FACTOR_{0} = 1", HELPER, STEP, PART, FLOW]
EDITS: dict[str, tuple[list[str], int]] = {
    "activity": ([NEW_STEP], 100 + 200),
    "orchestrator": ([NEW_FLOW], 21),
    "sub_orchestrator": ([NEW_PART], 1 + 2000),
    "helper": (["def helper_{0}(n):\n    return 50 * n", STEP], 50 + 100),
    "constant": (["FACTOR_{0} = 7", STEP], 7 + 14),
    "both": ([NEW_STEP, NEW_FLOW], 2000 + 100),
    "everything": ([NEW_STEP, NEW_PART, NEW_FLOW], 2_000_000 + 100),
    "back": ([NEW_STEP, NEW_FLOW, STEP, FLOW], 3),
}
"""What is edited: the cells that are run again, and what a new instance gives."""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str) -> Iterator[Kernel]:
    if dies == "memory":  # every wait evicts the code, so that it is replayed
        monkeypatch.setenv("IPYDURABLE_RESIDENT", "0")
    kernel = Kernel(tmp_path)
    try:
        kernel.run(
            "%load_ext ipydurable\nimport ipydurable\n%config DurableMagics.timeline = False"
        )
        yield kernel
        kernel.run("%durable stop")
    finally:
        kernel.close()


def said(kernel: Kernel, cell: str) -> str:
    """Run a cell; returns all that it shows."""
    outputs: list[dict[str, Any]] = kernel.run(cell)
    parts = [
        one.get("data", {}).get("text/plain", "") + one.get("text", "") + one.get("evalue", "")
        for one in outputs
    ]
    assert all(one["kind"] != "error" for one in outputs), (cell, parts)
    return without_colors("\n".join(parts))


def until_waiting(kernel: Kernel, instance_id: str) -> None:
    """Wait until an instance has come to its event."""
    asked = f"[one.kind for one in ipydurable.instance({instance_id!r}).waiting_for]"
    wait_until(lambda: "external event" in said(kernel, asked))


def let_die(kernel: Kernel, folder: Path, what: str) -> None:
    """Let something die in mid-run."""
    if what == "kernel":
        kernel.restart()
        said(kernel, "%load_ext ipydurable\nimport ipydurable")
        said(kernel, "%config DurableMagics.timeline = False")
    elif what == "host":
        paths = HostPaths(folder / "durable.duckdb")
        info = find_host(paths)
        assert info is not None
        os.kill(info.pid, signal.SIGKILL)
        wait_until(lambda: find_host(paths) is None)


@pytest.mark.parametrize("dies", ["nothing", "kernel", "host", "memory"])
def test_what_is_in_flight_gives_3_and_new_instances_give_what_the_edited_code_says(
    kernel: Kernel, tmp_path: Path, dies: str
) -> None:
    for edit in EDITS:
        for cell in CELLS:
            said(kernel, cell.format(edit))
        said(kernel, f"old = flow_{edit}.start(instance_id='old-{edit}')")
    for edit in EDITS:
        until_waiting(kernel, f"old-{edit}")

    for edit, (cells, _) in EDITS.items():
        for cell in cells:
            line = said(kernel, cell.format(edit))
            if cell in (NEW_STEP, NEW_FLOW):
                assert " v2 · 1 instance in flight stays on v1" in line
    let_die(kernel, tmp_path, dies)

    results = {}
    for edit in EDITS:
        said(kernel, f"%durable start flow_{edit} --id new-{edit}")
        until_waiting(kernel, f"new-{edit}")
        for run in (f"old-{edit}", f"new-{edit}"):
            said(kernel, f"ipydurable.instance({run!r}).raise_event('go')")
    for edit in EDITS:
        results[edit] = tuple(
            int(said(kernel, f"ipydurable.instance('{run}-{edit}').result(60)"))
            for run in ("old", "new")
        )
    assert results == {edit: (3, expected) for edit, (_, expected) in EDITS.items()}
    counted = said(
        kernel, "ipydurable.sql('SELECT DISTINCT status FROM instances').status.tolist()"
    )
    assert counted == "['Completed']"
