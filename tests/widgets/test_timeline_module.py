"""The ES module in headless Chromium: what people see, can click, and what it costs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets import layout
from tests.widgets.contrast import least_contrast
from tests.widgets.graph_stories import suppliers
from tests.widgets.harness import Kernel, make_dark
from tests.widgets.scenarios import BOOM, Story, at, failed, fan_out, small, waiting

ROWS = ".ipd-row"


def labels(page: Page) -> list[str]:
    """Return what a screen reader hears of each row, from top to bottom."""
    return page.evaluate(
        """() => [...document.querySelectorAll('[role=treeitem]')]
          .map(row => [new DOMMatrix(row.style.transform).f, row.getAttribute('aria-label')])
          .sort((a, b) => a[0] - b[0]).map(one => one[1])"""
    )


def settle(page: Page) -> None:
    """Wait until the page has drawn."""
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def test_a_live_run_shows_header_and_rows(page: Page, kernel: Kernel) -> None:
    """Name, status in words, counts; running and waiting rows on top; state is not colour alone."""
    kernel.tell_until(small(), 3)
    kernel.mount()
    assert page.text_content(".ipd-name") == "report"
    assert page.text_content(".ipd-chip") == "Running"
    assert re.fullmatch(r"3\.\d s", page.text_content(".ipd-elapsed") or "")
    assert page.text_content(".ipd-counts") == "3completed3running1waiting"
    assert page.get_attribute(".ipd-progress", "aria-label") == "3 of 7 completed"
    found = labels(page)
    assert [label.split(", ")[1] for label in found] == ["running"] * 3 + ["waiting"] + (
        ["completed"] * 3
    )
    icons = page.locator(f"{ROWS} .ipd-icon:not(.ipd-none)").evaluate_all(
        "all => all.map(i => i.dataset.state)"
    )
    assert sorted(icons) == sorted(label.split(", ")[1] for label in found)


def test_a_retried_row_has_a_notch_per_attempt_and_gaps_between(page: Page, kernel: Kernel) -> None:
    """Queued, failed, back-off, queued, failed, back-off, queued, completed: in this order."""
    kernel.tell_until(small(), 20)
    kernel.mount()
    row = page.locator(ROWS, has_text="convert")
    names = row.locator(".ipd-bars > div").evaluate_all("all => all.map(bar => bar.className)")
    assert names.count("ipd-notch") == 3
    assert names.count("ipd-gap") == 2
    bars = [name.split()[1] for name in names if name.startswith("ipd-bar")]
    assert [bar for bar in bars if bar != "ipd-queued"] == [
        "ipd-failed",
        "ipd-failed",
        "ipd-completed",
    ]


def test_running_bars_grow_without_the_kernel(page: Page, kernel: Kernel) -> None:
    """Between two messages the view follows the browser's clock."""
    kernel.tell_until(small(), 3)
    kernel.mount()
    page.wait_for_function(
        "parseFloat(document.querySelector('.ipd-elapsed').textContent) >= 3.4", timeout=5000
    )


# Keeps a list of what the page has still to do: timers and frames that queue or do a drawing.
DUE = """() => {
  const set = setTimeout, clear = clearTimeout, frame = requestAnimationFrame;
  window.due = new Map();
  window.setTimeout = (ring, ms) => {
    const id = set(() => { due.delete(`t${id}`); ring(); }, ms);
    due.set(`t${id}`, `${ring}`);
    return id;
  };
  window.clearTimeout = (id) => { due.delete(`t${id}`); clear(id); };
  window.requestAnimationFrame = (draw) => {
    const id = frame((at) => { due.delete(`f${id}`); draw(at); });
    due.set(`f${id}`, `${draw}`);
    return id;
  };
}"""


