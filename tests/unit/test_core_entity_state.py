"""The state of entities whose classes have slots: nowhere to keep what they no longer know."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from ipydurable.runtime.core.entity_state import ClassState
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
