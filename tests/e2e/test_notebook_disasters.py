"""The tutorial on what does not die, with the kernel really restarted and the button clicked."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from playwright.sync_api import expect

from tests.e2e.lab import LabPage

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_it_does_not_die.ipynb"


def index_of(part: str) -> int:
    """Return which code cell of the notebook contains `part`, the last of them."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    return max(index for index, source in enumerate(cells) if part in source)


def test_kernel_host_and_code_go_and_the_job_does_not(lab: LabPage, artifacts: Path) -> None:
    """Restart the kernel by hand, have the host killed, mend the code and click to adopt it."""
    shutil.copy(NOTEBOOK, lab.server.root / NOTEBOOK.name)
    lab.open(NOTEBOOK.name)
    start, adopt = index_of("night_shift.start"), index_of("share.adopt")
    for index in range(start + 1):
        lab.run_cell(index)
    progress = lab.output(start).locator("[aria-label*='completed']").first
    expect(progress).to_be_visible(timeout=30_000)
    lab.screenshot(artifacts / "running.png", start)

    lab.restart_kernel()
    # The cells before it are not run again: nothing of them is needed.
    told = {index: lab.run_cell(index) for index in range(start + 1, adopt)}
    expect(lab.panel.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    assert told[index_of("answers = await job")].endswith("16")
    offer = lab.output(adopt - 1)
    expect(offer).to_contain_text("share v2 · 1 instance in flight stays on v1")
    lab.screenshot(artifacts / "offer.png", adopt - 1)
    offer.locator("button", has_text="Have them take v2").click()
    expect(offer).to_contain_text("1 instance takes share v2 from the next attempt on")

    assert lab.run_cell(adopt + 1).endswith("{'HA': 0.3, 'UA': 54.8, 'DL': 44.9}")
    lab.screenshot(artifacts / "adopted.png", adopt + 1)
    # Lab itself notes that a widget of the kernel before is gone.
    assert [error for error in lab.errors if "Comm not found" not in error] == []
