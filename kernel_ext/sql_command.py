"""`%durable sql`: variables are bound as values, the answer may get a name."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ipydurable.runtime.client import SQL_TIMEOUT_S

from .arguments import ArgumentError, near, take_options
from .command import Desk, Subcommand
from .display import Line
from .store_data import id_of

__all__ = ["SQL", "bind_variables"]

# A name in braces by itself, in a text, or in a quoted name; comments are left alone.
_PARTS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")
    |(?P<braces>\{[A-Za-z_][^{}]*\})""",
    re.DOTALL | re.VERBOSE,
)
_BRACES = re.compile(r"\{[A-Za-z_][^{}]*\}")


def bind_variables(text: str, namespace: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a query with a parameter for each `{expression}`, and the values of these.

    In a text, `'{prefix}%'`, and in a quoted name, `"{column}"`, the value becomes part of it and
    cannot end it.

    Args:
        text: The query.
        namespace: The variables.

    Raises:
        ArgumentError: An expression names something unknown, fails, or is no value of SQL.
    """
    parameters: dict[str, Any] = {}

    def bound(match: re.Match[str]) -> str:
        quoted = match["text"] or match["name"]
        if quoted:
            return _BRACES.sub(lambda one: _inside(one[0], namespace, quoted[0]), quoted)
        if match["braces"] is None:
            return match[0]
        expression = match["braces"][1:-1].strip()
        value, wrap = _as_parameter(match["braces"], _evaluate(match["braces"], namespace))
        name = expression if expression.isidentifier() else f"value_{len(parameters)}"
        parameters[name] = value
        return wrap(f"${name}")

    return _PARTS.sub(bound, text), parameters


def _inside(braces: str, namespace: Mapping[str, Any], quote: str) -> str:
    try:
        value = _evaluate(braces, namespace)
    except _NoExpressionError:
        return braces  # JSON in a text
    return id_of(value).replace(quote, quote * 2)


class _NoExpressionError(ArgumentError):
    """What stands in the braces is not Python."""


def _evaluate(braces: str, namespace: Mapping[str, Any]) -> Any:
    expression = braces[1:-1].strip()
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        raise _NoExpressionError(f"{braces} is no expression of Python") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in namespace:
            if hasattr(builtins, node.id):
                continue
            raise ArgumentError(
                f"{braces}: there is no variable {node.id}{near(node.id, namespace)}"
            )
    try:
        return eval(compile(tree, "<%durable sql>", "eval"), dict(namespace))  # noqa: S307  (theirs)
    except Exception as error:
        raise ArgumentError(f"{braces} raises {type(error).__name__}: {error}") from error


def _as_parameter(braces: str, value: Any) -> tuple[Any, Callable[[str], str]]:
    """Return a value as it travels, and what the query says to have it as it was."""
    if hasattr(value, "instance_id") or hasattr(value, "entity_id"):
        return id_of(value), str
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC)
        return value.replace(tzinfo=None).isoformat(), lambda name: f"{name}::TIMESTAMP"
    if isinstance(value, date):
        return value.isoformat(), lambda name: f"{name}::DATE"
    if isinstance(value, timedelta):
        micros = value // timedelta(microseconds=1)
        return micros, lambda name: f"to_microseconds({name})"
    if hasattr(value, "tolist"):  # of numpy and pandas
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        items = [_as_parameter(braces, one) for one in value]
        casts = {wrap("") for _, wrap in items}
        if len(casts) > 1 or casts - {"", "::TIMESTAMP", "::DATE"}:
            raise ArgumentError(f"{braces} holds values of several types")
        cast = f"{casts.pop()}[]" if casts - {""} else ""
        return [one for one, _ in items], lambda name: name + cast
    if value is None or isinstance(value, str | bool | int | float):
        return value, str
    raise ArgumentError(
        f"{braces} is of type {type(value).__name__}: SQL takes numbers, text, times, lists of "
        "them, and handles"
    )


def _sql(desk: Desk, rest: str) -> Any:
    text, given = take_options(rest, SQL.option_names, is_before=True)
    last = {option: values[-1] for option, values in given.items()}
    variable = last.get("--as", "")
    if variable and not variable.isidentifier():
        raise ArgumentError(f"--as {variable}: that is no name of a variable")
    query, parameters = bind_variables(text, desk.variables)
    timeout = last.get("--timeout", SQL_TIMEOUT_S)
    frame = desk.session.sql(query, parameters, timeout=timeout)
    if not variable:
        return frame
    desk.variables[variable] = frame
    rows, columns = frame.shape
    return Line("table", variable, f"· {rows:,} rows, {columns} columns")


SQL = Subcommand(
    _sql,
    "sql [--as NAME] [--timeout T] QUERY",
    "query history, activities, instances and the other tables; {variables} are values",
    1,
    options={
        "--as NAME": "keep the answer in this variable, a DataFrame, instead of showing it",
        "--timeout T": "how long it may run: 30s, 1h; else ten minutes",
    },
    binds=True,
)
"""`%durable sql`."""
