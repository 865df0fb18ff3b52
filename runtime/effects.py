"""What orchestrator code must not do, since replay would not do it again, and what to do instead.

A table of dotted names. The check of a cell's source and the guards of running code both read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["IS_SILENCED", "Advice", "advice_for", "advice_for_method", "spelled"]

IS_SILENCED: Final = re.compile(r"#\s*durable:\s*ok\b")
"""The comment by which a line says that what it does is meant."""


class Advice(NamedTuple):
    """Why something is not for orchestrators, and what is.

    Attributes:
        kind: What it is about, in a word: `"clock"`.
        reason: Why not.
        remedy: What to write instead.
    """

    kind: str
    reason: str
    remedy: str


_CLOCK = Advice("clock", "the clock has moved on at replay", "ctx.current_utc_datetime")
_DATE = _CLOCK._replace(remedy="ctx.current_utc_datetime.date()")
_SLEEP = Advice("sleep", "holds up all other instances", "await ctx.create_timer(timedelta(...))")
_RANDOM = Advice("random", "gives other numbers at replay", "ctx.random()")
_UUID = Advice("uuid", "gives another id at replay", "ctx.new_uuid()")
_SECRET = Advice("random", "gives other bytes at replay", "an activity; ctx.new_uuid() for an id")
_ENVIRONMENT = Advice(
    "environment",
    "may be different where it is replayed",
    "pass it as input, or read it in an activity",
)
_FILE = Advice("file", "may have changed at replay", "an activity")
_NETWORK = Advice("network", "gives another answer at replay", "an activity")
_DATABASE = Advice("database", "gives another answer at replay", "an activity")
_PROCESS = Advice("process", "is run again at each replay", "an activity")
_THREAD = Advice(
    "thread", "its order is not repeated at replay", "activities, together with ctx.when_all([...])"
)
_ASYNCIO = Advice("asyncio", "no event loop runs here, and none is replayed", "an activity")
_IDENTITY = Advice(
    "identity", "differs from process to process", "a key of your own, or hashlib for a hash"
)
_INPUT = Advice("input", "nobody is there to ask", 'await ctx.wait_for_external_event("...")')
_SHELL = Advice(
    "process", "the host is no notebook, and runs it again at each replay", "an activity"
)


def _of(module: str, names: str, advice: Advice) -> Iterable[tuple[str, Advice]]:
    return ((f"{module}.{name}", advice) for name in names.split())


_TABLE: Final[dict[str, Advice]] = dict(
    [
        *_of("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns", _CLOCK),
        *_of("time", "process_time process_time_ns thread_time localtime gmtime ctime", _CLOCK),
        *_of("time", "asctime strftime", _CLOCK),
        *_of("timeit", "default_timer", _CLOCK),
        *_of("datetime.datetime", "now utcnow today", _CLOCK),
        *_of("datetime.date", "today", _DATE),
        *_of("pandas.Timestamp", "now utcnow today", _CLOCK),
        *_of("pendulum", "now today yesterday tomorrow", _CLOCK),
        *_of("arrow", "now utcnow", _CLOCK),
        *_of("time", "sleep", _SLEEP),
        *_of("random", "*", _RANDOM),
        *_of("numpy.random", "*", _RANDOM),
        *_of("torch", "rand randn randint randperm manual_seed seed normal", _RANDOM),
        *_of("uuid", "uuid1 uuid4 uuid6 uuid7 getnode", _UUID),
        *_of("secrets", "*", _SECRET),
        *_of("os", "urandom getrandom", _SECRET),
        *_of("os", "environ getenv environb getenvb putenv unsetenv getcwd chdir", _ENVIRONMENT),
        *_of("os", "getpid getppid getlogin cpu_count uname", _ENVIRONMENT),
        *_of("sys", "argv", _ENVIRONMENT),
        *_of("getpass", "*", _ENVIRONMENT),
        *_of("platform", "*", _ENVIRONMENT),
        *_of("locale", "*", _ENVIRONMENT),
        *_of("dotenv", "*", _ENVIRONMENT),
        *_of("pathlib.Path", "cwd home", _ENVIRONMENT),
        *_of("builtins", "open", _FILE),
        *_of("io", "open open_code FileIO", _FILE),
        *_of("codecs", "open", _FILE),
        *_of("os", "open listdir scandir walk stat lstat remove unlink rename replace", _FILE),
        *_of("os", "mkdir makedirs rmdir removedirs symlink link access", _FILE),
        *_of("os.path", "exists isfile isdir islink getsize getmtime getctime getatime", _FILE),
        *_of("shutil", "*", _FILE),
        *_of("tempfile", "*", _FILE),
        *_of("glob", "glob iglob", _FILE),
        *_of("gzip", "open", _FILE),
        *_of("bz2", "open", _FILE),
        *_of("lzma", "open", _FILE),
        *_of("zipfile", "ZipFile", _FILE),
        *_of("tarfile", "open", _FILE),
        *_of("joblib", "load dump", _FILE),
        *_of("numpy", "load save savez savez_compressed loadtxt savetxt genfromtxt", _FILE),
        *_of("numpy", "fromfile memmap", _FILE),
        *_of("pandas", "read_*", _FILE),
        *_of("polars", "read_*", _FILE),
        *_of("polars", "scan_*", _FILE),
        *_of("torch", "load save", _FILE),
        *_of("requests", "*", _NETWORK),
        *_of("httpx", "*", _NETWORK),
        *_of("aiohttp", "*", _NETWORK),
        *_of("urllib3", "*", _NETWORK),
        *_of("urllib.request", "*", _NETWORK),
        *_of("http.client", "*", _NETWORK),
        *_of("socket", "*", _NETWORK),
        *_of("ssl", "*", _NETWORK),
        *_of("ftplib", "*", _NETWORK),
        *_of("smtplib", "*", _NETWORK),
        *_of("imaplib", "*", _NETWORK),
        *_of("websockets", "*", _NETWORK),
        *_of("grpc", "*", _NETWORK),
        *_of("paramiko", "*", _NETWORK),
        *_of("boto3", "*", _NETWORK),
        *_of("openai", "*", _NETWORK),
        *_of("anthropic", "*", _NETWORK),
        *_of("sqlite3", "connect", _DATABASE),
        *_of("duckdb", "*", _DATABASE),
        *_of("sqlalchemy", "create_engine", _DATABASE),
        *_of("psycopg", "connect", _DATABASE),
        *_of("psycopg2", "connect", _DATABASE),
        *_of("pymongo", "MongoClient", _DATABASE),
        *_of("redis", "*", _DATABASE),
        *_of("subprocess", "*", _PROCESS),
        *_of("os", "system popen fork forkpty kill execv execvp spawnv posix_spawn", _PROCESS),
        *_of("pexpect", "*", _PROCESS),
        *_of("threading", "*", _THREAD),
        *_of("_thread", "*", _THREAD),
        *_of("multiprocessing", "*", _THREAD),
        *_of("concurrent.futures", "*", _THREAD),
        *_of("joblib", "Parallel delayed", _THREAD),
        *_of("queue", "Queue SimpleQueue LifoQueue PriorityQueue", _THREAD),
        *_of("asyncio", "*", _ASYNCIO),
        *_of("asyncio", "sleep", _ASYNCIO._replace(remedy=_SLEEP.remedy)),
        *_of(
            "asyncio",
            "gather TaskGroup",
            _ASYNCIO._replace(remedy="await ctx.when_all([...])"),
        ),
        *_of(
            "asyncio",
            "wait as_completed",
            _ASYNCIO._replace(remedy="await ctx.when_any([...]), or ctx.when_all([...])"),
        ),
        *_of(
            "asyncio",
            "wait_for timeout timeout_at",
            _ASYNCIO._replace(remedy="await ctx.when_any([task, ctx.create_timer(...)])"),
        ),
        *_of(
            "asyncio",
            "create_task ensure_future",
            _ASYNCIO._replace(remedy="keep the task and await it later, or ctx.when_all([...])"),
        ),
        *_of("asyncio", "run", _ASYNCIO._replace(remedy="await it")),
        *_of("anyio", "*", _ASYNCIO),
        *_of("trio", "*", _ASYNCIO),
        *_of("builtins", "hash id", _IDENTITY),
        *_of("builtins", "input", _INPUT),
        *_of("builtins", "get_ipython", _SHELL),
        *_of("IPython", "get_ipython", _SHELL),
        *_of("IPython.core.getipython", "get_ipython", _SHELL),
    ]
)
# Spellings of what is known by another name above.
_SAME_AS: Final = {
    "pathlib.PosixPath": "pathlib.Path",
    "pathlib.WindowsPath": "pathlib.Path",
    "pathlib.PosixPath()": "pathlib.Path()",
    "pathlib.WindowsPath()": "pathlib.Path()",
    "posix.": "os.",
    "nt.": "os.",
    "posixpath.": "os.path.",
    "ntpath.": "os.path.",
    "genericpath.": "os.path.",
    "_io.": "io.",
    "_socket.": "socket.",
    "numpy.random.mtrand.": "numpy.random.",
    "pandas._libs.tslibs.timestamps.": "pandas.",
    "pandas.io.": "pandas.",
}
_PATH = "pathlib.Path()"
_PATH_METHODS: Final = frozenset(
    [
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "open",
        "exists",
        "is_file",
        "is_dir",
        "stat",
        "iterdir",
        "glob",
        "rglob",
        "mkdir",
        "rmdir",
        "unlink",
        "touch",
        "rename",
        "replace",
        "walk",
        "resolve",
        "symlink_to",
    ]
)
# Names that no other kind of object has: whatever has them reads or writes.
_FILE_METHODS: Final = frozenset(
    [
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "to_csv",
        "to_parquet",
        "to_excel",
        "to_pickle",
        "to_feather",
        "to_hdf",
        "to_sql",
        "savefig",
    ]
)
_HARMLESS: Final = re.compile(r"(?:Error|Exception|Warning|Timeout|Failure|Expired)$")
_SEEDED: Final = frozenset(
    ["random.Random", "numpy.random.default_rng", "numpy.random.RandomState"]
)
_PURE: Final = frozenset(
    [
        *(f"numpy.random.{name}" for name in ("Generator", "SeedSequence", "PCG64")),
        *(f"socket.{name}" for name in ("inet_aton", "inet_ntoa", "htons", "ntohs", "htonl")),
        *(f"httpx.{name}" for name in ("URL", "QueryParams", "Headers")),
        *("locale.str", "shutil.get_terminal_size", "platform.python_version"),
        *("subprocess.list2cmdline", "tempfile.gettempprefix"),
    ]
)
_NOW_WITHOUT_TIME: Final = {
    "time.localtime": 0,
    "time.gmtime": 0,
    "time.ctime": 0,
    "time.asctime": 0,
    "time.strftime": 1,
}
_NOW_IN_WORDS: Final = {"numpy.datetime64", "pandas.Timestamp", "pandas.to_datetime"}


def spelled(dotted: str) -> str:
    """Return the name by which the table knows something: `posix.listdir` is `os.listdir`."""
    for other, known in _SAME_AS.items():
        if dotted.startswith(other):
            return known + dotted[len(other) :]
    return dotted


def advice_for(dotted: str, arguments: int = 0, first: object = None) -> Advice | None:
    """Return what there is to say about a call in an orchestrator; None if it is fine.

    Args:
        dotted: What is called, e.g. `"time.time"`; `"pathlib.Path().exists"` for a method.
        arguments: How many arguments it gets.
        first: The first one, where that is written out.
    """
    dotted = spelled(dotted)
    if dotted in _NOW_IN_WORDS:
        return _CLOCK if first in ("now", "today") else None
    if dotted in _PURE or (dotted in _SEEDED and arguments):
        return None
    if arguments > _NOW_WITHOUT_TIME.get(dotted, arguments):
        return None
    owner, _, name = dotted.rpartition(".")
    if owner == _PATH:
        return _FILE if name in _PATH_METHODS else None
    exact = _TABLE.get(dotted)
    if exact is not None:
        return exact
    if _HARMLESS.search(name) or "()" in dotted:
        return None
    by_prefix = _TABLE.get(f"{owner}.{name.partition('_')[0]}_*")
    if by_prefix is not None:
        return by_prefix
    while owner:
        found = _TABLE.get(f"{owner}.*")
        if found is not None:
            return found
        owner = owner.rpartition(".")[0]
    return None


def advice_for_method(name: str) -> Advice | None:
    """Return what there is to say about a method by its name alone; None if it is fine."""
    return _FILE if name in _FILE_METHODS else None
