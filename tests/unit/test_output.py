"""The output of an attempt: bounded, apart from that of others, wherever it runs."""

import base64
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.events import (
    HistoryEvent,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.output import AttemptOutput, OutputBuffer, OutputItem
from ipydurable.runtime.core.records import InstanceRecord
from ipydurable.runtime.executors import AsyncioExecutor, ProcessExecutor, ThreadExecutor
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.ports import (
    AttemptKey,
    AttemptOutcome,
    InstanceUpdate,
    KeptOutput,
    Store,
)
from ipydurable.runtime.recording import Recorder, recording, unroute_streams
from ipydurable.runtime.task_handles import tasks_of
from ipydurable.runtime.testing import MemoryStore
from ipydurable.store import open_store
from tests.support.world import World
from tests.unit.test_executors import Watcher, request_for

KEPT = 64 * 1024
PLUGINS = ["ipydurable.activity_display"]


@pytest.fixture(params=["processes", "threads", "asyncio"])
def watcher(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """Each executor in turn."""
    makers = {
        "processes": lambda: ProcessExecutor(2, plugins=PLUGINS),
        "threads": lambda: ThreadExecutor(4),
        "asyncio": lambda: AsyncioExecutor(4),
    }
    executor = makers[request.param]()
    yield Watcher(executor)
    executor.close()


@pytest.fixture
def processes() -> Iterator[Watcher]:
    executor = ProcessExecutor(2, plugins=PLUGINS)
    yield Watcher(executor)
    executor.close()


def pieces(outcome: AttemptOutcome) -> list[tuple[str, str]]:
    """Kind and text of each piece."""
    assert outcome.output is not None
    return [(item.kind, item.text) for item in outcome.output.items]


def test_what_is_printed_is_kept_in_order_and_by_stream(watcher: Watcher) -> None:
    source = """
        import sys
        def work():
            print("one")
            print("two", end="")
            print("three", file=sys.stderr)
            sys.stdout.buffer.write(b"four")
    """
    assert pieces(watcher.run(request_for(source))) == [
        ("stdout", "one\ntwo"),
        ("stderr", "three\n"),
        ("stdout", "four"),
    ]


def test_what_is_logged_is_kept(watcher: Watcher) -> None:
    source = """
        import logging
        def work(ctx):
            ctx.logger.info("from %s", "ctx")
            logging.getLogger("library").warning("it is late")
    """
    text = "".join(part for _, part in pieces(watcher.run(request_for(source))))
    assert "INFO ipydurable.activity.work: from ctx" in text
    assert "it is late" in text


def test_a_warning_is_given_to_every_attempt_of_a_worker(processes: Watcher) -> None:
    source = "import warnings\ndef work():\n    warnings.warn('again')\n"
    for number in (1, 2, 3, 4):
        outcome = processes.run(request_for(source, number=number))
        assert "UserWarning: again" in "".join(text for _, text in pieces(outcome))


def test_attempts_that_run_side_by_side_keep_their_output_apart(watcher: Watcher) -> None:
    source = """
        import asyncio, time
        async def aio(n):
            for part in range(20):
                print(n, part)
                await asyncio.sleep(0.001)
        def work(n):
            for part in range(20):
                print(n, part)
                time.sleep(0.001)
    """
    if isinstance(watcher.executor, AsyncioExecutor):
        source = source.replace("def work(n)", "def other(n)").replace("aio(n)", "work(n)")
    keys = [watcher.submit(request_for(source, n, number=n)) for n in range(4)]
    for n, key in enumerate(keys):
        lines = [("stdout", "".join(f"{n} {part}\n" for part in range(20)))]
        assert pieces(watcher.outcome(key)) == lines


def test_a_silent_attempt_has_no_output(watcher: Watcher) -> None:
    assert watcher.run(request_for("def work():\n    return 1\n")).output is None


def test_output_can_be_read_while_the_attempt_runs(watcher: Watcher, tmp_path: Path) -> None:
    source = """
        import pathlib, time
        def work(path):
            print("under way")
            while not pathlib.Path(path).exists():
                time.sleep(0.005)
    """
    signal = tmp_path / "go"
    key = watcher.submit(request_for(source, str(signal)))
    watcher.worker(key)
    running = watcher.executor.output(key)
    assert running is not None
    assert running.text == "under way\n"
    signal.touch()
    watcher.outcome(key)
    assert watcher.executor.output(key) is None


def test_a_flood_of_output_is_bounded_and_says_what_was_left_out(watcher: Watcher) -> None:
    source = """
        def work(n):
            for i in range(n):
                print(f"line {i:07d}", "x" * 80)
            print("the end")
    """
    outcome = watcher.run(request_for(source, 50_000))
    assert outcome.output is not None
    kept = sum(len(item.text) for item in outcome.output.items)
    assert kept <= 2 * KEPT
    assert outcome.output.text.startswith("line 0000000")
    assert outcome.output.text.endswith("the end\n")
    assert kept + outcome.output.dropped == 50_000 * 94 + len("the end\n")
    assert "characters left out" in outcome.output.text


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)"])
def test_the_last_words_of_a_worker_that_dies_are_kept(processes: Watcher, end: str) -> None:
    source = f"import ctypes, os\ndef work():\n    print('last words')\n    {end}\n"
    outcome = processes.run(request_for(source))
    assert "died" in outcome.lost
    assert pieces(outcome) == [("stdout", "last words\n")]


def test_the_output_of_an_attempt_that_was_stopped_is_kept(processes: Watcher) -> None:
    source = "import time\ndef work():\n    print('begun')\n    time.sleep(60)\n"
    outcome = processes.run(request_for(source, timeout_s=0.2))
    assert outcome.failure is not None
    assert pieces(outcome) == [("stdout", "begun\n")]


def test_what_c_code_and_child_processes_write_is_kept(processes: Watcher) -> None:
    source = """
        import ctypes, os, subprocess, sys
        def work():
            subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
            c = ctypes.CDLL(None)
            c.puts(b"from C")
            c.fflush(None)
            os.write(2, b"raw")
            if (child := os.fork()) == 0:
                print("forked", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
    """
    outcome = processes.run(request_for(source))
    assert outcome.output is not None
    by_kind = {"stdout": "", "stderr": ""}
    for kind, text in pieces(outcome):
        by_kind[kind] += text
    assert by_kind == {"stdout": "a child\nfrom C\nforked\n", "stderr": "raw"}


def test_a_flood_from_a_child_process_is_bounded(processes: Watcher) -> None:
    source = """
        import subprocess, sys
        def work():
            code = "for _ in range(300): print('y' * 100_000)"
            subprocess.run([sys.executable, "-c", code], check=True)
    """
    outcome = processes.run(request_for(source))
    assert outcome.output is not None
    kept = sum(len(item.text) for item in outcome.output.items)
    assert kept <= 2 * KEPT
    assert kept + outcome.output.dropped == 300 * 100_001


def test_displays_are_kept_with_all_their_forms(processes: Watcher) -> None:
    source = """
        class Plot:
            def _repr_png_(self):
                return bytes([137, 80, 78, 71])
            def _repr_html_(self):
                return "<b>bars</b>"
            def __repr__(self):
                return "a plot"
        def work():
            from IPython.display import HTML, display as show
            display(Plot())
            show(HTML("<i>slanted</i>"))
    """
    outcome = processes.run(request_for(source))
    assert outcome.output is not None
    plot, html = outcome.output.items
    assert (plot.kind, plot.text) == ("display", "a plot")
    assert plot.data["text/html"] == "<b>bars</b>"
    assert base64.b64decode(plot.data["image/png"])[1:] == b"PNG"
    assert html.data["text/html"] == "<i>slanted</i>"


def test_a_display_that_is_too_big_keeps_its_text() -> None:
    buffer = OutputBuffer()
    buffer.add(OutputItem("display", "a plot", {"image/png": "x" * 5_000_000}))
    output = buffer.take()
    assert output.items == (OutputItem("display", "a plot", dropped=5_000_000),)
    assert output.dropped == 5_000_000


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(0, 90_000))))
def test_whatever_is_printed_beginning_and_end_are_kept_and_all_is_counted(
    writes: list[tuple[str, int]],
) -> None:
    buffer = OutputBuffer()
    for kind, size in writes:
        buffer.add(OutputItem(kind, "x" * size))
    output = buffer.take()
    total = sum(size for _, size in writes)
    kept = sum(len(item.text) for item in output.items)
    assert kept + output.dropped == total
    assert kept <= 2 * KEPT
    assert kept >= min(total, KEPT)
    assert sum(item.dropped for item in output.items) == output.dropped


