"""Values as payloads: JSON with tags, Arrow, pickle and dill; signatures; errors."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import io
import math
import pathlib
import pickle
import sys
import types
import uuid
import zoneinfo
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ipydurable.runtime.codecs import NamespaceConverter, UnknownClassError
from ipydurable.runtime.core.errors import DecodingError, EncodingError
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.serialization import (
    CallArguments,
    StandIn,
    decode_json,
    encode_json,
)
from ipydurable.runtime.stubs import Stub
from tests.unit.samples import (
    HOME,
    SIGNER,
    CodeError,
    Color,
    Frozen,
    Holder,
    Level,
    Pair,
    Permission,
    Plain,
    Point,
    WithState,
    helper,
    incomplete,
    marked,
    namespace,
)
from tests.unit.samples import Point as SamplePoint


@pytest.fixture
def converter() -> NamespaceConverter:
    """A converter that knows the classes here."""
    return NamespaceConverter(namespace(), SIGNER)


@pytest.fixture
def stranger() -> NamespaceConverter:
    """A converter for code of the same module that knows none of its names."""
    return NamespaceConverter({"__name__": HOME}, SIGNER)


NOW = dt.datetime(2026, 11, 21, 9, 30, 0, 123456)
JSON = [
    (None, "null"),
    (True, "true"),
    (3, "3"),
    (2**64 - 1, "18446744073709551615"),
    (2**64, '{"$int":"0x10000000000000000"}'),
    (-(2**63) - 1, '{"$int":"-0x8000000000000001"}'),
    (1.5, "1.5"),
    (math.inf, '{"$float":"inf"}'),
    ("Zürich", '"Zürich"'),
    ("$5", '"$5"'),
    ([1, [2]], "[1,[2]]"),
    ({"a": {"b": 1}}, '{"a":{"b":1}}'),
    ({}, "{}"),
    ({1: 2}, '{"$dict":[[1,2]]}'),
    ({"$tuple": [1]}, '{"$dict":[["$tuple",[1]]]}'),
    ({"a": 1, "$b": (2,)}, '{"$dict":[["a",1],["$b",{"$tuple":[2]}]]}'),
    ((1, (2,)), '{"$tuple":[1,{"$tuple":[2]}]}'),
    ({3, 1, 2}, '{"$set":[1,2,3]}'),
    (frozenset("ba"), '{"$frozenset":["a","b"]}'),
    ({frozenset({2}), frozenset({1})}, '{"$set":[{"$frozenset":[1]},{"$frozenset":[2]}]}'),
    (b"\x00\xff", '{"$bytes":"AP8="}'),
    (bytearray(b"x"), '{"$bytearray":"eA=="}'),
    (NOW, '{"$datetime":"2026-11-21T09:30:00.123456"}'),
    (NOW.replace(tzinfo=dt.UTC), '{"$datetime":"2026-11-21T09:30:00.123456+00:00"}'),
    (
        NOW.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Zurich"), fold=1),
        '{"$datetime":"2026-11-21T09:30:00.123456","zone":"Europe/Zurich","fold":1}',
    ),
    (dt.date(2026, 1, 2), '{"$date":"2026-01-02"}'),
    (dt.time(9, 30), '{"$time":"09:30:00"}'),
    (dt.timedelta(days=-1, seconds=2), '{"$timedelta":[-1,2,0]}'),
    (decimal.Decimal("1.10"), '{"$decimal":"1.10"}'),
    (uuid.UUID(int=5), '{"$uuid":"00000000-0000-0000-0000-000000000005"}'),
    (1 - 2j, '{"$complex":[1.0,-2.0]}'),
    (range(1, 9, 2), '{"$range":[1,9,2]}'),
    (Path("/tmp/x"), '{"$path":"/tmp/x"}'),
    (np.float32(0.5), '{"$numpy":["float32",0.5]}'),
    (np.int64(5), '{"$numpy":["int64",5]}'),
    (np.bool_(True), '{"$numpy":["bool",true]}'),
    (
        CallArguments((1, (2,)), {"$a": {3}}),
        '{"$args":[1,{"$tuple":[2]}],"$kwargs":{"$a":{"$set":[3]}}}',
    ),
    (Color.RED, '{"$enum":["MODULE:Color","RED"]}'),
    (Level.LOW, '{"$enum":["MODULE:Level","LOW"]}'),
    (Holder.Inner.A, '{"$enum":["MODULE:Holder.Inner","A"]}'),
    (Permission.READ, '{"$enum":["MODULE:Permission","READ"]}'),
    (Pair(1, (2,)), '{"$namedtuple":"MODULE:Pair","fields":{"left":1,"right":{"$tuple":[2]}}}'),
    (
        Point(1, [Frozen(("a",))]),
        (
            '{"$dataclass":"MODULE:Point","fields":{"x":1,"y":[{"$dataclass":"MODULE:Frozen",'
            '"fields":{"tags":{"$tuple":["a"]},"size":3}}]}}'
        ),
    ),
]


@pytest.mark.parametrize(("value", "text"), JSON, ids=[text for _, text in JSON])
def test_json(value: object, text: str, converter: NamespaceConverter):
    """What has an exact JSON form gets it, and comes back equal and of the same type."""
    payload = converter.encode(value, "value")

    assert payload == text.replace("MODULE", HOME)
    back = converter.decode(payload)
    assert back == value
    assert type(back) is type(value)


def test_negative_zero_and_nan_come_back(converter: NamespaceConverter):
    """Floats that equality cannot tell apart keep their bits."""
    back = converter.decode(converter.encode([-0.0, math.nan, complex(0.0, -0.0)], "value"))

    assert math.copysign(1, back[0]) == -1
    assert math.isnan(back[1])
    assert math.copysign(1, back[2].imag) == -1


PICKLED = [
    Plain([1]),
    {"deep": [Plain(Plain(2))]},
    Permission.READ | Permission.WRITE,
    WithState(4),
    collections.Counter("aab"),
    collections.deque([1], maxlen=3),
    ValueError("no"),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    dt.time(1, tzinfo=dt.UTC),
    pd.Timestamp("2026-01-01"),
    np.datetime64("2026-01-01"),
    np.arange(6).reshape(2, 3),
    "\ud800 a lone surrogate",
    pathlib.PurePosixPath("a"),
    Plain,
    len,
    types.SimpleNamespace(a=1),
    functools.partial(max, 3),
    incomplete(x=1, more=2),
    CodeError(3),
    marked(),
    np.longdouble(1.5),
    np.array(3),
    io.BytesIO(b"x"),
]


@pytest.mark.parametrize("value", PICKLED, ids=repr)
def test_pickled(value: object, converter: NamespaceConverter):
    """What JSON cannot give back exactly is pickled as a whole."""
    payload = converter.encode(value, "value")

    assert isinstance(payload, Blob)
    assert payload.codec == "pickle"
    back = converter.decode(payload)
    assert type(back) is type(value)
    assert pickle.dumps(back) == pickle.dumps(value) or repr(back) == repr(value)


def test_classes_are_those_of_the_namespace(converter: NamespaceConverter):
    """A value is an instance of the receiver's class of that name, as JSON and as a pickle."""
    mine = dataclasses.make_dataclass("Point", ["x", "y"])
    other = type("Plain", (), {"__module__": HOME})
    receiver = NamespaceConverter(namespace(Point=mine, Plain=other), SIGNER)

    assert type(receiver.decode(converter.encode(Point(1), "value"))) is mine
    assert type(receiver.decode(converter.encode([Plain(1)], "value"))[0]) is other


