"""The tutorial on people and time, by somebody who clicks instead of calling."""

from __future__ import annotations

from pathlib import Path

import nbformat
from playwright.sync_api import expect

from tests.e2e.lab import LabPage

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_people_and_time.ipynb"
PATIENT = """laptop = approval.start(
    {"what": "A laptop", "price": 900}, {"manager": 600, "director": 600}, instance_id="laptop"
)"""


def test_the_manager_answers_by_a_click(lab: LabPage, artifacts: Path) -> None:
    """The plan waits, also over a restart of the kernel; a click on its timeline answers it."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    start = next(index for index, source in enumerate(cells) if "approval.start" in source)
    opened = cells[0].replace("--fresh ", "")
    lab.create(
        "people.ipynb",
        [
            *cells[:start],
            PATIENT,
            f'{opened}\nimport ipydurable\nlaptop = ipydurable.instance("laptop")\nlaptop',
            "await laptop",
            "%durable stop",
        ],
    )
    for index in range(start + 1):
        lab.run_cell(index)
    expect(lab.output(start)).to_contain_text("waiting for the manager", timeout=30_000)
    lab.screenshot(artifacts / "waiting.png", start)

    lab.restart_kernel()
    again = start + 1
    lab.run_cell(again)
    row = lab.output(again).locator(".ipd-timeline").first
    expect(row).to_contain_text("waiting for the manager", timeout=30_000)
    row.locator("button", has_text="Raise event").first.click()
    ask = row.locator(".ipd-ask")
    ask.locator("input").first.fill("answer of the manager")
    ask.locator("input, textarea").nth(1).fill("true")
    lab.screenshot(artifacts / "asked.png", again)
    ask.locator("button", has_text="Raise event").click()

    assert lab.run_cell(again + 1).endswith("{'by': 'manager', 'approved': True}")
    lab.screenshot(artifacts / "answered.png", again)
    lab.run_cell(again + 2)
    # Lab itself notes that a widget of the kernel before is gone.
    assert [error for error in lab.errors if "Comm not found" not in error] == []
