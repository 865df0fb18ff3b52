"""%%entity and the subcommands for entities and for the whole client model, with a real host."""

from pathlib import Path

import pytest

from ipydurable.entity_functions import EntityFunction
from ipydurable.runtime.core.errors import (
    EntityCallError,
    InstanceStateError,
    OrchestrationFailedError,
    UnknownDefinitionError,
    WaitTimeoutError,
)
from tests.kernel.shells import REPORT, WAITS, Kernel, Shell

pytestmark = pytest.mark.processes

ACCOUNT = """%%entity
class Account:
    balance: int = 0
    def deposit(self, amount):
        self.balance += amount
        return self.balance
    def fail(self):
        raise ValueError("no luck")"""
HOLD = """%%orchestrator
async def hold(ctx, key):
    async with ctx.lock_entities(Account(key)):
        ctx.set_custom_status("held")
        await ctx.wait_for_external_event("go")"""


def test_a_cell_defines_an_entity(shell: Shell):
    """The variable is the definition, whose call is a handle; the line counts who holds state."""
    shell.must(ACCOUNT)
    assert shell.text.strip() == "entity Account v1"
    assert isinstance(shell.ip.user_ns["Account"], EntityFunction)
    assert shell.must("Account('counted').deposit(5).result(60)") == 5
    shell.must(ACCOUNT + "\n    def other(self): ...")
    assert shell.text.strip() == "entity Account v2 · 1 entity holds state"
    shell.must(ACCOUNT.replace("balance: int = 0", "balance: int = 0\n    owner: str = 'x'"))
    assert "⚠ owner is new: entities that hold state take the default" in shell.text
    shell.must(ACCOUNT)
    assert "entity Account v1 · 1 entity holds state" in shell.text
    assert shell.must("Account('counted').deposit(5).result(60)") == 10


def test_a_cell_that_changes_a_type_says_so_and_the_state_waits_for_one_that_fits(shell: Shell):
    """The cell, and every operation, names the attribute; nothing is lost on the way."""
    purse = "%%entity\nclass Purse:\n    coins: int = 0\n    note: str = ''\n{}"
    put = "    def put(self, n):\n        self.coins += n\n        return self.coins"
    shell.must(purse.format(put))
    shell.must("Purse('p').put(5).result(60)")
    shell.must(purse.format(put).replace("coins: int = 0", "coins: dict = {}"))
    assert "⚠ The attribute 'coins' of this Purse holds a value of type int" in shell.text
    shell.run("Purse('p').put(1).result(60)")
    assert "EntityStateError: The attribute 'coins'" in str(shell.error)
    assert shell.must("Purse('p').state") == {"coins": 5, "note": ""}
    shell.must(purse.format(put).replace("    note: str = ''\n", ""))
    assert "⚠ note is no longer in the class: kept aside" in shell.text
    assert shell.must("Purse('p').put(1).result(60)") == 6
    shell.must("Purse('p')")
    assert "kept aside  note=''" in shell.text


def test_a_function_and_a_name(shell: Shell):
    """A function may be an entity; --name names it."""
    shell.must("%%entity --name Tally\ndef tally(ctx, n):\n    ctx.set_state(ctx.get_state(0) + n)")
    shell.must("%durable signal Tally@t add 4")

    assert shell.must("%durable call Tally@t add 5") is None
    assert shell.must("tally('t').state") == 9


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%entity\nx = 1", "one class or function"),
        ("%%entity\nclass A:\n    def __init__(self, x): ...", "made without arguments"),
        ("%%entity\nimport ipydurable\n@ipydurable.entity\nclass A: ...", "made durable twice"),
    ],
)
def test_a_cell_that_defines_no_entity(shell: Shell, cell: str, said: str):
    """The error is short, and says what to do."""
    shell.run(cell)

    assert said in shell.text
    assert "Traceback" not in shell.text