def test_exceptions_of_a_notebook_are_caught_by_class(converter: NamespaceConverter):
    """An exception class is found by name, so that `except MyError` catches what was stored."""
    kind = type("MyError", (ValueError,), {"__module__": "__main__"})
    sender = NamespaceConverter({"__name__": "__main__", "MyError": kind}, SIGNER)
    mine = type("MyError", (ValueError,), {"__module__": "__main__"})
    receiver = NamespaceConverter({"__name__": "__main__", "MyError": mine}, SIGNER)

    with pytest.raises(mine, match="no"):
        raise receiver.decode(sender.encode(kind("no"), "value"))


def test_a_durable_function_is_stored_as_a_name(converter: NamespaceConverter):
    """A definition as a value, also deep inside a pickle, means the receiver's definition."""
    fetch = Stub("activity", "fetch")
    receiver = NamespaceConverter(namespace(fetch=fetch), SIGNER)

    payload = converter.encode([fetch], "value")
    mixed = converter.encode([fetch, Plain(1)], "value")

    assert payload == '[{"$durable":["activity","fetch"]}]'
    assert receiver.decode(payload)[0] is fetch
    assert receiver.decode(mixed)[0] is fetch
    assert repr(converter.decode(mixed)[0]) == "<activity fetch>"


def test_functions_travel(converter: NamespaceConverter, stranger: NamespaceConverter):
    """A function is the receiver's own where it is known there, else a copy with what it needs."""
    payload = converter.encode(helper, "value")

    assert converter.decode(payload) is helper
    assert stranger.decode(payload)(1) == 11
    assert stranger.decode(converter.encode({"f": lambda x: 0 + helper(x)}, "value"))["f"](1) == 11


