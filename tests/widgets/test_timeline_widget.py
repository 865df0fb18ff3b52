"""The widget's side in the kernel: what travels to the browser, when, and what a cell shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import comm
import pytest
from comm.base_comm import BaseComm

from ipydurable.widgets import Timeline, TimelineModel, live
from ipydurable.widgets import timeline as module
from ipydurable.widgets.views import RowState
from tests.widgets.scenarios import failed, fan_out, small


class Wire(BaseComm):
    """A comm that keeps what it was given."""

    messages: ClassVar[list[dict[str, Any]]] = []

    def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
        """Keep a message as JSON would bring it to the browser."""
        self.messages.append(json.loads(json.dumps(data or {})))


class Alarm:
    """A timer that rings when the test says so."""

    set: ClassVar[list[Alarm]] = []

    def __init__(self, wait_s: float, ring: Callable[[], None]) -> None:
        self.wait_s, self.ring, self.cancelled, self.daemon = wait_s, ring, False, False

    def start(self) -> None:
        """Note that the timer runs."""
        self.set.append(self)

    def cancel(self) -> None:
        """Note that it will not ring."""
        self.cancelled = True


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Connect widgets to a recorded wire, and their timer to the test."""
    monkeypatch.setattr(comm, "create_comm", Wire)
    monkeypatch.setattr(live.threading, "Timer", Alarm)
    Wire.messages.clear()
    Alarm.set.clear()
    yield Wire.messages
    Timeline.close_all()


