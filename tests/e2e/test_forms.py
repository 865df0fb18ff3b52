"""Forms in JupyterLab: two notebooks on one instance, restarts, a killed host, a busy kernel."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path

from nbconvert import HTMLExporter
from playwright.sync_api import Locator, expect

from tests.e2e.lab import LabPage

DEFINE = """\
%load_ext ipydurable
from dataclasses import dataclass
import ipydurable
from ipydurable import Field, Form

@dataclass
class Decision:
    approved: bool
    limit: int = 100
    why: str = \"\""""
BUY = """\
%%orchestrator
async def buy(ctx, what):
    form = Form(Decision, title=f"Buy {what}?", text="It is in the budget.")
    made = await ctx.wait_for_external_event("decision", form=form)
    more = await ctx.wait_for_external_event("colour", form=["red", "blue"])
    return [type(made).__name__, made.approved, made.limit, more]"""
START = 'run = buy.start("a boat", instance_id="boat")'
ATTACH = """\
%load_ext ipydurable
import ipydurable
ipydurable.instance("boat")"""
FORMS = "ipydurable.forms()"
STARTED, WAITED = 2, 3
ANSWER = "['Decision', True, 250, 'blue']"


def form(lab: LabPage, index: int, title: str) -> Locator:
    """Return a form in the output of a cell."""
    found = lab.output(index).locator(".ipd-form", has_text=title)
    expect(found).to_be_visible(timeout=30_000)
    return found


def kill_host(lab: LabPage) -> None:
    """Have the host die without a word."""
    (file,) = (lab.server.home / "jupyter_runtime_dir").glob("ipydurable-*.json")
    os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


def test_two_notebooks_fill_in_the_forms_of_one_instance(lab: LabPage, artifacts: Path) -> None:
    """One answers while the other's kernel is busy waiting for it; then the other way round."""
    lab.create("one.ipynb", [DEFINE, BUY, START, "await run", "%durable stop"])
    for index in (0, 1, STARTED):
        lab.run_cell(index)
    first = form(lab, STARTED, "Buy a boat?")
    expect(first).to_contain_text("It is in the budget.")
    lab.screenshot(artifacts / "asked.png", STARTED)
    first.locator("input[type=text]").fill("half a thought")
    lab.start_cell(WAITED)

    other = LabPage(lab.page.context.new_page(), lab.server)
    other.create("two.ipynb", [ATTACH, FORMS])
    other.run_cell(0)
    second = form(other, 0, "Buy a boat?")
    other.command("apputils:change-theme", theme="JupyterLab Dark")
    other.run_cell(1)
    third = form(other, 1, "Buy a boat?")
    expect(third).to_contain_text("boat ·")
    second.locator("button", has_text="Submit").click()
    expect(second.locator(".ipd-form-problem:visible")).to_have_text("this is needed")
    second.get_by_text("Yes").click()
    second.get_by_label("Limit").fill("250")
    other.screenshot(artifacts / "filled-in-dark.png", 0)
    second.locator("button", has_text="Submit").click()

    for one in (first, second, third):
        expect(one).to_contain_text("answered by two.ipynb", timeout=20_000)
        expect(one).to_contain_text("250")
        expect(one.locator("input")).to_have_count(0)
    # JupyterLab has styles for many an element, in which words may come to lie on each other.
    boxes = [one.bounding_box() for one in first.locator(".ipd-form-answer span").all()]
    edges = [(box["x"], box["x"] + box["width"]) for box in boxes if box]
    assert len(edges) == 6
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(edges))
    # This kernel waits for what only this click will bring.
    last = form(lab, STARTED, "colour")
    lab.screenshot(artifacts / "while-the-kernel-waits.png", STARTED)
    last.locator("button", has_text="blue").click()
    lab.wait_for_command(30)
    assert lab.output_text(WAITED).endswith(ANSWER)
    expect(lab.output(STARTED)).to_contain_text("answered by one.ipynb")
    expect(lab.output(STARTED).locator(".ipd-timeline")).to_have_count(0)
    expect(other.output(1).locator(".ipd-forms-view")).to_have_count(0, timeout=20_000)
    other.screenshot(artifacts / "answered-elsewhere.png", 1)

    lab.save()
    exported, _ = HTMLExporter().from_filename(str(lab.server.root / "one.ipynb"))
    assert "Buy a boat?" in exported
    assert "answered by two.ipynb" in exported
    assert (lab.server.root / "one.ipynb").stat().st_size < 100_000


def test_a_form_is_there_again_after_kernel_and_host_have_gone(
    lab: LabPage, artifacts: Path
) -> None:
    """It cannot be filled in where nobody would take it, and says so."""
    lab.create("one.ipynb", [DEFINE, BUY, START, ATTACH, "await ipydurable.instance('boat')"])
    for index in (0, 1, STARTED):
        lab.run_cell(index)
    first = form(lab, STARTED, "Buy a boat?")
    lab.restart_kernel()
    expect(lab.output(STARTED).locator(".ipd-notice")).to_be_visible(timeout=20_000)
    expect(first.locator("button", has_text="Submit")).to_be_disabled()

    lab.run_cell(STARTED + 1)
    again = form(lab, STARTED + 1, "Buy a boat?")
    again.get_by_text("Yes").click()
    again.get_by_label("Limit").fill("250")
    kill_host(lab)
    # Whoever asks next starts another host, which knows the form from the history.
    again.locator("button", has_text="Submit").click()
    expect(again).to_contain_text("answered by one.ipynb", timeout=60_000)
    lab.screenshot(artifacts / "answered.png", STARTED + 1)
    kill_host(lab)
    form(lab, STARTED + 1, "colour").locator("button", has_text="blue").click()
    assert lab.run_cell(STARTED + 2).endswith(ANSWER)
    # Lab itself notes that a widget of the kernel before is gone.
    assert [error for error in lab.errors if "Comm not found" not in error] == []
