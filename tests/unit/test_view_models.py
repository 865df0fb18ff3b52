"""The fold of a history into rows, and the layout of rows: what a timeline shows and where."""

from datetime import timedelta

import msgspec
import pytest

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import RunningAttempt
from ipydurable.widgets import TimelineModel
from ipydurable.widgets.layout import (
    Band,
    TimeScale,
    arrange,
    density,
    duration_ms,
    duration_words,
    quantiles,
)
from ipydurable.widgets.views import Outcome, RowKind, RowState, RowView, Span, preview
from tests.widgets.scenarios import BOOM, Story, at, failed, fan_out, small, waiting


def folded(story: Story, *moments: float) -> TimelineModel:
    """Return the model after the story was told up to the last of `moments`."""
    model = TimelineModel()
    for update in story.updates(*moments):
        model.apply(update)
    return model


def only_row(story: Story, moment: float) -> RowView:
    """Return the one row of a story."""
    (row,) = folded(story, moment).rows()
    return row


def test_a_completed_activity_is_one_row_with_its_queued_and_running_time() -> None:
    """Scheduled, started and ended are told apart, in milliseconds from the start."""
    story = Story()
    story.activity("fetch", 1, 1.5, 3)
    row = only_row(story, 10)
    assert row.spans == (Span(1000, 1500, 3000, Outcome.COMPLETED),)
    assert (row.state, row.hint, row.task_id) == (RowState.COMPLETED, '"Basel"', 1)
    assert duration_ms(row) == 1500


@pytest.mark.parametrize(
    ("moment", "state"),
    [(1.2, RowState.QUEUED), (2, RowState.RUNNING), (4, RowState.COMPLETED)],
)
def test_an_activity_is_queued_until_a_worker_runs_it(moment: float, state: RowState) -> None:
    """The state follows the host's list of running attempts, then the history."""
    story = Story()
    story.activity("fetch", 1, 1.5, 3)
    assert only_row(story, moment).state is state


def test_retries_are_attempts_of_one_row() -> None:
    """All attempts and back-offs of one origin share a row; the last one says how it went."""
    model = folded(small(), 20)
    (convert,) = [row for row in model.rows() if len(row.spans) > 1]
    assert [span.outcome for span in convert.spans] == [
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.COMPLETED,
    ]
    assert (convert.state, convert.note, convert.due) == (RowState.COMPLETED, "", None)


def test_a_row_waits_while_its_retry_is_delayed() -> None:
    """A failed attempt with a retry to come is no failure yet, and says when it is due."""
    model = folded(small(), 3)
    (convert,) = [row for row in model.rows() if row.state is RowState.WAITING]
    assert (convert.due, convert.note) == (4700, str(BOOM))


def test_a_new_attempt_is_not_due_and_has_made_no_progress() -> None:
    """What the attempt before left behind, its retry's time and its progress, is gone."""
    story = Story()
    first = story.activity("train", 0, 0.1, 1, failure=BOOM)
    story.tell(ev.ActivityProgressed(timestamp=at(0.5), task_id=first, attempt=1, done=1, total=2))
    story.timer(1, 2, origin=first)
    story.activity("train", 2, 2.1, 9, origin=first)
    row = only_row(story, 3)
    assert (row.state, row.due, row.progress) == (RowState.RUNNING, None, None)


def test_a_lost_attempt_is_followed_by_another_in_the_same_row() -> None:
    """A worker that died leaves a lost attempt; the row is queued until the next one runs."""
    story = Story()
    task_id = story.activity("fetch", 0, 0.1, None)
    story.tell(ev.AttemptLost(timestamp=at(1), task_id=task_id, attempt=1, reason="worker died"))
    assert only_row(story, 1.5).note == "worker died"
    story.tell(ev.AttemptStarted(timestamp=at(2), task_id=task_id, attempt=2))
    story.tell(ev.TaskCompleted(timestamp=at(3), task_id=task_id))
    row = only_row(story, 4)
    assert [span.outcome for span in row.spans] == [Outcome.LOST, Outcome.COMPLETED]


def test_progress_shows_while_the_activity_runs() -> None:
    """The share done and the note are those last told, and end with the attempt."""
    story = Story()
    task_id = story.activity("train", 0, 0.1, 9)
    story.tell(
        ev.ActivityProgressed(
            timestamp=at(2), task_id=task_id, attempt=1, done=30, total=120, note="epoch 3"
        )
    )
    assert (only_row(story, 3).progress, only_row(story, 3).note) == (0.25, "epoch 3")
    assert (only_row(story, 10).progress, only_row(story, 10).note) == (None, "")


