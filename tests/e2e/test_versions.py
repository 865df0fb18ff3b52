"""Editing while instances are in flight, in a real JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.lab import LabPage, LabServer

SETUP = "%load_ext ipydurable\n%config DurableMagics.timeline = False"
STEP = """SCALE = 1
def scaled(n):
    return SCALE * n"""
FETCH = "%%activity\ndef fetch(n):\n    return scaled(n)"
REPORT = """%%orchestrator
async def report(ctx):
    first = await fetch(1)
    await ctx.wait_for_external_event("go")
    return first + await fetch(2)"""
START = """import time
runs = [report.start(instance_id=f"report-{n}") for n in range(4)]
while not all(run.waiting_for and run.waiting_for[0].kind == "external event" for run in runs):
    time.sleep(0.05)"""
EDIT = """SCALE = 100
def scaled(n):
    # per cent
    return n * SCALE"""
LONGER = REPORT + " + await fetch(3)"
CELLS = [
    SETUP,
    STEP,
    FETCH,
    REPORT,
    START,
    EDIT,
    FETCH,
    "fetch.diff()",
    LONGER,
    "for run in runs: run.raise_event('go')\nprint([run.result(60) for run in runs])",
    "fetch.versions",
    "%durable stop",
]


def test_the_cell_says_who_stays_and_a_click_changes_that(lab: LabPage, artifacts: Path) -> None:
    """A new version is told in one line; a button lets the instances in flight take it."""
    lab.create("versions.ipynb", CELLS)
    for index in range(7):
        lab.run_cell(index)
    cell = lab.output(6)
    expect(cell).to_contain_text("fetch v2 · 4 instances in flight stay on v1")
    button = cell.locator("button", has_text="Have them take v2")
    expect(button).to_be_visible()
    lab.screenshot(artifacts / "offer.png")

    button.click()
    expect(cell).to_contain_text("4 instances take fetch v2 from the next attempt on")
    expect(button).to_have_count(0)

    lab.run_cell(7)
    expect(lab.output(7)).to_contain_text("fetch v1 → v2: scaled, constant SCALE")
    lab.run_cell(8)
    lab.output(8).locator("button", has_text="Move those that fit to v2").click()
    expect(lab.output(8)).to_contain_text("4 instances moved to v2")
    assert lab.run_cell(9) == "[501, 501, 501, 501]"
    lab.run_cell(10)
    lab.screenshot(artifacts / "diff.png")
    lab.run_cell(11)
    assert lab.errors == []


# What somebody else's notebook has left behind: a key of their own, and a run in flight.
THEIRS = """
import ipydurable
from ipydurable import activity, orchestrator

RATE = 0.5

@activity
def price(n):
    return n * RATE

@orchestrator
async def quote(ctx, n):
    await ctx.wait_for_external_event("go")
    return await price(n)

with ipydurable.Runtime("theirs.duckdb") as runtime:
    run = runtime.start(quote, 8, instance_id="quote-1")
    while not run.waiting_for or run.waiting_for[0].kind != "external event":
        pass
"""


REFUSED = """import ipydurable
run = ipydurable.instance("quote-1")
try:
    run.raise_event("go")
except ipydurable.errors.UntrustedStoreError as error:
    print(error)"""


def test_a_store_from_elsewhere_is_shown_and_asks(
    lab: LabPage, lab_server: LabServer, artifacts: Path
) -> None:
    """It is read as any other; a click on the button below its code lets it run."""
    (lab_server.root / "theirs.py").write_text(THEIRS)
    environment = {**os.environ, "IPYDURABLE_KEY_DIR": str(lab_server.root / "their-key")}
    command = [sys.executable, "theirs.py"]
    subprocess.run(command, cwd=lab_server.root, env=environment, check=True, timeout=120)
    lab.create(
        "trust.ipynb",
        [
            "get_ipython().config.DurableMagics.store = 'theirs.duckdb'\n%load_ext ipydurable",
            "%durable show quote-1",
            REFUSED,
            "%durable trust",
            "run.raise_event('go')\nprint(run.result(60))\n%durable stop",
        ],
    )
    for index in range(4):
        lab.run_cell(index)
    expect(lab.output(0)).to_contain_text("comes from elsewhere: it can be read")
    expect(lab.output(1)).to_contain_text("quote")
    expect(lab.output(2)).to_contain_text("%durable trust shows the code it would run")
    expect(lab.output(3)).to_contain_text("2 definitions not signed with your key")
    expect(lab.output(3)).to_contain_text("return n * RATE")
    expect(lab.output(3)).to_contain_text("RATE = 0.5")
    lab.screenshot(artifacts / "trust.png")

    lab.output(3).locator("button", has_text="Trust this code").click()
    expect(lab.output(3)).to_contain_text("is trusted (2 definitions) · 1 instance in flight")
    assert lab.run_cell(4).startswith("4.0")
    assert lab.errors == []
