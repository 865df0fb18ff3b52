"""What a notebook user feels: how long `%load_ext` takes, and a start until its result.

Run as a program (`python -m tests.benchmarks.notebook CALLS`) it is the kernel of a notebook in the
present folder: an IPython shell that times itself and prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .bench import ROOT, WAIT_S, Bench, Figure, check
from .sizes import Sizes
from .workloads import percentiles

__all__ = ["load_ext", "start_to_result"]

_HEAVY = ("pandas", "plotly", "pyarrow", "duckdb")
_ACTIVITY = "def double(n):\n    return 2 * n\n"
_ORCHESTRATOR = "async def once(ctx, n):\n    return await double(n)\n"
_STOP = -1


def start_to_result(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Time one activity from start to result, one after another, from a notebook's kernel."""
    told = _run_kernel(bench.paths.store.parent, sizes.calls)
    yield from percentiles("W7 start to result", f"{sizes.calls}", told["spent_ms"], (3, 8))


def load_ext(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Time `%load_ext` in a new kernel, with a host that runs and with one to be started."""
    del sizes
    folder = bench.paths.store.parent
    running = _run_kernel(folder, 0)
    check("heavy imports", running["heavy"], [])
    yield Figure("W11 %load_ext", "a host runs", running["load_s"], "s", 0.5)
    other = folder / "other"
    other.mkdir()
    without = _run_kernel(other, _STOP)
    yield Figure("W11 %load_ext", "no host runs", without["load_s"], "s", 2.0)


def _run_kernel(folder: Path, calls: int) -> dict[str, Any]:
    runtime = str(folder / "run")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.notebook", str(calls)],
        check=True,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_RUNTIME_DIR": runtime},
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(calls: int) -> None:
    """Be the kernel: load the extension, make `calls` calls, and print the figures.

    Args:
        calls: How many; -1 ends the host instead.
    """
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    since = time.perf_counter()
    shell.run_line_magic("load_ext", "ipydurable")
    import ipydurable

    # The connection is made in the background: wait for it.
    _ = ipydurable.connect().client
    load_s = time.perf_counter() - since
    heavy = [name for name in _HEAVY if name in sys.modules]
    spent_ms = []
    if calls == _STOP:
        shell.run_line_magic("durable", "stop")
    elif calls:
        shell.run_cell_magic("activity", "", _ACTIVITY)
        shell.run_cell_magic("orchestrator", "", _ORCHESTRATOR)
        once = shell.user_ns["once"]
        once.start(0).result(timeout=60)
        for number in range(calls):
            begun = time.perf_counter()
            result = once.start(number).result(timeout=60)
            spent_ms.append(1000 * (time.perf_counter() - begun))
            check("result", result, 2 * number)
    print(json.dumps({"load_s": load_s, "heavy": heavy, "spent_ms": spent_ms}))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
