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


def _run(script: str, folder: Path) -> str:
    """Run a script to its end and return what it printed."""
    (folder / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_activities_run_in_any_pool_of_the_standard_library(tmp_path: Path) -> None:
    said = _run(SCRIPT, tmp_path)
    assert "the executor 'yours'; there are asyncio, mine, processes, threads" in said


LATE = """
import pathlib
import time
from concurrent.futures import ProcessPoolExecutor

import ipydurable

WRITTEN = pathlib.Path("written.txt")


class Pool(ProcessPoolExecutor):
    \"\"\"One that outlives the runtimes it works for, as a cluster does.\"\"\"

    def shutdown(self, wait=True, *, cancel_futures=False):
        pass


def await_file(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)


@ipydurable.activity(on="cluster")
def work(ctx):
    with WRITTEN.open("a") as file:
        file.write(f"begun {ctx.attempt}\\n")
    await_file(f"go-{ctx.attempt}")
    with WRITTEN.open("a") as file:
        file.write(f"ended {ctx.attempt}\\n")
    return ctx.attempt


@ipydurable.orchestrator
async def one(ctx):
    return await work()


def lines(count):
    while not WRITTEN.exists() or len(WRITTEN.read_text().splitlines()) < count:
        time.sleep(0.01)
    return WRITTEN.read_text().splitlines()


if __name__ == "__main__":
    pool = Pool(2)
    with ipydurable.Runtime("late.duckdb", executors={"cluster": pool}) as runtime:
        runtime.start(one, instance_id="it")
        while "AttemptStarted" not in list(runtime.history("it")["event_type"]):
            time.sleep(0.01)
    with ipydurable.Runtime("late.duckdb", executors={"cluster": pool}) as runtime:
        run = runtime.instance("it")
        assert lines(2)[1] == "begun 2"
        pathlib.Path("go-1").touch()
        assert lines(3)[2] == "ended 1"
        pathlib.Path("go-2").touch()
        assert run.result(timeout=60) == 2
        rows = runtime.sql(
            "SELECT event_type, count(*) AS n FROM history WHERE task_id = 1 GROUP BY 1"
        )
        print({kind: int(n) for kind, n in zip(rows["event_type"], rows["n"])})
    ProcessPoolExecutor.shutdown(pool)
"""


def test_the_late_result_of_an_attempt_that_outlived_its_host_is_dropped(tmp_path: Path) -> None:
    """It really runs on, in a process of its own, and ends before the attempt that counts."""
    said = _run(LATE, tmp_path)
    assert "'TaskCompleted': 1" in said
    assert "'AttemptLost': 1" in said
    written = (tmp_path / "written.txt").read_text().split("\n")
    assert written == ["begun 1", "begun 2", "ended 1", "ended 2", ""]
