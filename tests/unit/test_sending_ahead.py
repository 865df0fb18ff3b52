"""Short attempts that a worker process gets before it is free."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ipydurable.runtime.executors import ProcessExecutor
from ipydurable.runtime.executors.pace import Pace
from ipydurable.runtime.ports import AttemptOutcome, AttemptRequest
from tests.processes.sources import wait_until
from tests.support.attempts import Watcher, pid_of, request_for

_SOURCE = """
import os, pathlib, time
def work(order):
    folder, n, waits = order
    with open(folder + "/ran", "a") as file:
        file.write(f"{n} {os.getpid()}\\n")
    while waits and not os.path.exists(folder + "/go"):
        time.sleep(0.001)
    return n
"""


@pytest.fixture
def lone() -> Iterator[Watcher]:
    """One worker process."""
    executor = ProcessExecutor(1)
    yield Watcher(executor)
    executor.close()


def _order(folder: Path, n: int, *, waits: bool = False) -> AttemptRequest:
    return request_for(_SOURCE, [str(folder), n, waits], number=n)


def _make_quick(watcher: Watcher, folder: Path, count: int = 3) -> None:
    """Have an executor learn that such attempts are short."""
    for n in range(10_000, 10_000 + count):
        assert watcher.result(_order(folder, n)) == n
    (folder / "ran").write_text("")


def _ran(folder: Path) -> list[tuple[int, int]]:
    """The numbers of the attempts that ran, in order, and in which process."""
    lines = (folder / "ran").read_text().splitlines()
    return [(int(n), int(pid)) for n, pid in (line.split() for line in lines)]


def test_what_comes_after_a_slow_one_is_begun_by_another_worker(tmp_path: Path) -> None:
    """Short ones were sent after it, as it was thought to be short as well."""
    executor = ProcessExecutor(2)
    both = Watcher(executor)
    _make_quick(both, tmp_path)
    slow = both.submit(_order(tmp_path, 0, waits=True))
    others = [both.submit(_order(tmp_path, n)) for n in range(1, 50)]
    for n, key in enumerate(others, 1):
        assert both.outcome(key).result == str(n)
    assert slow not in both.outcomes
    (tmp_path / "go").touch()
    assert both.outcome(slow).result == "0"
    executor.close()
    assert sorted(n for n, _ in _ran(tmp_path)) == list(range(50))


def test_a_worker_killed_with_more_to_come_loses_only_what_it_had_begun(
    lone: Watcher, tmp_path: Path
) -> None:
    _make_quick(lone, tmp_path)
    slow = lone.submit(_order(tmp_path, 0, waits=True))
    others = [lone.submit(_order(tmp_path, n)) for n in range(1, 20)]
    os.kill(pid_of(lone.worker(slow)), signal.SIGKILL)
    assert "killed by signal 9" in lone.outcome(slow).lost
    assert [lone.outcome(key).result for key in others] == [str(n) for n in range(1, 20)]
    assert [n for n, _ in _ran(tmp_path)] == list(range(20))


def test_what_was_sent_ahead_can_be_cancelled_and_never_begins(
    lone: Watcher, tmp_path: Path
) -> None:
    _make_quick(lone, tmp_path)
    slow = lone.submit(_order(tmp_path, 0, waits=True))
    unwanted = lone.submit(_order(tmp_path, 1))
    wanted = lone.submit(_order(tmp_path, 2))
    lone.executor.cancel(unwanted)
    assert lone.outcome(unwanted).cancelled
    (tmp_path / "go").touch()
    assert lone.outcome(slow).result == "0"
    assert lone.outcome(wanted).result == "2"
    assert [n for n, _ in _ran(tmp_path)] == [0, 2]


def test_cancelling_one_of_many_short_ones_costs_no_other(lone: Watcher, tmp_path: Path) -> None:
    _make_quick(lone, tmp_path)
    keys = [lone.submit(_order(tmp_path, n)) for n in range(200)]
    for key in keys[::10]:
        lone.executor.cancel(key)
    outcomes = [lone.outcome(key) for key in keys]
    for n, outcome in enumerate(outcomes):
        assert outcome.result == str(n) or (n % 10 == 0 and outcome.cancelled)
    assert set(lone.calls.values()) == {1}


def test_attempts_sent_ahead_run_in_order(lone: Watcher, tmp_path: Path) -> None:
    _make_quick(lone, tmp_path)
    keys = [lone.submit(_order(tmp_path, n)) for n in range(100)]
    assert [lone.outcome(key).result for key in keys] == [str(n) for n in range(100)]
    ran = _ran(tmp_path)
    assert [n for n, _ in ran] == list(range(100))
    assert len({pid for _, pid in ran}) == 1


def test_each_keeps_its_own_time_limit(lone: Watcher, tmp_path: Path) -> None:
    """It runs from when the attempt begins, not from when it was sent."""
    _make_quick(lone, tmp_path)
    limited = [
        msgspec.structs.replace(_order(tmp_path, n, waits=n == 5), timeout_s=0.5) for n in range(10)
    ]
    keys = [lone.submit(request) for request in limited]
    failure = lone.outcome(keys[5]).failure
    assert failure is not None
    assert "did not finish within its timeout of 0.5 s" in failure.message
    for n in (*range(5), *range(6, 10)):
        assert lone.outcome(keys[n]).result == str(n)


def _took(seconds: float) -> AttemptOutcome:
    began = datetime(2026, 1, 1)
    return AttemptOutcome(started_at=began, ended_at=began + timedelta(seconds=seconds))


def test_one_slow_attempt_is_enough_to_expect_more(tmp_path: Path) -> None:
    pace, request = Pace(), _order(tmp_path, 1)
    assert pace.usual_s(request) == float("inf")
    for _ in range(5):
        pace.note(request, _took(0.001))
    assert pace.usual_s(request) == pytest.approx(0.001)
    pace.note(request, _took(5.0))
    assert pace.usual_s(request) == pytest.approx(5.0)
    pace.note(request, _took(0.001))
    assert 4.0 < pace.usual_s(request) < 5.0


def test_nothing_is_learnt_from_an_attempt_that_never_began(tmp_path: Path) -> None:
    pace, request = Pace(), _order(tmp_path, 1)
    pace.note(request, AttemptOutcome(cancelled=True))
    assert pace.usual_s(request) == float("inf")


def test_the_pace_of_only_so_many_versions_is_kept(tmp_path: Path) -> None:
    pace, request = Pace(), _order(tmp_path, 1)
    for n in range(1000):
        pace.note(msgspec.structs.replace(request, version=str(n)), _took(0.001))
    assert pace.usual_s(msgspec.structs.replace(request, version="0")) == float("inf")
    assert pace.usual_s(msgspec.structs.replace(request, version="999")) < 1


def _idle_worker(watcher: Watcher, folder: Path) -> int:
    """Have the only worker know the code and be idle; returns its process id."""
    _make_quick(watcher, folder)
    watcher.result(_order(folder, 20_000))
    return _ran(folder)[-1][1]


def test_a_worker_that_was_too_slow_to_begin_gets_work_again(lone: Watcher, tmp_path: Path) -> None:
    """What was cancelled was still on its way to it."""
    pid = _idle_worker(lone, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    try:
        late = lone.submit(_order(tmp_path, 1))
        lone.executor.cancel(late)
        assert lone.outcome(late).cancelled
        next_one = lone.submit(_order(tmp_path, 2))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert lone.outcome(next_one).result == "2"
    assert [n for n, _ in _ran(tmp_path)] == [20_000, 2]


def test_what_a_worker_does_not_begin_for_a_while_is_not_reported_as_started(
    lone: Watcher, tmp_path: Path
) -> None:
    pid = _idle_worker(lone, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    try:
        keys = [lone.submit(_order(tmp_path, n)) for n in range(3)]
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 0.3)
        assert not lone.started
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [lone.outcome(key).result for key in keys] == ["0", "1", "2"]