def test_a_finished_view_costs_nothing(page: Page, kernel: Kernel) -> None:
    """After the last drawing of a finished run no timer and no frame is left."""
    page.evaluate(DUE)
    # Playwright sets timers of its own; those of the module queue a drawing.
    due = "[...due.values()].filter(ring => /queue|drawMs/.test(ring)).length"
    running, done = small().updates(3, 20)
    kernel.tell(running)
    kernel.mount()
    assert page.evaluate(due) > 0
    kernel.tell(done)
    page.wait_for_function("document.querySelector('.ipd-elapsed').textContent === '9.6 s'")
    settle(page)
    assert page.evaluate(due) == 0


def test_siblings_are_a_band_that_opens_by_click_and_by_key(page: Page, kernel: Kernel) -> None:
    """A thousand fetches are one row with counts; opened it lists failures first."""
    kernel.tell_until(fan_out(1000), 8)
    kernel.mount()
    assert labels(page) == [
        "1000 fetch: 466 completed, 40 running, 5 failed, 489 queued",
        "plan , completed, 380 ms",
    ]
    assert "p50 531 ms" in (page.text_content(".ipd-stats") or "")
    page.click(".ipd-band")
    settle(page)
    states = [label.split(", ")[1] for label in labels(page)[1:]]
    assert states[:6] == ["failed"] * 5 + ["running"]
    assert page.locator(".ipd-failed-text").count() > 0
    page.focus(".ipd-body")
    page.keyboard.press("Enter")
    settle(page)
    assert len(labels(page)) == 2
    page.keyboard.press("ArrowRight")
    settle(page)
    assert len(labels(page)) > 10


def test_an_open_band_lists_two_hundred_rows_and_all_on_demand(page: Page, kernel: Kernel) -> None:
    """The list ends with an offer to show the rest; only what is in sight is in the page."""
    kernel.tell_until(fan_out(1000), 100)
    kernel.mount()
    page.click(".ipd-band")
    page.focus(".ipd-body")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    settle(page)
    assert page.locator(".ipd-more").text_content() == "Show all 1,000"
    page.keyboard.press("Enter")
    settle(page)
    assert page.evaluate("document.querySelector('.ipd-canvas').clientHeight") > 1000 * 26
    assert page.locator(ROWS).count() < 60


def test_clicking_a_row_asks_for_its_detail_and_shows_it(page: Page, kernel: Kernel) -> None:
    """What the page knows is shown at once, payloads and traceback when the kernel answers."""
    kernel.tell_until(fan_out(30, 30), 90)
    kernel.mount()
    page.locator(ROWS, has_text="summarise").click()
    settle(page)
    assert page.evaluate("model.sent") == [{"detail": [0, 31]}]
    assert "Asking the kernel" in page.inner_text(".ipd-detail")
    kernel.serve()
    detail = page.inner_text(".ipd-detail")
    assert "process 4711" in detail
    assert '"t": 7.5' in detail
    page.click(".ipd-detail .ipd-button")
    settle(page)
    assert page.is_hidden(".ipd-detail")


def test_a_failure_the_kernel_sent_unasked_is_shown_without_an_answer(
    page: Page, kernel: Kernel
) -> None:
    """While the kernel is busy the traceback of a failure can still be read."""
    kernel.tell_until(failed(), 20)
    kernel.mount()
    page.locator(ROWS, has_text="load").last.click()
    settle(page)
    assert page.locator(".ipd-attempts tbody tr").count() == 2
    assert "return client.get(city)" in page.inner_text(".ipd-detail")


def test_rows_keep_their_places_under_the_pointer(page: Page, kernel: Kernel) -> None:
    """What somebody is about to click does not move away; it does once the pointer has left."""
    story = small()
    kernel.tell_until(story, 3)
    kernel.mount()
    before = [label.split(",")[0] for label in labels(page)]
    page.hover(f"{ROWS} >> nth=1")
    kernel.tell_until(story, 5)
    settle(page)
    assert [label.split(",")[0] for label in labels(page)] == before
    page.mouse.move(5, 5)
    settle(page)
    assert [label.split(",")[0] for label in labels(page)] != before


