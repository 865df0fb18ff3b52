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
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.ports import InstanceQuery

from .arguments import EXECUTORS
from .subcommands import SUBCOMMANDS

if TYPE_CHECKING:
    from .session import DurableSession

__all__ = ["Completion", "Recent"]

_PATIENCE_S = 0.15
_IDS = 100
_MAGIC = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%{1,2}(durable|activity|orchestrator)\s+(.*)")
_IN_CALL = re.compile(r"""\b(?:instance|history)\(\s*["']([^"']*)$""")
_OPTIONS = {
    "activity": (
        *("--name", "--retries", "--retry-delay", "--backoff", "--timeout", "--on"),
        "--max-parallel",
    ),
    "orchestrator": ("--name",),
}
_VALUES = {"--on": EXECUTORS, "--status": tuple(one.value for one in RuntimeStatus)}

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
    """Completes what is typed after our magics, and ids in `instance("...")`.

    Args:
        session: Returns the session to ask.
    """

    def __init__(self, session: Callable[[], DurableSession]) -> None:
        self._session = session
        self._ids: Recent[list[str]] = Recent([])
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
            return call[1], self._instance_ids(call[1])
        match = _MAGIC.match(text)
        if match is None:
            return None
        words = match[2].split()
        typed = words.pop() if words and not match[2][-1].isspace() else ""
        if match[1] != "durable":
            found: Iterable[str] = _VALUES.get(words[-1] if words else "", _OPTIONS[match[1]])
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
        found = self.candidates(context.text_until_cursor)
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
        if words[0] == "open":
            return None
        if words[-1] in _VALUES:
            return _VALUES[words[-1]]
        if words[-1] == "--name":
            return self._definition_names(Kind.ORCHESTRATOR)
        if len(words) > 1 or (typed.startswith("-") and command.options):
            return command.options
        if command.completes == "instance":
            return self._instance_ids(typed)
        if command.completes:
            wanted = Kind.ORCHESTRATOR if command.completes == "orchestrator" else None
            return self._definition_names(wanted)
        return command.options

    def _instance_ids(self, prefix: str) -> list[str]:
        client = self._client()
        if client is None:
            return []
        query = InstanceQuery(prefix=prefix, limit=_IDS)
        ids = self._ids.get(lambda: [one.instance_id for one in client.query(query)])
        return [one for one in ids if one.startswith(prefix)]

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
