"""What people do with a timeline: zoom, search, open, page, raise an event, lose the kernel."""

from __future__ import annotations

import msgspec
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.status import RuntimeStatus
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import (
    Backstage,
    Story,
    at,
    failed,
    fan_out,
    nested,
    parked,
    small,
    waiting,
)
from tests.widgets.test_timeline_module import ROWS, labels


def ticks(page: Page) -> list[str]:
    """Return the labels of the axis."""
    return page.locator(".ipd-tick:not(.ipd-cut)").all_inner_texts()


def shown(page: Page, story: Story, moment: float, backstage: Backstage | None = None) -> Kernel:
    """Show a story as it is after `moment` seconds."""
    kernel = Kernel(page, backstage or Backstage())
    kernel.tell_until(story, moment)
    kernel.mount()
    return kernel


def test_zooming_in_and_out_again_shows_all_of_it_again(page: Page) -> None:
    """The overview appears with the window; what lies outside says on which side it is."""
    kernel = shown(page, small(), 20)
    whole = ticks(page)
    assert page.is_hidden(".ipd-overview")
    page.click("[aria-label^='Zoom in']")
    page.click("[aria-label^='Zoom in']")
    kernel.settle()
    assert ticks(page) != whole
    assert page.is_visible(".ipd-overview")
    assert "later" in page.inner_text(".ipd-body")
    page.click("[aria-label^='Show all']")
    kernel.settle()
    assert ticks(page) == whole
    assert page.is_hidden(".ipd-overview")


def test_drawing_out_a_stretch_of_the_axis_zooms_to_it(page: Page) -> None:
    """Also over the bars, where the same press without moving is a click."""
    kernel = shown(page, small(), 20)
    box = page.locator(".ipd-axis").bounding_box()
    body = page.locator(".ipd-body").bounding_box()
    assert box
    assert body
    for y in (box["y"] + 10, body["y"] + 40):
        page.mouse.move(body["x"] + 500, y)
        page.mouse.down()
        page.mouse.move(body["x"] + 640, y, steps=4)
        assert page.locator(".ipd-brush").count() == 1
        page.mouse.up()
        kernel.settle()
        assert page.is_visible(".ipd-overview")
        assert page.is_hidden(".ipd-detail")
        page.dblclick(".ipd-axis")
        kernel.settle()
        assert page.is_hidden(".ipd-overview")


def test_the_overview_moves_the_window(page: Page) -> None:
    """Dragging it pans; what is seen follows."""
    kernel = shown(page, small(), 20)
    page.click("[aria-label^='Zoom in']")
    kernel.settle()
    before = ticks(page)
    box = page.locator(".ipd-window").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 120, box["y"] + 8, steps=3)
    page.mouse.up()
    kernel.settle()
    assert ticks(page) != before


def test_following_keeps_the_present_in_sight(page: Page) -> None:
    """The window moves on with the run, and its width stays."""
    story = fan_out(400, 4)
    kernel = shown(page, story, 40)
    page.click("[aria-label^='Follow']")
    kernel.settle()
    first = ticks(page)
    assert page.get_attribute("[aria-label^='Follow']", "aria-pressed") == "true"
    kernel.tell_until(story, 60)
    kernel.settle()
    assert ticks(page) != first
    assert len(ticks(page)) == pytest.approx(len(first), abs=1)


def test_keys_zoom_pan_and_fit(page: Page) -> None:
    """Everything the mouse does on the axis can be done from the keyboard."""
    kernel = shown(page, small(), 20)
    page.focus(".ipd-body")
    seen = [ticks(page)]
    for key in ("+", "+", "Shift+ArrowRight", "-", "0"):
        page.keyboard.press(key)
        kernel.settle()
        seen.append(ticks(page))
    assert seen[0] == seen[-1]
    assert seen[0] != seen[1] != seen[2] != seen[3] != seen[4]