def states(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the states of the update messages."""
    return [message["state"] for message in messages if message.get("method") == "update"]


def shown(timeline: Timeline) -> list[list[Any]]:
    """Return the rows a browser has that reads all pages."""
    rows: dict[int, list[Any]] = {}
    for number in range(module.PAGES):
        for entry in json.loads(timeline.get_state()[f"page_{number}"] or "[]"):
            rows[entry[0]] = entry
    return [rows[index] for index in sorted(rows)]


def test_the_first_update_travels_at_once_and_later_ones_together(wire: list[Any]) -> None:
    """No waiting for the first; what comes within the interval goes out in one message."""
    timeline = Timeline()
    first, second, third = small().updates(1, 1.5, 2)
    timeline.update(first)
    assert len(states(wire)) == 1
    timeline.update(second)
    timeline.update(third)
    assert len(states(wire)) == 1
    (alarm,) = Alarm.set
    assert 0 < alarm.wait_s <= live.MIN_INTERVAL_S * 10
    assert alarm.daemon
    alarm.ring()
    assert len(states(wire)) == 2
    assert states(wire)[1]["header"]["now"] == 2000


def test_only_the_news_travels(wire: list[Any]) -> None:
    """A change of a few rows among thousands sends the last page of the log, not all rows."""
    timeline = Timeline()
    first, second = fan_out(4000, 50).updates(20, 20.01)
    timeline.update(first)
    timeline.update(second)
    Alarm.set[-1].ring()
    whole, news = (len(json.dumps(state)) for state in states(wire))
    assert whole > 200_000
    assert news < whole / 4


def test_nothing_travels_while_nothing_happens(wire: list[Any]) -> None:
    """After the news is out no timer is left running."""
    timeline = Timeline()
    timeline.update(next(small().updates(1)))
    assert Alarm.set == []
    assert timeline.comm is not None


def test_a_view_mounted_later_finds_everything(wire: list[Any]) -> None:
    """After any updates the traits together hold exactly the rows of the model."""
    timeline = Timeline()
    for update in fan_out(300, 20).updates(0.5, 2, 4, 20):
        timeline.update(update)
        for alarm in Alarm.set:
            alarm.ring()
        Alarm.set.clear()
    pages = module.RowLog().append(timeline.model.rows()).values()
    assert shown(timeline) == [row for page in pages for row in json.loads(page)]


def test_a_widget_for_a_known_history_opens_with_it(wire: list[Any]) -> None:
    """Header and rows are in the message that opens the widget."""
    model = TimelineModel()
    model.apply(next(small().updates(20)))
    Timeline(model)
    opened = [message["state"] for message in wire if "_esm" in message.get("state", {})][-1]
    assert opened["header"]["status"] == "Completed"
    assert len(json.loads(opened["page_0"])) == 11


def test_the_end_travels_at_once(wire: list[Any]) -> None:
    """A finished run is shown without waiting, and says that it is finished."""
    timeline = Timeline()
    running, done = small().updates(3, 20)
    timeline.update(running)
    assert not timeline.finished
    timeline.update(done)
    assert timeline.finished
    assert states(wire)[-1]["header"]["finished"]


def test_continue_as_new_empties_the_pages(wire: list[Any]) -> None:
    """Rows of an earlier generation are not left on any page."""
    timeline = Timeline()
    (update,) = fan_out(600, 50).updates(100)
    timeline.update(update)
    assert timeline.get_state()["page_1"]
    again = fan_out(3, 2)
    start = again.events[0][1]
    again.events[0] = (0.0, type(start)(**{**_fields(start), "execution_id": "e2"}))
    (update,) = again.updates(100)
    update.events = [(seq + 10_000, event) for seq, event in update.events]
    timeline.update(update)
    assert len(shown(timeline)) == len(timeline.model.rows()) == 5


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_a_question_for_a_row_is_answered_and_kept_up_to_date(wire: list[Any]) -> None:
    """The browser asks with a message; the answer is a trait, renewed while the row changes."""
    timeline = Timeline()
    first, second = failed().updates(4, 20)
    timeline.update(first)
    timeline._handle_custom_msg({"detail": 3}, [])
    assert timeline.detail["name"] == "load"
    assert len(timeline.detail["attempts"]) == 1
    timeline.update(second)
    assert [one["worker"] for one in timeline.detail["attempts"]] == ["process 4711"] * 2
    timeline._handle_custom_msg({"detail": None}, [])
    assert timeline.detail == {}


def test_the_first_failures_travel_unasked_and_stay_up_to_date(wire: list[Any]) -> None:
    """A busy kernel answers no questions, and failures are what people want to read then."""
    timeline = Timeline()
    first, second = failed().updates(4.5, 20)
    timeline.update(first)
    (sent,) = timeline.failures
    assert len(sent["attempts"]) == 1
    timeline.update(second)
    (sent,) = timeline.failures
    assert "return client.get(city)" in sent["attempts"][1]["trace"]
    many = Timeline()
    many.update(next(fan_out(400, 20, fail=0.5).updates(1e5)))
    assert len(many.failures) == 20


@pytest.mark.parametrize("content", [{}, {"detail": "3"}, {"detail": 99}, [], "x"])
def test_a_question_that_makes_no_sense_is_answered_with_nothing(
    wire: list[Any], content: Any
) -> None:
    """Whatever arrives from a page cannot break the widget."""
    timeline = Timeline()
    timeline.update(next(small().updates(20)))
    timeline._handle_custom_msg(content, [])
    assert timeline.detail == {}


def test_a_closed_widget_sends_nothing_more(wire: list[Any]) -> None:
    """Closing cancels what was about to be sent."""
    timeline = Timeline()
    first, second = small().updates(1, 1.5)
    timeline.update(first)
    timeline.update(second)
    timeline.close()
    assert Alarm.set[-1].cancelled


def test_updates_from_many_threads_lose_nothing(wire: list[Any]) -> None:
    """Subscribers and the browser's questions may come on any thread."""
    timeline = Timeline()
    updates = list(fan_out(200, 20).updates(*(n / 4 for n in range(80))))
    turn = threading.Lock()

    def tell() -> None:
        while True:
            with turn:
                if not updates:
                    return
                timeline.update(updates.pop(0))
            timeline._handle_custom_msg({"detail": 5}, [])

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert timeline.finished
    assert timeline.header["counts"][RowState.QUEUED] == 0
    assert len(shown(timeline)) == 202


def test_a_cell_shows_the_live_view_and_forms_without_a_kernel(wire: list[Any]) -> None:
    """The output holds the view, HTML for viewers without widgets, and text for all others."""
    timeline = Timeline()
    timeline.update(next(small().updates(20)))
    data, _ = timeline._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == timeline.model_id
    assert "<svg" in data["text/html"]
    assert "✓ Completed" in data["text/plain"]


def test_an_empty_timeline_can_be_shown(wire: list[Any]) -> None:
    """A widget that was told nothing yet has a view, and no static form to show."""
    data, _ = Timeline()._repr_mimebundle_()
    assert "text/html" not in data