def test_hovering_tells_times_and_the_failure(page: Page, kernel: Kernel) -> None:
    """The tooltip has name, state, duration, failure and the clock time at the pointer."""
    kernel.tell_until(failed(), 20)
    kernel.mount()
    page.locator(ROWS, has_text="load").last.locator(".ipd-plot").hover()
    tip = page.inner_text(".ipd-tip")
    assert 'load "Basel"' in tip
    assert "failed · 2.5 s · 2 attempts" in tip
    assert str(BOOM) in tip
    assert re.search(r"3\.\d s after the start, .*\d\d:\d\d", tip)


@pytest.mark.parametrize("moment", [2.5, 20])
def test_the_loser_of_a_race_is_dimmed_and_says_so(
    page: Page, kernel: Kernel, moment: float
) -> None:
    """In a row that fills the axis, too, and also once it has ended; its words stay readable."""
    kernel.tell_until(suppliers(), moment)
    kernel.mount()
    outrun = page.locator(".ipd-outrun")
    assert sorted(outrun.locator(".ipd-op").all_inner_texts()) == ["ask_abroad", "ask_bolts"]
    for hint in outrun.locator(".ipd-hint").all_inner_texts():
        assert hint.startswith("lost the race · ")
    faint = "all => all.map(one => getComputedStyle(one).opacity)"
    assert outrun.locator(".ipd-bars").evaluate_all(faint) == ["0.45", "0.45"]
    assert least_contrast(page, ".ipd-canvas") >= (4.5, "")
    assert sum(label.endswith(", lost the race") for label in labels(page)) == 2


def test_a_failed_run_says_why(page: Page, kernel: Kernel) -> None:
    """The failure stands in the header, its traceback opens below."""
    kernel.tell_until(failed(), 20)
    kernel.mount()
    assert "activity load (task 4) failed" in page.inner_text(".ipd-line-failed")
    page.click(".ipd-message summary")
    assert "return client.get(city)" in page.inner_text(".ipd-trace pre")


def test_an_idle_run_says_what_it_waits_for_and_cuts_the_idle_time(
    page: Page, kernel: Kernel
) -> None:
    """An hour of waiting takes a marked break, and the work keeps its room."""
    kernel.tell_until(waiting(), 4000)
    kernel.mount()
    said = page.inner_text(".ipd-line-waits-for").split("\n")[-1]
    assert re.fullmatch(r'the event "approve" since .*\d+:30:01.*', said)
    breaks = page.locator(".ipd-cut").all_text_contents()
    assert breaks[0] == "59 min 58 s"
    assert re.fullmatch(r"6 min \d+ s", breaks[1])
    assert page.locator(".ipd-bar.ipd-completed").first.bounding_box()["width"] > 100  # type: ignore[index]


def test_completed_rows_can_be_hidden(page: Page, kernel: Kernel) -> None:
    """What succeeded goes out of sight, and comes back."""
    kernel.tell_until(small(), 3.2)
    kernel.mount()
    assert len(labels(page)) == 7
    page.get_by_role("button", name="Hide completed").click()
    settle(page)
    assert all("completed" not in label for label in labels(page))
    page.get_by_role("button", name="Hide completed").click()
    settle(page)
    assert len(labels(page)) == 7


def test_what_users_wrote_is_text(page: Page, kernel: Kernel) -> None:
    """Markup in names, inputs, outputs and failures is shown, not run."""
    evil = '<img src=x onerror="window.hacked = true">'
    story = Story(evil, evil)
    failure = type(BOOM)(error_type=evil, message=evil, stack_trace=evil)
    story.activity(evil, 0, 0.1, 1, input=evil, failure=failure)
    story.end(1, RuntimeStatus.FAILED, failure=failure)
    kernel.tell_until(story, 2)
    kernel.mount()
    page.locator(ROWS).click()
    kernel.serve()
    settle(page)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.text_content(".ipd-name") == evil


