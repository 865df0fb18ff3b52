"""The executors, with real processes, threads and event loops."""

import logging
import os
import queue
import re
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.executors import AsyncioExecutor, ProcessExecutor, ThreadExecutor
from ipydurable.runtime.executors.frames import Frame, FrameReader, pack
from ipydurable.runtime.namespace import hash_of_file
from ipydurable.runtime.ports import Progress
from tests.support.attempts import (
    CONVERTER,
    WAIT_S,
    Watcher,
    pid_of,
    request_for,
    wait_for_death,
)


@pytest.fixture(params=[ProcessExecutor, ThreadExecutor, AsyncioExecutor])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """Each executor in turn."""
    executor = request.param(2)
    yield Watcher(executor)
    executor.close()


@pytest.fixture
def processes() -> Iterator[Watcher]:
    """Two worker processes."""
    executor = ProcessExecutor(2)
    yield Watcher(executor)
    executor.close()


@pytest.fixture
def threads() -> Iterator[Watcher]:
    """Two threads."""
    executor = ThreadExecutor(2)
    yield Watcher(executor)
    executor.close()


@pytest.fixture
def loop() -> Iterator[Watcher]:
    """An event loop with room for two."""
    executor = AsyncioExecutor(2)
    yield Watcher(executor)
    executor.close()


