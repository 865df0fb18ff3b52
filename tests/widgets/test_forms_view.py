"""Forms by themselves, of several instances: what `ipydurable.forms()` shows."""

from __future__ import annotations

import copy
import json
from typing import Any

import comm
import pytest
from playwright.sync_api import Page

from ipydurable.widgets.forms import FormsModel, FormsView
from tests.widgets.form_stories import REVIEW, asking, close
from tests.widgets.harness import PageComm
from tests.widgets.scenarios import Story

VIEW = pytest.mark.parametrize("page", [{"view": "forms"}], indirect=True)


class Shown:
    """The kernel's side, with a page instead of JupyterLab."""

    def __init__(self, page: Page, *stories: Story) -> None:
        self.page = page
        self.done: list[dict[str, Any]] = []
        create, comm.create_comm = comm.create_comm, PageComm
        try:
            model = FormsModel([story.instance_id for story in stories])
            self.widget = FormsView(model, {"answer": lambda **asked: self.done.append(asked)})
        finally:
            comm.create_comm = create
        for story in stories:
            self.tell(story, 90)
        page.evaluate("mount()")
        self.settle()

    def tell(self, story: Story, moment: float) -> None:
        """Tell a story up to a moment."""
        for update in story.updates(moment):
            with self.widget.lock:
                self.widget.model.apply(copy.copy(update))
        self.flush()

    def flush(self) -> None:
        """Give the page all that changed."""
        self.widget._send_now()
        messages, self.widget.comm.messages = self.widget.comm.messages, []
        for message in messages:
            if message.get("method") == "custom":
                self.page.evaluate("one => model.tell('msg:custom', one)", message["content"])
            else:
                state = {k: v for k, v in message["state"].items() if k[0] != "_"}
                self.page.evaluate("one => model.apply(JSON.parse(one))", json.dumps(state))
        self.settle()

    def serve(self) -> None:
        """Carry out what the page asked for last."""
        self.widget._carry_out(self.page.evaluate("model.sent.at(-1)"))
        self.flush()

    def settle(self) -> None:
        """Wait until the page has drawn."""
        self.page.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )


def two() -> tuple[Story, Story]:
    """Two instances that ask."""
    other = asking(REVIEW, None)
    other.instance_id = "paper"
    return asking(), other


@VIEW
def test_each_form_says_who_asks_and_is_answered_there(page: Page) -> None:
    """The form of one instance closes; the other stays as it is."""
    first, second = two()
    shown = Shown(page, first, second)
    heads = page.locator(".ipd-form-when").all_inner_texts()
    assert [one.split(" · ")[0] for one in heads] == ["gpu", "paper"]
    page.click("text=approve")
    shown.serve()
    assert shown.done == [{"form_id": "e1:1", "values": "approve", "instance_id": "gpu"}]
    close(first, 95, "e1:1", "approve", by="people.ipynb")
    shown.tell(first, 100)
    states = page.locator(".ipd-form").evaluate_all("all => all.map(one => one.dataset.state)")
    assert states == ["answered", "open"]


@VIEW
def test_where_nothing_is_asked_it_says_so_until_something_is(page: Page) -> None:
    """It stays, and shows what is asked later."""
    story = asking()
    shown = Shown(page, Story("purchase", "gpu"))
    assert page.inner_text(".ipd-forms-view").strip() == "No form is open."
    shown.tell(story, 100)
    assert "A GPU for 1,800 dollars?" in page.inner_text(".ipd-forms-view")
    assert page.is_hidden("text=No form is open.")
    story.end(110)
    shown.tell(story, 120)
    assert "not answered before the instance ended" in page.inner_text(".ipd-forms-view")
    assert shown.widget.finished