def test_progress_bars_of_terminals_read_as_their_last_form() -> None:
    items = (OutputItem("stderr", "10%\r50%\r100%\ndone\r\n"),)
    assert AttemptOutput(items=items).text == "100%\ndone\n"


def test_nothing_is_recorded_outside_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder()
    with recording(recorder):
        sys.stdout.write("inside\n")
        logging.getLogger("ipydurable.activity.x").info("logged")
    sys.stdout.write("outside\n")
    unroute_streams()
    kept = recorder.take()
    assert kept is not None
    assert kept.text == "inside\nINFO ipydurable.activity.x: logged\n"
    assert capsys.readouterr().out == "outside\n"


@pytest.mark.parametrize("kind", ["memory", "duckdb"])
def test_stores_keep_output_until_its_instance_is_purged(kind: str, tmp_path: Path) -> None:
    store: Store = MemoryStore() if kind == "memory" else open_store(tmp_path / "s.duckdb")
    store.recover()
    at = datetime(2026, 1, 1)
    display = OutputItem("display", "é\udc80", {"text/html": "<b>é</b>", "application/json": [1]})

    def kept(iid: int, task_id: int, number: int, text: str) -> KeptOutput:
        output = AttemptOutput(items=(OutputItem("stdout", text, dropped=3), display), dropped=3)
        return KeptOutput(AttemptKey(iid, "e", task_id, number), "fetch", at, output)

    first, second, other = kept(1, 1, 1, "a"), kept(1, 1, 2, "b"), kept(2, 1, 1, "c")
    store.keep_outputs([second, other])
    store.keep_outputs([first, second])
    found = store.outputs(1, "e", 1)
    assert [(one.key, one.name, one.written_at) for one in found] == [
        (first.key, "fetch", at),
        (second.key, "fetch", at),
    ]
    assert [one.output.items[0].text for one in found] == ["a", "b"]
    assert [one.output.dropped for one in found] == [3, 3]
    assert found[0].output.items[1].data == display.data
    assert store.outputs(1, "f", 1) == store.outputs(1, "e", 2) == []
    store.purge([1])
    assert store.outputs(1, "e", 1) == []
    assert len(store.outputs(2, "e", 1)) == 1
    store.close()


