"""Whatever is encoded comes back equal, of the same type, and from the same text every time."""

import dataclasses
import datetime as dt
import enum
import json
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DecodingError
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.serialization import CallArguments
from ipydurable.runtime.signing import Signer


class Color(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    """A dataclass."""

    x: Any
    y: Any = None


class Pair(NamedTuple):
    """A named tuple."""

    left: Any
    right: Any


SIGNER = Signer(b"k" * 32)
CONVERTER = NamespaceConverter({**globals(), "__name__": __name__}, SIGNER)
STRANGER = NamespaceConverter({"__name__": __name__}, SIGNER)

_ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(minutes=90))]))
    | st.datetimes(timezones=st.just(ZoneInfo("Europe/Zurich")), allow_imaginary=False)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from(Color)
)


# Functions, as Hypothesis would print strategies within strategies at great length.
@st.composite
def atoms(draw) -> Any:
    """Values without parts."""
    return draw(_ATOMS)


@st.composite
def hashables(draw) -> Any:
    """Values that may be keys."""
    return draw(
        st.recursive(
            atoms(),
            lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
            max_leaves=4,
        )
    )


VALUES = st.recursive(
    hashables() | st.sets(hashables(), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashables(), inner, max_size=3)
        | st.dictionaries(st.text("$ab", max_size=2), inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(
            CallArguments,
            st.lists(inner, max_size=2).map(tuple),
            st.dictionaries(st.text(max_size=3), inner, max_size=2),
        )
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """The value with the types of all its parts, so that 1, 1.0 and True differ."""
    if isinstance(value, CallArguments):
        return "CallArguments", shape(value.args), shape(value.kwargs)
    if isinstance(value, Point):
        return "Point", shape(value.x), shape(value.y)
    if isinstance(value, dict):
        return "dict", [(shape(key), shape(part)) for key, part in value.items()]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(shape(part)) for part in value)
    if isinstance(value, list | tuple):
        return type(value).__name__, [shape(part) for part in value]
    return type(value).__name__, repr(value)


@given(VALUES)
def test_round_trip(value: Any):
    """Decoding gives an equal value of the same types; encoding that gives the same text."""
    payload = CONVERTER.encode(value, "value")

    back = CONVERTER.decode(payload)

    assert isinstance(payload, str)
    json.loads(payload)
    assert shape(back) == shape(value)
    assert CONVERTER.encode(back, "value") == payload


@given(VALUES)
def test_pass_through(value: Any):
    """Code that knows none of the classes passes a value on unchanged."""
    payload = CONVERTER.encode(value, "value")

    assert STRANGER.encode(STRANGER.decode(payload), "value") == payload


@given(VALUES)
def test_round_trip_as_part_of_a_pickle(value: Any):
    """A value that shares a container with one that JSON has no form for survives, too."""
    payload = CONVERTER.encode([value, bytearray, ...], "value")

    assert isinstance(payload, Blob)
    assert shape(CONVERTER.decode(payload)[0]) == shape(value)


@given(st.binary(), st.binary(min_size=1), st.sampled_from(["pickle", "dill"]))
def test_signatures(data: bytes, other: bytes, codec: str):
    """A signature holds for its own data only."""
    signed = SIGNER.sign(codec, data)

    assert SIGNER.verify(Blob(codec=codec, data=signed)) == data
    for changed in (signed + other, other + signed):
        with pytest.raises(DecodingError, match="not signed with your key"):
            SIGNER.verify(Blob(codec=codec, data=changed))
