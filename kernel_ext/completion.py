"""Tab completion: subcommands and options of the magics, names of definitions, instance ids."""

# IPython's decorator is untyped:
# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.ports import EntityQuery, InstanceQuery

from .arguments import EXECUTORS, REPLACEABLE
from .command import Subcommand
from .sql_completion import complete_sql
from .store_data import entity_prefix
from .subcommands import SUBCOMMANDS

if TYPE_CHECKING:
    from .session import DurableSession

__all__ = ["Completion", "Recent"]

_PATIENCE_S = 0.15
_IDS = 100
_BEHIND_ENTITY = 2
_MAGIC = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%{1,2}(durable|activity|orchestrator|entity)\s+(.*)")
_SQL_CELL = re.compile(r"\s*%%durable\s+sql\b")
_IN_CALL = re.compile(r"""\b(instance|history|entity)\(\s*["']([^"']*)$""")
_OPTIONS = {
    "activity": (
        *("--name", "--retries", "--retry-delay", "--backoff", "--timeout", "--on"),
        *("--max-parallel", "--rate", "--heartbeat", "--start-within"),
    ),
    "orchestrator": ("--name",),
    "entity": ("--name",),
}
_STATUSES = tuple(one.value for one in RuntimeStatus)
_VALUES = {
    "--on": EXECUTORS,
    "--status": _STATUSES,
    "--replace": (*REPLACEABLE, *_STATUSES),
}

T = TypeVar("T")


class Recent(Generic[T]):
    """The last answer to a question that must never keep anybody waiting.

    Args:
        nothing: The answer before there is one.
    """

    def __init__(self, nothing: T) -> None:
        self._answer = nothing
        self._asking: threading.Thread | None = None

    def get(self, ask: Callable[[], T], patience_s: float = _PATIENCE_S) -> T:
        """Return the answer to `ask` if it comes soon, else the last one there was."""
        if self._asking is None or not self._asking.is_alive():

            def run() -> None:
                self._answer = ask()

            self._asking = threading.Thread(target=run, name="ipydurable-complete", daemon=True)
            self._asking.start()
        self._asking.join(patience_s)
        return self._answer


