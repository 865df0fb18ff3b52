"""The ES module in a real browser, without Jupyter: a page, a fake anywidget model, its traits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comm
from comm.base_comm import BaseComm
from playwright.sync_api import Browser, Page, Playwright, Route

from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.widgets import Timeline
from ipydurable.widgets.bundle import module, style_sheet
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
<style>body { margin: 0; padding: 16px; background: var(--jp-layout-color1, #fff); }</style>
<div id="host"></div>
<script type="module">
import view from "/VIEW.js";
class Model {
  constructor() { this.state = {}; this.handlers = []; this.sent = []; }
  get widget_manager() { return { get_model: async (id) => window.models[id] }; }
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
window.models = {};
window.addModel = (id) => { window.models[id] ??= new Model(); };
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


class PageComm(BaseComm):
    """A comm whose messages wait until the page is given them, in the thread that drives it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
        """Keep a message."""
        self.messages.append(json.loads(json.dumps(data or {})))


class Kernel:
    """The kernel's side of a view: the widget itself, with a page instead of JupyterLab."""

    def __init__(self, page: Page, backstage: Any = None) -> None:
        self.page = page
        create, comm.create_comm = comm.create_comm, PageComm
        try:
            self.widget = Timeline(backstage=backstage)
        finally:
            comm.create_comm = create
        self.model = self.widget.model
        self._handled = 0

    def tell(self, update: InstanceUpdate) -> None:
        """Fold an update and give the page what the widget sends."""
        with self.widget.lock:
            self.model.apply(update)
        self.flush()

    def flush(self) -> None:
        """Give the page all that changed."""
        self.widget._send_now()
        self._flush_graph()
        messages, self.widget.comm.messages = self.widget.comm.messages, []
        for message in messages:
            if message.get("method") == "custom":
                self.page.evaluate(
                    "content => model.tell('msg:custom', content)", message["content"]
                )
            else:
                self._give({k: v for k, v in message["state"].items() if k[0] != "_"})

    def _flush_graph(self) -> None:
        """The same for the graph, a widget of its own, once it was asked for."""
        graph = getattr(self.widget, "graph_shown", None)  # Only a timeline has one.
        if graph is None:
            return
        name = str(graph.model_id)
        self.page.evaluate("addModel", name)
        for content in self.page.evaluate("name => models[name].sent.splice(0)", name):
            graph.on_question(content)
        graph._send_now()
        messages, graph.comm.messages = graph.comm.messages, []
        for message in messages:
            state = {k: v for k, v in message["state"].items() if k[0] != "_"}
            self.page.evaluate(
                "([name, state]) => models[name].apply(JSON.parse(state))",
                [name, json.dumps(state)],
            )

    def _give(self, state: dict[str, Any]) -> None:
        self.page.evaluate("state => model.apply(JSON.parse(state))", json.dumps(state))

    def tell_until(self, story: Story, *moments: float) -> None:
        """Tell a story up to the last of `moments` (seconds), an update for each."""
        for update in story.updates(*moments):
            self.tell(update)

    def serve(self) -> None:
        """Take what the page asked, as the widget does, and give it the answers."""
        sent = self.page.evaluate("model.sent")
        create, comm.create_comm = comm.create_comm, PageComm
        try:
            for content in sent[self._handled :]:
                if "do" in content:
                    self.widget._carry_out(content)
                else:
                    self.widget._handle_custom_msg(content, [])
        finally:
            comm.create_comm = create
        self._handled = len(sent)
        self.flush()
        self.settle()

    def asked(self, command: str) -> dict[str, Any]:
        """Return the last message that asked for a command."""
        found: dict[str, Any] = self.page.evaluate(
            "name => model.sent.filter(one => one.do === name).at(-1)", command
        )
        return found

    def reply(self, command: str, **answer: Any) -> None:
        """Answer the last command of that name with `value=...` or `error=...`."""
        content = {"answer": self.asked(command)["id"], **answer}
        self.page.evaluate("content => model.tell('msg:custom', content)", content)
        self.settle()

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
