"""A pool of the user's own, in a script as a user would write it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

SCRIPT = """
import os
from concurrent.futures import ProcessPoolExecutor

import ipydurable


@ipydurable.activity(on="mine")
def where(n):
    print("working on", n)
    return n, os.getpid()


@ipydurable.activity(on="yours")
def nowhere():
    return 1


@ipydurable.orchestrator
async def fan(ctx, count):
    return await ctx.when_all([where(n) for n in range(count)])


@ipydurable.orchestrator
async def lost(ctx):
    return await nowhere()


if __name__ == "__main__":
    pool = ProcessPoolExecutor(2)
    with ipydurable.Runtime("own.duckdb", executors={"mine": pool}) as runtime:
        run = runtime.start(fan, 10)
        found = run.result(timeout=60)
        assert [n for n, _ in found] == list(range(10))
        assert os.getpid() not in {pid for _, pid in found}
        assert run["where"][3].output.text == "working on 3\\n"
        try:
            runtime.start(lost).result(timeout=60)
        except ipydurable.errors.DurableError as error:
            print(error)
    pool.shutdown()
"""


def test_activities_run_in_any_pool_of_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the executor 'yours'; there are asyncio, mine, processes, threads" in done.stdout
