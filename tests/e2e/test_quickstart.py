"""The story: run the quickstart, take its kernel or its host away in mid-run, see it finish."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import LabPage

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
PAIRS = 185

LOAD, DEFINE_ACTIVITY, CALL_LOCALLY, DEFINE_ORCHESTRATOR, START = range(5)
REATTACH, RESULT, COMPARE, COUNT, HOST = range(5, 10)

REATTACH_SOURCE = """\
import ipydurable
from pathlib import Path
run = ipydurable.instance(Path("instance.txt").read_text())
run"""
RESULT_SOURCE = "ranking = await run"
COUNT_SOURCE = """\
events = run.history()
completed = events[events.event_type == "TaskCompleted"]
print(len(completed), completed.task_id.nunique())"""
HOST_SOURCE = "print(ipydurable.connect().client.host_status().pid)"


@pytest.fixture
def quickstart(lab: LabPage) -> LabPage:
    """The quickstart's own cells up to the start, and those that look at the end of the run."""
    cells = [
        "".join(cell["source"])
        for cell in json.loads(NOTEBOOK.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    compare = next(source for source in cells if "direct.loc" in source)
    sources = [
        *cells[LOAD : START + 1],
        REATTACH_SOURCE,
        RESULT_SOURCE,
        compare,
        COUNT_SOURCE,
        HOST_SOURCE,
    ]
    lab.create("quickstart.ipynb", sources)
    return lab


def start(lab: LabPage, artifacts: Path) -> None:
    """Run the cells up to the start; wait until the live timeline shows that some are done."""
    for index in (LOAD, DEFINE_ACTIVITY, CALL_LOCALLY, DEFINE_ORCHESTRATOR, START):
        lab.run_cell(index)
    found = re.search(r"rank_carriers-[0-9a-f]{12}", lab.output_text(START))
    assert found is not None, lab.output_text(START)
    (lab.server.root / "instance.txt").write_text(found.group())
    timeline = lab.output(START).locator(".ipd-timeline").first
    expect(timeline).to_be_visible(timeout=20_000)
    progress = timeline.locator("[aria-label$=' of 185 completed']")
    expect(progress).to_have_attribute(
        "aria-label", re.compile(r"^[5-9]\d of 185 completed"), timeout=60_000
    )
    lab.screenshot(artifacts / "live.png", START)


def finish(lab: LabPage, artifacts: Path) -> None:
    """Wait for the result; it equals pandas', and each task was completed exactly once."""
    lab.run_cell(RESULT, timeout_s=120)
    lab.run_cell(DEFINE_ACTIVITY)
    assert lab.run_cell(COMPARE).startswith("equal: 16 carriers, 328521 flights")
    assert lab.run_cell(COUNT) == f"{PAIRS} {PAIRS}"
    lab.screenshot(artifacts / "finished.png", REATTACH)


def test_a_restarted_kernel_and_a_reloaded_page_find_the_run_going_on(
    quickstart: LabPage, artifacts: Path
) -> None:
    """Restart and reload in mid-run; load the extension again, re-attach by id, see it finish."""
    lab = quickstart
    start(lab, artifacts)
    lab.restart_kernel()
    lab.reload()
    lab.run_cell(LOAD)
    lab.run_cell(REATTACH)
    expect(lab.output(REATTACH).locator(".ipd-timeline").first).to_be_visible(timeout=20_000)
    lab.screenshot(artifacts / "reattached.png", REATTACH)
    finish(lab, artifacts)


def test_a_killed_host_is_replaced_and_the_run_finishes(
    quickstart: LabPage, artifacts: Path
) -> None:
    """Kill -9 the host in mid-run: the cell that waits gets its result all the same."""
    lab = quickstart
    start(lab, artifacts)
    lab.run_cell(REATTACH)
    before = int(lab.run_cell(HOST))
    os.kill(before, signal.SIGKILL)
    finish(lab, artifacts)
    assert int(lab.run_cell(HOST)) != before