@contextmanager
def running(world: World) -> Iterator[None]:
    """Have the engine work in a thread of its own meanwhile."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            world.engine.step(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def said(text: str) -> AttemptOutput:
    """Output of one line."""
    return AttemptOutput(items=(OutputItem("stdout", text),))


async def two_fetches(ctx: Any) -> list[int]:
    return await ctx.when_all([ctx.call_activity("fetch", 1), ctx.call_activity("fetch", 2)])


def fetch(n: int) -> int:
    if n == 2:
        raise ValueError("no such city")
    return 10 * n


def test_tasks_are_found_by_name_with_all_that_is_known_of_them() -> None:
    world = World()
    world.orchestrator(two_fetches)
    world.define(fetch)
    world.start("two_fetches")
    first, second = list(world.executor.waiting)
    world.executor.printed[first] = said("lost")
    world.executor.lose(first)
    world.settle()
    again = next(key for key in world.executor.waiting if key.task_id == first.task_id)
    world.executor.printed[again] = said("found")
    world.executor.begin(second)
    world.settle()
    with running(world):
        run = InstanceHandle(world.client, "one")
        tasks = run["fetch"]
        assert [task.status for task in tasks] == ["queued", "running"]
        assert repr(tasks) == "<2 calls of fetch: 1 queued, 1 running>"
    world.work()
    with running(world):
        one, two = run["fetch"]
        assert (one.input, one.result, one.failure, one.status) == (1, 10, None, "completed")
        assert [(a.number, a.status) for a in one.attempts] == [(1, "lost"), (2, "completed")]
        assert one.output.text == "found"
        assert one.attempts[0].reason == "it was killed"
        assert two.failure is not None
        assert "no such city" in two.traceback
        assert "ValueError" in run.traceback
        assert two.output.items == ()
        with pytest.raises(KeyError, match="it has called fetch"):
            run["fecth"]


def test_the_output_of_a_task_is_that_of_its_last_retry() -> None:
    history = tasks_of(None, update_of(retried()), "fetch", print)  # type: ignore[arg-type]
    (task,) = history
    assert [(a.task_id, a.status) for a in task.attempts] == [(1, "failed"), (3, "completed")]
    assert task.status == "completed"
    assert task.failure is None


def retried() -> list[HistoryEvent]:
    at = datetime(2026, 1, 1)
    failure = FailureDetails(error_type="builtins.ValueError", message="no")
    return [
        TaskScheduled(timestamp=at, task_id=1, name="fetch"),
        TaskFailed(timestamp=at, task_id=1, failure=failure),
        TaskScheduled(timestamp=at, task_id=3, name="fetch", origin=1),
        TaskCompleted(timestamp=at, task_id=3, result="1"),
    ]


def update_of(events: list[HistoryEvent]) -> InstanceUpdate:
    at = datetime(2026, 1, 1)
    record = InstanceRecord(iid=1, instance_id="one", name="o", created_at=at, updated_at=at)
    numbered = list(enumerate(events, 1))
    return InstanceUpdate(record=record, events=numbered, running=[], now=at)