UNKNOWN = [
    Point(1, [Color.RED, Pair(1, 2)]),
    {"a": Color.RED},
    Plain(3),
    [Plain(3), 1],
    Plain,
    Frozen(("a",)),
]


@pytest.mark.parametrize("value", UNKNOWN, ids=repr)
def test_values_of_unknown_classes_pass_through(
    value, converter: NamespaceConverter, stranger: NamespaceConverter
):
    """Code that does not know a class can pass its values on, alone and among others."""
    held = stranger.decode(converter.encode(value, "value"))

    assert converter.decode(stranger.encode(held, "value")) == value
    assert converter.decode(stranger.encode([held, 1], "value")) == [value, 1]
    mixed = converter.decode(stranger.encode([held, io.BytesIO(b"x")], "value"))
    assert mixed[0] == value


def test_fields_of_unknown_classes_can_be_read(
    converter: NamespaceConverter, stranger: NamespaceConverter
):
    """A stand-in gives its fields, compares and prints; what needs the class says so."""
    held = stranger.decode(converter.encode(Point(1, Color.RED), "value"))

    assert (held.x, held.y.name) == (1, "RED")
    assert held == stranger.decode(converter.encode(Point(1, Color.RED), "value"))
    assert held != stranger.decode(converter.encode(Point(2, Color.RED), "value"))
    assert len({held, held}) == 1
    assert "Point (x=1, y=<Color.RED, class not known here>)" in repr(held)
    with pytest.raises(AttributeError, match=r"'moved' of its value .* name Point in the code"):
        held.moved()
    with pytest.raises(AttributeError, match="cannot be changed"):
        held.x = 2
    assert "Plain, class not known here" in repr(stranger.decode(converter.encode(Plain(1), "v")))


def test_a_strict_converter_refuses_unknown_classes(converter: NamespaceConverter):
    """Where a class must be known, the error names it and says what to do."""
    strict = NamespaceConverter({"__name__": "__main__"}, SIGNER, strict=True)
    lost = type("Lost", (), {"__module__": "__main__"})
    payloads = [
        NamespaceConverter({"__name__": "__main__"}, SIGNER).encode(lost(), "value"),
        '{"$enum":["__main__:Lost","A"]}',
    ]

    for payload in payloads:
        with pytest.raises(UnknownClassError, match="Lost is not known here: run the cell"):
            strict.decode(payload)


def test_a_class_that_grew_a_field(converter: NamespaceConverter):
    """Fields the class has got since are filled with their defaults."""

    @dataclasses.dataclass
    class Point:
        x: int
        y: object = None
        z: int = 7
        w: int = dataclasses.field(init=False, compare=False)
        tags: list = dataclasses.field(default_factory=list)

    receiver = NamespaceConverter(namespace(Point=Point), SIGNER)

    assert receiver.decode(converter.encode(SamplePoint(1), "value")) == Point(1)


