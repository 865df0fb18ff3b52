"""Trust: whose code a store holds, and what was approved of stores from elsewhere.

Definitions, and pickled values, carry a signature by the key of the user whose cells made them. A
store that holds definitions signed otherwise can be read, but nothing in it runs until its user
has seen the code and approved it. What was approved is kept, by its digest, beside the key: the
same content is trusted from then on, in any store, and anything that is added to it later is not.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from .core.payload import Blob
from .definitions import Definition

__all__ = ["TrustedContents", "blobs_in", "content_of", "digest_of_blob", "digest_of_definition"]

_CODE = frozenset({"pickle", "dill"})
_BUSY_S = 10.0


class TrustedContents:
    """Digests of the foreign content that this user has approved.

    Args:
        path: The file they are kept in; made when something is approved.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, digest: bytes) -> bool:
        if not self._path.exists():
            return False
        with closing(self._open()) as database:
            wanted = "SELECT 1 FROM trusted WHERE digest = ?"
            return database.execute(wanted, [digest]).fetchone() is not None

    def add(self, digests: Iterable[bytes]) -> None:
        """Approve contents."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        with closing(self._open()) as database, database:
            insert = "INSERT OR IGNORE INTO trusted VALUES (?)"
            database.executemany(insert, ([digest] for digest in digests))

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_BUSY_S)
        database.execute("CREATE TABLE IF NOT EXISTS trusted (digest BLOB PRIMARY KEY)")
        return database


def content_of(definition: Definition) -> bytes:
    """Return what the signature of a definition covers: all but what a host has given it."""
    bare = msgspec.structs.replace(definition, number=0, epoch=0, created_at=None, signature="")
    try:
        return msgspec.json.encode(bare, order="sorted")
    except UnicodeEncodeError:  # a store keeps the escape of a lone surrogate in its place
        return msgspec.json.encode(_escaped(msgspec.to_builtins(bare)), order="sorted")


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _escaped(part) for name, part in value.items()}
    return [_escaped(part) for part in value] if isinstance(value, list | tuple) else value


def digest_of_definition(definition: Definition) -> bytes:
    """Return what a definition is approved by."""
    return hashlib.sha256(b"definition\0" + content_of(definition)).digest()


def digest_of_blob(blob: Blob) -> bytes:
    """Return what a pickled value is approved by."""
    return hashlib.sha256(blob.codec.encode() + b"\0" + blob.data).digest()


def blobs_in(value: Any) -> Iterator[Blob]:
    """Yield the pickled values somewhere in an event or definition; none is loaded."""
    if isinstance(value, Blob):
        if value.codec in _CODE:
            yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from blobs_in(getattr(value, name))
    elif isinstance(value, dict):
        for part in value.values():
            yield from blobs_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from blobs_in(part)
