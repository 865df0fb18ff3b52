"""Full disks, damaged files, other versions: what a client of a real host is told of them."""

from __future__ import annotations

import os
import resource
import signal
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.errors import (
    NotAStoreError,
    StoreDamagedError,
    StoreUnwritableError,
    StoreVersionError,
)
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.launch import find_host
from ipydurable.runtime.link import Link
from ipydurable.runtime.ports import InstanceQuery
from ipydurable.runtime.requests import GetInstance, Start, StartMany
from ipydurable.store.migrations import MIGRATIONS, migrate
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes


def log_of(paths: HostPaths) -> Path:
    """Return where the write-ahead log is."""
    return Path(f"{paths.store}.wal")


def kill_host(client: DurableClient, paths: HostPaths) -> None:
    """Kill the host, and leave the store alone until it is looked at again."""
    pid = client.host_status().pid
    client.close()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_locked(paths.lock))


def restart(paths: HostPaths) -> DurableClient:
    """Return a client of another host."""
    return DurableClient(Link(paths), NamespaceConverter({}))


@pytest.fixture
def killed(connect: Callable[[], DurableClient], paths: HostPaths) -> HostPaths:
    """Give the files of a host that was killed while an instance waited."""
    client = connect()
    client.start("listener", instance_id="waits")
    client.wait(client.start("chain", 5), timeout_s=60)
    kill_host(client, paths)
    return paths


def goes_on(paths: HostPaths) -> list[str]:
    """Have what waited come to its end; returns what the host reported on opening the store."""
    with closing(restart(paths)) as client:
        client.raise_event("waits", "go", 1)
        assert client.decode(client.wait("waits", timeout_s=60).output) == 1
        return client.host_status().report


def starting(client: DurableClient) -> Callable[[], bool]:
    """Start an instance without waiting; returns whether that was acknowledged."""
    start = Start(name="chain", instance_id="late", input="3", request_id="late")
    return client.transport.request(StartMany(starts=[start])).done


