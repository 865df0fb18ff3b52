"""The report of what does not belong in an orchestrator, as JupyterLab shows it in both themes."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import LabPage

CELLS = [
    "%load_ext ipydurable",
    "%%activity\ndef fetch(city):\n    return len(city)",
    "import random\n\ndef pick(items):\n    return random.choice(items)",
    """%%orchestrator
async def report(ctx, cities):
    from datetime import datetime
    began = datetime.now()
    print("begin")
    for city in set(cities):
        await fetch(city)
    while True:
        await ctx.create_timer(60)
    return pick([began])""",
    "%config DurableMagics.strict = True",
    """%%orchestrator
async def report(ctx, cities):
    from datetime import datetime
    began = datetime.now()
    return pick([began])""",
]


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_report_is_a_table_that_can_be_read(lab: LabPage, artifacts: Path, theme: str):
    lab.create("effects.ipynb", CELLS)
    lab.command("apputils:change-theme", theme=theme)
    lab.wait_for_command(20)
    for index in range(len(CELLS)):
        lab.run_cell(index)

    table = lab.output(3).locator("table")
    expect(table).to_be_visible()
    rows = table.locator("tbody tr").all_inner_texts()
    assert len(rows) == 5
    assert [row.split("\t")[1] for row in rows if "line 4" in row and "Cell" not in row] == [
        "datetime.now()"
    ]
    lab.screenshot(artifacts / "report.png", 3)
    assert "report is strict and was not defined" in lab.output_text(5)
    assert "-----> 4     began = datetime.now()" in lab.output_text(5)
    lab.screenshot(artifacts / "strict.png", 5)
