"""The errors of stores and hosts; the tree of all errors is in `errors`."""

from __future__ import annotations

from .error_base import DurableError

__all__ = [
    "AuthenticationError",
    "HostError",
    "HostGoneError",
    "HostStartError",
    "NotAStoreError",
    "QueryError",
    "ReadOnlyStoreError",
    "StoreDamagedError",
    "StoreError",
    "StoreLockedError",
    "StoreUnwritableError",
    "StoreVersionError",
    "UntrustedStoreError",
]

_FULL = ("No space left", "File too large", "Disk quota exceeded")
"""What systems say where a disk, or what a user may have of it, is full."""

_SHORT = "Out of Memory Error"


class StoreError(DurableError):
    """Base of errors about the store file."""


class NotAStoreError(StoreError):
    """The file exists and is no ipydurable store."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.path} is no ipydurable store: {self.found}. Nothing was changed. "
            "Choose another path with %durable open PATH."
        )


class StoreLockedError(StoreError):
    """Another program has the file open."""

    def __init__(self, path: str, pid: int, program: str = "") -> None:
        super().__init__(path, pid, program)
        self.path = path
        self.pid = pid
        self.program = program

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        if self.program:
            who += f" ({self.program})"
        return (
            f"{self.path} is open in {who}, and DuckDB lets only one process in. "
            "Close it there, or choose another path with %durable open PATH."
        )


class StoreUnwritableError(StoreError):
    """The file or its folder cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        advice = "Choose a path you may write with %durable open PATH."
        if any(sign in self.reason for sign in _FULL):
            advice = "Make room there, and work goes on by itself; nothing was lost."
        elif _SHORT in self.reason:
            advice = "Work goes on by itself once there is memory; nothing was lost."
        return f"{self.path} cannot be written: {self.reason}. {advice}"


class StoreVersionError(StoreError):
    """The file was written with another schema version."""

    def __init__(self, path: str, found: int, supported: int) -> None:
        super().__init__(path, found, supported)
        self.path = path
        self.found = found
        self.supported = supported

    def __str__(self) -> str:
        if self.found > self.supported:
            return (
                f"{self.path} was written by a newer ipydurable (schema {self.found}, this one "
                f"knows {self.supported}). Upgrade ipydurable; nothing was changed."
            )
        return (
            f"{self.path} has schema {self.found}, which this ipydurable (schema "
            f"{self.supported}) cannot migrate. Nothing was changed."
        )


class StoreDamagedError(StoreError):
    """The file is damaged beyond what can be repaired without losing acknowledged facts."""

    def __init__(self, path: str, found: str, advice: str) -> None:
        super().__init__(path, found, advice)
        self.path = path
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.path} is damaged: {self.found}. {self.advice}"


class UntrustedStoreError(StoreError):
    """The store holds code that was not written with this user's key, so nothing of it runs."""

    def __init__(self, path: str, definitions: int) -> None:
        super().__init__(path, definitions)
        self.path = path
        self.definitions = definitions

    def __str__(self) -> str:
        count = f"{self.definitions} definition{'s' if self.definitions != 1 else ''}"
        return (
            f"{self.path} comes from elsewhere: {count} in it {_were(self.definitions)} not signed "
            "with your key. It can be read, but nothing in it runs. "
            "%durable trust shows the code it would run, and lets you trust it."
        )


class ReadOnlyStoreError(StoreError):
    """The store is open for reading only, and something else was asked for."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.path} is open for reading only, and was asked to {self.what}. "
            "To run it: %durable open PATH, or ipydurable.connect(path)."
        )


class QueryError(StoreError):
    """A SQL query failed."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(query, reason)
        self.query = query
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class HostError(DurableError):
    """Base of errors about the background host."""


class HostStartError(HostError):
    """The background host did not start."""

    def __init__(self, store: str, reason: str, log: str) -> None:
        super().__init__(store, reason, log)
        self.store = store
        self.reason = reason
        self.log = log

    def __str__(self) -> str:
        return f"The host for {self.store} did not start: {self.reason}. Its log: {self.log}"


class HostGoneError(HostError):
    """The background host ended and could not be replaced."""

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(store, reason)
        self.store = store
        self.reason = reason

    def __str__(self) -> str:
        return f"The host for {self.store} is gone: {self.reason}"


class AuthenticationError(HostError):
    """A message was not signed with the right key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"The message was refused: {self.reason}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