class TestAnywhere:
    """What holds for every executor."""

    @pytest.mark.parametrize("prefix", ["def", "async def"])
    def test_returns_the_result(self, anywhere: Watcher, prefix: str) -> None:
        """Plain functions and `async def` run everywhere; the outcome says when and where."""
        request = request_for(f"{prefix} work(n): return n + 1", 41)
        outcome = anywhere.run(request)
        assert outcome.result == "42"
        assert outcome.worker
        assert outcome.started_at is not None
        assert outcome.ended_at is not None
        assert outcome.started_at <= outcome.ended_at

    @pytest.mark.parametrize("prefix", ["def", "async def"])
    def test_failure_has_only_the_users_lines(self, anywhere: Watcher, prefix: str) -> None:
        """A failure shows the cell's lines and none of the machinery's."""
        failure = anywhere.run(request_for(f"{prefix} work():\n    raise KeyError('x')\n")).failure
        assert failure is not None
        assert failure.error_type == "builtins.KeyError"
        assert failure.stack_trace.count("File ") == 1
        assert re.search(r'File "Cell In\[5\].*", line 2, in work', failure.stack_trace)

    @pytest.mark.parametrize("prefix", ["def", "async def"])
    def test_exit_is_a_failure(self, anywhere: Watcher, prefix: str) -> None:
        """`sys.exit()` and Ctrl-C in an activity fail it, and harm nothing else."""
        for number, error in enumerate(("SystemExit(3)", "KeyboardInterrupt()")):
            outcome = anywhere.run(request_for(f"{prefix} work(): raise {error}", number=number))
            assert outcome.failure is not None
            assert outcome.failure.type_name == error.partition("(")[0]
        assert anywhere.result(request_for("def work(): return 1", number=9)) == 1

    @pytest.mark.parametrize("prefix", ["def", "async def"])
    def test_done_is_called_once_for_each(self, anywhere: Watcher, prefix: str) -> None:
        """Every attempt of many is reported exactly once, with its own result."""
        source = f"""
            {prefix} work(n):
                if n % 7 == 0:
                    raise ValueError(n)
                return n * n
        """
        keys = [
            anywhere.submit(request_for(source, number, number=number)) for number in range(500)
        ]
        for number, key in enumerate(keys):
            outcome = anywhere.outcome(key)
            if number % 7 == 0:
                assert outcome.failure is not None
                assert outcome.failure.message == str(number)
            else:
                assert outcome.result == str(number * number)
        assert set(anywhere.calls.values()) == {1}

    @pytest.mark.parametrize("prefix", ["def", "async def"])
    def test_timeout_fails_the_attempt(self, anywhere: Watcher, prefix: str) -> None:
        """An attempt that takes too long fails with a TimeoutError that names the limit."""
        wait = "await asyncio.sleep(600)" if prefix == "async def" else "time.sleep(600)"
        source = f"import asyncio, time\n{prefix} work():\n    {wait}\n"
        outcome = anywhere.run(request_for(source, timeout_s=0.2))
        assert outcome.failure is not None
        assert outcome.failure.error_type == "builtins.TimeoutError"
        assert "work did not finish within its timeout of 0.2 s" in outcome.failure.message
        assert outcome.started_at is not None
        assert outcome.ended_at is not None
        assert (outcome.ended_at - outcome.started_at).total_seconds() >= 0.19
        assert anywhere.result(request_for("def work(): return 1", number=2)) == 1

    def test_own_timeout_error_is_left_alone(self, anywhere: Watcher) -> None:
        """A TimeoutError that the activity raises is its own, with its own lines."""
        source = "async def work():\n    raise TimeoutError('mine')\n"
        failure = anywhere.run(request_for(source, timeout_s=60)).failure
        assert failure is not None
        assert failure.message == "mine"
        assert "Cell In[5]" in failure.stack_trace

    def test_long_attempts_are_reported_as_started(self, anywhere: Watcher) -> None:
        """An attempt that runs on is reported as started once, before it ends, with its worker."""
        source = """
            import asyncio
            async def work():
                await asyncio.sleep(0.3)
        """
        outcome = anywhere.run(request_for(source))
        (started,) = anywhere.started.values()
        assert outcome.started_at is not None
        assert abs((outcome.started_at - started[0]).total_seconds()) < 0.1
        assert outcome.worker == started[1]

    def test_short_attempts_are_not_reported_as_started(self, anywhere: Watcher) -> None:
        """Attempts that end at once cost no report."""
        source = "def work(): return 1"
        anywhere.run(request_for(source))
        for number in range(100):
            anywhere.run(request_for(source, number=number))
        assert len(anywhere.started) < 5

    def test_queued_attempt_can_be_cancelled(self, anywhere: Watcher, tmp_path: Path) -> None:
        """An attempt that is cancelled before it begins never begins."""
        source = """
            import asyncio
            async def work(name):
                open(name, "w").close()
                await asyncio.sleep(600)
        """
        paths = [tmp_path / str(number) for number in range(3)]
        keys = [
            anywhere.submit(request_for(source, str(path), number=number))
            for number, path in enumerate(paths)
        ]
        anywhere.worker(keys[0])
        anywhere.worker(keys[1])
        anywhere.executor.cancel(keys[2])
        outcome = anywhere.outcome(keys[2])
        assert outcome.cancelled
        assert outcome.started_at is None
        assert not paths[2].exists()

    def test_cancel_of_the_unknown_is_ignored(self, anywhere: Watcher) -> None:
        """Cancelling what is not there, or is done, does nothing."""
        request = request_for("def work(): return 1")
        anywhere.executor.cancel(request.key)
        anywhere.run(request)
        anywhere.executor.cancel(request.key)
        assert anywhere.result(request_for("def work(): return 1", number=2)) == 1
        assert set(anywhere.calls.values()) == {1}

    def test_close_reports_what_is_open_as_lost(self, anywhere: Watcher) -> None:
        """Running, queued and late attempts are each reported once; nobody waits for ever."""
        source = """
            import asyncio
            async def work():
                await asyncio.sleep(600)
        """
        keys = [anywhere.submit(request_for(source, number=number)) for number in range(6)]
        anywhere.worker(keys[0])
        anywhere.executor.close()
        keys.append(anywhere.submit(request_for(source, number=7)))
        anywhere.executor.close()
        assert all(anywhere.outcomes[key].lost for key in keys)
        assert set(anywhere.calls.values()) == {1}

    def test_close_without_work(self, anywhere: Watcher) -> None:
        """An executor that never ran anything closes, too."""
        anywhere.executor.close()

    def test_progress_is_told(self) -> None:
        """What an activity tells reaches the executor's sink with the attempt's key."""
        source = """
            async def work(ctx):
                ctx.progress(1, 2, "half")
        """
        for kind in (ProcessExecutor, ThreadExecutor, AsyncioExecutor):
            told: list[tuple[Any, ...]] = []
            executor = kind(1, progress=lambda *report, told=told: told.append(report))
            request = request_for(source)
            Watcher(executor).run(request)
            executor.close()
            assert told == [(request.key, Progress(1.0, 2.0, "half"))]

    def test_failing_callback_is_survived(self, anywhere: Watcher) -> None:
        """An error in a callback is logged, and the executor goes on."""
        logged: queue.Queue[str] = queue.Queue()

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                logged.put(self.format(record))

        def fail(*_: object) -> None:
            raise RuntimeError("callback")

        log, listener = logging.getLogger("ipydurable.runtime.executors"), Listener()
        log.addHandler(listener)
        anywhere.executor.submit(request_for("def work(): ..."), fail, fail)
        assert "RuntimeError: callback" in logged.get(timeout=WAIT_S)
        log.removeHandler(listener)
        assert anywhere.result(request_for("def work(): return 1", number=2)) == 1


