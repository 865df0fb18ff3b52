"""Tables of a store as DataFrames: filters, columns, handles, values, help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

import ipydurable
from ipydurable import Runtime
from ipydurable.arguments import ArgumentError
from ipydurable.errors import QueryError, UnknownInstanceError
from ipydurable.runtime.executors.threads import ThreadExecutor
from ipydurable.store.columns import COLUMNS

TABLES = [view for view in COLUMNS if view != "attempt_outputs"]


@ipydurable.activity(on="threads")
def fetch(city):
    if city == "Nowhere":
        raise ValueError("no such city")
    return pd.DataFrame({"city": [city, city], "degrees": [1.5, 2.5]})


@ipydurable.activity(on="threads")
def cities():
    return [{"city": "Basel", "n": 1}, {"city": "Genf", "n": 2}]


@ipydurable.orchestrator
async def report(ctx, names):
    for name in names:
        await fetch(name)
    await cities()
    return "done"


@ipydurable.orchestrator
async def patient(ctx):
    await ctx.wait_for_external_event("go")


@ipydurable.entity
class Account:
    balance: int = 0

    def deposit(self, amount):
        self.balance += amount


@ipydurable.orchestrator
async def transfer(ctx, amount):
    with await ctx.lock_entities([Account("alice"), Account("bob")]):
        await ctx.call_entity(Account("alice"), "deposit", -amount)
        await ctx.call_entity(Account("bob"), "deposit", amount)
    await ctx.create_timer(timedelta(milliseconds=1))


@ipydurable.orchestrator
async def rounds(ctx, left):
    await cities()
    if left:
        ctx.continue_as_new(left - 1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Give a runtime whose store holds a bit of everything."""
    path = tmp_path_factory.mktemp("data") / "s.duckdb"
    with Runtime(path, executors={"threads": ThreadExecutor()}) as runtime:
        runtime.start(report, ["Basel", "Genf"], instance_id="good", tags={"k": "v"}).result(60)
        runtime.start(report, ["Basel", "Nowhere"], instance_id="bad").wait(60)
        runtime.start(transfer, 5, instance_id="moves").result(60)
        yield runtime


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_rows_and_columns_of_the_view_of_its_name(
    runtime: Runtime, table: str
) -> None:
    frame = getattr(ipydurable, table)()
    beside = ["waiting_for"] if table == "instances" else []
    assert list(frame.columns) == [*(column.name for column in COLUMNS[table]), *beside]
    assert len(frame) == runtime.sql(f"SELECT count(*) AS n FROM {table}")["n"][0] > 0


def test_the_list_of_instances_says_what_each_waits_for(runtime: Runtime) -> None:
    waits = runtime.start(patient, instance_id="waits")
    while [task.kind for task in waits.waiting_for] != ["external event"]:
        pass
    found = ipydurable.instances().set_index("instance_id")["waiting_for"]
    assert "go" in found["waits"]
    assert found["good"] == ""
    waits.terminate()
    waits.wait(60)
    ipydurable.purge("waits")


@pytest.mark.parametrize("table", TABLES)
def test_help_tells_each_column_with_its_dtype_and_meaning(table: str) -> None:
    doc = getattr(ipydurable, table).__doc__
    for column in COLUMNS[table]:
        assert column.name in doc
        assert column.meaning in doc
    assert "datetime64[us, UTC]" in doc


def test_times_are_aware_and_durations_are_in_seconds(runtime: Runtime) -> None:
    found = runtime.activities("good")
    assert str(found["scheduled_at"].dtype) == "datetime64[us, UTC]"
    took = (found["finished_at"] - found["started_at"]).dt.total_seconds()
    assert took.tolist() == pytest.approx(found["duration"].tolist())


def test_a_history_of_everything_is_in_the_order_of_its_recording(tmp_path: Path) -> None:
    """Also where instances have executions before the present one, which are found apart."""
    with Runtime(tmp_path / "s.duckdb", executors={"threads": ThreadExecutor()}) as own:
        for name in ("a", "b"):
            own.start(rounds, 2, instance_id=name).result(60)
        found = own.history()
        assert found["gseq"].is_monotonic_increasing
        assert found["execution_id"].nunique() == 6
        assert found.equals(own.sql("SELECT * FROM history ORDER BY gseq"))
        assert own.history("b", limit=2)["seq"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("table", "filters", "expected"),
    [
        ("instances", {"status": "failed"}, ["bad"]),
        ("instances", {"prefix": "go", "name": "report"}, ["good"]),
        ("instances", {"tags": {"k": "v"}}, ["good"]),
        ("instances", {"limit": 1}, ["moves"]),
        ("instances", {"after": "bad"}, ["good"]),
        ("instances", {"until": "1h"}, []),
        ("activities", {"status": "FAILED"}, ["bad"]),
        ("activities", {"instance": "good", "name": "fetch"}, ["good", "good"]),
        ("activities", {"name": "fetch", "since": "1h", "limit": 3}, ["good", "good", "bad"]),
        ("attempts", {"status": ["failed", "lost"]}, ["bad"]),
        ("history", {"event_type": "TaskFailed"}, ["bad"]),
        ("timers", {"status": "fired"}, ["moves"]),
        ("timers", {"until": "1h"}, []),
    ],
)
def test_filters_choose_rows(
    runtime: Runtime, table: str, filters: dict[str, object], expected: list[str]
) -> None:
    assert list(getattr(runtime, table)(**filters)["instance_id"]) == expected


