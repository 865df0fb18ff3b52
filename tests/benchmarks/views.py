"""Looking on: how soon a commit is painted, and what it costs the host that somebody looks."""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC

from playwright.sync_api import Page, sync_playwright

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.ports import InstanceUpdate
from tests.widgets.harness import Kernel, browser_page, launch

from .bench import WAIT_S, Bench, Figure, check
from .followers import followed
from .sizes import Sizes

__all__ = ["views"]

_TICK_S = 0.2
# The frame in which the change is drawn, and the moment after it was painted.
_PAINTED = """() => new Promise(resolve => requestAnimationFrame(
  () => setTimeout(() => resolve(Date.now()))))"""


def views(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Commit to paint at five changes a second, and what ten followers cost the host."""
    yield from _painting(bench, sizes)
    yield from followed(bench, sizes)


def _painting(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """A timeline of many rows in a browser, which takes in each change as it is told."""
    news: queue.Queue[InstanceUpdate] = queue.Queue()
    order = [sizes.live_rows, sizes.ticks, "hello_threads"]
    instance_id = bench.client.start("ticks", order)
    with _page() as page:
        kernel = Kernel(page)
        end = bench.client.subscribe(instance_id, news.put)
        while len(kernel.model.rows()) < sizes.live_rows:
            kernel.tell(news.get(timeout=WAIT_S))
        page.evaluate("mount()")
        page.evaluate(_PAINTED)
        lags, costs = [], []
        for number in range(sizes.ticks):
            while not news.empty():
                kernel.tell(news.get_nowait())
            bench.client.raise_event(instance_id, "tick", number)
            committed_ms, cost_ms = _show(kernel, news)
            painted_ms = page.evaluate(_PAINTED)
            lags.append(painted_ms - committed_ms)
            costs.append(cost_ms)
            time.sleep(_TICK_S)
        end()
    check("ticks", bench.outcome(instance_id), sum(range(sizes.ticks)))
    lags.sort()
    p50, p95 = statistics.median(lags), lags[len(lags) * 95 // 100]
    case = f"{sizes.live_rows:,} live rows, at 5 Hz"
    yield Figure("W12 commit to paint", f"p50, {case}", p50, "ms", 50)
    yield Figure("W12 commit to paint", f"p95, {case}", p95, "ms")
    yield Figure("W12 kernel, an update", case, statistics.median(costs), "ms", 5)


def _show(kernel: Kernel, news: queue.Queue[InstanceUpdate]) -> tuple[float, float]:
    """Take in what was told up to the next tick, and give it to the page.

    Returns:
        When the host wrote the tick down, in milliseconds since 1970, and how long the kernel
        worked on it.
    """
    while True:
        update = news.get(timeout=WAIT_S)
        began = time.thread_time()
        with kernel.widget.lock:
            kernel.model.apply(update)
            kernel.widget._send_now()
        cost_ms = (time.thread_time() - began) * 1000
        kernel.flush()
        told = [event for _, event in update.events if isinstance(event, ev.EventRaised)]
        if told:
            return told[-1].timestamp.replace(tzinfo=UTC).timestamp() * 1000, cost_ms


@contextmanager
def _page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with browser_page(browser, "timeline") as page:
            yield page
        browser.close()
