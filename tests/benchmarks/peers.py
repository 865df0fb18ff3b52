"""The same work on engines from PyPI, beside ours in the same rounds: DBOS and durabletask.

Run as a program, in any environment that has one of them, it does the work and prints its figures
as JSON: `python peers.py NAME CHAIN INSTANCES WIDTH`. It imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PEERS", "dbos", "durabletask"]

_STEPS = 5
_WAIT_S = 600

Rates = dict[str, float]
Run = Callable[[str, Sequence[int]], list[int]]


def dbos(chain: int, instances: int, width: int) -> Rates:
    """DBOS on SQLite with a write-ahead log, its quicker way to keep a journal on one machine."""
    from dbos import DBOS

    with tempfile.TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        path = Path(folder) / "dbos.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{path}"})

        @DBOS.step()
        def hello(number: int) -> int:
            return number

        @DBOS.step()
        async def hello_too(number: int) -> int:
            return number

        @DBOS.workflow()
        def in_turn(count: int) -> int:
            return sum(hello(number) for number in range(count))

        @DBOS.workflow()
        async def fan(count: int) -> int:
            return sum(await asyncio.gather(*[hello_too(number) for number in range(count)]))

        async def fan_out(inputs: Sequence[int]) -> list[int]:
            handles = [await DBOS.start_workflow_async(fan, value) for value in inputs]
            return [await handle.get_result() for handle in handles]

        def run(name: str, inputs: Sequence[int]) -> list[int]:
            if name == "fan":
                return asyncio.run(fan_out(inputs))
            handles = [DBOS.start_workflow(in_turn, value) for value in inputs]
            return [handle.get_result() for handle in handles]

        DBOS.launch()
        try:
            return _measure(run, chain, instances, width)
        finally:
            DBOS.destroy()


def durabletask(chain: int, instances: int, width: int) -> Rates:
    """Durable Task on its in-memory backend: nothing is durable."""
    from durabletask import task
    from durabletask.client import TaskHubGrpcClient
    from durabletask.testing.in_memory_backend import create_test_backend
    from durabletask.worker import TaskHubGrpcWorker

    def hello(ctx: Any, number: int) -> int:
        return number

    def in_turn(ctx: Any, count: int) -> Any:
        total = 0
        for number in range(count):
            total += yield ctx.call_activity(hello, input=number)
        return total

    def fan(ctx: Any, count: int) -> Any:
        found = yield task.when_all([ctx.call_activity(hello, input=n) for n in range(count)])
        return sum(found)

    backend = create_test_backend(port=_free_port(), max_history_size=10 * (chain + width))
    address = f"localhost:{backend._port}"
    with TaskHubGrpcWorker(host_address=address) as worker:
        worker.add_activity(hello)
        worker.add_orchestrator(in_turn)
        worker.add_orchestrator(fan)
        worker.start()
        client = TaskHubGrpcClient(host_address=address)

        def run(name: str, inputs: Sequence[int]) -> list[int]:
            ids = [client.schedule_new_orchestration(name, input=value) for value in inputs]
            states = [client.wait_for_orchestration_completion(i, timeout=_WAIT_S) for i in ids]
            return [json.loads(state.serialized_output or "") for state in states if state]

        try:
            return _measure(run, chain, instances, width)
        finally:
            backend.stop()


PEERS = {"dbos": dbos, "durabletask": durabletask}


def _measure(run: Run, chain: int, instances: int, width: int) -> Rates:
    """Time a chain, many short chains at once, and a fan-out; a wrong result raises."""
    _checked(run("in_turn", [_STEPS]), [sum(range(_STEPS))])  # the first one makes things ready
    rates = {}
    since = time.perf_counter()
    _checked(run("in_turn", [chain]), [sum(range(chain))])
    rates["W1 chain"] = chain / (time.perf_counter() - since)
    since = time.perf_counter()
    _checked(run("in_turn", [_STEPS] * instances), [sum(range(_STEPS))] * instances)
    rates["W2 hello"] = instances / (time.perf_counter() - since)
    since = time.perf_counter()
    _checked(run("fan", [width]), [sum(range(width))])
    rates["W3 fan-out"] = width / (time.perf_counter() - since)
    return rates


def _checked(found: list[int], expected: list[int]) -> None:
    if found != expected:
        raise AssertionError(f"{found} instead of {expected}")


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


if __name__ == "__main__":
    peer, *sizes = sys.argv[1:]
    print("\n" + json.dumps(PEERS[peer](*map(int, sizes))))  # noqa: T201
