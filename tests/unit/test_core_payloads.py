"""Corners of payloads: what JSON has no form for, and what stands for unknown classes."""

from __future__ import annotations

import base64
import copyreg
import pickle
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.errors import DecodingError
from ipydurable.runtime.core.payload import (
    Blob,
    FileRef,
    Payload,
    digests_in,
    digests_in_json,
    file_blob,
    files_folder,
    ref_of,
)
from ipydurable.runtime.core.serialization import decode_json, encode_json
from ipydurable.runtime.core.special_values import StandIn, blob_of

BLOB = Blob(codec="pickle", data=b"x", summary="a Point")


@dataclass
class PlainPoint:
    """A dataclass like any other."""

    x: int


@dataclass
class ReducedPoint:
    """A dataclass whose pickle is its own business."""

    x: int

    def __reduce__(self) -> Any:
        return ReducedPoint, (self.x + 1,)


@dataclass
class ExtendedPoint:
    """The same by the other protocol."""

    x: int

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copyreg.__newobj__, (ExtendedPoint,), {"x": self.x}  # type: ignore[attr-defined]


def encode(value: Any) -> Any:
    return encode_json(value, "value", lambda _: BLOB)


class TestFallback:
    @pytest.mark.parametrize("value", ["\ud800", ["a", "\udfff"], {"\ud800": 1}, ("\ud800",)])
    def test_text_that_is_no_unicode_is_handed_on(self, value: Any) -> None:
        """Python allows half a surrogate pair, which `os.listdir` may give; UTF-8 does not."""
        assert encode(value) is BLOB

    @pytest.mark.parametrize("value", [ReducedPoint(1), ExtendedPoint(1)])
    def test_a_class_that_pickles_its_own_way_is_handed_on(self, value: Any) -> None:
        assert encode(value) is BLOB
        assert encode([value]) is BLOB
        assert type(pickle.loads(pickle.dumps(value))) is type(value)


def test_the_classes_that_a_text_names_are_told() -> None:
    """Captured values must bring them along; text that was handed on names none."""
    reached: list[Any] = []
    encode_json([PlainPoint(1), {"a": PlainPoint(2)}], "value", lambda _: BLOB, reached)
    assert reached == [PlainPoint, PlainPoint]
    encode_json([PlainPoint(1), ReducedPoint(1)], "value", lambda _: BLOB, reached)
    assert reached == [PlainPoint, PlainPoint]


class TestStandIns:
    dataclass_value = StandIn("$dataclass", "m:Point", {"x": 1})
    enum_value = StandIn("$enum", "m:Color", "RED")
    blob_value = StandIn("$blob", "m:Plain", BLOB)

    def test_fields_and_names_can_be_read(self) -> None:
        assert self.dataclass_value.x == 1
        assert self.enum_value.name == "RED"

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (dataclass_value, "y"),
            (dataclass_value, "name"),
            (enum_value, "value"),
            (blob_value, "x"),
            (blob_value, "name"),
        ],
    )
    def test_anything_else_says_what_is_missing_and_how_to_get_it(
        self, value: StandIn, name: str
    ) -> None:
        short = value._class_name.removeprefix("m:")
        with pytest.raises(AttributeError) as refused:
            getattr(value, name)
        assert str(refused.value) == (
            f"the class {short} is not known to this code, so {name!r} of its value cannot be "
            f"used: name {short} in the code that uses it, for example in a type hint"
        )
        assert not hasattr(value, "__len__")

    def test_they_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError) as refused:
            self.dataclass_value.x = 2
        assert str(refused.value) == (
            "the class Point is not known to this code, so its value cannot be changed"
        )

    def test_they_are_equal_where_what_they_stand_for_was_stored_equal(self) -> None:
        same = StandIn("$dataclass", "m:Point", {"x": 1})
        assert same == self.dataclass_value
        assert hash(same) == hash(self.dataclass_value)
        assert self.enum_value != self.dataclass_value
        assert self.dataclass_value != {"x": 1}

    def test_their_text_says_what_they_are(self) -> None:
        shown = [repr(one) for one in (self.dataclass_value, self.enum_value, self.blob_value)]
        assert shown == [
            "<Point (x=1), class not known here>",
            "<Color.RED, class not known here>",
            "<Plain, class not known here>",
        ]

    @pytest.mark.parametrize("value", [dataclass_value, enum_value])
    def test_they_are_passed_on_as_they_came(self, value: StandIn) -> None:
        text = encode([value])
        assert decode_json(text, lambda _module, _name: None) == [value]

    def test_only_one_that_stands_for_a_blob_has_one(self) -> None:
        assert blob_of(self.blob_value) is BLOB
        for other in (self.dataclass_value, self.enum_value, BLOB, None):
            assert blob_of(other) is None
        assert encode([self.blob_value]) is BLOB, "part of a whole, it must be stored anew"


def _file_payload(digest: str = "0" * 64) -> Blob:
    return file_blob(FileRef(digest=digest, size=7, form="arrow"), "DataFrame 1 x 1")


def test_a_file_is_named_by_content_and_form() -> None:
    payload = _file_payload()
    ref = ref_of(payload)
    assert ref is not None
    assert ref.file_name == "0" * 64 + ".arrow"
    assert payload.summary == "DataFrame 1 x 1"
    assert files_folder("/data/orders.duckdb") == "/data/orders.duckdb.files"


@pytest.mark.parametrize("payload", ['"file"', Blob(codec="arrow", data=b"file")])
def test_other_payloads_name_no_file(payload: Payload) -> None:
    assert ref_of(payload) is None


@pytest.mark.parametrize(
    "named",
    [
        {"digest": "../../home/me/secret", "size": 7, "form": "npy"},
        {"digest": "/" + "0" * 63, "size": 7, "form": "arrow"},
        {"digest": "0" * 64 + "\n", "size": 7, "form": "arrow"},
        {"digest": "0" * 64, "size": 7, "form": "arrow/../../secret"},
        "no reference",
    ],
)
def test_a_store_from_elsewhere_cannot_name_files_outside_its_folder(named: object) -> None:
    data = msgspec.json.encode(named)
    for summary, what in (("", "the stored value"), ("frame 1 x 1", "the stored frame 1 x 1")):
        with pytest.raises(DecodingError, match="names no file of a store") as refused:
            ref_of(Blob(codec="file", data=data, summary=summary))
        assert refused.value.what == what


def test_files_are_found_in_bytes_and_in_the_json_of_an_event() -> None:
    one, other = "1" * 64, "2" * 64
    inside = _file_payload(one).data + b" and " + _file_payload(other).data
    assert digests_in(inside) == {one, other}
    as_json = msgspec.json.encode({"state": Blob(codec="pickle", data=inside)}).decode()
    assert digests_in_json(as_json) == {one, other}
    apart = msgspec.json.encode([_file_payload(one), _file_payload(other)]).decode()
    assert digests_in_json(apart) == {one, other}


def test_what_only_looks_like_bytes_is_passed_over() -> None:
    assert digests_in_json('{"data":"abc"}') == set()
    named = base64.b64encode(_file_payload().data).decode().rstrip("=")
    assert digests_in_json(f'{{"data":"{named}=x=="}}') == set()
    assert digests_in(b"nothing") == set()
