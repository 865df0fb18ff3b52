"""Values as JSON text: exactly, or not at all.

What plain JSON has no form for is written as an object whose first key begins with `$`:
`{"$tuple": [1, 2]}`, `{"$datetime": "2026-11-21T09:30:00"}`,
`{"$dataclass": "__main__:Point", "fields": {"x": 1}}`. A user's own dict with such a key, or with
keys that are no text, becomes `{"$dict": [[key, value], ...]}`. Classes are named
`module:qualified name`; the module of notebook cells is `__main__`.

A value that JSON cannot give back exactly, or that contains one, is handed whole to a fallback.
Values that are equal come back equal; whether two parts were one object is not kept.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from .errors import EncodingError
from .json_decoding import ResolveClass, ResolveDurable, decode_json
from .payload import Payload
from .special_values import CallArguments, StandIn

__all__ = [
    "CallArguments",
    "ResolveClass",
    "ResolveDurable",
    "StandIn",
    "class_name",
    "decode_json",
    "encode_json",
]

_MAX_DEPTH: Final = 100
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_BUILTIN_BASES: Final = (str, bytes, int, float, complex, tuple, list, dict, set, frozenset)


class _NotJsonError(Exception):
    """The value, or a part of it, has no exact JSON form."""


def encode_json(
    value: Any,
    where: str,
    fallback: Callable[[Any], Payload],
    reached: list[Any] | None = None,
) -> Payload:
    """Return the payload of `value`: JSON text, or what the fallback gives.

    Args:
        value: Any Python value.
        where: What the value is, for the message of an error.
        fallback: Encodes the whole value where JSON cannot.
        reached: The classes that the text names are appended to it.

    Raises:
        EncodingError: The value contains itself; names the path.
    """
    try:
        if _is_plain(value, 0):
            return _dump(value)
        encoder = _Encoder(where)
        text = _dump(encoder.encode(value))
    except (_NotJsonError, UnicodeEncodeError):
        return fallback(value)
    if reached is not None:
        reached.extend(encoder.reached)
    return text


def class_name(cls: Any) -> str:
    """Return how a class or function is named in a payload, `module:qualified name`."""
    return f"{cls.__module__}:{cls.__qualname__}"


_json_encoder = msgspec.json.Encoder()


def _dump(value: Any) -> str:
    return _json_encoder.encode(value).decode()


def _is_plain(value: Any, depth: int) -> bool:
    """Whether JSON gives the value back as it is, without any tag."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(_MIN_INT <= value <= _MAX_INT)
    if kind is float:
        return bool(value - value == 0.0)  # neither infinite nor a NaN
    if depth == _MAX_DEPTH:
        return False
    if kind is dict:
        for key, part in value.items():
            if type(key) is not str or key[:1] == "$" or not _is_plain(part, depth + 1):
                return False
        return True
    if kind is list:
        return all(_is_plain(part, depth + 1) for part in value)
    return False


