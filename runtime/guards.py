"""Guards in the code of orchestrators: what replay would not repeat is noticed when it is called.

Calls that look like one of the worst offenders go through a guard, which looks at what is really
called. Only the code of orchestrators is so compiled: other threads, entities, activities and
libraries never meet a guard, and what is not suspicious by its name costs nothing.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import io
import os
import random
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from .core.context import current_context
from .core.driver import user_line
from .core.errors import ForbiddenCallError
from .definitions import Chunk, CodePackage, Definition
from .effects import IS_SILENCED, Advice, advice_for

__all__ = ["Guard"]

_FUNCTIONS: Final[dict[Any, str]] = {
    **{
        getattr(time, name): f"time.{name}"
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")
    },
    **{
        getattr(random, name): f"random.{name}"
        for name in vars(random)
        if not name.startswith("_") and getattr(getattr(random, name), "__self__", None)
    },
    **{getattr(uuid, name): f"uuid.{name}" for name in ("uuid1", "uuid4")},
    **{getattr(secrets, name): f"secrets.{name}" for name in secrets.__all__},
    **{getattr(os, name): f"os.{name}" for name in ("urandom", "getenv")},
    **{getattr(socket, name): f"socket.{name}" for name in ("socket", "create_connection")},
    builtins.open: "builtins.open",
    io.open_code: "io.open_code",
}
_METHODS: Final = {
    (dt.datetime, "now"): "datetime.datetime.now",
    (dt.datetime, "utcnow"): "datetime.datetime.utcnow",
    (dt.datetime, "today"): "datetime.datetime.today",
    (dt.date, "today"): "datetime.date.today",
}
"""Those of classes, which are made anew at each access."""

_SUSPICIOUS: Final = frozenset(
    one.rpartition(".")[2] for one in [*_FUNCTIONS.values(), *_METHODS.values()]
)


class Guard:
    """Notices what one version of an orchestrator calls.

    Args:
        definition: The version. Where its package is strict, a forbidden call raises.
        tell: Told of it otherwise, once for each line.
    """

    NAME: Final = "__durable_guard__"

    def __init__(self, definition: Definition, tell: Callable[[str], None]) -> None:
        self._report = tell
        self._label = f"{definition.name} ({definition.version[:8]})"
        self._strict = definition.package.strict
        self._names = _SUSPICIOUS | set(_renamed(definition.package))
        self._told: set[str] = set()

    def rewrite(self, tree: ast.Module, chunk: Chunk) -> ast.Module:
        """Let the suspicious calls of a chunk go through this guard; its lines stay."""
        lines = chunk.source.splitlines()
        silenced = {
            number
            for number, line in enumerate(lines, start=chunk.first_line)
            if IS_SILENCED.search(line)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and _name_of(node.func) in self._names
                and not silenced.intersection(range(node.lineno, (node.end_lineno or 0) + 1))
            ):
                called = node.func
                guard = ast.copy_location(ast.Name(self.NAME, ast.Load()), called)
                node.func = ast.copy_location(ast.Call(guard, [called], []), called)
        return tree

    def __call__(self, called: Any) -> Any:
        """Return what is called, once it is known that it may be.

        Raises:
            ForbiddenCallError: It may not, and the orchestrator is strict.
        """
        name = _known_as(called)
        # While the code is being defined no orchestrator runs.
        if name is not None and current_context() is not None:
            advice = advice_for(name)
            if advice is not None:
                self._tell(name.removeprefix("builtins."), advice)
        return called

    def _tell(self, name: str, advice: Advice) -> None:
        line = user_line()
        if self._strict:
            raise ForbiddenCallError(f"{name}()", line, advice.reason, advice.remedy)
        if line not in self._told:
            self._told.add(line)
            self._report(
                f"{self._label} calls {name}() at {line}: {advice.reason}. "
                f"Instead: {advice.remedy}."
            )


def _known_as(called: Any) -> str | None:
    """Return the name of a forbidden function; None for all others."""
    try:
        found = _FUNCTIONS.get(called)
    except Exception:  # noqa: BLE001  (whatever the hash of a user's object does)
        return None
    if found is None:
        owner = getattr(called, "__self__", None)
        if isinstance(owner, type) and issubclass(owner, dt.date):
            base = dt.datetime if issubclass(owner, dt.datetime) else dt.date
            found = _METHODS.get((base, getattr(called, "__name__", "")))
    return found


def _name_of(called: ast.expr) -> str:
    if isinstance(called, ast.Name):
        return called.id
    return called.attr if isinstance(called, ast.Attribute) else ""


def _renamed(package: CodePackage) -> Iterator[str]:
    """Yield the other names under which suspicious functions are imported."""
    sources = [*package.imports, *(chunk.source for chunk in package.chunks)]
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name in _SUSPICIOUS and alias.asname:
                        yield alias.asname
