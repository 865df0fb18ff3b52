"""A long past: what ten million history rows in the store cost those who work with it today."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ipydurable.runtime.core.events import (
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    TaskCompleted,
    TaskScheduled,
)
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.records import Record, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store

from .bench import Bench, Figure
from .sizes import Sizes

__all__ = ["growth", "write_past"]

_STEPS = 5
_ROWS_PER_APPEND = 100_000
_BEGAN = datetime(2026, 1, 1)


def growth(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Compare hello and start-to-result on a long store with those on an empty one."""
    from .notebook import start_to_result
    from .workloads import hello

    empty = [*hello(bench, sizes), *start_to_result(bench, sizes)]
    with TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        size, payload = write_past(Path(folder) / "durable.duckdb", sizes.rows)
        case = f"{sizes.rows:,} rows"
        yield Figure(
            "W9 growth",
            f"{case}, file above payload",
            (size - payload) / sizes.rows,
            "bytes/row",
            60,
        )
        with closing(Bench(Path(folder))) as long:
            long.warm_up()
            full = [*hello(long, sizes), *start_to_result(long, sizes)]
    for before, after in zip(empty, full, strict=True):
        slower = before.value / after.value if before.more_is_better else after.value / before.value
        yield Figure("W9 growth", f"{case}, {before.workload}, {before.case}", slower, "times", 1.3)


def write_past(path: Path, rows: int) -> tuple[int, int]:
    """Write finished instances; return the file's size and that of the payloads in it, in bytes."""
    payload: Payload = '"Basel"'
    with closing(open_store(path)) as store:
        store.recover()
        written, iid, payloads = 0, 0, 0
        while written < rows:
            batch: list[JournalRow] = []
            records: list[Record] = []
            while len(batch) < min(_ROWS_PER_APPEND, rows - written):
                iid += 1
                record: Record | None = None
                for seq, event in enumerate(_history(iid, payload), 1):
                    batch.append(
                        JournalRow(written + len(batch) + 1, iid, seq, Stream.HISTORY, event)
                    )
                    record = fold(record, iid, seq, event)
                assert record is not None
                records.append(record)
                payloads += len(payload) * (2 + 2 * _STEPS)
            store.append(batch, records)
            store.project()
            store.checkpoint()
            written += len(batch)
        store.checkpoint(force=True)
    return path.stat().st_size, payloads


def _history(iid: int, payload: Payload) -> Iterator[Event]:
    at = _BEGAN + timedelta(seconds=iid)
    yield ExecutionStarted(
        timestamp=at,
        instance_id=f"report-{iid:012x}",
        execution_id=f"{iid:012x}",
        name="report",
        version="past",
        epoch=1,
        input=payload,
    )
    for task_id in range(1, _STEPS + 1):
        at += timedelta(milliseconds=7)
        yield TaskScheduled(timestamp=at, task_id=task_id, name="fetch", input=payload)
        at += timedelta(milliseconds=13)
        yield TaskCompleted(timestamp=at, task_id=task_id, result=payload)
    yield ExecutionCompleted(timestamp=at, status=RuntimeStatus.COMPLETED, result=payload)
