"""The tutorial on people and time, by somebody who clicks instead of calling."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from playwright.sync_api import Locator, expect

from tests.e2e.lab import LabPage

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_people_and_time.ipynb"
CELLS = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
CALL = re.compile(r"^(gpu|server)\.forms\.submit\(.*\)\n", re.MULTILINE)


def index_of(words: str) -> int:
    """Return the number of the first code cell that has these words."""
    return next(index for index, source in enumerate(CELLS) if words in source)


def form(lab: LabPage, index: int, *, state: str = "open") -> Locator:
    """Return the form in the output of a cell."""
    found = lab.output(index).locator(f".ipd-form[data-state={state}]")
    expect(found).to_be_visible(timeout=30_000)
    return found


def fill_in(asked: Locator, approved: str, at_most: str, remark: str) -> None:
    """Answer as a person does."""
    asked.get_by_text(approved, exact=True).click()
    asked.get_by_label("At most").fill(at_most)
    asked.get_by_label("Remark").fill(remark)
    asked.locator("button", has_text="Send").click()


def test_people_answer_by_clicks_and_time_by_itself(lab: LabPage, artifacts: Path) -> None:
    """All cells of the tutorial, but for the calls that stand in for a person."""
    cells = [CALL.sub("", source) for source in CELLS]
    lab.create("people.ipynb", [*cells, "%durable stop"])
    gpu, server = index_of("gpu = approval.start"), index_of("server = approval.start")
    answered = index_of("gpu.forms.submit")
    for index in range(answered):
        lab.run_cell(index)
    asked = form(lab, gpu)
    expect(asked).to_contain_text("A GPU for 1,800 dollars?")
    expect(asked).to_contain_text("Training here is cheaper than renting.")
    lab.screenshot(artifacts / "asked.png", gpu)
    fill_in(asked, "Yes", "2000", "A good idea.")
    for index in range(answered, server + 1):
        lab.run_cell(index)

    expired = form(lab, server, state="expired")
    expect(expired).to_contain_text("nobody answered in time")
    asked = form(lab, server)
    lab.screenshot(artifacts / "escalated.png", server)
    fill_in(asked, "Yes", "20000", "Find a cheaper one.")
    for index in range(server + 1, len(cells)):
        lab.run_cell(index)
        expect(lab.output(index).locator("[data-mime-type$=stderr]")).to_have_count(0)
    spring = index_of("spring = first_warm_day.start")
    assert "2013-04-09" in lab.output_text(spring)
    lab.screenshot(artifacts / "monitor.png", spring)
    # What a cell showed live is static now, with what was answered and where.
    for index in (gpu, server):
        expect(lab.output(index).locator("svg[role=img]")).to_be_visible(timeout=20_000)
        expect(lab.output(index)).to_contain_text("answered by people.ipynb")
    assert lab.errors == []


def test_the_manager_answers_after_a_restart(lab: LabPage, artifacts: Path) -> None:
    """The plan waits, also over a restart of the kernel; its form is there again."""
    gpu = index_of("gpu = approval.start")
    opened = CELLS[0].replace("--fresh ", "")
    attach = f'{opened}\nimport ipydurable\ngpu = ipydurable.instance("gpu")\ngpu'
    lab.create("people.ipynb", [*CELLS[: gpu + 1], attach, "await gpu", "%durable stop"])
    for index in range(gpu + 1):
        lab.run_cell(index)
    form(lab, gpu)
    lab.restart_kernel()
    again = gpu + 1
    lab.run_cell(again)
    asked = form(lab, again)
    expect(lab.output(again)).to_contain_text("waiting for the manager")
    lab.start_cell(again + 1)
    fill_in(asked, "No", "0", "Not now.")
    lab.wait_for_command(30)
    answer = "{'by': 'manager', 'approved': False, 'remark': 'Not now.'}"
    assert lab.output_text(again + 1).endswith(answer)
    lab.screenshot(artifacts / "answered.png", again)
    lab.run_cell(again + 2)
    # Lab itself notes that a widget of the kernel before is gone.
    assert [error for error in lab.errors if "Comm not found" not in error] == []
