"""Variables of the notebook in the lines of `%durable`, beside JSON and SQL with their braces."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from .arguments import ArgumentError

__all__ = ["expand_variables"]

# JSON never has a name right after a brace, and what SQL has there is no Python expression.
_BRACES = re.compile(r"\{\{[A-Za-z_][^{}]*\}\}|\{[A-Za-z_][^{}]*\}")


def expand_variables(text: str, namespace: Mapping[str, Any]) -> str:
    """Return a line with the values of the variables it names in braces.

    What is no expression, or names something unknown, is left as it is; `{{name}}` stands for
    `{name}`.

    Args:
        text: What was typed.
        namespace: The variables.

    Raises:
        ArgumentError: An expression cannot be evaluated; says which and why.
    """
    return _BRACES.sub(lambda found: _value(found[0], namespace), text)


def _value(braces: str, namespace: Mapping[str, Any]) -> str:
    if braces.startswith("{{"):
        return braces[1:-1]
    expression = braces[1:-1].strip()
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return braces
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not all(name in namespace or hasattr(builtins, name) for name in names):
        return braces
    try:
        value = eval(compile(tree, "<%durable>", "eval"), dict(namespace))  # noqa: S307  (the user's)
    except Exception as error:
        raise ArgumentError(f"{braces} raises {type(error).__name__}: {error}") from error
    return _text_of(value)


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    for name in ("instance_id", "entity_id"):
        of_handle = getattr(value, name, None)
        if of_handle is not None:
            return str(of_handle)
    if isinstance(value, date):
        return value.isoformat()
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
