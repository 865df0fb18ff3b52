"""What a subcommand of `%durable` is, and what each of them has to work with."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from .arguments import ArgumentError
from .session import DurableSession

__all__ = ["Desk", "OptionParser", "Subcommand", "take_word"]

_NONE: Final[Mapping[str, str]] = MappingProxyType({})

_FIRST_WORD = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(\S+))(?:\s+|$)""")


class Desk:
    """What subcommands work with.

    Args:
        session: Returns the session to ask.
        open_store: Changes to another store.
        variables: Those of the notebook.
        use: Makes another session the notebook's.

    Attributes:
        use: As given.
        variables: As given.
    """

    def __init__(
        self,
        session: Callable[[], DurableSession],
        open_store: Callable[[str], None],
        variables: MutableMapping[str, Any] | None = None,
        use: Callable[[DurableSession], None] = lambda _: None,
    ) -> None:
        self.use = use
        self.variables = {} if variables is None else variables
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
            `"definition"`, `"subcommand"`, or empty where nobody knows.
        options: The options it takes, such as `"--id ID"`, and what they mean.
        binds: Whether it takes `{variables}` itself, instead of having them replaced by text.
    """

    run: Callable[[Desk, str], Any]
    usage: str
    summary: str
    needs: int = 0
    completes: str = ""
    options: Mapping[str, str] = _NONE
    binds: bool = False

    @property
    def option_names(self) -> list[str]:
        """The options without their values: `"--id"`."""
        return [option.split()[0] for option in self.options]


class OptionParser(ArgumentParser):
    """Parses what is typed after a subcommand that takes no JSON."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def parse(self, text: str) -> dict[str, Any]:
        """Return the values of all options by their names.

        Raises:
            ArgumentError: Something is missing or not known; says what.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ArgumentError(f"{text!r}: {str(error).lower()}") from None
        return vars(self.parse_args(words))

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong."""
        raise ArgumentError(message)


def take_word(text: str) -> tuple[str, str]:
    """Return the first word, which may be quoted, and the rest."""
    match = _FIRST_WORD.match(text)
    if match is None:
        return "", text.strip()
    return next(part for part in match.groups() if part is not None), text[match.end() :].strip()
