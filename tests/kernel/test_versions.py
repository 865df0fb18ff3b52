"""Versions in the notebook: what there are, what changed, and who takes which."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pandas as pd
import pytest

from ipydurable.in_flight import Moves
from ipydurable.runtime.core.errors import (
    DurableError,
    InstanceStateError,
    MigrationError,
    UnknownVersionError,
)
from ipydurable.versioning import VersionDiff
from tests.kernel.shells import Kernel, Shell
from tests.processes.sources import wait_until
from tests.widgets.github import as_github_shows

pytestmark = pytest.mark.processes

STEP = "%%activity\ndef {0}_step(n):\n    return n"
HUNDRED = "%%activity\ndef {0}_step(n):\n    return 100 * n"
FLOW = """%%orchestrator
async def {0}_flow(ctx):
    first = await {0}_step(1)
    await ctx.wait_for_external_event("go")
    return first + await {0}_step(2)"""
LONGER = FLOW + " + await {0}_step(3)"
OTHER = "%%orchestrator\nasync def {0}_flow(ctx):\n    await ctx.wait_for_external_event('no')"


def begin(shell: Shell, name: str, count: int = 1) -> None:
    """Define a flow and have instances of it wait for their event."""
    shell.must(STEP.format(name))
    shell.must(FLOW.format(name))
    for index in range(count):
        instance_id = f"{name}-{index}"
        shell.must(f"run = {name}_flow.start(instance_id={instance_id!r})")
        run = shell.ip.user_ns["run"]
        wait_until(lambda run=run: [one.kind for one in run.waiting_for] == ["external event"])


def finish(shell: Shell, name: str, count: int = 1) -> list[Any]:
    """Let the instances go on; returns their results."""
    ids = [f"{name}-{index}" for index in range(count)]
    shell.must("import ipydurable")
    for one in ids:
        shell.must(f"ipydurable.instance({one!r}).raise_event('go')")
    return [shell.must(f"ipydurable.instance({one!r}).result(30)") for one in ids]


class TestTheList:
    """`%durable versions NAME` and `fetch.versions`."""

    def test_it_counts_the_instances_on_each_version(self, shell: Shell) -> None:
        begin(shell, "a", count=2)
        finish(shell, "a")
        shell.must(HUNDRED.format("a"))
        shell.must(LONGER.format("a"))
        shell.must("run = a_flow.start(instance_id='a-2')")
        wait_until(lambda: len(shell.ip.user_ns["run"].waiting_for) == 1)

        flow, step = shell.must("%durable versions a_flow"), shell.must("a_step.versions")

        counts = ["number", "in_flight", "finished"]
        assert flow[counts].to_numpy().tolist() == [[1, 1, 1], [2, 1, 0]]
        assert step[counts].to_numpy().tolist() == [[1, 1, 1], [2, 1, 0]]
        for one in ("a-1", "a-2"):
            shell.must(f"ipydurable.instance({one!r}).terminate()")
        assert shell.must("a_flow.versions")[counts].to_numpy().tolist() == [[1, 0, 2], [2, 0, 1]]

    def test_it_says_where_and_when_each_was_defined(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", "/work/report.ipynb")
        shell.must("%%activity\ndef placed(): return 1")

        (row,) = shell.must("placed.versions").to_dict("records")

        assert (row["notebook"], row["cell"]) == ("/work/report.ipynb", _cell(shell) - 1)
        assert (pd.Timestamp.now("UTC") - row["created_at"]).seconds < 60
        assert row["source"] == "def placed(): return 1"

    def test_of_an_entity_it_counts_those_whose_last_operation_ran_it(self, shell: Shell) -> None:
        for step in (1, 2):
            shell.must(f"%%entity\nclass Points:\n    n = 0\n    def up(self): self.n += {step}")
            shell.must(f"Points('t{step}').signal('up')")
            shell.must(f"await Points('t{step}').up()")

        frame = shell.must("%durable versions Points")

        assert frame[["number", "in_flight"]].to_numpy().tolist() == [[1, 1], [2, 1]]

    def test_a_name_that_is_not_defined_is_told_with_near_ones(self, shell: Shell) -> None:
        shell.run("%durable versions fetc")
        assert isinstance(shell.error, DurableError)
        assert "fetch" in str(shell.error)


class TestWhatChanged:
    """`report.diff(v1, v2)` and `%durable diff`."""

    def test_it_shows_the_helper_and_the_constant_that_changed(self, shell: Shell) -> None:
        shell.must("LIMIT = 3\ndef scaled(x):\n    # by one\n    return x * 1")
        shell.must("%%activity\ndef capped(x):\n    return min(scaled(x), LIMIT)")
        shell.must("LIMIT = 4\ndef scaled(x):\n    return x * 10")
        shell.must("%%activity\ndef capped(x):\n    # a comment\n    return min(scaled(x), LIMIT)")

        changed = shell.must("capped.diff()")

        assert [change.what for change in changed.changes] == ["scaled", "constant LIMIT"]
        assert repr(changed) == textwrap.dedent("""\
            activity capped v1 → v2: scaled, constant LIMIT

            scaled
               def scaled(x):
              -    # by one
              -    return x * 1
              +    return x * 10

            constant LIMIT
              -3
              +4""")
        html = changed._repr_html_()
        assert "capped v1 → v2: scaled, constant LIMIT" in html
        assert re.search(r"error-color0[^>]*>-    return x \* 1<", html)
        assert re.search(r"success-color0[^>]*>\+    return x \* 10<", html)
        plain = re.sub("</?span>", "", as_github_shows(html))
        assert "-    return x * 1\n+    return x * 10" in plain

    def test_all_that_a_version_is_made_of_can_change(self, shell: Shell) -> None:
        shell.must("import numpy as np\nfrom math import pi as k\nBOX = [{'a'}, object]")
        shell.must("%%activity\ndef mixed(x=1): return np, k, BOX, x")
        shell.must("from math import e as k\nBOX = [{'b'}, object]")
        shell.must("SIZE = 2\n")
        shell.must("%%activity --retries 2\ndef mixed(x=SIZE): return np, k, BOX, x")
        changed = shell.must("mixed.diff(1, 2)")
        found = {change.what for change in changed.changes}
        assert found == {"mixed", "constant SIZE", "constant BOX", "imports", "options"}
        assert "+max_attempts = 3" in [line for one in changed.changes for line in one.lines()]

    def test_a_value_that_is_pickled_anew_has_not_changed(self, shell: Shell) -> None:
        shell.must("BAG = [{'a', 'b', 'c'}, object]\n%config DurableMagics.timeline = False")
        shell.must("%%activity\ndef bagged(): return BAG")
        shell.must("BAG = [{'c', 'b', 'a'}, object]")
        shell.must("%%activity\ndef bagged(): return BAG, 1")
        assert [one.what for one in shell.must("bagged.diff()").changes] == ["bagged"]

    def test_what_an_orchestrator_calls_can_change(self, shell: Shell) -> None:
        shell.must("%%activity\ndef one_way(): ...")
        shell.must("%%activity\ndef other_way(): ...\nway = one_way")
        shell.must("way = one_way")
        shell.must("%%orchestrator\nasync def chooses(ctx): return await way()")
        shell.must("way = other_way")
        shell.must("%%orchestrator\nasync def chooses(ctx): return await way()")
        changed = shell.must("chooses.diff()")
        assert repr(changed).endswith("way\n  -activity one_way\n  +activity other_way")

    def test_without_a_change_it_says_so(self, shell: Shell) -> None:
        shell.must("%%activity\ndef same(): ...")
        changed = shell.must("same.diff()")
        assert not changed
        assert repr(changed) == "activity same v1: the same content as v1"

    def test_the_command_takes_numbers_and_hashes(self, shell: Shell) -> None:
        for value in (1, 2, 3):
            shell.must(f"%%activity\ndef counted(): return {value}")
        third = shell.must("counted.version")[:6]
        for line in ("counted", "counted 2", "counted v2 v3", f"counted 2 {third}"):
            changed = shell.must(f"%durable diff {line}")
            assert isinstance(changed, VersionDiff)
            assert (changed.old.number, changed.new.number) == (2, 3)
        shell.run("%durable diff counted 1 9")
        assert isinstance(shell.error, UnknownVersionError)
        assert "v1, v2, v3" in str(shell.error)


class TestTheCell:
    """What a cell that makes a new version says and offers."""

    def test_it_says_who_stays_and_offers_the_other_choice(self, shell: Shell) -> None:
        begin(shell, "b", count=2)
        shell.must(HUNDRED.format("b"))
        assert shell.text.strip().splitlines() == [
            "activity b_step v2 · 2 instances in flight stay on v1",
            "%durable adopt b_step  they take v2 from their next attempt on",
        ]
        shell.must(OTHER.format("b"))
        assert shell.text.strip().splitlines() == [
            "orchestrator b_flow v2 · 2 instances in flight stay on v1",
            "%durable migrate b_flow  moves those to v2 whose history fits it",
        ]
        assert finish(shell, "b", count=2) == [3, 3]

    def test_it_is_quiet_when_nothing_changed(self, shell: Shell) -> None:
        begin(shell, "c")
        shell.must(STEP.format("c") + "\n    # a comment")
        assert shell.text.strip() == "activity c_step v1 · same content, same version"
        assert finish(shell, "c") == [3]

    def test_other_options_are_told(self, shell: Shell) -> None:
        shell.must("%%activity\ndef lazy(): ...")
        shell.must("%%activity --timeout 5\ndef lazy(): ...")
        assert shell.text.strip() == "activity lazy v1 · other options, new runs take them"

    def test_the_button_does_it_and_gives_way_to_what_was_done(self, kernel: Kernel) -> None:
        kernel.run("%config DurableMagics.timeline = False")
        for cell in (STEP, FLOW):
            kernel.run(cell.format("k"))
        kernel.run("import ipydurable\nrun = k_flow.start(instance_id='k-0')")
        wait_until(lambda: "external" in _text(kernel.run("run.waiting_for")))
        _, _, button = kernel.run(HUNDRED.format("k"))
        assert button["data"]["text/plain"].startswith(
            "OfferButton(description='Have them take v2'"
        )
        kernel.run(
            "import ipywidgets\nfrom ipydurable.widgets.offer import OfferButton\nimport gc\n"
            "[one for one in gc.get_objects() if isinstance(one, OfferButton)][-1].click()"
        )
        assert button["data"]["text/plain"] == "1 instance takes k_step v2 from the next attempt on"
        assert _text(kernel.run("run.raise_event('go')\nrun.result(30)")) == "201"
        kernel.run("%config DurableMagics.timeline = True")

    def test_a_button_is_taken_away_when_the_session_ends(self, kernel: Kernel) -> None:
        kernel.run("%config DurableMagics.timeline = False\nrun = waits.start(instance_id='held')")
        *_, button = kernel.run(
            "%%orchestrator\nasync def waits(ctx):\n"
            "    return [await ctx.wait_for_external_event('go')]"
        )
        assert "Move those that fit to v2" in button["data"]["text/plain"]
        kernel.run("run.terminate()\n%unload_ext ipydurable")
        assert button["data"]["text/plain"] == ""
        assert "ipd-gone" in button["data"]["text/html"]
        kernel.run("%load_ext ipydurable")


class TestAdopting:
    """`fetch.adopt(run, ...)` and `%durable adopt`."""

    def test_the_chosen_ones_take_it_and_each_attempt_records_its_version(
        self, shell: Shell
    ) -> None:
        begin(shell, "d", count=3)
        shell.must(HUNDRED.format("d"))
        shell.must("taken = d_step.adopt(run, 'd-0')")
        assert shell.ip.user_ns["taken"].instance_ids == ["d-2", "d-0"]
        assert finish(shell, "d", count=3) == [201, 3, 201]
        ran = shell.must(
            'ipydurable.sql("SELECT instance_id, d.number FROM attempts JOIN definitions d '
            "USING (name, version) WHERE name = 'd_step' ORDER BY 1, 2\")"
        )
        assert ran.to_numpy().tolist() == [
            ["d-0", 1],
            ["d-0", 2],
            ["d-1", 1],
            ["d-1", 1],
            ["d-2", 1],
            ["d-2", 2],
        ]

    def test_without_an_instance_all_in_flight_take_it(self, shell: Shell) -> None:
        begin(shell, "e", count=2)
        shell.must(HUNDRED.format("e"))
        shell.must("%durable adopt e_step")
        assert shell.text.strip().endswith("2 instances take e_step v2 from the next attempt on")
        shell.must("e_step.adopt()")
        assert "nothing in flight runs another version of e_step than v2" in shell.text
        assert finish(shell, "e", count=2) == [201, 201]

    def test_an_older_version_can_be_taken_back(self, shell: Shell) -> None:
        begin(shell, "f")
        shell.must(HUNDRED.format("f"))
        shell.must("%durable adopt f_step f-0")
        shell.must("%durable adopt f_step f-0 --to 1")
        assert finish(shell, "f") == [3]

    def test_a_finished_one_is_refused(self, shell: Shell) -> None:
        begin(shell, "g")
        finish(shell, "g")
        shell.run("g_step.adopt(run)")
        assert isinstance(shell.error, InstanceStateError)
        assert "only an instance in flight" in str(shell.error)


class TestMigrating:
    """`run.migrate(to=version)`, `report.migrate()` and `%durable migrate`."""

    def test_it_takes_the_new_code_where_its_history_fits(self, shell: Shell) -> None:
        begin(shell, "h")
        shell.must(LONGER.format("h"))
        shell.must("run.migrate(to=2)")
        assert "h-0 moved from h_flow v1 to v2" in shell.text
        assert finish(shell, "h") == [6]

    def test_it_says_where_it_diverges_and_changes_nothing(self, shell: Shell) -> None:
        begin(shell, "i")
        before = len(shell.must("run.history()"))
        shell.must(OTHER.format("i"))
        shell.run("run.migrate()")
        assert isinstance(shell.error, MigrationError)
        said = str(shell.error)
        assert "History: activity 'i_step'" in said
        assert f"Code at Cell In[{_cell(shell) - 1}], line 3" in said
        assert len(shell.must("run.history()")) == before
        assert finish(shell, "i") == [3]

    def test_several_are_moved_as_far_as_they_fit(self, shell: Shell) -> None:
        begin(shell, "j", count=2)
        shell.must("ipydurable.instance('j-0').raise_event('other')")
        shell.must(LONGER.format("j").replace("    first =", "    ctx.is_replaying\n    first ="))
        moves = shell.must("%durable migrate j_flow")
        assert isinstance(moves, Moves)
        assert [one.instance_id for one in moves.moved] == ["j-1", "j-0"]
        shell.must(OTHER.format("j"))
        moves = shell.must("j_flow.migrate('j-0')")
        assert repr(moves).startswith("1 instance stays as before\n  'j-0' stays as it is")
        assert "1 instance stays as before" in moves._repr_html_()
        shell.must("%durable migrate j-0 --to 1")
        assert "j-0 moved from j_flow v2 to v1" in shell.text
        assert finish(shell, "j", count=2) == [3, 6]


def test_a_failed_run_is_rewound_to_the_newest_code(shell: Shell) -> None:
    shell.must("%%activity\ndef shaky(n):\n    raise ValueError('no')")
    shell.must("%%orchestrator\nasync def relies(ctx):\n    return await shaky(2)")
    shell.must("run = relies.start(instance_id='relies-0')\nrun.wait(30)")
    shell.must("%%activity\ndef shaky(n):\n    return n + 1")
    shell.must("run.rewind()\nrun.wait(30)")
    assert shell.must("run.status.value") == "Failed"
    shell.must("run.rewind(code='newest')")
    assert shell.must("run.result(30)") == 3
    shell.run("run.rewind(code='old')")
    assert isinstance(shell.error, ValueError)


def _cell(shell: Shell) -> int:
    """Return the number of the cell that ran last."""
    return shell.ip.execution_count - 1


def _text(outputs: list[dict[str, Any]]) -> str:
    return "\n".join(one.get("data", {}).get("text/plain", "") for one in outputs)