def test_a_lock_waits_then_is_held_then_given_back() -> None:
    """The row of a critical section ends when the last of its locks is given back."""
    story = Story()
    lock = story.next_id()
    ids = ("@account@a", "@account@b")
    story.tell(ev.EntityLockRequested(timestamp=at(1), task_id=lock, entity_ids=ids))
    story.tell(ev.EntityLockGranted(timestamp=at(2), task_id=lock))
    for second, entity_id in zip((3, 4), ids, strict=True):
        story.tell(
            ev.EntityUnlockSent(
                timestamp=at(second), task_id=story.next_id(), entity_id=entity_id, lock_id=lock
            )
        )
    assert only_row(story, 1.5).state is RowState.WAITING
    assert only_row(story, 3.5).state is RowState.RUNNING
    assert only_row(story, 5).spans == (Span(1000, 2000, 4000, Outcome.COMPLETED),)


def test_entity_calls_group_by_entity_name_and_operation() -> None:
    """Calls to many keys of one entity are siblings; the key tells them apart."""
    story = Story()
    for key in "ab":
        task_id = story.next_id()
        story.tell(
            ev.EntityOperationCalled(
                timestamp=at(1), task_id=task_id, entity_id=f"@account@{key}", operation="add"
            )
        )
        story.tell(ev.EntityOperationFailed(timestamp=at(2), task_id=task_id, failure=BOOM))
    model = folded(story, 3)
    (group,) = model.header().groups
    assert (group.kind, group.name) == (RowKind.ENTITY_CALL, "account.add")
    assert [row.hint for row in model.rows()] == ["a", "b"]
    assert group.counts[RowState.FAILED] == 2


def test_points_are_rows_but_not_work() -> None:
    """Events and signals are shown, and count neither as done nor as to do."""
    story = Story()
    story.tell(ev.EventRaised(timestamp=at(1), name="approve", input='"yes"', sender="other"))
    story.tell(ev.EventSent(timestamp=at(1), task_id=1, instance_id="other", name="done"))
    story.tell(
        ev.EntityOperationSignaled(
            timestamp=at(1), task_id=2, entity_id="@log@x", operation="write"
        )
    )
    model = folded(story, 2)
    assert [group.kind for group in model.header().groups] == [
        RowKind.EVENT,
        RowKind.EVENT_SENT,
        RowKind.SIGNAL,
    ]
    assert sum(model.header().counts) == 0


def test_what_is_open_at_the_end_is_abandoned() -> None:
    """An instance may end with tasks open; they say so and stop growing."""
    story = Story()
    story.activity("slow", 0, 1, None)
    story.end(5)
    row = only_row(story, 100)
    assert row.state is RowState.ABANDONED
    assert row.spans[0].ended == 5000


def test_a_rewound_instance_is_open_again() -> None:
    """After a rewind the failed activity may run again, in its row."""
    story = Story()
    task_id = story.activity("load", 0, 0.1, 1, failure=BOOM)
    story.end(1, RuntimeStatus.FAILED, failure=BOOM)
    story.tell(ev.ExecutionRewound(timestamp=at(2), task_ids=(task_id,)))
    model = folded(story, 1.5, 3)
    assert not model.finished
    assert model.header().counts[RowState.QUEUED] == 1
    story.tell(ev.TaskCompleted(timestamp=at(4), task_id=task_id))
    outcomes = [span.outcome for span in only_row(story, 5).spans]
    assert outcomes == [Outcome.FAILED, Outcome.COMPLETED]


def test_an_attempt_that_follows_a_lost_one_unannounced_is_shown() -> None:
    """After a rewind a lost attempt is repeated without a note: running, then done."""
    story = Story()
    task_id = story.activity("fetch", 0, 0.1, None)
    story.attempts.clear()
    story.tell(ev.AttemptLost(timestamp=at(1), task_id=task_id, attempt=1, reason="rewound"))
    story.attempts.append(
        (2, 3, RunningAttempt(task_id=task_id, number=2, started_at=at(2), worker="w"))
    )
    record = ev.AttemptRecord(number=2, started_at=at(2), worker="w")
    story.tell(ev.TaskCompleted(timestamp=at(3), task_id=task_id, attempt=record))
    assert only_row(story, 1.5).state is RowState.QUEUED
    running = only_row(story, 2.5)
    assert running.state is RowState.RUNNING
    assert running.spans[1:] == (Span(1000, 2000),)
    assert only_row(story, 4).spans[1:] == (Span(1000, 2000, 3000, Outcome.COMPLETED),)


