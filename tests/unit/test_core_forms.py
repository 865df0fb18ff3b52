"""Forms: what may be asked for, what answers it, and what histories know of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.asked_forms import AskedField, AskedForm, Choice
from ipydurable.runtime.core.context import OrchestrationContext as Context
from ipydurable.runtime.core.errors import FormAnswerError, FormError
from ipydurable.runtime.core.events import (
    Event,
    EventFormClosed,
    EventFormOpened,
    EventRaised,
    ExecutionRewound,
)
from ipydurable.runtime.core.form_answers import answer_of, answer_words
from ipydurable.runtime.core.forms import Field, Form, asked_form
from ipydurable.runtime.core.serialization import decode_json, encode_json
from ipydurable.runtime.core.special_values import StandIn
from tests.support.core import (
    PlainConverter,
    at,
    failed,
    failure,
    fired,
    json_round_trip,
    kinds,
    make,
    raised,
    result,
    run,
    started,
)


class Level(enum.Enum):
    LOW = "low risk"
    VERY_HIGH = 2


FORMS = (
    "a form is a dict of field names and their types, choices or defaults, a list of "
    "choices, a dataclass, or Form(...) of one of these"
)
TYPES = (
    "a field is a str, int, float, bool, date, Enum, Literal or Optional of these, a list "
    "of choices, a default, or Field(...)"
)


@dataclass
class Approval:
    approved: bool
    level: Level = Level.LOW
    limit: float = 100.0
    reason: str = field(default="", metadata={"label": "Why", "long": True})
    until: date | None = None
    tags: list[str] = field(default_factory=list, init=False)


@dataclass
class Later:
    when: Unknown  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Hidden:
    stamp: int = field(init=False)


@dataclass
class Made:
    level: str = field(default_factory=lambda: "high")


def fields(form: Any) -> dict[str, AskedField]:
    return {one.name: one for one in asked_form(form).fields}


class TestWhatMayBeAsked:
    def test_a_dict_says_types_choices_and_defaults(self) -> None:
        asked = fields(
            {
                "why": str,
                "count": 3,
                "share": 0.5,
                "ok": True,
                "day": date(2026, 1, 2),
                "size": ["S", "M"],
                "level": Level.LOW,
                "note": Optional[str],  # noqa: UP045
                "rank": Literal[1, 2, None],  # noqa: PYI061
            }
        )
        assert [(one.kind, one.default, one.is_optional) for one in asked.values()] == [
            ("text", None, False),
            ("integer", 3, False),
            ("number", 0.5, False),
            ("boolean", True, False),
            ("date", "2026-01-02", False),
            ("choice", None, False),
            ("choice", "LOW", False),
            ("text", None, True),
            ("choice", None, True),
        ]
        assert asked["size"].choices == (Choice("S"), Choice("M"))
        assert [one.words for one in asked["level"].choices] == ["low risk", "Very high"]
        assert [one.words for one in asked["rank"].choices] == ["1", "2"]

    def test_a_field_may_say_more(self) -> None:
        asked = fields(
            {"max_price": Field(int, 5, label="Price", help="in dollars", minimum=1, maximum=9)}
        )["max_price"]
        assert (asked.words, asked.help, asked.minimum, asked.maximum) == (
            "Price",
            "in dollars",
            1.0,
            9.0,
        )
        assert fields({"max_price": int})["max_price"].words == "Max price"
        assert fields({"_": int})["_"].words == "_"
        assert fields({"a": Field(str, None)})["a"].is_optional
        assert not fields({"a": Field(str, "x")})["a"].is_needed

    def test_a_dataclass_is_asked_for_by_its_fields(self) -> None:
        form = asked_form(Form(Approval, title="Buy it?", text="A GPU", submit="Decide"))
        assert (form.title, form.text, form.submit) == ("Buy it?", "A GPU", "Decide")
        assert form.made_of == f"{__name__}:Approval"
        assert [one.name for one in form.fields] == [
            "approved",
            "level",
            "limit",
            "reason",
            "until",
        ]
        assert (form.fields[3].words, form.fields[3].is_long) == ("Why", True)
        assert fields(Made)["level"].default == "high"

    def test_an_answer_must_hold_what_has_no_default_and_may_not_stay_empty(self) -> None:
        asked = fields({"why": str, "count": 3, "note": Optional[str]})  # noqa: UP045
        assert [one.name for one in asked.values() if one.is_needed] == ["why"]

    def test_annotations_may_name_what_the_orchestrator_knows(self) -> None:
        with pytest.raises(FormError, match="a type of the dataclass Later is not known"):
            asked_form(Later)
        assert asked_form(Later, {"Unknown": int}).fields[0].kind == "integer"

    @pytest.mark.parametrize(
        ("form", "labels"),
        [
            (["approve", "reject"], ["approve", "reject"]),
            ((1, 2.5), ["1", "2.5"]),
            (bool, ["Yes", "No"]),
            (Level, ["low risk", "Very high"]),
            (Literal["a", "b"], ["a", "b"]),
        ],
    )
    def test_one_choice_is_made_with_one_click(self, form: Any, labels: list[str]) -> None:
        asked = asked_form(form)
        assert asked.is_choice
        assert [one.words for one in asked.fields[0].choices] == labels

    def test_it_is_plain_data(self) -> None:
        form = asked_form(Form(Approval, title="Buy it?"))
        assert json_round_trip(form, AskedForm) == form

    @pytest.mark.parametrize(
        ("form", "field", "problem"),
        [
            (3, "", f"3 is none: {FORMS}"),
            ({}, "", f"it asks for nothing: {FORMS}"),
            ([], "", "there is nothing to choose from"),
            (["a", "a"], "", "a choice is there twice"),
            ({"a": ["x", "x"]}, "a", "a choice is there twice"),
            (
                {"a": Literal["x", b"y"]},
                "a",
                "b'y' cannot be a choice: text, numbers and booleans can",
            ),
            ({"a": [None]}, "a", "None cannot be a choice: text, numbers and booleans can"),
            ([None], "", "None cannot be a choice: text, numbers and booleans can"),
            ([float("nan")], "", "nan cannot be a choice: text, numbers and booleans can"),
            ({"a": complex}, "a", f"complex is no type of a field: {TYPES}"),
            ({"a": 1j}, "a", f"1j is no type of a field: {TYPES}"),
            ({"a": int | str}, "a", f"int | str is no type of a field: {TYPES}"),
            ({"a": datetime}, "a", f"datetime is no type of a field: {TYPES}"),
            ({1: int}, "1", "the name of a field is text"),
            (
                {"a": Field(int, "x")},
                "a",
                "its default does not fit: a whole number is wanted, not 'x'",
            ),
            ({"a": Field(str, 5)}, "a", "its default does not fit: text is wanted, not 5"),
            (
                {"a": Field(int, "")},
                "a",
                "its default does not fit: this is needed",
            ),
            ({"a": Field(int, minimum="1")}, "a", "'1' is no limit: a number is"),  # type: ignore[arg-type]
            ({"a": Field(int, maximum=float("inf"))}, "a", "inf is no limit: a number is"),
            ({"a": Field(int, label=1)}, "a", "its label is not text"),  # type: ignore[arg-type]
            (Form([1, 2], title=3), "", "its title is a int, not text"),  # type: ignore[arg-type]
            (Hidden, "stamp", "nobody can fill it in: it has init=False and no default"),
            (
                Later,
                "",
                "a type of the dataclass Later is not known: name 'Unknown' is not defined",
            ),
        ],
    )
    def test_what_cannot_be_asked_is_named(self, form: Any, field: str, problem: str) -> None:
        with pytest.raises(FormError) as refused:
            asked_form(form)
        assert (refused.value.field, refused.value.problem) == (field, problem)

    def test_choices_that_only_look_alike_are_different_ones(self) -> None:
        """As Python takes 1, 1.0 and True for equal."""
        (asked,) = asked_form([1, True, 1.0]).fields
        assert [one.words for one in asked.choices] == ["1", "True", "1.0"]

    def test_a_default_of_another_enum_is_none_of_the_choices(self) -> None:
        class Other(enum.Enum):
            LOW = 1

        assert fields({"a": Field(Level, Level.LOW)})["a"].default == "LOW"
        with pytest.raises(FormError, match="its default does not fit"):
            asked_form({"a": Field(Level, Other.LOW)})

    def test_a_dataclass_of_a_function_cannot_come_back(self) -> None:
        @dataclass
        class Local:
            a: int

        with pytest.raises(FormError) as refused:
            asked_form(Local)
        problem = "the dataclass Local is defined inside a function: move it out"
        assert (refused.value.field, refused.value.problem) == ("", problem)


class TestAnswers:
    FORM = asked_form(Form(Approval))

    def test_a_dataclass_is_answered_by_an_instance_of_it(self) -> None:
        answer, problems = answer_of(self.FORM, {"approved": "yes", "until": "2026-03-01"})
        assert problems == {}
        text = encode_json(answer, "answer", lambda _: "never")
        classes = {"Approval": Approval, "Level": Level}
        made = decode_json(text, lambda _, name: classes.get(name))
        assert made == Approval(True, Level.LOW, 100.0, "", date(2026, 3, 1))

    def test_what_code_gives_is_taken_as_it_is(self) -> None:
        whole = Approval(True, Level.VERY_HIGH, 5, "because", date(2026, 3, 1))
        payload = encode_json(whole, "answer", lambda _: "never")
        stand_in = decode_json(payload, lambda *_: None)
        assert answer_of(self.FORM, whole) == answer_of(self.FORM, stand_in)
        assert answer_of(self.FORM, whole)[1] == {}
        assert answer_of(self.FORM, StandIn("$dataclass", "a:Other", {}))[1].keys() == {""}

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("approved", None, "this is needed"),
            ("approved", 1, "yes or no is wanted, not 1"),
            ("approved", "perhaps", "yes or no is wanted, not 'perhaps'"),
            ("level", "none", "one of low risk, Very high is wanted, not 'none'"),
            ("level", 7, "one of low risk, Very high is wanted, not 7"),
            ("limit", "much", "a number is wanted, not 'much'"),
            ("limit", float("inf"), "a number is wanted"),
            ("limit", True, "a number is wanted, not True"),
            ("reason", 3, "text is wanted, not 3"),
            ("until", "soon", "a date such as 2026-12-31 is wanted"),
            ("until", datetime(2026, 1, 1), "a date such as"),
            ("nonsense", "x" * 99, "there is no such field; there are approved, level"),
        ],
    )
    def test_what_does_not_fit_is_said_of_its_field(self, name: str, value: Any, said: str) -> None:
        answer, problems = answer_of(self.FORM, {"approved": True, name: value})
        assert answer is None
        assert problems.keys() == {name}
        assert said in problems[name]

    def test_a_whole_that_does_not_fit_is_said_once(self) -> None:
        wanted = "Approval with approved, level, limit, reason, until is wanted, not 'yes'"
        assert answer_of(self.FORM, "yes") == (None, {"": wanted})
        assert answer_of(asked_form({"a": int}), None)[1][""].startswith("a dict with a is wanted")

    def test_a_long_answer_is_shown_by_its_first_sixty_characters(self) -> None:
        """The quotation marks count."""
        whole = answer_of(asked_form({"a": int}), "x" * 58)[1][""]
        assert whole == f"a dict with a is wanted, not '{'x' * 58}'"
        cut = answer_of(asked_form({"a": int}), "x" * 59)[1][""]
        assert cut == f"a dict with a is wanted, not '{'x' * 58}…"

    @pytest.mark.parametrize(
        ("form", "given", "taken"),
        [
            ({"a": int}, "12", 12),
            ({"a": int}, 3.0, 3),
            ({"a": float}, 3, 3.0),
            ({"a": bool}, "Off", False),
            ({"a": date}, date(2026, 1, 2), date(2026, 1, 2)),
            ({"a": ["x", 1]}, "1", 1),
            ({"a": Level}, "Very high", StandIn("$enum", f"{__name__}:Level", "VERY_HIGH")),
            ({"a": Level}, Level.LOW, StandIn("$enum", f"{__name__}:Level", "LOW")),
            ({"a": Field(Level | None, None)}, None, None),
            ({"a": Field(str, "x")}, "", ""),
            ({"a": str | None}, "", None),
        ],
    )
    def test_what_is_meant_without_doubt_is_taken(self, form: Any, given: Any, taken: Any) -> None:
        answer, problems = answer_of(asked_form(form), {"a": given})
        assert (answer, problems) == ({"a": taken}, {})

    @pytest.mark.parametrize("given", ["1.5", 1.5, "9" * 400, "x", True, [1]])
    def test_a_whole_number_is_nothing_else(self, given: Any) -> None:
        assert answer_of(asked_form({"a": int}), {"a": given})[1].keys() == {"a"}

    @pytest.mark.parametrize(
        ("given", "said"),
        [(0, "it must be at least 1"), (10, "it must be at most 9"), (1, ""), (5, ""), (9, "")],
    )
    def test_a_number_keeps_to_its_limits(self, given: int, said: str) -> None:
        form = asked_form({"a": Field(int, minimum=1, maximum=9)})
        assert answer_of(form, {"a": given})[1].get("a", "") == said

    def test_one_choice_is_the_answer_itself(self) -> None:
        form = asked_form(["approve", "reject"])
        assert answer_of(form, "approve") == ("approve", {})
        assert answer_of(form, "yes")[1] == {"": "one of 'approve', 'reject' is wanted, not 'yes'"}
        assert answer_of(asked_form(bool), False) == (False, {})

    def test_an_empty_text_is_an_answer_where_it_is_one_of_the_choices(self) -> None:
        assert answer_of(asked_form({"suffix": ["", ".bak"]}), {"suffix": ""}) == (
            {"suffix": ""},
            {},
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda of: st.lists(of) | st.dictionaries(st.text(), of),
        )
    )
    def test_anything_is_either_taken_or_refused_in_words(self, given: Any) -> None:
        for form in (self.FORM, asked_form(Level), asked_form({"a": int, "b": str})):
            for whole in (given, {"a": given, "approved": given}):
                answer, problems = answer_of(form, whole)
                assert (answer is None) == bool(problems)
                assert all(problems.values())

    def test_an_answer_is_told_in_words(self) -> None:
        answer, _ = answer_of(self.FORM, {"approved": True, "level": "VERY_HIGH"})
        assert answer_words(self.FORM, answer) == [
            ("Approved", "yes"),
            ("Level", "Very high"),
            ("Limit", "100.0"),
            ("Why", ""),
            ("Until", "—"),
        ]
        assert answer_words(asked_form(bool), False) == [("", "No")]
        assert answer_words(self.FORM, "whatever") == [("", "whatever")]
        odd = {"a": False, "b": 1}
        assert answer_words(asked_form({"a": int}), odd) == [("A", "False"), ("b", "1")]


async def approval(ctx: Context) -> Any:
    return await ctx.wait_for_external_event("approval", form=["approve", "reject"])


async def hurried(ctx: Context) -> Any:
    try:
        return await ctx.wait_for_external_event(
            "approval", form=bool, timeout=timedelta(seconds=10)
        )
    except TimeoutError:
        return "nobody"


async def racing(ctx: Context) -> Any:
    asked = ctx.wait_for_external_event("approval", form=bool)
    timer = ctx.create_timer(timedelta(seconds=10))
    if await ctx.when_any([asked, timer]) is asked:
        timer.cancel()
        return asked.result
    asked.cancel()
    return await ctx.call_activity("escalate")


async def reminding(ctx: Context) -> Any:
    asked = ctx.wait_for_external_event("approval", form=bool)
    for _ in range(2):
        timer = ctx.create_timer(timedelta(seconds=10))
        if await ctx.when_any([asked, timer]) is asked:
            return asked.result
        await ctx.call_activity("remind")
    return await asked


def forms_of(history: list[Event]) -> list[tuple[str, str]]:
    """Return what a history says of forms: which, and what became of it."""
    found = []
    for event in history:
        if isinstance(event, EventFormOpened):
            found.append((event.form_id, "opened"))
        elif isinstance(event, EventFormClosed):
            found.append((event.form_id, event.outcome))
    return found


def answer(form_id: str, value: Any, name: str = "approval", at_s: float = 1) -> EventRaised:
    payload = PlainConverter().encode(value, "data")
    return EventRaised(timestamp=at(at_s), name=name, input=payload, form_id=form_id)


class TestWhatHistoriesKnow:
    def test_a_form_is_opened_by_the_wait_and_closed_by_the_answer(self) -> None:
        executor, history = run(approval, started(), raised("approval", "approve"))
        assert kinds(history) == [
            "ExecutionStarted",
            "EventFormOpened",
            "EventRaised",
            "EventFormClosed",
            "ExecutionCompleted",
        ]
        assert result(executor) == "approve"
        assert forms_of(history) == [("e1:1", "opened"), ("e1:1", "answered")]
        opened = history[1]
        assert isinstance(opened, EventFormOpened)
        assert (opened.name, opened.since, opened.until) == ("approval", at(0), None)

    def test_both_notes_say_which_form_when_it_was_and_since_and_until_when_it_is_asked(
        self,
    ) -> None:
        async def program(ctx: Context) -> Any:
            await ctx.wait_for_external_event("go")
            return await ctx.wait_for_external_event(
                "Approval", form=["yes", "no"], timeout=timedelta(minutes=1)
            )

        _, history = run(program, started(), raised("go", at_s=5), raised("approval", "yes", 7))
        notes = [one for one in history if isinstance(one, EventFormOpened | EventFormClosed)]
        assert notes == [
            EventFormOpened(
                timestamp=at(5),
                name="Approval",
                form_id="e1:1",
                form=asked_form(["yes", "no"]),
                since=at(5),
                until=at(65),
            ),
            EventFormClosed(timestamp=at(7), name="Approval", form_id="e1:1", outcome="answered"),
        ]

    def test_what_is_asked_for_and_withdrawn_at_once_leaves_no_trace(self) -> None:
        async def program(ctx: Context) -> Any:
            ctx.wait_for_external_event("approval", form=["yes", "no"]).cancel()
            await ctx.wait_for_external_event("go")

        _, history = run(program, started(), raised("go"))
        assert forms_of(history) == []

    def test_a_late_answer_goes_to_the_next_wait_at_replay_too(self) -> None:
        """The form's own wait is over by then, also where all of it happens again at once."""

        async def program(ctx: Context) -> Any:
            first = await ctx.wait_for_external_event("approval", form=["yes", "no"])
            return [first, await ctx.wait_for_external_event("approval")]

        executor, history = run(
            program, started(), raised("approval", "yes"), answer("e1:1", "no", at_s=2)
        )
        assert result(executor) == ["yes", "no"]
        again = make(program)
        again.replay(history)  # type: ignore[arg-type]
        assert result(again) == ["yes", "no"]

    def test_an_event_that_came_before_asks_nobody(self) -> None:
        async def program(ctx: Context) -> Any:
            await ctx.create_timer(timedelta(seconds=5))
            return await approval(ctx)

        executor, history = run(program, started(), raised("approval", "early"), fired(1, 5))
        assert (result(executor), forms_of(history)) == ("early", [])

    def test_a_wait_without_a_form_leaves_no_trace(self) -> None:
        async def program(ctx: Context) -> Any:
            return await ctx.wait_for_external_event("go")

        executor, history = run(program, started())
        assert kinds(history) == ["ExecutionStarted"]
        assert executor.awaited_since == {"go": at(0)}

    def test_a_timeout_closes_it(self) -> None:
        executor, history = run(hurried, started(), fired(1, 10))
        assert result(executor) == "nobody"
        assert forms_of(history) == [("e1:1", "opened"), ("e1:1", "expired")]
        opened = next(one for one in history if isinstance(one, EventFormOpened))
        assert opened.until == at(10)

    def test_a_timer_that_wins_closes_it(self) -> None:
        _, history = run(racing, started(), fired(1, 10))
        assert forms_of(history) == [("e1:1", "opened"), ("e1:1", "expired")]

    def test_code_may_withdraw_it(self) -> None:
        async def program(ctx: Context) -> Any:
            asked = ctx.wait_for_external_event("approval", form=bool)
            await ctx.wait_for_external_event("go")
            asked.cancel()
            await ctx.wait_for_external_event("never")

        _, history = run(program, started(), raised("go"))
        assert forms_of(history) == [("e1:1", "opened"), ("e1:1", "withdrawn")]

    def test_it_is_opened_again_when_the_code_waits_on(self) -> None:
        events = (started(), fired(1, 10), failed(2, ValueError("no mail"), 11))

        async def program(ctx: Context) -> Any:
            asked = ctx.wait_for_external_event("approval", form=bool)
            await ctx.when_any([asked, ctx.create_timer(timedelta(seconds=10))])
            try:
                await ctx.call_activity("remind")
            except ValueError:
                return await asked

        executor, history = run(
            program, *events, answer("e1:1", True, at_s=12), ValueError=ValueError
        )
        assert forms_of(history) == [
            ("e1:1", "opened"),
            ("e1:1", "expired"),
            ("e1:1", "opened"),
            ("e1:1", "answered"),
        ]
        assert [one.since for one in history if isinstance(one, EventFormOpened)] == [at(0), at(0)]
        assert result(executor) is True

    def test_an_answer_goes_to_the_wait_that_asked(self) -> None:
        async def program(ctx: Context) -> Any:
            first = ctx.wait_for_external_event("approval", form=bool)
            second = ctx.wait_for_external_event("approval", form=["a", "b"])
            return [await second, await first]

        answers = (answer("e1:2", "a"), answer("e1:1", True, at_s=2))
        executor, history = run(program, started(), *answers)
        assert result(executor) == ["a", True]
        assert forms_of(history)[2:] == [("e1:2", "answered"), ("e1:1", "answered")]

    @pytest.mark.parametrize("form_id", ["e0:1", "e1:1"])
    def test_an_answer_that_comes_too_late_is_an_event_like_any_other(self, form_id: str) -> None:
        async def program(ctx: Context) -> Any:
            await hurried(ctx)
            await ctx.create_timer(timedelta(seconds=10))
            return await ctx.wait_for_external_event("approval")

        events = (started(), fired(1, 10), answer(form_id, True, at_s=11), fired(2, 20))
        assert result(run(program, *events)[0]) is True

    def test_an_answer_to_another_event_is_not_taken_for_this_one(self) -> None:
        executor, _ = run(approval, started(), answer("e1:1", "approve", name="other"))
        assert executor.awaited_events == ("approval",)

    def test_a_form_that_is_none_fails_the_code_that_gave_it(self) -> None:
        async def program(ctx: Context) -> Any:
            return await ctx.wait_for_external_event("approval", form={"a": complex})

        executor, _ = run(program, started())
        assert failure(executor).error_type == "ipydurable.FormError"

    def test_a_value_of_the_form_s_class_needs_the_class_of_the_code(self) -> None:
        async def program(ctx: Context) -> Any:
            asked = ctx.wait_for_external_event("approval", form=Approval)
            return (await asked).approved

        value, _ = answer_of(asked_form(Approval), {"approved": True})
        executor, _ = run(program, started(), answer("e1:1", value))
        assert result(executor) is True


