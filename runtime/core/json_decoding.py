"""JSON text back to values; `serialization` says how they are written."""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from .errors import DecodingError
from .special_values import CallArguments, StandIn

__all__ = ["ResolveClass", "ResolveDurable", "decode_json"]

ResolveClass = Callable[[str, str], Any]
"""Gives the class of a module and qualified name; None to keep its values as `StandIn`."""

ResolveDurable = Callable[[str, str], Any]
"""Gives the durable definition of a kind and name."""

_load = msgspec.json.Decoder().decode


def decode_json(
    text: str, resolve_class: ResolveClass, resolve_durable: ResolveDurable | None = None
) -> Any:
    """Return the value of JSON text that `encode_json` made.

    Args:
        text: The JSON text.
        resolve_class: Gives the classes it names.
        resolve_durable: Gives the durable definitions it names, if any.

    Raises:
        DecodingError: The text is damaged, or names what is not known here.
    """
    try:
        value = _load(text)
    except msgspec.DecodeError as error:
        raise DecodingError("a stored value", f"its JSON text is damaged ({error})") from error
    if '"$' not in text:
        return value
    return _Decoder(resolve_class, resolve_durable).decode(value)


class _Decoder:
    """Makes a value of what msgspec read."""

    def __init__(self, resolve_class: ResolveClass, resolve_durable: ResolveDurable | None) -> None:
        self._resolve_class = resolve_class
        self._resolve_durable = resolve_durable

    def decode(self, value: Any) -> Any:
        """Return the value of a JSON form."""
        kind = type(value)
        if kind is list:
            return [self.decode(part) for part in value]
        if kind is not dict or not value:
            return value
        tag = next(iter(value))
        if tag[:1] != "$":
            return {key: self.decode(part) for key, part in value.items()}
        decode = _DECODERS.get(tag)
        if decode is None:
            raise DecodingError("a stored value", f"its form {tag} is not known to this version")
        try:
            return decode(self, value)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DecodingError(f"a stored {tag[1:]}", f"{error}") from error

    def resolve(self, name: str) -> Any:
        """Return the class of a name, or None where its values are kept as stand-ins."""
        module, _, qualname = name.partition(":")
        return self._resolve_class(module, qualname)

    def durable(self, kind: str, name: str) -> Any:
        """Return a durable definition."""
        if self._resolve_durable is None:
            raise DecodingError(f"a reference to the {kind} {name}", "there is none here")
        return self._resolve_durable(kind, name)


def _decode_datetime(_: _Decoder, value: dict[str, Any]) -> datetime:
    moment = datetime.fromisoformat(value["$datetime"])
    zone = value.get("zone")
    if zone is not None:
        from zoneinfo import ZoneInfo

        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.replace(fold=value.get("fold", 0))


def _decode_arguments(decoder: _Decoder, value: dict[str, Any]) -> CallArguments:
    kwargs = {key: decoder.decode(part) for key, part in value["$kwargs"].items()}
    return CallArguments(tuple(decoder.decode(value["$args"])), kwargs)


def _not_a(what: str, name: str) -> DecodingError:
    # Text is not signed as pickles are: it must not be able to call just anything.
    return DecodingError(f"a value of {name}", f"that is not {what} now")


def _decode_enum(decoder: _Decoder, value: dict[str, Any]) -> Any:
    name, member = value["$enum"]
    cls = decoder.resolve(name)
    if cls is None:
        return StandIn("$enum", name, member)
    if not isinstance(cls, enum.EnumMeta):
        raise _not_a("an enum", name)
    try:
        return cls[member]
    except KeyError:
        raise DecodingError(f"{cls.__name__}.{member}", "the enum has no such member now") from None


