"""Forms as views fold them from a history: open, closed, reopened, whatever is cut off where."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.forms import asked_form
from ipydurable.runtime.core.payload import Blob
from ipydurable.widgets import TimelineModel
from ipydurable.widgets.form_model import FormFold
from ipydurable.widgets.forms import FormsModel
from tests.widgets.form_stories import REVIEW, ask, asking, close, escalated, reviewed
from tests.widgets.scenarios import Story, at


def folded(*events: ev.Event) -> FormFold:
    """Fold events."""
    fold = FormFold()
    for event in events:
        fold.fold(event)
    return fold


def of(story: Story) -> list[ev.Event]:
    """Return the events of a story in order."""
    return [event for _, event in story.rows()]


def test_each_form_knows_what_became_of_it() -> None:
    """One that expired, one that was answered, from where and with what."""
    first, second = folded(*of(escalated())).forms
    assert (first.state, first.answer, first.by) == ("expired", (), "")
    assert (second.state, second.answer, second.by) == (
        "answered",
        (("", "approve"),),
        "desk.ipynb",
    )
    assert first.closed is not None
    assert second.closed is not None
    assert first.since < first.closed < second.since < second.closed
    assert first.until is not None
    assert second.until is None


def test_an_answer_is_told_by_the_labels_of_the_fields() -> None:
    """Text in short; what was left empty as such."""
    (form,) = folded(*of(reviewed())).forms
    assert form.answer[:2] == (("Verdict", "revise"), ("Score", "4"))
    assert form.answer[-2:] == (
        ("To the authors", "Please show the error bars. And cite the data."),
        ("Due", "—"),
    )


def test_an_answer_that_cannot_be_read_here_is_shown_as_it_is() -> None:
    """Anything may have been raised before the form was opened for the second time."""
    for data, words in (
        (Blob(codec="dill", data=b"x", summary="a Thing"), "a Thing"),
        ('{"$unknown":1}', '{"$unknown":1}'),
        ("7", "7"),
    ):
        story = asking(REVIEW)
        raised = ev.EventRaised(timestamp=at(2), name="approval", input=data, sender="boss")
        closed = ev.EventFormClosed(
            timestamp=at(2), name="approval", form_id="e1:1", outcome="answered"
        )
        (form,) = folded(*of(story), raised, closed).forms
        assert (form.answer, form.by) == ((("", words),), "boss")


def test_the_end_closes_what_is_open_and_a_rewind_opens_it_again() -> None:
    """What was closed before stays closed."""
    story = asking()
    close(story, 2, "e1:1", outcome="withdrawn")
    ask(story, 3, {"a": int}, number=2)
    story.end(4)
    fold = folded(*of(story))
    assert [one.state for one in fold.forms] == ["withdrawn", "ended"]
    assert fold.fold(ev.ExecutionRewound(timestamp=at(5)))
    assert [(one.state, one.closed is None) for one in fold.forms] == [
        ("withdrawn", False),
        ("open", True),
    ]


def test_another_execution_has_forms_of_its_own() -> None:
    """The same one, told again, keeps them."""
    fold = folded(*of(asking()))
    started = of(asking())[0]
    assert not fold.fold(started)
    assert fold.fold(msgspec.structs.replace(started, execution_id="e2"))  # type: ignore[type-var]
    assert fold.forms == ()


def test_what_concerns_no_form_changes_none() -> None:
    """So nothing is sent to a page for it."""
    fold = folded(*of(asking()))
    stray = ev.EventFormClosed(timestamp=at(9), name="x", form_id="e9:9", outcome="expired")
    assert not fold.fold(stray)
    assert not fold.fold(ev.TimerCreated(timestamp=at(9), task_id=9, fire_at=at(10)))
    assert not fold.fold(ev.EventRaised(timestamp=at(9), name="other"))


def test_of_many_closed_forms_the_last_are_kept() -> None:
    """A saved notebook stays small; what is open is always there."""
    story = Story()
    ask(story, 1, {"a": int}, number=0)
    for number in range(1, 50):
        form_id = ask(story, number + 1, {"a": int}, number=number)
        close(story, number + 1.5, form_id, {"a": number})
    forms = folded(*of(story)).forms
    assert [one.state for one in forms].count("answered") == 20
    assert forms[0].state == "open"
    assert forms[-1].answer == (("A", "49"),)


EVENTS: list[Any] = [
    *of(escalated()),
    *of(reviewed()),
    ev.ExecutionRewound(timestamp=at(400)),
    ev.EventFormOpened(
        timestamp=at(401), name="x", form_id="e1:1", form=asked_form(bool), since=at(1)
    ),
]


@given(st.lists(st.sampled_from(EVENTS), max_size=30), st.integers(0, 30))
def test_any_history_folds_and_the_same_wherever_it_is_cut(events: list[Any], cut: int) -> None:
    """A fold of news onto a fold of the past is the fold of all; and each form is consistent."""
    fold = folded(*events[:cut])
    for event in events[cut:]:
        before = fold.forms
        changed = fold.fold(event)
        assert changed or fold.forms == before
    assert fold.forms == folded(*events).forms
    for form in fold.forms:
        assert (form.closed is None) == (form.state == "open")
        assert not form.answer or form.state == "answered"


def test_a_timeline_tells_its_forms_and_since_when_it_waits() -> None:
    """The wait began with the form, whatever happened since."""
    story = asking()
    story.activity("look", 50, 50.1, 51)
    model = TimelineModel()
    for update in story.updates(1.5, 90):
        model.apply(update)
    assert [one.state for one in model.forms] == ["open"]
    (waiting,) = model.header().waiting
    assert (waiting.name, waiting.since) == ("approval", 1000)


def test_a_wait_with_a_time_limit_waits_for_the_event_first() -> None:
    """Not for its timer, which is told after it."""
    story = asking()
    story.timer(1, 600, fired=False)
    model = TimelineModel()
    model.apply(next(story.updates(90)))
    assert [one.kind for one in model.header().waiting] == ["event", "timer"]


def test_an_answer_of_a_dataclass_is_a_short_word_in_its_row() -> None:
    """As it would be written."""
    story = Story()
    data = '{"$dataclass":"__main__:Decision","fields":{"approved":true,"limit":250}}'
    story.tell(ev.EventRaised(timestamp=at(1), name="decision", input=data))
    model = TimelineModel()
    model.apply(next(story.updates(2)))
    assert model.rows()[0].hint == "Decision(approved=true, limit=250)"


def test_forms_of_several_instances_are_told_apart() -> None:
    """In the order in which they were asked for; events that were told before are skipped."""
    model = FormsModel(["server", "gpu"])
    for story in (asking(), escalated()):
        assert not model.is_known
        (update,) = story.updates(400)
        model.apply(update)
        model.apply(update)
    assert model.is_known
    assert [key for key, _ in model.forms] == ["server", "server", "gpu"]
    assert not model.finished
    assert "(gpu)" in model.text()
    assert "(server)" in model.html()
    assert FormsModel(["x"]).text() == "No form is open."
    assert "No form is open." in FormsModel(["x"]).html()
