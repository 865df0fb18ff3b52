"""Default arguments: whether executing a function's source again gives those it has."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import FunctionType
from typing import Any

__all__ = ["has_stale_defaults"]


def has_stale_defaults(
    node: ast.stmt, function: FunctionType, environment: Mapping[str, Any]
) -> bool:
    """Whether the defaults would be others if the `def` were executed again.

    That is so where they were computed by a call, `def f(at=now())`, or where a variable has got
    another value since, `def f(limit=LIMIT)`. Functions and classes as defaults count as known.

    Args:
        node: The function's `def`, or the assignment of a lambda.
        function: The function.
        environment: What global names mean now.
    """
    made = getattr(node, "value", node)
    if not isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    written: list[ast.expr] = list(made.args.defaults)
    live: list[Any] = list(function.__defaults__ or ())
    by_name = function.__kwdefaults__ or {}
    for argument, default in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True):
        if default is not None and argument.arg in by_name:
            written.append(default)
            live.append(by_name[argument.arg])
    if len(written) != len(live):
        return True
    return any(
        not _gives(expression, value, environment)
        for expression, value in zip(written, live, strict=True)
    )


def _gives(expression: ast.expr, value: Any, environment: Mapping[str, Any]) -> bool:
    if callable(value) or isinstance(expression, ast.Lambda):
        return True
    try:
        ast.literal_eval(expression)
    except (ValueError, TypeError):
        return _is_name_of(expression, value, environment)
    return True


def _is_name_of(expression: ast.expr, value: Any, environment: Mapping[str, Any]) -> bool:
    """Whether an expression is a name, or attributes of one, and means the value now."""
    attributes: list[str] = []
    while isinstance(expression, ast.Attribute):
        attributes.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return False
    found = environment.get(expression.id)
    for attribute in reversed(attributes):
        found = getattr(found, attribute, None)
    return found is value