def test_a_view_mounted_later_shows_the_same(page: Page, kernel: Kernel) -> None:
    """All state is in the traits: a second view, after many updates, equals the first."""
    kernel.tell_until(fan_out(60, 10), 0.1)
    kernel.mount()
    kernel.tell_until(fan_out(60, 10), 0.2, 0.6, 1, 1.4, 2, 3, 100)
    settle(page)
    first = labels(page), page.inner_text(".ipd-counts")
    page.evaluate("unmount()")
    assert page.locator(".ipd-timeline").count() == 0
    assert page.evaluate("model.handlers.length") == 0
    kernel.mount()
    assert (labels(page), page.inner_text(".ipd-counts")) == first


def test_a_new_generation_starts_over(page: Page, kernel: Kernel) -> None:
    """After continue-as-new the rows of the generation before are gone."""
    story = Story()
    story.activity("old", 0, 0.1, 1)
    story.end(2, RuntimeStatus.CONTINUED_AS_NEW)
    started = {"instance_id": "report-7f3a", "execution_id": "e2", "name": "report"}
    story.tell(ev.ExecutionStarted(timestamp=at(2), generation=1, **started))
    story.activity("new", 3, 3.1, 4)
    before, after = story.updates(1.5, 9)
    kernel.tell(before)
    kernel.mount()
    kernel.tell(after)
    settle(page)
    assert [label.split()[0] for label in labels(page)] == ["new"]
    assert page.inner_text(".ipd-pager") == "generation 2 of 2"


@pytest.mark.parametrize("page", [{"width": 400}, {"width": 1900}], indirect=True)
def test_narrow_and_wide_cells_fit(page: Page, kernel: Kernel) -> None:
    """Nothing sticks out to the right, and the header keeps its status and time in sight."""
    kernel.tell_until(fan_out(1000), 8)
    kernel.mount()
    page.click(".ipd-band")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.is_visible(".ipd-elapsed")


@pytest.mark.parametrize("page", [{"reduced_motion": "reduce"}], indirect=True)
def test_reduced_motion_is_honoured(page: Page, kernel: Kernel) -> None:
    """Running bars keep their stripes but do not move."""
    kernel.tell_until(small(), 3)
    kernel.mount()
    bar = page.locator(".ipd-bar.ipd-running").first
    assert bar.evaluate("bar => getComputedStyle(bar).animationName") == "none"


@pytest.mark.parametrize("dark", [False, True])
def test_state_colours_have_contrast_in_both_themes(page: Page, kernel: Kernel, dark: bool) -> None:
    """Each state's colour has at least 4.5:1 against the paper it is written on (WCAG AA)."""
    if dark:
        make_dark(page)
    kernel.tell_until(small(), 3)
    kernel.mount()
    colours = page.evaluate(
        """() => {
          const root = document.querySelector('.ipd-timeline'), probe = document.createElement('i');
          root.append(probe);
          const read = (name) => {
            probe.style.color = `var(--ipd-${name})`;
            return getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).map(Number);
          };
          return Object.fromEntries(['paper', 'running', 'completed', 'failed', 'waiting', 'queued']
            .map(name => [name, read(name)]));
        }"""
    )
    paper = colours.pop("paper")
    for name, colour in colours.items():
        assert _contrast(colour, paper) >= 4.5, name


def _contrast(one: list[int], other: list[int]) -> float:
    def luminance(colour: list[int]) -> float:
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_ten_thousand_tasks_open_within_a_second(page: Page, kernel: Kernel) -> None:
    """From mounting to painted, with few nodes in the page; opened and scrolled it stays fast."""
    kernel.tell_until(fan_out(10_000, 200), 1e5)
    took = page.evaluate(
        """() => { const begun = performance.now(); mount();
          return new Promise(r => requestAnimationFrame(() => r(performance.now() - begun))); }"""
    )
    assert took < 1000
    page.click(".ipd-band")
    settle(page)
    assert page.evaluate("document.querySelectorAll('.ipd-timeline *').length") < 1500


