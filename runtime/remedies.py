"""What to do about values that belong to one process: connections, files, locks and the like."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["PLAIN_DATA", "TOO_LARGE", "remedy_for"]

PLAIN_DATA: Final = (
    "Use plain data instead (numbers, text, lists, dicts, dataclasses, DataFrames), "
    "or make the object inside the function that needs it."
)
"""The remedy where nothing better is known."""
TOO_LARGE: Final = (
    "DataFrames and NumPy arrays of 4 MB and more travel as files; "
    "write other data to a file and pass its path"
)
"""The remedy for what takes too many bytes."""

_CONNECTION: Final = (
    "A connection belongs to the process that opened it: "
    "open it inside the function, and pass its address."
)
_FILE: Final = (
    "An open file belongs to the process that opened it: "
    "open it inside the function, and pass its path."
)
_LOCK: Final = (
    "A lock works within one process only, and this code runs in others: make it inside the "
    "function, or use an entity where several functions must agree."
)
_GENERATOR: Final = "A generator cannot be stored half way: pass a list of what it gives."
_COROUTINE: Final = "A coroutine cannot be stored half way: await it, and pass its result."
_THREAD: Final = "It runs in this process only: start it inside the function."
_CLIENT: Final = "A client holds open connections: make it inside the function."

# By module (or a package it is in) and class name; base classes count too.
_REMEDIES: Final = {
    ("_thread", "lock"): _LOCK,
    ("_thread", "RLock"): _LOCK,
    ("threading", "Condition"): _LOCK,
    ("threading", "Event"): _LOCK,
    ("threading", "Semaphore"): _LOCK,
    ("threading", "Barrier"): _LOCK,
    ("threading", "Thread"): _THREAD,
    ("threading", "local"): _THREAD,
    ("_thread", "_local"): _THREAD,
    ("_io", "_IOBase"): _FILE,
    ("io", "IOBase"): _FILE,
    ("mmap", "mmap"): _FILE,
    ("tempfile", "_TemporaryFileWrapper"): _FILE,
    ("_socket", "socket"): _CONNECTION,
    ("sqlite3", "Connection"): _CONNECTION,
    ("sqlite3", "Cursor"): _CONNECTION,
    ("duckdb", "DuckDBPyConnection"): _CONNECTION,
    ("_duckdb", "DuckDBPyConnection"): _CONNECTION,
    ("psycopg", "Connection"): _CONNECTION,
    ("psycopg2", "connection"): _CONNECTION,
    ("sqlalchemy", "Engine"): _CONNECTION,
    ("sqlalchemy", "Connection"): _CONNECTION,
    ("sqlalchemy", "Session"): _CONNECTION,
    ("pymongo", "MongoClient"): _CLIENT,
    ("redis", "Redis"): _CLIENT,
    ("httpx", "Client"): _CLIENT,
    ("httpx", "AsyncClient"): _CLIENT,
    ("aiohttp", "ClientSession"): _CLIENT,
    ("botocore", "BaseClient"): _CLIENT,
    ("builtins", "generator"): _GENERATOR,
    ("builtins", "async_generator"): _GENERATOR,
    ("builtins", "coroutine"): _COROUTINE,
    ("subprocess", "Popen"): _THREAD,
    ("multiprocessing", "BaseProcess"): _THREAD,
    ("concurrent", "Executor"): _THREAD,
    ("concurrent", "Future"): _COROUTINE,
    ("_asyncio", "Future"): _COROUTINE,
    ("_asyncio", "Task"): _COROUTINE,
    ("asyncio", "Lock"): _LOCK,
    ("asyncio", "Event"): _LOCK,
    ("asyncio", "Semaphore"): _LOCK,
    ("builtins", "frame"): PLAIN_DATA,
    ("builtins", "traceback"): PLAIN_DATA,
}
# These say themselves how they are stored, and keep what their base class could not.
_STORABLE: Final = {("_io", "BytesIO"), ("_io", "StringIO")}


def remedy_for(kind: type[Any]) -> str | None:
    """Return what to do about a value of a class that only works in the process that made it.

    Args:
        kind: The value's class.

    Returns:
        One or two sentences; None if nothing is known against the class.
    """
    for base in kind.__mro__:
        if (base.__module__, base.__name__) in _STORABLE:
            return None
        found = _REMEDIES.get((base.__module__, base.__name__))
        if found is None:
            found = _REMEDIES.get((base.__module__.partition(".")[0], base.__name__))
        if found is not None:
            return found
    return None
