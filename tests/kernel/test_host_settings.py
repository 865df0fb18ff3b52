"""Settings of the host, from a notebook: `%config DurableMagics`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.shells import WAITS, Shell

COUNTS_ITS_RUNS = """%%orchestrator
async def counts_its_runs(ctx, path):
    with open(path, "a") as file:
        file.write("run\\n")
    for _ in range(3):
        await ctx.wait_for_external_event("go")"""


@pytest.fixture(autouse=True)
def environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESIDENT", "TURN_LIMIT_S", "STRICT_REPLAY"):
        monkeypatch.setenv(f"IPYDURABLE_{name}", "")
        monkeypatch.delenv(f"IPYDURABLE_{name}")


def test_the_next_host_keeps_as_many_instances_in_memory_as_is_set(shell: Shell) -> None:
    """With none in memory each event costs a run of the code from its beginning."""
    shell.must("%config DurableMagics.resident = 0")
    assert "resident = 0 is for the next host: %durable stop ends this one" in shell.text
    shell.must("%durable stop")
    shell.must("%load_ext ipydurable")
    shell.must(COUNTS_ITS_RUNS)
    shell.must("import os")
    # The first instance of a new version is watched more closely; the second one is as all others.
    for name in ("first", "runs"):
        shell.must(f"run = counts_its_runs.start(os.path.abspath('{name}.txt'))")
        for _ in range(3):
            shell.must("run.raise_event('go')")
        shell.must("run.result(30)")
    assert Path("runs.txt").read_text().split() == ["run"] * 4


def test_a_setting_that_makes_no_sense_is_refused(shell: Shell) -> None:
    shell.run("%config DurableMagics.resident = -1")
    assert shell.must("get_ipython().magics_manager.registry['DurableMagics'].resident") >= 0


def test_all_settings_are_listed_with_what_they_mean(shell: Shell) -> None:
    shell.must(WAITS)
    shell.must("%config DurableMagics")
    for text in ("resident", "each step is a replay", "turn_limit", "strict_replay"):
        assert text in " ".join(shell.text.split())