def _decode_dataclass(decoder: _Decoder, value: dict[str, Any]) -> Any:
    name = value["$dataclass"]
    stored = {key: decoder.decode(part) for key, part in value["fields"].items()}
    cls = decoder.resolve(name)
    if cls is None:
        return StandIn("$dataclass", name, stored)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise _not_a("a dataclass", name)
    made = object.__new__(cls)
    known = getattr(cls, "__dataclass_fields__", {})
    for key, part in stored.items():
        object.__setattr__(made, key, part)
    for key in known.keys() - stored.keys():  # the class has got a field since
        if known[key].default is not dataclasses.MISSING:
            object.__setattr__(made, key, known[key].default)
        elif known[key].default_factory is not dataclasses.MISSING:
            object.__setattr__(made, key, known[key].default_factory())
    return made


def _decode_namedtuple(decoder: _Decoder, value: dict[str, Any]) -> Any:
    name = value["$namedtuple"]
    stored = {key: decoder.decode(part) for key, part in value["fields"].items()}
    cls = decoder.resolve(name)
    if cls is None:
        return StandIn("$namedtuple", name, stored)
    if not (isinstance(cls, type) and issubclass(cls, tuple)):
        raise _not_a("a named tuple", name)
    return tuple.__new__(cls, [stored[field] for field in cls._fields])  # type: ignore[attr-defined]


def _decode_model(decoder: _Decoder, value: dict[str, Any]) -> Any:
    name = value["$model"]
    stored = {key: decoder.decode(part) for key, part in value["fields"].items()}
    cls = decoder.resolve(name)
    if cls is None:
        return StandIn("$model", name, stored, {"set": value["set"]})
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not (isinstance(cls, type) and issubclass(cls, pydantic.BaseModel)):
        raise _not_a("a pydantic model", name)
    made: Any = object.__new__(cls)
    # As pydantic's own unpickling: nothing is validated again, defaults stay unset.
    made.__setstate__(
        {
            "__dict__": stored,
            "__pydantic_fields_set__": set(value["set"]),
            "__pydantic_extra__": None,
            "__pydantic_private__": None,
        }
    )
    return made


def _decode_numpy(decoder: _Decoder, value: dict[str, Any]) -> Any:
    name, item = value["$numpy"]
    dtype = decoder.resolve("numpy:dtype")
    if dtype is None:
        raise DecodingError(f"a numpy {name}", "numpy is not installed in the Python that reads it")
    return dtype(name).type(decoder.decode(item))


_DECODERS: dict[str, Callable[[_Decoder, dict[str, Any]], Any]] = {
    "$int": lambda _, value: int(value["$int"], 16),
    "$float": lambda _, value: float(value["$float"]),
    "$tuple": lambda self, value: tuple(self.decode(value["$tuple"])),
    "$set": lambda self, value: set(self.decode(value["$set"])),
    "$frozenset": lambda self, value: frozenset(self.decode(value["$frozenset"])),
    "$dict": lambda self, value: {
        self.decode(key): self.decode(part) for key, part in value["$dict"]
    },
    "$bytes": lambda _, value: base64.b64decode(value["$bytes"]),
    "$bytearray": lambda _, value: bytearray(base64.b64decode(value["$bytearray"])),
    "$datetime": _decode_datetime,
    "$date": lambda _, value: date.fromisoformat(value["$date"]),
    "$time": lambda _, value: time.fromisoformat(value["$time"]).replace(fold=value.get("fold", 0)),
    "$timedelta": lambda _, value: timedelta(*value["$timedelta"]),
    "$decimal": lambda _, value: Decimal(value["$decimal"]),
    "$uuid": lambda _, value: UUID(value["$uuid"]),
    "$complex": lambda self, value: complex(*self.decode(value["$complex"])),
    "$range": lambda self, value: range(*self.decode(value["$range"])),
    "$path": lambda self, value: self.resolve("pathlib:Path")(value["$path"]),
    "$args": _decode_arguments,
    "$enum": _decode_enum,
    "$dataclass": _decode_dataclass,
    "$namedtuple": _decode_namedtuple,
    "$model": _decode_model,
    "$numpy": _decode_numpy,
    "$durable": lambda self, value: self.durable(*value["$durable"]),
}