class Completion:
    """Completes what is typed after our magics, and ids in `instance("...")`, `entity("...")`.

    Args:
        session: Returns the session to ask.
    """

    def __init__(self, session: Callable[[], DurableSession]) -> None:
        self._session = session
        self._ids: Recent[list[str]] = Recent([])
        self._entities: Recent[list[str]] = Recent([])
        self._names: Recent[list[tuple[Kind, str]]] = Recent([])

    def candidates(self, text: str) -> tuple[str, list[str]] | None:
        """Return what can stand at the end of a line.

        Args:
            text: The line up to the cursor.

        Returns:
            The word that is being typed and all that begins with it; None where the line is not
            for us.
        """
        call = _IN_CALL.search(text)
        if call is not None:
            ids = self._entity_ids if call[1] == "entity" else self._instance_ids
            return call[2], [one for one in ids(call[2]) if one.startswith(call[2])]
        match = _MAGIC.match(text)
        if match is None:
            return None
        words = match[2].split()
        typed = words.pop() if words and not match[2][-1].isspace() else ""
        if match[1] != "durable":
            found: Iterable[str] = _VALUES.get(words[-1] if words else "", _OPTIONS[match[1]])
        elif words[:1] == ["sql"] and not typed.startswith("-"):
            return complete_sql(match[2], match[2])
        elif not words:
            found = SUBCOMMANDS
        else:
            possible = self._after_subcommand(words, typed)
            if possible is None:
                return None
            found = possible
        return typed, [one for one in found if one.startswith(typed)]

    @context_matcher(identifier="ipydurable")
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Answer IPython's completer."""
        found = _in_sql_cell(context) or self.candidates(context.text_until_cursor)
        if found is None:
            return {"completions": [], "suppress": False}
        typed, names = found
        return {
            "completions": [SimpleCompletion(text=name, type="durable") for name in names],
            "matched_fragment": typed,
            "suppress": True,
        }

    def _after_subcommand(self, words: list[str], typed: str) -> Iterable[str] | None:
        """Return what can follow `words`; None for a path, which IPython completes itself."""
        command = SUBCOMMANDS.get(words[0])
        if command is None:
            return ()
        if words[0] in ("open", "import") or (words[0] == "export" and len(words) == 1):
            return None
        kind = Kind.ENTITY if words[0] == "entities" else Kind.ORCHESTRATOR
        if words[-1] in _VALUES:
            return _VALUES[words[-1]]
        if words[-1] == "--name":
            return self._definition_names(kind)
        if words[-1] in ("--after", "--parent"):
            return self._entity_ids(typed) if kind is Kind.ENTITY else self._instance_ids(typed)
        if typed.startswith("-") and command.options:
            return command.option_names
        if len(words) == 1:
            return self._first_word(command, typed)
        if len(words) == _BEHIND_ENTITY and command.completes == "entity":
            return self._operations(words[1]) or command.option_names
        return command.option_names

    def _first_word(self, command: Subcommand, typed: str) -> Iterable[str]:
        match command.completes:
            case "instance":
                return self._instance_ids(typed)
            case "entity":
                return self._entity_ids(typed)
            case "subcommand":
                return SUBCOMMANDS
            case "orchestrator":
                return self._definition_names(Kind.ORCHESTRATOR)
            case "definition":
                return self._definition_names(None)
            case _:
                return command.option_names

    def _operations(self, entity: str) -> tuple[str, ...]:
        """Return the operations of an entity whose class is known here."""
        try:
            function = self._session().entity_function(EntityInstanceId.parse(entity))
        except ValueError:
            return ()
        return () if function is None else function.operations

    def _instance_ids(self, prefix: str) -> list[str]:
        client = self._client()
        if client is None:
            return []
        query = InstanceQuery(prefix=prefix, limit=_IDS)
        ids = self._ids.get(lambda: [one.instance_id for one in client.query(query)])
        return [one for one in ids if one.startswith(prefix)]

    def _entity_ids(self, typed: str) -> list[str]:
        """Return ids as they are typed: the name as it was begun, else as it is defined."""
        client = self._client()
        if client is None:
            return []
        query = EntityQuery(prefix=entity_prefix(typed) or "@", limit=_IDS)
        found = self._entities.get(
            lambda: [one.instance_id for one in client.query_entities(query)]
        )
        defined = {name.lower(): name for name in self._definition_names(Kind.ENTITY)}
        at = "@" if typed.startswith("@") else ""
        begun = typed.removeprefix("@").partition("@")[0]
        ids = []
        for one in map(EntityInstanceId.parse, found):
            name = defined.get(one.name, one.name)
            if one.name.startswith(begun.lower()) and not name.startswith(begun):
                name = begun + one.name[len(begun) :]
            ids.append(f"{at}{name}@{one.key}")
        return ids

    def _definition_names(self, kind: Kind | None) -> list[str]:
        client = self._client()
        if client is None:
            return []
        names = self._names.get(lambda: [(one.kind, one.name) for one in client.definitions()])
        return sorted({name for its, name in names if kind in (None, its)})

    def _client(self) -> DurableClient | None:
        """Return the client, unless that would take a while."""
        connection = self._session().connection
        if not connection.done() or connection.exception() is not None:
            return None
        return connection.result()


def _in_sql_cell(context: CompletionContext) -> tuple[str, list[str]] | None:
    """Return what can stand at the cursor in a `%%durable sql` cell; None for other cells."""
    first, _, whole = context.full_text.partition("\n")
    if context.cursor_line == 0 or not _SQL_CELL.match(first):
        return None
    above = whole.splitlines()[: context.cursor_line - 1]
    return complete_sql("\n".join([*above, context.text_until_cursor]), whole)
