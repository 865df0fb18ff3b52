"""The graph's ES module in a browser page: the kernel's side of it, without a kernel."""

from __future__ import annotations

import json
from typing import Any

import comm
import msgspec
from playwright.sync_api import Page

from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.widgets.graph import Graph
from tests.widgets.harness import PageComm
from tests.widgets.scenarios import Backstage, Story

__all__ = ["GraphKernel"]


class GraphKernel:
    """Feeds a real `Graph` widget and hands what it would sync to the page."""

    def __init__(
        self, page: Page, children: dict[str, Story] | None = None, backstage: Any = None
    ) -> None:
        self.page = page
        self._sent: dict[str, str] = {}
        create, comm.create_comm = comm.create_comm, PageComm
        try:
            self.widget = Graph(backstage=backstage or Backstage(children))
        finally:
            comm.create_comm = create
        self._read = 0
        self.sizes: list[int] = []

    def tell(self, update: InstanceUpdate) -> None:
        """Fold an update and give the page what changed."""
        self.widget.model.apply(update)
        self.widget.send_changes()
        self.sync()

    def tell_until(self, story: Story, *moments: float) -> None:
        """Tell a story up to the last of `moments` (seconds), an update for each."""
        for update in story.updates(*moments):
            self.tell(update)

    def sync(self) -> None:
        """Hand over the traits that changed since the last time."""
        names = ["head", "links", "detail", "forms", "commands", *(f"boxes_{n}" for n in range(16))]
        now = {name: json.dumps(msgspec.to_builtins(getattr(self.widget, name))) for name in names}
        changed = {name: text for name, text in now.items() if self._sent.get(name) != text}
        self._sent = now
        self.sizes.append(sum(map(len, changed.values())))
        state = "{" + ",".join(f'"{name}":{text}' for name, text in changed.items()) + "}"
        self.page.evaluate("state => model.apply(JSON.parse(state))", state)

    def answer(self) -> None:
        """Answer all that the page has asked since the last time, as the widget does."""
        asked = self.page.evaluate("model.sent")
        for content in asked[self._read :]:
            if "do" in content:
                self.widget._carry_out(content)
            else:
                self.widget.on_question(content)
        self._read = len(asked)
        self.widget.send_changes()
        self.sync()
        for message in self.widget.comm.messages:
            if message.get("method") == "custom":
                self.page.evaluate(
                    "content => model.tell('msg:custom', content)", message["content"]
                )
        self.widget.comm.messages.clear()
        self.settle()

    def mount(self) -> None:
        """Show the view, at the moment the kernel told last."""
        self.page.evaluate(
            "() => { const h = model.state.head, real = Date.now.bind(Date);"
            " const ahead = h.start + h.now - real(); Date.now = () => real() + ahead; mount(); }"
        )
        self.settle()

    def settle(self) -> None:
        """Wait until the page has drawn."""
        self.page.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )
