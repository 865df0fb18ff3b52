"""Work that takes long holds up no other work, and work that does not needs few threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ipydurable.runtime.entity_threads import GrowingThreads

PATIENCE_S = 20.0


@contextmanager
def threads(
    few: int, most: int, *, patience_s: float = 0.001, idle_s: float = 60.0
) -> Iterator[GrowingThreads]:
    found = GrowingThreads(few, most, patience_s=patience_s, idle_s=idle_s)
    yield found
    found.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Work:
    """Something that says when it has begun, and goes on when it is told."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.done = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        self.go_on.wait(PATIENCE_S)
        self.done.set()


def test_work_is_done_although_all_threads_are_held_up() -> None:
    with threads(2, 50) as pool:
        slow = [Work() for _ in range(10)]
        for one in slow:
            pool.submit(one)
        assert all(one.begun.wait(PATIENCE_S) for one in slow)
        quick = Work()
        quick.go_on.set()
        pool.submit(quick)
        assert quick.done.wait(PATIENCE_S)
        assert not any(one.done.is_set() for one in slow)
        for one in slow:
            one.go_on.set()
        assert all(one.done.wait(PATIENCE_S) for one in slow)


def test_a_queue_that_moves_needs_few_threads_however_long_it_is() -> None:
    with threads(3, 50, patience_s=1.0) as pool:
        done = threading.Semaphore(0)
        for _ in range(2_000):
            pool.submit(lambda: done.release() and None)
        assert all(done.acquire(timeout=PATIENCE_S) for _ in range(2_000))
        assert pool.count <= 3


def test_there_are_never_more_threads_than_allowed() -> None:
    with threads(1, 3) as pool:
        slow = [Work() for _ in range(5)]
        for one in slow:
            pool.submit(one)
        until(lambda: pool.count == 3)
        assert [one.begun.wait(PATIENCE_S) for one in slow[:3]] == [True] * 3
        assert not slow[3].begun.wait(0.02)
        for one in slow:
            one.go_on.set()
        assert all(one.done.wait(PATIENCE_S) for one in slow)


def test_threads_that_are_not_needed_any_more_end() -> None:
    with threads(1, 10, idle_s=0.01) as pool:
        slow = [Work() for _ in range(5)]
        for one in slow:
            pool.submit(one)
        assert all(one.begun.wait(PATIENCE_S) for one in slow)
        for one in slow:
            one.go_on.set()
        until(lambda: pool.count == 1)


def test_threads_that_are_not_needed_end_though_work_keeps_coming() -> None:
    """All of them get some of it, so none is ever idle for long."""
    with threads(1, 10, patience_s=0.02, idle_s=0.5) as pool:
        slow = [Work() for _ in range(5)]
        for one in slow:
            pool.submit(one)
        assert all(one.begun.wait(PATIENCE_S) for one in slow)
        for one in slow:
            one.go_on.set()

        def is_one_left() -> bool:
            for _ in range(20):
                pool.submit(lambda: None)
            return pool.count == 1

        until(is_one_left)


def test_closing_waits_for_nothing_and_begins_nothing_more() -> None:
    with threads(1, 1) as pool:
        slow, later = Work(), Work()
        pool.submit(slow)
        assert slow.begun.wait(PATIENCE_S)
        pool.submit(later)
    pool.submit(later)
    slow.go_on.set()
    assert slow.done.wait(PATIENCE_S)
    assert not later.begun.wait(0.02)


def test_work_that_raises_takes_no_thread_with_it(caplog) -> None:
    def broken() -> None:
        raise ValueError("a bug")

    with threads(1, 1) as pool:
        good = Work()
        good.go_on.set()
        pool.submit(broken)
        pool.submit(good)
        assert good.done.wait(PATIENCE_S)
    assert "a bug" in caplog.text
