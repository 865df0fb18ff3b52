"""Stories of instances that ask people, for the tests and the pictures."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.forms import Field, Form, asked_form
from ipydurable.runtime.core.serialization import encode_json
from ipydurable.runtime.ports import OpenForm
from tests.widgets.scenarios import Story, at

CHOICE = Form(
    ["approve", "reject"],
    title="A GPU for 1,800 dollars?",
    text="The team wants to train the next model here instead of renting one.",
)
REVIEW = Form(
    {
        "verdict": Field(Literal["accept", "revise", "reject"]),
        "score": Field(int, minimum=1, maximum=5, help="5 is best"),
        "confident": True,
        "field": Field(["physics", "biology", "chemistry", "economics", "other"], label="Subject"),
        "remarks": Field(str, "", long=True, label="To the authors"),
        "due": date | None,
    },
    title="Review of paper 7",
    submit="Send review",
)
HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


def ask(
    story: Story,
    seconds: float,
    form: Any,
    *,
    name: str = "approval",
    number: int = 1,
    until: float | None = None,
) -> str:
    """Tell that a form was opened; returns its id."""
    form_id = f"e1:{number}"
    story.tell(
        ev.EventFormOpened(
            timestamp=at(seconds),
            name=name,
            form_id=form_id,
            form=asked_form(form),
            since=at(seconds),
            until=None if until is None else at(until),
        )
    )
    return form_id


def close(
    story: Story,
    seconds: float,
    form_id: str,
    value: Any = None,
    *,
    name: str = "approval",
    by: str = "",
    outcome: Literal["answered", "expired", "withdrawn"] = "answered",
) -> None:
    """Tell that it was closed; answered with a value, if it was."""
    if outcome == "answered":
        data = encode_json(value, "answer", lambda _: "null")
        raised = ev.EventRaised(
            timestamp=at(seconds), name=name, input=data, form_id=form_id, by=by
        )
        story.tell(raised)
    story.tell(
        ev.EventFormClosed(timestamp=at(seconds), name=name, form_id=form_id, outcome=outcome)
    )


def asking(form: Any = CHOICE, until: float | None = 600) -> Story:
    """A purchase that was prepared, and waits for somebody to say yes."""
    story = Story("purchase", "gpu")
    story.activity("ask", 0.02, 0.1, 0.9, input='"manager"')
    ask(story, 1, form, until=until)
    story.awaited.append((1, float("inf"), "approval"))
    return story


def asking_below() -> Story:
    """An order whose purchase, a sub-orchestration, waits for somebody to say yes."""
    story = Story("order", "order-7")
    story.activity("plan", 0.02, 0.1, 0.9)
    story.child("purchase", 1, 95, "gpu")
    form = OpenForm(
        instance_id="gpu",
        orchestrator="purchase",
        name="approval",
        form_id="e1:1",
        form=asked_form(CHOICE),
        since=at(2),
        until=at(600),
    )
    story.child_forms.append((2, 94, form))
    return story


def escalated() -> Story:
    """The manager did not answer in time; the director did."""
    story = Story("purchase", "server")
    story.activity("ask", 0.02, 0.1, 0.9, input='"manager"')
    first = ask(story, 1, CHOICE, until=61)
    story.awaited.append((1, 61, "approval"))
    close(story, 61, first, outcome="expired")
    story.activity("ask", 61, 61.1, 61.9, input='"director"')
    second = ask(story, 62, CHOICE, number=2)
    story.awaited.append((62, 300, "approval"))
    close(story, 300, second, "approve", by="desk.ipynb")
    story.end(300.1, result='"approve"')
    return story


def reviewed() -> Story:
    """A review that was sent."""
    story = asking(REVIEW, None)
    value = {"verdict": "revise", "score": 4, "confident": True, "field": "physics"}
    value |= {"remarks": "Please show the error bars.\nAnd cite the data.", "due": None}
    story.awaited[-1] = (1, 50, "approval")
    close(story, 50, "e1:1", value, by="reviews.ipynb")
    return story


def hostile() -> Story:
    """Somebody whose words look like markup asks, and answers."""
    form = Form({HOSTILE: Field(str, label=HOSTILE, help=HOSTILE)}, HOSTILE, HOSTILE, HOSTILE)
    story = asking(form)
    ask(story, 2, Form([HOSTILE, "no"], HOSTILE), number=2)
    ask(story, 3, {"a": str}, number=3)
    close(story, 4, "e1:3", {"a": HOSTILE}, by=HOSTILE)
    return story
