"""Both stores agree with a plain model: DuckDB's through projections and crashes, too."""

from __future__ import annotations

import copy
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipydurable.runtime.core.errors import StoreUnwritableError
from ipydurable.runtime.core.events import (
    CustomStatusSet,
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
    TaskCompleted,
    TaskScheduled,
)
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord, Record, fold_record
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import EntityQuery, InstanceQuery, JournalRow, Store, Stream
from ipydurable.runtime.testing import MemoryStore
from ipydurable.store import open_store
from ipydurable.store.duckdb_store import DuckDBStore
from tests.support.answers import answer

START = datetime(2026, 1, 1)
NAMES = ["a", "b", "ä/1"]
ENTITY_IDS = ["@acc@A", "@acc@b", "@other@A"]
OWNER = LockOwner(instance_id="a", execution_id="e", lock_id=1)
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
    """Every rule does the same to both stores and to lists and dicts."""

    store: DuckDBStore

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ipyd-store-"))
        self.files = 0
        self.memory = MemoryStore()
        self.rows: list[JournalRow] = []
        self.records: dict[int, Record] = {}
        self.consumed: set[int] = set()
        self.gseq = 0
        self.last_iid = self.purges = 0

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

    @precondition(lambda self: self.instances())
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
                st.tuples(st.sampled_from(self.instances()), st.integers(0, len(events) - 1)),
                max_size=5,
            )
        )
        seqs = {iid: record.last_seq for iid, record in self.records.items()}
        rows = []
        for iid, number in chosen:
            seqs[iid] += 1
            rows.append((iid, seqs[iid], events[number], 0))
        self._append(rows)

    @precondition(lambda self: self.instances())
    @rule(data=st.data(), payload=PAYLOAD_NAMES)
    def receive(self, data: st.DataObject, payload: str) -> None:
        """Put a message into an inbox."""
        iid = data.draw(st.sampled_from(self.instances()))
        event = EventRaised(timestamp=self._now(), name="go", input=PAYLOADS[payload])
        self._append([(iid, 0, event, 0)])

    @rule(data=st.data())
    def consume(self, data: st.DataObject) -> None:
        """Move a message from an instance's inbox into its history."""
        waiting = [row for row in self._waiting() if row.iid in self.instances()]
        if waiting:
            row = data.draw(st.sampled_from(waiting))
            seq = self.records[row.iid].last_seq + 1
            self._append([(row.iid, seq, row.event, row.gseq)])  # type: ignore[list-item]

    @rule(entity_id=st.sampled_from(ENTITY_IDS), payload=PAYLOAD_NAMES, is_lock=st.booleans())
    def ask(self, entity_id: str, payload: str, is_lock: bool) -> None:
        """Send an entity a message; the first creates it."""
        now = self._now()
        known = [one.iid for one in self.records.values() if one.instance_id == entity_id]
        if not known:
            self.last_iid += 1
        event: Event = (
            LockRequested(timestamp=now, entity_id=entity_id, owner=OWNER, rest=("@x@y",))
            if is_lock
            else OperationRequested(
                timestamp=now, entity_id=entity_id, operation="op", input=PAYLOADS[payload]
            )
        )
        self._append([(known[0] if known else self.last_iid, 0, event, 0)])

    @rule(data=st.data(), payload=PAYLOAD_NAMES, sets=st.booleans(), withdraw=st.booleans())
    def answer(self, data: st.DataObject, payload: str, sets: bool, withdraw: bool) -> None:
        """Have an entity consume a message."""
        waiting = [row for row in self._waiting() if row.iid not in self.instances()]
        if not waiting:
            return
        row = data.draw(st.sampled_from(waiting))
        now = self._now()
        event: Event
        if isinstance(row.event, OperationRequested):
            event = OperationDone(
                timestamp=now,
                operation="op",
                result=PAYLOADS[payload],
                sets_state=sets,
                state=PAYLOADS[payload] if sets else None,
            )
        elif withdraw:
            event = LockWithdrawn(timestamp=now, owner=OWNER)
        else:
            event = LockAcquired(timestamp=now, owner=OWNER)
        self._append([(row.iid, self.records[row.iid].last_seq + 1, event, row.gseq)])

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Free a locked entity."""
        locked = [
            iid
            for iid, one in self.records.items()
            if isinstance(one, EntityRecord) and one.locked_by is not None
        ]
        if locked:
            iid = data.draw(st.sampled_from(locked))
            event = LockReleased(timestamp=self._now(), owner=OWNER)
            self._append([(iid, self.records[iid].last_seq + 1, event, 0)])

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
        iids = data.draw(st.lists(st.integers(1, self.last_iid + 1), max_size=2, unique=True))
        self.purges += 1
        request_id = f"r{self.purges}"
        for store in self.stores:
            store.purge(iids, request_id)
            assert store.purged(request_id) == len(set(iids))
            assert store.purged("other") is None
        self.rows = [row for row in self.rows if row.iid not in iids]
        self.records = {iid: one for iid, one in self.records.items() if iid not in iids}

    @rule()
    def give_back_memory(self) -> None:
        """Have DuckDB drop what it keeps of the file."""
        self.store._database.give_back_memory(-1)

    @rule()
    def read_on_a_full_disk(self) -> None:
        """Nothing can be written, and all that was appended is found."""
        full = StoreUnwritableError(self.store.path, "No space left on device")
        with patch.object(self.store, "_write_pending", side_effect=full):
            assert self.store.query(InstanceQuery()) == self.memory.query(InstanceQuery())
            entities = EntityQuery(include_empty=True)
            assert self.store.query_entities(entities) == self.memory.query_entities(entities)
            ids = answer(self.store, "SELECT instance_id FROM instances").to_pylist()
        found = [one for one in self.records.values() if isinstance(one, InstanceRecord)]
        assert sorted(one["instance_id"] for one in ids) == sorted(one.instance_id for one in found)

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        """Close and open, or leave what is on the disk as a kill would."""
        path = Path(self.store.path)
        if crash:  # what is on the disk now is what a kill would leave
            self.files += 1
            copied = self.folder / f"{self.files}.duckdb"
            for suffix in ("", ".wal", ".wal.mark"):
                if Path(f"{path}{suffix}").exists():
                    shutil.copy(f"{path}{suffix}", f"{copied}{suffix}")
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
            if isinstance(record, InstanceRecord)
            and (not status or record.status in status)
            and (not name or record.name == name)
            and record.instance_id.startswith(prefix)
            and tags.items() <= record.tags.items()
            and (not before or record.iid < before)
        ]
        for store in self.stores:
            assert store.query(query) == (expected[:limit] if limit else expected)

    @rule(
        name=st.sampled_from(["", "ACC"]),
        locked=st.booleans(),
        empty=st.sampled_from(["", "include_empty", "only_empty"]),
        limit=st.sampled_from([0, 1]),
    )
    def query_entities(self, name: str, locked: bool, empty: str, limit: int) -> None:
        """List entities by conditions."""
        more = {empty: True} if empty else {}
        query = EntityQuery(name=name, locked=locked, limit=limit, **more)  # type: ignore[arg-type]
        expected = [
            record
            for _, record in sorted(self.records.items(), reverse=True)
            if isinstance(record, EntityRecord)
            and (not name or record.name == "acc")
            and (not locked or record.locked_by is not None)
            and (empty != "only_empty" or (record.state is None and not record.is_live))
            and (empty or record.state is not None or record.is_live)
        ]
        for store in self.stores:
            assert store.query_entities(query) == (expected[:limit] if limit else expected)

    @rule(first_seq=st.integers(1, 3))
    def histories(self, first_seq: int) -> None:
        """Read all histories, in bulk and one by one."""
        wanted = [copy.copy(record) for record in self.records.values()]
        for record in wanted:
            if isinstance(record, InstanceRecord):
                record.first_seq = first_seq
        expected = [self._history(record.iid, record.first_seq) for record in wanted]
        for store in self.stores:
            assert list(store.histories(wanted)) == expected
            assert [store.history(one.iid, one.first_seq) for one in wanted] == expected

    @rule(data=st.data())
    def rows_of(self, data: st.DataObject) -> None:
        """Read some rows by their numbers; those of others are not among them."""
        if not self.rows:
            return
        numbers = data.draw(st.lists(st.sampled_from([row.gseq for row in self.rows]), max_size=5))
        iid = data.draw(st.sampled_from([row.iid for row in self.rows]))
        expected = [row for row in self.rows if row.iid == iid and row.gseq in numbers]
        for store in self.stores:
            assert store.rows_of(iid, numbers) == expected
            assert list(store.all_rows()) == self.rows

    @rule()
    def sql(self) -> None:
        """Read views."""
        found = answer(self.store, "SELECT iid, status FROM instances ORDER BY iid").to_pylist()
        assert found == [
            {"iid": iid, "status": record.status.value}
            for iid, record in sorted(self.records.items())
            if isinstance(record, InstanceRecord)
        ]
        assert answer(self.store, "FROM entities").num_rows == len(self.records) - len(found)
        count = answer(self.store, "SELECT count(*) AS n FROM history").to_pylist()
        assert count == [{"n": sum(row.seq > 0 for row in self.rows)}]

    @invariant()
    def newest_are_found(self) -> None:
        """An instance id means the instance numbered highest."""
        newest = {record.instance_id: record for _, record in sorted(self.records.items())}
        for store in self.stores:
            assert store.find_many([*NAMES, *ENTITY_IDS, "none"]) == newest

    def teardown(self) -> None:
        """Remove the files."""
        self.store.close()
        shutil.rmtree(self.folder)

    def _open(self, path: Path) -> None:
        self.store = open_store(path)
        found = self.store.recover()
        assert (found.last_gseq, found.last_iid) == (self.gseq, self.last_iid)
        live = [one for _, one in sorted(self.records.items()) if one.is_live]
        assert found.live == live
        assert found.report == []
        assert self.memory.recover() == found

    def _append(self, given: list[tuple[int, int, Event, int]]) -> None:
        rows = []
        changed = set()
        for iid, seq, event, ref in given:
            self.gseq += 1
            stream = Stream.HISTORY if seq else Stream.INBOX
            rows.append(JournalRow(self.gseq, iid, seq, stream, event, ref))
            record = fold_record(self.records.get(iid), iid, seq, event)
            assert record is not None
            self.records[iid] = record
            changed.add(iid)
            self.consumed.add(ref)
        self.rows += rows
        for store in self.stores:
            store.append(rows, [self.records[iid] for iid in changed])

    @property
    def stores(self) -> tuple[Store, Store]:
        """The store in a file, and the one in memory."""
        return self.store, self.memory

    def instances(self) -> list[int]:
        """Return the numbers of the orchestrations."""
        found = self.records.items()
        return sorted(iid for iid, record in found if isinstance(record, InstanceRecord))

    def _waiting(self) -> list[JournalRow]:
        return [row for row in self.rows if row.seq == 0 and row.gseq not in self.consumed]

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
