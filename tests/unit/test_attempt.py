"""`run_attempt`: an activity's code, input and outcome as bytes."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipydurable.runtime.activity_context import ActivityContext, activity_context
from ipydurable.runtime.attempt import (
    LOADED,
    ActivityCache,
    decode_outcome,
    describe,
    encode_attempt,
    encode_package,
    run_attempt,
)
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.core.serialization import CallArguments
from ipydurable.runtime.definitions import Chunk, CodePackage
from ipydurable.runtime.ports import AttemptKey, AttemptOutcome, AttemptRequest, Progress

KEY = AttemptKey(7, "execution", 3, 2)
CONVERTER = NamespaceConverter({})


def request_for(source: str, value: object = ..., *, version: str = "") -> AttemptRequest:
    """An attempt of the function `fetch` that `source` defines."""
    package = CodePackage(
        entry="fetch",
        chunks=(Chunk(name="fetch", source=textwrap.dedent(source), filename="Cell In[3]"),),
    )
    return AttemptRequest(
        key=KEY,
        instance_id="order-1",
        name="fetch",
        version=version,
        package=package,
        input=None if value is ... else CONVERTER.encode(value, "input"),
    )


def run(source: str, value: object = ..., **hooks: object) -> AttemptOutcome:
    """The outcome of running `fetch` here, through bytes."""
    request = request_for(source, value)
    return decode_outcome(
        run_attempt(encode_attempt(request, encode_package(request.package)), **hooks)
    )


def result_of(source: str, value: object = ...) -> object:
    """The decoded result of an attempt that must have returned."""
    outcome = run(source, value)
    assert outcome.failure is None, outcome.failure
    return CONVERTER.decode(outcome.result)


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("def fetch(): return 'nothing'", ..., "nothing"),
        ("def fetch(city): return city.upper()", "Basel", "BASEL"),
        ("def fetch(city='Bern'): return city", ..., "Bern"),
        ("def fetch(value): return value is None", None, True),
        ("def fetch(a, b=2, *, c): return [a, b, c]", CallArguments((1,), {"c": 3}), [1, 2, 3]),
        ("def fetch(ctx): return ctx.name", ..., "fetch"),
        ("def fetch(_ctx, n): return n + 1", 4, 5),
        ("def fetch(context, a, b): return a + b", CallArguments((1, 2), {}), 3),
        ("def fetch(me: 'ActivityContext', n): return [me.task_id, n]", 4, [3, 4]),
        ("def fetch(ctx, unused): return unused", ..., None),
        ("def fetch(ctx, n=5): return n", ..., 5),
        ("def fetch(city, ctx): return [city, ctx]", CallArguments(("a", "b"), {}), ["a", "b"]),
        ("async def fetch(n): return n * 2", 21, 42),
        ("fetch = lambda n: n - 1", 1, 0),
    ],
)
def test_input_reaches_the_function(source: str, value: object, expected: object) -> None:
    """No input, one value, several arguments and the context arrive as the parameters say."""
    assert result_of(source, value) == expected


@pytest.mark.parametrize(
    ("source", "value", "message"),
    [
        (
            "def fetch(city): ...",
            CallArguments(("a", "b"), {}),
            "fetch() takes (city), got 2 arguments",
        ),
        ("def fetch(city): ...", ..., "fetch() takes (city), got no arguments"),
        ("def fetch(): ...", "Basel", "fetch() takes no arguments, got 1 argument"),
        (
            "def fetch(ctx, city: str, limit: int = 3): ...",
            CallArguments(("a",), {"size": 1}),
            "fetch() takes (city, limit=3), got 1 argument and the keyword size",
        ),
        (
            "async def fetch(*, a): ...",
            CallArguments((), {"b": 1, "c": 2}),
            "fetch() takes (*, a), got the keywords b, c",
        ),
    ],
)
def test_mismatch_is_explained(source: str, value: object, message: str) -> None:
    """Arguments that do not fit fail with one sentence that names both sides, for good."""
    failure = run(source, value).failure
    assert failure is not None
    assert failure.error_type == "builtins.TypeError"
    assert failure.message == message
    assert failure.non_retriable
    assert failure.cause is None


def test_type_error_from_within_is_left_alone() -> None:
    """A TypeError that the function itself raises keeps its own words and its own lines."""
    failure = run("def fetch(n):\n    return len(n)\n", 3).failure
    assert failure is not None
    assert failure.message == "object of type 'int' has no len()"
    assert "line 2, in fetch" in failure.stack_trace
    assert not failure.non_retriable


def test_failure_is_data_with_own_lines_only() -> None:
    """A failure carries type, message, cause and the notebook's lines; none of ours."""
    source = """
        def helper(n):
            return 1 / n

        def fetch(n):
            try:
                return helper(n)
            except ZeroDivisionError as error:
                raise LookupError("no city") from error
    """
    failure = run(source, 0).failure
    assert failure is not None
    assert (failure.error_type, failure.message) == ("builtins.LookupError", "no city")
    assert failure.cause is not None
    assert failure.cause.error_type == "builtins.ZeroDivisionError"
    assert 'File "Cell In[3]", line 3, in helper' in failure.cause.stack_trace
    assert "return 1 / n" in failure.cause.stack_trace
    for trace in (failure.stack_trace, failure.cause.stack_trace):
        assert "attempt.py" not in trace


