"""The dashboard of a store: its figures are those of the store; what it opens; its text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import ipydurable
from ipydurable import Runtime
from ipydurable.dashboard_output import DashboardView
from ipydurable.overview import take_beat, take_overview
from ipydurable.runtime.core.errors import UnknownInstanceError
from ipydurable.runtime.executors.threads import ThreadExecutor


@ipydurable.entity
class Account:
    balance: int = 0

    def deposit(self, amount):
        self.balance += amount


@ipydurable.activity(on="threads")
def double(n):
    return 2 * n


@ipydurable.orchestrator
async def brisk(ctx, n):
    return await ctx.call_activity(double, n)


@ipydurable.orchestrator
async def occupy(ctx):
    async with ctx.lock_entities("Account@a"):
        await ctx.wait_for_external_event("go")


@ipydurable.orchestrator
async def stumble(ctx):
    raise ValueError("no luck")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    path = tmp_path_factory.mktemp("board") / "fleet.duckdb"
    with Runtime(path, executors={"threads": ThreadExecutor()}) as runtime:
        runtime.entity("Account@a").call("deposit", 1).result(30)
        for run in runtime.start_many(brisk, range(12)):
            run.result(30)
        runtime.start(occupy, instance_id="holder")
        runtime.settle()
        runtime.start(occupy, instance_id="second")
        stuck = runtime.start(occupy, instance_id="third")
        runtime.settle()
        stuck.suspend("until Monday")
        with pytest.raises(ipydurable.OrchestrationFailedError):
            runtime.start(stumble, instance_id="broken").result(30)
        runtime.settle()
        yield runtime


def test_counts_names_and_versions_are_those_of_the_store(runtime: Runtime) -> None:
    taken = take_overview(runtime.client)
    assert dict(taken.counts) == {"Completed": 12, "Running": 2, "Suspended": 1, "Failed": 1}
    assert taken.names == [("brisk", 12), ("occupy", 3), ("stumble", 1)]
    assert [(one.name, one.number, one.count, one.newest) for one in taken.versions] == [
        ("occupy", 1, 3, 1)
    ]
    assert taken.store.endswith("fleet.duckdb")
    assert taken.size > 0


@pytest.mark.parametrize("span", ["1h", "1d", "7d", "all"])
def test_the_histogram_counts_every_instance_once(runtime: Runtime, span: str) -> None:
    asked_ms = datetime.now(UTC).timestamp() * 1000
    found = take_overview(runtime.client, span).histogram
    assert sum(map(sum, found.bins)) == 16
    assert sum(map(sum, found.bins[-2:])) == 16 or span == "all"
    assert found.start + found.width * len(found.bins) >= asked_ms


def test_what_waits_says_for_what_since_when_and_who_stands_in_the_way(runtime: Runtime) -> None:
    waits = {one.instance_id: one for one in take_overview(runtime.client).waits}
    assert list(waits)[0] == "third"  # noqa: RUF015  (the order is what is tested)
    assert (waits["third"].what, waits["third"].hint) == ("somebody to resume it", "until Monday")
    assert waits["holder"].what == "external event go"
    assert waits["second"].what == "lock on account@a, held by holder"
    assert waits["second"].entity_id == "@account@a"
    assert 0 <= datetime.now(UTC).timestamp() * 1000 - waits["holder"].since < 600_000


def test_the_beat_tells_the_load(runtime: Runtime) -> None:
    beat = take_beat(runtime.client)
    assert beat.live == 3
    assert {lane.name: lane.in_flight for lane in beat.lanes}["threads"] == 0


def test_a_click_opens_a_timeline_or_a_card_and_unknown_ids_are_refused(runtime: Runtime) -> None:
    view = DashboardView(runtime.client)
    widget = view.keep_widget()
    layout = view._laid_out(widget)
    widget._open("holder")
    assert layout.children[1].model.record.instance_id == "holder"
    widget._open("@account@a")
    assert layout.children[1].model.head().locked_by == "holder"
    with pytest.raises(UnknownInstanceError):
        widget._open("nobody")
    assert widget.opened == "@account@a"
    widget._open("")
    assert len(layout.children) == 1
    view.freeze()


def test_looking_again_sends_only_what_changed(runtime: Runtime) -> None:
    view = DashboardView(runtime.client)
    widget = view.keep_widget()
    sent: list[set[str]] = []

    def keep(state: Any, **_: Any) -> None:
        sent.append(set(state))

    widget._look("all")
    widget._send = lambda message, **_: keep(message.get("state", {}))
    widget._look("all")
    assert set().union(*sent) <= {"head", "histogram"}
    view.freeze()


def test_it_is_text_in_a_terminal_and_small_html_in_a_saved_notebook(runtime: Runtime) -> None:
    board = runtime.dashboard()
    text = repr(board)
    assert text.startswith("fleet.duckdb")
    assert "✓ 12 Completed" in text
    assert "held by holder" in text
    assert "versions in flight: occupy v1: 3" in text
    bundle = board._repr_mimebundle_()
    assert "✗ Failed" in bundle["text/plain"]
    assert 1_000 < len(bundle["text/html"]) < 60_000
    assert "<script" not in bundle["text/html"]


def test_an_empty_store_has_a_dashboard(tmp_path) -> None:
    with Runtime(tmp_path / "new.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        assert "nothing has been started yet" in repr(runtime.dashboard())
        widget = DashboardView(runtime.client).keep_widget()
        assert widget.first["total"] == 0
