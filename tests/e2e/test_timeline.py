"""The timeline in JupyterLab: live, clicked, cut off, shown again, reopened, in the dark."""

from __future__ import annotations

import re
from pathlib import Path

from nbconvert import HTMLExporter
from playwright.sync_api import Locator, expect

from tests.e2e.lab import LabPage

DEFINE = """\
%load_ext ipydurable
import time"""
ACTIVITY = """\
%%activity
def fetch(n):
    print("fetching", n)
    time.sleep(0.2)
    return {"n": n}"""
CHILD = """\
%%orchestrator
async def child(ctx, n):
    return await ctx.call_activity(fetch, n)"""
REPORT = """\
%%orchestrator
async def report(ctx, n):
    await ctx.call_activity(fetch, n)
    await ctx.call_sub_orchestrator(child, n)
    return await ctx.wait_for_external_event("approve")"""
START = 'run = report.start(7, instance_id="monthly")'
ATTACH = """\
%load_ext ipydurable
import ipydurable
ipydurable.instance("monthly")"""
STARTED, ATTACHED = 4, 5
SPEED = """\
import sys, threading, time
sys.path.insert(0, {root!r})
from datetime import UTC, datetime
from ipydurable.runtime.ports import InstanceUpdate, RunningAttempt
from ipydurable.widgets import Timeline
from tests.widgets.scenarios import fan_out
import tests.widgets.scenarios as scenarios
def now():
    return datetime.now(UTC).replace(tzinfo=None)
scenarios.START = now()
story = fan_out(1000, 1000)
first = next(story.updates(0.44))
timeline = Timeline()
first.now = now()
timeline.update(first)
costs = []
def tell():
    for turn in range(30):
        time.sleep(0.2)
        running = [
            RunningAttempt(task_id=n + 2, number=1, started_at=now(), worker=f"process {{turn}}")
            for n in range(1000)
        ]
        update = InstanceUpdate(record=first.record, events=[], running=running, now=now())
        begun = time.perf_counter()
        timeline.update(update)
        costs.append(time.perf_counter() - begun)
threading.Thread(target=tell, daemon=True).start()
timeline"""
# From the host's time in an update to the frame after the one that drew it.
LAGS = """async () => {
  const root = document.querySelector(".ipd-timeline"), lags = [];
  let seen = root.dataset.heardAt;
  const until = performance.now() + 5000;
  while (performance.now() < until) {
    await new Promise(requestAnimationFrame);
    if (root.dataset.heardAt === seen) continue;
    seen = root.dataset.heardAt;
    await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
    lags.push(Date.now() - Number(seen));
  }
  return lags.sort((a, b) => a - b);
}"""


def cells(instance_id: str) -> list[str]:
    """Return a notebook that starts a run of that id, and attaches to it again."""
    found = [DEFINE, ACTIVITY, CHILD, REPORT, START, ATTACH]
    return [source.replace("monthly", instance_id) for source in found]


def timeline(lab: LabPage, index: int) -> Locator:
    """Return the live timeline below a cell."""
    return lab.output(index).locator(".ipd-timeline")


def start(lab: LabPage) -> Locator:
    """Run all cells up to the start; wait until the run waits for its event."""
    for index in range(STARTED + 1):
        lab.run_cell(index)
    found = timeline(lab, STARTED)
    expect(found.locator(".ipd-wait")).to_contain_text("approve", timeout=30_000)
    return found


def test_a_timeline_lives_through_a_restart_and_is_read_without_a_kernel(
    lab: LabPage, artifacts: Path
) -> None:
    """Click, expand, restart, attach again, steer, finish, save, export, reopen with no kernel."""
    lab.create("timeline.ipynb", cells("monthly"))
    first = start(lab)
    expect(lab.output(STARTED).locator(".ipd-again")).to_be_hidden()
    first.locator(".ipd-row", has_text="fetch").click()
    expect(first.locator(".ipd-detail")).to_contain_text("fetching 7", timeout=10_000)
    expect(first.locator(".ipd-detail")).to_contain_text("Cell In[2], line 2")
    first.locator(".ipd-row", has_text="child").locator("[data-state=open]").click()
    expect(first.locator(".ipd-row[aria-level='2']")).to_contain_text("fetch", timeout=10_000)
    lab.screenshot(artifacts / "live.png", STARTED)

    lab.restart_kernel()
    expect(first.locator(".ipd-notice")).to_contain_text("ipydurable.instance('monthly')")
    elapsed = first.locator(".ipd-elapsed").inner_text()
    lab.run_cell(ATTACHED)
    again = timeline(lab, ATTACHED)
    expect(again.locator(".ipd-wait")).to_contain_text("approve", timeout=20_000)
    expect(first.locator(".ipd-notice")).to_contain_text("shown again in another cell")
    assert first.locator(".ipd-elapsed").text_content() == elapsed
    lab.screenshot(artifacts / "attached.png", ATTACHED)

    again.locator(".ipd-wait").click()
    again.locator(".ipd-ask input").nth(1).fill('"yes"')
    again.locator(".ipd-ask button", has_text="Raise event").click()
    expect(lab.output(ATTACHED).locator("svg[role=img]")).to_be_visible(timeout=20_000)
    expect(lab.output(ATTACHED).locator(".ipd-timeline")).to_have_count(0)
    lab.save()
    saved = lab.server.root / "timeline.ipynb"
    assert saved.stat().st_size < 100_000
    exported, _ = HTMLExporter().from_filename(str(saved))
    assert "Timeline of report" in exported
    assert "application/vnd.jupyter.widget-state+json" not in exported

    lab.server.stop_kernels()
    lab.reload()
    expect(lab.output(ATTACHED).locator("svg[role=img]")).to_be_visible(timeout=20_000)
    lab.screenshot(artifacts / "reopened.png", ATTACHED)