def test_an_enum_member_that_has_gone(converter: NamespaceConverter):
    """The error names the member."""
    receiver = NamespaceConverter(namespace(Color=enum.Enum("Color", "GREEN")), SIGNER)

    with pytest.raises(DecodingError) as caught:
        receiver.decode(converter.encode(Color.RED, "value"))
    assert (caught.value.what, caught.value.reason) == (
        "Color.RED",
        "the enum has no such member now",
    )


def test_cycles_are_named():
    """A value that contains itself is refused with the path to the place."""
    value: dict = {"a": [1, 2]}
    value["a"].append(Point(3, value))

    with pytest.raises(EncodingError, match="contains itself") as caught:
        encode_json(value, "input of f", str)

    assert caught.value.path == "value['a'][2].y"


class Linked:
    """Known by itself, so that a set can hold what holds the set."""


@dataclasses.dataclass(eq=False)
class Node(Linked):
    links: object = None


def test_a_cycle_through_a_set_is_named_without_a_place_in_it():
    """What is in a set has no place there."""
    node = Node()
    node.links = {node}

    with pytest.raises(EncodingError) as caught:
        encode_json([node], "input of f", str)

    assert caught.value.where == "input of f"
    assert (caught.value.path, caught.value.type_name) == ("value[0].links", "Node")


def test_a_time_that_comes_twice_a_year_stays_the_second_one():
    for late in (dt.time(2, 30, fold=1), dt.datetime(2026, 10, 25, 2, 30, fold=1)):
        text = encode_json(late, "value", str)

        assert decode_json(text, lambda _module, _name: None).fold == 1


@dataclasses.dataclass
class Restoring:
    """Says itself how it is read again."""

    x: int = 0

    def __setstate__(self, state: dict) -> None:
        self.x = state["x"] + 1


def test_a_class_that_says_how_it_is_read_is_left_to_pickle():
    assert encode_json(Restoring(), "value", lambda _: "pickled") == "pickled"


class Short(tuple):
    """Has more names than values."""

    __slots__ = ()

    _fields = ("x", "y")


def test_a_tuple_whose_names_do_not_fit_is_left_to_pickle():
    assert encode_json(Short([1]), "value", lambda _: "pickled") == "pickled"


def test_deep_values_are_pickled(converter: NamespaceConverter):
    """Nesting deeper than JSON readers like is left to pickle."""
    value: list = []
    for _ in range(200):
        value = [value]

    assert converter.encode(value, "value").codec == "pickle"
    assert converter.decode(converter.encode(value, "value")) == value


def test_a_value_may_occur_twice(converter: NamespaceConverter):
    """The same object at two places is no cycle."""
    part = (1,)

    assert converter.decode(converter.encode([part, {"a": part}], "value")) == [part, {"a": part}]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"$new":1}', "a stored value"),
        ("{", "a stored value"),
        ('{"$datetime":"soon"}', "a stored datetime"),
        ('{"$enum":3}', "a stored enum"),
        ('{"$int":"x"}', "a stored int"),
        ('{"$numpy":[]}', "a stored numpy"),
    ],
)
def test_damaged_text_is_a_decoding_error(text: str, what: str, converter: NamespaceConverter):
    """Text that is no payload of ours is an error of ours, which says what it was."""
    with pytest.raises(DecodingError) as caught:
        converter.decode(text)
    assert caught.value.what == what
    assert caught.value.reason not in ("", "None")


def test_text_cannot_call_what_is_no_class_of_its_kind(converter: NamespaceConverter):
    """Text that names something else than it should is refused, and nothing of it is called."""
    fields = '"fields":{"args":["false"]}}'
    for text, name, what in (
        ('{"$namedtuple":"subprocess:Popen",' + fields, "subprocess:Popen", "a named tuple"),
        ('{"$dataclass":"subprocess:Popen",' + fields, "subprocess:Popen", "a dataclass"),
        ('{"$model":"subprocess:Popen","set":[],' + fields, "subprocess:Popen", "a pydantic model"),
        ('{"$enum":["os:environ","PATH"]}', "os:environ", "an enum"),
        ('{"$namedtuple":"os:getcwd","fields":{}}', "os:getcwd", "a named tuple"),
    ):
        with pytest.raises(DecodingError) as caught:
            converter.decode(text)
        assert caught.value.what == f"a value of {name}"
        assert caught.value.reason == f"that is not {what} now"


