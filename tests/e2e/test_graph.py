"""The graph in JupyterLab: live while it runs, opened by a click, static at the end."""

from __future__ import annotations

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
