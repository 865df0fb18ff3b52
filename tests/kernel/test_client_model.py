"""Starting with options, listing, paging, restarting and purging: the client model in Python."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ipydurable
from ipydurable import activity, entity, orchestrator
from ipydurable.arguments import ArgumentError
from ipydurable.display import Line
from ipydurable.embedded import Runtime
from ipydurable.handles import NotebookInstance
from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import (
    InstanceExistsError,
    InstanceStateError,
    OrchestrationFailedError,
    OrchestrationParkedError,
    OrchestrationTerminatedError,
    UnknownInstanceError,
    WaitTimeoutError,
)
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.testing import MemoryStore, VirtualClock
from ipydurable.session import DurableSession

_runs: list[str] = []


@activity(on="threads")
def broken_at_first(name):
    """Fail the first time."""
    _runs.append(name)
    if _runs.count(name) == 1:
        raise ValueError("not yet")
    return name


@orchestrator
async def echo(ctx, value=None, timeout=0):
    """Return what it is given."""
    return value if not timeout else [value, timeout]


@orchestrator
async def waits(ctx):
    """Wait for somebody."""
    return await ctx.wait_for_external_event("go")


@orchestrator
async def parent(ctx):
    """Have a child."""
    return await ctx.call_sub_orchestrator(echo, 1)


@orchestrator
async def fragile(ctx, name):
    """Fail once."""
    return await broken_at_first(name)


@entity
class Counter:
    """Counts."""

    count: int = 0

    def add(self):
        """Add one."""
        self.count += 1
        return self.count


@pytest.fixture
def clock() -> VirtualClock:
    """Return the engine's clock, which begins at the present."""
    return VirtualClock(datetime.now(UTC).replace(tzinfo=None))


@pytest.fixture
def session(clock: VirtualClock) -> Iterator[DurableSession]:
    """Return a session on an engine in this process, which is current."""
    engine = EmbeddedEngine(MemoryStore(), {"threads": ThreadExecutor()}, clock=clock)
    client = DurableClient(InProcess(engine.service), NamespaceConverter(globals()))
    with DurableSession(lambda: client, ":memory:") as session:
        yield session
    engine.close()


class TestStart:
    def test_later(self, session: DurableSession, clock: VirtualClock):
        """An instance that starts later waits until then, and the list says so."""
        run = echo.start(5, start_at="2h", instance_id="later")

        assert run.status is RuntimeStatus.PENDING
        waiting = session.list_instances()["waiting_for"][0]
        assert waiting.startswith("start echo until 20")
        assert waiting.endswith("UTC")
        clock.advance(timedelta(hours=3))
        assert run.result(30) == 5

    def test_a_timeout_of_the_whole(self, session: DurableSession, clock: VirtualClock):
        """An instance that has not ended in time fails."""
        run = waits.start(timeout="1h")
        session.client.wait_for_start(run.instance_id, 30)
        clock.advance(timedelta(hours=2))

        with pytest.raises(OrchestrationFailedError, match="within"):
            run.result(30)

    def test_options_are_no_parameters(self, session: DurableSession):
        """A parameter that has the name of an option is given by its position."""
        assert echo.start(1, 2).result(30) == [1, 2]
        assert echo.start(1, timeout=60).result(30) == 1

    def test_replacing(self, session: DurableSession):
        """An existing instance makes room only if its status was named."""
        waits.start(instance_id="one")
        with pytest.raises(InstanceExistsError):
            echo.start(1, instance_id="one", replace="finished")
        assert echo.start(2, instance_id="one", replace="any").result(30) == 2
        assert echo.start(3, instance_id="one", replace=["completed"]).result(30) == 3
        assert list(session.list_instances()["instance_id"]) == ["one"]

    @pytest.mark.parametrize(
        "options", [{"start_at": "soon"}, {"timeout": "soon"}, {"replace": "always"}]
    )
    def test_options_that_make_no_sense(self, session: DurableSession, options):
        """A wrong option is told, and nothing is started."""
        with pytest.raises(ArgumentError, match=r"soon|always"):
            echo.start(1, **options)
        assert session.list_instances().empty

    def test_many_at_once(self, session: DurableSession):
        """One commit starts an instance per input; the handles come in their order."""
        runs = echo.start_many(range(5), tags={"batch": "a"})

        assert [run.result(30) for run in runs] == list(range(5))
        assert all(isinstance(run, NotebookInstance) for run in runs)
        assert session.list_instances(tags={"batch": "a"}).shape[0] == 5
        assert echo.start_many([]) == []