def test_a_module_is_imported_only_where_that_is_allowed(tmp_path: Path, monkeypatch):
    """Reading a store from elsewhere runs no module that was not loaded anyway."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_by_text.py").write_text("import enum\nC = enum.Enum('C', 'A')\n")
    text = '{"$enum":["imported_by_text:C","A"]}'

    assert isinstance(NamespaceConverter({}, SIGNER, may_import=False).decode(text), StandIn)
    assert "imported_by_text" not in sys.modules
    assert NamespaceConverter({}, SIGNER).decode(text).name == "A"
    assert isinstance(
        NamespaceConverter({}, SIGNER).decode('{"$enum":["no_module:C","A"]}'), StandIn
    )
    del sys.modules["imported_by_text"]


def test_an_object_with_a_field_less_is_pickled(converter: NamespaceConverter):
    """A dataclass object that lacks a field comes back without it."""
    assert vars(converter.decode(converter.encode(incomplete(), "value"))) == {"y": None}


def test_classes_made_in_functions_travel_by_value(converter: NamespaceConverter):
    """An instance of a class without a name that can be looked up takes its class along."""

    @dataclasses.dataclass
    class Record:
        x: int

    payload = converter.encode(Record(1), "value")

    assert payload.codec == "dill"
    assert converter.decode(payload).x == 1


def test_numpy_may_be_missing():
    """A number of numpy cannot be rebuilt without it; the error says so."""
    with pytest.raises(DecodingError, match="numpy is not installed"):
        decode_json('{"$numpy":["int64",1]}', lambda _module, _name: None)


def test_only_durable_names_need_a_resolver():
    """A payload that names a definition cannot be read where there are none."""
    with pytest.raises(DecodingError, match="activity fetch"):
        decode_json('{"$durable":["activity","fetch"]}', lambda _module, _name: None)


def test_pydantic_models(converter: NamespaceConverter):
    """Models keep values, and which of them were set, without being validated again."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Order", n=(int, 3), when=(dt.date | None, None))
    model.__module__ = HOME
    known = NamespaceConverter(namespace(Order=model), SIGNER)
    value = model(when=dt.date(2026, 1, 1))

    payload = known.encode(value, "value")

    assert '"$model"' in payload
    back = known.decode(payload)
    assert back == value
    assert back.model_fields_set == {"when"}
    assert back.model_extra is None
    held = NamespaceConverter({"__name__": HOME}, SIGNER).decode(payload)
    assert isinstance(held, StandIn)
    assert held.n == 3
    assert known.encode(held, "value") == payload


def test_pydantic_models_inside_each_other_are_no_cycle():
    pydantic = pytest.importorskip("pydantic")
    inner = pydantic.create_model("Inner", n=(int, 3))
    outer = pydantic.create_model("Outer", inner=(inner, ...))
    for model in (inner, outer):
        model.__module__ = HOME
    known = NamespaceConverter(namespace(Inner=inner, Outer=outer), SIGNER)
    value = outer(inner=inner(n=5))

    payload = known.encode(value, "value")

    assert isinstance(payload, str)
    assert known.decode(payload) == value


def test_pydantic_models_with_more_than_fields_are_pickled():
    """Extra attributes of a model are not lost."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Order", __config__={"extra": "allow"}, n=(int, 3))
    model.__module__ = HOME
    known = NamespaceConverter(namespace(Order=model), SIGNER)
    value = model(more="x")

    payload = known.encode(value, "value")

    assert payload.codec == "pickle"
    assert known.decode(payload) == value


def test_pydantic_models_with_private_attributes_are_pickled():
    """They are no fields, and would be lost."""
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):
        n: int = 3
        _seen: int = 1

    Order.__module__, Order.__qualname__ = HOME, "Order"
    known = NamespaceConverter(namespace(Order=Order), SIGNER)
    value = Order()
    value._seen = 7

    payload = known.encode(value, "value")

    assert not isinstance(payload, str)
    assert known.decode(payload)._seen == 7
