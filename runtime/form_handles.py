"""Open forms as their user sees them: what is asked, and a method to answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, overload

from .client import DurableClient
from .core.asked_forms import AskedField
from .waits import OpenForm

__all__ = ["FormHandle", "FormHandles", "form_text", "values_wanted"]

_NO_VALUE: Any = object()
_WANTED = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "date": "a date, such as 2026-12-31",
}
_EXAMPLES = {"text": '"..."', "integer": "1", "number": "1.0", "boolean": "True"}


class FormHandle:
    """A form that an instance waits for somebody to fill in.

    Args:
        client: Reaches the host.
        form: What is asked, by whom, since when.
    """

    def __init__(self, client: DurableClient, form: OpenForm) -> None:
        self._client = client
        self._form = form

    @property
    def instance_id(self) -> str:
        """The id of the instance that asks."""
        return self._form.instance_id

    @property
    def name(self) -> str:
        """The event that the answer raises."""
        return self._form.name

    @property
    def title(self) -> str:
        """What it is about, in a line; the event's name where nothing was said."""
        return self._form.form.title or self._form.name

    @property
    def text(self) -> str:
        """More about it."""
        return self._form.form.text

    @property
    def fields(self) -> tuple[AskedField, ...]:
        """What it asks for, in order."""
        return self._form.form.fields

    @property
    def since(self) -> datetime:
        """Since when the instance waits (naive UTC)."""
        return self._form.since

    @property
    def until(self) -> datetime | None:
        """When it is closed if nobody answers (naive UTC); None for never."""
        return self._form.until

    def submit(self, value: Any = _NO_VALUE, /, **values: Any) -> None:
        """Answer it, which raises its event.

        Args:
            value: The choice, an instance of the form's dataclass, or a dict of values by field.
            values: Values by field, instead.

        Raises:
            FormAnswerError: They do not fit; says what is wrong with each. The form stays open.
            FormClosedError: It was answered already, or is closed for another reason.
            TypeError: Both a value and values by field were given.
        """
        if value is not _NO_VALUE and values:
            raise TypeError("submit() takes one value, or values by field, not both")
        given = values if value is _NO_VALUE else value
        if value is _NO_VALUE and self._form.form.is_choice:
            given = None
        self._client.answer_form(self.instance_id, self._form.form_id, given)

    def __repr__(self) -> str:
        return form_text(self._form)


class FormHandles(Sequence[FormHandle]):
    """Open forms, oldest first: by number, or by the name of the event.

    Args:
        client: Reaches the host.
        forms: The forms.
        whose: Whose they are, for the message of an error.
    """

    def __init__(self, client: DurableClient, forms: Iterable[OpenForm], whose: str = "") -> None:
        self._forms = list(forms)
        self._handles = [FormHandle(client, form) for form in self._forms]
        self._whose = whose

    def submit(self, value: Any = _NO_VALUE, /, **values: Any) -> None:
        """Answer the only open form; as `FormHandle.submit`.

        Raises:
            LookupError: There is none, or more than one.
            FormAnswerError: The values do not fit.
            FormClosedError: It was answered meanwhile.
        """
        if len(self) != 1:
            which = f"; name one: {self._names()}" if self._handles else ""
            raise LookupError(f"{len(self) or 'no'} forms are open{self._whose}{which}")
        arguments = () if value is _NO_VALUE else (value,)
        self[0].submit(*arguments, **values)

    @overload
    def __getitem__(self, which: int | str) -> FormHandle: ...
    @overload
    def __getitem__(self, which: slice) -> list[FormHandle]: ...
    def __getitem__(self, which: int | str | slice) -> FormHandle | list[FormHandle]:
        if not isinstance(which, str):
            return self._handles[which]
        for one in self._handles:
            if one.name.casefold() == which.casefold():
                return one
        there = f"; there are {self._names()}" if self._handles else ""
        raise KeyError(f"no form {which!r} is open{self._whose}{there}")

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[FormHandle]:
        return iter(self._handles)

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self._handles)) or f"<no forms are open{self._whose}>"

    def _names(self) -> str:
        return ", ".join(repr(one.name) for one in self._handles)


def form_text(form: OpenForm) -> str:
    """Return a form as a terminal shows it: what is asked, and the code that answers."""
    asked = form.form
    until = f", until {form.until:%Y-%m-%d %H:%M:%S}" if form.until else ""
    lines = [f"{asked.title or form.name} ({form.orchestrator} {form.instance_id!r})"]
    lines += asked.text.splitlines()
    if not asked.is_choice:
        width = max(len(one.words) for one in asked.fields)
        for one in asked.fields:
            lines.append(f"  {one.words:<{width}}  {values_wanted(one)}")
            if one.help:
                lines.append(f"  {'':<{width}}  {one.help}")
    lines.append(f"waiting since {form.since:%Y-%m-%d %H:%M:%S}{until} UTC")
    of = f"ipydurable.instance({form.instance_id!r}).forms[{form.name!r}]"
    lines.append(f"answer: {of}.submit({_example(form)})")
    return "\n".join(lines)


def values_wanted(field: AskedField) -> str:
    """Return in words what a field takes, and what it is unless somebody says otherwise."""
    if field.kind == "choice":
        wanted = " | ".join(one.words for one in field.choices)
    else:
        wanted = _WANTED[field.kind]
    limits = [
        f"{words} {limit:g}"
        for words, limit in (("at least", field.minimum), ("at most", field.maximum))
        if limit is not None
    ]
    if limits:
        wanted += f", {' and '.join(limits)}"
    if field.default is not None:
        shown: Any = field.default
        if field.kind == "boolean":
            shown = "yes" if field.default else "no"
        elif field.enum:
            shown = next(one.words for one in field.choices if one.value == field.default)
        return f"{wanted} (else {shown})" if shown != "" else f"{wanted} (may be empty)"
    return f"{wanted} (may be empty)" if field.is_optional else wanted


def _example(form: OpenForm) -> str:
    if form.form.is_choice:
        return " | ".join(repr(one.value) for one in form.form.fields[0].choices)
    fields = [one for one in form.form.fields if one.is_needed] or list(form.form.fields)
    if all(one.name.isidentifier() for one in fields):
        return ", ".join(f"{one.name}={_value(one)}" for one in fields)
    return "{" + ", ".join(f"{one.name!r}: {_value(one)}" for one in fields) + "}"


def _value(field: AskedField) -> str:
    if field.kind == "choice":
        return repr(field.choices[0].value)
    return _EXAMPLES.get(field.kind, '"2026-12-31"')
