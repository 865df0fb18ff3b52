"""Durable functions in plain Python: decorators, local calls, sessions and the embedded runtime."""

import asyncio
import inspect
import linecache
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipydurable
from ipydurable import ActivityContext, activity, activity_context, orchestrator
from ipydurable.display import Facts, Line
from ipydurable.embedded import Runtime
from ipydurable.functions import DECLARED, ActivityFunction
from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import (
    DefinitionError,
    DurableError,
    EncodingError,
    HostStartError,
    InstanceExistsError,
    NotDurableError,
    OrchestrationFailedError,
    StoreLockedError,
    UnknownInstanceError,
)
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.testing import MemoryStore
from ipydurable.session import DurableSession


@activity(retries=2, timeout="10s", on="threads")
def measure(city):
    """Return the length of a name."""
    return len(city)


@activity(on="threads")
def where(ctx, value):
    """Tell what the context is."""
    return [ctx.name, value, activity_context() is ctx]


@activity
async def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


@activity(on="threads")
def fails():
    """Fail."""
    raise ValueError("no luck")


@orchestrator
async def report(ctx, cities, factor=1):
    """Add up lengths."""
    return factor * sum(await ctx.when_all([measure(city) for city in cities]))


@orchestrator(name="waits")
async def waiting(ctx):
    """Wait for somebody."""
    return await ctx.wait_for_external_event("go")


@orchestrator
def gone_wrong(ctx):
    """Call an activity that fails."""
    yield ctx.call_activity(fails)


def _execute(source: str, namespace: dict[str, object]) -> None:
    """Execute source as a cell: whoever looks for it finds it."""
    filename = f"<cell {hash(source)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)


@pytest.fixture
def session() -> Iterator[DurableSession]:
    """Return a session on an engine in this process, which is current."""
    executors = {"threads": ThreadExecutor(), "processes": ThreadExecutor()}
    engine = EmbeddedEngine(MemoryStore(), executors)
    client = DurableClient(InProcess(engine.service), NamespaceConverter(globals()))
    with DurableSession(lambda: client, ":memory:") as session:
        yield session
    engine.close()


def test_a_plain_call_runs_the_activity():
    """An activity called outside an orchestrator is the function it was made of."""
    assert measure("Basel") == 5


def test_a_plain_call_gives_a_context():
    """A function that takes a context gets one, which activity_context() returns below it."""
    assert where(3) == ["where", 3, True]


def test_a_given_context_is_used():
    """A test may hand over a context of its own."""
    assert where(ActivityContext("mine"), 3)[0] == "mine"


def test_a_plain_call_of_an_async_activity_is_awaited():
    """An `async def` gives its coroutine."""
    assert asyncio.run(double(4)) == 8


def test_metadata_of_the_function_is_kept():
    """Help, signature and module are those of the user's function."""
    assert measure.__doc__ == "Return the length of a name."
    assert str(inspect.signature(report)) == "(ctx, cities, factor=1)"
    assert (measure.__name__, measure.__module__) == ("measure", __name__)
    assert (measure.__durable_kind__, waiting.__durable_name__) == ("activity", "waits")
    assert measure.options.max_attempts == 3


def test_an_activity_has_no_start():
    """The error says what to start instead; hasattr says no."""
    assert not hasattr(measure, "start")
    with pytest.raises(AttributeError, match="from an orchestrator and start that"):
        measure.start("Basel")


def test_an_orchestrator_is_not_called():
    """A plain call of an orchestrator says how it is started."""
    with pytest.raises(DefinitionError, match=r"report\.start\(\.\.\.\)"):
        report(["Basel"])


@pytest.mark.parametrize(
    ("make", "function", "said"),
    [
        (orchestrator, lambda: None, "takes no context"),
        (activity, (lambda: (yield)), "collect what it yields"),
        (activity(on="asyncio"), (lambda: None), "async def"),
    ],
)
def test_functions_that_cannot_be_durable(make, function, said):
    """A function of the wrong form is refused where it is defined."""
    with pytest.raises(DefinitionError, match=said):
        make(function)


def test_an_orchestrator_does_not_await_and_yield():
    """An async generator is refused with the reason."""

    async def both(ctx):
        yield 1

    with pytest.raises(DefinitionError, match="does one or the other"):
        orchestrator(both)


