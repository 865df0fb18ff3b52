"""Reads DuckDB's write-ahead log far enough to tell a torn last commit from real damage.

DuckDB refuses to open a file whose log has a wrong checksum, even where only the last commit was
torn by a power loss; and where the length of an entry is damaged it takes the rest of the log for
torn and drops it without a word, acknowledged commits included. So the log is looked at before
DuckDB sees it. Nothing is ever cut off without a copy.

A log is a header and entries: length, checksum, content. Each commit is one write and ends in an
entry that is always the same, the commit mark. While a checkpoint is being made commits go to a
second log; the first then ends in a commit that says so. If the process dies meanwhile DuckDB puts
the second behind the first, or drops it, where the first does not end like that.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

__all__ = ["Damage", "cut", "damage_reported", "is_last_commit", "silent_damage", "wal_path"]

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
_CHECKPOINT_BEGINS = re.compile(  # a commit of its own, the last of a log that another follows
    rb"\x64\x00\x63\x65\x00.{4,40}\x05\x00{7}.{8}\x64\x00\x64\xff\xff\Z", re.DOTALL
)
_REPORTED = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")
_SECOND = ".wal.checkpoint"


class Damage(NamedTuple):
    """Where the logs of a database are damaged.

    Attributes:
        log: Which of them.
        position: From which byte on.
    """

    log: Path
    position: int


def wal_path(path: str) -> Path:
    """Return where DuckDB keeps the log of a database file."""
    return Path(path + ".wal")


def damage_reported(path: str, message: str) -> Damage | None:
    """Return where the entry begins that DuckDB's error message says is damaged, or None."""
    found = _REPORTED.search(message)  # it gives the place of the content
    if found is None:
        return None
    log = _second_path(path) if f'{_SECOND}"' in message[: found.start()] else wal_path(path)
    return Damage(log, int(found.group(1)) - _FRAME)


def silent_damage(path: str) -> Damage | None:
    """Return from where on DuckDB would silently drop whole commits of a database, or None.

    Logs of another version are taken to be sound.
    """
    first, second = _read(wal_path(path)), _read(_second_path(path))
    if _is_of_other_version(first) or _is_of_other_version(second):
        return None
    end, is_damaged = _whole_entries(first)
    if is_damaged:
        return Damage(wal_path(path), end)
    if not _follows(first, second):
        # Its header may be torn, but then nobody was told of a commit in it.
        is_torn = bool(second) and not (_HEADER.match(second) or _COMMIT_MARK.search(second))
        return Damage(_second_path(path), 0) if is_torn else None
    if end < len(first) or not _CHECKPOINT_BEGINS.search(first, max(0, end - 128)):
        return Damage(wal_path(path), end)
    end, is_damaged = _whole_entries(second)
    return Damage(_second_path(path), end) if is_damaged else None


def is_last_commit(path: str, damage: Damage) -> bool:
    """Whether damage is in the last commit of a database, so that all before it are whole.

    For logs of another version the answer is no.
    """
    log = _read(damage.log)
    if _is_of_other_version(log):
        return False
    if damage.log == wal_path(path) and _follows(log, _read(_second_path(path))):
        return False
    mark = _COMMIT_MARK.search(log, damage.position)
    return mark is None or not log[mark.end() :].strip(b"\0")


def cut(path: str, damage: Damage) -> str:
    """Cut a database's log off where it is damaged, keeping a copy; returns a sentence about it.

    Of two logs the second goes with what is cut off the first.
    """
    stamp = f"damaged-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}"
    kept = []
    for log in (wal_path(path), _second_path(path)):
        if not log.exists() or (log != damage.log and log == wal_path(path)):
            continue
        copy = log.with_name(f"{log.name}.{stamp}")
        shutil.copy2(log, copy)
        kept.append(str(copy))
        with log.open("r+b") as file:
            file.truncate(damage.position if log == damage.log else 0)
    return (
        f"The write-ahead log {damage.log} was damaged from byte {damage.position} to its end. "
        f"Everything before was kept, the rest was left out; as it was it is {' and '.join(kept)}."
    )


def _second_path(path: str) -> Path:
    return Path(path + _SECOND)


def _read(log: Path) -> bytes:
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""


def _whole_entries(log: bytes) -> tuple[int, bool]:
    """Return where the last whole entry of a log ends, and whether there are commits behind it."""
    header = _HEADER.match(log)
    position = header.end() if header else 0
    while header and position + _FRAME <= len(log):
        length = int.from_bytes(log[position : position + 8], "little")
        if length == 0 or position + _FRAME + length > len(log):
            break
        position += _FRAME + length
    return position, _COMMIT_MARK.search(log, position) is not None


def _follows(first: bytes, second: bytes) -> bool:
    """Whether there are commits in the second log that are not in the first."""
    if not _COMMIT_MARK.search(second):
        return False
    header = _HEADER.match(second)
    # DuckDB has put them behind the first, and then did not get on.
    return header is None or not first.endswith(second[header.end() :])


def _is_of_other_version(wal: bytes) -> bool:
    version = wal[len(_VERSION_ENTRY) : len(_VERSION_ENTRY) + 1]
    return wal.startswith(_VERSION_ENTRY) and version != _KNOWN_VERSION
