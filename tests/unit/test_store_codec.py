"""Journal rows survive the way through their columns and through DuckDB."""

from __future__ import annotations

import json
import math
from contextlib import closing
from datetime import datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.asked_forms import AskedField, AskedForm, Choice
from ipydurable.runtime.core.errors import DecodingError, DurableInternalError
from ipydurable.runtime.core.events import (
    ActivityProgressed,
    AttemptRecord,
    EntityEvent,
    EventRaised,
    ExecutionStarted,
    HistoryEvent,
    LockOwner,
    OperationCaller,
    OperationDone,
    OperationRequested,
    ParentInstance,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord, Record
from ipydurable.runtime.definitions import (
    ActivityOptions,
    Chunk,
    CodePackage,
    Definition,
    DefinitionAdded,
    Kind,
)
from ipydurable.runtime.ports import InstanceQuery, JournalRow, Stream
from ipydurable.store import codec, open_store
from ipydurable.store.codec import digests_of, pack, unpack
from ipydurable.store.payloads import LargeValue, large_value
from ipydurable.store.projections import decode_refs, pack_record, unpack_record
from tests.support.answers import answer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)
TIMES = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1))
TEXTS = st.text(max_size=8)
LARGE = st.integers(0, 3).map(lambda n: "x" * 65_537 + str(n))
BLOBS = st.builds(
    Blob,
    codec=st.sampled_from(["pickle", "json", "arrow"]),
    data=st.binary(max_size=8) | LARGE.map(str.encode),
    summary=TEXTS,
)
PAYLOADS = st.none() | TEXTS | LARGE | BLOBS
FAILURES = st.recursive(
    st.builds(FailureDetails, error_type=TEXTS, message=TEXTS, non_retriable=st.booleans()),
    lambda causes: st.builds(FailureDetails, error_type=TEXTS, message=TEXTS, cause=causes),
    max_leaves=2,
)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**31), 2**31) | st.floats(-1e9, 1e9)
LIMITS = st.none() | st.floats(-1e9, 1e9)
FIELDS = st.builds(
    AskedField,
    name=TEXTS,
    kind=st.sampled_from(["text", "number", "choice"]),
    default=st.none() | SCALARS,
    choices=st.lists(st.builds(Choice, SCALARS, TEXTS), max_size=2).map(tuple),
    minimum=LIMITS,
    maximum=LIMITS,
)
FORMS = st.builds(
    AskedForm, fields=st.lists(FIELDS, max_size=2).map(tuple), title=TEXTS, text=TEXTS
)
OWNERS = st.builds(
    LockOwner, instance_id=TEXTS, execution_id=TEXTS, lock_id=st.integers(0, 2**31 - 1)
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    datetime: TIMES,
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(0, 2**31 - 1),
    float: st.floats(allow_nan=False),
    Payload | None: PAYLOADS,
    FailureDetails: FAILURES,
    FailureDetails | None: st.none() | FAILURES,
    datetime | None: st.none() | TIMES,
    float | None: st.none() | st.floats(allow_nan=False),
    dict[str, str]: st.dictionaries(TEXTS, TEXTS, max_size=2),
    tuple[int, ...]: st.lists(st.integers(0, 99), max_size=2).map(tuple),
    tuple[str, ...]: st.lists(TEXTS, max_size=2).map(tuple),
    AttemptRecord: st.builds(
        AttemptRecord, number=st.integers(1, 9), started_at=st.none() | TIMES, worker=TEXTS
    ),
    ParentInstance | None: st.none()
    | st.builds(ParentInstance, instance_id=TEXTS, execution_id=TEXTS, task_id=st.integers(0, 99)),
    OperationCaller | None: st.none()
    | st.builds(OperationCaller, instance_id=TEXTS, execution_id=TEXTS, task_id=st.integers(0, 99)),
    AskedForm: FORMS,
    LockOwner: OWNERS,
    LockOwner | None: st.none() | OWNERS,
}


