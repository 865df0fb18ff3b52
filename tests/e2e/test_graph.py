"""The graph in JupyterLab: live while it runs, opened by a click, static at the end."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.lab import LabPage

DEFINE = """\
%load_ext ipydurable
%durable open graph.duckdb"""
ACTIVITY = """\
%%activity
def fetch(n):
    return n"""
ORCHESTRATOR = """\
%%orchestrator
async def report(ctx):
    found = await ctx.when_all([ctx.call_activity(fetch, n) for n in range(20)])
    await ctx.wait_for_external_event("go")
    return sum(found)"""


def test_a_graph_is_live_opens_and_becomes_static(lab: LabPage):
    """It waits for the event, opens its twenty tasks, and ends as a drawing without a kernel."""
    lab.create(
        "graph.ipynb",
        [
            DEFINE,
            ACTIVITY,
            ORCHESTRATOR,
            "run = report.start(instance_id='graph-1'); run.graph()",
            "run.raise_event('go'); run.result(60)",
        ],
    )
    for cell in range(4):
        lab.run_cell(cell)
    graph = lab.output(3).locator(".ipd-graph")
    expect(graph.locator(".ipd-box", has_text="fetch \u00d7 20")).to_be_visible(timeout=30_000)
    expect(graph).to_contain_text("waits for this event", timeout=30_000)
    graph.locator(".ipd-box", has_text="fetch \u00d7 20").click()
    expect(graph.locator(".ipd-box-cell")).to_have_count(20, timeout=30_000)

    assert lab.run_cell(4).split()[-1] == "190"

    drawing = lab.output(3).get_by_role("img", name="Graph of report")
    expect(drawing).to_contain_text("Completed", timeout=30_000)
    expect(graph).to_have_count(0)
    assert lab.errors == []


CHILD = """\
%%orchestrator
async def region(ctx, name):
    return await ctx.when_all([ctx.call_activity(fetch, n) for n in range(3)])"""
NIGHTLY = """\
%%orchestrator
async def nightly(ctx):
    await ctx.call_sub_orchestrator(region, "EU", instance_id=ctx.instance_id + "-EU")
    await ctx.wait_for_external_event("go")"""


def test_an_instance_is_a_timeline_or_a_graph_in_one_place(lab: LabPage, artifacts: Path):
    """The choice below a start, in the dark; a child opens in its place; what was shown stays."""
    lab.create(
        "switch.ipynb",
        [
            DEFINE,
            ACTIVITY,
            CHILD,
            NIGHTLY,
            "run = nightly.start(instance_id='nightly-1')",
            "other = nightly.start(instance_id='nightly-2')",
            "run.raise_event('go'); run.result(60)",
        ],
    )
    lab.command("apputils:change-theme", theme="JupyterLab Dark")
    for cell in range(5):
        lab.run_cell(cell)
    output = lab.output(4)
    expect(output.locator(".ipd-wait")).to_contain_text("go", timeout=30_000)
    output.locator(".ipd-switch").get_by_text("Graph").click()
    graph = output.locator(".ipd-graph")
    child = graph.locator(".ipd-box", has_text="region")
    expect(child).to_be_visible(timeout=30_000)
    expect(output.locator(".ipd-body")).to_be_hidden()
    child.click()
    expect(graph.locator(".ipd-box-group")).to_have_count(1, timeout=30_000)
    expect(graph.locator(".ipd-box", has_text="fetch \u00d7 3")).to_be_visible()
    expect(graph.locator(".ipd-detail")).to_contain_text("nightly-1-EU")
    ink = "node => getComputedStyle(node).getPropertyValue('--ipd-completed').trim()"
    assert graph.evaluate(ink) == "#57c084"
    lab.screenshot(artifacts / "graph-dark.png", 4)

    # The next instance is shown as this one was left.
    lab.run_cell(5)
    expect(lab.output(5).locator(".ipd-graph .ipd-box").first).to_be_visible(timeout=30_000)

    lab.run_cell(6)
    drawing = output.get_by_role("img", name="Graph of nightly")
    expect(drawing).to_contain_text("Completed", timeout=30_000)
    expect(drawing).to_contain_text("region")
    # What told how to show it again leaves no empty place behind.
    heights = "nodes => nodes.map(node => node.offsetHeight)"
    first, *rest = output.locator(".jp-OutputArea-child").evaluate_all(heights)
    assert first > 100
    assert rest == [0] * len(rest)
    assert lab.errors == []
