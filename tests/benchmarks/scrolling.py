"""Looking through much: the frames of a browser that scrolls a timeline, and moves a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.widgets.graph_page import GraphKernel
from tests.widgets.graph_stories import sequence
from tests.widgets.harness import Kernel, browser_page, launch
from tests.widgets.scenarios import fan_out

from .bench import Bench, Figure, check
from .sizes import Sizes

__all__ = ["scrolling"]

_FRAMES = 240
_BETWEEN_MS = 1000 / 60
# Moves a little in each frame, and notes how long each of them was.
_FRAME_TIMES = """async ([move, frames]) => {
  const step = new Function("n", move), found = [];
  let before = await new Promise(requestAnimationFrame);
  for (let n = 0; n < frames; n++) {
    step(n);
    const now = await new Promise(requestAnimationFrame);
    found.push(now - before);
    before = now;
  }
  return found.sort((a, b) => a - b);
}"""
_SCROLL = "document.querySelector('.ipd-body').scrollTop = 90 * n"
_SENT = "[...Array(16).keys()].flatMap((n) => JSON.parse(model.state[`boxes_${n}`])).length"
_DRAG = """const stage = document.querySelector('.ipd-stage');
  const at = {pointerId: 1, bubbles: true, clientX: 500, clientY: 400 - 3 * n};
  if (!n) stage.setPointerCapture = () => {};
  if (!n) stage.dispatchEvent(new PointerEvent('pointerdown', at));
  stage.dispatchEvent(new PointerEvent('pointermove', at));"""


class Frames(NamedTuple):
    """What was measured: milliseconds of each frame, and the page's own work for one."""

    times: list[float]
    worked_ms: float


def scrolling(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Frames while 10,000 tasks are scrolled through, half of them done and the run going on."""
    del bench
    tasks = 2 * sizes.live_rows * 5
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with browser_page(browser, "timeline") as page:
            yield from _figures(f"timeline of {tasks:,} rows", _timeline(page, tasks))
        with browser_page(browser, "graph") as page:
            yield from _figures(f"graph of {tasks:,} tasks, opened", _tasks(page, tasks))
        with browser_page(browser, "graph") as page:
            steps = tasks * 2 // 5
            yield from _figures(f"graph of {steps:,} steps, all of it", _steps(page, steps))
        browser.close()


def _timeline(page: Page, tasks: int) -> Frames:
    kernel = Kernel(page)
    kernel.tell_until(fan_out(tasks, 40), max(2.0, tasks / 333))
    kernel.mount()
    page.click(".ipd-band")
    kernel.settle()
    page.evaluate("document.querySelector('.ipd-body').scrollTop = 1e9")
    kernel.settle()
    if tasks > 200:
        page.click(".ipd-more")
        kernel.settle()
    height = page.evaluate("document.querySelector('.ipd-body').scrollHeight")
    check("all rows are listed", height > 26 * tasks, True)
    return _frames(page, _SCROLL)


def _tasks(page: Page, tasks: int) -> Frames:
    kernel = GraphKernel(page)
    kernel.tell_until(fan_out(tasks, 40), max(2.0, tasks / 333))
    kernel.mount()
    page.locator(".ipd-box", has_text="fetch").first.click()
    kernel.answer()
    cells = page.locator(".ipd-box-cell").count()
    check("tasks are drawn", cells >= min(tasks, 190), True)
    return _frames(page, _DRAG)


def _steps(page: Page, steps: int) -> Frames:
    kernel = GraphKernel(page)
    kernel.tell_until(sequence(steps, "load", "clean", "save"), 1e5)
    kernel.mount()
    kernel.widget.on_question({"everything": True})
    kernel.answer()
    sent = page.evaluate(_SENT)
    check("steps are known", sent >= steps, True)
    return _frames(page, _DRAG)


def _frames(page: Page, move: str) -> Frames:
    """Move, and measure each frame, and how long the page's thread worked for all of them."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _worked_s(session)
    times: list[float] = page.evaluate(_FRAME_TIMES, [move, _FRAMES])
    return Frames(times, (_worked_s(session) - before) * 1000 / _FRAMES)


def _worked_s(session: CDPSession) -> float:
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def _figures(case: str, frames: Frames) -> Iterator[Figure]:
    times = frames.times
    dropped = sum(max(0, round(one / _BETWEEN_MS) - 1) for one in times)
    yield Figure("W15 frame", f"p50, {case}", times[len(times) // 2], "ms")
    yield Figure("W15 frame", f"p95, {case}", times[len(times) * 95 // 100], "ms", 33)
    yield Figure("W15 frame", f"longest, {case}", times[-1], "ms")
    yield Figure("W15 page's thread", f"mean of a frame, {case}", frames.worked_ms, "ms", 16)
    yield Figure("W15 dropped", f"of {len(times) + dropped}, {case}", dropped, "frames")