def test_searching_lists_what_matches_also_out_of_bands(page: Page) -> None:
    """By name, input or failure; nothing found is said."""
    kernel = shown(page, fan_out(1000, 40, fail=0), 1e5)
    page.fill(".ipd-search input", "page-0077")
    kernel.settle()
    found = labels(page)
    assert len(found) == 11
    assert all("page-0077" in one for one in found[1:])
    assert "10 of 1,000" in page.inner_text(".ipd-band")
    page.fill(".ipd-search input", "no such thing")
    kernel.settle()
    assert "No operation matches" in page.inner_text(".ipd-nothing")


def test_sub_orchestrations_open_to_any_depth(page: Page) -> None:
    """With the chevron or the right arrow; their rows stand below, on the same time axis."""
    story, children = nested()
    kernel = shown(page, story, 4.6, Backstage(children, 4.6))
    page.locator(".ipd-row:has-text('FR') [data-state=open]").first.click()
    kernel.settle()
    assert "Asking the kernel" in page.inner_text(".ipd-body")
    kernel.serve()
    assert [one.split(",")[0] for one in labels(page)[1:5]] == [
        "sub-orchestration close_books month-end-11:FR",
        'reconcile "FR"',
        "sub-orchestration audit audit-1",
        'load "FR"',
    ]
    # What tells it from its siblings is there to be read, without the id of its parent.
    hint = page.locator(".ipd-row:has-text('FR') .ipd-hint").first
    assert hint.inner_text() == "…:FR · sub-orchestration"
    page.focus(".ipd-body")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    kernel.serve()
    levels = page.locator(ROWS).evaluate_all("all => all.map(one => one.ariaLevel)")
    assert "3" in levels
    page.keyboard.press("ArrowLeft")
    kernel.settle()
    assert "3" not in page.locator(ROWS).evaluate_all("all => all.map(one => one.ariaLevel)")


def test_an_entity_call_opens_to_the_entitys_side(page: Page) -> None:
    """How long it lay in the entity's queue and how long that worked on it, as a row."""
    kernel = shown(page, small(), 20)
    page.locator(ROWS, has_text="budget").locator("[data-state=open]").click()
    kernel.settle()
    assert "Asking the kernel" in page.inner_text(".ipd-body")
    kernel.serve()
    inside = page.locator(ROWS, has_text="operation spend")
    names = inside.locator(".ipd-bars > div").evaluate_all("all => all.map(bar => bar.className)")
    assert names == ["ipd-bar ipd-queued", "ipd-bar ipd-completed"]
    assert inside.locator(".ipd-time").inner_text() == "200 ms"
    inside.click()
    kernel.serve()
    assert "In its queue for\n100 ms" in page.inner_text(".ipd-detail")


def test_the_detail_of_a_childs_row_is_its_own(page: Page) -> None:
    """Rows of different histories have the same numbers and are not mixed up."""
    story, children = nested()
    kernel = shown(page, story, 4.6, Backstage(children, 4.6))
    page.locator(".ipd-row:has-text('FR') [data-state=open]").first.click()
    kernel.serve()
    page.locator(ROWS, has_text="load").click()
    kernel.serve()
    detail = page.inner_text(".ipd-detail")
    assert "load" in detail
    assert "v2 of 3" in detail
    assert "asking api.weather.example" in detail


