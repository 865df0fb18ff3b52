"""Large values, kept once each in the table `payloads` and named by digest elsewhere."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ipydurable.runtime.core.payload import Blob, Payload

from .schema import INLINE_LIMIT
from .text import storable

if TYPE_CHECKING:
    import duckdb

__all__ = ["LargeValue", "LargeValues", "PayloadRef", "is_large", "large_value", "refer", "resolve"]


class LargeValue(NamedTuple):
    """A row of the table `payloads`.

    Attributes:
        digest: Names it; of form and content, so that equal values are kept once.
        size: Bytes.
        codec: `"json"`, or as in `Blob.codec`.
        text: JSON text, else None.
        data: The bytes of what is not JSON text, else None.
    """

    digest: str
    size: int
    codec: str
    text: str | None
    data: bytes | None


class PayloadRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value that is kept in `payloads`; `codec` is empty for JSON text."""

    digest: str
    codec: str = ""
    summary: str = ""


def is_large(value: Payload) -> bool:
    """Whether a value is kept in `payloads` instead of in the row it belongs to."""
    return len(value if isinstance(value, str) else value.data) > INLINE_LIMIT


def large_value(value: Payload) -> LargeValue:
    """Return the row of `payloads` that holds `value`."""
    if isinstance(value, str):
        text = storable(value)
        content = text.encode()
        digest = hashlib.sha256(b"text\0" + content).hexdigest()
        return LargeValue(digest, len(content), "json", text, None)
    digest = hashlib.sha256(b"blob\0" + value.codec.encode() + b"\0" + value.data).hexdigest()
    return LargeValue(digest, len(value.data), value.codec, None, value.data)


def refer(value: Payload, large: dict[str, LargeValue]) -> PayloadRef:
    """Return what stands for `value` where it is not kept; `large` receives it, by digest."""
    stored = large_value(value)
    large[stored.digest] = stored
    if isinstance(value, str):
        return PayloadRef(digest=stored.digest)
    return PayloadRef(digest=stored.digest, codec=value.codec, summary=value.summary)


def resolve(ref: PayloadRef, content: str | bytes) -> Payload:
    """Return the value that `refer` gave `ref` for, of its content in the table."""
    if isinstance(content, str):
        return content
    return Blob(codec=ref.codec, data=content, summary=ref.summary)


class LargeValues:
    """Writes each large value once, and reads them in bulk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] | None = None

    def write(self, cursor: duckdb.DuckDBPyConnection, values: Mapping[str, LargeValue]) -> None:
        """Make those of `values` durable that are not yet; `cursor` is in no transaction."""
        with self._lock:
            if self._known is None:
                found = cursor.execute("SELECT digest FROM payloads").fetchall()
                self._known = {digest for (digest,) in found}
            new = [value for digest, value in values.items() if digest not in self._known]
            if not new:
                return
            appender = cursor.appender("payloads")
            try:
                appender.append_rows(new)
                appender.flush()
            except BaseException:
                self._known = None  # nobody knows what was written: read it again
                raise
            self._known.update(value.digest for value in new)

    @staticmethod
    def read(cursor: duckdb.DuckDBPyConnection, digests: Collection[str]) -> dict[str, str | bytes]:
        """Return the contents of those that exist, by digest."""
        if not digests:
            return {}
        found = cursor.execute(
            "SELECT digest, text, data FROM payloads "
            "WHERE digest IN (SELECT unnest($1::VARCHAR[]))",
            [list(digests)],
        ).fetchall()
        return {digest: data if text is None else text for digest, text, data in found}

    def drop_unused(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Delete values that no journal row names; `cursor` is in a transaction."""
        with self._lock:
            self._known = None
            cursor.execute(
                "DELETE FROM payloads WHERE digest NOT IN ("
                "SELECT digest FROM journal WHERE digest IS NOT NULL "
                "UNION ALL SELECT extra->>'$.state_ref.digest' FROM journal "
                "WHERE kind = 'OperationDone' AND contains(extra, '\"state_ref\"'))"
            ).fetchall()
