"""One host and many clients: some large, some slow, some gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
import zmq

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.core.errors import EncodingError
from ipydurable.runtime.launch import find_host
from ipydurable.runtime.wire import MAX_MESSAGE_BYTES

pytestmark = pytest.mark.processes

_NOTEBOOK = """
import sys
from pathlib import Path
from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.link import Link
client = DurableClient(Link(HostPaths(sys.argv[1], Path(sys.argv[2]))), NamespaceConverter({}))
ids = client.start_many("chain", [3] * 20)
print(sum(client.decode(client.wait(one, timeout_s=90).output) for one in ids), flush=True)
client.close()
"""
_FOLLOWER = """
import sys, threading
from pathlib import Path
from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths
from ipydurable.runtime.link import Link
client = DurableClient(Link(HostPaths(sys.argv[1], Path(sys.argv[2]))), NamespaceConverter({}))
client.subscribe(sys.argv[3], lambda update: print("told", flush=True))
threading.Event().wait()
"""


def _python(source: str, paths: HostPaths, *more: str) -> subprocess.Popen[str]:
    folder = str(paths.folder)
    return subprocess.Popen(
        [sys.executable, "-c", source, str(paths.store), folder, *more],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ten_notebooks_share_a_host(connect: Callable[[], DurableClient], paths: HostPaths) -> None:
    client = connect()
    host = client.host_status().pid
    notebooks = [_python(_NOTEBOOK, paths) for _ in range(10)]
    answers = [int(notebook.communicate(timeout=120)[0]) for notebook in notebooks]
    assert answers == [20 * 8] * 10
    assert client.host_status().pid == host
    counted = client.sql("SELECT count(*) AS n FROM instances WHERE status = 'Completed'")
    assert counted.to_pylist() == [{"n": 200}]


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
def test_a_follower_that_does_not_read_or_is_dead_slows_nobody(
    connect: Callable[[], DurableClient], paths: HostPaths, sent: signal.Signals
) -> None:
    """It is stopped or killed in the middle; the host neither waits for it nor keeps all for it."""
    client = connect()
    client.start("listener", instance_id="followed")
    follower = _python(_FOLLOWER, paths, "followed")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "told\n"
    os.kill(follower.pid, sent)
    try:
        host = psutil.Process(client.host_status().pid)
        before = host.memory_info().rss
        for n in range(2_000):
            client.raise_event("followed", "unheard", "x" * 1_000 + str(n))
        ids = client.start_many("chain", [3] * 50)
        assert all(client.wait(one, timeout_s=90).output == "8" for one in ids)
        assert host.memory_info().rss - before < 200_000_000
    finally:
        os.kill(follower.pid, signal.SIGCONT)
        follower.kill()
        follower.wait()
        follower.stdout.close()


def test_a_request_that_is_too_large_is_refused_before_it_is_sent(
    connect: Callable[[], DurableClient],
) -> None:
    client = connect()
    with pytest.raises(EncodingError, match="a message to the host may take 268 MB"):
        client.start_many("chain", ["x" * (MAX_MESSAGE_BYTES // 2)] * 2)
    assert client.wait(client.start("chain", 1), timeout_s=60).output == "2"


def test_a_frame_that_is_too_large_ends_its_connection_only(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    """It is refused by its length: nothing of it gets into memory."""
    client = connect()
    info = find_host(paths)
    assert info is not None
    host = psutil.Process(info.pid)
    before = host.memory_info().rss
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.DEALER)
    monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    sock.connect(f"tcp://{info.ip}:{info.port}")
    sock.send(bytes(MAX_MESSAGE_BYTES + 1), copy=False)
    try:
        assert monitor.poll(30_000)
    finally:
        sock.disable_monitor()
        monitor.close(linger=0)
        sock.close(linger=0)
    context.term()
    assert host.memory_info().rss - before < MAX_MESSAGE_BYTES / 2
    assert client.wait(client.start("chain", 1), timeout_s=60).output == "2"
