"""Runs the body of a cell that defines a durable function, with errors as if it had no magic."""

# IPython's compiler is half typed:
# mypy: disable-error-code="no-untyped-call, arg-type"
from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ipydurable.runtime.core.errors import DefinitionError

from .cells import find_definition
from .functions import DurableFunction

if TYPE_CHECKING:
    from types import TracebackType

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellOptionError", "CellSyntaxError", "DefinedInCell", "run_definition_cell"]

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")


class CellSyntaxError(DefinitionError):
    """The body of the cell is no Python.

    Args:
        message: What is wrong, in a line.
        shown: The lines IPython shows for it.
    """

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(message, shown)
        self.message = message
        self.shown = shown

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        return self.shown.splitlines() or super()._render_traceback_()


class CellOptionError(DefinitionError):
    """The line of the magic asks for something there is not.

    An error and no `UsageError`, which IPython only prints: what runs all cells must not go on
    with the definition there was before.

    Args:
        message: What is wrong.
        header: The line of the magic.
    """

    def __init__(self, message: str, header: str) -> None:
        super().__init__(message, header)
        self.message = message
        self.header = header

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        return [f"-----> 1 {self.header.strip()}", *super()._render_traceback_()]


class DefinedInCell(NamedTuple):
    """What a cell defined.

    Attributes:
        function: The function itself.
        variable: The variable it is bound to.
        name: The name its definition is to have.
        cell: The execution count of the cell.
        previous: What the variable was bound to before, if anything.
    """

    function: Callable[..., Any]
    variable: str
    name: str
    cell: int
    previous: Any

    def take_back(self, shell: InteractiveShell) -> None:
        """Have the variable be what it was before the cell."""
        if self.previous is None:
            shell.user_ns.pop(self.variable, None)
        else:
            shell.user_ns[self.variable] = self.previous


def run_definition_cell(
    shell: InteractiveShell, kind: str, name: str | None, header: str, body: str
) -> DefinedInCell:
    """Run the body of a cell in the user's namespace and return the function it defines.

    Args:
        shell: Runs it, as if it were a plain cell: its magics work, and tracebacks name the cell.
        kind: What the cell is to define, e.g. `"activity"`.
        name: What the definition is to be called; None for its function's name.
        header: The line of the magic.
        body: The lines below it.

    Raises:
        CellSyntaxError: The body is no Python.
        DefinitionError: The body defines no function, or one that is durable already.
        BaseException: Whatever running the body raises.
    """
    count = len(shell.user_ns["In"]) - 1
    # The line of the magic is put back, and what IPython trims, so that the lines keep their
    # numbers.
    rest = body[_BLANK_LINES.match(body).end() :]  # type: ignore[union-attr]  # it matches always
    blank = "\n" * (body.count("\n") - rest.count("\n"))
    source = f"# {header.strip()}\n{blank}{shell.transform_cell(rest)}"
    filename = shell.compile.cache(source, count)
    try:
        code = shell.compile(shell.compile.ast_parse(source, filename), filename, "exec")
        found = find_definition(source, kind, name)
    except SyntaxError as error:
        shown = shell.SyntaxTB.structured_traceback(SyntaxError, error, [])
        raise CellSyntaxError(f"{error.msg}, line {error.lineno}", "\n".join(shown)) from None
    previous = shell.user_ns.get(found.function)
    try:
        exec(code, shell.user_ns)  # noqa: S102  (running the user's cell is the purpose)
    except BaseException as error:
        if error.__traceback__ is not None:
            _hide_our_frames(shell, error, error.__traceback__.tb_next)
        raise
    function = shell.user_ns.get(found.function)
    if not callable(function):
        raise DefinitionError(
            f"Cell In[{count}] defines {found.function} and then makes {found.function!r} "
            f"something else, which is no {kind}: give that another name."
        )
    if isinstance(function, DurableFunction):
        raise DefinitionError(
            f"{found.function} is made durable twice, by the decorator and by %%{kind}: "
            "take one away."
        )
    return DefinedInCell(function, found.function, found.name, count, previous)


def _hide_our_frames(
    shell: InteractiveShell, error: BaseException, trace: TracebackType | None
) -> None:
    """Have IPython show only what happened in the user's code."""
    if hasattr(error, "_render_traceback_"):
        return

    def render() -> list[str]:
        shown: list[str] = shell.InteractiveTB.structured_traceback(
            type(error), error, trace, tb_offset=0
        )
        return shown

    # An exception with slots cannot be told; then it is shown with our frames.
    with contextlib.suppress(AttributeError):
        error._render_traceback_ = render  # type: ignore[attr-defined]
