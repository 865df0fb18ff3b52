"""Forms in a timeline, in a real browser: filled in, checked, sent, closed elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page

from ipydurable.runtime.core.errors import FormClosedError
from ipydurable.widgets import TimelineModel, static_html, text
from tests.widgets.form_stories import (
    CHOICE,
    HOSTILE,
    REVIEW,
    asking,
    asking_below,
    close,
    escalated,
    hostile,
    reviewed,
)
from tests.widgets.harness import Kernel, make_dark
from tests.widgets.scenarios import Backstage, Story, at


def shown(page: Page, story: Story, moment: float = 90, backstage: Any = None) -> Kernel:
    """Show a story as it is after `moment` seconds."""
    kernel = Kernel(page, backstage or Backstage())
    kernel.tell_until(story, moment)
    kernel.mount()
    return kernel


def _model(story: Story, moment: float) -> TimelineModel:
    model = TimelineModel()
    model.apply(next(story.updates(moment)))
    return model


def problems(page: Page) -> list[str]:
    """Return what is wrong, as it is shown."""
    return page.locator(".ipd-form-problem:visible").all_inner_texts()


class Answering(Backstage):
    """A backstage whose host says what is wrong with an answer."""

    def __init__(self, found: dict[str, str] | Exception) -> None:
        super().__init__()
        self.found = found

    def commands(self) -> dict[str, Any]:
        return {**super().commands(), "answer": self.answer}

    def answer(self, **arguments: Any) -> dict[str, str]:
        self.done.append(("answer", arguments))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_choice_is_a_click(page: Page) -> None:
    """The form says what it is about, since when, and how long it stays."""
    backstage = Answering({})
    kernel = shown(page, asking(), backstage=backstage)
    said = page.inner_text(".ipd-form")
    assert "A GPU for 1,800 dollars?" in said
    assert "The team wants to train" in said
    assert "waiting since" in said
    assert "expires in 8 min" in said
    page.click(".ipd-form >> text=approve")
    kernel.serve()
    assert backstage.done == [("answer", {"form_id": "e1:1", "values": "approve"})]
    assert page.locator(".ipd-form button").first.is_disabled()
    assert "Sent." in page.inner_text(".ipd-form")


def test_fields_are_sent_as_the_host_reads_them(page: Page) -> None:
    """Numbers as text, as a page's numbers are not exact; what is empty as nothing."""
    backstage = Answering({})
    kernel = shown(page, asking(REVIEW), backstage=backstage)
    page.check("text=revise")
    page.fill("input[type=number]", "4")
    page.select_option("select", label="physics")
    page.fill("textarea", "two\nlines")
    page.fill("input[type=date]", "2026-12-31")
    page.click("text=Send review")
    kernel.serve()
    values = backstage.done[0][1]["values"]
    assert values == {
        "verdict": "revise",
        "score": "4",
        "confident": True,
        "field": "physics",
        "remarks": "two\nlines",
        "due": "2026-12-31",
    }


def test_what_is_missing_or_wrong_is_said_at_its_field_before_anything_is_sent(
    page: Page,
) -> None:
    """The first such field gets the cursor; what was mended is not complained of any more."""
    kernel = shown(page, asking(REVIEW))
    page.fill("input[type=number]", "9")
    page.click("text=Send review")
    assert problems(page) == ["this is needed", "it must be at most 5", "this is needed"]
    assert page.evaluate("document.activeElement.type") == "radio"
    assert page.get_attribute("input[type=number]", "aria-invalid") == "true"
    assert "3 fields need a look" in page.inner_text(".ipd-form-said")
    page.fill("input[type=number]", "2.5")
    assert problems(page)[1] == "a whole number is wanted"
    page.fill("input[type=number]", "5")
    assert len(problems(page)) == 2
    page.check("text=accept")
    assert page.is_visible(".ipd-form-said")
    page.select_option("select", label="physics")
    assert page.is_hidden(".ipd-form-said")
    assert page.get_attribute("input[type=number]", "aria-invalid") == "false"
    assert kernel.page.evaluate("model.sent.filter(one => one.do).length") == 0


