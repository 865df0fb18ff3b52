"""A dashboard of a store with very many instances: what crosses the link stays small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import ipydurable
from ipydurable.overview import take_overview
from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.events import Event, ExecutionCompleted, ExecutionStarted
from ipydurable.runtime.core.records import Record, fold_record
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.store import open_store
from ipydurable.store_tables import InstanceRows

COUNT = 30_000


def fill(path: Path) -> None:
    """Write a store with many finished instances, as a host would have left it."""
    store = open_store(path)
    store.recover()
    gseq = 0
    for begin in range(0, COUNT, 10_000):
        rows: list[JournalRow] = []
        records: list[Record] = []
        for iid in range(begin + 1, begin + 10_001):
            at = datetime(2026, 1, 1) + timedelta(minutes=iid)
            status = RuntimeStatus.FAILED if iid % 20 == 0 else RuntimeStatus.COMPLETED
            events: list[Event] = [
                ExecutionStarted(
                    timestamp=at, instance_id=f"job-{iid}", execution_id="e", name=f"job{iid % 3}"
                ),
                ExecutionCompleted(timestamp=at + timedelta(seconds=2), status=status, result="1"),
            ]
            record: Record | None = None
            for seq, event in enumerate(events, 1):
                gseq += 1
                rows.append(JournalRow(gseq, iid, seq, Stream.HISTORY, event))
                record = fold_record(record, iid, seq, event)
            assert record is not None
            records.append(record)
        store.append(rows, records)
    store.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableClient]:
    path = tmp_path_factory.mktemp("large") / "s.duckdb"
    fill(path)
    with ipydurable.open_archive(path) as archive:
        yield archive.client


def test_an_overview_counts_all_and_is_small(client: DurableClient) -> None:
    taken = take_overview(client)
    assert dict(taken.counts) == {"Completed": COUNT * 19 // 20, "Failed": COUNT // 20}
    assert sum(map(sum, taken.histogram.bins)) == COUNT
    assert len(taken.histogram.bins) <= 200
    assert len(msgspec.json.encode(taken)) < 10_000


def test_a_page_is_as_small_wherever_it_is(client: DurableClient) -> None:
    rows = InstanceRows(client)
    for query, offset in (({}, 0), ({}, COUNT - 50), ({"status": ["Failed"], "sort": "id"}, 700)):
        page = rows.page(query, offset)
        assert len(page["rows"]) == 50
        assert len(msgspec.json.encode(page)) < 10_000
    assert rows.page({}, COUNT - 50)["rows"][-1][0] == "job-1"
    assert rows.page({"text": "job-2999"})["total"] == 11
    assert rows.names() == [["job0", 10_000], ["job1", 10_000], ["job2", 10_000]]
