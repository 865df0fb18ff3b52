"""The timeline of a failed instance: live as long as the kernel is, with a static form below."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ipydurable
from ipydurable import Runtime, live_output, timeline_output
from ipydurable.live_output import Alone, Kept
from ipydurable.runtime.executors.threads import ThreadExecutor
from ipydurable.timeline_output import Static, TimelineView
from tests.kernel.test_lasting_output import Shown


@ipydurable.activity
def load(path):
    from pathlib import Path

    return Path(path).read_text()


@ipydurable.orchestrator
async def risky(ctx, path):
    return await ctx.call_activity(load, path)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """The file that the activity reads; there is none yet."""
    return tmp_path / "not-yet.txt"


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What a notebook shows, in order: each view, and what stands below it."""
    found: list[Shown] = []

    def show(what: Any) -> Shown:
        found.append(Shown(what))
        return found[-1]

    monkeypatch.setattr(live_output, "show_replaceable", show)
    monkeypatch.setattr(live_output, "show", show)
    monkeypatch.setattr(live_output, "is_notebook", lambda _: True)
    return found


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(tmp_path / "s.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        yield runtime


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fail(runtime: Runtime, text: Path, instance_id: str = "r") -> TimelineView:
    """Show an instance while it runs, and let it fail."""
    run = runtime.start(risky, str(text), instance_id=instance_id)
    view = TimelineView(runtime.client, instance_id)
    view._ipython_display_()
    runtime.settle()
    assert str(run.status) == "Failed"
    view.rested.result(20)
    return view


def test_it_stays_live_and_what_is_saved_needs_no_kernel(
    runtime: Runtime, displayed: list[Shown], text: Path
) -> None:
    """The live one holds no static form; the one below says how to go on without the button."""
    view = fail(runtime, text)
    live, kept = displayed
    assert isinstance(live.what, Alone)
    bundle, _ = live.what._repr_mimebundle_()
    assert "text/html" not in bundle
    assert isinstance(kept.what, Kept)
    assert "<svg" in kept.what._repr_html_()
    assert "ipd-view" not in kept.what._repr_html_().replace(":has(.ipd-view)", "")
    assert "to run again what failed: %durable rewind r" in repr(kept.what)
    assert "No such file" in repr(kept.what)
    assert view.is_live
    assert len(kept.what._repr_html_()) < 100_000


def test_its_button_rewinds_it_and_the_end_is_static_as_ever(
    runtime: Runtime, displayed: list[Shown], text: Path
) -> None:
    """Meanwhile what is saved is the timeline as it was taken up again."""
    view = fail(runtime, text)
    text.write_text("well")
    widget: Any = displayed[0].what.widget
    widget._commands["rewind"]()
    view.settled.result(20)
    live, kept = displayed
    assert isinstance(live.what, Static)
    assert "Completed" in repr(live.what)
    assert repr(kept.what) == ""
    assert view.rested.done()
    assert not view.is_live


def test_it_may_fail_again(runtime: Runtime, displayed: list[Shown], text: Path) -> None:
    """Then what stands below is told anew."""
    view = fail(runtime, text)
    live, kept = displayed
    widget = live.what.widget
    before = kept.what._repr_html_()
    widget._commands["rewind"]()
    until(lambda: len(widget.model.rows()[0].spans) == 2 and widget.finished)
    until(lambda: isinstance(kept.what, Kept) and view.rested.done())
    until(lambda: kept.what._repr_html_() != before)
    assert "%durable rewind r" in repr(displayed[1].what)
    assert view.is_live


def test_one_that_has_failed_before_is_shown_live_too(
    runtime: Runtime, displayed: list[Shown], text: Path
) -> None:
    runtime.start(risky, str(text), instance_id="r")
    runtime.settle()
    view = TimelineView(runtime.client, "r")
    view._ipython_display_()
    live, kept = displayed
    assert isinstance(live.what, Alone)
    assert isinstance(kept.what, Kept)
    view.freeze()
    assert isinstance(live.what, Static)
    assert repr(kept.what) == "to run again what failed: %durable rewind r"
    assert view.settled.done()


def test_the_longest_failed_become_static_where_there_are_too_many(
    runtime: Runtime, displayed: list[Shown], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, and by their rows, of which the newest may have any number."""
    monkeypatch.setattr(timeline_output, "_FAILED_LIVE", 2)
    first, second, third = (fail(runtime, text, name) for name in ("a", "b", "c"))
    until(first.settled.done)
    assert isinstance(displayed[0].what, Static)
    assert (second.is_live, third.is_live) == (True, True)
    monkeypatch.setattr(timeline_output, "_FAILED_ROWS", 0)
    fourth = fail(runtime, text, "d")
    until(lambda: second.settled.done() and third.settled.done())
    assert fourth.is_live
    fourth.freeze()
