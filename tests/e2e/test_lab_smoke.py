"""The harness itself: without these, a failing product test says nothing."""

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import LabPage

COUNTER = """\
import ipywidgets
button = ipywidgets.Button(description="press me")
label = ipywidgets.Label("0 clicks")
def count(_):
    label.value = f"{int(label.value.split()[0]) + 1} clicks"
button.on_click(count)
ipywidgets.VBox([button, label])"""


def test_a_cell_runs_and_shows_its_output(lab: LabPage):
    """A notebook opens with a kernel, and a cell's output can be read."""
    lab.create("smoke.ipynb", ["print(6 * 7)", "print(6 * 9)"])

    assert lab.run_cell(1) == "54"
    assert lab.run_cell(0) == "42"
    assert lab.run_cell(0) == "42"
    assert lab.prompt(0) == "[3]:"


def test_a_restart_gives_a_new_kernel_and_a_reload_keeps_it(lab: LabPage):
    """Restarting changes the kernel's process; reloading the page does not."""
    lab.create("restart.ipynb", ["import os; print(os.getpid())"])
    first = lab.run_cell(0)

    lab.restart_kernel()
    second = lab.run_cell(0)
    lab.reload()
    third = lab.run_cell(0)

    assert first != second
    assert second == third


def test_widgets_are_live(lab: LabPage):
    """A widget is drawn, and a click reaches the kernel and comes back, without console errors."""
    lab.create("widgets.ipynb", [COUNTER])

    lab.run_all()
    lab.output(0).locator("button", has_text="press me").click()

    expect(lab.output(0).locator(".widget-label")).to_have_text("1 clicks")
    assert lab.errors == []


def test_a_failing_cell_is_reported_with_its_output(lab: LabPage):
    """Run All stops at a cell that fails, and the driver says why instead of timing out."""
    lab.create("failing.ipynb", ["1 / 0", "print('not reached')"])

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.run_all()
    assert lab.prompt(1) == "[ ]:"