@pytest.mark.parametrize(
    ("payload", "hint"),
    [
        ("null", ""),
        ('"Basel"', '"Basel"'),
        ('{"$args": ["Basel", 3], "$kwargs": {"units": "m"}}', '"Basel", 3, units="m"'),
    ],
)
def test_hints_read_like_calls(payload: str, hint: str) -> None:
    """What tells a row from its siblings is what stood between the brackets of the call."""
    story = Story()
    story.activity("fetch", 0, 0.1, 1, input=payload)
    assert only_row(story, 2).hint == hint


def test_continue_as_new_starts_the_rows_over() -> None:
    """A new generation begins with no rows, at time zero; the epoch tells the views."""
    story = Story()
    story.activity("poll", 0, 0.1, 1)
    story.end(2, RuntimeStatus.CONTINUED_AS_NEW)
    story.tell(
        ev.ExecutionStarted(
            timestamp=at(2),
            instance_id="report-7f3a",
            execution_id="e2",
            name="report",
            generation=1,
        )
    )
    story.activity("poll", 3, 3.5, 4)
    model = TimelineModel()
    before, after = story.updates(1.5, 9)
    model.apply(before)
    epoch = model.epoch
    model.apply(after)
    assert model.epoch != epoch
    assert [row.spans[0].scheduled for row in model.rows()] == [1000]
    assert model.header().generation == 1
    assert model.take_changes() == model.rows()


def test_changes_are_what_was_not_taken_yet() -> None:
    """Each change is given once; an update without news gives none."""
    story = small()
    model = TimelineModel()
    first, second, third = story.updates(1, 1.5, 1.5)
    model.apply(first)
    assert model.take_changes() == model.rows()
    model.apply(second)
    changed = model.take_changes()
    assert 0 < len(changed) < len(model.rows())
    model.apply(third)
    assert model.take_changes() == []


def test_an_event_told_twice_counts_once() -> None:
    """A subscriber that reconnects may be told again what it knows."""
    story = small()
    model = folded(story, 20)
    once = model.snapshot()
    (again,) = story.updates(20)
    model.apply(again)
    assert model.snapshot() == once


@pytest.mark.parametrize(
    ("moment", "words"), [(2, []), (60, [RowKind.TIMER]), (4000, [RowKind.EVENT])]
)
def test_the_header_says_what_an_idle_instance_waits_for(
    moment: float, words: list[RowKind]
) -> None:
    """Nothing while an activity runs; the open timer; else it must be an external event."""
    assert [one.kind for one in folded(waiting(), moment).header().waiting] == words


def test_an_instance_scheduled_for_later_waits_for_its_start() -> None:
    """Before its first event an instance has a header, and says when it starts."""
    (update,) = Story().updates(-1)
    update.record.start_at = update.record.created_at + timedelta(hours=1)
    model = TimelineModel()
    model.apply(update)
    (wait,) = model.header().waiting
    assert (wait.name, wait.due) == ("start", 3_600_000)


def test_a_failed_run_tells_why() -> None:
    """The message has the failure and the tracebacks of its causes."""
    message = folded(failed(), 20).header().message
    assert message is not None
    assert message.kind == "failed"
    assert "activity load" in message.text
    assert "Caused by:" in message.trace
    assert 'File "Cell In[3]", line 4' in message.trace


def test_a_suspended_run_tells_the_reason() -> None:
    """What somebody, or the engine, gave as the reason is shown."""
    story = Story()
    story.tell(ev.ExecutionSuspended(timestamp=at(1), reason="maintenance"))
    message = folded(story, 2).header().message
    assert message is not None
    assert (message.kind, message.text) == ("suspended", "maintenance")


def test_an_empty_model_has_no_header() -> None:
    """There is nothing to show before the first update."""
    with pytest.raises(ValueError, match="before its first update"):
        TimelineModel().header()


def test_details_have_what_rows_leave_out() -> None:
    """Payload previews, versions, workers and tracebacks are in the detail of a row."""
    model = folded(failed(), 20)
    detail = model.detail(3)
    assert detail is not None
    assert (detail.name, detail.task_id, detail.version) == ("load", 4, "5ca1ab1e")
    assert [(one.task_id, one.worker) for one in detail.attempts] == [
        (4, "process 4711"),
        (6, "process 4711"),
    ]
    assert "return client.get(city)" in detail.attempts[0].trace
    assert model.detail(99) is None


def test_a_snapshot_is_json() -> None:
    """A snapshot survives JSON, so it can be stored and sent."""
    snapshot = folded(small(), 3).snapshot()
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot


