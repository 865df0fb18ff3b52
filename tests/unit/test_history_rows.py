"""Histories as people have them: whatever form they went through, they are the same events."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from ipydurable import OrchestrationContext, RetryPolicy, Runtime, activity, entity, orchestrator
from ipydurable.handles import NotebookInstance
from ipydurable.runtime.core.events import ExecutionStarted
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.history_rows import events_of
from ipydurable.testing import replay
from tests.replay.record import HISTORIES
from tests.support.core import completed, started

AT_ONCE = RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2)


@activity(on="threads")
def always_fails_for_rows() -> None:
    """Fail."""
    raise KeyError("gone")


@activity(on="threads")
def table_for_rows() -> Any:
    """Return what is no JSON."""
    return pd.DataFrame({"a": [1, 2]})


@entity
class CounterForRows:
    """Counts."""

    count: int = 0

    def add(self, by: int) -> int:
        self.count += by
        return self.count


@orchestrator
async def all_kinds(ctx: OrchestrationContext, rounds: int) -> Any:
    """Does a bit of everything, and continues as new."""
    try:
        await ctx.call_activity(always_fails_for_rows, retry_policy=AT_ONCE)
    except KeyError:
        ctx.set_custom_status({"rounds": rounds})
    await ctx.create_timer(timedelta(milliseconds=1))
    ctx.send_event("nobody", "hello", [rounds])
    async with ctx.lock_entities(f"CounterForRows@{ctx.instance_id}"):
        count = await ctx.call_entity(f"CounterForRows@{ctx.instance_id}", "add", 2)
    ctx.signal_entity(f"CounterForRows@{ctx.instance_id}", "add", 1)
    event = await ctx.wait_for_external_event("go")
    if rounds:
        return ctx.continue_as_new(rounds - 1)
    return [count, event, "x" * 100_000]


@orchestrator
async def gets_a_table(ctx: OrchestrationContext) -> Any:
    """Has a history with bytes in it."""
    return len(await ctx.call_activity(table_for_rows))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, NotebookInstance]]:
    path = tmp_path_factory.mktemp("rows") / "rows.duckdb"
    with Runtime(path, executors={"threads": ThreadExecutor()}) as runtime:
        found = {
            "all": runtime.start(all_kinds, 1, instance_id="all"),
            "table": runtime.start(gets_a_table, instance_id="table"),
        }
        for data in ("first", "second"):
            found["all"].raise_event("go", data)
        for run in found.values():
            assert run.wait(30) is RuntimeStatus.COMPLETED
        yield found


def through_csv(frame: pd.DataFrame) -> Any:
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


def through_json(frame: pd.DataFrame) -> Any:
    return json.loads(frame.to_json(orient="records", date_format="iso", date_unit="us"))


def through_parquet(frame: pd.DataFrame) -> Any:
    file = io.BytesIO()
    frame.to_parquet(file)
    return pd.read_parquet(file)


FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "as it is": lambda frame: frame,
    "shuffled": lambda frame: frame.sample(frac=1, random_state=1),
    "with other columns": lambda frame: frame.assign(mine=1),
    "in naive UTC": lambda frame: frame.assign(timestamp=frame["timestamp"].dt.tz_localize(None)),
    "as dicts": lambda frame: frame.to_dict("records"),
    "as an Arrow table": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "through CSV": through_csv,
    "through JSON": through_json,
    "through Parquet": through_parquet,
}


class TestFrames:
    def test_the_columns_begin_as_promised_and_no_number_of_ours_is_among_them(
        self, runs: dict[str, NotebookInstance]
    ) -> None:
        columns = list(runs["all"].history().columns)
        assert columns[:8] == [
            *("instance_id", "execution_id", "seq", "timestamp", "event_type", "name"),
            *("task_id", "payload"),
        ]
        assert not {"gseq", "iid"} & set(columns)

    @pytest.mark.parametrize("form", FORMS)
    def test_in_every_form_they_are_the_events_of_the_last_execution(
        self, runs: dict[str, NotebookInstance], form: str
    ) -> None:
        run = runs["all"]
        assert events_of(FORMS[form](run.history())) == run.events()

    def test_an_earlier_execution_is_chosen_by_its_rows(
        self, runs: dict[str, NotebookInstance]
    ) -> None:
        frame = runs["all"].history()
        first = frame[frame["execution_id"] == frame["execution_id"][0]]
        assert replay(first, all_kinds).status is RuntimeStatus.CONTINUED_AS_NEW

    def test_what_users_have_is_replayed(
        self, runs: dict[str, NotebookInstance], tmp_path: Path
    ) -> None:
        run = runs["all"]
        run.export_history(tmp_path / "all.jsonl")
        found = [
            replay(history, all_kinds)
            for history in (run, run.history(), run.events(), str(tmp_path / "all.jsonl"))
        ]
        assert found[0].status is RuntimeStatus.COMPLETED
        assert found == [found[0]] * 4

    def test_bytes_that_are_not_in_a_table_are_asked_for_in_another_form(
        self, runs: dict[str, NotebookInstance]
    ) -> None:
        run = runs["table"]
        with pytest.raises(ValueError, match=r"row 3 \(TaskCompleted\).*take run.events\(\)"):
            replay(run.history(), gets_a_table)
        assert replay(run, gets_a_table).status is RuntimeStatus.COMPLETED


class TestWhatIsNoHistory:
    def test_two_instances_are_told_apart(self, runs: dict[str, NotebookInstance]) -> None:
        both = pd.concat([run.history() for run in runs.values()])
        with pytest.raises(ValueError, match="of 2 instances"):
            events_of(both)

    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ([{"event_type": "Nothing"}], "row 1 is no history event: its event_type is 'Nothing'"),
            ([{"name": "x"}], "its event_type is None"),
            ([{"event_type": "TimerFired"}], r"row 1 \(TimerFired\) is no history event"),
            (
                [{"event_type": "TimerFired", "timestamp": 1_790_000_000_000, "task_id": 1}],
                r"row 1 \(TimerFired\) is no history event",
            ),
            ([], "begins with ExecutionStarted"),
            ([completed(1)], "begins with ExecutionStarted"),
        ],
    )
    def test_a_row_that_is_no_event_is_named(self, rows: list[Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            events_of(rows)

    @pytest.mark.parametrize("wrong", [7, [started(3), "no event"]], ids=["a number", "mixed"])
    def test_what_is_neither_events_nor_rows_is_refused(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="a history is made of events"):
            events_of(wrong)

    def test_a_file_that_is_missing_is_named(self) -> None:
        with pytest.raises(FileNotFoundError, match=r"missing\.jsonl"):
            events_of("missing.jsonl")


def test_a_path_will_do() -> None:
    path = HISTORIES / "chain-engine1.jsonl"
    assert isinstance(events_of(path)[0], ExecutionStarted)