def test_what_the_host_refuses_is_said_at_its_field(page: Page) -> None:
    """What was filled in stays, to be mended and sent again."""
    kernel = shown(
        page, asking({"name": str}), backstage=Answering({"name": "it is taken", "": "no"})
    )
    page.fill(".ipd-form input", "x")
    page.keyboard.press("Enter")
    kernel.serve()
    assert problems(page) == ["it is taken"]
    assert page.inner_text(".ipd-form-said").strip() == "no"
    assert page.input_value(".ipd-form input") == "x"
    assert page.locator(".ipd-form input").is_enabled()


def test_who_comes_second_is_told(page: Page) -> None:
    """The host's words are shown as long as the form does not know better."""
    error = FormClosedError("gpu", "approval", "it was answered by a.ipynb")
    story = asking()
    kernel = shown(page, story, backstage=Answering(error))
    page.click(".ipd-form >> text=reject")
    kernel.serve()
    assert "it was answered by a.ipynb" in page.inner_text(".ipd-form-said")
    close(story, 95, "e1:1", "approve", by="a.ipynb")
    kernel.tell_until(story, 100)
    kernel.settle()
    assert page.is_hidden(".ipd-form-said")
    assert "answered by a.ipynb" in page.inner_text(".ipd-form")


def test_it_closes_where_somebody_else_answered(page: Page) -> None:
    """With what was answered; who was about to answer keeps the place on the page."""
    story = asking(REVIEW)
    kernel = shown(page, story)
    page.fill("textarea", "my half of a thought")
    close(story, 95, "e1:1", {"verdict": "accept", "score": 5}, by="other.ipynb")
    kernel.tell_until(story, 100)
    kernel.settle()
    said = page.inner_text(".ipd-form")
    assert "answered by other.ipynb" in said
    assert "accept" in said
    assert page.locator(".ipd-form :is(input, textarea, button)").count() == 0
    assert page.evaluate("document.activeElement.className") == "ipd-form"


def test_what_is_typed_outlives_news_and_a_reopening(page: Page) -> None:
    """A form that is reminded of is closed and opened again under whoever fills it in."""
    story = asking(REVIEW)
    kernel = shown(page, story)
    page.fill("textarea", "my half of a thought")
    story.activity("remind", 91, 91.1, 91.5)
    kernel.tell_until(story, 92)
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    close(story, 93, "e1:1", outcome="expired")
    kernel.tell_until(story, 94)
    kernel.settle()
    assert "expired" in page.inner_text(".ipd-form")
    story.tell(next(event for _, event in asking(REVIEW).events if hasattr(event, "form")))
    opened = story.events.pop()[1]
    story.events.append((95, opened))
    kernel = shown_again(kernel, story)
    assert page.input_value("textarea") == "my half of a thought"


def shown_again(kernel: Kernel, story: Story) -> Kernel:
    """Tell all of a story to the same page."""
    kernel.model.last_seq = 0
    kernel.tell_until(story, 100)
    kernel.settle()
    return kernel


def test_escalation_shows_what_expired_and_what_is_asked_now(page: Page) -> None:
    """What is open stands first."""
    kernel = shown(page, escalated(), 200)
    states = page.locator(".ipd-form").evaluate_all("all => all.map(one => one.dataset.state)")
    assert states == ["expired", "open"]
    tops = page.locator(".ipd-form").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().top)"
    )
    assert tops[1] < tops[0]
    kernel.tell_until(escalated(), 400)
    kernel.settle()
    assert "answered by desk.ipynb" in page.inner_text(".ipd-form[data-state=answered]")


def test_a_click_on_the_wait_leads_to_its_form(page: Page) -> None:
    """Instead of asking for JSON."""
    shown(page, asking())
    page.click(".ipd-row:has-text('approval')")
    assert page.evaluate("document.activeElement.textContent") == "approve"
    assert page.is_hidden(".ipd-ask")