def test_options_are_checked_at_definition():
    """A wrong option of the decorator is told where it stands."""
    with pytest.raises(ValueError, match="length of time"):
        activity(timeout="soon")(len)
    with pytest.raises(TypeError, match="retires"):
        activity(retires=3)


def test_without_a_session_start_says_how_to_get_one():
    """Nothing runs durable functions in a plain process until a Runtime is entered."""
    with pytest.raises(DurableError, match="load_ext ipydurable"):
        report.start(["Basel"])


def test_start_and_result(session):
    """What decorators defined is sent at the first use, and the orchestration runs."""
    run = report.start(["Basel", "Bern"], instance_id="r-1", tags={"a": "b"})

    assert run.result(timeout=30) == 9
    assert (run.instance_id, run.status, run.name) == ("r-1", RuntimeStatus.COMPLETED, "report")
    assert run.record.tags == {"a": "b"}
    assert (measure.number, report.number) == (1, 1)


def test_repr_tells_kind_name_and_version(session):
    """The version is in the repr once it is known."""
    report.start(["Basel"]).wait(30)

    assert repr(report) == f"orchestrator report v1 ({report.version[:8]})"
    assert "def report(ctx" in report.source


def test_versions_are_listed_and_compared_in_plain_python(session):
    """What needs no notebook works without one; a store without SQL counts what is in flight."""
    namespace: dict[str, object] = {"activity": activity, "__name__": "__main__"}
    for number in (1, 2):
        _execute(f"@activity\ndef counted():\n    return {number}\n", namespace)
        session.define(namespace["counted"])
    counted = namespace["counted"]

    frame = counted.versions

    assert frame.number.tolist() == [1, 2]
    assert frame.in_flight.tolist() == [0, 0]
    assert frame.finished.isna().all()
    assert "-    return 1\n  +    return 2" in repr(counted.diff())
    assert repr(counted.adopt()) == "nothing in flight runs another version of counted than v2"


def test_several_arguments(session):
    """Several arguments and keywords reach the parameters after the context."""
    assert report.start(["Basel"], 3).result(30) == 15
    assert report.start(cities=["Basel"], factor=2).result(30) == 10


@pytest.mark.parametrize("args", [([], 1, 2), ()])
def test_arguments_are_checked_at_start(session, args):
    """Arguments that the orchestrator does not take are refused before anything is started."""
    with pytest.raises(TypeError, match=r"report\.start\(cities, factor=1\)"):
        report.start(*args, **({} if args else {"town": 1}))

    assert session.list_instances().empty


def test_await(session):
    """A handle is awaited in an event loop, and again after it has ended."""

    async def main():
        run = report.start(["Basel"])
        return await run, await run

    assert asyncio.run(main()) == (5, 5)


def test_a_cancelled_wait_leaves_the_instance_alone(session):
    """Cancelling `await run` ends the waiting only."""

    async def main():
        run = waiting.start(instance_id="w")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_wait_for(run), 0.05)
        run.raise_event("GO", 7)
        return await run

    assert asyncio.run(main()) == 7


async def _wait_for(run):
    return await run