def test_operations_by_the_line_magic(shell: Shell):
    """Entities are called, signalled, shown and listed; results and failures come through."""
    shell.must(ACCOUNT)
    assert shell.must("%durable call Account@alice deposit 5") == 5
    assert repr(shell.must("%durable signal Account@alice deposit 7")) == (
        "signal deposit sent to Account@alice"
    )
    shell.must("%durable signal Account@alice deposit 1000 --at 1h")
    assert shell.must("%durable call account@alice deposit 0") == 12
    shell.must("%durable entity Account@alice")
    assert "balance   12" in shell.text
    assert "waiting   1 message" in shell.text
    frame = shell.must("%durable entities --name account --prefix Account@al --since 1h")
    assert list(frame["entity_id"]) == ["@account@alice"]
    shell.run("%durable call Account@alice fail")
    assert isinstance(shell.error, EntityCallError)
    assert "ValueError: no luck" in shell.text
    shell.run("%durable call Nobody@alice fail")
    assert isinstance(shell.error, UnknownDefinitionError)


def test_a_call_as_the_last_expression(shell: Shell):
    """What came of it is shown; awaited it is the value."""
    shell.must(ACCOUNT)
    shell.must("Account('shown').deposit(5)")
    assert "<deposit on @account@shown: 5>" in shell.text
    assert shell.must("await Account('shown').deposit(5)") == 10


def test_locks_and_cleaning(shell: Shell):
    """Locks are listed with their owner; entities without state are deleted."""
    shell.must(ACCOUNT)
    shell.must(HOLD)
    shell.must("run = hold.start('locked', instance_id='holder')")
    while shell.must("run.custom_status") != "held":
        pass
    locks = shell.must("%durable locks")
    assert list(locks["owner"]) == ["holder"]
    assert list(shell.must("%durable entities --locked")["key"]) == ["locked"]
    shell.must("%durable raise holder go")
    shell.must("%durable wait holder")
    assert shell.must("%durable locks").empty
    assert repr(shell.must("%durable clean")) == "deleted 1 empty entity"
    assert repr(shell.must("%durable clean")) == "deleted 0 empty entities"


def test_start_with_options(shell: Shell):
    """Options stand around name and JSON; tags, filters and pages find the instances again."""
    shell.must(REPORT)
    shell.must('%durable start report ["Basel"] --id o-1 --tag team=red --tag "who=a b"')
    shell.must("%durable start --id o-2 --tag team=blue report []")
    shell.must('%durable start report ["x"] --id o-3 --at 1h --timeout 2h')

    assert shell.must("%durable wait o-1 --timeout 1m") == 5
    shell.must("%durable wait o-2")
    assert list(shell.must('%durable list --tag "who=a b"')["instance_id"]) == ["o-1"]
    listed = shell.must("%durable list --prefix o- --since 1h --limit 2")
    assert list(listed["instance_id"]) == ["o-3", "o-2"]
    assert listed["waiting_for"][0].startswith("start report until")
    assert list(shell.must("%durable list --prefix o- --after o-2")["instance_id"]) == ["o-1"]
    assert list(shell.must("%durable list --status pending")["instance_id"]) == ["o-3"]
    run = shell.must('%durable start report ["abc"] --id o-1 --replace finished')
    assert run.result(60) == 3
    shell.must("%durable terminate o-3")


def test_show_says_what_an_instance_waits_for(shell: Shell):
    """Above the timeline stands what has to happen next."""
    shell.must(WAITS)
    shell.must("run = waits.start(instance_id='w-1')")
    shell.must("_ = ipydurable.connect().client.wait_for_start('w-1', 60)")
    shell.must("%durable show w-1")

    assert "waiting for\n  external event  go" in shell.text
    shell.run("%durable wait w-1 --timeout 10ms")
    assert isinstance(shell.error, WaitTimeoutError)
    shell.must("%durable terminate w-1")


