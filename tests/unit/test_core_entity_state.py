"""The state of entities whose classes have slots: nowhere to keep what they no longer know."""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypedDict

import pytest

from ipydurable.runtime.core.entity_state import KEPT_ASIDE, ClassState
from ipydurable.runtime.core.errors import EntityStateError


class Slotted:
    """An entity with one slot."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def test_an_attribute_that_a_class_with_slots_has_lost_is_an_error_and_not_lost_silently() -> None:
    state = ClassState(Slotted, {})
    assert state.attributes(state.load({"count": 3})) == {"count": 3}
    with pytest.raises(EntityStateError, match=r"attribute 'old'.*keeps nothing aside") as caught:
        state.load({"count": 3, "old": "x"})
    assert (caught.value.entity, caught.value.found) == ("Slotted", "str")


class Box(TypedDict):
    """A dict with known keys."""

    size: int


class Hinted:
    """An entity whose attributes have types of all kinds."""

    anything: Any = None
    box: Box
    price: float = 0.0
    count: int = 0


def test_what_fits_its_type_is_taken_as_the_very_object_it_is() -> None:
    """Also where types say nothing about classes; converting would make another object."""
    box, mark = {"size": 1, "more": 2}, object()
    state = ClassState(Hinted, {**globals()})
    entity = state.load({"box": box, "anything": mark, "price": 3, "unknown": mark})
    assert entity.box is box
    assert entity.anything is mark
    assert type(entity.price) is int


def test_what_does_not_fit_its_type_is_converted_where_that_loses_nothing() -> None:
    state = ClassState(Hinted, {**globals()})
    assert state.load({"count": "5"}).count == 5
    with pytest.raises(EntityStateError, match="count"):
        state.load({"count": "five"})


class Plain:
    """An entity with defaults in the class."""

    LIMIT: Final = 3
    KINDS: ClassVar[list[str]] = ["a"]
    parts: Any = {"open": []}  # noqa: RUF012  (as users write it)
    size: int


def test_the_defaults_of_a_class_are_shared_by_no_two_objects_in_no_part() -> None:
    state = ClassState(Plain, {**globals()})
    one, other = state.load(None), state.load(None)
    one.parts["open"].append(1)
    assert other.parts == Plain.parts == {"open": []}


def test_constants_of_a_class_are_no_state_and_hints_without_a_value_are() -> None:
    state = ClassState(Plain, {**globals()})
    entity = state.load({"size": 4})
    assert state.attributes(entity) == {"parts": {"open": []}, "size": 4}


def test_what_was_kept_aside_stays_so_whatever_stands_before_and_after_it() -> None:
    state = ClassState(Plain, {**globals()})
    stored = {KEPT_ASIDE: {"old": 1}, "size": 4, "older": 2}
    assert state.attributes(state.load(stored)) == {
        "parts": {"open": []},
        "size": 4,
        KEPT_ASIDE: {"old": 1, "older": 2},
    }


def test_a_state_that_is_no_object_is_refused_whole() -> None:
    with pytest.raises(EntityStateError) as refused:
        ClassState(Plain, {**globals()}).load([1])
    assert refused.value.args == ("Plain", "", "list", "an object")


class Private:
    """An entity with something of its own that is no state."""

    LIMIT: Final = 3
    _cache: int


def test_constants_and_private_names_in_a_state_are_kept_aside() -> None:
    """They are no attributes that a state may set."""
    state = ClassState(Private, {**globals()})
    entity = state.load({"LIMIT": 9, "_cache": 5})
    assert entity.LIMIT == 3
    assert not hasattr(entity, "_cache")
    assert state.attributes(entity) == {KEPT_ASIDE: {"LIMIT": 9, "_cache": 5}}