def test_a_childs_form_is_shown_and_answered_at_its_parent(page: Page) -> None:
    """It says which child asks; the answer goes there."""
    backstage = Answering({})
    kernel = shown(page, asking_below(), backstage=backstage)
    assert "gpu · waiting since" in page.inner_text(".ipd-form-when")
    page.click(".ipd-form >> text=approve")
    kernel.serve()
    sent = {"form_id": "e1:1", "values": "approve", "instance_id": "gpu"}
    assert backstage.done == [("answer", sent)]
    kernel.tell_until(asking_below(), 94.5)
    kernel.settle()
    assert page.locator(".ipd-form").count() == 0
    assert "in gpu" in static_html(_model(asking_below(), 90))
    assert "in gpu" in text(_model(asking_below(), 90))


def test_nobody_answers_without_a_kernel(page: Page) -> None:
    """The form is still read, and says nothing that it cannot know."""
    kernel = shown(page, asking(REVIEW))
    page.evaluate("model.tell('comm_live_update')")
    kernel.settle()
    assert page.locator(".ipd-form textarea").is_disabled()


def test_an_answer_waits_for_the_next_host(page: Page) -> None:
    """The kernel asks until some host has said what came of it; the form says what it waits for."""
    backstage = Answering({})
    kernel = shown(page, asking(), backstage=backstage)
    kernel.widget.disconnect("The host has ended; another one is being started.")
    kernel.flush()
    kernel.settle()
    page.click(".ipd-form >> text=approve")
    page.wait_for_selector(".ipd-form-said:has-text('as soon as there is a host again')")
    kernel.widget.disconnect("")
    kernel.serve()
    assert backstage.done == [("answer", {"form_id": "e1:1", "values": "approve"})]
    assert page.inner_text(".ipd-form-said").strip() == "Sent."


def test_a_press_is_not_lost_to_what_appears_before_it_is_let_go(page: Page) -> None:
    """A notice would move the button away from under the pointer."""
    kernel = shown(page, asking())
    box = page.locator(".ipd-form >> text=approve").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    kernel.widget.disconnect("The host has ended; another one is being started.")
    kernel.flush()
    kernel.settle()
    page.mouse.up()
    assert kernel.asked("answer")["args"]["values"] == "approve"
    kernel.settle()
    assert page.is_visible(".ipd-notice")


def test_what_is_held_down_long_does_not_hold_up_the_view(page: Page) -> None:
    """The release may have been somewhere else, where no page hears of it."""
    kernel = shown(page, asking())
    page.locator(".ipd-form >> text=approve").dispatch_event("pointerdown")
    kernel.widget.disconnect("The host has ended; another one is being started.")
    kernel.flush()
    page.wait_for_selector(".ipd-notice", timeout=5000)


def test_an_answer_that_the_kernel_did_not_confirm_is_not_said_to_be_sent(page: Page) -> None:
    """Whoever answered learns that nobody knows."""
    kernel = shown(page, asking())
    page.click(".ipd-form >> text=approve")
    page.evaluate("model.tell('comm_live_update')")
    kernel.settle()
    said = page.inner_text(".ipd-form-said")
    assert "ended before it said whether this was taken" in said
    assert page.locator(".ipd-form button").first.is_disabled()