def test_earlier_generations_are_pages(page: Page) -> None:
    """Each is shown with its own times and counts, and one comes back to the present."""
    past = Story()
    past.activity("old", 0, 0.1, 1)
    past.end(2, RuntimeStatus.CONTINUED_AS_NEW)
    story = Story()
    story.end(2, RuntimeStatus.CONTINUED_AS_NEW)
    started = {"instance_id": "report-7f3a", "execution_id": "e2", "name": "report"}
    story.tell(ev.ExecutionStarted(timestamp=at(2), generation=1, **started))
    story.activity("new", 3, 3.1, 4)
    kernel = shown(page, story, 9, Backstage(past=[past]))
    assert page.inner_text(".ipd-pager") == "generation 2 of 2"
    page.click("[aria-label='The generation before']")
    kernel.serve()
    assert page.inner_text(".ipd-pager") == "generation 1 of 2"
    assert [label.split()[0] for label in labels(page)] == ["old"]
    assert page.inner_text(".ipd-chip") == "Continued as new"
    # That execution is over, and nothing of it failed.
    assert page.get_attribute(".ipd-chip .ipd-icon", "data-state") == "completed"
    assert page.inner_text(".ipd-elapsed") == "2.0 s"
    page.click("[aria-label='The next generation']")
    kernel.settle()
    assert [label.split()[0] for label in labels(page)] == ["new"]


def test_a_wait_for_an_event_is_a_row_and_offers_to_raise_it(page: Page) -> None:
    """Its form knows the name; what the host refuses is said; success closes it."""
    backstage = Backstage()
    kernel = shown(page, waiting(), 4000, backstage)
    assert labels(page)[0] == "waits for the event approve"
    page.locator(ROWS, has_text="approve").click()
    page.fill(".ipd-ask input >> nth=1", "true")
    page.keyboard.press("Enter")
    kernel.settle()
    asked = kernel.asked("raise_event")
    assert asked["args"] == {"name": "approve", "data": "true"}
    kernel.reply("raise_event", error="The data is not JSON.")
    assert "The data is not JSON." in page.inner_text(".ipd-told")
    page.click(".ipd-ask >> text=Raise event")
    kernel.serve()
    assert backstage.done[-1] == ("raise_event", {"name": "approve", "data": "true"})
    assert page.is_hidden(".ipd-ask")


def test_what_each_attempt_printed_stands_by_itself(page: Page) -> None:
    """In the order of the attempts; only the last one's is open."""
    backstage = Backstage()
    backstage.printed = {1: "asking\n", 3: "asking again\n"}
    kernel = shown(page, failed(), 20, backstage)
    page.locator(ROWS, has_text="load").last.click()
    kernel.serve()
    blocks = page.locator(".ipd-detail details", has_text="Printed")
    expect(blocks.locator("summary")).to_have_text(["Printed by attempt 1", "Printed by attempt 3"])
    assert [blocks.nth(n).get_attribute("open") is None for n in (0, 1)] == [True, False]
    assert blocks.nth(1).locator("pre").inner_text() == "asking again\n"
    blocks.nth(0).locator("summary").click()
    assert blocks.nth(0).locator("pre").inner_text() == "asking\n"


def test_what_destroys_asks_first(page: Page) -> None:
    """Terminate does nothing until it is confirmed, and Cancel has the focus."""
    backstage = Backstage()
    kernel = shown(page, small(), 3, backstage)
    page.click("text=Terminate …")
    kernel.serve()
    assert backstage.done == []
    assert page.evaluate("document.activeElement.textContent") == "Cancel"
    page.click("text=Terminate it")
    kernel.serve()
    assert backstage.done == [("terminate", {})]


@pytest.mark.parametrize(
    ("story", "moment", "offered"),
    [
        (small(), 3, ["Raise event …", "Suspend", "Terminate …"]),
        (parked(), 9, ["Resume", "Raise event …", "Terminate …"]),
        (small(), 20, []),
    ],
)
def test_only_what_the_state_allows_is_offered(
    page: Page, story: Story, moment: float, offered: list[str]
) -> None:
    """Nothing is offered that the host would refuse."""
    shown(page, story, moment)
    assert page.locator(".ipd-actions button").all_inner_texts() == offered


