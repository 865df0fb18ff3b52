"""What orchestrator code says of a form, and what becomes of that in its history. Pure."""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from .asked_forms import AskedField, AskedForm, Choice, FieldKind, Scalar
from .form_answers import plain_value, value_of
from .form_errors import FormError
from .serialization import class_name

__all__ = ["Field", "Form", "asked_form"]

_MISSING: Any = dataclasses.MISSING
_NEEDED: Any = type("Needed", (), {"__repr__": lambda _: "NEEDED"})()
_SCALARS = (str, int, float, bool)
_KINDS: dict[Any, FieldKind] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    date: "date",
}
_FORMS = (
    "a form is a dict of field names and their types, choices or defaults, a list of choices, "
    "a dataclass, or Form(...) of one of these"
)
_TYPES = (
    "a field is a str, int, float, bool, date, Enum, Literal or Optional of these, a list of "
    "choices, a default, or Field(...)"
)


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a form, where more is to be said than its type.

    Attributes:
        type: `str`, `int`, `float`, `bool`, `date`, an `Enum`, a `Literal`, an `Optional` of
            these, or a list of choices.
        default: What it is unless somebody says otherwise; left out: it must be filled in.
        label: What people read instead of its name.
        help: More about it, in words.
        minimum: The least number it takes.
        maximum: The greatest number it takes.
        long: Whether its text may have several lines.
    """

    type: Any = str
    default: Any = _NEEDED
    label: str = ""
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    long: bool = False


@dataclasses.dataclass(frozen=True)
class Form:
    """A form with words around it, for `ctx.wait_for_external_event(name, form=...)`.

    Attributes:
        fields: A dict of field names and their types, choices, defaults or `Field`s; a list of
            choices, each a button; or a dataclass.
        title: What it is about, in a line.
        text: More about it; shown as text, whatever it holds.
        submit: What its button says.
    """

    fields: Any
    title: str = ""
    text: str = ""
    submit: str = ""


def asked_form(form: Any, namespace: Mapping[str, Any] | None = None) -> AskedForm:
    """Return a form as plain data.

    Args:
        form: As `Form.fields`, or a `Form`.
        namespace: Names that annotations written as text may use.

    Raises:
        FormError: It is no form; names the field and says what may stand there.
    """
    if not isinstance(form, Form):
        form = Form(form)
    words = {"title": form.title, "text": form.text, "submit": form.submit}
    for what, said in words.items():
        if not isinstance(said, str):
            raise FormError("", f"its {what} is a {type(said).__name__}, not text")
    fields = form.fields
    made_of = ""
    if dataclasses.is_dataclass(fields) and isinstance(fields, type):
        asked = _dataclass_fields(fields, namespace)
        made_of = class_name(fields)
    elif isinstance(fields, Mapping):
        asked = tuple(_field(name, given) for name, given in fields.items())
    elif _is_choices(fields):
        asked = (_field("", fields),)
    else:
        raise FormError("", f"{fields!r} is none: {_FORMS}")
    if not asked:
        raise FormError("", f"it asks for nothing: {_FORMS}")
    return AskedForm(fields=asked, made_of=made_of, **words)


def _is_choices(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        or given is bool
        or isinstance(given, enum.EnumMeta)
        or get_origin(given) is Literal
    )


def _dataclass_fields(cls: type, namespace: Mapping[str, Any] | None) -> tuple[AskedField, ...]:
    if "<" in cls.__qualname__:
        raise FormError(
            "", f"the dataclass {cls.__name__} is defined inside a function: move it out"
        )
    try:
        hints = typing.get_type_hints(cls, localns=dict(namespace or {}))
    except NameError as error:
        raise FormError(
            "", f"a type of the dataclass {cls.__name__} is not known: {error}"
        ) from None
    asked = []
    for one in dataclasses.fields(cls):
        default: Any = one.default
        make: Any = one.default_factory
        if make is not _MISSING:
            default = make()
        if one.init:
            said = {key: one.metadata[key] for key in _SAID if key in one.metadata}
            given = _NEEDED if default is _MISSING else default
            asked.append(_field(one.name, Field(hints[one.name], given, **said)))
        elif default is _MISSING:
            raise FormError(one.name, "nobody can fill it in: it has init=False and no default")
    return tuple(asked)


_SAID = ("label", "help", "minimum", "maximum", "long")


def _field(name: Any, given: Any) -> AskedField:
    if not isinstance(name, str):
        raise FormError(repr(name), "the name of a field is text")
    field = given if isinstance(given, Field) else _bare(name, given)
    for what in ("label", "help"):
        if not isinstance(getattr(field, what), str):
            raise FormError(name, f"its {what} is not text")
    asked = _typed(name, field.type, is_optional=False)
    asked = msgspec.structs.replace(
        asked,
        label=field.label,
        help=field.help,
        minimum=_limit(name, field.minimum),
        maximum=_limit(name, field.maximum),
        is_long=bool(field.long),
    )
    if field.default is _NEEDED:
        return asked
    if field.default is None:
        return msgspec.structs.replace(asked, is_optional=True)
    return msgspec.structs.replace(asked, default=_default(asked, field.default))


def _bare(name: str, given: Any) -> Field:
    """Return what a field is of which only a type, choices or a default is given."""
    if isinstance(given, (type, list, tuple)) or get_origin(given) is not None:
        return Field(type=given)
    kind = type(given)
    if isinstance(given, enum.Enum) or kind in _KINDS:
        return Field(type=kind, default=given)
    raise FormError(name, f"{given!r} is no type of a field: {_TYPES}")


def _typed(name: str, given: Any, *, is_optional: bool) -> AskedField:
    if isinstance(given, (list, tuple)):
        return _chosen(name, [Choice(_scalar(name, one)) for one in given], is_optional)
    if isinstance(given, enum.EnumMeta):
        members: list[enum.Enum] = list(given)
        choices = [_member(one) for one in members]
        return msgspec.structs.replace(_chosen(name, choices, is_optional), enum=class_name(given))
    origin = get_origin(given)
    if origin is Literal:
        values = [one for one in get_args(given) if one is not None]
        is_optional = is_optional or None in get_args(given)
        return _chosen(name, [Choice(_scalar(name, one)) for one in values], is_optional)
    if origin in (Union, types.UnionType):
        wanted = [one for one in get_args(given) if one is not type(None)]
        if len(wanted) == 1:
            return _typed(name, wanted[0], is_optional=True)
    elif given is bool and not name:
        return _chosen(name, [Choice(True, "Yes"), Choice(False, "No")], is_optional)
    elif isinstance(given, type) and given in _KINDS:
        return AskedField(name=name, kind=_KINDS[given], is_optional=is_optional)
    shown = given.__name__ if isinstance(given, type) else repr(given)
    raise FormError(name, f"{shown} is no type of a field: {_TYPES}")


def _chosen(name: str, choices: list[Choice], is_optional: bool) -> AskedField:
    values = [(type(one.value), one.value) for one in choices]
    if not values:
        raise FormError(name, "there is nothing to choose from")
    if len(set(values)) < len(values):
        raise FormError(name, "a choice is there twice")
    return AskedField(name=name, kind="choice", choices=tuple(choices), is_optional=is_optional)


def _member(member: enum.Enum) -> Choice:
    words = member.value if isinstance(member.value, str) else ""
    return Choice(member.name, words or member.name.replace("_", " ").capitalize())


def _scalar(name: str, value: Any) -> Scalar:
    if type(value) not in _SCALARS or (type(value) is float and not math.isfinite(value)):
        raise FormError(name, f"{value!r} cannot be a choice: text, numbers and booleans can")
    return value  # type: ignore[no-any-return]


def _limit(name: str, limit: Any) -> float | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not math.isfinite(limit):
        raise FormError(name, f"{limit!r} is no limit: a number is")
    return float(limit)


def _default(field: AskedField, value: Any) -> Scalar:
    if isinstance(value, enum.Enum):
        value = value.name if field.enum == class_name(type(value)) else value
    taken, problem = (value, "") if field.kind == "text" and value == "" else value_of(field, value)
    if problem:
        raise FormError(field.name, f"its default does not fit: {problem}")
    return plain_value(field, taken)
