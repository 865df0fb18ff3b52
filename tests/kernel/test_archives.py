"""Stores that are only read, and instances that travel in a Parquet file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import ipydurable
from ipydurable import Runtime
from ipydurable.errors import (
    DecodingError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreLockedError,
    UnknownInstanceError,
)
from ipydurable.runtime.executors.threads import ThreadExecutor
from ipydurable.session import DurableSession
from tests.kernel.shells import Shell


class Opaque:
    """Is neither JSON nor a table."""


@ipydurable.activity(on="threads")
def table(n):
    print(f"table of {n}")  # noqa: T201  (it is kept)
    return pd.DataFrame({"n": range(n)})


@ipydurable.activity(on="threads")
def opaque():
    return Opaque()


@ipydurable.orchestrator
async def child(ctx, n):
    await table(n)
    return "x" * 100_000


@ipydurable.orchestrator
async def parent(ctx, n):
    await child(n)
    await opaque()
    return n


@ipydurable.orchestrator
async def waits(ctx):
    await ctx.wait_for_external_event("go")


@ipydurable.entity
class Tally:
    count: int = 0

    def add(self, n):
        self.count += n
        return self.count


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store file that was left with an instance in flight."""
    path = tmp_path_factory.mktemp("store") / "s.duckdb"
    with Runtime(path, executors={"threads": ThreadExecutor()}) as runtime:
        runtime.start(parent, 3, instance_id="p", tags={"k": "v"}).result(60)
        runtime.entity("Tally@t").add(2).result(60)
        runtime.start(waits, instance_id="w").wait_for_start(60)
    return path