class TestLists:
    def test_time_and_pages(self, session: DurableSession, clock: VirtualClock):
        """Filters by time are half-open; a page goes on after the last id of the one before."""
        for name in ("a", "b", "c", "d"):
            echo.start(1, instance_id=name)
            clock.advance(timedelta(days=1))
        middle = session.client.get("c").created_at

        assert list(session.list_instances(since=middle)["instance_id"]) == ["d", "c"]
        assert list(session.list_instances(until=middle)["instance_id"]) == ["b", "a"]
        first = session.list_instances(limit=3)["instance_id"]
        second = session.list_instances(limit=3, after=first.iloc[-1])["instance_id"]
        assert [*first, *second] == ["d", "c", "b", "a"]
        assert session.list_instances(until="1d").empty
        with pytest.raises(UnknownInstanceError):
            session.list_instances(after="nobody")

    def test_what_instances_wait_for(self, session: DurableSession):
        """Lists and handles answer what an instance waits for; finished ones wait for nothing."""
        echo.start(1, instance_id="done").wait(30)
        run = waits.start(instance_id="waits")
        session.client.wait_for_start("waits", 30)

        waiting, ended = session.list_instances()["waiting_for"]
        assert re.fullmatch(r"external event go since 20[-\d]{8} [\d:]{8} UTC", waiting)
        assert ended == ""
        assert [(one.kind, one.name) for one in run.waiting_for] == [("external event", "go")]
        [task] = run.waiting_for
        assert repr(task) == f"<external event go since {task.since:%Y-%m-%d %H:%M:%S} UTC>"

    def test_children(self, session: DurableSession):
        """The children of an instance are listed by their parent."""
        run = parent.start(instance_id="p")
        run.wait(30)

        assert list(session.list_instances(parent="p")["parent"]) == ["p"]
        assert list(session.list_instances(parent="p")["name"]) == ["echo"]


class TestAgain:
    def test_restart(self, session: DurableSession):
        """A finished instance is started again with its input, in its place or beside it."""
        run = echo.start(7, instance_id="r")
        run.wait(30)
        other = run.restart(new_id=True)

        assert isinstance(other, NotebookInstance)
        assert other.instance_id.startswith("echo-")
        assert other.result(30) == 7
        assert run.restart().result(30) == 7
        ipydurable.purge(status="failed")  # answered once what was replaced is deleted too
        assert session.list_instances().shape[0] == 2

    def test_rewind(self, session: DurableSession):
        """What failed is done again."""
        run = fragile.start("x", instance_id="f")
        with pytest.raises(OrchestrationFailedError):
            run.result(30)
        run.rewind("mended")

        assert run.result(30) == "x"

    def test_purge_one(self, session: DurableSession):
        """A finished instance is deleted, with its children if so asked."""
        parent.start(instance_id="p").wait(30)
        waits.start(instance_id="w")

        with pytest.raises(InstanceStateError, match="finished"):
            ipydurable.purge("w")
        assert ipydurable.purge("p", recursive=True) == 2
        assert list(session.list_instances()["instance_id"]) == ["w"]

    def test_purge_by_filter(self, session: DurableSession, clock: VirtualClock):
        """All finished ones that match are deleted, the running ones stay."""
        waits.start(instance_id="w")
        for name in ("a-1", "a-2", "b-1"):
            echo.start(1, instance_id=name, tags={"k": name[0]}).wait(30)
        assert ipydurable.purge(before="1h") == 0
        assert ipydurable.purge(status="failed") == 0
        assert ipydurable.purge(prefix="a-1") == 1
        assert ipydurable.purge(tags={"k": "a"}, status=["completed"]) == 1
        assert ipydurable.purge(name="waits") == 0
        assert list(session.list_instances()["instance_id"]) == ["b-1", "w"]

    @pytest.mark.parametrize(("args", "filters"), [((), {}), (("a",), {"name": "echo"})])
    def test_purge_wants_one_thing(self, session: DurableSession, args, filters):
        """Nothing at all would delete everything; an id and a filter contradict each other."""
        echo.start(1, instance_id="a").wait(30)

        with pytest.raises(ArgumentError, match="what to purge"):
            ipydurable.purge(*args, **filters)
        assert session.list_instances().shape[0] == 1


