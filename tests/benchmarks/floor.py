"""The floor: one row appended and flushed at a time, the least a durable step can cost."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import duckdb

__all__ = ["floor_per_s"]


def floor_per_s(commits: int) -> float:
    """Return how many single-row commits a second DuckDB does on this disk, one after another."""
    with tempfile.TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        connection = duckdb.connect(str(Path(folder) / "floor.duckdb"))
        connection.execute(
            "CREATE TABLE journal(gseq BIGINT, iid BIGINT, seq INTEGER, ts TIMESTAMP,"
            " kind VARCHAR, payload VARCHAR)"
        )
        appender = connection.cursor().appender("journal")
        since = time.perf_counter()
        for number in range(commits):
            appender.append_rows([(number, 1, number, None, "TaskCompleted", "1")])
            appender.flush()
        per_s = commits / (time.perf_counter() - since)
        del appender
        connection.close()
    return per_s
