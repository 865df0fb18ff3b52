"""Views without an end: one for each thing, a static form that keeps up, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ipydurable
from ipydurable import Runtime, lasting_output, live_output
from ipydurable.entity_output import EntityView
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.executors.threads import ThreadExecutor


@ipydurable.entity
class Tally:
    n: int = 0

    def add(self, k):
        self.n += k
        return self.n


class Shown:
    """An output that was displayed, and what it shows now."""

    def __init__(self, what: Any) -> None:
        self.what = what
        self.updates = 0

    def update(self, what: Any) -> None:
        """Replace it."""
        self.what = what
        self.updates += 1


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What a notebook shows, in order."""
    found: list[Shown] = []

    def show(what: Any) -> Shown:
        found.append(Shown(what))
        return found[-1]

    monkeypatch.setattr(live_output, "show_replaceable", show)
    monkeypatch.setattr(live_output, "is_notebook", lambda _: True)
    monkeypatch.setattr(lasting_output, "_QUIET_S", 0.2)
    return found


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(tmp_path / "s.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        yield runtime


def view_of(runtime: Runtime, key: str = "a") -> EntityView:
    return EntityView.of(runtime.client, EntityInstanceId("Tally", key), f"Tally@{key}")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_thing_that_is_shown_twice_is_followed_once(
    runtime: Runtime, displayed: list[Shown]
) -> None:
    view_of(runtime)._ipython_display_()
    view_of(runtime)._ipython_display_()
    runtime.settle()
    assert displayed[0].what.widget is displayed[2].what.widget
    followers = runtime._engine.engine.subscriptions.entities._by_id
    assert len(followers["@tally@a"]) == 1


def test_the_form_without_a_kernel_keeps_up_and_is_left_alone_while_nothing_happens(
    runtime: Runtime, displayed: list[Shown]
) -> None:
    view_of(runtime)._ipython_display_()
    _, kept = displayed
    runtime.entity("Tally@a").call("add", 5).result(30)
    until(lambda: "add(5)" in repr(kept.what))
    assert "n         5" in repr(kept.what)
    assert 'class="ipd-kept ipd-again"' in kept.what._repr_html_()
    # What came just before may have asked for one more.
    time.sleep(0.6)
    updates = kept.updates
    time.sleep(0.6)
    assert kept.updates == updates


def test_a_flood_of_news_brings_it_up_to_date_only_once_it_is_over(
    runtime: Runtime, displayed: list[Shown]
) -> None:
    view_of(runtime)._ipython_display_()
    time.sleep(0.5)
    before = displayed[1].updates
    for _ in range(10):
        runtime.entity("Tally@a").call("add", 1).result(30)
        time.sleep(0.05)
    assert displayed[1].updates - before <= 1
    until(lambda: "n         10" in repr(displayed[1].what))


def test_the_longest_shown_becomes_static_where_there_are_too_many(
    runtime: Runtime, displayed: list[Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_output, "_LIVE_AT_ONCE", 2)
    first = view_of(runtime, "x")
    first._ipython_display_()
    second = view_of(runtime, "y")
    third = view_of(runtime, "z")
    assert first.settled.done()
    assert "Tally@x" in repr(displayed[0].what)
    assert not second.settled.done()
    assert not third.settled.done()
    runtime.settle()
    assert "@tally@x" not in runtime._engine.engine.subscriptions.entities._by_id


def test_another_client_gets_a_view_of_its_own(tmp_path: Path, displayed: list[Shown]) -> None:
    views = []
    for name in ("one", "two"):
        with Runtime(tmp_path / f"{name}.duckdb", executors={"threads": ThreadExecutor()}) as one:
            views.append(view_of(one))
    assert views[0] is not views[1]
    assert views[0].client is not views[1].client
    assert displayed == []


def test_a_card_that_was_watched_through_a_flood_ends_as_the_entity_is(
    runtime: Runtime, displayed: list[Shown]
) -> None:
    """Of thousands of operations in seconds only some are told; none of them stays in the queue."""
    view = view_of(runtime)
    view._ipython_display_()
    Tally.signal_many("add", [("a", 1)] * 3_000)
    runtime.settle()
    widget = view.keep_widget()
    until(lambda: widget.head["pending"] == 0 and widget.state_0[0][1][1] == "3000")
    assert widget.head["waiting"] == []
    assert not widget.model._open
    done = widget.model.happenings()
    assert len(done) == 40
    # What was before it was not told, so nothing is said of what it changed.
    assert done[-1].changes == [("state", None, "{'n': 3000}")]
    assert displayed
