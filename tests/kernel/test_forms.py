"""Forms from cells: asked with classes of the notebook, listed, shown, answered in code."""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ipydurable import Field, Form, Runtime, orchestrator
from ipydurable.backstage import Backstage
from ipydurable.forms_output import FormsOutput
from ipydurable.runtime.core.errors import FormAnswerError, FormClosedError, UnknownInstanceError
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.testing import replay
from ipydurable.timeline_output import take_snapshot
from ipydurable.widgets import static_html
from tests.kernel.shells import Kernel, Shell


class Level(enum.Enum):
    """How urgent it is."""

    STANDARD = "as usual"
    URGENT = "today"


@dataclass
class Decision:
    """What a manager decides."""

    approved: bool
    level: Level = Level.STANDARD
    until: date | None = None


@orchestrator
async def deciding(ctx):
    """Wait for a decision, and say what type it was."""
    made = await ctx.wait_for_external_event("decision", form=Form(Decision, title="Buy it?"))
    return [type(made) is Decision, made.approved, made.level is Level.URGENT, made.until]


@orchestrator
async def asking(ctx):
    """Ask two things at once."""
    first = ctx.wait_for_external_event("first", form=["yes", "no"])
    second = ctx.wait_for_external_event(
        "second", form={"how many": Field(int, minimum=1, help="in boxes"), "note": ""}
    )
    return await ctx.when_all([first, second])


