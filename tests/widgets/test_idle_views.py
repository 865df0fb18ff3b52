"""Views that nothing happens in: no traffic, and no more drawing than words change."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.widgets.graph_page import GraphKernel
from tests.widgets.harness import Kernel
from tests.widgets.scenarios import Backstage, Story, small, waiting

# How often the view draws, and how much it changes, in three seconds.
WATCHED = """async () => {
  let frames = 0, changes = 0;
  const real = window.requestAnimationFrame;
  window.requestAnimationFrame = (draw) => { frames += 1; return real(draw); };
  const watch = new MutationObserver((found) => (changes += found.length));
  watch.observe(document.body, { subtree: true, childList: true, attributes: true,
    characterData: true });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  window.requestAnimationFrame = real;
  watch.disconnect();
  return [frames, changes, model.sent.length];
}"""


def _shown(page: Page, story: Story, moment: float) -> Kernel:
    kernel = Kernel(page, Backstage())
    kernel.tell_until(story, moment)
    kernel.mount()
    page.wait_for_timeout(50)
    return kernel


def test_a_wait_of_hours_is_not_drawn_every_second(page: Page) -> None:
    """Its words change once a minute, so that is when it is drawn."""
    _shown(page, waiting(), 4 * 3600)
    frames, changes, sent = page.evaluate(WATCHED)
    assert frames <= 1
    assert changes <= 40
    assert sent == 0


def test_a_wait_of_minutes_is_drawn_once_a_second_and_little_of_it(page: Page) -> None:
    """The clock goes on; nothing is asked of the kernel."""
    kernel = _shown(page, waiting(), 600)
    frames, changes, sent = page.evaluate(WATCHED)
    assert 2 <= frames <= 4
    assert changes / frames < 40
    assert sent == 0
    assert kernel.widget.comm.messages == []
    assert float(page.locator(".ipd-timeline").get_attribute("data-draw-ms") or 0) < 16


@pytest.mark.parametrize("moment", [600.0, 3.0])
def test_what_nobody_sees_is_not_drawn(page: Page, moment: float) -> None:
    """A view that was scrolled out of sight, waiting or busy."""
    _shown(page, waiting() if moment > 100 else small(), moment)
    page.evaluate("document.getElementById('host').style.marginTop = '5000px'")
    # What was due already finds that nobody looks.
    page.wait_for_timeout(1300)
    assert page.evaluate(WATCHED) == [0, 0, 0]


def test_what_has_ended_is_not_drawn(page: Page) -> None:
    """It will not change any more."""
    _shown(page, small(), 20)
    assert page.evaluate(WATCHED) == [0, 0, 0]


@pytest.mark.parametrize("page", [{"view": "graph"}], indirect=True)
def test_a_graph_that_waits_is_drawn_as_its_words_change(page: Page) -> None:
    """Once a second for minutes, once a minute for hours, and then its clock alone."""
    kernel = GraphKernel(page)
    kernel.tell_until(waiting(), 600)
    kernel.mount()
    frames, changes, sent = page.evaluate(WATCHED)
    assert 2 <= frames <= 4
    assert changes / frames < 10
    assert sent == 0
