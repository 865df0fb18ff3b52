"""The host: a process of its own that outlives its clients, and is replaced when it dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from ipydurable.runtime import launch
from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.errors import (
    HostStartError,
    InstanceExistsError,
    NotAStoreError,
    StoreLockedError,
    UnknownInstanceError,
)
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import ActivityOptions, Chunk, CodePackage, Definition, Kind
from ipydurable.runtime.launch import find_host
from ipydurable.runtime.link import Link
from ipydurable.runtime.ports import InstanceQuery, InstanceUpdate
from ipydurable.runtime.requests import GetInstance
from ipydurable.runtime.wire import Call, Calls, Signer
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes


def test_an_orchestration_runs_in_the_host_with_activities_in_worker_processes(
    connect: Callable[[], DurableClient],
) -> None:
    client = connect()
    record = client.wait(client.start("chain", 10), timeout_s=60)
    assert (record.status, client.decode(record.output)) == (RuntimeStatus.COMPLETED, 1024)
    workers = client.sql("SELECT DISTINCT worker FROM activities")["worker"].to_pylist()
    assert all(worker.startswith("process ") for worker in workers)
    assert str(client.host_status().pid) not in {worker.split()[1] for worker in workers}


def test_two_clients_share_one_host(connect: Callable[[], DurableClient]) -> None:
    one, two = connect(), connect()
    assert one.host_status().pid == two.host_status().pid
    one.start("listener", instance_id="shared")
    two.raise_event("shared", "go", {"from": "two"})
    assert one.decode(one.wait("shared", timeout_s=30).output) == {"from": "two"}
    with pytest.raises(InstanceExistsError):
        two.start("listener", instance_id="shared")


def test_a_killed_host_is_replaced_and_what_ran_goes_on(
    connect: Callable[[], DurableClient], tmp_path: Path
) -> None:
    client = connect()
    effects = tmp_path / "effects.txt"
    items = [[str(effects), n] for n in range(300)]
    instance_id = client.start("total", items)
    first = client.host_status().pid
    wait_until(lambda: effects.exists() and effects.stat().st_size > 100)
    os.kill(first, signal.SIGKILL)
    record = client.wait(instance_id, timeout_s=90)
    assert client.decode(record.output) == sum(range(300))
    assert client.host_status().pid != first
    counts = client.sql(
        "SELECT count(*) AS n, count(DISTINCT task_id) AS tasks FROM history "
        "WHERE event_type = 'TaskCompleted' AND instance_id = $id",
        {"id": instance_id},
    ).to_pylist()
    assert counts == [{"n": 300, "tasks": 300}]
    assert {int(line) for line in effects.read_text().split()} == set(range(300))


def test_a_subscription_goes_on_with_the_next_host(
    connect: Callable[[], DurableClient],
) -> None:
    client = connect()
    client.start("listener", instance_id="followed")
    updates: list[InstanceUpdate] = []
    end = client.subscribe("followed", updates.append)
    os.kill(client.host_status().pid, signal.SIGKILL)
    client.raise_event("followed", "go", 1)
    wait_until(lambda: bool(updates) and updates[-1].record.status is RuntimeStatus.COMPLETED)
    end()


def test_a_stopped_host_is_started_again_by_the_next_call(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    client = connect()
    client.start("listener", instance_id="waits")
    client.stop_host()
    wait_until(lambda: not is_locked(paths.lock))
    client.raise_event("waits", "go", "on")
    assert client.decode(client.wait("waits", timeout_s=30).output) == "on"


def test_who_watches_is_told_that_the_host_is_gone_and_back(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    client = connect()
    told: list[str] = []
    end = client.watch_connection(told.append)
    client.stop_host()
    wait_until(lambda: told != [])
    assert "was stopped" in told[0]
    late: list[str] = []
    client.watch_connection(late.append)
    assert late == told
    wait_until(lambda: not is_locked(paths.lock))
    client.query(InstanceQuery())
    wait_until(lambda: told[-1] == "")
    end()
    client.stop_host()
    assert told[-1] == ""


def test_an_idle_host_ends_by_itself_but_not_while_something_waits(
    connect: Callable[[], DurableClient], paths: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYDURABLE_IDLE_S", "0.2")
    client = connect()
    client.start("listener", instance_id="waits")
    pid = client.host_status().pid
    client.close()
    other = connect()
    assert other.host_status().pid == pid
    other.raise_event("waits", "go")
    other.wait("waits", timeout_s=30)
    other.close()
    wait_until(lambda: not is_locked(paths.lock))


def test_the_files_of_a_host_are_private(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    connect()
    for path in (paths.connection, paths.lock, paths.log, paths.store):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_client_that_starts_a_host_gets_the_reason_why_it_cannot(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.duckdb"
    wrong.write_text("these are my notes")
    with pytest.raises(NotAStoreError, match=r"notes\.duckdb"):
        Link(HostPaths(wrong, tmp_path / "run"))
    assert wrong.read_text() == "these are my notes"


def test_a_store_that_another_program_has_open_names_it(tmp_path: Path) -> None:
    path = tmp_path / "taken.duckdb"
    script = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreLockedError, match=str(holder.pid)):
            Link(HostPaths(path, tmp_path / "run"))
    finally:
        holder.communicate(b"\n")


def test_messages_without_the_key_are_not_answered(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    client = connect()
    client.start("listener", instance_id="one")
    info = find_host(paths)
    assert info is not None
    call = Call(number=1, request=GetInstance(instance_id="one"))
    body = msgspec.msgpack.encode(Calls(client=b"x" * 16, number=1, calls=[call]))
    good = Signer(bytes.fromhex(info.key), b"to host").sign(body)
    bad: list[Any] = [
        Signer(b"another key", b"to host").sign(body),
        Signer(bytes.fromhex(info.key), b"to client").sign(body),
        [good[0][:-1] + b"\0", body],
        [good[0], body + b"\0"],
        [body],
        [b"", b""],
    ]
    context = zmq.Context()
    with context.socket(zmq.DEALER) as sock:
        sock.connect(info.address)
        for frames in bad:
            sock.send_multipart(frames)
        assert not sock.poll(300)
        sock.send_multipart(good)
        assert sock.poll(10_000)
        sock.recv_multipart()
        sock.send_multipart(good)
        assert not sock.poll(300), "a message that was played back was answered"
    context.term()
    assert client.get("one").status is RuntimeStatus.RUNNING


def test_unknown_instances_are_said_to_be_unknown(
    connect: Callable[[], DurableClient],
) -> None:
    client = connect()
    client.start("listener", instance_id="orders-2026")
    with pytest.raises(UnknownInstanceError, match="'orders-2026'"):
        client.get("orders-2025")
    with pytest.raises(UnknownInstanceError):
        client.wait("nothing", timeout_s=10)


def test_the_options_of_an_activity_reach_the_host(
    connect: Callable[[], DurableClient],
) -> None:
    client = connect()
    flaky = (
        "def flaky(path):\n"
        "    with open(path, 'a+') as file:\n"
        "        file.write('x')\n"
        "        file.seek(0)\n"
        "        if len(file.read()) < 3:\n"
        "            raise ConnectionError('not yet')\n"
        "    return 'at last'\n"
    )
    once = "async def once(ctx, path):\n    return await ctx.call_activity('flaky', path)\n"
    client.define(
        [
            Definition(
                kind=Kind.ACTIVITY,
                name="flaky",
                version="f",
                package=CodePackage(entry="flaky", chunks=(Chunk(name="flaky", source=flaky),)),
                options=ActivityOptions(max_attempts=3, retry_delay_s=0.01),
            ),
            Definition(
                kind=Kind.ORCHESTRATOR,
                name="once",
                version="o",
                package=CodePackage(entry="once", chunks=(Chunk(name="once", source=once),)),
            ),
        ]
    )
    path = str(Path(client.host_status().store).with_suffix(".attempts"))
    record = client.wait(client.start("once", path), timeout_s=60)
    assert client.decode(record.output) == "at last"


def test_a_host_that_is_killed_whenever_it_starts_is_given_up(
    paths: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, since the next one may live; nor is it tried for ever."""
    start = launch._HostProcess
    started: list[subprocess.Popen[bytes]] = []

    def start_killed(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        started.append(start([command[0], "-c", program], **how))
        return started[-1]

    monkeypatch.setattr(launch, "_HostProcess", start_killed)
    with pytest.raises(HostStartError, match="code -9"):
        Link(paths)
    assert len(started) == 5


def test_a_process_that_ends_says_nothing_of_the_host_it_started(paths: HostPaths) -> None:
    """Python warns of processes that still run, but this one is meant to."""
    program = (
        "from pathlib import Path; from ipydurable.runtime.connection import HostPaths; "
        "from ipydurable.runtime.link import Link; "
        f"Link(HostPaths(Path({str(paths.store)!r}), Path({str(paths.folder)!r}))).close()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True
    )
    assert "ResourceWarning" not in done.stderr
    assert is_locked(paths.lock)
