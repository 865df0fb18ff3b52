"""What a subcommand of `%durable` is, and what each of them has to work with."""

# IPython's magic arguments are untyped:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from .session import DurableSession

__all__ = ["Arguments", "Desk", "Subcommand", "quoted", "take_word"]

_FIRST_WORD = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(\S+))(?:\s+|$)""")


class Desk:
    """What subcommands work with.

    Args:
        session: Returns the session to ask.
        open_store: Changes to another store.
    """

    def __init__(
        self, session: Callable[[], DurableSession], open_store: Callable[[str], None]
    ) -> None:
        self._session = session
        self.open_store = open_store

    @property
    def session(self) -> DurableSession:
        """The session to ask."""
        return self._session()


class Subcommand(NamedTuple):
    """One thing `%durable` can do.

    Attributes:
        run: Does it, given all that was typed after its name; returns what is to be shown.
        usage: What is typed after `%durable`.
        summary: What it does.
        needs: How many words must follow its name.
        completes: What the first of them is: `"instance"`, `"entity"`, `"orchestrator"`,
            `"definition"`, or empty where nobody knows.
        options: The options it takes.
    """

    run: Callable[[Desk, str], Any]
    usage: str
    summary: str
    needs: int = 0
    completes: str = ""
    options: tuple[str, ...] = ()


class Arguments(MagicArgumentParser):
    """Parses what is typed after a subcommand that takes no JSON.

    Args:
        name: The subcommand's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(prog=f"%durable {name}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong as a line for people."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. Usage: {self.format_usage()[7:]}")


def take_word(text: str) -> tuple[str, str]:
    """Return the first word, which may be quoted, and the rest."""
    match = _FIRST_WORD.match(text)
    if match is None:
        return "", text.strip()
    return next(part for part in match.groups() if part is not None), text[match.end() :].strip()


def quoted(text: str) -> str:
    """Return a word as it is typed: quoted where it has spaces."""
    return f'"{text}"' if " " in text else text
