"""Fixtures of tests with real host processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.launch import find_host
from ipydurable.runtime.link import Link
from tests.processes.sources import SOURCES, definition, wait_until


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[HostPaths]:
    paths = HostPaths(tmp_path / "store.duckdb", tmp_path / "run")
    yield paths
    info = find_host(paths)
    if info is not None:
        os.kill(info.pid, signal.SIGTERM)
        wait_until(lambda: not is_locked(paths.lock))


@pytest.fixture
def connect(paths: HostPaths) -> Iterator[Callable[[], DurableClient]]:
    """Gives clients of the store's host, with everything defined."""
    clients: list[DurableClient] = []

    def make() -> DurableClient:
        client = DurableClient(Link(paths), NamespaceConverter({}))
        clients.append(client)
        client.define([definition(name) for name in SOURCES])
        return client

    yield make
    for client in clients:
        client.close()