def test_two_notebooks_show_one_run_in_light_and_dark(lab: LabPage, artifacts: Path) -> None:
    """Both follow it, each in its theme; what one does the other shows."""
    lab.create("one.ipynb", cells("shared"))
    first = start(lab)
    other = LabPage(lab.page.context.new_page(), lab.server)
    other.create("two.ipynb", [cells("shared")[ATTACHED]])
    other.run_cell(0)
    second = timeline(other, 0)
    expect(second.locator(".ipd-wait")).to_be_visible(timeout=20_000)
    other.command("apputils:change-theme", theme="JupyterLab Dark")
    ink = "node => getComputedStyle(node).getPropertyValue('--ipd-completed').trim()"
    expect(other.page.locator("[data-jp-theme-light=false]").first).to_be_attached(timeout=20_000)
    assert second.evaluate(ink) != first.evaluate(ink)
    other.screenshot(artifacts / "dark.png", 0)

    second.locator(".ipd-actions button", has_text="Suspend").click()
    expect(first.locator(".ipd-chip")).to_have_text("Suspended", timeout=20_000)
    first.locator(".ipd-actions button", has_text="Terminate").click()
    first.locator(".ipd-ask button", has_text="Terminate it").click()
    for one in (lab.output(STARTED), other.output(0)):
        expect(one.locator("svg[role=img]")).to_be_visible(timeout=20_000)
        expect(one).to_contain_text("Terminated")


SHAKY = """\
%%activity
def load(path):
    return open(path).read()"""
RISKY = """\
%%orchestrator
async def risky(ctx, path):
    await ctx.wait_for_external_event("go")
    return await ctx.call_activity(load, path)"""
RISK = "job = risky.start('text.txt', instance_id='risk')"
WIDGET = "job.timeline().widget"


def test_its_buttons_suspend_resume_raise_and_rewind(lab: LabPage, artifacts: Path) -> None:
    """Each does what it says; what changes much asks first; the state decides which there are."""
    lab.create("buttons.ipynb", [DEFINE, SHAKY, RISKY, RISK, WIDGET])
    for index in range(5):
        lab.run_cell(index)
    kept = timeline(lab, 4)
    buttons = kept.locator(".ipd-actions button")
    expect(kept.locator(".ipd-wait")).to_contain_text("go", timeout=20_000)
    expect(buttons).to_have_text(["Raise event …", "Suspend", "Terminate …"])
    buttons.filter(has_text="Suspend").click()
    expect(kept.locator(".ipd-chip")).to_have_text("Suspended", timeout=20_000)
    buttons.filter(has_text="Resume").click()
    expect(kept.locator(".ipd-chip")).to_have_text("Running", timeout=20_000)
    buttons.filter(has_text="Terminate").click()
    expect(kept.locator(".ipd-question")).to_contain_text("cannot be undone")
    kept.locator(".ipd-ask button", has_text="Cancel").click()
    buttons.filter(has_text="Raise event").click()
    kept.locator(".ipd-ask button", has_text="Raise event").click()
    expect(kept.locator(".ipd-chip")).to_have_text("Failed", timeout=20_000)
    expect(buttons).to_have_text(["Rewind …"])
    buttons.click()
    expect(kept.locator(".ipd-question")).to_contain_text("what completed stays")
    lab.screenshot(artifacts / "rewinding.png", 4)
    (lab.server.root / "text.txt").write_text("well")
    kept.locator(".ipd-ask button", has_text="Rewind it").click()
    expect(kept.locator(".ipd-chip")).to_have_text("Completed", timeout=20_000)
    expect(buttons).to_have_count(0)


