"""Forms as histories keep them: plain data, to be shown and checked without the code that asked."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["AskedField", "AskedForm", "Choice", "FieldKind"]

FieldKind = Literal["text", "integer", "number", "boolean", "date", "choice"]
"""What a field takes."""

Scalar = str | int | float | bool


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the values a field may have.

    Attributes:
        value: The value; for an enum the name of its member.
        label: What people read; empty where that is the value itself.
    """

    value: Scalar
    label: str = ""

    @property
    def words(self) -> str:
        """What people read."""
        return self.label or str(self.value)


class AskedField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a form asks for.

    Attributes:
        name: Its key in the answer; empty where the whole answer is one choice.
        kind: What it takes.
        label: What people read.
        help: More about it, in words.
        default: What it is unless somebody says otherwise: JSON, a date as ISO text, an enum's
            member by its name; None for none.
        is_optional: Whether it may stay empty; it then is None.
        choices: The values it may have, for a `"choice"`.
        enum: The enum its choices are of, as `module:qualified name`.
        minimum: The least number it takes.
        maximum: The greatest number it takes.
        is_long: Whether its text may have several lines.
    """

    name: str
    kind: FieldKind = "text"
    label: str = ""
    help: str = ""
    default: Scalar | None = None
    is_optional: bool = False
    choices: tuple[Choice, ...] = ()
    enum: str = ""
    minimum: float | None = None
    maximum: float | None = None
    is_long: bool = False

    @property
    def words(self) -> str:
        """What people read: its label, or its name as words."""
        return self.label or self.name.replace("_", " ").strip().capitalize() or self.name

    @property
    def is_needed(self) -> bool:
        """Whether an answer must hold it."""
        return self.default is None and not self.is_optional


class AskedForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people are asked for.

    Attributes:
        fields: What it asks for, in order. One without a name: the answer is one of its choices,
            each a button.
        title: What it is about, in a line.
        text: More about it.
        submit: What its button says.
        made_of: The dataclass that the answer is an instance of, as `module:qualified name`; empty
            where the answer is a dict or a choice.
    """

    fields: tuple[AskedField, ...]
    title: str = ""
    text: str = ""
    submit: str = ""
    made_of: str = ""

    @property
    def is_choice(self) -> bool:
        """Whether the answer is one choice, made with one click."""
        return len(self.fields) == 1 and not self.fields[0].name