def test_on_a_full_disk_work_stops_says_so_and_goes_on_when_there_is_room(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    client = connect()
    done = client.wait(client.start("chain", 2), timeout_s=60)
    pid = client.host_status().pid
    size = log_of(paths).stat().st_size
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    is_acknowledged = starting(client)
    wait_until(lambda: "Could not write" in client.host_status().trouble)
    assert "Make room there, and work goes on" in client.host_status().trouble
    assert not is_acknowledged()
    assert client.get(done.instance_id) == done  # What is committed can still be read.
    assert len(client.execution(done.instance_id, 0).events) == done.last_seq
    assert client.query(InstanceQuery()) == [done]
    found = client.sql("SELECT instance_id FROM instances WHERE status = 'Completed'")
    assert found.to_pylist() == [{"instance_id": done.instance_id}]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert client.decode(client.wait("late", timeout_s=60).output) == 8
    assert is_acknowledged()
    assert client.host_status().trouble == ""
    assert client.host_status().pid == pid


def test_a_store_that_is_moved_takes_nothing_until_it_is_back(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    client = connect()
    client.wait(client.start("chain", 2), timeout_s=60)
    elsewhere = paths.store.with_name("elsewhere.duckdb")
    paths.store.rename(elsewhere)
    is_acknowledged = starting(client)
    wait_until(lambda: "moved, replaced or deleted" in client.host_status().trouble)
    assert not is_acknowledged()
    elsewhere.rename(paths.store)
    assert client.decode(client.wait("late", timeout_s=60).output) == 8
    assert client.host_status().trouble == ""


def test_a_store_in_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder without permission; for root, who has all, one that takes no files."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    place = Path("/proc") if os.geteuid() == 0 else folder
    with pytest.raises(StoreUnwritableError):
        Link(HostPaths(place / "s.duckdb", tmp_path / "run"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o500


def test_a_store_without_its_log_is_refused_until_the_log_is_back(killed: HostPaths) -> None:
    """The client that starts the host is told what is missing, and what to do."""
    log = log_of(killed)
    away = log.with_name("away")
    log.rename(away)
    with pytest.raises(StoreDamagedError, match=r"\.wal is not there\. Nothing was changed"):
        restart(killed)
    away.rename(log)
    assert goes_on(killed) == []


def test_one_can_go_on_without_the_log_by_deleting_the_mark(killed: HostPaths) -> None:
    log_of(killed).unlink()
    with pytest.raises(StoreDamagedError) as refused:
        restart(killed)
    mark = Path(f"{killed.store}.wal.mark")
    assert str(mark) in refused.value.advice
    mark.unlink()
    with closing(restart(killed)) as client:
        assert client.sql("SELECT count(*) AS n FROM instances").to_pylist() == [{"n": 0}]
        assert "without its write-ahead log" in client.host_status().report[0]


def test_a_log_that_lost_its_end_unseen_is_refused(killed: HostPaths) -> None:
    """Where it ends too early DuckDB sees nothing amiss; the mark does."""
    log = log_of(killed)
    whole = log.read_bytes()
    log.write_bytes(whole[:100])
    with pytest.raises(StoreDamagedError, match="log ends too early"):
        restart(killed)
    log.write_bytes(whole)
    assert goes_on(killed) == []


def test_a_torn_last_commit_is_left_out_with_a_report_and_a_copy(killed: HostPaths) -> None:
    log = log_of(killed)
    torn = bytearray(log.read_bytes())
    torn[-24:] = bytes(24)
    log.write_bytes(torn)
    report = goes_on(killed)
    assert "was damaged" in report[0]
    copies = list(killed.store.parent.glob("*.damaged-*"))
    assert [one.read_bytes() for one in copies] == [bytes(torn)]


@pytest.mark.parametrize("what", ["log", "file"])
def test_flipped_bytes_are_refused(killed: HostPaths, what: str) -> None:
    path = log_of(killed) if what == "log" else killed.store
    damaged = bytearray(path.read_bytes())
    # Of the file the first copy of its head; of the log something between two commits.
    at = len(damaged) // 2 if what == "log" else 30
    damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(StoreDamagedError, match=r"Restore"):
        restart(killed)
    assert path.read_bytes() == bytes(damaged)


def test_a_journal_with_a_hole_is_refused_in_words(killed: HostPaths) -> None:
    """The host looks at it only after it opened the file; the client is told all the same."""
    with duckdb.connect(killed.store) as raw:
        raw.execute("UPDATE meta SET value = '0' WHERE key = 'applied_gseq'").fetchall()
        raw.execute("DELETE FROM journal WHERE gseq = 3").fetchall()
    with pytest.raises(StoreDamagedError, match="row 3 of its journal is missing"):
        restart(killed)


def test_who_asks_after_a_stop_is_told_why_no_host_starts(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    """The request fails at once; once the store is right again the next one is answered."""
    client = connect()
    client.start("listener", instance_id="waits")
    client.stop_host()
    wait_until(lambda: not is_locked(paths.lock))
    kept = paths.store.read_bytes()
    paths.store.write_text("these are my notes")
    for _ in range(2):
        with pytest.raises(NotAStoreError):
            client.transport.request(GetInstance(instance_id="waits")).result(10)
    paths.store.write_bytes(kept)
    assert client.get("waits").status is RuntimeStatus.RUNNING


def test_a_store_of_a_newer_version_is_refused(killed: HostPaths) -> None:
    with duckdb.connect(killed.store) as raw:
        raw.execute(
            "INSERT INTO migrations VALUES (99, 'later', TIMESTAMP '2030-01-01')"
        ).fetchall()
    before = killed.store.read_bytes()
    with pytest.raises(StoreVersionError, match="newer ipydurable"):
        restart(killed)
    assert killed.store.read_bytes() == before


def test_a_store_of_an_older_version_is_brought_up_and_used(
    connect: Callable[[], DurableClient], paths: HostPaths
) -> None:
    with closing(duckdb.connect(paths.store)) as raw:
        migrate(raw, str(paths.store), MIGRATIONS[:1])
    client = connect()
    reports = zip(MIGRATIONS[1:], client.host_status().report, strict=True)
    assert all(f"schema {step.version}" in said for step, said in reports)
    record = client.wait(client.start("chain", 3), timeout_s=60)
    assert record.status is RuntimeStatus.COMPLETED
    assert find_host(paths) is not None
