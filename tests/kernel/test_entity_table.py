"""The table of entities: pages from the host, cards beside it, a DataFrame all the while."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import ipydurable
from ipydurable import Runtime
from ipydurable.entities_output import EntitiesView
from ipydurable.runtime.executors.threads import ThreadExecutor
from ipydurable.shown_frame import entities_lines, shown_frame
from ipydurable.store_tables import EntityRows, InstanceRows


@ipydurable.entity
class Account:
    balance: int = 0

    def deposit(self, amount):
        self.balance += amount


@ipydurable.entity
class Box:
    n: int = 0

    def put(self, n):
        self.n = n


@ipydurable.orchestrator
async def hold(ctx, name):
    async with ctx.lock_entities(name):
        await ctx.wait_for_external_event("go")


@ipydurable.orchestrator
async def fail(ctx):
    raise ValueError("no luck")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    path = tmp_path_factory.mktemp("table") / "s.duckdb"
    with Runtime(path, executors={"threads": ThreadExecutor()}) as runtime:
        for number in range(60):
            runtime.entity(f"Account@{number:03}").call("deposit", number + 1).result(30)
        runtime.entity("Box@x'y").call("put", 7).result(30)
        runtime.start(hold, "Account@007", instance_id="holder")
        runtime.start(hold, "Account@007", instance_id="second")
        with pytest.raises(ipydurable.OrchestrationFailedError):
            runtime.start(fail, instance_id="broken").result(30)
        runtime.settle()
        yield runtime


@pytest.fixture(autouse=True, scope="module")
def defined(runtime: Runtime) -> None:
    """Have the definitions in the store."""


def test_pages_follow_each_other_without_gaps(runtime: Runtime) -> None:
    rows = EntityRows(runtime.client)
    seen = [row[0] for start in range(0, 70, 25) for row in rows.page({}, start, 25)["rows"]]
    assert len(seen) == len(set(seen)) == 61
    assert rows.page({}, 0, 25)["total"] == 61
    assert rows.page({}, 100, 25)["rows"] == []


def test_rows_say_kind_key_state_and_lock(runtime: Runtime) -> None:
    rows = EntityRows(runtime.client)
    (row,) = rows.page({"locked": True})["rows"]
    assert row[:6] == ["@account@007", "Account", "007", '{"balance":8}', 1, "holder"]
    assert rows.page({"busy": True})["total"] == 1
    assert rows.names() == [["Account", 60], ["Box", 1]]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ({"text": "ACCOUNT@00"}, 10),
        ({"text": "@box@x'"}, 1),
        ({"name": "Account"}, 60),
        ({"name": "nobody"}, 0),
        ({"name": "Box", "text": "00"}, 0),
        ({"text": "%"}, 0),
    ],
)
def test_search_and_filters(runtime: Runtime, query: dict, total: int) -> None:
    page = EntityRows(runtime.client).page(query)
    assert page["total"] == total
    assert len(page["rows"]) == min(total, 50)


def test_sorted_by_any_column_and_by_none_that_is_not_one(runtime: Runtime) -> None:
    rows = EntityRows(runtime.client)
    keys = [row[2] for row in rows.page({"sort": "key", "up": True, "name": "Account"})["rows"]]
    assert keys == sorted(keys)
    assert rows.page({"sort": "pending"})["rows"][0][2] == "007"
    assert rows.page({"sort": "1; DROP TABLE journal"})["total"] == 61
    assert len(rows.page({}, 0, 10_000)["rows"]) == 61


def test_instances_say_what_they_wait_for_or_why_they_failed(runtime: Runtime) -> None:
    rows = {row[0]: row for row in InstanceRows(runtime.client).page({})["rows"]}
    assert rows["broken"][1:3] == ["fail", "Failed"]
    assert "no luck" in rows["broken"][6]
    assert rows["holder"][6].startswith("waits for external event go since 20")
    assert rows["second"][6].startswith("waits for lock")
    found = InstanceRows(runtime.client)
    assert found.page({"status": ["Failed"]})["total"] == 1
    assert found.page({"text": "HOLD"})["total"] == 1
    assert found.page({"from": 0, "to": 1})["total"] == 0
    assert found.page({"sort": "took", "up": True})["total"] == 3


def test_a_click_opens_a_card_and_the_next_another(runtime: Runtime) -> None:
    view = EntitiesView(runtime.client, {"name": "Account"})
    widget = view.keep_widget()
    assert widget.first["total"] == 60
    layout = view._laid_out(widget)
    widget._open("@account@007")
    assert widget.opened == "@account@007"
    card = layout.children[1]
    assert card.model.head().locked_by == "holder"
    assert "@account@007" in runtime._engine.engine.subscriptions.entities._by_id
    widget._open("@account@008")
    assert layout.children[1] is not card
    assert card.comm is None
    widget._open("")
    assert len(layout.children) == 1
    view.freeze()
    widget.close()
    runtime.settle()
    assert not runtime._engine.engine.subscriptions.entities._by_id


def test_news_of_the_store_come_as_a_stamp(runtime: Runtime) -> None:
    view = EntitiesView(runtime.client)
    widget = view.keep_widget()
    before = dict(widget.stamp)
    runtime.entity("Account@000").call("deposit", 1).result(30)
    deadline = pd.Timestamp.now() + pd.Timedelta(seconds=10)
    while widget.stamp == before and pd.Timestamp.now() < deadline:
        runtime.settle()
    assert widget.stamp["gseq"] > before["gseq"]
    view.freeze()


def test_a_frame_that_is_shown_is_a_frame(runtime: Runtime) -> None:
    frame = runtime.entities()
    assert type(frame) is pd.DataFrame
    shown = shown_frame(frame, entities_lines, lambda: None)
    assert isinstance(shown, pd.DataFrame)
    assert type(shown.head(2)) is pd.DataFrame
    assert list(shown.columns) == list(frame.columns)
