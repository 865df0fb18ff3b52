"""Large frames with a real host and real workers: in files, once, and never in the store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

import ipydurable

pytestmark = pytest.mark.processes

MEGABYTES = int(os.environ.get("IPYDURABLE_FRAME_MB", "64"))
WIDTH = 20


@ipydurable.activity
def total(frame, extra=0):
    return float(frame["a"].sum()) + extra


@ipydurable.activity
def make(rows):
    import numpy as np
    import pandas as pd

    return pd.DataFrame({name: np.arange(rows, dtype="float64") for name in "abcd"})


@ipydurable.activity
def spoil(frame):
    frame.iloc[0, 0] = -1.0
    return float(frame["a"].iloc[0])


@ipydurable.orchestrator
async def share(ctx, frame, width):
    totals = await ctx.when_all([ctx.call_activity(total, frame) for _ in range(width)])
    more = await total(frame, 1)
    return totals, more


@ipydurable.orchestrator
async def pass_on(ctx, rows):
    made = await ctx.call_activity(make, rows)
    spoilt = await ctx.call_activity(spoil, made)
    return spoilt, await ctx.call_activity(total, made), made


@ipydurable.orchestrator
async def give(ctx, rows):
    return await ctx.call_activity(make, rows)


def _rows() -> int:
    return MEGABYTES * 1_000_000 // 32


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ipydurable.Runtime]:
    with ipydurable.Runtime(tmp_path / "store.duckdb") as made:
        yield made


def _files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "store.duckdb.files").iterdir())


def test_a_frame_given_to_many_activities_is_stored_once(
    runtime: ipydurable.Runtime, tmp_path: Path
) -> None:
    frame = pd.DataFrame({name: np.arange(_rows(), dtype="float64") for name in "abcd"})
    expected = float(frame["a"].sum())
    before = psutil.Process().memory_info().rss
    totals, more = runtime.start(share, frame, WIDTH).result()
    assert totals == [expected] * WIDTH
    assert more == expected + 1
    (kept,) = _files(tmp_path)
    assert kept.stat().st_size < frame.memory_usage().sum() * 1.05
    # Neither kernel nor engine, both of which are here, have copied it.
    assert psutil.Process().memory_info().rss - before < frame.memory_usage().sum() * 2
    stored = sum(one.stat().st_size for one in tmp_path.glob("store.duckdb*") if one.is_file())
    assert stored < 8_000_000


def test_a_result_is_passed_on_by_name_and_no_activity_can_spoil_it(
    runtime: ipydurable.Runtime, tmp_path: Path
) -> None:
    run = runtime.start(pass_on, _rows())
    spoilt, whole, made = run.result()
    assert spoilt == -1.0
    assert whole == float(np.arange(_rows(), dtype="float64").sum())
    assert len(made) == _rows()
    assert made["a"].iloc[0] == 0.0
    assert len(_files(tmp_path)) == 1


def test_sql_reads_frames_in_files(runtime: ipydurable.Runtime) -> None:
    frame = pd.DataFrame({"a": np.arange(_rows() // 4, dtype="float64")})
    run = runtime.start(share, frame, 1, instance_id="shared")
    run.result()
    (found,) = runtime.client.sql(
        "SELECT task_id, seq FROM history WHERE event_type = 'TaskScheduled' ORDER BY seq LIMIT 1"
    ).to_pylist()
    counted = runtime.client.sql(
        f"SELECT count(*) AS n, max(a) AS most FROM payload('shared', {found['seq']})"
    )
    assert counted.to_pylist() == [{"n": len(frame), "most": float(len(frame) - 1)}]


def test_an_export_takes_its_frames_along(tmp_path: Path) -> None:
    there, sent = tmp_path / "there", tmp_path / "here" / "sent.parquet"
    there.mkdir()
    sent.parent.mkdir()
    with ipydurable.Runtime(there / "store.duckdb") as runtime:
        runtime.start(give, _rows(), instance_id="made").result()
    with ipydurable.open_archive(there / "store.duckdb") as archive:
        assert len(archive.instance("made").result()) == _rows()
        ipydurable.export(sent, "made")
    shutil.rmtree(there)
    with ipydurable.open_archive(sent) as archive:
        made = archive.instance("made").result()
        assert len(made) == _rows()
        assert float(made["a"].sum()) == float(np.arange(_rows(), dtype="float64").sum())


def test_a_file_that_no_run_names_any_more_goes_with_the_purge(
    runtime: ipydurable.Runtime, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"a": np.arange(1_000_000, dtype="float64")})
    runtime.start(share, frame, 1, instance_id="old").result()
    runtime.start(share, frame + 1, 1, instance_id="kept").result()
    long_ago = time.time() - 3 * 24 * 3600
    for one in _files(tmp_path):
        os.utime(one, (long_ago, long_ago))
    assert len(_files(tmp_path)) == 2
    runtime.client.purge("old")
    runtime.settle(30)
    assert len(_files(tmp_path)) == 1
    assert runtime.start(share, frame + 1, 1).result()[1] > 0
