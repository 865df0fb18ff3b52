"""Answers to forms: what people gave, checked, and as a value of the shape that was asked for.

What comes from a browser is JSON and text; what comes from code are Python's values. Both are
taken, as far as there is no doubt what is meant.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from .asked_forms import AskedField, AskedForm, Scalar
from .serialization import class_name
from .special_values import StandIn

__all__ = ["answer_of", "answer_words", "plain_value", "value_of"]

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_MAX_DIGITS = 300


def answer_of(form: AskedForm, given: Any) -> tuple[Any, dict[str, str]]:
    """Return the answer to a form, and what is wrong with it.

    Args:
        form: What was asked.
        given: A dict of values by field, a (stand-in of a) dataclass instance, or the choice.

    Returns:
        The answer: a dict, the stand-in of a dataclass instance, or the choice, None if something
        is wrong; and what that is, by the name of the field, in words; `""` stands for the whole.
    """
    if form.is_choice:
        value, problem = value_of(form.fields[0], given)
        return (None, {"": problem}) if problem else (_exact(form.fields[0], value), {})
    values = _values_of(form, given)
    if values is None:
        wanted = form.made_of.rpartition(":")[2] or "a dict"
        names = ", ".join(field.name for field in form.fields)
        return None, {"": f"{wanted} with {names} is wanted, not {_shown(given)}"}
    problems = {
        str(name): f"there is no such field; there are {', '.join(f.name for f in form.fields)}"
        for name in values
        if name not in {field.name for field in form.fields}
    }
    answer: dict[str, Any] = {}
    for field in form.fields:
        value, problem = value_of(field, values.get(field.name, field.default))
        if problem:
            problems[field.name] = problem
        answer[field.name] = None if problem else _exact(field, value)
    if problems:
        return None, problems
    return (StandIn("$dataclass", form.made_of, answer) if form.made_of else answer), {}


def value_of(field: AskedField, given: Any) -> tuple[Any, str]:
    """Return the value that was given for a field, and what is wrong with it, in words."""
    if given is None or (field.kind != "choice" and type(given) is str and not given):
        if field.is_optional:
            return None, ""
        may_be_empty = field.kind == "text" and field.default is not None
        return ("", "") if given == "" and may_be_empty else (None, "this is needed")
    value, problem = _TAKERS[field.kind](field, given)
    if not problem and field.kind in ("integer", "number"):
        problem = _out_of_range(field, value)
    return (None, problem) if problem else (value, "")


def plain_value(field: AskedField, value: Any) -> Scalar:
    """Return a checked value as JSON has it: a date as ISO text, an enum's member by name."""
    if field.kind == "date":
        return str(value.isoformat())
    return value  # type: ignore[no-any-return]


def answer_words(form: AskedForm, answer: Any) -> list[tuple[str, str]]:
    """Return an answer as people read it: labels and values; `given` as `answer_of` takes it.

    What does not fit the form, as anybody may raise an event, is shown as it is.
    """
    if form.is_choice:
        return [("", _words_of(form.fields[0], answer))]
    values = _values_of(form, answer)
    if values is None:
        return [("", str(answer))]
    asked = {field.name: field for field in form.fields}
    return [
        (asked[name].words, _words_of(asked[name], value))
        if name in asked
        else (str(name), str(value))
        for name, value in values.items()
    ]


def _words_of(field: AskedField, value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool) and field.kind == "boolean":
        return "yes" if value else "no"
    taken, problem = value_of(field, value)
    if problem:
        return str(value)
    if field.kind == "choice":
        return next(
            one.words
            for one in field.choices
            if one.value == taken and type(one.value) is type(taken)
        )
    return str(taken)


def _values_of(form: AskedForm, given: Any) -> Mapping[str, Any] | None:
    if isinstance(given, Mapping):
        return given
    if not form.made_of:
        return None
    if isinstance(given, StandIn):
        if given._class_name != form.made_of or not isinstance(given._data, dict):
            return None
        # Fields that nobody fills in are the class's own business.
        return {one.name: given._data[one.name] for one in form.fields if one.name in given._data}
    if class_name(type(given)) == form.made_of:
        return {field.name: getattr(given, field.name, None) for field in form.fields}
    return None


def _exact(field: AskedField, value: Any) -> Any:
    """Return a value of the type that was asked for: an enum's member is kept by its name."""
    if field.enum and value is not None:
        return StandIn("$enum", field.enum, value)
    return value


def _take_text(_: AskedField, given: Any) -> tuple[Any, str]:
    return (given, "") if isinstance(given, str) else (None, f"text is wanted, not {_shown(given)}")


def _take_integer(_: AskedField, given: Any) -> tuple[Any, str]:
    problem = f"a whole number is wanted, not {_shown(given)}"
    if isinstance(given, str) and len(given) <= _MAX_DIGITS:
        try:
            return int(given), ""
        except ValueError:
            return None, problem
    if isinstance(given, float) and given.is_integer():
        return int(given), ""
    return (None, problem) if type(given) is not int else (given, "")


def _take_number(_: AskedField, given: Any) -> tuple[Any, str]:
    problem = f"a number is wanted, not {_shown(given)}"
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None, problem
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None, problem
    return (number, "") if math.isfinite(number) else (None, problem)


def _take_boolean(_: AskedField, given: Any) -> tuple[Any, str]:
    if isinstance(given, bool):
        return given, ""
    if isinstance(given, str) and given.strip().lower() in (*_TRUE, *_FALSE):
        return given.strip().lower() in _TRUE, ""
    return None, f"yes or no is wanted, not {_shown(given)}"


def _take_date(_: AskedField, given: Any) -> tuple[Any, str]:
    if isinstance(given, date) and not isinstance(given, datetime):
        return given, ""
    if isinstance(given, str):
        try:
            return date.fromisoformat(given.strip()), ""
        except ValueError:
            pass
    return None, f"a date such as 2026-12-31 is wanted, not {_shown(given)}"


def _take_choice(field: AskedField, given: Any) -> tuple[Any, str]:
    if field.enum:
        given = _member_name(field, given)
    values = [one.value for one in field.choices]
    for value in values:
        if type(value) is type(given) and value == given:
            return value, ""
    if isinstance(given, str):
        for one in field.choices:
            if given in (str(one.value), one.words):
                return one.value, ""
    wanted = ", ".join(one.words if field.enum else repr(one.value) for one in field.choices)
    return None, f"one of {wanted} is wanted, not {_shown(given)}"


def _member_name(field: AskedField, given: Any) -> Any:
    if isinstance(given, StandIn) and given._tag == "$enum" and given._class_name == field.enum:
        return given._data
    if isinstance(given, enum.Enum) and class_name(type(given)) == field.enum:
        return given.name
    return given


_TAKERS = {
    "text": _take_text,
    "integer": _take_integer,
    "number": _take_number,
    "boolean": _take_boolean,
    "date": _take_date,
    "choice": _take_choice,
}


def _out_of_range(field: AskedField, value: float) -> str:
    if field.minimum is not None and value < field.minimum:
        return f"it must be at least {field.minimum:g}"
    if field.maximum is not None and value > field.maximum:
        return f"it must be at most {field.maximum:g}"
    return ""


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004  (characters)
