"""What `%durable` does: each subcommand parses its words, asks the session, returns a display."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from .arguments import ArgumentError, near
from .command import Desk, Subcommand, take_word
from .display import Facts
from .entity_commands import ENTITY_COMMANDS
from .instance_commands import INSTANCE_COMMANDS
from .store_commands import STATUS, STORE_COMMANDS

__all__ = ["SUBCOMMANDS", "run_subcommand"]


def _help(desk: Desk, rest: str) -> Facts:  # noqa: ARG001
    rows = [(f"%durable {one.usage}", one.summary) for one in SUBCOMMANDS.values()]
    return Facts("%durable", rows)


SUBCOMMANDS = {
    "status": STATUS,
    **INSTANCE_COMMANDS,
    **ENTITY_COMMANDS,
    **STORE_COMMANDS,
    "help": Subcommand(_help, "help", "this list"),
}
"""What `%durable` can do, by name, in the order in which it is shown."""


def run_subcommand(desk: Desk, text: str) -> Any:
    """Run a subcommand and return what is to be shown, if anything.

    Args:
        desk: What it works with.
        text: Everything after `%durable`; may have several lines.

    Raises:
        UsageError: There is no such subcommand, or its words are not what it takes.
        DurableError: It could not be done; says why.
    """
    name, rest = take_word(text)
    name = name or "status"
    command = SUBCOMMANDS.get(name)
    if command is None:
        hint = near(name, SUBCOMMANDS)
        names = ", ".join(SUBCOMMANDS)
        raise UsageError(f"There is no %durable {name}{hint}. There are: {names}.")
    if len(rest.split(None, command.needs)) < command.needs:
        raise UsageError(f"Usage: %durable {command.usage}")
    try:
        return command.run(desk, rest)
    except ArgumentError as error:
        raise UsageError(str(error)) from None
