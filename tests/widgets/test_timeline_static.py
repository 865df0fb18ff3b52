"""The forms of a timeline that need no kernel: HTML with inline SVG, and text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets import TimelineModel, static_html, text
from tests.widgets.graph_stories import suppliers
from tests.widgets.scenarios import Story, failed, fan_out, small, waiting

STORIES = {
    "done": (small(), 20.0),
    "live": (small(), 3.0),
    "band": (fan_out(1000), 8.0),
    "failed": (failed(), 20.0),
    "waiting": (waiting(), 4000.0),
    "pending": (Story(), -1.0),
}


def folded(story: Story, moment: float) -> TimelineModel:
    """Return the model after the story was told up to `moment`."""
    model = TimelineModel()
    for update in story.updates(moment):
        model.apply(update)
    return model


class Tags(HTMLParser):
    """Checks that what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Remember an opened tag."""
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Skip a tag that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        """Match a closing tag."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", STORIES)
def test_the_html_is_well_formed_and_self_contained(name: str) -> None:
    """Tags match, the SVG is XML, and nothing is loaded or executed."""
    html = static_html(folded(*STORIES[name]))
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ET.fromstring(svg)
    assert not re.search(r"<script|<style|<link|src=|href=|\son\w+=", html)


def test_ten_thousand_tasks_stay_small() -> None:
    """Bands keep the static forms far below 100 KB, also for many different names."""
    assert len(static_html(folded(fan_out(10_000, 200), 1e5)).encode()) < 30_000
    story = Story()
    for n in range(2000):
        story.activity(f"step_{n:04}", n, n + 0.1, n + 0.9)
    model = folded(story, 1e5)
    assert len(static_html(model).encode()) < 100_000
    assert "1,920 more rows" in static_html(model)
    assert "1,960 more rows" in text(model)


def test_what_users_wrote_is_escaped() -> None:
    """Names, inputs and failures come from users and stay text."""
    evil = "<img src=x onerror=alert(1)>"
    story = Story(evil, evil)
    story.activity(evil, 0, 0.1, 1, input=evil, failure=_failure(evil))
    story.end(1, RuntimeStatus.FAILED, failure=_failure(evil))
    html = static_html(folded(story, 2))
    assert "<img" not in html
    assert "&lt;img" in html


def _failure(text_: str) -> FailureDetails:
    return FailureDetails(error_type="builtins.ValueError", message=text_, stack_trace=text_)


def test_the_table_says_what_the_drawing_says() -> None:
    """Where a page strips SVG the table is left: every operation with state and duration."""
    html = static_html(folded(*STORIES["done"]))
    table = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert "convert {&quot;unit&quot;: &quot;°C&quot;}" in cells
    assert "✓ completed (3 attempts)" in cells
    assert "entity budget.spend team-a" in cells


def test_losers_of_a_race_are_dimmed_and_say_so() -> None:
    """In the drawing and in a terminal, as in the live form."""
    model = folded(suppliers(), 2.5)
    html = static_html(model)
    assert html.count("> lost the race") == html.count('<g opacity=".45">') == 2
    assert "▶ ask_bolts lost the race" in text(model, 120)


def test_a_failed_run_shows_the_failure_and_its_traceback() -> None:
    """The reason is in sight, the traceback one click away."""
    html = static_html(folded(*STORIES["failed"]))
    assert "activity load (task 4) failed" in html
    assert "return client.get(city)" in html.partition("Traceback</summary>")[2]


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("width", [20, 60, 100, 160])
def test_lines_of_text_fit_the_width(name: str, width: int) -> None:
    """No line is longer than asked for; sixty characters are the least."""
    lines = text(folded(*STORIES[name]), width).splitlines()
    assert max(map(len, lines)) <= max(60, width)


def test_text_shows_state_bars_and_counts() -> None:
    """A terminal shows the same as the browser: states, attempts, back-offs, durations."""
    live = text(folded(*STORIES["live"]))
    assert "▶ Running  3.0 s" in live
    assert "✓ 3 completed · ▶ 3 running · ‖ 1 waiting" in live
    (convert,) = [line for line in live.splitlines() if "convert" in line]
    assert re.search(r"│░+▚+·+░+▚+·+│ +2\.7 s", convert)
    band = text(folded(*STORIES["band"]))
    assert "fetch 1,000" in band
    assert "p50 " in band
    assert 'waits for the event "approve"' in text(folded(*STORIES["waiting"]))
