"""The DuckDB store agrees with a plain model, through projections, crashes and purges."""

from __future__ import annotations

import copy
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipydurable.runtime.core.events import (
    CustomStatusSet,
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    TaskCompleted,
    TaskScheduled,
)
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.core.records import InstanceRecord, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceQuery, JournalRow, Stream
from ipydurable.store import open_store
from ipydurable.store.duckdb_store import DuckDBStore

START = datetime(2026, 1, 1)
NAMES = ["a", "b", "ä/1"]
PAYLOADS: dict[str, Payload | None] = {  # drawn by name: large values are slow to print
    "none": None,
    "null": "null",
    "text": '"\u00e9\U0001f600"',
    "large text": '"' + "x" * 65_600 + '"',
    "blob": Blob(codec="dill", data=b"\0\xff", summary="thing"),
    "large blob": Blob(codec="arrow", data=bytes(65_600)),
}
PAYLOAD_NAMES = st.sampled_from(sorted(PAYLOADS))
STATUSES = st.sampled_from(RuntimeStatus)


class StoreAgreement(RuleBasedStateMachine):
    """Every rule does the same to the store and to lists and dicts."""

    store: DuckDBStore

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ipyd-store-"))
        self.files = 0
        self.rows: list[JournalRow] = []
        self.records: dict[int, InstanceRecord] = {}
        self.consumed: set[int] = set()
        self.gseq = 0
        self.last_iid = 0

    @initialize()
    def open(self) -> None:
        """Begin with an empty file."""
        self._open(self.folder / "0.duckdb")

    @rule(name=st.sampled_from(NAMES), payload=PAYLOAD_NAMES, seq=st.sampled_from([0, 1]))
    def start(self, name: str, payload: str, seq: int) -> None:
        """Create an instance, started or still waiting to start."""
        self.last_iid += 1
        event = ExecutionStarted(
            timestamp=self._now(),
            instance_id=name,
            execution_id=f"e{self.last_iid}",
            name="report" if payload == "none" else "other",
            input=PAYLOADS[payload],
            tags={"first": name},
        )
        self._append([(self.last_iid, seq, event, 0)])

    @precondition(lambda self: self.records)
    @rule(data=st.data(), payload=PAYLOAD_NAMES, status=STATUSES)
    def go_on(self, data: st.DataObject, payload: str, status: RuntimeStatus) -> None:
        """Append events to some histories in one commit."""
        now = self._now()
        events: list[Event] = [
            CustomStatusSet(timestamp=now, status=PAYLOADS[payload]),
            TaskScheduled(timestamp=now, task_id=1, name="fetch", input=PAYLOADS[payload]),
            TaskCompleted(timestamp=now, task_id=1, result=PAYLOADS[payload]),
            ExecutionSuspended(timestamp=now, reason="why"),
            ExecutionResumed(timestamp=now),
            ExecutionRewound(timestamp=now),
            ExecutionCompleted(timestamp=now, status=status, result=PAYLOADS[payload]),
        ]
        chosen = data.draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(self.records)), st.integers(0, len(events) - 1)),
                max_size=5,
            )
        )
        seqs = {iid: record.last_seq for iid, record in self.records.items()}
        rows = []
        for iid, number in chosen:
            seqs[iid] += 1
            rows.append((iid, seqs[iid], events[number], 0))
        self._append(rows)

    @precondition(lambda self: self.records)
    @rule(data=st.data(), payload=PAYLOAD_NAMES)
    def receive(self, data: st.DataObject, payload: str) -> None:
        """Put a message into an inbox."""
        iid = data.draw(st.sampled_from(sorted(self.records)))
        event = EventRaised(timestamp=self._now(), name="go", input=PAYLOADS[payload])
        self._append([(iid, 0, event, 0)])

    @rule(data=st.data())
    def consume(self, data: st.DataObject) -> None:
        """Move a message from an inbox into its history."""
        waiting = [row for row in self.rows if row.seq == 0 and row.gseq not in self.consumed]
        if waiting:
            row = waiting[data.draw(st.integers(0, len(waiting) - 1))]
            seq = self.records[row.iid].last_seq + 1
            self._append([(row.iid, seq, row.event, row.gseq)])  # type: ignore[list-item]

    @rule()
    def project(self) -> None:
        """Write the records that wait."""
        self.store.project()

    @rule()
    def checkpoint(self) -> None:
        """Move the log into the file."""
        self.store.checkpoint(force=True)

    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        """Delete instances, known or not."""
        iids = data.draw(st.lists(st.integers(1, self.last_iid + 1), max_size=2))
        self.store.purge(iids)
        self.rows = [row for row in self.rows if row.iid not in iids]
        self.records = {iid: one for iid, one in self.records.items() if iid not in iids}

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        """Close and open, or leave what is on the disk as a kill would."""
        path = Path(self.store.path)
        if crash:  # what is on the disk now is what a kill would leave
            self.files += 1
            copied = self.folder / f"{self.files}.duckdb"
            shutil.copy(path, copied)
            if Path(f"{path}.wal").exists():
                shutil.copy(f"{path}.wal", f"{copied}.wal")
        self.store.close()
        self._open(copied if crash else path)

    @rule(
        status=st.lists(STATUSES, max_size=2).map(tuple),
        name=st.sampled_from(["", "report"]),
        prefix=st.sampled_from(["", "a", "ä/"]),
        tags=st.sampled_from([{}, {"first": "b"}]),
        limit=st.sampled_from([0, 1, 2]),
        before=st.integers(0, 4),
    )
    def query(
        self,
        status: tuple[RuntimeStatus, ...],
        name: str,
        prefix: str,
        tags: dict[str, str],
        limit: int,
        before: int,
    ) -> None:
        """List instances by conditions."""
        query = InstanceQuery(
            status=status, name=name, prefix=prefix, tags=tags, limit=limit, before_iid=before
        )
        expected = [
            record
            for _, record in sorted(self.records.items(), reverse=True)
            if (not status or record.status in status)
            and (not name or record.name == name)
            and record.instance_id.startswith(prefix)
            and tags.items() <= record.tags.items()
            and (not before or record.iid < before)
        ]
        assert self.store.query(query) == (expected[:limit] if limit else expected)

    @rule(first_seq=st.integers(1, 3))
    def histories(self, first_seq: int) -> None:
        """Read all histories, in bulk and one by one."""
        wanted = [copy.copy(record) for record in self.records.values()]
        for record in wanted:
            record.first_seq = first_seq
        expected = [self._history(record.iid, first_seq) for record in wanted]
        assert list(self.store.histories(wanted)) == expected
        assert [self.store.history(record.iid, first_seq) for record in wanted] == expected

    @rule()
    def sql(self) -> None:
        """Read views."""
        found = self.store.sql("SELECT iid, status FROM instances ORDER BY iid").to_pylist()
        assert found == [
            {"iid": iid, "status": record.status.value}
            for iid, record in sorted(self.records.items())
        ]
        count = self.store.sql("SELECT count(*) AS n FROM history").to_pylist()
        assert count == [{"n": sum(row.seq > 0 for row in self.rows)}]

    @invariant()
    def newest_are_found(self) -> None:
        """An instance id means the instance numbered highest."""
        newest = {record.instance_id: record for _, record in sorted(self.records.items())}
        assert self.store.find_many([*NAMES, "none"]) == newest

    def teardown(self) -> None:
        """Remove the files."""
        self.store.close()
        shutil.rmtree(self.folder)

    def _open(self, path: Path) -> None:
        self.store = open_store(path)
        found = self.store.recover()
        assert (found.last_gseq, found.last_iid) == (self.gseq, self.last_iid)
        live = [one for _, one in sorted(self.records.items()) if not one.status.is_terminal]
        assert found.live == live
        assert found.report == []

    def _append(self, given: list[tuple[int, int, Event, int]]) -> None:
        rows = []
        changed = set()
        for iid, seq, event, ref in given:
            self.gseq += 1
            stream = Stream.HISTORY if seq else Stream.INBOX
            rows.append(JournalRow(self.gseq, iid, seq, stream, event, ref))
            record = fold(self.records.get(iid), iid, seq, event)
            assert record is not None
            self.records[iid] = record
            changed.add(iid)
            self.consumed.add(ref)
        self.rows += rows
        self.store.append(rows, [self.records[iid] for iid in changed])

    def _history(self, iid: int, first_seq: int) -> list[JournalRow]:
        return [
            row
            for row in self.rows
            if row.iid == iid
            and (row.seq >= first_seq if row.seq else row.gseq not in self.consumed)
        ]

    def _now(self) -> datetime:
        return START + timedelta(seconds=self.gseq, microseconds=self.gseq)


StoreAgreement.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestStoreAgreement = StoreAgreement.TestCase
