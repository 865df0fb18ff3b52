"""The widget's side in the kernel: what travels to the browser, when, and what a cell shows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import comm
import pytest
from comm.base_comm import BaseComm

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets import Timeline, TimelineModel, live
from ipydurable.widgets.row_log import PAGES, RowLog
from ipydurable.widgets.views import RowState
from tests.widgets.scenarios import Backstage, Story, failed, fan_out, nested, small


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
    for number in range(PAGES):
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


def test_an_update_costs_the_kernel_little(wire: list[Any]) -> None:
    """Folding and sending what changed takes under 5 ms, with 10,000 rows as with ten."""
    timeline = Timeline()
    first, *later = fan_out(10_000, 40).updates(*(60 + turn / 5 for turn in range(30)))
    timeline.update(first)
    costs = []
    for update in later:
        begun_s = time.process_time()
        with timeline.lock:
            timeline.model.apply(update)
            timeline._send_now()
        costs.append(time.process_time() - begun_s)
    assert sorted(costs)[len(costs) // 2] < 0.005


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
    pages = RowLog().append(timeline.model.rows()).values()
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
    timeline._handle_custom_msg({"detail": [0, 3]}, [])
    (detail,) = timeline.details
    assert detail["name"] == "load"
    assert len(detail["attempts"]) == 1
    timeline.update(second)
    (detail,) = timeline.details
    assert [one["worker"] for one in detail["attempts"]] == ["process 4711"] * 2


def test_several_views_may_look_at_different_rows(wire: list[Any]) -> None:
    """The answers to the last questions are kept, the last one last."""
    timeline = Timeline()
    timeline.update(next(small().updates(20)))
    for index in (3, 1, 3):
        timeline._handle_custom_msg({"detail": [0, index]}, [])
    assert [detail["index"] for detail in timeline.details] == [1, 3]
    for index in range(11):
        timeline._handle_custom_msg({"detail": [0, index]}, [])
    assert len(timeline.details) == 8


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


@pytest.mark.parametrize(
    "content", [{}, {"detail": 3}, {"detail": [0, 99]}, {"detail": [7, 1]}, [], "x"]
)
def test_a_question_that_makes_no_sense_is_answered_with_nothing(
    wire: list[Any], content: Any
) -> None:
    """Whatever arrives from a page cannot break the widget."""
    timeline = Timeline()
    timeline.update(next(small().updates(20)))
    timeline._handle_custom_msg(content, [])
    assert timeline.details == []


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
            timeline._handle_custom_msg({"detail": [0, 5]}, [])

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


def test_a_child_that_is_opened_is_followed_and_its_rows_travel_marked(wire: list[Any]) -> None:
    """Its rows are in the log beside the others; closing the view ends following it."""
    story, children = nested()
    backstage = Backstage(children, 4.6)
    timeline = Timeline(backstage=backstage)
    timeline.update(next(story.updates(4.6)))
    ask(timeline, wire, "open", key="instance:month-end-11:FR")
    ring()
    (source,) = timeline.header["sources"]
    rows = [row for row in entries(timeline) if row[-1] == source["slot"]]
    assert [row[5] for row in rows] == ['"FR"', '"FR"', "audit-1"]
    assert source["key"] == "instance:month-end-11:FR"
    assert source["header"]["groups"][0]["name"] == "load"
    backstage.followed["month-end-11:FR"](
        next(children["month-end-11:FR"].updates(30)),
    )
    ring()
    assert timeline.header["sources"][0]["header"]["now"] == 30_000
    timeline.close()
    assert backstage.followed == {}


def test_an_earlier_generation_is_read_when_it_is_asked_for(wire: list[Any]) -> None:
    """Its rows are shown as they were at its end, without following anything."""
    past = Story()
    past.activity("old", 0, 0.1, 1)
    past.end(2, RuntimeStatus.CONTINUED_AS_NEW)
    backstage = Backstage(past=[past])
    timeline = Timeline(backstage=backstage)
    timeline.update(next(small().updates(3)))
    ask(timeline, wire, "open", key="generation:0")
    ring()
    (source,) = timeline.header["sources"]
    assert source["header"]["finished"]
    assert source["header"]["end"] == 2000
    assert backstage.followed == {}


def test_what_cannot_be_opened_can_be_asked_for_again(wire: list[Any]) -> None:
    """The person is told why, and nothing half open is left."""
    timeline = Timeline(backstage=Backstage())
    timeline.update(next(small().updates(3)))
    for _ in range(2):
        assert "KeyError" in ask(timeline, wire, "open", key="instance:gone")["error"]
    assert timeline.header["sources"] == []


def test_buttons_do_what_they_say_or_say_why_not(wire: list[Any]) -> None:
    """A command reaches the host with its arguments; every question gets one answer."""
    backstage = Backstage()
    timeline = Timeline(backstage=backstage)
    assert ask(timeline, wire, "raise_event", name="approve", data="true") == {
        "answer": "id-1",
        "value": None,
    }
    assert backstage.done == [("raise_event", {"name": "approve", "data": "true"})]
    assert "knows no command" in ask(timeline, wire, "format_disk")["error"]
    assert set(timeline.commands) >= {"raise_event", "suspend", "resume", "terminate", "rewind"}
    assert Timeline().commands == []


def ask(timeline: Timeline, wire: list[Any], command: str, **args: Any) -> dict[str, Any]:
    """Have a command carried out as a click does, and return what the page is answered."""
    timeline._carry_out({"do": command, "id": "id-1", "args": args})
    return next(one["content"] for one in reversed(wire) if one.get("method") == "custom")


def ring() -> None:
    """Let the time pass after which what changed is sent."""
    for alarm in Alarm.set:
        alarm.ring()
    Alarm.set.clear()


def entries(timeline: Timeline) -> list[list[Any]]:
    """Return all entries of the log."""
    pages = [timeline.get_state()[f"page_{number}"] for number in range(PAGES)]
    return [entry for page in pages for entry in json.loads(page or "[]")]
