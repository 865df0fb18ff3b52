"""What an entity's card shows: state, effects, locks, backlog; the same however it was told."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipydurable.runtime.core.entity_state import KEPT_ASIDE
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.special_values import CallArguments
from ipydurable.runtime.ports import EntityUpdate
from ipydurable.widgets import EntityModel, entity_html, entity_text
from ipydurable.widgets.entity_model import KEPT
from tests.widgets.entity_stories import (
    ALL,
    START,
    EntityStory,
    account,
    busy,
    flooded,
    fresh,
    model_of,
    portfolio,
)


def test_the_state_of_a_class_is_its_attributes() -> None:
    nodes = model_of(account()).state()
    assert [(node.name, node.words) for node in nodes] == [
        ("balance", "100"),
        ("history", "list, 2 items"),
        ("owner", "'Alice Ito'"),
    ]


def test_other_state_is_one_value() -> None:
    story = EntityStory("@counter@c")
    story.do("add", 5, state=5)
    model = EntityModel("counter@c", msgspec.json.decode)
    for update in story.updates():
        model.apply(update)
    assert [(node.name, node.words) for node in model.state()] == [("state", "5")]


def test_an_operation_tells_its_input_caller_result_and_what_it_changed() -> None:
    done = model_of(account()).happenings()
    last = done[-1]
    assert (last.name, last.input, last.who, last.result) == (
        "withdraw",
        "20",
        "transfer-81bc",
        "100",
    )
    assert last.changes == [("balance", "120", "100"), ("history", "[120]", "[120, -20]")]
    assert (last.state, round(last.took or 0)) == ("completed", 20)
    failed = done[2]
    assert (failed.state, failed.result) == (
        "failed",
        "ValueError: insufficient funds: 120 < 500",
    )
    assert failed.changes == []
    assert done[3].changes == []


def test_the_first_operation_shows_what_it_set() -> None:
    first = model_of(account()).happenings()[0]
    assert first.changes[0] == ("balance", None, "0")


def test_what_was_before_is_not_guessed_where_it_was_left_out() -> None:
    story = account()
    update = next(story.updates())
    update.left_out = 9
    model = EntityModel("a", msgspec.json.decode)
    model.apply(update)
    first = model.happenings()[0]
    assert [(name, before) for name, before, _ in first.changes] == [("state", None)]
    assert model.happenings()[1].changes[0] == ("balance", "0", "120")


def test_a_batch_shows_its_change_with_its_last_operation() -> None:
    done = model_of(flooded()).happenings()
    assert done[-1].changes == [("value", "2900", "3000")]
    assert done[-1].together == KEPT - 1 or done[-1].together == 99
    assert done[-2].changes == []


def test_locks_queue_and_backlog_are_told() -> None:
    head = model_of(busy()).head()
    assert head.locked_by == "transfer-9d21"
    assert head.lock_queue == ["transfer-a000", "transfer-a100", "transfer-a200"]
    assert head.pending == 6
    assert [(one.what, one.who) for one in head.waiting][3:] == [
        ("deposit(10)", ""),
        ("deposit(15)", "@payroll@acme"),
        ("interest(0.02)", ""),
    ]
    assert head.waiting[-1].due is not None


def test_a_lock_that_was_given_back_tells_how_long_it_was_held() -> None:
    story = account()
    story.acquire(story.lock("t"), "t")
    assert model_of(story).happenings()[-1].state == "running"
    story.now += timedelta(seconds=9)
    story.release("t")
    held = model_of(story).happenings()[-1]
    assert (held.kind, held.who, held.state, held.took) == ("lock", "t", "completed", 9000)


def test_an_entity_that_nothing_has_reached_says_so() -> None:
    model = EntityModel("Account@new", msgspec.json.decode)
    model.apply(EntityUpdate(record=None, events=[], now=START, is_whole=True))
    assert not model.head().exists
    assert "nothing has reached it yet" in entity_text(model)
    assert "nothing has reached it yet" in entity_html(model)
    assert not list(fresh().rows)


def test_one_that_was_deleted_begins_anew() -> None:
    story = account()
    story.do("delete", state=None)
    model = model_of(story)
    assert model.state() == []
    assert model.happenings()[-1].changes[0][2] == "deleted"
    other = EntityStory("@account@alice")
    other.do("open", "Bo", state={"balance": 1})
    update = next(other.updates())
    update.is_whole = False
    assert update.record is not None
    update.record.iid = 8
    model.apply(update)
    assert len(model.happenings()) == 1


def test_attributes_that_the_class_lost_are_told_apart() -> None:
    story = EntityStory("@a@b")
    story.do("x", state={"n": 1, KEPT_ASIDE: {"old": 2}})
    model = model_of(story)
    assert [node.name for node in model.state()] == ["n"]
    assert model.head().kept_aside == [("old", "2")]
    assert "kept aside  old=2" in entity_text(model)


def test_values_that_cannot_be_loaded_are_named() -> None:
    def refuse(payload: object) -> object:
        raise ValueError("no such class")

    story = account()
    model = EntityModel("a", refuse)
    model.apply(next(story.updates()))
    assert "no such class" in model.state()[0].words
    assert "deposit" in entity_text(model)


def test_large_values_that_were_left_out_are_named() -> None:
    story = EntityStory("@a@b")
    story.do("x", state={"n": 1})
    update = next(story.updates())
    assert update.record is not None
    update.record.state = Blob(codec="", data=b"", summary="3,000 KB")
    model = EntityModel("a", msgspec.json.decode)
    model.apply(update)
    assert model.state()[0].words == "<3,000 KB>"


def test_several_arguments_are_shown_as_a_call() -> None:
    def decode(payload: object) -> object:
        if payload == '"call"':
            return CallArguments((1, "two"), {"three": 3})
        return None

    story = EntityStory("@a@b")
    story.do("x", "call")
    model = EntityModel("a", decode)
    model.apply(next(story.updates()))
    assert model.happenings()[0].input == "1, 'two', three=3"


@settings(max_examples=60)
@given(story=st.sampled_from(ALL), data=st.data())
def test_told_in_pieces_it_is_what_it_is_told_at_once(story, data) -> None:
    told = story()
    cuts = data.draw(st.lists(st.integers(1, len(told.rows)), min_size=1, max_size=6).map(sorted))
    whole, pieces = model_of(told), model_of(told, *cuts)
    assert pieces.head() == whole.head()
    assert pieces.state() == whole.state()
    assert pieces.happenings() == whole.happenings()
    assert len(whole.happenings()) <= KEPT


@pytest.mark.parametrize("story", ALL)
def test_the_static_card_is_small_and_its_text_stays_text(story) -> None:
    html = entity_html(model_of(story()))
    assert len(html) < 100_000
    assert "<b>not bold" not in html
    assert "<script" not in html


def test_the_text_names_the_last_operations() -> None:
    lines = entity_text(model_of(busy(), title="Account@alice")).splitlines()
    assert lines[0] == "Account@alice"
    assert "  balance       60" in lines
    assert any("withdraw(40) → 60 · balance 100 → 60" in line for line in lines), lines
    assert "by transfer-9d21" in "\n".join(lines)
    assert len(entity_text(model_of(portfolio()))) < 5_000