def test_async_failure_shows_no_event_loop() -> None:
    """The traceback of an `async def` has no frames of asyncio."""
    failure = run("async def fetch():\n    raise ValueError('x')\n").failure
    assert failure is not None
    assert failure.stack_trace.count("File ") == 1


@pytest.mark.parametrize(
    ("statement", "error_type"),
    [
        ("import sys; sys.exit(3)", "builtins.SystemExit"),
        ("raise KeyboardInterrupt", "builtins.KeyboardInterrupt"),
        ("raise GeneratorExit", "builtins.GeneratorExit"),
        ("raise BaseExceptionGroup('g', [KeyboardInterrupt()])", "builtins.BaseExceptionGroup"),
        ("def f(): f()\n    f()", "builtins.RecursionError"),
    ],
)
def test_nothing_escapes(statement: str, error_type: str) -> None:
    """Whatever the function raises is a failure, also what is no `Exception`."""
    failure = run(f"def fetch():\n    {statement}\n").failure
    assert failure is not None
    assert failure.error_type == error_type


@pytest.mark.parametrize(
    "source",
    [
        "def fetch():\n    raise ValueError('bad name \\udcff')\n",
        """
        class Broken(Exception):
            def __str__(self):
                raise RuntimeError("no text")

        def fetch():
            raise Broken
        """,
    ],
)
def test_failures_that_cannot_be_told_are_told(source: str) -> None:
    """Text that is no Unicode, and exceptions without text, still become a storable failure."""
    failure = run(source).failure
    assert failure is not None
    assert failure.message
    assert "fetch" in failure.stack_trace


def test_result_that_cannot_be_stored_names_the_activity() -> None:
    """An unencodable result fails for good, since the activity has run; the message says where."""
    failure = run("def fetch():\n    return (n for n in [1])\n").failure
    assert failure is not None
    assert failure.type_name == "EncodingError"
    assert "result of fetch" in failure.message
    assert failure.non_retriable


def test_code_that_cannot_be_loaded_is_a_failure() -> None:
    """An import that is missing here fails the attempt, and says what is missing."""
    request = request_for("def fetch(): ...")
    package = CodePackage(
        entry="fetch", imports=("import no_such_module_x",), chunks=request.package.chunks
    )
    outcome = decode_outcome(run_attempt(encode_attempt(request, encode_package(package))))
    assert outcome.failure is not None
    assert "no_such_module_x" in outcome.failure.message


def test_outcome_says_when_and_where() -> None:
    """Start, end and worker are in the outcome, in order."""
    outcome = run("def fetch(): return 1")
    assert outcome.started_at is not None
    assert outcome.ended_at is not None
    assert outcome.started_at <= outcome.ended_at
    assert outcome.worker.startswith("process ")


def test_context_tells_which_attempt_this_is() -> None:
    """The context names instance, task and attempt, and a key that outside systems can use."""
    source = """
        from ipydurable.runtime.activity_context import activity_context

        def helper():
            ctx = activity_context()
            return [ctx.instance_id, ctx.task_id, ctx.attempt, ctx.idempotency_key, ctx.cancelled]

        def fetch():
            return helper()
    """
    assert result_of(source) == ["order-1", 3, 2, "execution/3", False]


