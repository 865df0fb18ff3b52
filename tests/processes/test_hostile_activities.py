"""Activities that behave badly, in real worker processes: what their orchestrator gets of it."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import ipydurable
from ipydurable import RetryPolicy

pytestmark = pytest.mark.processes


class TwoPartsError(Exception):
    """Cannot be rebuilt from what it keeps."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


@ipydurable.activity
def give_a_generator():
    return (n for n in range(3))


@ipydurable.activity
def give_too_much():
    return bytes(500_000_000)


@ipydurable.activity
def fail_with_two():
    raise TwoPartsError("one", "two")


@ipydurable.activity
def fail_with_a_lock():
    import threading

    error = ValueError("holds a lock")
    error.lock = threading.Lock()
    raise error


@ipydurable.activity
def take_all(order):
    import pathlib

    taken = list(order["items"])
    order["items"].clear()
    path = pathlib.Path(order["mark"])
    if not path.exists():
        path.touch()
        raise OSError("not yet")
    return taken


@ipydurable.activity(timeout=1)
def hang_in_c():
    import re

    return re.match(r"(a+)+$", "a" * 64 + "b")


@ipydurable.activity
def print_without_end():
    import sys

    for _ in range(200):
        sys.stdout.write("x" * 1_000_000 + "\n")
    return "printed"


@ipydurable.orchestrator
async def name_what_is_raised(ctx, name):
    called = {"two": fail_with_two, "lock": fail_with_a_lock, "generator": give_a_generator}[name]
    try:
        await called()
    except TwoPartsError as error:
        return f"TwoPartsError: {error}"
    except ValueError as error:
        return f"ValueError: {error}"


@ipydurable.orchestrator
async def pass_a_list(ctx, mark):
    order = {"items": [1, 2, 3], "mark": mark}
    policy = RetryPolicy(max_number_of_attempts=3, first_retry_interval=timedelta(milliseconds=10))
    taken = await ctx.call_activity(take_all, order, retry_policy=policy)
    return taken, order["items"]


@ipydurable.orchestrator
async def call_one(ctx, name):
    return await {"hang": hang_in_c, "print": print_without_end, "much": give_too_much}[name]()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ipydurable.Runtime]:
    with ipydurable.Runtime(tmp_path / "store.duckdb") as made:
        yield made


def test_a_result_that_is_too_large_is_refused_where_it_was_made(
    runtime: ipydurable.Runtime,
) -> None:
    """Neither host nor store ever sees it: both would need several times its size."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ipydurable.OrchestrationFailedError, match="write other data to a file"):
        runtime.start(call_one, "much").result()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_result_that_cannot_be_pickled_fails_its_activity_only(
    runtime: ipydurable.Runtime,
) -> None:
    with pytest.raises(ipydurable.OrchestrationFailedError, match="result of give_a_generator"):
        runtime.start(name_what_is_raised, "generator").result()


@pytest.mark.parametrize(
    ("name", "told"), [("two", "TwoPartsError: one and two"), ("lock", "ValueError: holds a lock")]
)
def test_an_exception_that_cannot_be_rebuilt_is_caught_as_its_class(
    runtime: ipydurable.Runtime, name: str, told: str
) -> None:
    assert runtime.start(name_what_is_raised, name).result().endswith(told)


def test_an_activity_that_edits_its_arguments_changes_nobody_elses(
    runtime: ipydurable.Runtime, tmp_path: Path
) -> None:
    taken, items = runtime.start(pass_a_list, str(tmp_path / "mark")).result()
    assert taken == [1, 2, 3]
    assert items == [1, 2, 3]


def test_a_call_into_c_that_never_returns_is_timed_out(runtime: ipydurable.Runtime) -> None:
    began = time.monotonic()
    with pytest.raises(ipydurable.OrchestrationFailedError, match="hang_in_c"):
        runtime.start(call_one, "hang").result()
    assert time.monotonic() - began < 30


def test_an_activity_that_prints_without_end_leaves_little_behind(
    runtime: ipydurable.Runtime, tmp_path: Path
) -> None:
    assert runtime.start(call_one, "print").result() == "printed"
    runtime.settle(30)
    kept = sum(one.stat().st_size for one in tmp_path.rglob("*") if one.is_file())
    assert kept < 20_000_000