class TestReplay:
    @pytest.mark.parametrize("program", [approval, hurried, racing, reminding])
    def test_it_finds_the_forms_that_history_knows(self, program: Any) -> None:
        """Wherever a history is cut, going on from there gives the same history."""
        events = (started(), fired(1, 10), raised("approval", True, 11))
        _, whole = run(program, *events)
        incoming = [one for one in whole if one in events]
        for cut in range(1, len(incoming) + 1):
            _, before = run(program, *incoming[:cut])
            executor = make(program)
            executor.replay(before)  # type: ignore[arg-type]
            after = list(executor.take_decisions())
            for event in incoming[cut:]:
                after.append(event)
                executor.process(event)  # type: ignore[arg-type]
                after.extend(executor.take_decisions())
            assert [*before, *after] == whole

    def test_code_that_was_mended_asks_anew(self) -> None:
        async def mended(ctx: Context) -> Any:
            return await ctx.wait_for_external_event("approval", form=["approve", "reject", "ask"])

        _, history = run(approval, started())
        executor = make(mended)
        executor.replay(history)  # type: ignore[arg-type]
        (again,) = executor.take_decisions()
        assert isinstance(again, EventFormOpened)
        assert len(again.form.fields[0].choices) == 3
        executor.replay([])

    def test_a_form_that_failed_with_its_code_is_open_again_after_a_rewind(self) -> None:
        async def program(ctx: Context) -> Any:
            asked = ctx.wait_for_external_event("approval", form=bool)
            try:
                await ctx.call_activity("a")
            finally:
                asked.cancel()

        _, history = run(program, started(), failed(1, ValueError("no")))
        assert forms_of(history) == [("e1:1", "opened"), ("e1:1", "withdrawn")]
        rewound = ExecutionRewound(timestamp=at(5), task_ids=(1,))
        executor = make(program)
        executor.replay([*history, rewound])  # type: ignore[list-item]
        assert forms_of(executor.take_decisions()) == [("e1:1", "opened")]

    def test_a_note_of_a_form_that_nobody_opened_is_passed_over(self) -> None:
        _, history = run(approval, started())
        stray = EventFormClosed(timestamp=at(0), name="x", form_id="e1:9", outcome="expired")
        executor = make(approval)
        executor.replay([*history, stray])  # type: ignore[list-item]
        assert executor.take_decisions() == []


def test_the_error_of_an_answer_names_all_that_is_wrong() -> None:
    error = FormAnswerError("gpu", "approval", {"": "no", "amount": "this is needed"})
    assert ": no; amount: this is needed. " in str(error)
