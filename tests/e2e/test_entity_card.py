"""The card of an entity in JupyterLab: live, through a host's death and a restart, and reopened."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, expect

from tests.e2e.lab import LabPage

DEFINE = "%load_ext ipydurable"
ACCOUNT = """\
%%entity
class Account:
    balance: int = 0
    history: list = []
    def deposit(self, amount):
        self.balance += amount
        self.history = [*self.history, amount]
        return self.balance
    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError(f"insufficient funds: {self.balance} < {amount}")
        self.balance -= amount
        return self.balance"""
SHOW = 'Account("alice")'
DEPOSIT = 'await Account("alice").deposit(AMOUNT)'
HOLD = """\
%%orchestrator
async def hold(ctx):
    async with ctx.lock_entities("Account@alice"):
        await ctx.wait_for_external_event("go")"""
START = 'h = hold.start(instance_id="holder"); None'
ATTACH = """\
%load_ext ipydurable
import ipydurable
ipydurable.entity("Account@alice")"""
FAIL = 'Account("alice").signal("withdraw", 500)'


def card(lab: LabPage, index: int) -> Locator:
    """Return the live card below a cell."""
    return lab.output(index).locator(".ipd-entity")


def kill_host(lab: LabPage) -> None:
    """End the host as a crash does."""
    for file in (lab.server.home / "jupyter_runtime_dir").glob("ipydurable-*.json"):
        os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


def test_a_card_lives_through_a_host_and_a_restart_and_is_read_without_a_kernel(
    lab: LabPage, artifacts: Path
) -> None:
    cells = [
        *(DEFINE, ACCOUNT, SHOW, DEPOSIT.replace("AMOUNT", "50"), FAIL, HOLD, START),
        *(DEPOSIT.replace("await ", "").replace("AMOUNT", "7"), ATTACH),
    ]
    lab.create("card.ipynb", cells)
    for index in range(3):
        lab.run_cell(index)
    first = card(lab, 2)
    expect(first).to_contain_text("Nothing has reached it yet.")
    lab.run_cell(3)
    expect(first.locator(".ipd-done")).to_contain_text("deposit(50)", timeout=10_000)
    expect(first.locator(".ipd-entity-state")).to_contain_text("50")
    lab.run_cell(4)
    expect(first.locator(".ipd-done").first).to_contain_text("insufficient funds: 50 < 500")
    lab.run_cell(5)
    lab.run_cell(6)
    expect(first.locator(".ipd-chip", has_text="Locked")).to_be_visible(timeout=10_000)
    expect(first).to_contain_text("holder")
    lab.run_cell(7)
    # What is out of sight is not drawn.
    lab.cell(2).scroll_into_view_if_needed()
    expect(first.locator(".ipd-chip", has_text="1 waiting")).to_be_visible(timeout=10_000)
    expect(lab.output(2).locator(".ipd-kept")).to_be_hidden()
    lab.screenshot(artifacts / "live.png", 2)
    lab.command("apputils:change-theme", theme="JupyterLab Dark")
    expect(lab.page.locator("[data-jp-theme-light=false]").first).to_be_attached(timeout=20_000)
    lab.screenshot(artifacts / "dark.png", 2)

    kill_host(lab)
    lab.run_cell(4)
    lab.cell(2).scroll_into_view_if_needed()
    expect(first.locator(".ipd-notice")).to_be_hidden(timeout=20_000)
    expect(first.locator(".ipd-chip", has_text="2 waiting")).to_be_visible(timeout=20_000)

    lab.restart_kernel()
    lab.cell(2).scroll_into_view_if_needed()
    expect(first.locator(".ipd-notice")).to_contain_text("ipydurable.entity('account@alice')")
    lab.run_cell(8)
    again = card(lab, 8)
    expect(again.locator(".ipd-chip", has_text="2 waiting")).to_be_visible(timeout=20_000)
    lab.cell(2).scroll_into_view_if_needed()
    expect(first.locator(".ipd-notice")).to_contain_text("shown again in another cell")
    lab.save()
    saved = nbformat.read(lab.server.root / "card.ipynb", 4)
    assert (lab.server.root / "card.ipynb").stat().st_size < 100_000
    assert sum("insufficient funds" in str(one) for one in saved.cells[8].outputs) == 1
    exported, _ = HTMLExporter().from_notebook_node(saved)
    assert "insufficient funds: 50 &lt; 500" in exported

    lab.server.stop_kernels()
    lab.reload()
    kept = lab.output(8).locator(".ipd-kept")
    expect(kept).to_be_visible(timeout=20_000)
    expect(kept).to_contain_text("insufficient funds: 50 < 500")
    expect(lab.output(8).get_by_text("Error displaying widget")).to_be_hidden()
    lab.screenshot(artifacts / "reopened.png", 8)


def test_a_table_of_entities_opens_a_card_beside_it(lab: LabPage, artifacts: Path) -> None:
    """Search, open, watch it change, save; without a kernel the rows are there."""
    fill = 'Account.signal_many("deposit", [(f"k{n:03}", n + 1) for n in range(300)])'
    show = "%durable entities"
    lab.create("table.ipynb", [DEFINE, ACCOUNT, fill, show, DEPOSIT.replace("AMOUNT", "5")])
    for index in range(4):
        lab.run_cell(index)
    table = lab.output(3).locator(".ipd-entities")
    expect(table.locator(".ipd-table-foot")).to_contain_text("300", timeout=20_000)
    table.locator("input[type=search]").fill("k07")
    expect(table.locator(".ipd-table-foot")).to_have_text("10", timeout=10_000)
    table.locator(".ipd-table-row", has_text="k070").click()
    opened = lab.output(3).locator(".ipd-entity")
    expect(opened.locator(".ipd-done")).to_contain_text("deposit(71)", timeout=10_000)
    lab.screenshot(artifacts / "beside.png", 3)
    table.locator("input[type=search]").fill("alice")
    expect(table.locator(".ipd-table-foot")).to_have_text("None is like that.", timeout=10_000)
    lab.run_cell(4)
    lab.cell(3).scroll_into_view_if_needed()
    expect(table.locator(".ipd-table-row", has_text="alice")).to_be_visible(timeout=10_000)
    table.get_by_role("button", name="Close").click()
    expect(opened).to_have_count(0, timeout=10_000)
    lab.page.wait_for_timeout(3000)
    lab.save()
    assert (lab.server.root / "table.ipynb").stat().st_size < 100_000

    lab.server.stop_kernels()
    lab.reload()
    kept = lab.output(3).locator(".ipd-kept")
    expect(kept).to_contain_text("301, of which 30 are shown", timeout=20_000)
    lab.screenshot(artifacts / "reopened.png", 3)
    assert lab.errors == []