def test_the_embedded_runtime_can_do_the_same(tmp_path: Path):
    """A Runtime has all of it as methods, on a DuckDB store."""
    with Runtime(tmp_path / "orders.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        runs = runtime.start_many(echo, [1, 2])
        assert [run.result(30) for run in runs] == [1, 2]
        assert runtime.start(echo, 3, instance_id="x", timeout="1h").result(30) == 3
        assert runtime.start(echo, 4, instance_id="x", replace="any").result(30) == 4
        assert Counter("c").add().result(30) == 1
        assert runtime.entity("Counter@c").state == {"count": 1}
        assert list(runtime.entities(name="counter")["key"]) == ["c"]
        assert runtime.locks().empty
        assert runtime.purge(name="echo") == 3
        assert runtime.instances().empty
    with Runtime(tmp_path / "orders.duckdb", executors={}) as runtime:
        assert runtime.entity("Counter@c").add().result(30) == 2


@orchestrator
async def gets_stuck(ctx):
    """Never come to a wait again."""
    await ctx.wait_for_external_event("go")
    while ctx.custom_status is None:
        pass


@orchestrator
async def parent_of_stuck(ctx, child_id):
    """Have a child that gets stuck."""
    return await ctx.call_sub_orchestrator(gets_stuck, instance_id=child_id)


class TestWaitingForWhatDoesNotGoOn:
    def test_the_end_of_a_parked_instance_is_not_waited_for(self, session: DurableSession):
        """Parked before or while somebody waits, it says why and how to resume it, at once."""
        run = gets_stuck.start(instance_id="stuck")
        waiting = run._client.completion("stuck")
        run.raise_event("go")
        assert waiting.result(30).is_parked
        for wait in (run.result, run.wait, lambda: asyncio.run(awaited(run))):
            with pytest.raises(OrchestrationParkedError, match=r"line \d+.*%durable resume stuck"):
                wait()
        assert [task.kind for task in run.waiting_for] == ["resume"]
        assert "line" in run.waiting_for[0].hint

    def test_after_a_resume_it_is_waited_for_again(
        self, session: DurableSession, clock: VirtualClock
    ):
        """Which ends with the next parking, or the end."""
        run = gets_stuck.start(instance_id="stuck")
        run.raise_event("go")
        with pytest.raises(OrchestrationParkedError):
            run.result(30)
        run.resume()
        with pytest.raises(OrchestrationParkedError):
            run.result(30)
        run.terminate("enough")
        with pytest.raises(OrchestrationTerminatedError, match="enough"):
            run.result(30)

    @pytest.mark.parametrize("way", ["await", "result"])
    def test_a_suspended_one_is_waited_for_and_who_must_act_is_told(
        self, session: DurableSession, way: str, monkeypatch: pytest.MonkeyPatch
    ):
        """It may be resumed from elsewhere."""
        run = waits.start(instance_id="held")
        run.suspend("a look at the data first")
        run.raise_event("go", 5)
        said: list[str] = []

        def read_and_resume(line: Line) -> None:
            said.append(repr(line))
            run.resume()

        monkeypatch.setattr("ipydurable.handles.show", read_and_resume)
        assert (asyncio.run(awaited(run)) if way == "await" else run.result(30)) == 5
        (line,) = said
        assert line.startswith("instance held is suspended (a look at the data first) · ")
        assert line.endswith("%durable resume held has it go on")

    def test_a_parent_waits_for_its_parked_child_and_says_so(
        self, session: DurableSession, capsys: pytest.CaptureFixture[str]
    ):
        """The child may be mended; the parent itself is well."""
        run = parent_of_stuck.start("child", instance_id="parent")
        child = ipydurable.instance("child")
        child.raise_event("go")
        with pytest.raises(OrchestrationParkedError):
            child.result(30)
        with pytest.raises(WaitTimeoutError, match=r"within 1\.1 s"):
            run.result(1.1)
        assert "child is parked · %durable resume child has it go on" in capsys.readouterr().out
        waiting = session.list_instances(prefix="parent")["waiting_for"][0]
        assert waiting.startswith("sub-orchestration child (parked) since 20")


async def awaited(run: NotebookInstance):
    """Await a handle."""
    return await run


def test_how_long_to_wait_is_said_as_everywhere(session):
    """Seconds, a timedelta or text; what is no length of time is refused before waiting."""
    run = waits.start()
    for limit in (0.01, timedelta(milliseconds=10), "10ms"):
        with pytest.raises(WaitTimeoutError, match=r"did not happen within 0.01 s; it goes on"):
            run.result(timeout=limit)
    for absurd in ("soon", -1):
        with pytest.raises(ArgumentError, match="is no length of time"):
            run.wait(timeout=absurd)
    run.raise_event("go", 1)
    assert run.result("30s") == 1