def test_ten_thousand_listed_rows_scroll_smoothly(page: Page, kernel: Kernel) -> None:
    """Only rows in sight are drawn: the median frame of a fast scroll takes less than 16 ms."""
    kernel.tell_until(fan_out(10_000, 40, fail=0.01), 1e5)
    kernel.mount()
    page.click(".ipd-band")
    settle(page)
    page.evaluate("document.querySelector('.ipd-body').scrollTop = 1e9")
    settle(page)
    page.click(".ipd-more")
    settle(page)
    drawn = page.evaluate(
        """async () => {
          const body = document.querySelector(".ipd-body"), found = [];
          const root = document.querySelector(".ipd-timeline");
          for (let step = 0; step < 60; step++) {
            body.scrollTop = step * 4000;
            await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
            found.push(Number(root.dataset.drawMs));
          }
          return [body.scrollHeight, found.sort((a, b) => a - b)[30]];
        }"""
    )
    assert drawn[0] > 10_000 * 26
    assert drawn[1] < 16


def test_a_thousand_changed_rows_are_painted_within_fifty_milliseconds(
    page: Page, kernel: Kernel
) -> None:
    """Taking in and drawing an update in which all of 1,000 rows changed fits a frame or three."""
    story = fan_out(1000, 1000)
    kernel.tell_until(story, 0.44)
    kernel.mount()
    for update in story.updates(0.46, 10):
        kernel.tell(update)
        settle(page)
        draw_ms = float(page.get_attribute(".ipd-timeline", "data-draw-ms") or "inf")
        assert draw_ms < 50


@pytest.mark.parametrize(
    "ms", [0, 0.4, 5, 850, 999, 1000, 12_340, 59_940, 59_960, 125_000, 3_599_700, 11_040_000, 9e9]
)
def test_durations_read_the_same_in_python_and_browser(page: Page, ms: float) -> None:
    """The static form and the live one use the same words."""
    said = page.evaluate(
        """async ms => {
          const { durationWords } = await import("/static/shared/words.js");
          return [durationWords(ms), durationWords(ms, true)];
        }""",
        ms,
    )
    assert said == [layout.duration_words(ms), layout.duration_words(ms, exact=True)]


@pytest.mark.parametrize(
    ("story", "moment"), [(fan_out(400, 20, fail=0.1), 5), (waiting(), 4000), (small(), 3)]
)
def test_the_layout_is_the_same_in_python_and_browser(
    page: Page, kernel: Kernel, story: Story, moment: float
) -> None:
    """Breaks, quantiles and densities agree between the two implementations."""
    kernel.tell_until(story, moment)
    rows, now = kernel.model.rows(), kernel.model.header().now
    found: dict[str, Any] = json.loads(
        page.evaluate(
            """async now => {
              const { RowLog, quantiles } = await import("/static/timeline/rows.js");
              const { Busy, TimeScale, density } = await import("/static/timeline/scale.js");
              const log = new RowLog();
              log.absorb(model, model.state.header.epoch);
              const cuts = new Busy(log.rows).gaps(now);
              const bins = density(log.rows, new TimeScale([], now, 100), 50, now);
              const [completed, failed] = [bins.completed, bins.failed]
                .map(layer => [...layer].slice(0, 50));
              return JSON.stringify({ cuts, quantiles: quantiles(log.rows), completed, failed });
            }""",
            now,
        )
    )
    scale = layout.TimeScale(rows, now)
    assert found["cuts"] == [[cut.t0, cut.t1] for cut in scale.breaks]
    assert found["quantiles"] == list(layout.quantiles(rows) or ())
    if not scale.breaks:
        bins = layout.density(rows, scale, 50, now)
        assert found["completed"] == pytest.approx([one.completed for one in bins], abs=1e-6)
        assert found["failed"] == pytest.approx([one.failed for one in bins], abs=1e-6)