def of_fields(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that gives every field of a struct any value of its type."""
    types = {field.name: field.type for field in msgspec.structs.fields(cls)}
    return st.builds(
        cls,
        **{
            name: BY_TYPE[kind] if kind in BY_TYPE else st.from_type(kind)
            for name, kind in types.items()
        },
    )


DEFINITIONS = st.builds(
    DefinitionAdded,
    timestamp=TIMES,
    definition=st.builds(
        Definition,
        kind=st.from_type(msgspec.structs.fields(Definition)[0].type),
        name=TEXTS,
        version=TEXTS,
        package=st.builds(
            CodePackage,
            entry=TEXTS,
            chunks=st.lists(st.builds(Chunk, name=TEXTS, source=TEXTS), max_size=2).map(tuple),
            values=st.dictionaries(TEXTS, TEXTS | LARGE | BLOBS, max_size=2),
            stubs=st.dictionaries(TEXTS, st.tuples(TEXTS, TEXTS), max_size=2),
        ),
        source=TEXTS,
        options=st.builds(ActivityOptions, timeout_s=st.none() | st.floats(allow_nan=False)),
        epoch=st.integers(0, 9),
        created_at=st.none() | TIMES,
    ),
)
KINDS = get_args(HistoryEvent | EntityEvent)
EVENTS = st.one_of([of_fields(cls) for cls in KINDS]) | DEFINITIONS


def contents(large: dict[str, LargeValue]) -> dict[str, str | bytes]:
    """Return what the table `payloads` would give back."""
    return {
        digest: value.text if value.text is not None else value.data or b""
        for digest, value in large.items()
    }


@given(event=EVENTS, seq=st.integers(0, 9), stream=st.sampled_from(Stream), ref=st.integers(0, 9))
def test_a_row_is_the_same_after_packing_and_unpacking(
    event: Any, seq: int, stream: Stream, ref: int
) -> None:
    """Whatever an event holds, its columns give it back exactly."""
    row = JournalRow(7, 3, seq, stream, event, ref)
    large: dict[str, LargeValue] = {}
    columns = pack(row, large)
    assert unpack(columns, contents(large)) == row
    assert set(digests_of(columns)) == large.keys()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=20))
def test_duckdb_gives_rows_back_exactly(events: list[Any], tmp_path: Any) -> None:
    """Rows of all kinds read from the file are the rows that were appended."""
    path = tmp_path / "s.duckdb"
    path.unlink(missing_ok=True)
    rows = [JournalRow(n, 5, n, Stream.HISTORY, event) for n, event in enumerate(events, 1)]
    store = open_store(path)
    store.recover()
    store.append(rows, [])
    assert store.history(5) == rows
    store.close()


@given(record=of_fields(InstanceRecord) | of_fields(EntityRecord))
def test_a_record_is_the_same_after_packing_and_unpacking(record: Record) -> None:
    """Whatever a record holds, its columns give it back exactly and leave it as it was."""
    large: dict[str, LargeValue] = {}
    before = msgspec.msgpack.encode(record)
    *_, text, refs = pack_record(record, large)
    assert unpack_record(text, decode_refs(refs), contents(large)) == record
    assert msgspec.msgpack.encode(record) == before


@pytest.mark.parametrize("cls", KINDS)
def test_every_kind_of_event_has_columns_of_its_own_name(cls: type[Any]) -> None:
    """The kind is readable in SQL, and no event is left without a layout."""
    required = {
        field.name: {datetime: NOW, str: "x", int: 1, float: 0.5}.get(field.type)
        for field in msgspec.structs.fields(cls)
        if field.required
    }
    if "failure" in required:
        required["failure"] = FailureDetails(error_type="builtins.ValueError", message="no")
    if cls.__name__ == "ExecutionCompleted":
        required["status"] = "Completed"
    if "entity_ids" in required:
        required["entity_ids"] = ("@counter@a",)
    if "form" in required:
        required["form"] = {"fields": []}
    if "outcome" in required:
        required["outcome"] = "expired"
    if "owner" in required:
        required["owner"] = {"instance_id": "x", "execution_id": "x", "lock_id": 1}
    event = msgspec.convert(required, cls, strict=False)
    columns = pack(JournalRow(1, 1, 1, Stream.HISTORY, event), {})
    assert columns[5] == cls.__name__
    assert unpack(columns, {}).event == event


def test_columns_show_what_sql_users_filter_on() -> None:
    """Name, task id and payload are columns; the rest is JSON without the defaults."""
    event = TaskScheduled(timestamp=NOW, task_id=4, name="fetch", version="v1", input='"Basel"')
    columns = pack(JournalRow(9, 2, 3, Stream.HISTORY, event, 8), {})
    expected = (
        *(9, 2, 3, NOW, "history", "TaskScheduled", "fetch", 4, 8),
        *('"Basel"', '{"version":"v1"}', None, None),
    )
    assert columns == expected


def test_a_row_with_nothing_else_to_say_has_no_extra() -> None:
    """SQL sees NULL there, not an empty object."""
    columns = pack(JournalRow(1, 1, 1, Stream.HISTORY, EventRaised(timestamp=NOW, name="e")), {})
    assert columns[9:] == (None, None, None, None)


def test_a_record_of_small_values_names_no_others() -> None:
    """SQL sees NULL there, not an empty object."""
    record = InstanceRecord(
        iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW, input="1"
    )
    large: dict[str, LargeValue] = {}
    *_, refs = pack_record(record, large)
    assert (refs, large) == (None, {})


def test_columns_show_what_a_definition_is() -> None:
    """Its code is bytes; what people look for is JSON."""
    definition = Definition(
        kind=Kind.ACTIVITY,
        name="fetch",
        version="v1",
        package=CodePackage(entry="fetch"),
        number=2,
        epoch=3,
        is_async=True,
        notebook="orders.ipynb",
        cell="7",
        created_at=NOW,
        source="async def fetch(): ...",
    )
    added = DefinitionAdded(timestamp=NOW, definition=definition)
    columns = pack(JournalRow(9, 0, 0, Stream.DEFINITION, added), {})
    assert columns[4:7] == ("definition", "DefinitionAdded", "fetch")
    assert msgspec.json.decode(columns[10] or "") == {
        "kind": "activity",
        "version": "v1",
        "number": 2,
        "epoch": 3,
        "is_async": True,
        "notebook": "orders.ipynb",
        "cell": "7",
        "created_at": "2026-01-02T03:04:05.678901",
        "source": "async def fetch(): ...",
    }


def test_infinite_progress_is_kept() -> None:
    """A number JSON cannot hold is kept all the same."""
    event = ActivityProgressed(timestamp=NOW, task_id=1, attempt=1, done=math.inf, total=-math.inf)
    row = JournalRow(1, 1, 1, Stream.HISTORY, event)
    assert unpack(pack(row, {}), {}) == row


def test_a_large_definition_says_how_it_is_encoded() -> None:
    package = CodePackage(entry="fetch", values={"text": '"' + "x" * 70_000 + '"'})
    definition = Definition(kind=Kind.ACTIVITY, name="fetch", version="v1", package=package)
    row = JournalRow(
        1, 0, 0, Stream.DEFINITION, DefinitionAdded(timestamp=NOW, definition=definition)
    )
    large: dict[str, LargeValue] = {}
    columns = pack(row, large)
    (stored,) = large.values()
    assert (columns[11], columns[12]) == (stored.digest, None)
    assert stored.codec == "msgpack"
    assert unpack(columns, contents(large)) == row


def test_finite_progress_is_readable_in_the_row() -> None:
    """Only what JSON cannot hold is kept as bytes."""
    event = ActivityProgressed(timestamp=NOW, task_id=1, attempt=2, done=0.5, total=4.0)
    *_, extra, digest, data = pack(JournalRow(1, 1, 1, Stream.HISTORY, event), {})
    assert msgspec.json.decode(extra or "") == {"attempt": 2, "done": 0.5, "total": 4.0}
    assert (digest, data) == (None, None)


def test_a_large_state_of_bytes_comes_back_with_its_codec_and_summary() -> None:
    state = Blob(codec="dill", data=b"x" * 70_000, summary="much")
    event = OperationDone(timestamp=NOW, operation="fill", sets_state=True, state=state)
    large: dict[str, LargeValue] = {}
    row = JournalRow(1, 1, 1, Stream.HISTORY, event)
    columns = pack(row, large)
    assert "x" * 100 not in (columns[10] or "")
    assert unpack(columns, contents(large)) == row


@pytest.mark.parametrize("size", [65_536, 65_537])
def test_values_above_64_kib_leave_the_row(size: int) -> None:
    """Up to the limit a value is in the row; above it only its digest is."""
    large: dict[str, LargeValue] = {}
    event = TaskCompleted(timestamp=NOW, task_id=1, result="x" * size)
    columns = pack(JournalRow(1, 1, 1, Stream.HISTORY, event), large)
    out_of_line = size > 65_536
    assert (columns[9] is None) is out_of_line
    assert list(large) == ([columns[11]] if out_of_line else [])


def test_equal_text_and_bytes_are_different_values() -> None:
    """JSON text and a blob of the same bytes do not share a digest."""
    large: dict[str, LargeValue] = {}
    text = "x" * 70_000
    for payload in (text, Blob(codec="json", data=text.encode())):
        event = EventRaised(timestamp=NOW, name="e", input=payload)
        pack(JournalRow(1, 1, 1, Stream.HISTORY, event), large)
    assert len(large) == 2


def test_what_names_a_large_value_stays_the_same() -> None:
    """Stores of former versions hold these digests; equal values are kept once, also then."""
    text = large_value("x" * 70_000)
    blob = large_value(Blob(codec="pickle", data=b"x" * 70_000))
    assert text.digest == "61b7364d54f718b4e5ff58a0e92b0163808ea22ef089792c1992c9f5864bca72"
    assert blob.digest == "b8bbe03d0681b926021ae4478c8084d0c2f7d0e1f18bdbbe686b5e2180f2caba"


def test_an_unknown_kind_is_named() -> None:
    """A row of a kind that a newer version wrote is refused with its number and kind."""
    event = TaskFailed(
        timestamp=NOW, task_id=1, failure=FailureDetails(error_type="E", message="m")
    )
    columns = list(pack(JournalRow(17, 1, 1, Stream.HISTORY, event), {}))
    columns[5] = "TaskTeleported"
    with pytest.raises(DecodingError, match=r"Row 17 .*'TaskTeleported' is unknown"):
        unpack(tuple(columns), {})  # type: ignore[arg-type]


def test_a_small_state_is_readable_in_the_row() -> None:
    """An operation's result is its payload; the state it left is in `extra`, if it is small."""
    event = OperationDone(
        timestamp=NOW, operation="deposit", result="5", sets_state=True, state='{"balance":5}'
    )
    columns = pack(JournalRow(1, 1, 1, Stream.HISTORY, event), {})
    assert columns[6:10] == ("deposit", None, 0, "5")
    assert msgspec.json.decode(columns[10] or "") == {"sets_state": True, "state": '{"balance":5}'}


def test_a_text_that_looks_like_a_reference_is_none() -> None:
    """A label named as our own field names no large value."""
    event = ExecutionStarted(
        timestamp=NOW, instance_id="a", execution_id="e", name="o", tags={"state_ref": "x"}
    )
    row = JournalRow(1, 1, 1, Stream.HISTORY, event)
    columns = pack(row, {})
    assert list(digests_of(columns)) == []
    assert unpack(columns, {}) == row


def test_an_event_with_two_values_has_no_layout() -> None:
    """A new kind of event that the columns cannot hold is noticed when it is written."""
    two = [("first", Payload | None, None), ("second", Payload | None, None)]
    with pytest.raises(DurableInternalError, match="no layout for TwoValues"):
        codec._Layout(msgspec.defstruct("TwoValues", two))


@pytest.mark.parametrize("name", ["codec", "summary", "state_ref"])
def test_an_event_with_a_field_of_a_name_that_columns_need_has_no_layout(name: str) -> None:
    """Its value would be taken for what the columns say of the payload."""
    cls = msgspec.defstruct("Clashing", [("timestamp", datetime), (name, str)])
    with pytest.raises(DurableInternalError, match="no layout for Clashing"):
        codec._Layout(cls)


def test_a_missing_large_value_is_named() -> None:
    """A row or record whose large value is gone says so instead of giving nothing."""
    event = ExecutionStarted(
        timestamp=NOW, instance_id="a", execution_id="e", name="o", input="x" * 70_000
    )
    columns = pack(JournalRow(3, 1, 1, Stream.HISTORY, event), {})
    with pytest.raises(DecodingError, match=r"Row 3 .* is missing"):
        unpack(columns, {})
    record = InstanceRecord(
        iid=1, instance_id="a", name="o", created_at=NOW, updated_at=NOW, input="x" * 70_000
    )
    *_, text, refs = pack_record(record, {})
    with pytest.raises(DecodingError, match=r"The input of 'a' .* is missing"):
        unpack_record(text, decode_refs(refs), {})
    done = OperationDone(timestamp=NOW, operation="o", sets_state=True, state="x" * 70_000)
    columns = pack(JournalRow(4, 1, 1, Stream.HISTORY, done), {})
    with pytest.raises(DecodingError, match=r"Row 4 .* is missing"):
        unpack(columns, {})


BAD = "caf\udce9 \u00e9"
STORED = "caf\\udce9 \u00e9"


def texts_everywhere(text: str, size: int) -> tuple[list[Any], InstanceRecord]:
    """Return events and a record that hold a text wherever they can; payloads have a size."""
    payload = f'["{text}"]' + " " * size
    blob = Blob(codec="dill", data=b"\xff\0", summary=text)
    failure = FailureDetails(error_type="E", message=text, stack_trace=text)
    definition = Definition(
        kind=Kind.ACTIVITY,
        name=text,
        version="v",
        package=CodePackage(entry=text, values={"blob": blob, "json": payload}),
        created_at=NOW,
    )
    events = [
        ExecutionStarted(
            timestamp=NOW,
            instance_id=text,
            execution_id="e",
            name=text,
            input=payload,
            tags={text: text},
        ),
        EventRaised(timestamp=NOW, name=text, input=blob, sender=text),
        TaskFailed(timestamp=NOW, task_id=1, failure=failure),
        ActivityProgressed(timestamp=NOW, task_id=1, attempt=1, done=math.inf, note=text),
        DefinitionAdded(timestamp=NOW, definition=definition),
        OperationRequested(timestamp=NOW, entity_id=text, operation=text, input=payload),
        OperationDone(timestamp=NOW, operation=text, sets_state=True, state=payload),
    ]
    record = InstanceRecord(
        iid=5, instance_id=text, name=text, created_at=NOW, updated_at=NOW, input=payload
    )
    record.tags = {text: text}
    return events, record


@pytest.mark.parametrize("size", [0, 70_000])
def test_text_that_utf_8_cannot_hold_is_stored_as_its_escape(tmp_path: Any, size: int) -> None:
    """A lone surrogate anywhere does not stop a commit; in JSON it even stays the same value."""
    events, record = texts_everywhere(BAD, size)
    rows = [JournalRow(n, 5, n, Stream.HISTORY, event) for n, event in enumerate(events, 1)]
    with closing(open_store(tmp_path / "s.duckdb")) as store:
        store.recover()
        store.append(rows, [record])
        store.project()
        found = [row.event for row in store.history(5)]
        stored_events, stored_record = texts_everywhere(STORED, size)
        assert found == stored_events
        assert store.query(InstanceQuery(name=BAD, prefix=BAD, tags={BAD: BAD})) == [stored_record]
        assert store.find(STORED) == stored_record
        assert store.find(BAD) is None
        assert answer(store, "SELECT input FROM instances").to_pylist() == [
            {"input": stored_record.input}
        ]
    assert json.loads(found[0].input) == [BAD]  # type: ignore[union-attr,arg-type]
