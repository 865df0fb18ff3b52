"""What `%durable` does: each subcommand parses its words, asks the session, returns a display."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError

from .arguments import ArgumentError, near
from .command import Desk, Subcommand, take_word
from .display import Facts
from .effects_command import CHECK
from .entity_commands import ENTITY_COMMANDS
from .instance_commands import INSTANCE_COMMANDS
from .store_commands import DASHBOARD, STATUS, STORE_COMMANDS
from .variables import expand_variables
from .version_commands import VERSION_COMMANDS

__all__ = ["SUBCOMMANDS", "run_subcommand"]


def _help(desk: Desk, rest: str) -> Facts:  # noqa: ARG001
    name, _ = take_word(rest)
    if not name:
        rows = [(f"%durable {one.usage}", one.summary) for one in SUBCOMMANDS.values()]
        return Facts("%durable", rows)
    command = _find(name)
    return Facts(f"%durable {command.usage}", [("", command.summary), *command.options.items()])


def _find(name: str) -> Subcommand:
    command = SUBCOMMANDS.get(name)
    if command is None:
        names = ", ".join(SUBCOMMANDS)
        raise ArgumentError(
            f"There is no %durable {name}{near(name, SUBCOMMANDS)}. There are: {names}."
        )
    return command


SUBCOMMANDS = {
    "status": STATUS,
    "dashboard": DASHBOARD,
    **INSTANCE_COMMANDS,
    **ENTITY_COMMANDS,
    **VERSION_COMMANDS,
    "check": CHECK,
    **STORE_COMMANDS,
    "help": Subcommand(
        _help, "help [SUBCOMMAND]", "this list, or the options of one", 0, "subcommand"
    ),
}
"""What `%durable` can do, by name, in the order in which it is shown."""


def run_subcommand(desk: Desk, text: str, variables: Mapping[str, Any]) -> Any:
    """Run a subcommand and return what is to be shown, if anything.

    Args:
        desk: What it works with.
        text: Everything after `%durable`; may have several lines.
        variables: Those that `{name}` may mean there.

    Raises:
        UsageError: There is no such subcommand, or its words are not what it takes.
        DurableError: It could not be done; says why.
    """
    try:
        name, rest = take_word(text)
        if name in SUBCOMMANDS and SUBCOMMANDS[name].binds:
            return _run(desk, name, rest)
        return _run(desk, *take_word(expand_variables(text, variables)))
    except ArgumentError as error:
        raise UsageError(str(error)) from None


def _run(desk: Desk, name: str, rest: str) -> Any:
    command = _find(name or "status")
    if len(rest.split(None, command.needs)) < command.needs:
        raise ArgumentError(f"Usage: %durable {command.usage}")
    return command.run(desk, rest)