def test_an_interrupt_says_that_the_instance_goes_on(session, monkeypatch):
    """KeyboardInterrupt leaves `result` with a note for people, in a line for IPython."""
    run = waiting.start(instance_id="w")

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(session.client, "completion", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.result()

    assert "'w' goes on in the background" in caught.value.__notes__[0]
    assert caught.value._render_traceback_() == [f"KeyboardInterrupt: {caught.value.__notes__[0]}"]
    assert run.status is RuntimeStatus.RUNNING


def test_a_failure_reaches_the_caller(session):
    """A failed orchestration raises with the failure of its activity."""
    with pytest.raises(OrchestrationFailedError, match="ValueError: no luck"):
        gone_wrong.start().result(30)


def test_ids(session):
    """A taken id and an unknown one are told apart."""
    report.start(["Basel"], instance_id="one").wait(30)

    with pytest.raises(InstanceExistsError):
        report.start(["Basel"], instance_id="one")
    with pytest.raises(UnknownInstanceError, match="Did you mean 'one'"):
        ipydurable.instance("onne")
    assert ipydurable.instance("one").result(30) == 5


def test_instances_as_a_frame(session):
    """The newest comes first; statuses may be given in any case."""
    report.start(["Basel"], instance_id="first").wait(30)
    report.start(["Basel"], instance_id="second", tags={"k": "v"}).wait(30)
    waiting.start(instance_id="third")

    frame = session.list_instances()
    assert list(frame["instance_id"]) == ["third", "second", "first"]
    assert frame["duration"].ge(0).all()
    assert list(session.list_instances(status="COMPLETED", limit=1)["instance_id"]) == ["second"]
    assert list(session.list_instances(tags={"k": "v"})["instance_id"]) == ["second"]
    assert session.list_instances(name="nobody").empty


def test_what_is_started_is_what_the_caller_holds(session):
    """Starting an older object makes its version the newest again."""

    def make(factor):
        namespace = {"orchestrator": orchestrator, "__name__": "__main__"}
        _execute(f"@orchestrator\ndef scaled(ctx, n):\n    return {factor} * n\n", namespace)
        return namespace["scaled"]

    old = make(2)
    assert old.start(10).result(30) == 20
    new = make(3)
    assert new.start(10).result(30) == 30
    assert old.start(10).result(30) == 20
    assert (old.number, new.number) == (1, 2)


def test_a_value_that_cannot_be_stored_is_named(session):
    """An input that cannot travel is refused at start."""
    with pytest.raises(EncodingError, match="input of report"):
        report.start([threading.Lock()])


def test_an_activity_that_cannot_travel_does_not_stop_others(session):
    """A definition nobody asked for is left out with a warning; what is started is sent."""
    handle = (number for number in range(3))

    @activity
    def uses_generator():
        return next(handle)

    with pytest.warns(UserWarning, match="uses_generator was left out"):
        run = report.start(["Basel"])
    assert run.result(30) == 5


def test_what_could_not_be_defined_is_not_tried_again(session):
    """A definition that was refused does not come back with the next start."""
    lock = threading.Lock()

    def locked():
        with lock:
            return 1

    with pytest.raises(NotDurableError, match="'lock'"):
        session.define(ActivityFunction(locked))
    assert report.start(["Basel"]).result(30) == 5


def test_lines_are_text_in_html():
    """What a user or a store says is shown as it is, never as markup."""
    line = Line("activity", "<b>", "v1", ["a & <script>"])

    assert "<script>" not in line._repr_html_()
    assert "&lt;b&gt;" in line._repr_html_()
    assert repr(line) == "activity <b> v1\n  ⚠ a & <script>"
    assert "&lt;i&gt;" in Facts("h", [("k", "<i>")])._repr_html_()


def test_a_closed_session_says_so(session):
    """After close nothing is sent any more."""
    session.close()

    with pytest.raises(DurableError, match="closed"):
        session.start(report, ([],))


def test_a_connection_that_failed_is_tried_again():
    """The first use tells why there is no connection; the next one tries again."""
    attempts = []

    def connect():
        attempts.append(1)
        raise HostStartError("x.duckdb", "no luck", "x.log")

    session = DurableSession(connect, "x.duckdb")
    for _ in range(2):
        with pytest.raises(HostStartError, match="no luck"):
            _ = session.client
    assert len(attempts) >= 2


def test_declarations_do_not_outlive_their_functions():
    """A function nobody holds any more is not sent."""

    @activity
    def short_lived():
        return 1

    assert isinstance(DECLARED[Kind.ACTIVITY, "short_lived"], ActivityFunction)
    del short_lived
    assert (Kind.ACTIVITY, "short_lived") not in DECLARED


def test_the_embedded_runtime(tmp_path: Path):
    """A Runtime runs what is started while it is entered, and its store can be queried."""
    with Runtime(tmp_path / "orders.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        run = runtime.start(report, ["Basel"], instance_id="r")
        assert run.result(30) == 5
        assert report.start(["Bern"]).result(30) == 4
        assert runtime.instance("r").status is RuntimeStatus.COMPLETED
        assert runtime.sql("SELECT count(*) AS n FROM activities")["n"].tolist() == [2]
        history = run.history()
        assert list(history.columns[:5]) == [
            *("instance_id", "execution_id", "seq", "timestamp", "event_type")
        ]
        assert "report" in run._repr_mimebundle_()["text/plain"]
    with pytest.raises(DurableError, match="Nothing here runs"):
        report.start([])


def test_an_instance_goes_on_in_the_next_runtime(tmp_path: Path):
    """What had not finished when a Runtime was closed goes on when the store is opened again."""
    path = tmp_path / "orders.duckdb"
    with Runtime(path, executors={}):
        waiting.start(instance_id="w")
    with Runtime(path, executors={}) as runtime:
        runtime.client.raise_event("w", "go", "on")
        assert runtime.instance("w").result(30) == "on"


def test_a_store_is_opened_once(tmp_path: Path):
    """A store that is open elsewhere is told as such."""
    path = tmp_path / "orders.duckdb"
    with Runtime(path, executors={}), pytest.raises(StoreLockedError):
        Runtime(path, executors={})


@pytest.mark.processes
def test_a_plain_script_needs_no_guard(tmp_path: Path):
    """Activities run in worker processes from a script without `if __name__ == "__main__"`."""
    script = tmp_path / "orders.py"
    script.write_text(
        "import os, ipydurable\n"
        "from ipydurable import activity, orchestrator\n"
        "print('imported')\n"
        "def helper(): return os.getpid()\n"
        "@activity\n"
        "def pid(): return helper()\n"
        "@orchestrator\n"
        "async def ask(ctx): return await pid()\n"
        "with ipydurable.Runtime('orders.duckdb') as runtime:\n"
        "    assert runtime.start(ask).result(60) != os.getpid()\n"
        "print('done')\n",
        encoding="utf-8",
    )
    command = [sys.executable, script.name]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
    )

    assert ran.stdout.split() == ["imported", "done"], ran.stderr
    assert ran.returncode == 0


@pytest.mark.processes
def test_a_script_may_use_a_host(tmp_path: Path):
    """`connect` starts or finds the background host of a store, as a notebook does."""
    path = tmp_path / "shared.duckdb"
    with ipydurable.connect(path) as first:
        run = report.start(["Basel"], instance_id="shared")
        assert run.result(60) == 5
        with ipydurable.connect(path) as second:
            assert ipydurable.connect() is second
            assert ipydurable.instance("shared").result(60) == 5
            assert second.client.host_status().pid == first.client.host_status().pid
        first.client.stop_host()


def test_a_name_means_what_the_orchestrator_uses(session):
    """Of two activities of one name the one that the started orchestrator uses is sent."""
    local = {"activity": activity, "orchestrator": orchestrator, "__name__": "__main__"}
    source = (
        "@activity(on='threads')\ndef measure(city): return 100\n"
        "@orchestrator\nasync def count(ctx): return await measure('x')\n"
    )
    _execute(source, local)

    assert report.start(["Basel"]).result(30) == 5
    assert local["count"].start().result(30) == 100
    assert report.start(["Basel"]).result(30) == 5


def test_every_public_name_is_there():
    """All that the package promises can be imported from it."""
    for name in (*ipydurable.__all__, *ipydurable.errors.__all__):
        assert getattr(ipydurable, name) is not None
        assert name in dir(ipydurable)
    with pytest.raises(AttributeError, match="no attribute 'NoSuchError'"):
        _ = ipydurable.NoSuchError


def test_importing_is_light():
    """Workers import this package too: no IPython, no data libraries, no messaging."""
    code = (
        "import sys; before = set(sys.modules); import ipydurable\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    heavy = {"IPython", "zmq", "duckdb", "pandas", "pyarrow", "ipywidgets", "msgspec", "asyncio"}
    assert heavy.isdisjoint(output.split())


def test_a_definition_that_is_refused_is_not_sent_again(session):
    """What no executor can run is an error once, and does not spoil what is defined later."""

    @ipydurable.activity(on="elsewhere")
    def far():
        return 1

    with pytest.raises(DefinitionError, match="asks for the executor 'elsewhere'; there are"):
        session.define(far)
    assert report.start(["Basel"]).wait(30) is RuntimeStatus.COMPLETED