def test_previews_are_short() -> None:
    """Long JSON is cut; what is not JSON shows its summary or its size."""
    assert preview("x" * 50, 10) == "x" * 9 + "…"
    assert preview(Blob(codec="arrow", data=b"", summary="DataFrame 3 x 2"), 40) == (
        "DataFrame 3 x 2"
    )
    assert preview(Blob(codec="dill", data=b"ab"), 40) == "dill, 2 bytes"
    assert preview(None, 40) == ""
    assert preview('{"loss":{"$numpy":["float32",0.5]}}', 40) == '{"loss":0.5}'


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0.2, "< 1 ms"),
        (850, "850 ms"),
        (12_340, "12.3 s"),
        (59_960, "1 min 0 s"),
        (125_000, "2 min 5 s"),
        (3_599_700, "1 h 0 min"),
        (11_040_000, "3 h 4 min"),
        (86_400_000 * 400, "400 d 0 h"),
    ],
)
def test_durations_are_words(ms: float, words: str) -> None:
    """Durations read as people say them, and never as sixty seconds."""
    assert duration_words(ms) == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0"), (5, "5 ms"), (2500, "2.5 s"), (120_000, "2 min"), (3_601_000, "1 h 1 s")],
)
def test_axis_labels_lose_nothing(ms: float, words: str) -> None:
    """Labels of an axis are exact, so no two differ in place and agree in words."""
    assert duration_words(ms, exact=True) == words


def test_more_than_a_dozen_siblings_become_a_band() -> None:
    """Twelve siblings are rows, thirteen a band; the band lists the failures first."""
    twelve = folded(fan_out(12, workers=4), 100)
    assert not any(isinstance(one, Band) for one in arrange(twelve.header(), twelve.rows()))
    many = folded(fan_out(300, workers=20, fail=0.1), 4)
    (band,) = [one for one in arrange(many.header(), many.rows()) if isinstance(one, Band)]
    order = [RowState.FAILED, RowState.RUNNING, RowState.COMPLETED, RowState.QUEUED]
    states = [row.state for row in band.rows]
    assert states == sorted(states, key=order.index)
    slowest = [duration_ms(row) for row in band.rows if row.state is RowState.COMPLETED]
    assert slowest == sorted(slowest, reverse=True)
    assert quantiles(band.rows) is not None


def test_what_is_open_stands_on_top() -> None:
    """Running and waiting rows come first, then all others by time."""
    model = folded(small(), 3)
    rows = [one for one in arrange(model.header(), model.rows()) if isinstance(one, RowView)]
    closed = [row.state > RowState.WAITING for row in rows]
    assert closed == sorted(closed)


def test_idle_spans_are_cut() -> None:
    """An hour in which nothing ran takes a few per cent of the axis; the work keeps its room."""
    rows = folded(waiting(), 4000).rows()
    scale = TimeScale(rows, 4_000_000)
    assert [round(cut.t1 - cut.t0, -3) for cut in scale.breaks] == [3_598_000, 399_000]
    assert scale.x(2200) > 0.4
    places = [scale.x(t) for t in range(0, 4_000_000, 1000)]
    assert places == sorted(places)
    assert all(not cut.x0 < place < cut.x1 for cut in scale.breaks for place, _ in scale.ticks(7))


def test_short_pauses_are_not_cut() -> None:
    """A pause below two seconds is no idle span, whatever its share."""
    story = Story()
    story.activity("a", 0, 0, 0.1)
    story.activity("b", 1.5, 1.5, 1.6)
    assert TimeScale(folded(story, 2).rows(), 1600).breaks == []


def test_density_counts_who_was_at_work() -> None:
    """The strip's areas are the work done, and a failure leaves a trace in its slice."""
    story = Story()
    story.activity("a", 0, 0, 4)
    story.activity("a", 0, 2, 4)
    story.activity("a", 0, 3, 3, failure=BOOM)
    rows = folded(story, 4).rows()
    bins = density(rows, TimeScale(rows, 4000), 4, 4000)
    assert [one.completed for one in bins] == pytest.approx([1, 1, 2, 2])
    assert [one.failed > 0 for one in bins] == [False, False, False, True]


def test_a_failure_without_details_of_its_own_still_has_a_message() -> None:
    """A cause without a traceback shows as type and message."""
    story = Story()
    failure = FailureDetails(error_type="builtins.ValueError", message="no")
    story.end(1, RuntimeStatus.FAILED, failure=failure)
    message = folded(story, 2).header().message
    assert message is not None
    assert (message.text, message.trace) == ("ValueError: no", "ValueError: no")
