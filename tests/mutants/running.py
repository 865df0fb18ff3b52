"""Tries mutants in forks of a pytest process that has collected its tests already.

A fork gives the mutated function its other code and runs the tests that cover it, which takes a
fraction of the time of a new process. What a fork cannot show, such as what happens on import, a
new process tries, in which the mutant is imported in place of the module (`importing.py`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest

from .making import Mutant

__all__ = ["Measured", "Tests", "run_session"]

# A mutant may well fill memory in a loop.
_MAX_MEMORY = 8 * 1024**3
# Of processor time, as the machine may be busy, and for what waits.
_MIN_CPU_S = 5.0
_MIN_WAIT_S = 15.0
_MAX_WAIT_S = 60
_MAX_MEASURED_S = 600  # while lines are traced, on a busy computer
_OPTIONS = ("-q", "-s", "-x", "-p", "no:cacheprovider", "-p", "no:cov")

_fork = multiprocessing.get_context("fork")


class Measured(NamedTuple):
    """What the tests do without a mutant.

    Attributes:
        seconds: The processor time of each test.
        covering: For each file and line, the tests that run it.
    """

    seconds: dict[str, float]
    covering: dict[str, dict[int, list[str]]]


def run_session(
    root: Path, tests: Sequence[str], left_out: Sequence[str], work: Callable[[Tests], None]
) -> None:
    """Have pytest collect tests, and do `work` instead of running them.

    Args:
        root: The root of the repository.
        tests: Files of tests.
        left_out: Ends of the ids of tests that are not used.
        work: What to do.
    """
    # As in CI: generated examples are the same each time.
    os.environ["CI"] = "1"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.chdir(root)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        session = _Session(root, Path(folder), left_out, work)
        options = (*_OPTIONS, f"--basetemp={folder}/own", f"--timeout={_MAX_MEASURED_S}")
        pytest.main([*options, *tests], plugins=[session])
    if session.trouble is not None:
        raise session.trouble


class _Session:
    """A pytest plugin that hands over what was collected."""

    def __init__(
        self, root: Path, folder: Path, left_out: Sequence[str], work: Callable[[Tests], None]
    ) -> None:
        self._root = root
        self._folder = folder
        self._left_out = left_out
        self._work = work
        self.trouble: Exception | None = RuntimeError("pytest could not collect the tests")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return True
        items = [item for item in session.items if not item.nodeid.endswith(tuple(self._left_out))]
        try:
            self._work(Tests(self._root, self._folder, items))
            self.trouble = None
        except Exception as error:  # noqa: BLE001  (pytest would only print it)
            self.trouble = error
        return True


class Tests:
    """The tests that pytest has collected, and the code they test.

    Args:
        root: The root of the repository.
        folder: For what tests write.
        items: Pytest's items.
    """

    def __init__(self, root: Path, folder: Path, items: Sequence[pytest.Item]) -> None:
        self._root = root
        self._folder = folder
        self._items = {item.nodeid: item for item in items}
        self._took_s: dict[str, float] = {}
        self._functions: dict[tuple[str, str, int], list[FunctionType]] = {}
        for found in gc.get_objects():
            if isinstance(found, FunctionType):
                code = found.__code__
                key = code.co_filename, code.co_qualname, code.co_firstlineno
                self._functions.setdefault(key, []).append(found)
        gc.collect()
        gc.freeze()

    def measure(self, files: Sequence[str]) -> Measured:
        """Run all tests without a mutant, noting what they cover.

        Raises:
            RuntimeError: They fail.
        """
        receiving, sending = _fork.Pipe(duplex=False)
        child = _fork.Process(target=self._measure_here, args=(files, receiving, sending))
        child.start()
        sending.close()
        try:
            failed, self._took_s, *found = receiving.recv()
        except EOFError:
            failed = "the process died"
        child.join()
        if failed:
            raise RuntimeError(f"without a mutant, this fails: {failed}")
        return Measured(*found)

    def try_all(
        self,
        mutants: Iterator[Mutant],
        tests_for: Callable[[Mutant, bool], list[str]],
        seconds: dict[str, float],
        processes: int,
    ) -> Iterator[tuple[Mutant, str]]:
        """Try mutants, several at a time; yields each with what noticed it, as they end.

        That is the first test that failed, "timeout" or "death"; empty where nothing noticed it.

        Args:
            mutants: What to try.
            tests_for: Gives the tests that are to notice a mutant; with True, also those that may
                run what it changes on import.
            seconds: The processor time of tests without a mutant.
            processes: How many at a time.
        """
        running: dict[int, _Trial] = {}
        ended = False
        while running or not ended:
            while len(running) < processes and not ended:
                mutant = next(mutants, None)
                if mutant is None:
                    ended = True
                    break
                trial = self._fork(mutant, tests_for(mutant, False), seconds)
                if trial is None:
                    trial = self._import(mutant, tests_for(mutant, True), seconds)
                running[trial.child.sentinel] = trial
            nearest = min((trial.deadline for trial in running.values()), default=0.0)
            wait(list(running), timeout=max(0.0, nearest - time.monotonic()))
            for sentinel, trial in list(running.items()):
                noticed_by = trial.outcome()
                if noticed_by is None:
                    continue
                del running[sentinel]
                if noticed_by or trial.is_imported:
                    yield trial.mutant, noticed_by
                else:
                    more = self._import(trial.mutant, tests_for(trial.mutant, True), seconds)
                    running[more.child.sentinel] = more

    def _fork(self, mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> _Trial | None:
        """Try a mutant in a fork; None where it is not in the code of a function."""
        target = self._find(mutant)
        if target is None:
            return None
        trial = _Trial(mutant, self._folder, sum(seconds[test] for test in tests))
        trial.start(self._try_here, *target, tests, seconds, trial.folder)
        return trial

    def _import(self, mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> _Trial:
        """Try a mutant in a process that imports it."""
        trial = _Trial(mutant, self._folder, sum(seconds[test] for test in tests), imported=True)
        trial.start(_try_imported, self._root, mutant, tests, trial.folder)
        return trial

    def _find(self, mutant: Mutant) -> tuple[list[FunctionType], CodeType] | None:
        """Return the functions that a mutant changes, and their changed code."""
        path = str(self._root / mutant.path)
        codes = [compile(mutant.source, path, "exec", dont_inherit=True)]
        for code in codes:  # which grows
            codes.extend(inner for inner in code.co_consts if isinstance(inner, CodeType))
        for code in codes:
            if code.co_qualname != mutant.function:
                continue
            functions = self._functions.get((path, code.co_qualname, code.co_firstlineno), [])
            changed = [one for one in functions if one.__code__ != code]
            if changed and all(one.__code__.co_freevars == code.co_freevars for one in functions):
                return functions, code
        return None

    def _try_here(
        self,
        functions: list[FunctionType],
        code: CodeType,
        tests: list[str],
        seconds: dict[str, float],
        folder: Path,
        sending: Connection,
    ) -> None:
        for function in functions:
            function.__code__ = code
        failed, *_ = self._run(
            tests,
            folder,
            lambda test: _Limits(_MIN_CPU_S + 10 * seconds[test], self._longest_s(test)),
        )
        sending.send(failed)

    def _longest_s(self, test: str) -> float:
        """Return how long a test may take that waits for something a mutant never does."""
        return min(_MIN_WAIT_S + 10 * self._took_s[test], _MAX_WAIT_S)

    def _measure_here(
        self, files: Sequence[str], receiving: Connection, sending: Connection
    ) -> None:
        import coverage

        receiving.close()  # else it would wait for itself where the other side is gone
        paths = {path: str(self._root / path) for path in files}
        measuring = coverage.Coverage(
            data_file=None, include=list(paths.values()), config_file=False
        )
        measuring.start()
        os.setpgid(0, 0)
        no_limits = _Limits(0.0, 0.0)
        failed, took_s, seconds = self._run(
            list(self._items), self._folder, lambda test: no_limits, measuring.switch_context
        )
        measuring.stop()
        data = measuring.get_data()
        covering = {
            path: {
                line: [test for test in tests if test]
                for line, tests in data.contexts_by_lineno(measured).items()
            }
            for path, measured in paths.items()
        }
        sending.send((failed, took_s, seconds, covering))
        os._exit(0)

    def _run(
        self,
        tests: Sequence[str],
        folder: Path,
        limits: Callable[[str], _Limits],
        before: Callable[[str], Any] = str,
    ) -> tuple[str, dict[str, float], dict[str, float]]:
        """Run tests until one fails; return that, how long each took, and its processor time."""
        items = [self._items[test] for test in tests]
        noted = _Noted()
        took_s, seconds = {}, {}
        tempfile.tempdir = str(folder)
        if items:
            factory = items[0].config._tmp_path_factory
            factory._basetemp = None
            factory._given_basetemp = folder / "tmp"
            items[0].config.pluginmanager.register(noted)
        for item, following in zip(items, [*items[1:], None], strict=True):
            limit = limits(item.nodeid)
            if limit.wait_s:
                # Else it ends the test only, whose fixtures then wait for the same.
                item.add_marker(pytest.mark.timeout(0))
            # Their default is to end the process.
            signal.setitimer(signal.ITIMER_PROF, limit.cpu_s)
            signal.setitimer(signal.ITIMER_REAL, limit.wait_s)
            before(item.nodeid)
            began, began_cpu = time.monotonic(), time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.process_time() - began_cpu
            took_s[item.nodeid] = time.monotonic() - began
            if noted.failed:
                break
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        return noted.failed, took_s, seconds


class _Limits(NamedTuple):
    """How much processor time a test may take, and how long; 0 for any."""

    cpu_s: float
    wait_s: float


class _Noted:
    """A pytest plugin that keeps what failed first."""

    def __init__(self) -> None:
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class _Trial:
    """A process that tries a mutant."""

    def __init__(
        self, mutant: Mutant, folder: Path, time_s: float, *, imported: bool = False
    ) -> None:
        self.mutant = mutant
        self.is_imported = imported
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.deadline = time.monotonic() + 2 * _MAX_WAIT_S + 10 * time_s

    def start(self, target: Callable[..., None], *args: Any) -> None:
        self._receiving, sending = _fork.Pipe(duplex=False)
        self.child = _fork.Process(target=_in_group, args=(target, *args, sending))
        self.child.start()
        sending.close()

    def outcome(self) -> str | None:
        """Return what noticed the mutant, "" where nothing did; None while it runs."""
        is_late = time.monotonic() > self.deadline
        if self.child.is_alive() and not is_late:
            return None
        assert self.child.pid is not None
        # Its process group: also what its tests left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.join()
        shutil.rmtree(self.folder, ignore_errors=True)
        with self._receiving, contextlib.suppress(EOFError):
            if self._receiving.poll():
                return str(self._receiving.recv())
        is_ended = self.child.exitcode in (-signal.SIGPROF, -signal.SIGALRM)
        return "timeout" if is_late or is_ended else "death"


def _in_group(target: Callable[..., None], *args: Any) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    target(*args)
    os._exit(0)  # whatever threads are left


def _try_imported(
    root: Path, mutant: Mutant, tests: list[str], folder: Path, sending: Connection
) -> None:
    """Run tests in a new process that imports the mutant."""
    (folder / "mutant.py").write_text(mutant.source, encoding="utf-8")
    order = {"path": mutant.path, "tests": tests}
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *_OPTIONS, "-p", "tests.mutants.importing"),
            *(f"--basetemp={folder}/tmp", f"--timeout={_MAX_WAIT_S}", *files),
        ],
        cwd=root,
        env={**os.environ, "IPYDURABLE_MUTANT": str(folder)},
        check=False,
    )
    unnoticed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    sending.send("" if done.returncode in unnoticed else "a test, when imported")