@orchestrator
async def brief(ctx):
    """Ask, but not for long."""
    try:
        return await ctx.wait_for_external_event("first", form=bool, timeout=timedelta(0))
    except TimeoutError:
        return "nobody"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Return an engine in this process with a store on disk."""
    executors = {"threads": ThreadExecutor()}
    with Runtime(tmp_path / "store.duckdb", executors=executors) as runtime:
        yield runtime


def test_a_dataclass_with_its_enum_comes_back_as_itself(runtime: Runtime) -> None:
    """As an instance, and by values, whose text is read."""
    run = runtime.start(deciding)
    runtime.settle()
    run.forms.submit(Decision(True, Level.URGENT, date(2026, 12, 31)))
    assert run.result(10) == [True, True, True, date(2026, 12, 31)]
    run = runtime.start(deciding)
    runtime.settle()
    run.forms["DECISION"].submit(approved="no", level="today")
    assert run.result(10) == [True, False, True, None]


def test_open_forms_are_a_list_that_can_be_asked_by_name(runtime: Runtime) -> None:
    """And say what is asked, and the code that answers."""
    run = runtime.start(asking, instance_id="a")
    runtime.settle()
    first, second = run.forms
    assert (first.name, first.title, first.instance_id) == ("first", "first", "a")
    assert (len(run.forms), run.forms[1].name, len(run.forms[:1])) == (2, "second", 1)
    assert (first.text, first.until) == ("", None)
    assert [one.name for one in second.fields] == ["how many", "note"]
    assert first.since == second.since
    said = repr(run.forms)
    assert "answer: ipydurable.instance('a').forms['first'].submit('yes' | 'no')" in said
    assert "How many  a whole number, at least 1\n            in boxes" in said
    assert ".forms['second'].submit({'how many': 1})" in said
    with pytest.raises(LookupError, match="2 forms are open for 'a'; name one: 'first', 'second'"):
        run.forms.submit("yes")
    with pytest.raises(KeyError, match="no form 'third' is open for 'a'; there are 'first'"):
        run.forms["third"]
    with pytest.raises(TypeError, match="one value, or values by field"):
        second.submit({"note": ""}, note="")
    with pytest.raises(FormAnswerError, match="how many: this is needed"):
        second.submit()
    with pytest.raises(FormAnswerError, match="this is needed"):
        first.submit()
    second.submit({"how many": 3})
    first.submit("no")
    assert run.result(10) == ["no", {"how many": 3, "note": ""}]
    with pytest.raises(FormClosedError, match="it was answered"):
        first.submit("yes")
    assert repr(run.forms) == "<no forms are open for 'a'>"
    with pytest.raises(LookupError, match="no forms are open for 'a'"):
        run.forms.submit("yes")
    with pytest.raises(KeyError, match="no form 'first' is open for 'a'"):
        run.forms["first"]


def test_the_forms_of_all_instances_are_listed(runtime: Runtime) -> None:
    """Or of some, by handle or id."""
    runs = [runtime.start(deciding, instance_id=f"d{n}") for n in range(3)]
    runtime.settle()
    assert [one.instance_id for one in runtime.forms()] == ["d0", "d1", "d2"]
    assert [one.instance_id for one in runtime.forms(runs[2], "d0")] == ["d2", "d0"]
    assert "Buy it?" in repr(runtime.forms("d1"))
    with pytest.raises(UnknownInstanceError):
        runtime.forms("d9")
    for one in runtime.forms():
        one.submit(approved=False)
    assert repr(runtime.forms()) == "<no forms are open>"
    assert runtime.forms()._repr_html_() is None


def test_they_are_shown_without_a_notebook_s_widgets(runtime: Runtime) -> None:
    """As HTML, for viewers that show no more, with whose they are."""
    runtime.start(deciding, instance_id="d1")
    run = runtime.start(asking, instance_id="a1")
    runtime.settle()
    html = runtime.forms()._repr_html_()
    assert html is not None
    assert "Buy it? (d1)" in html
    assert "first (a1)" in html
    html = run.forms._repr_html_()
    assert html is not None
    assert "yes | no" in html
    with pytest.raises(NotImplementedError):
        run.forms._ipython_display_()


def test_a_live_view_takes_answers_and_becomes_static_at_the_end(runtime: Runtime) -> None:
    """What the page asks for reaches the host; what is wrong comes back by field."""
    run = runtime.start(asking, instance_id="a")
    runtime.settle()
    view = FormsOutput(runtime.client, ["a"], "ipydurable.instance('a').forms")
    widget: Any = view.keep_widget()
    first, second = (one["id"] for one in widget.forms)
    answer = widget._commands["answer"]
    assert answer(second, {"how many": "0"}, "a") == {"how many": "it must be at least 1"}
    assert answer(second, {"how many": "2", "note": ""}, "a") == {}
    assert answer(first, "yes", "a") == {}
    view.settled.result(30)
    assert run.result(10) == ["yes", {"how many": 2, "note": ""}]
    assert widget.finished
    assert [one["state"] for one in widget.forms] == ["answered", "answered"]
    assert "yes" in repr(view._static(widget))
    bundle, _ = widget._repr_mimebundle_()
    assert "How many" in bundle["text/html"]
    assert bundle["text/plain"] == repr(view._snapshot())
    view.freeze()


def test_the_buttons_of_a_timeline_answer_too(runtime: Runtime) -> None:
    """What does not fit is told by field; a form that is closed is an error."""
    run = runtime.start(asking, instance_id="a")
    runtime.settle()
    answer = Backstage(runtime.client, "a").commands()["answer"]
    first, second = runtime.client.forms(["a"])
    assert answer(second.form_id, {"how many": ""}) == {"how many": "this is needed"}
    assert answer(second.form_id, {"how many": "2"}) == {}
    with pytest.raises(FormClosedError):
        answer(second.form_id, {"how many": "2"})
    assert answer(first.form_id, "yes") == {}
    run.result(10)


def test_a_saved_timeline_says_what_was_asked_and_what_became_of_it(runtime: Runtime) -> None:
    """Also of what nobody answered."""
    run = runtime.start(brief)
    assert run.result(10) == "nobody"
    html = static_html(take_snapshot(runtime.client, run.instance_id))
    assert "expired, nobody answered in time" in html


@orchestrator
async def delegating(ctx):
    """Have another one ask."""
    return await ctx.call_sub_orchestrator(asking, instance_id="child")


def test_who_waits_in_vain_is_shown_what_is_asked(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the instance itself and of those it waits for, while nothing else shows it."""
    run = runtime.start(delegating, instance_id="parent")
    runtime.settle()
    answer = threading.Timer(1.5, lambda: _answer_all(runtime))
    answer.start()
    assert run.result(30) == ["yes", {"how many": 1, "note": ""}]
    said = capsys.readouterr().out
    assert "first (asking 'child')" in said
    assert ".forms['second'].submit({'how many': 1})" in said