def test_context_is_gone_afterwards() -> None:
    """Outside an activity there is no context, and the error says what to do in a thread."""
    run("def fetch(): raise ValueError")
    with pytest.raises(DurableError, match="copy_context"):
        activity_context()


def test_progress_reaches_the_sink() -> None:
    """Progress is thinned out, but the first and the last report arrive, as plain numbers."""
    told: list[Progress] = []
    source = """
        def fetch(ctx):
            for done in range(1, 1001):
                ctx.progress(done, 1000, note="rows")
    """
    run(source, progress=told.append)
    assert told[0] == Progress(1.0, 1000.0, "rows")
    assert told[-1] == Progress(1000.0, 1000.0, "rows")
    assert len(told) < 100


def test_progress_without_a_sink_is_free_to_call() -> None:
    """An activity may tell its progress where nobody listens, e.g. in its own tests."""
    context = ActivityContext("fetch")
    context.progress(1)
    assert not context.cancelled
    assert context.logger.name == "ipydurable.activity.fetch"
    assert "fetch" in repr(context)


def test_code_is_loaded_once_per_version() -> None:
    """A process keeps the code of a version; only the first attempt says that it loaded it."""
    request = request_for("runs = []\ndef fetch(): runs.append(1); return len(runs)", version="v1")
    loads: list[bool] = []
    results = []
    for package in (encode_package(request.package), b"not needed any more"):
        payload = encode_attempt(request, package)
        outcome = decode_outcome(run_attempt(payload, begin=lambda _, is_new: loads.append(is_new)))
        assert outcome.result is not None
        results.append(CONVERTER.decode(outcome.result))
    assert (results, loads) == ([1, 2], [True, False])


def test_code_can_lie_in_a_file(tmp_path: Path) -> None:
    """Big code is read from the file that the payload names."""
    request = request_for("def fetch(): return 'from a file'")
    path = tmp_path / "code.pkg"
    path.write_bytes(encode_package(request.package))
    outcome = decode_outcome(run_attempt(encode_attempt(request, package_path=str(path))))
    assert outcome.result == '"from a file"'


def test_cache_forgets_the_least_recently_used() -> None:
    """A worker's memory is bounded: the version not used for longest goes first."""
    cache = ActivityCache(capacity=2)
    package = request_for("def fetch(): ...").package
    for version in ("a", "b"):
        cache.load("fetch", version, lambda: package)
    assert cache.find("fetch", "a") is not None
    cache.load("fetch", "c", lambda: package)
    assert cache.find("fetch", "b") is None
    assert cache.find("fetch", "a") is not None


def test_input_is_fresh_for_each_attempt() -> None:
    """An activity that edits its arguments edits its own copy."""
    source = "def fetch(rows):\n    rows.append(1)\n    return rows\n"
    request = request_for(source, [0], version="edits")
    payload = encode_attempt(request, encode_package(request.package))
    results = [decode_outcome(run_attempt(payload)).result for _ in range(2)]
    assert [CONVERTER.decode(result) for result in results if result] == [[0, 1], [0, 1]]


def test_describe_keeps_a_cause_with_bad_text() -> None:
    """Text that cannot be stored is mended in causes too."""
    error = KeyError("outer")
    error.__cause__ = ValueError("\udcff")
    failure = describe(error)
    assert failure.cause is not None
    assert failure.cause.message == "\\udcff"


def test_runs_in_a_bare_process() -> None:
    """`run_attempt` needs nothing but bytes: any pool, anywhere, can import and call it."""
    request = request_for("def fetch(n): return n + 1", 41)
    code = (
        "import sys; from ipydurable.runtime.attempt import run_attempt; "
        "sys.stdout.buffer.write(run_attempt(sys.stdin.buffer.read()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=encode_attempt(request, encode_package(request.package)),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert decode_outcome(answer.stdout).result == "42"


@pytest.fixture(autouse=True)
def forget_code() -> Iterator[None]:
    """Keep one test's versions from the next."""
    yield
    LOADED._activities.clear()