def test_all_of_it_can_be_done_with_the_keyboard(page: Page) -> None:
    """Tab reaches every field in order; keys do not reach the notebook around it."""
    backstage = Answering({})
    kernel = shown(page, asking(REVIEW), backstage=backstage)
    page.evaluate("document.addEventListener('keydown', () => (window.leaked = true))")
    page.locator(".ipd-form input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("3")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("p")
    page.keyboard.press("Tab")
    page.keyboard.type("fine")
    page.locator("text=Send review").focus()
    page.keyboard.press("Enter")
    kernel.serve()
    values = backstage.done[0][1]["values"]
    assert (values["verdict"], values["score"], values["remarks"]) == ("accept", "3", "fine")
    assert values["field"] == "physics"
    assert page.evaluate("window.leaked") is None


def test_every_field_has_a_name_for_who_does_not_see(page: Page) -> None:
    """As the browser's accessibility tree tells it."""
    shown(page, asking(REVIEW))
    for role, name in [
        ("article", "Review of paper 7"),
        ("radiogroup", "Verdict"),
        ("spinbutton", "Score"),
        ("radiogroup", "Confident"),
        ("combobox", "Subject"),
        ("textbox", "To the authors"),
        ("button", "Send review"),
    ]:
        assert page.get_by_role(role, name=name).count() == 1, (role, name)  # type: ignore[arg-type]
    described = page.locator("input[type=number]").get_attribute("aria-describedby") or ""
    assert page.inner_text(f"[id='{described.split()[0]}']") == "5 is best · 1 to 5"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_is_written_can_be_read(page: Page, dark: bool) -> None:
    """At least 4.5:1 for text and 3:1 for the edges of fields, against what is behind them."""
    if dark:
        make_dark(page)
    shown(page, asking(REVIEW))
    page.click("text=Send review")
    low = page.evaluate(CONTRASTS)
    assert low == []


CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixels = (...layers) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const layer of layers) { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) {
      layers.unshift(getComputedStyle(one).backgroundColor);
    }
    return ["#fff", ...layers];
  };
  const found = [];
  for (const node of document.querySelectorAll(".ipd-form *")) {
    if (!node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const text = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (text && ratio(pixels(...behind(node), style.color), pixels(...behind(node))) < 4.5) {
      found.push(["text", node.className, node.textContent]);
    }
    if (node.matches(".ipd-input")) {
      const around = behind(node.parentElement);
      if (ratio(pixels(...around, style.borderTopColor), pixels(...around)) < 3) {
        found.push(["edge", node.className, style.borderTopColor]);
      }
    }
  }
  return found;
}"""


@pytest.mark.parametrize("page", [{"width": 340}], indirect=True)
def test_a_narrow_cell_has_all_of_it(page: Page) -> None:
    """Nothing sticks out."""
    shown(page, asking(REVIEW))
    box = page.locator(".ipd-forms").bounding_box()
    assert box
    for one in page.locator(".ipd-form *:visible").all():
        inner = one.bounding_box()
        assert inner is None or inner["x"] + inner["width"] <= box["x"] + box["width"] + 1


def test_words_of_users_stay_words(page: Page) -> None:
    """In a live form, in an answer, and in the form that needs no kernel."""
    shown(page, hostile())
    assert page.locator(".ipd-form img, .ipd-form script").count() == 0
    assert HOSTILE in page.locator(".ipd-form").first.inner_text()
    model = TimelineModel()
    model.apply(next(hostile().updates(90)))
    page.evaluate("html => { document.body.innerHTML = html; }", static_html(model))
    assert page.locator("img, script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_without_a_kernel_it_says_what_was_asked_and_answered() -> None:
    """As HTML and as text."""
    model = TimelineModel()
    model.apply(next(reviewed().updates(90)))
    html = static_html(model)
    for words in ("Review of paper 7", "answered by reviews.ipynb", "physics", "2026-"):
        assert words in html
    assert "Review of paper 7: answered Verdict: revise, Score: 4" in text(model, 300)
    model = TimelineModel()
    model.apply(next(asking(CHOICE).updates(90)))
    assert "approve | reject" in static_html(model)
    assert "A GPU for 1,800 dollars?: asked since" in text(model)


def test_the_last_of_many_forms_are_shown_and_the_others_on_demand(page: Page) -> None:
    """An instance that asks every day does not fill the page."""
    story = asking({"n": int}, None)
    for number in range(1, 9):
        close(story, number + 1, f"e1:{number}", {"n": number})
        opened = next(event for _, event in story.events if hasattr(event, "form"))
        again = msgspec.structs.replace(
            opened, form_id=f"e1:{number + 1}", timestamp=at(number + 1.5)
        )
        story.tell(again)
    kernel = shown(page, story)
    assert page.locator(".ipd-form:visible").count() == 4
    page.click("text=5 earlier")
    kernel.settle()
    assert page.locator(".ipd-form:visible").count() == 9