def test_a_view_whose_kernel_is_gone_stands_still_and_says_so(page: Page) -> None:
    """The clock stops, nothing moves, nothing is offered, and the way back is named."""
    kernel = shown(page, small(), 3)
    page.evaluate("""model.apply({again: "ipydurable.instance('report-7f3a')"})""")
    page.evaluate("model.tell('comm_live_update')")
    kernel.settle()
    assert "ipydurable.instance('report-7f3a')" in page.inner_text(".ipd-notice")
    assert "when last heard of" in page.inner_text(".ipd-chip")
    assert page.locator(".ipd-actions button").count() == 0
    elapsed = page.inner_text(".ipd-elapsed")
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 60_000; }")
    page.set_viewport_size({"width": 900, "height": 700})
    kernel.settle()
    assert page.inner_text(".ipd-elapsed") == elapsed
    running = page.locator(".ipd-bar.ipd-running").first
    assert running.evaluate("bar => getComputedStyle(bar).animationName") == "none"


def test_a_view_whose_host_is_gone_says_so_until_it_is_back(page: Page) -> None:
    """What the kernel says of the connection is shown, and taken back."""
    kernel = shown(page, small(), 3)
    kernel.widget.disconnect("The background host was stopped.")
    kernel.flush()
    kernel.settle()
    assert "The background host was stopped." in page.inner_text(".ipd-notice")
    kernel.widget.disconnect("")
    kernel.flush()
    kernel.settle()
    assert page.is_hidden(".ipd-notice")


def test_a_dead_view_steps_back_when_the_run_is_shown_again(page: Page) -> None:
    """Nobody has to tell two timelines of one run apart."""
    kernel = shown(page, small(), 3)
    page.evaluate("""model.apply({again: "instance(1)"})""")
    page.evaluate("window.unmount(); model.tell('x'); mount()")
    page.evaluate("model.tell('comm_live_update')")
    kernel.settle()
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('ipd-attached', {detail: 'instance(2)'}))"
    )
    kernel.settle()
    assert page.is_visible(".ipd-body")
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('ipd-attached', {detail: 'instance(1)'}))"
    )
    kernel.settle()
    assert page.is_hidden(".ipd-body")
    assert "another cell" in page.inner_text(".ipd-notice")


@pytest.mark.parametrize("page", [{"timezone_id": "Asia/Kolkata"}], indirect=True)
def test_times_say_their_zone_and_are_exact_on_hovering(page: Page) -> None:
    """Local times for people; UTC, as histories have it, where the pointer rests."""
    shown(page, small(), 20)
    page.locator(".ipd-row", has_text="convert").click()
    facts = page.locator(".ipd-facts > div", has_text="Scheduled")
    assert "GMT+5:30" in facts.inner_text()
    assert "3:00:00" in facts.inner_text()
    assert (facts.get_attribute("title") or "").startswith("2026-11-21 09:30:00.")
    assert (facts.get_attribute("title") or "").endswith(" UTC")
    assert "2026-11-21 09:30:00.000 UTC" in (page.locator(".ipd-head").get_attribute("title") or "")


def test_a_dataframe_is_a_table_in_the_detail(page: Page) -> None:
    """Names, the first rows, and how many there are."""
    frame = pd.DataFrame({"city": ["Basel", "Chur"] * 50, "t": [7.5, -1.25] * 50})
    story = Story()
    story.activity("load", 0, 0.1, 1)
    done = story.events[-1][1]
    assert isinstance(done, ev.TaskCompleted)
    result = NamespaceConverter({}).encode(frame, "a result")
    story.events[-1] = (1.0, msgspec.structs.replace(done, result=result))
    kernel = shown(page, story, 2)
    page.locator(".ipd-row", has_text="load").click()
    kernel.serve()
    table = page.locator(".ipd-detail .ipd-table")
    assert table.locator("th").all_inner_texts() == ["city", "t"]
    assert table.locator("tbody tr").nth(1).locator("td").all_inner_texts() == ["Chur", "-1.25"]
    assert "100 rows \u00d7 2 columns" in page.inner_text(".ipd-detail")