FRAIL = """\
%%orchestrator
async def frail(ctx, path):
    return await ctx.call_activity(load, path)"""
FAILING = "await frail.start('text.txt', instance_id='frail')"


def test_a_failed_cell_is_rewound_where_it_failed(lab: LabPage, artifacts: Path) -> None:
    """The button is at the failed cell; what is saved, before and after, needs no kernel."""
    lab.create("failed.ipynb", [DEFINE, SHAKY, FRAIL, FAILING])
    for index in range(4):
        lab.run_cell(index)
    failed = timeline(lab, 3)
    expect(failed.locator(".ipd-chip")).to_have_text("Failed", timeout=20_000)
    expect(lab.output(3)).to_contain_text("No such file")
    expect(lab.output(3).locator(".ipd-kept")).to_be_hidden()
    lab.save()
    saved = lab.server.root / "failed.ipynb"
    assert saved.stat().st_size < 100_000
    assert "Timeline of frail" in saved.read_text()
    assert "%durable rewind frail" in saved.read_text()
    exported, _ = HTMLExporter().from_filename(str(saved))
    assert "Timeline of frail" in exported
    lab.screenshot(artifacts / "failed.png", 3)

    rewind(lab)
    (lab.server.root / "text.txt").write_text("well")
    failed.locator(".ipd-ask button", has_text="Rewind it").click()
    expect(lab.output(3).locator("svg[role=img]")).to_be_visible(timeout=20_000)
    expect(lab.output(3)).to_contain_text("Completed", timeout=20_000)
    expect(failed).to_have_count(0)
    lab.screenshot(artifacts / "rewound.png", 3)
    lab.save()
    text = saved.read_text()
    assert "Timeline of frail" in text
    assert "Completed" in text
    assert "%durable rewind frail" not in text


def rewind(lab: LabPage) -> None:
    """Press the button below the last cell and read what it asks."""
    button = timeline(lab, 3).locator(".ipd-actions button", has_text="Rewind")
    expect(button).to_be_visible(timeout=20_000)
    button.click()
    expect(timeline(lab, 3).locator(".ipd-question")).to_contain_text("what completed stays")


def test_a_failed_cell_is_rewound_after_a_reload(lab: LabPage, artifacts: Path) -> None:
    """Outputs of before the reload cannot be replaced: the live view shows how it ends."""
    lab.create("reloaded.ipynb", [DEFINE, SHAKY, FRAIL, FAILING])
    for index in range(4):
        lab.run_cell(index)
    expect(timeline(lab, 3).locator(".ipd-chip")).to_have_text("Failed", timeout=20_000)
    lab.save()
    lab.reload()
    rewind(lab)
    (lab.server.root / "text.txt").write_text("well")
    timeline(lab, 3).locator(".ipd-ask button", has_text="Rewind it").click()
    expect(timeline(lab, 3).locator(".ipd-chip")).to_have_text("Completed", timeout=20_000)
    lab.screenshot(artifacts / "rewound.png", 3)


def test_a_failed_cell_can_be_read_without_a_kernel(lab: LabPage, artifacts: Path) -> None:
    """Reopened, the static form is there with the line that rewinds, and no error of a widget."""
    lab.create("reopened.ipynb", [DEFINE, SHAKY, FRAIL, FAILING])
    for index in range(4):
        lab.run_cell(index)
    expect(timeline(lab, 3).locator(".ipd-chip")).to_have_text("Failed", timeout=20_000)
    lab.save()
    lab.server.stop_kernels()
    lab.reload()
    kept = lab.output(3).locator(".ipd-kept")
    expect(kept.locator("svg[role=img]")).to_be_visible(timeout=20_000)
    expect(kept).to_contain_text("%durable rewind frail")
    expect(lab.output(3).locator(".ipd-timeline")).to_have_count(0)
    expect(lab.output(3).get_by_text("Error displaying widget")).to_be_hidden()
    lab.screenshot(artifacts / "failed-reopened.png", 3)


def test_a_thousand_rows_are_painted_soon_after_they_changed(lab: LabPage) -> None:
    """All of 1,000 rows change five times a second; the median update is painted within 50 ms."""
    root = str(Path(__file__).parents[2])
    lab.create("speed.ipynb", [SPEED.format(root=root), "print(sorted(costs)[len(costs) // 2])"])
    lab.run_cell(0)
    expect(timeline(lab, 0)).to_be_visible(timeout=20_000)
    lags = lab.page.evaluate(LAGS)
    assert len(lags) > 10
    assert lags[len(lags) // 2] < 50, lags
    assert float(re.findall(r"[\d.e-]+", lab.run_cell(1))[-1]) < 0.05
