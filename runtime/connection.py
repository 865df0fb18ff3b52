"""Where the host of a store is: its connection file, and the lock that says it lives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["ConnectionInfo", "HostLock", "HostPaths", "is_locked"]


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a host.

    Attributes:
        pid: Its process.
        ip: Where it listens.
        port: The TCP port.
        key: The signing key, hexadecimal.
        signature_scheme: How messages are signed.
        transport: How they travel.
        store: Path of its store.
        version: The ipydurable version it runs.
    """

    pid: int
    ip: str
    port: int
    key: str
    store: str
    version: str
    signature_scheme: str = "hmac-sha256"
    transport: str = "tcp"

    @property
    def address(self) -> str:
        """The ZeroMQ address."""
        return f"{self.transport}://{self.ip}:{self.port}"


class HostPaths:
    """The files of the host of one store, in Jupyter's private runtime folder.

    Args:
        store: Path of the store.
        folder: Where the files are; by default Jupyter's runtime folder.
    """

    def __init__(self, store: str | Path, folder: Path | None = None) -> None:
        self.store = Path(os.path.realpath(store))
        if folder is None:
            from jupyter_core.paths import jupyter_runtime_dir

            folder = Path(jupyter_runtime_dir())
        digest = hashlib.sha256(os.fsencode(self.store)).hexdigest()[:16]
        self.folder = folder
        self.connection = folder / f"ipydurable-{digest}.json"
        self.lock = folder / f"ipydurable-{digest}.lock"
        self.error = folder / f"ipydurable-{digest}.error"
        self.log = folder / f"ipydurable-{digest}.log"

    def read(self) -> ConnectionInfo | None:
        """Return what the connection file says; None where there is none, or no whole one."""
        try:
            return msgspec.json.decode(self.connection.read_bytes(), type=ConnectionInfo)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, info: ConnectionInfo) -> None:
        """Write the connection file, readable by its owner only, all at once."""
        write_private(self.connection, msgspec.json.format(msgspec.json.encode(info)))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one of mode 0600, all at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)


class HostLock:
    """Held by a host as long as it lives; the system gives it back however the host ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Take the lock; returns False where another process holds it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(handle):
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    with _closing(handle):
        return not _try_lock(handle)


@contextlib.contextmanager
def _closing(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
