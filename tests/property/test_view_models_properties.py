"""What holds for the timeline of every history, wherever it is cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.records import InstanceRecord, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate, RunningAttempt
from ipydurable.widgets import TimelineModel, static_html, text
from ipydurable.widgets.layout import TimeScale, arrange
from ipydurable.widgets.timeline import RowLog
from ipydurable.widgets.views import Outcome, RowState, RowView, Span
from tests.widgets.scenarios import BOOM, at

STEPS = (
    "activity", "activity", "activity", "complete", "complete", "fail", "retry", "lose", "timer",
    "fire", "child", "child ends", "call", "answer", "event", "send", "signal", "lock", "grant",
    "unlock", "progress", "suspend", "resume", "again", "rewind",
    "race",
)  # fmt: skip


class Writer:
    """Writes a valid history, one drawn step at a time; a step that makes no sense is left out."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.executions = 0
        self.begin()

    def begin(self) -> None:
        """Begin a new execution."""
        self.executions += 1
        self.task_id = 0
        self.open: dict[str, list[int]] = {}
        self.failed: list[int] = []
        self.tell(
            ev.ExecutionStarted,
            instance_id="i",
            execution_id=f"e{self.executions}",
            name="o",
            generation=self.executions - 1,
        )

    def tell(self, kind: type, **fields: Any) -> None:
        """Write an event at the next moment."""
        self.events.append(kind(timestamp=at(len(self.events) * 0.7), **fields))

    def ask(self, of: str, kind: type, **fields: Any) -> int:
        """Write a decision that will be answered; returns its action id."""
        self.task_id += 1
        self.open.setdefault(of, []).append(self.task_id)
        self.tell(kind, task_id=self.task_id, **fields)
        return self.task_id

    def settle(self, of: str, kind: type, pick: int, **fields: Any) -> int | None:
        """Write the answer to one of the open decisions; None where there is none."""
        waiting = self.open.get(of, [])
        if not waiting:
            return None
        task_id = waiting.pop(pick % len(waiting))
        self.tell(kind, task_id=task_id, **fields)
        return task_id

    def step(self, what: str, n: int) -> None:
        """Write what the step says, if it makes sense here."""
        self._activity_step(what, n)
        self._waiting_step(what, n)
        self._instance_step(what, n)

    def _activity_step(self, what: str, n: int) -> None:
        match what:
            case "activity":
                self.ask("activity", ev.TaskScheduled, name=f"a{n % 3}", input="1")
            case "complete":
                attempt = ev.AttemptRecord(started_at=self.events[-1].timestamp)
                self.settle("activity", ev.TaskCompleted, n, result="2", attempt=attempt)
            case "fail":
                found = self.settle("activity", ev.TaskFailed, n, failure=BOOM)
                self.failed += [] if found is None else [found]
            case "retry" if self.failed:
                origin = self.failed.pop(n % len(self.failed))
                self.ask("retry", ev.TimerCreated, fire_at=at(9e4), origin=origin)
                self.settle("retry", ev.TimerFired, 0, fire_at=at(9e4))
                self.ask("activity", ev.TaskScheduled, name="a0", origin=origin)
            case "lose" if self.open.get("activity"):
                task_id = self.open["activity"][n % len(self.open["activity"])]
                self.tell(ev.AttemptLost, task_id=task_id, attempt=1, reason="gone")
                self.tell(ev.AttemptStarted, task_id=task_id, attempt=2)
            case "race" if self.open.get("activity"):
                ids = tuple((one, one) for one in sorted(self.open["activity"])[: n % 4])
                won = ((self.task_id - n % 3, self.task_id),)
                if n % 5:
                    self.tell(ev.RaceDecided, won=won, lost=ids)
                else:
                    self.tell(ev.RaceDecided, taken_up=ids)
            case "progress" if self.open.get("activity"):
                task_id = self.open["activity"][0]
                self.tell(ev.ActivityProgressed, task_id=task_id, attempt=1, done=n, total=100)

    def _waiting_step(self, what: str, n: int) -> None:
        match what:
            case "timer":
                self.ask("timer", ev.TimerCreated, fire_at=at(n * 100.0))
            case "fire":
                self.settle("timer", ev.TimerFired, n, fire_at=at(0))
            case "child":
                self.ask("child", ev.SubOrchestrationInstanceCreated, instance_id="c", name="sub")
            case "child ends":
                self.settle("child", ev.SubOrchestrationInstanceFailed, n, failure=BOOM)
            case "call":
                self.ask("call", ev.EntityOperationCalled, entity_id=f"@e@{n}", operation="add")
            case "answer":
                self.settle("call", ev.EntityOperationCompleted, n)
            case "lock":
                self.ask("lock", ev.EntityLockRequested, entity_ids=("@e@a",))
            case "grant":
                granted = self.settle("lock", ev.EntityLockGranted, n)
                self.open.setdefault("held", []).extend([] if granted is None else [granted])
            case "unlock" if self.open.get("held"):
                self.task_id += 1
                lock_id = self.open["held"].pop()
                self.tell(
                    ev.EntityUnlockSent, task_id=self.task_id, entity_id="@e@a", lock_id=lock_id
                )

    def _instance_step(self, what: str, n: int) -> None:
        match what:
            case "event":
                self.tell(ev.EventRaised, name="go")
            case "send":
                self.task_id += 1
                self.tell(ev.EventSent, task_id=self.task_id, instance_id="x", name="go")
            case "signal":
                self.task_id += 1
                self.tell(
                    ev.EntityOperationSignaled,
                    task_id=self.task_id,
                    entity_id="@e@k",
                    operation="add",
                )
            case "suspend":
                self.tell(ev.ExecutionSuspended, reason="why")
            case "resume":
                self.tell(ev.ExecutionResumed)
            case "again" if n > 80:
                self.tell(ev.ExecutionCompleted, status=RuntimeStatus.CONTINUED_AS_NEW)
                self.begin()
            case "rewind" if n > 50:
                self.tell(ev.ExecutionCompleted, status=RuntimeStatus.FAILED, failure=BOOM)
                self.tell(ev.ExecutionRewound, task_ids=tuple(self.failed))
                self.open.setdefault("activity", []).extend(self.failed)
                self.failed = []


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    """Draw the history of an instance, finished or not."""
    writer = Writer()
    steps = st.tuples(st.sampled_from(STEPS), st.integers(0, 100))
    for what, n in draw(st.lists(steps, max_size=60)):
        writer.step(what, n)
    if draw(st.booleans()):
        status = draw(st.sampled_from([RuntimeStatus.COMPLETED, RuntimeStatus.TERMINATED]))
        writer.tell(ev.ExecutionCompleted, status=status)
    return writer.events


