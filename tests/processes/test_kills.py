"""Hosts and workers killed under load, and what a host leaves in its folders."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.status import RuntimeStatus

pytestmark = pytest.mark.processes

ROUNDS = int(os.environ.get("IPYDURABLE_KILL_ROUNDS", "4"))
SEED = int(os.environ.get("IPYDURABLE_SEED", "11"))
ITEMS = 12


def test_activities_complete_once_when_workers_and_hosts_are_killed(
    connect: Callable[[], DurableClient], tmp_path: Path
) -> None:
    """Each may run more than once; each has one outcome in the history, and the sum is right."""
    logging.getLogger(__name__).warning("seed %s, %s rounds", SEED, ROUNDS)
    rng = random.Random(SEED)
    client = connect()
    ids: list[str] = []
    kills = 0
    for n in range(ROUNDS):
        path = str(tmp_path / f"ran-{n}")
        ids.append(client.start("total", [[path, i] for i in range(ITEMS)]))
        threading.Event().wait(rng.uniform(0.0, 0.3))
        host = client.host_status().pid
        kills += _kill_one_of(rng, _workers_of(host) if n % 2 else [host])
    assert kills == ROUNDS, "somebody was to be killed in each round"
    for n, instance_id in enumerate(ids):
        record = client.wait(instance_id, timeout_s=90)
        assert record.status is RuntimeStatus.COMPLETED
        assert client.decode(record.output) == sum(range(ITEMS))
        ran = (tmp_path / f"ran-{n}").read_text().split()
        assert {int(line) for line in ran} == set(range(ITEMS))
    counted = client.sql(
        "SELECT count(*) AS outcomes, count(DISTINCT task_id) AS tasks FROM history "
        "WHERE event_type = 'TaskCompleted' GROUP BY instance_id"
    )
    assert counted.to_pylist() == [{"outcomes": ITEMS, "tasks": ITEMS}] * ROUNDS


def test_what_a_host_makes_is_private_whatever_the_umask(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Store, log, lock, connection file and their folder, with an umask that allows all."""
    before = os.umask(0)
    try:
        connect = request.getfixturevalue("connect")
        client = connect()
        client.wait(client.start("chain", 3), timeout_s=60)
    finally:
        os.umask(before)
    made = [*tmp_path.glob("store.duckdb*"), tmp_path / "run", *(tmp_path / "run").iterdir()]
    assert any(path.name.endswith(".wal") for path in made)
    for path in made:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def _workers_of(host: int) -> list[int]:
    """Return the workers of a host, as soon as it has any."""
    deadline = time.monotonic() + 30
    while not (found := [one.pid for one in psutil.Process(host).children()]):
        assert time.monotonic() < deadline, "no worker was started"
        threading.Event().wait(0.01)
    return found


def _kill_one_of(rng: random.Random, victims: list[int]) -> bool:
    """Kill a process; False where all of them had ended by themselves."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(victims), signal.SIGKILL)
        return True
    return False