class TestProcesses:
    """Worker processes: what breaks there stays there."""

    @pytest.mark.parametrize(
        ("death", "how"),
        [
            ("os._exit(0)", "exit code 0"),
            ("os._exit(3)", "exit code 3"),
            ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
            ("ctypes.string_at(0)", "killed by signal 11"),
            ("os.closerange(3, 1000); time.sleep(600)", "killed by signal 9"),
        ],
    )
    def test_dying_worker_loses_only_its_own_attempt(
        self, processes: Watcher, death: str, how: str
    ) -> None:
        """A worker may die in any way: its attempt is lost, the others return."""
        source = f"""
            import ctypes, os, signal, time
            def work(n):
                if n == 5:
                    {death}
                return n
        """
        keys = [processes.submit(request_for(source, n, number=n)) for n in range(20)]
        for number, key in enumerate(keys):
            outcome = processes.outcome(key)
            if number == 5:
                pid = pid_of(outcome.worker)
                assert outcome.lost == f"worker process {pid} died ({how})"
                assert outcome.failure is None
                assert outcome.started_at is not None
            else:
                assert outcome.result == str(number)

    def test_death_is_noticed_though_a_child_goes_on(self, processes: Watcher) -> None:
        """A process that the activity forked may hold the link open: the death still shows."""
        source = """
            import os, time
            def work():
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(5)
                    os._exit(0)
                os._exit(7)
        """
        assert "exit code 7" in processes.run(request_for(source)).lost

    def test_idle_worker_may_die(self, processes: Watcher) -> None:
        """A worker that is killed while it waits is replaced without a word."""
        source = "import os\ndef work(): return os.getpid()"
        pid = processes.result(request_for(source))
        os.kill(pid, signal.SIGKILL)
        wait_for_death(pid)
        assert processes.result(request_for(source, number=2)) != pid

    def test_workers_killed_at_random(self, processes: Watcher, tmp_path: Path) -> None:
        """With workers dying all the time, each attempt runs once and gets its own outcome."""
        source = f"""
            import os, signal
            def work(n):
                with open({str(tmp_path / "ran")!r}, "a") as file:
                    file.write(f"{{n}}\\n")
                if n % 10 == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return n
        """
        keys = [processes.submit(request_for(source, n, number=n)) for n in range(200)]
        outcomes = [processes.outcome(key) for key in keys]
        assert [bool(outcome.lost) for outcome in outcomes] == [n % 10 == 0 for n in range(200)]
        ran = Counter((tmp_path / "ran").read_text().split())
        assert ran == {str(n): 1 for n in range(200)}
        assert set(processes.calls.values()) == {1}

    def test_timeout_stops_code_that_holds_the_interpreter(self, processes: Watcher) -> None:
        """Even a C call that never comes back to Python is stopped, and its process is gone."""
        source = """
            import ctypes
            def work():
                ctypes.PyDLL(None).pause()
        """
        outcome = processes.run(request_for(source, timeout_s=0.3))
        assert outcome.failure is not None
        assert outcome.failure.type_name == "TimeoutError"
        with pytest.raises(ProcessLookupError):
            os.kill(pid_of(outcome.worker), 0)

    def test_loading_does_not_count_towards_the_timeout(self, processes: Watcher) -> None:
        """Slow imports are not the body's time: a short timeout does not hit them."""
        source = """
            import time
            time.sleep(0.5)
            def work(): return 1
        """
        assert processes.result(request_for(source, timeout_s=0.2)) == 1

    def test_cancel_stops_the_worker_and_its_children(
        self, processes: Watcher, tmp_path: Path
    ) -> None:
        """A cancelled attempt is stopped at once, with the processes it started."""
        child_file = tmp_path / "child"
        os.mkfifo(child_file)
        source = f"""
            import subprocess, sys
            def work():
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                with open({str(child_file)!r}, "w") as file:
                    file.write(str(child.pid))
                child.wait()
        """
        key = processes.submit(request_for(source))
        worker = processes.worker(key)
        child = int(child_file.read_text())
        bystander = processes.submit(request_for("def work(): return 'fine'", number=2))
        processes.executor.cancel(key)
        outcome = processes.outcome(key)
        assert outcome.cancelled
        assert outcome.failure is None
        assert outcome.worker == worker
        wait_for_death(pid_of(worker))
        wait_for_death(child)
        assert processes.outcome(bystander).result == '"fine"'

    def test_code_is_kept_by_the_worker(self, processes: Watcher) -> None:
        """The first attempt loads a version; later ones on that worker find it loaded."""
        source = """
            import os
            runs = []
            def work():
                runs.append(1)
                return [os.getpid(), len(runs)]
        """
        runs = [processes.result(request_for(source, number=n)) for n in range(3)]
        assert runs == [[runs[0][0], 1], [runs[0][0], 2], [runs[0][0], 3]]

    def test_own_pickling_and_forking_work_as_in_the_notebook(self, processes: Watcher) -> None:
        """Classes and functions of the cells are found in `__main__` by the activity's pickles."""
        source = """
            import multiprocessing, pickle
            class Point:
                def __init__(self, x): self.x = x
            def double(point):
                return Point(point.x * 2)
            def work():
                assert pickle.loads(pickle.dumps(Point(3))).x == 3
                with multiprocessing.get_context("fork").Pool(1) as pool:
                    return pool.map(double, [Point(4)])[0].x
        """
        for number in range(2):
            assert (
                processes.result(request_for(source.replace("3", str(number + 3)), number=number))
                == 8
            )

    def test_big_code_travels_as_a_file(self) -> None:
        """Code above 64 KiB is written once, where only this user can enter, and removed."""
        executor = ProcessExecutor(1)
        watcher = Watcher(executor)
        source = f"TEXT = {'x' * 100_000!r}\ndef work(): return len(TEXT)\n"
        for number in range(3):
            assert watcher.result(request_for(source, number=number)) == 100_000
        folder = Path(executor._packages._folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(list(folder.iterdir())) == 1
        executor.close()
        assert not folder.exists()

    def test_big_values_pass(self, processes: Watcher) -> None:
        """Inputs and results of many megabytes pass, while small attempts overtake them."""
        text = "é" * 10_000_000
        source = "def work(text): return text + '!'"
        key = processes.submit(request_for(source, text))
        assert processes.result(request_for(source, "a", number=2)) == "a!"
        result = processes.outcome(key).result
        assert result is not None
        assert CONVERTER.decode(result) == text + "!"

    def test_dying_in_the_middle_of_an_answer(self, processes: Watcher) -> None:
        """A worker killed while it sends a big result loses that attempt only."""
        source = """
            import os, signal, threading, time
            def work(n):
                threading.Timer(0.0, os.kill, [os.getpid(), signal.SIGKILL]).start()
                return "x" * 50_000_000
        """
        for number in range(3):
            outcome = processes.run(request_for(source, number, number=number))
            assert "killed by signal 9" in outcome.lost
        assert processes.result(request_for("def work(): return 1", number=9)) == 1

    def test_output_disturbs_nothing(self, processes: Watcher) -> None:
        """What an activity prints, even past Python, is not mistaken for an answer."""
        source = """
            import os, sys
            def work():
                print("x" * 100)
                print("y", file=sys.stderr)
                os.write(1, bytes(range(256)))
                return sys.stdin.read()
        """
        assert processes.result(request_for(source)) == ""

    def test_forked_child_does_not_answer_too(self, processes: Watcher) -> None:
        """A child that an activity forks and forgets to end cannot answer in its place."""
        source = """
            import os, time
            def work(n):
                child = os.fork()
                if child:
                    os.waitpid(child, 0)
                return n if child else "child"
        """
        for number in range(5):
            assert processes.result(request_for(source, number, number=number)) == number

    def test_left_over_thread_cannot_speak_for_the_next_attempt(self) -> None:
        """Progress told by a thread after its attempt's end is dropped."""
        told: list[tuple[Any, ...]] = []
        executor = ProcessExecutor(1, progress=lambda *report: told.append(report))
        watcher = Watcher(executor)
        source = """
            import threading
            gate, spoken = threading.Event(), threading.Event()
            def speak(ctx):
                gate.wait()
                ctx.progress(1, 1)
                spoken.set()
            def work(ctx, n):
                if n == 1:
                    threading.Thread(target=speak, args=(ctx,)).start()
                else:
                    gate.set()
                    spoken.wait()
        """
        for number in (1, 2):
            watcher.result(request_for(source, number, number=number))
        executor.close()
        assert told == []

    def test_changed_local_module_is_seen(self, processes: Watcher, tmp_path: Path) -> None:
        """A worker that imported an older state of the user's own module imports the new one."""
        module = tmp_path / "my_helpers_x.py"
        results = []
        for number, text in enumerate(("1", "22")):
            module.write_text(f"VALUE = {text}\n")
            request = request_for(
                "def work(): return VALUE",
                number=number,
                imports=("from my_helpers_x import VALUE",),
                paths=(str(tmp_path),),
                module_hashes={"my_helpers_x": hash_of_file(str(module))},
            )
            results.append(processes.result(request))
        assert results == [1, 22]

    def test_workers_that_do_not_start_lose_what_waits(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where no worker can start, attempts are lost with the reason instead of waiting."""
        for program in ("/bin/false", "/nonexistent"):
            monkeypatch.setattr(sys, "executable", program)
            executor = ProcessExecutor(1)
            outcome = Watcher(executor).run(request_for("def work(): ..."))
            executor.close()
            assert outcome.lost.startswith("no worker starts")
            assert "did not start" in caplog.text

    def test_cancelled_while_no_worker_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An attempt that was cancelled in the queue is not reported again as lost."""
        monkeypatch.setattr(sys, "executable", "/nonexistent")
        executor = ProcessExecutor(1)
        watcher = Watcher(executor)
        # The first callback runs on the executor's own thread: what it posts is done as one batch.
        first, second = (request_for("def work(): ...", number=number) for number in range(2))
        posted = threading.Event()

        def submit_and_cancel(*_: object) -> None:
            watcher.submit(second)
            executor.cancel(second.key)
            posted.set()

        executor.submit(first, submit_and_cancel, submit_and_cancel)
        assert posted.wait(WAIT_S)
        assert watcher.outcome(second.key).cancelled
        assert watcher.run(request_for("def work(): ...", number=3)).lost
        executor.close()
        assert set(watcher.calls.values()) == {1}

    def test_no_more_workers_than_asked_for(self, processes: Watcher) -> None:
        """Capacity bounds the number of processes; they are kept and used again."""
        source = """
            import os, time
            def work():
                time.sleep(0.02)
                return os.getpid()
        """
        keys = [processes.submit(request_for(source, number=n)) for n in range(20)]
        assert len({processes.outcome(key).result for key in keys}) == 2


SCRIPT = """
import sys
from ipydurable.runtime.definitions import Chunk, CodePackage
from ipydurable.runtime.executors import ProcessExecutor
from ipydurable.runtime.ports import AttemptKey, AttemptRequest

with open(sys.argv[1], "a") as file:
    file.write("main ran\\n")

SOURCE = '''
import os, sys, time
def work(hang):
    if hang:
        time.sleep(600)
    main = sys.modules["__main__"]
    return [os.getpid(), getattr(main, "__file__", None)]
'''
package = CodePackage(entry="work", chunks=(Chunk(name="work", source=SOURCE),))
executor = ProcessExecutor(2)

def submit(number, hang, started, done):
    executor.submit(
        AttemptRequest(
            key=AttemptKey(1, "e", number, 1), instance_id="i", name="work", version="v",
            package=package, input=hang,
        ),
        started, done,
    )
"""


class TestLifeOfWorkers:
    """Workers belong to their host: they neither run it again nor outlive it."""

    def test_script_without_main_guard(self, tmp_path: Path) -> None:
        """A script without `if __name__ == "__main__"` runs once, and its workers end with it."""
        log = tmp_path / "log"
        script = tmp_path / "script.py"
        script.write_text(
            SCRIPT
            + textwrap.dedent("""
                import queue
                answers = queue.Queue()
                for number in range(4):
                    submit(number, "false", print, lambda key, outcome: answers.put(outcome))
                for _ in range(4):
                    print(answers.get(timeout=30).result)
            """)
        )
        answer = subprocess.run(
            [sys.executable, str(script), str(log)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        lines = answer.stdout.split("\n")[:4]
        assert log.read_text() == "main ran\n"
        assert answer.stderr == ""
        for line in lines:
            pid, main_file = CONVERTER.decode(line)
            assert main_file is None
            wait_for_death(pid)

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
    def test_workers_die_with_a_killed_host(self, tmp_path: Path, end: signal.Signals) -> None:
        """A host that is killed, without a chance to say so, takes its workers with it."""
        script = tmp_path / "script.py"
        script.write_text(
            SCRIPT
            + textwrap.dedent("""
                for number in range(2):
                    submit(number, "true", lambda key, at, who: print(who, flush=True), print)
                sys.stdin.read()
            """)
        )
        with subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "log")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as host:
            assert host.stdout is not None
            pids = [pid_of(host.stdout.readline().strip()) for _ in range(2)]
            host.send_signal(end)
            for pid in pids:
                wait_for_death(pid)

    def test_watching_the_host_where_the_system_does_not(self) -> None:
        """Without Linux' own means, a thread notices that the host is gone."""
        watched = (
            "import os; from ipydurable.runtime.executors.worker import watch_host; "
            "host = os.getppid(); print(os.getpid(), flush=True); watch_host(host, 0.01)"
        )
        host = (
            "import subprocess, sys; "
            f"subprocess.Popen([sys.executable, '-c', {watched!r}]); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            process.kill()
            wait_for_death(pid)


class TestThreads:
    """Threads: cheap, and impossible to stop."""

    def test_cancel_is_cooperative(self, threads: Watcher) -> None:
        """`ctx.cancelled` turns true; the attempt counts as cancelled once it has ended."""
        source = """
            import time
            def work(ctx):
                while not ctx.cancelled:
                    time.sleep(0.001)
                return "ignored"
        """
        key = threads.submit(request_for(source))
        threads.worker(key)
        threads.executor.cancel(key)
        outcome = threads.outcome(key)
        assert outcome.cancelled
        assert outcome.result is None
        assert outcome.started_at is not None

    def test_late_result_is_dropped_and_the_place_refilled(self, threads: Watcher) -> None:
        """After a timeout the thread goes on: it takes no place, and its result goes nowhere."""
        source = """
            import threading
            gate = threading.Event()
            def work(open_gate):
                if open_gate:
                    gate.set()
                gate.wait()
                return "late"
        """
        stuck = [
            threads.submit(request_for(source, False, number=number, timeout_s=0.05))
            for number in range(4)
        ]
        for key in stuck:
            failure = threads.outcome(key).failure
            assert failure is not None
            assert "goes on" in failure.message
        assert threads.result(request_for(source, True, number=9)) == "late"
        plain = "def work(n): return n"
        for number in range(10, 20):
            assert threads.result(request_for(plain, number, number=number)) == number
        assert set(threads.calls.values()) == {1}

    def test_capacity_bounds_the_threads(self, threads: Watcher) -> None:
        """No more attempts run at once than the capacity says."""
        source = """
            import threading, time
            running, most, lock = [0], [0], threading.Lock()
            def work():
                with lock:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                time.sleep(0.005)
                with lock:
                    running[0] -= 1
                return most[0]
        """
        keys = [threads.submit(request_for(source, number=n)) for n in range(20)]
        assert {threads.outcome(key).result for key in keys} <= {"1", "2"}


class TestEventLoop:
    """Tasks of an event loop."""

    def test_many_wait_at_once(self) -> None:
        """Hundreds of waiting activities share one thread."""
        executor = AsyncioExecutor(300)
        watcher = Watcher(executor)
        source = """
            import asyncio
            waiting, gate = [], asyncio.Event()
            async def work(n):
                waiting.append(n)
                if len(waiting) == 300:
                    gate.set()
                await gate.wait()
                return len(waiting)
        """
        keys = [watcher.submit(request_for(source, n, number=n)) for n in range(300)]
        assert {watcher.outcome(key).result for key in keys} == {"300"}
        executor.close()

    def test_capacity_bounds_the_tasks(self, loop: Watcher) -> None:
        """No more attempts run at once than the capacity says."""
        source = """
            import asyncio
            running, most = [0], [0]
            async def work():
                running[0] += 1
                most[0] = max(most[0], running[0])
                await asyncio.sleep(0.002)
                running[0] -= 1
                return most[0]
        """
        keys = [loop.submit(request_for(source, number=n)) for n in range(20)]
        assert {loop.outcome(key).result for key in keys} <= {"1", "2"}

    @pytest.mark.parametrize("timeout_s", [None, 0.3])
    def test_stopped_task_can_clean_up(
        self, loop: Watcher, tmp_path: Path, timeout_s: float | None
    ) -> None:
        """Cancel and timeout raise CancelledError where the code awaits: `finally` runs first."""
        path = tmp_path / "cleaned"
        source = f"""
            import asyncio
            async def work():
                try:
                    await asyncio.sleep(600)
                finally:
                    open({str(path)!r}, "w").close()
        """
        key = loop.submit(request_for(source, timeout_s=timeout_s))
        loop.worker(key)
        if timeout_s is None:
            loop.executor.cancel(key)
        outcome = loop.outcome(key)
        assert path.exists()
        assert outcome.cancelled == (timeout_s is None)
        assert (outcome.failure is None) == (timeout_s is None)

    def test_plain_function_does_not_hold_up_the_loop(self, loop: Watcher) -> None:
        """A plain `def` given to the event loop runs in a thread, and can be cancelled there."""
        source = """
            import time
            def work(ctx):
                while not ctx.cancelled:
                    time.sleep(0.001)
        """
        key = loop.submit(request_for(source))
        assert loop.worker(key).startswith("thread")
        assert loop.result(request_for("async def work(): return 1", number=2)) == 1
        loop.executor.cancel(key)
        assert loop.outcome(key).cancelled

    def test_cancelled_before_its_first_step(self, loop: Watcher) -> None:
        """However early a task is cancelled, it is reported, and its place becomes free."""
        source = """
            import asyncio
            async def work():
                await asyncio.sleep(600)
        """
        for number in range(50):
            key = loop.submit(request_for(source, number=number))
            loop.executor.cancel(key)
            assert loop.outcome(key).cancelled
        assert loop.result(request_for("async def work(): return 1", number=99)) == 1

    def test_exit_in_a_task_of_the_activity_spares_the_others(
        self, loop: Watcher, caplog: pytest.LogCaptureFixture
    ) -> None:
        """`SystemExit` in a task that an activity started does not end the loop."""
        source = """
            import asyncio
            async def leave():
                raise SystemExit(1)
            async def work():
                await asyncio.create_task(leave())
        """
        failure = loop.run(request_for(source)).failure
        assert failure is not None
        assert failure.type_name == "SystemExit"
        assert loop.result(request_for("async def work(): return 1", number=2)) == 1
        assert "tried to end the event loop" in caplog.text

    def test_slow_import_does_not_hold_up_the_loop(self, loop: Watcher) -> None:
        """Code is loaded in a thread; other activities go on meanwhile."""
        slow = loop.submit(
            request_for("import time\ntime.sleep(0.5)\nasync def work(): return 'slow'")
        )
        loop.result(request_for("async def work(): return 'quick'", number=2))
        assert slow not in loop.outcomes
        assert loop.outcome(slow).result == '"slow"'


@given(
    bodies=st.lists(st.tuples(st.sampled_from(Frame), st.binary(max_size=300)), max_size=8),
    data=st.data(),
)
def test_frames_survive_any_cut(bodies: list[tuple[Frame, bytes]], data: st.DataObject) -> None:
    """However a stream is cut into pieces, the frames that come out are those that went in."""
    stream = b"".join(pack(kind, body) for kind, body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = FrameReader()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    assert frames == bodies


def test_big_frames_are_read_in_big_pieces() -> None:
    """The reader asks for more at once while a big frame is under way."""
    reader = FrameReader()
    small = reader.chunk_size
    reader.feed(pack(Frame.OUTCOME, bytes(5_000_000))[:1000])
    assert reader.chunk_size > small