def test_entities_operations_and_locks_are_found_by_their_ends(runtime: Runtime) -> None:
    assert list(runtime.entities(prefix="Account@a")["state"]) == ['{"balance":-5}']
    assert list(runtime.operations("Account@bob")["operation"]) == ["deposit"]
    assert len(runtime.operations(sender="moves", status="completed")) == 2
    assert list(runtime.locks(owner="moves", status="released")["entity_id"]) == [
        "@account@alice",
        "@account@bob",
    ]
    assert set(runtime.definitions(kind="entity", name="Account")["kind"]) == {"entity"}


def test_a_handle_offers_the_tables_of_its_instance(runtime: Runtime) -> None:
    moves, good = runtime.instance("moves"), runtime.instance("good")
    assert len(good.activities(name="fetch")) == len(good.attempts(name="fetch")) == 2
    assert len(moves.timers()) == 1
    assert len(moves.operations()) == len(moves.locks()) == 2
    assert good.children().empty
    assert good.payload() == "done"


def test_what_makes_no_sense_is_said(runtime: Runtime) -> None:
    with pytest.raises(ArgumentError, match=r"no status 'lots' \(did you mean 'lost'"):
        runtime.attempts(status="lots")
    with pytest.raises(UnknownInstanceError, match="Did you mean 'good'"):
        runtime.activities("goood")
    with pytest.raises(ArgumentError, match="is no time"):
        runtime.activities(since="yesterdayish")


def test_a_filter_cannot_smuggle_sql(runtime: Runtime) -> None:
    assert runtime.activities(name="x' OR 1 = 1 --").empty


def test_a_payload_that_is_a_dataframe_comes_back_as_one(runtime: Runtime) -> None:
    first = runtime.activities("good").iloc[0]
    frame = runtime.payload("good", int(first["end_seq"]))
    assert list(frame["degrees"]) == [1.5, 2.5]
    assert runtime.payload("good", int(first["seq"])) == "Basel"
    assert runtime.instance("good")["fetch"][0].result.equals(frame)
    assert runtime.payload(runtime.entity("Account@bob")) == {"balance": 5}
    with pytest.raises(UnknownInstanceError, match="event 999"):
        runtime.payload("good", 999)


def test_payloads_are_tables_in_sql(runtime: Runtime) -> None:
    seqs = runtime.activities("good")["end_seq"].tolist()
    text = f"""
        SELECT n, sum(degrees) AS d FROM payload('good', {seqs[0]}) JOIN
        payload($id, $seq) USING (city) GROUP BY n"""
    found = runtime.sql(text, {"id": "good", "seq": seqs[2]})
    assert found.to_dict("list") == {"n": [1], "d": [4.0]}
    assert runtime.sql("SELECT * FROM payload('good')")["value"].tolist() == ["done"]
    assert runtime.sql("SELECT 'payload(''good'', 1)' AS t")["t"][0] == "payload('good', 1)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM payload('nobody', 1)", "no instance 'nobody'"),
        ("FROM payload('good', 999)", "no event 999"),
        ("FROM payload($x)", "no value for [$]x"),
        ("SELECT degree FROM payload('good')", r"(?s)LINE 1: SELECT degree.*\n +\^"),
        ("SELECT nme FROM instances", r"(?s)LINE 1: SELECT nme.*\n +\^"),
    ],
)
def test_a_bad_query_is_told_with_its_place(runtime: Runtime, text: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        runtime.sql(text)


ENDLESS = (
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 5"
)


def test_a_runaway_query_is_ended_by_its_timeout(runtime: Runtime) -> None:
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        runtime.sql(ENDLESS, timeout="200ms")
    assert runtime.sql("SELECT 1 AS one")["one"][0] == 1


def test_runaway_queries_hold_up_neither_other_reads_nor_orchestrations(runtime: Runtime) -> None:
    ended = []

    def run() -> None:
        try:
            runtime.sql(ENDLESS, timeout=3)
        except QueryError as error:
            ended.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert runtime.start(report, ["Basel"]).result(60) == "done"
    runtime.client.get("good")
    assert time.monotonic() - began < 3
    for thread in threads:
        thread.join()
    assert len(ended) == 6


def test_an_answer_that_does_not_fit_is_refused(runtime: Runtime) -> None:
    with pytest.raises(QueryError, match=r"larger than 2,048 MB.*LIMIT"):
        runtime.sql("SELECT range AS x, range AS y FROM range(200000000)")
