"""The state of entities whose classes have slots: nowhere to keep what they no longer know."""

from __future__ import annotations

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