def _answer_all(runtime: Runtime) -> None:
    runtime.forms()["first"].submit("yes")
    runtime.forms()["second"].submit({"how many": 1})


def test_a_history_with_forms_replays_from_its_table(runtime: Runtime) -> None:
    """As tests of people's own do it, with the forms that it knows."""
    run = runtime.start(asking, instance_id="a")
    runtime.settle()
    assert replay(run, asking).awaited_events == ("first", "second")
    _answer_all(runtime)
    run.result(10)
    frame = run.history()
    assert list(frame["event_type"]).count("EventFormOpened") == 2
    report = replay(frame, asking)
    assert report.result == '["yes",{"how many":1,"note":""}]'
    assert report.warnings == ()


CLASSES = """from dataclasses import dataclass
@dataclass
class Wish:
    what: str
    price: float = 1.0"""
WISHES = """%%orchestrator
async def wishes(ctx):
    wish = await ctx.wait_for_external_event("wish", form=Wish)
    return f"{wish.what} for {wish.price:g}, {isinstance(wish, Wish)}\""""


def test_classes_of_a_cell_are_asked_for_and_come_back(shell: Shell) -> None:
    """In the host, which has only what the cell's code reached."""
    shell.must(CLASSES)
    shell.must(WISHES)
    shell.must("run = wishes.start(instance_id='w')")
    shell.must("run.wait_for_start()\nwhile not run.forms: pass")
    shell.must("run.forms")
    assert "What   text" in shell.text
    assert "Price  a number (else 1.0)" in shell.text
    shell.run("run.forms.submit(price='much')")
    assert "what: this is needed; price: a number is wanted" in shell.text
    shell.must("run.forms.submit(Wish('a boat', 5))")
    assert shell.must("run.result(30)") == "a boat for 5, True"


def test_the_command_line_answers_as_well(shell: Shell) -> None:
    """`%durable raise` with JSON, which is checked."""
    shell.must("run = wishes.start(instance_id='w2')\nimport ipydurable")
    shell.must("while not ipydurable.forms('w2'): pass")
    shell.run("%durable raise w2 wish {}")
    assert "what: this is needed" in shell.text
    shell.must('%durable raise w2 wish {"what": "a house"}')
    assert shell.must("run.result(30)") == "a house for 1, True"


def test_who_answered_is_the_notebook(kernel: Kernel, tmp_path: Path) -> None:
    """As Jupyter tells a kernel which notebook it serves."""
    cells = (
        "%durable stop",
        "import os\nos.environ['JPY_SESSION_NAME'] = '/home/ana/people.ipynb'",
        f"%durable open {tmp_path / 's.duckdb'}",
        WAITS_FOR_PEOPLE,
        "run = people.start(instance_id='p')\nrun.wait_for_start()\nwhile not run.forms: pass",
        "run.forms.submit('yes')",
        "run.result(30)",
    )
    for cell in cells:
        outputs = kernel.run(cell)
        assert not [one for one in outputs if one["kind"] == "error"], outputs
    shown = str(kernel.run("ipydurable = __import__('ipydurable')\nrun.timeline()"))
    assert "by people.ipynb" in shown
    live = str(
        kernel.run(
            "people.start(instance_id='p2').wait_for_start(); ipydurable.instance('p2').forms"
        )
    )
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "ipydurable.instance('p2').forms" in live


def test_a_cell_that_waits_shows_the_form_where_nothing_else_does(kernel: Kernel) -> None:
    """Live, in a notebook that only attached; what is saved in the end needs no kernel."""
    start = "people.start(instance_id='p3').wait_for_start()"
    answer = (
        "import threading\n"
        "threading.Timer(2, lambda: ipydurable.instance('p3').forms.submit('no')).start()"
    )
    for cell in (start, answer):
        kernel.run(cell)
    outputs = kernel.run("ipydurable.instance('p3').result(30)")
    shown = str(outputs)
    assert "answered by people.ipynb" in shown
    assert "application/vnd.jupyter.widget-view+json" not in shown


WAITS_FOR_PEOPLE = """%%orchestrator
async def people(ctx):
    return await ctx.wait_for_external_event("approval", form=["yes", "no"])"""
