"""The dashboard in JupyterLab: live, docked, opening a timeline, through host and kernel deaths."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.e2e.lab import LabPage
from tests.e2e.test_entity_card import kill_host

DEFINE = """\
%load_ext ipydurable
import time"""
WORK = """\
%%activity
def work(n):
    time.sleep(0.3)
    if n == 3:
        raise ValueError("three is not allowed")
    return n"""
JOB = """\
%%orchestrator
async def job(ctx, n):
    return await ctx.call_activity(work, n)"""
ASK = """\
%%orchestrator
async def ask(ctx):
    return await ctx.wait_for_external_event("approve")"""
SHOW = "%durable dashboard"
START = "jobs = job.start_many(range(8)); a = ask.start(instance_id='asked'); None"
AGAIN = "%load_ext ipydurable\n%durable dashboard"


def board(lab: LabPage, index: int) -> Locator:
    """Return the live dashboard below a cell."""
    return lab.output(index).locator(".ipd-dashboard")


def check_that_it_is_beside(
    lab: LabPage, first: Locator, timeline: Locator, artifacts: Path
) -> None:
    """What was opened stands beside the dashboard where there is room."""
    lab.page.set_viewport_size({"width": 2600, "height": 1000})
    lab.page.wait_for_timeout(500)
    left, right = first.bounding_box(), timeline.bounding_box()
    assert left is not None
    assert right is not None
    assert right["x"] >= left["x"] + left["width"]
    lab.screenshot(artifacts / "beside.png", 4)
    lab.page.set_viewport_size({"width": 1400, "height": 1000})


def dock(lab: LabPage, artifacts: Path) -> None:
    """Give the output a panel of its own, and close there what was opened."""
    lab.cell(4).locator(".jp-InputArea-prompt").click()
    lab.command("notebook:create-output-view")
    lab.wait_for_command(20)
    docked = lab.page.locator(".jp-LinkedOutputView .ipd-dashboard")
    expect(docked.get_by_role("button", name="7 Completed")).to_be_visible(timeout=20_000)
    lab.page.screenshot(path=artifacts / "docked.png")
    docked.get_by_role("button", name="Close").click()


def test_a_dashboard_lives_docks_opens_and_is_read_without_a_kernel(
    lab: LabPage, artifacts: Path
) -> None:
    lab.create("board.ipynb", [DEFINE, WORK, JOB, ASK, SHOW, START, AGAIN])
    for index in range(5):
        lab.run_cell(index)
    first = board(lab, 4)
    expect(first.locator(".ipd-table-foot")).to_have_text("No instances.", timeout=20_000)
    lab.run_cell(5)
    lab.cell(4).scroll_into_view_if_needed()
    expect(first.get_by_role("button", name="7 Completed")).to_be_visible(timeout=30_000)
    expect(first.get_by_role("button", name="1 Failed")).to_be_visible()
    waits = first.get_by_role("region", name="Waiting longest")
    expect(waits).to_contain_text("waits for external event approve")
    lab.screenshot(artifacts / "live.png", 4)

    waits.get_by_role("button", name="asked").click()
    timeline = lab.output(4).locator(".ipd-timeline")
    expect(timeline).to_contain_text("approve", timeout=20_000)
    first.get_by_role("button", name="1 Failed").click()
    expect(first.locator(".ipd-table-foot")).to_have_text("1", timeout=10_000)
    expect(first.locator(".ipd-table-row")).to_contain_text("three is not allowed")
    lab.screenshot(artifacts / "opened.png", 4)
    check_that_it_is_beside(lab, first, timeline, artifacts)
    lab.command("apputils:change-theme", theme="JupyterLab Dark")
    expect(lab.page.locator("[data-jp-theme-light=false]").first).to_be_attached(timeout=20_000)
    lab.page.wait_for_timeout(500)
    lab.screenshot(artifacts / "dark.png", 4)

    kill_host(lab)
    expect(first.locator(".ipd-notice")).to_be_visible(timeout=20_000)
    expect(first.locator(".ipd-notice")).to_be_hidden(timeout=30_000)
    expect(waits).to_contain_text("waits for external event approve", timeout=20_000)

    dock(lab, artifacts)
    expect(timeline).to_have_count(0, timeout=20_000)
    lab.page.wait_for_timeout(3000)

    # The menu is about what has the focus, which is the output's panel now.
    lab.cell(4).locator(".jp-InputArea-prompt").click()
    lab.restart_kernel()
    lab.run_cell(6)
    again = board(lab, 6)
    lab.cell(6).scroll_into_view_if_needed()
    expect(again.get_by_role("button", name="7 Completed")).to_be_visible(timeout=20_000)
    lab.save()
    assert (lab.server.root / "board.ipynb").stat().st_size < 100_000

    lab.server.stop_kernels()
    lab.reload()
    kept = lab.output(6).locator(".ipd-kept")
    expect(kept).to_contain_text("external event approve", timeout=20_000)
    expect(kept.get_by_role("img")).to_be_visible()
    lab.screenshot(artifacts / "reopened.png", 6)