def test_restart_rewind_purge(shell: Shell, tmp_path: Path):
    """A finished instance is started again, a failed one taken up, and all are deleted."""
    file = tmp_path / "there"
    shell.must("%%activity\ndef read(path):\n    return open(path).read()")
    shell.must("%%orchestrator\nasync def reads(ctx, path):\n    return await read(path)")
    shell.must("run = report.start(['abc'], instance_id='p-1')\nrun.wait(60)")
    assert shell.must("%durable restart p-1 --new-id").instance_id.startswith("report-")
    assert shell.must("%durable restart p-1").result(60) == 3
    shell.must(f"run = reads.start({str(file)!r}, instance_id='p-2')")
    shell.run("%durable wait p-2")
    assert isinstance(shell.error, OrchestrationFailedError)
    shell.run("%durable rewind p-1")
    assert isinstance(shell.error, InstanceStateError)
    file.write_text("mended")
    assert repr(shell.must("%durable rewind p-2 try again")).startswith("instance p-2 is ")
    assert shell.must("%durable wait p-2") == "mended"
    assert repr(shell.must("%durable purge p-1")) == "purged 1 instance"
    assert repr(shell.must("%durable purge --status completed --prefix p-")) == "purged 1 instance"
    assert shell.must("%durable list --prefix p-").empty


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%durable entity alice", "'alice' is no entity id; write name@key"),
        ("%durable call Account@alice", "Usage: %durable call NAME@KEY OPERATION [JSON]"),
        ("%durable call Account@a deposit five", "%durable call Account@a deposit 5"),
        ("%durable signal Account@a deposit 5 --at soon", "'soon' is no time"),
        ("%durable purge", "Usage: %durable purge ID | OPTIONS"),
        ("%durable purge x --status failed", "say what to purge"),
        ("%durable purge --tag x", "write name=value"),
        ("%durable list --nope", "unrecognized arguments: --nope"),
        ("%durable list --limit many", "invalid int value: 'many'"),
        ('%durable list --name "x', "no closing quotation"),
        ("%durable start report --ad 5m", "there is no option --ad here"),
        ("%durable start report --replace always", "there is no status 'always'"),
        ("%durable wait x --timeout soon", "no length of time"),
        ("%durable help lst", "did you mean 'list'"),
    ],
)
def test_wrong_usage(shell: Shell, cell: str, said: str):
    """Wrong usage is told in a line, without a traceback."""
    shell.run(cell)

    assert "UsageError" in shell.text
    assert said in shell.text
    assert "Traceback" not in shell.text


def test_help_of_one_subcommand(shell: Shell):
    """`%durable help NAME` explains the options."""
    shown = repr(shell.must("%durable help start"))

    assert "%durable start NAME [JSON] [OPTIONS]" in shown
    assert "--replace WHICH" in shown


def test_entities_in_a_real_kernel(kernel: Kernel):
    """A cell defines, the next one awaits; after a restart the state is still there."""
    (line,) = kernel.run(ACCOUNT)
    assert line["data"]["text/plain"] == "entity Account v1"
    (result,) = kernel.run("await Account('alice').deposit(5)")
    assert result["data"]["text/plain"] == "5"
    card, kept = kernel.run("Account('alice')")
    assert "application/vnd.jupyter.widget-view+json" in card["data"]
    assert "text/html" not in card["data"]
    assert "<b>Account@alice</b>" in kept["data"]["text/html"]
    assert "ipydurable.entity('account@alice')" in kept["data"]["text/plain"]
    kernel.run("await Account('alice').deposit(37)")
    assert "balance   42" in kernel.until(kept, "deposit(37)")
    kernel.run("await Account('alice').deposit(-37)")
    kernel.restart()
    kernel.run("%load_ext ipydurable")
    (state,) = kernel.run("import ipydurable\nipydurable.entity('Account@alice').state")
    assert state["data"]["text/plain"] == "{'balance': 5}"