def updates(events: list[Any], cuts: list[int], running: list[set[int]]) -> list[InstanceUpdate]:
    """Cut a history into the updates a subscriber would get."""
    record: InstanceRecord | None = None
    edges = [*sorted({cut % (len(events) + 1) for cut in cuts} - {0}), len(events)]
    found, told = [], 0
    for n, edge in enumerate(edges):
        news = []
        for seq in range(told + 1, edge + 1):
            news.append((seq, events[seq - 1]))
            record = fold(record, 1, seq, events[seq - 1])
        told = max(told, edge)
        assert record is not None
        # The last update's running attempts are the same however the history was cut.
        ids = running[-1 if edge == len(events) else n % len(running)]
        attempts = [
            RunningAttempt(task_id=one, number=1, started_at=at(1), worker="w") for one in ids
        ]
        copy = InstanceRecord(**{name: getattr(record, name) for name in record.__struct_fields__})
        now = at(edge * 0.7)
        found.append(InstanceUpdate(record=copy, events=news, running=attempts, now=now))
    return found


CUTS = st.lists(st.integers(0, 200), max_size=8)
RUNNING = st.lists(st.sets(st.integers(1, 12), max_size=5), min_size=1, max_size=4)


@given(histories(), CUTS, RUNNING)
def test_folding_update_by_update_is_folding_the_whole(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """However a history is cut into updates, the timeline at its end is the same."""
    live, whole = TimelineModel(), TimelineModel()
    for update in updates(events, cuts, running):
        live.apply(update)
    (everything,) = updates(events, [], running)
    whole.apply(everything)
    assert live.snapshot() == whole.snapshot()
    assert [live.detail(n) for n in range(9)] == [whole.detail(n) for n in range(9)]


@given(histories(), CUTS, RUNNING)
def test_every_prefix_is_a_valid_timeline(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """After each update counts fit the rows, spans are ordered, and every form can be drawn."""
    model = TimelineModel()
    for update in updates(events, cuts, running):
        model.apply(update)
        header, rows = model.header(), model.rows()
        for number, group in enumerate(header.groups):
            states = [row.state for row in rows if row.group == number]
            assert list(group.counts) == [states.count(state) for state in RowState]
        for row in rows:
            for span in row.spans:
                assert span.ended is None or span.ended >= span.scheduled
        drawn = [getattr(one, "rows", (one,)) for one in arrange(header, rows)]
        assert sorted(row.index for one in drawn for row in one) == [row.index for row in rows]
        assert static_html(model).endswith("</div>")
        assert header.name in text(model)


@given(histories(), CUTS, RUNNING)
def test_the_row_log_is_the_rows(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """Whoever reads all pages of the log, later entries winning, has the rows of the model."""
    model, log, pages = TimelineModel(), RowLog(), {}
    epoch = model.epoch
    for update in updates(events, cuts, running):
        model.apply(update)
        if model.epoch != epoch:
            epoch, log, pages = model.epoch, RowLog(), {}
        pages.update(log.append(model.take_changes()))
    read: dict[int, Any] = {}
    for number in sorted(pages):
        for entry in json.loads(pages[number]):
            read[entry[0]] = entry
    (everything,) = [json.loads(RowLog().append(model.rows()).get(0, "[]"))]
    assert [read[index] for index in sorted(read)] == everything


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=20),
    st.integers(1, 10**7),
)
def test_an_axis_is_monotonic_and_full(spans: list[tuple[int, int]], end: int) -> None:
    """Later is never further left; zero is at the left end and the end at the right."""
    rows = [
        RowView(n, 0, RowState.COMPLETED, n, (Span(at_, at_, at_ + took, Outcome.COMPLETED),))
        for n, (at_, took) in enumerate(spans)
    ]
    scale = TimeScale(rows, end)
    places = [scale.x(end * n / 50) for n in range(51)]
    assert places == sorted(places)
    assert abs(places[0]) < 1e-9
    assert abs(places[-1] - 1) < 1e-9
