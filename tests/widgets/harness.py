"""The ES module in a real browser, without Jupyter: a page, a fake anywidget model, its traits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, Page, Playwright, Route

from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.widgets import TimelineModel
from ipydurable.widgets.bundle import module, style_sheet
from ipydurable.widgets.timeline import RowLog
from tests.e2e.browser import REMEDY, find_browser
from tests.widgets.scenarios import Story

STATIC = Path(__file__).parents[2] / "widgets" / "static"
ORIGIN = "http://widgets.test"
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DARK = {
    "--jp-ui-font-color1": "rgba(255,255,255,1)",
    "--jp-ui-font-color2": "rgba(255,255,255,.7)",
    "--jp-border-color2": "#616161",
    "--jp-layout-color1": "#111111",
    "--jp-brand-color1": "#2196f3",
}
# Stories happen on a day of their own; the page must believe that it is that day.
SET_CLOCK = """() => {
  const header = model.state.header, real = window.realNow ??= Date.now.bind(Date);
  const ahead = header.start + header.now - real();
  Date.now = () => real() + ahead;
}"""
PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/VIEW.css">
<style>body { margin: 16px; background: var(--jp-layout-color1, #fff); }</style>
<div id="host"></div>
<script type="module">
import view from "/VIEW.js";
class Model {
  constructor() { this.state = {}; this.handlers = []; this.sent = []; }
  get(name) { return this.state[name]; }
  on(name, handler) { this.handlers.push([name, handler]); }
  off(name, handler) {
    this.handlers = this.handlers.filter(([n, h]) => n !== name || h !== handler);
  }
  send(content) { this.sent.push(content); }
  tell(event, ...args) {
    for (const [name, handler] of [...this.handlers]) if (name === event) handler(...args);
  }
  apply(state) {
    Object.assign(this.state, state);
    for (const [name, handler] of [...this.handlers]) {
      if (name.slice("change:".length) in state) handler();
    }
  }
}
window.model = new Model();
window.mount = () => {
  window.unmount = view.render({ model, el: document.getElementById("host") });
};
window.ready = true;
</script>"""


def launch(playwright: Playwright) -> Browser:
    """Start the browser of these tests."""
    found = find_browser()
    assert found is not None, REMEDY
    return playwright.chromium.launch(executable_path=str(found), args=ARGS)


@contextmanager
def browser_page(
    browser: Browser, view: str = "timeline", width: int = 1000, height: int = 720, **context: Any
) -> Iterator[Page]:
    """Yield a page that has loaded a view as anywidget does; fails at the end if it had an error.

    The modules it is made of are there too: `await import("/static/shared/words.js")`.
    """
    errors: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": height}, **context)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route(f"{ORIGIN}/**", lambda route: _serve(route, view))
    page.goto(ORIGIN)
    page.wait_for_function("window.ready")
    try:
        yield page
    finally:
        page.close()
    assert not errors, errors


def _serve(route: Route, view: str) -> None:
    name = route.request.url.removeprefix(ORIGIN).strip("/")
    if name == f"{view}.js":
        route.fulfill(body=module(view), content_type="text/javascript")
    elif name == f"{view}.css":
        route.fulfill(body=style_sheet(view), content_type="text/css")
    elif name.startswith("static/") and (STATIC.parent / name).is_file():
        text = (STATIC.parent / name).read_text("utf-8")
        route.fulfill(body=text, content_type="text/javascript")
    elif not name:
        route.fulfill(body=PAGE.replace("VIEW", view), content_type="text/html")
    else:
        route.fulfill(status=404)


class Kernel:
    """The kernel's side of a view: folds updates and hands the traits to the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.model = TimelineModel()
        self.failures: list[Any] = []
        self._log = RowLog()
        self._epoch = self.model.epoch

    def tell(self, update: InstanceUpdate) -> None:
        """Fold an update and give the page what the widget would send."""
        self.model.apply(update)
        state: dict[str, Any] = {}
        if self._epoch != self.model.epoch:
            self._epoch, self._log = self.model.epoch, RowLog()
            state.update({f"page_{n}": "" for n in range(64)})
        pages = self._log.append(self.model.take_changes())
        state.update({f"page_{number}": text for number, text in pages.items()})
        state["failures"] = self.failures
        state["header"] = msgspec.to_builtins(self.model.header())
        self.page.evaluate("state => model.apply(JSON.parse(state))", json.dumps(state))

    def tell_until(self, story: Story, *moments: float) -> None:
        """Tell a story up to the last of `moments` (seconds), an update for each."""
        for update in story.updates(*moments):
            self.tell(update)

    def answer(self) -> None:
        """Answer the last question for a row, as the widget would."""
        index = self.page.evaluate("model.sent.at(-1).detail")
        detail = None if index is None else msgspec.to_builtins(self.model.detail(index))
        self.page.evaluate("detail => model.apply({detail})", detail or {})

    def mount(self) -> None:
        """Show the view, at the moment the kernel told last."""
        self.page.evaluate(SET_CLOCK)
        self.page.evaluate("mount()")
        self.settle()

    def settle(self) -> None:
        """Wait until the page has drawn."""
        self.page.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )


def make_dark(page: Page) -> None:
    """Make the page look like JupyterLab's dark theme."""
    page.evaluate(
        """vars => {
          document.body.dataset.jpThemeLight = "false";
          for (const name in vars) document.body.style.setProperty(name, vars[name]);
        }""",
        DARK,
    )
