"""Journal rows as columns and back, exactly.

What a SQL user filters on has a column of its own; the value the user passed or returned is
`payload` (JSON text) or `data` (the bytes of a blob); all other fields of the event that differ
from their defaults are one JSON object in `extra`. Large values are not in the row: `digest`
names their row in `payloads`. An entity's state is in `extra`; where it is large, `state_ref` there
stands for it.

The layout of each kind of event is computed once, from the event classes themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypedDict, get_args

import msgspec

from ipydurable.runtime.core.errors import DecodingError, DurableInternalError
from ipydurable.runtime.core.events import EntityEvent, HistoryEvent, OperationDone
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.definitions import Definition, DefinitionAdded
from ipydurable.runtime.ports import Journaled, JournalRow, Stream

from .payloads import LargeValue, PayloadRef, is_large, large_value, refer, resolve
from .text import storable, to_json, to_msgpack

__all__ = ["JournalColumns", "digests_of", "pack", "unpack"]

_EXTRA: Final = 10
_DIGEST: Final = 11

JournalColumns: TypeAlias = tuple[
    int,  # gseq
    int,  # iid
    int,  # seq
    datetime,  # ts
    str,  # stream
    str,  # kind
    str | None,  # name
    int | None,  # task_id
    int,  # ref
    str | None,  # payload
    str | None,  # extra
    str | None,  # digest
    bytes | None,  # data
]
"""A row of the table `journal`, in the order of `schema.JOURNAL_COLUMNS`."""


_STATE = "state"
_STATE_REF = "state_ref"
_STATE_REF_MARK = f'"{_STATE_REF}":'


class _Layout:
    """Which column each field of one kind of event goes to."""

    __slots__ = (
        "cls",
        "decode_json",
        "decode_msgpack",
        "has_floats",
        "has_task",
        "kind",
        "name",
        "payload",
        "rest",
    )

    def __init__(self, cls: type[Journaled]) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(cls)}
        payloads = [
            name
            for name, field in fields.items()
            if field.type == Payload | None and name != _STATE
        ]
        if len(payloads) > 1 or {"codec", "summary", _STATE_REF} & fields.keys():
            raise DurableInternalError(f"the journal has no layout for {cls.__name__}")
        self.cls = cls
        self.kind = cls.__name__
        self.payload = payloads[0] if payloads else None
        self.name = next((name for name in ("name", "operation") if name in fields), None)
        self.has_task = "task_id" in fields
        columns = {"timestamp", "task_id", self.payload, self.name}
        rest = {name: field for name, field in fields.items() if name not in columns}
        self.rest = tuple((name, _default(field)) for name, field in rest.items())
        self.has_floats = any(
            field.type is float or float in get_args(field.type) for field in rest.values()
        )
        types = {name: field.type for name, field in rest.items()}
        types |= {"codec": str, "summary": str, _STATE_REF: PayloadRef}
        make: Any = TypedDict
        extra = make(self.kind, types, total=False)
        self.decode_json = msgspec.json.Decoder(extra).decode
        self.decode_msgpack = msgspec.msgpack.Decoder(extra).decode


class _WithStateRef(msgspec.Struct):
    state_ref: PayloadRef | None = None


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


_LAYOUTS: dict[type, _Layout] = {
    cls: _Layout(cls) for cls in (*get_args(HistoryEvent | EntityEvent), DefinitionAdded)
}
_LAYOUT_OF_KIND = {layout.kind: layout for layout in _LAYOUTS.values()}
_STREAMS = {stream.value: stream for stream in Stream}
_decode_state_ref = msgspec.json.Decoder(_WithStateRef).decode


def pack(row: JournalRow, large: dict[str, LargeValue]) -> JournalColumns:
    """Return the columns of a row.

    Args:
        row: The row.
        large: Receives, by digest, the value the row names where that is too large for it.
    """
    gseq, iid, seq, stream, event, ref = row
    layout = _LAYOUTS[type(event)]
    name: str | None = None
    text: str | None = None
    digest: str | None = None
    data: bytes | None = None
    extra: dict[str, Any] = {}
    if type(event) is DefinitionAdded:
        name = storable(event.definition.name)
        extra = _summary_of(event.definition)
        digest, data = _definition_columns(event.definition, large)
    else:
        for field, default in layout.rest:
            value = getattr(event, field)
            if value is not default and value != default:
                extra[field] = value
        if layout.name is not None:
            name = storable(getattr(event, layout.name))
        if layout.payload is not None:
            payload = getattr(event, layout.payload)
            if payload is not None:
                text, digest, data = _payload_columns(payload, extra, large)
            if type(event) is OperationDone and event.state is not None and is_large(event.state):
                del extra[_STATE]
                extra[_STATE_REF] = refer(event.state, large)
        elif layout.has_floats and not _all_finite(extra):
            data = to_msgpack(extra)  # JSON has no infinities
            extra = {}
    return (
        gseq,
        iid,
        seq,
        event.timestamp,
        stream.value,
        layout.kind,
        name,
        event.task_id if layout.has_task else None,  # type: ignore[union-attr]
        ref,
        text,
        to_json(extra) if extra else None,
        digest,
        data,
    )


def digests_of(columns: JournalColumns) -> Iterator[str]:
    """Give the digests of the large values that a row names."""
    digest, extra = columns[_DIGEST], columns[_EXTRA]
    if digest is not None:
        yield digest
    if extra is not None and _STATE_REF_MARK in extra:
        ref = _decode_state_ref(extra).state_ref
        if ref is not None:  # else the name is a tag of the user's
            yield ref.digest


def unpack(columns: JournalColumns, large: Mapping[str, str | bytes]) -> JournalRow:
    """Return the row that `pack` made `columns` of.

    Args:
        columns: The columns.
        large: Content of the rows of `payloads` that are named, by digest.

    Raises:
        DecodingError: The row is of a kind this version does not know, or its value is missing.
    """
    gseq, iid, seq, ts, stream, kind, name, task_id, ref, text, extra, digest, data = columns
    layout = _LAYOUT_OF_KIND.get(kind)
    if layout is None:
        raise DecodingError(f"Row {gseq} of the journal", f"its kind {kind!r} is unknown here")
    if digest is not None:
        content = _content(gseq, digest, large)
        text, data = (content, None) if isinstance(content, str) else (None, content)
    fields: dict[str, Any]
    if layout.payload is None and data is not None:
        fields = layout.decode_msgpack(data)
    else:
        fields = layout.decode_json(extra) if extra is not None else {}
        if layout.payload is not None:
            _put_payload(fields, layout.payload, text, data)
        if _STATE_REF in fields:
            state_ref = fields.pop(_STATE_REF)
            content = _content(gseq, state_ref.digest, large)
            fields[_STATE] = resolve(state_ref, content)
    fields["timestamp"] = ts
    if layout.name is not None:
        fields[layout.name] = name
    if layout.has_task:
        fields["task_id"] = task_id
    return JournalRow(gseq, iid, seq, _STREAMS[stream], layout.cls(**fields), ref)


def _content(gseq: int, digest: str, large: Mapping[str, str | bytes]) -> str | bytes:
    content = large.get(digest)
    if content is None:
        raise DecodingError(f"Row {gseq} of the journal", f"payload {digest} is missing")
    return content


def _put_payload(fields: dict[str, Any], field: str, text: str | None, data: bytes | None) -> None:
    if text is not None:
        fields[field] = text
    elif data is not None:
        codec, summary = fields.pop("codec"), fields.pop("summary", "")
        fields[field] = Blob(codec=codec, data=data, summary=summary)


def _payload_columns(
    payload: Payload, extra: dict[str, Any], large: dict[str, LargeValue]
) -> tuple[str | None, str | None, bytes | None]:
    if not isinstance(payload, str):
        extra["codec"] = payload.codec
        if payload.summary:
            extra["summary"] = payload.summary
    if is_large(payload):
        stored = large_value(payload)
        large[stored.digest] = stored
        return None, stored.digest, None
    if isinstance(payload, str):
        return storable(payload), None, None
    return None, None, payload.data


def _summary_of(definition: Definition) -> dict[str, Any]:
    """Return what SQL shows of a definition."""
    return {
        "kind": definition.kind,
        "version": definition.version,
        "number": definition.number,
        "epoch": definition.epoch,
        "is_async": definition.is_async,
        "notebook": definition.notebook,
        "cell": definition.cell,
        "created_at": definition.created_at,
        "source": definition.source,
    }


def _definition_columns(
    definition: Definition, large: dict[str, LargeValue]
) -> tuple[str | None, bytes | None]:
    whole = to_msgpack({"definition": definition})
    blob = Blob(codec="msgpack", data=whole)
    if is_large(blob):
        stored = large_value(blob)
        large[stored.digest] = stored
        return stored.digest, None
    return None, whole


def _all_finite(fields: dict[str, Any]) -> bool:
    return all(math.isfinite(value) for value in fields.values() if isinstance(value, float))