class _Encoder:
    """Makes what msgspec can write of one value."""

    def __init__(self, where: str) -> None:
        self.reached: list[Any] = []
        self._where = where
        self._path: list[tuple[str, Any]] = []
        self._ancestors: set[int] = set()

    def encode(self, value: Any) -> Any:
        """Return the JSON form of a value; raises `_NotJsonError` if there is none."""
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        encode = _ENCODERS.get(kind)
        return self._instance(value, kind) if encode is None else encode(self, value)

    def parts(self, owner: Any, template: str, pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
        """Encode the parts of a container.

        Args:
            owner: The container.
            template: How a part is reached, to be formatted with its key.
            pairs: Key and part of each.
        """
        if id(owner) in self._ancestors:
            raise self._cycle(owner)
        if len(self._ancestors) == _MAX_DEPTH:
            raise _NotJsonError
        self._ancestors.add(id(owner))
        encoded = []
        for key, part in pairs:
            self._path.append((template, key))
            encoded.append(self.encode(part))
            self._path.pop()
        self._ancestors.discard(id(owner))
        return encoded

    def fields(self, owner: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """Encode attributes by name."""
        return dict(zip(fields, self.parts(owner, ".{}", fields.items()), strict=True))

    def name(self, cls: Any) -> str:
        """Return the name of a class, which must be one that can be looked up."""
        if "<" in cls.__qualname__:
            raise _NotJsonError
        self.reached.append(cls)
        return class_name(cls)

    def _cycle(self, owner: Any) -> EncodingError:
        steps = "".join(template.format(key) for template, key in self._path)
        return EncodingError(
            self._where,
            f"value{steps}",
            type(owner).__name__,
            "contains itself. Leave the link back out, or refer by a name or number instead.",
        )

    def _instance(self, value: Any, kind: type) -> Any:
        if kind is StandIn:
            return _encode_stand_in(self, value)
        if isinstance(value, enum.Enum):
            return _encode_enum(self, value)
        if isinstance(value, tuple):
            return _encode_namedtuple(self, value)
        if dataclasses.is_dataclass(kind):
            return _encode_dataclass(self, value)
        if kind.__module__ == "numpy":
            return _encode_numpy(self, value)
        if kind.__module__.partition(".")[0] == "pathlib":
            return _encode_path(value)
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and isinstance(value, pydantic.BaseModel):
            return _encode_model(self, value)
        durable = getattr(value, "__durable_kind__", None), getattr(value, "__durable_name__", None)
        if type(durable[0]) is str and type(durable[1]) is str:
            return {"$durable": list(durable)}
        raise _NotJsonError


def _encode_int(_: _Encoder, value: int) -> Any:
    return value if _MIN_INT <= value <= _MAX_INT else {"$int": hex(value)}


def _encode_float(_: _Encoder, value: float) -> Any:
    return value if value - value == 0.0 else {"$float": repr(value)}


def _encode_list(encoder: _Encoder, value: list[Any]) -> Any:
    return encoder.parts(value, "[{!r}]", enumerate(value))


def _encode_tuple(encoder: _Encoder, value: tuple[Any, ...]) -> Any:
    return {"$tuple": encoder.parts(value, "[{!r}]", enumerate(value))}


def _encode_set(encoder: _Encoder, value: set[Any] | frozenset[Any]) -> Any:
    # Sorted by text, as the order of a set differs from process to process.
    items = encoder.parts(value, "", ((None, item) for item in value))
    return {f"${type(value).__name__}": sorted(items, key=_dump)}


def _encode_dict(encoder: _Encoder, value: dict[Any, Any]) -> Any:
    items = encoder.parts(value, "[{!r}]", value.items())
    if all(type(key) is str and key[:1] != "$" for key in value):
        return dict(zip(value, items, strict=True))
    keys = [encoder.encode(key) for key in value]
    return {"$dict": [list(pair) for pair in zip(keys, items, strict=True)]}


def _encode_bytes(_: _Encoder, value: bytes | bytearray) -> Any:
    return {f"${type(value).__name__}": base64.b64encode(value).decode()}


def _encode_datetime(_: _Encoder, value: datetime) -> Any:
    zone = value.tzinfo
    fold = {"fold": 1} if value.fold else {}
    if zone is None or _is_offset_only(zone):
        return {"$datetime": value.isoformat(), **fold}
    key = getattr(zone, "key", None)
    if type(zone).__module__ == "zoneinfo" and key:
        return {"$datetime": value.replace(tzinfo=None).isoformat(), "zone": key, **fold}
    raise _NotJsonError


def _is_offset_only(zone: tzinfo) -> bool:
    """Whether a time zone is one that ISO 8601 gives back, not one with a name of its own."""
    if type(zone) is not timezone:
        return False
    return zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)


def _encode_time(_: _Encoder, value: time) -> Any:
    if value.tzinfo is not None:
        raise _NotJsonError
    return {"$time": value.isoformat(), **({"fold": 1} if value.fold else {})}


def _encode_arguments(encoder: _Encoder, value: CallArguments) -> Any:
    kwargs = encoder.parts(value.kwargs, ".kwargs[{!r}]", value.kwargs.items())
    return {
        "$args": encoder.parts(value.args, ".args[{!r}]", enumerate(value.args)),
        "$kwargs": dict(zip(value.kwargs, kwargs, strict=True)),
    }


_ENCODERS: dict[type, Callable[[_Encoder, Any], Any]] = {
    int: _encode_int,
    float: _encode_float,
    list: _encode_list,
    dict: _encode_dict,
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_set,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    datetime: _encode_datetime,
    time: _encode_time,
    date: lambda _, value: {"$date": value.isoformat()},
    timedelta: lambda _, value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda _, value: {"$decimal": str(value)},
    UUID: lambda _, value: {"$uuid": str(value)},
    complex: lambda self, value: {"$complex": [self.encode(value.real), self.encode(value.imag)]},
    range: lambda self, value: {
        "$range": [self.encode(part) for part in (value.start, value.stop, value.step)]
    },
    CallArguments: _encode_arguments,
}


def _encode_stand_in(encoder: _Encoder, value: StandIn) -> Any:
    if value._tag == "$enum":
        return {"$enum": [value._class_name, value._data]}
    if value._tag == "$blob":
        raise _NotJsonError
    fields = encoder.fields(value, value._data)
    return {value._tag: value._class_name, "fields": fields, **value._extra}


def _encode_enum(encoder: _Encoder, value: enum.Enum) -> Any:
    kind = type(value)
    if kind.__members__.get(value._name_) is not value:  # a combination of flags, for one
        raise _NotJsonError
    return {"$enum": [encoder.name(kind), value._name_]}


def _encode_namedtuple(encoder: _Encoder, value: tuple[Any, ...]) -> Any:
    names = getattr(value, "_fields", None)
    if type(names) is not tuple or len(names) != len(value) or getattr(value, "__dict__", None):
        raise _NotJsonError
    fields = dict(zip(names, value, strict=True))
    return {"$namedtuple": encoder.name(type(value)), "fields": encoder.fields(value, fields)}


def _encode_dataclass(encoder: _Encoder, value: Any) -> Any:
    kind = type(value)
    if isinstance(value, (BaseException, *_BUILTIN_BASES)) or _pickles_its_own_way(kind):
        raise _NotJsonError
    names = [field.name for field in dataclasses.fields(value)]
    if getattr(value, "__dict__", {}).keys() - set(names):
        raise _NotJsonError
    try:
        fields = {name: getattr(value, name) for name in names}
    except AttributeError:
        raise _NotJsonError from None
    return {"$dataclass": encoder.name(kind), "fields": encoder.fields(value, fields)}


def _pickles_its_own_way(kind: Any) -> bool:
    """Whether a class says how it is stored, which attributes alone then do not."""
    if kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__:
        return True
    return any(
        getattr(kind, name, None) is not getattr(object, name, None)
        # What @dataclass(slots=True, frozen=True) adds stores the fields, as we do.
        and not getattr(kind, name).__name__.startswith("_dataclass_")
        for name in ("__getstate__", "__setstate__")
    )


def _encode_model(encoder: _Encoder, value: Any) -> Any:
    more = getattr(value, "__pydantic_extra__", None), getattr(value, "__pydantic_private__", None)
    # A model of pydantic 1 has no `__pydantic_fields_set__`.
    if any(more) or not hasattr(value, "__pydantic_fields_set__"):
        raise _NotJsonError
    return {
        "$model": encoder.name(type(value)),
        "fields": encoder.fields(value, value.__dict__),
        "set": sorted(value.__pydantic_fields_set__),
    }


def _encode_numpy(encoder: _Encoder, value: Any) -> Any:
    dtype = getattr(value, "dtype", None)
    if dtype is None or type(value) is not dtype.type:  # an array, for one
        raise _NotJsonError
    if dtype.kind not in "biuf" or dtype.itemsize > 8:  # noqa: PLR2004  (bytes of a float64)
        raise _NotJsonError
    return {"$numpy": [dtype.name, encoder.encode(value.item())]}


def _encode_path(value: Any) -> Any:
    name = type(value).__name__
    if name in ("PosixPath", "WindowsPath"):
        return {"$path": str(value)}
    raise _NotJsonError