@pytest.fixture(scope="module")
def exported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Parquet file with the instance, its child and an entity."""
    path = tmp_path_factory.mktemp("export") / "p.parquet"
    with ipydurable.open_archive(store):
        assert ipydurable.export(path, ["p", "@tally@t"]) == 3
    return path


@pytest.fixture(params=["store", "exported"])
def archive(request: pytest.FixtureRequest) -> Iterator[DurableSession]:
    """Give the same instance from the store itself and from what was exported of it."""
    with ipydurable.open_archive(request.getfixturevalue(request.param)) as session:
        yield session


def test_tables_histories_values_and_output_are_there(archive: DurableSession) -> None:
    run = archive.instance("p")
    assert run.result() == 3
    assert run.history()["event_type"].iloc[-1] == "ExecutionCompleted"
    (inner,) = run.children()["instance_id"]
    done = archive.instance(inner)["table"][0]
    assert done.result.equals(pd.DataFrame({"n": range(3)}))
    assert done.output.text == "table of 3\n"
    assert len(archive.instance(inner).output) == 100_000
    seq = int(archive.activities(inner)["end_seq"].iloc[0])
    assert archive.sql(f"SELECT sum(n) AS s FROM payload('{inner}', {seq})")["s"][0] == 3
    assert archive.payload("@tally@t") == {"count": 2}
    assert set(archive.definitions()["name"]) >= {"parent", "child", "table", "Tally"}


def test_views_are_drawn_without_unpickling(archive: DurableSession) -> None:
    run = archive.instance("p")
    assert "opaque" in run.timeline()._repr_mimebundle_()["text/html"]
    with pytest.raises(DecodingError, match="only read"):
        _ = run["opaque"][0].result


def test_nothing_of_it_can_run(archive: DurableSession) -> None:
    run = archive.instance("p")
    for what, forbidden in (
        ("define a function", lambda: parent.start(1)),
        ("restart", run.restart),
        ("raise an event", lambda: run.raise_event("go")),
        ("purge", run.purge),
        ("define a function", lambda: archive.entity("Tally@t").add(1)),
    ):
        with pytest.raises(
            ReadOnlyStoreError, match=f"reading only, and was asked to {what}\\. To"
        ):
            forbidden()
    with pytest.raises(UnknownInstanceError, match="nobody"):
        archive.instance("nobody")


def test_waiting_for_what_will_not_end_is_refused(store: Path) -> None:
    with ipydurable.connect(store, read_only=True) as archive:
        assert archive.instance("w").status.value == "Running"
        with pytest.raises(ReadOnlyStoreError, match="asked to wait for 'w'"):
            archive.instance("w").result(5)


def test_reading_leaves_the_folder_as_it_was(store: Path) -> None:
    before = {path.name: path.read_bytes() for path in store.parent.iterdir()}
    with ipydurable.open_archive(store) as archive:
        assert len(archive.instances()) == 3
    assert {path.name: path.read_bytes() for path in store.parent.iterdir()} == before


def test_what_a_killed_host_had_only_in_its_log_is_read_too(store: Path, tmp_path: Path) -> None:
    live = tmp_path / "live.duckdb"
    shutil.copy(store, live)
    with Runtime(live, executors={"threads": ThreadExecutor()}) as runtime:
        runtime.instance("w").raise_event("go")
        runtime.instance("w").wait(60)
        copy = tmp_path / "copy.duckdb"
        shutil.copy(live, copy)
        shutil.copy(f"{live}.wal", f"{copy}.wal")
        with pytest.raises(StoreLockedError):
            ipydurable.open_archive(live)
    log = Path(f"{copy}.wal").read_bytes()
    with ipydurable.open_archive(copy) as archive:
        assert archive.instance("w").status.value == "Completed"
        assert archive.instances(status="completed", name="waits")["instance_id"].tolist() == ["w"]
    assert Path(f"{copy}.wal").read_bytes() == log


def test_a_store_of_an_earlier_version_is_read_as_it_is(store: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.duckdb"
    shutil.copy(store, old)
    with duckdb.connect(old) as raw:
        raw.execute("DROP VIEW attempts; DROP VIEW attempt_outputs; DROP TABLE attempt_output_rows")
        raw.execute("DELETE FROM migrations WHERE version > 1")
    before = old.read_bytes()
    with ipydurable.open_archive(old) as archive:
        assert len(archive.attempts(status="completed")) == 2
    assert old.read_bytes() == before


def test_an_export_of_nothing_and_of_filters(store: Path, tmp_path: Path) -> None:
    with ipydurable.open_archive(store):
        assert ipydurable.export(tmp_path / "none.parquet", name="nobody") == 0
        assert ipydurable.export(tmp_path / "all.parquet", tags={"k": "v"}, children=False) == 1
        with pytest.raises(UnknownInstanceError):
            ipydurable.export(tmp_path / "wrong.parquet", "nobody")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "none.parquet"]
    with ipydurable.import_(tmp_path / "none.parquet") as archive:
        assert archive.instances().empty
    with ipydurable.import_(tmp_path / "all.parquet") as archive:
        assert archive.instances()["instance_id"].tolist() == ["p"]


def test_other_tools_read_the_events(exported: Path) -> None:
    events = pd.read_parquet(exported).query("part == 'journal' and instance_id == 'p'")
    assert events["kind"].iloc[0] == "ExecutionStarted"


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError, match="no such file"):
        ipydurable.open_archive(tmp_path / "gone.duckdb")
    with duckdb.connect(tmp_path / "other.duckdb") as raw:
        raw.execute("CREATE TABLE t(x INT)")
    with pytest.raises(NotAStoreError, match="other things"):
        ipydurable.open_archive(tmp_path / "other.duckdb")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(NotAStoreError, match=r"ipydurable\.export did not write"):
        ipydurable.import_(tmp_path / "x.parquet")
    (tmp_path / "t.txt").write_text("hello")
    with pytest.raises(NotAStoreError):
        ipydurable.open_archive(tmp_path / "t.txt")


def test_a_store_whose_host_runs_is_read_through_it(shell: Shell) -> None:
    shell.must('run = report.start(["Basel"], instance_id="read")\nrun.result(60)')
    shell.must(
        "import ipydurable\nwith ipydurable.open_archive('durable.duckdb') as archive:\n"
        "    read = archive.instance('read').result()\n"
        "    count = len(archive.activities('read'))"
    )
    assert (shell.ip.user_ns["read"], shell.ip.user_ns["count"]) == (5, 1)
    shell.run("with ipydurable.open_archive('durable.duckdb') as archive:\n    report.start([])")
    assert isinstance(shell.error, ReadOnlyStoreError)


def test_the_magics_export_import_and_go_back(shell: Shell) -> None:
    shell.must('run = report.start(["Basel"], instance_id="sent")\nrun.result(60)')
    shell.must("%durable export sent.parquet {run}")
    assert "sent.parquet · 1 instance" in " ".join(shell.text.split())
    shell.must("%durable import sent.parquet")
    assert "1 instance, only to be read" in " ".join(shell.text.split())
    assert shell.must("%durable list")["instance_id"].tolist() == ["sent"]
    assert len(shell.must("%durable sql SELECT * FROM activities")) == 1
    shell.must("%durable")
    shell.must("%durable open durable.duckdb")
    assert "read" in shell.must("%durable list")["instance_id"].tolist()


def test_cards_and_the_dashboard_of_an_archive(archive: DurableSession) -> None:
    """Both show what is stored; nobody is there who would know what instances wait for."""
    card = archive.entity("Tally@t")._repr_mimebundle_()
    assert "count     2" in card["text/plain"]
    assert "add(2) → 2" in card["text/plain"]
    board = repr(archive.dashboard())
    assert "Completed" in board
    assert "its turn" not in board
