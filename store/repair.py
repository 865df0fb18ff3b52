"""Reads DuckDB's write-ahead log far enough to tell a torn last commit from real damage.

DuckDB refuses to open a file whose log has a wrong checksum, even where only the last commit was
torn by a power loss; and where the length of an entry is damaged it takes the rest of the log for
torn and drops it without a word, acknowledged commits included. So the log is looked at before
DuckDB sees it. Nothing is ever cut off without a copy.

A log is a header and entries: length, checksum, content. Each commit is one write and ends in an
entry that is always the same, the commit mark.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["cut", "damage_reported", "is_last_commit", "silent_damage", "wal_path"]

_VERSION_ENTRY = b"\x64\x00\x62\x65\x00"
_KNOWN_VERSION = b"\x02"
_HEADER = re.compile(  # version, identifier of the database (16 numbers), count of checkpoints
    _VERSION_ENTRY
    + _KNOWN_VERSION
    + rb"\x66\x00\x10(?:[\x80-\xff]?[\x00-\x7f]){16}\x67\x00[\x80-\xff]*[\x00-\x7f]\xff\xff"
)
_FRAME = 16  # length and checksum before each entry, 8 bytes each, little endian
_COMMIT_MARK = re.compile(
    # The length and the content, or the checksum: damage in one leaves it recognisable.
    rb"\x05\x00{7}.{8}\x64\x00\x64\xff\xff|.{8}\xe7\xfe\x7d\x72\x2f\xed\x3d\x5e.{5}",
    re.DOTALL,
)
_REPORTED = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")


def wal_path(path: str) -> Path:
    """Return where DuckDB keeps the log of a database file."""
    return Path(path + ".wal")


def damage_reported(message: str) -> int | None:
    """Return where the entry begins that DuckDB's error message says is damaged, or None."""
    found = _REPORTED.search(message)  # it gives the place of the content
    return int(found.group(1)) - _FRAME if found else None


def silent_damage(wal: bytes) -> int | None:
    """Return the byte from which on DuckDB would silently drop whole commits, or None.

    Args:
        wal: The log. One of another version is taken to be sound.
    """
    if _is_of_other_version(wal):
        return None
    header = _HEADER.match(wal)
    position = header.end() if header else 0
    while header and position + _FRAME <= len(wal):
        length = int.from_bytes(wal[position : position + 8], "little")
        if length == 0 or position + _FRAME + length > len(wal):
            break
        position += _FRAME + length
    return position if _COMMIT_MARK.search(wal, position) else None


def is_last_commit(wal: bytes, position: int) -> bool:
    """Whether damage at `position` is in the last commit, so that all before it are whole.

    Args:
        wal: The log. For one of another version the answer is no.
        position: Where the damaged entry begins.
    """
    if _is_of_other_version(wal):
        return False
    mark = _COMMIT_MARK.search(wal, position)
    return mark is None or not wal[mark.end() :].strip(b"\0")


def cut(path: str, position: int) -> str:
    """Cut a database's log off at `position`, keeping a copy, and return a sentence about it."""
    wal = wal_path(path)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    kept = wal.with_name(f"{wal.name}.damaged-{stamp}")
    shutil.copy2(wal, kept)
    with wal.open("r+b") as file:
        file.truncate(position)
    return (
        f"The write-ahead log of {path} was damaged from byte {position} to its end. "
        f"Everything before was kept, the rest was left out; the log as it was is {kept}."
    )


def _is_of_other_version(wal: bytes) -> bool:
    version = wal[len(_VERSION_ENTRY) : len(_VERSION_ENTRY) + 1]
    return wal.startswith(_VERSION_ENTRY) and version != _KNOWN_VERSION
