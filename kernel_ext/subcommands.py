"""What `%durable` does: each subcommand parses its words, asks the session, returns a display."""

# IPython's magic arguments are untyped:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from ipydurable.runtime.core.errors import DurableError, QueryError
from ipydurable.runtime.definitions import Kind

from .arguments import ArgumentError, near, parse_json, take_option
from .display import Facts, Line, definitions_frame
from .session import DurableSession

__all__ = ["SUBCOMMANDS", "Subcommand", "Subcommands"]

_FIRST_WORD = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(\S+))(?:\s+|$)""")
_LISTED = 20


class Subcommand(NamedTuple):
    """One thing `%durable` can do.

    Attributes:
        usage: What is typed after `%durable`.
        summary: What it does.
        needs: How many words must follow its name.
        completes: What the first of them is: `"instance"`, `"orchestrator"`, `"definition"`, or
            empty where nobody knows.
        options: The options it takes.
    """

    usage: str
    summary: str
    needs: int = 0
    completes: str = ""
    options: tuple[str, ...] = ()


SUBCOMMANDS = {
    "status": Subcommand("status", "how store and host are; also without a subcommand"),
    "list": Subcommand(
        "list [--status S] [--name N] [--limit N]",
        "the newest instances, as a DataFrame",
        options=("--status", "--name", "--limit"),
    ),
    "show": Subcommand("show ID", "the timeline of an instance", 1, "instance"),
    "history": Subcommand("history ID", "its history, as a DataFrame", 1, "instance"),
    "start": Subcommand(
        "start NAME [JSON] [--id ID]", "start an orchestrator", 1, "orchestrator", ("--id",)
    ),
    "raise": Subcommand("raise ID EVENT [JSON]", "raise an external event", 2, "instance"),
    "suspend": Subcommand("suspend ID [REASON]", "have an instance wait", 1, "instance"),
    "resume": Subcommand("resume ID [REASON]", "have it go on", 1, "instance"),
    "terminate": Subcommand("terminate ID [REASON]", "end it now", 1, "instance"),
    "definitions": Subcommand("definitions", "what is defined in the store"),
    "versions": Subcommand("versions NAME", "all versions of a definition", 1, "definition"),
    "sql": Subcommand("sql QUERY", "query history, activities, instances, definitions", 1),
    "open": Subcommand("open PATH", "use another store", 1),
    "stop": Subcommand("stop", "end the host; what runs goes on with the next one"),
    "help": Subcommand("help", "this list"),
}
"""What `%durable` can do, by name, in the order in which it is shown."""


class Subcommands:
    """Runs what is typed after `%durable`.

    Args:
        session: Returns the session to ask.
        open_store: Changes to another store.
    """

    def __init__(
        self, session: Callable[[], DurableSession], open_store: Callable[[str], None]
    ) -> None:
        self._session = session
        self._open_store = open_store

    def run(self, text: str) -> Any:
        """Run a subcommand and return what is to be shown, if anything.

        Args:
            text: Everything after `%durable`; may have several lines.

        Raises:
            UsageError: There is no such subcommand, or its words are not what it takes.
            DurableError: It could not be done; says why.
        """
        name, rest = _take_word(text)
        name = name or "status"
        command = SUBCOMMANDS.get(name)
        if command is None:
            hint = near(name, SUBCOMMANDS)
            names = ", ".join(SUBCOMMANDS)
            raise UsageError(f"There is no %durable {name}{hint}. There are: {names}.")
        if len(rest.split(None, command.needs)) < command.needs:
            raise UsageError(f"Usage: %durable {command.usage}")
        try:
            return getattr(self, f"_{name}")(rest)
        except ArgumentError as error:
            raise UsageError(str(error)) from None

    def _status(self, rest: str) -> Facts:  # noqa: ARG002
        session = self._session()
        status = session.client.host_status()
        up = datetime.now(UTC).replace(tzinfo=None) - status.started_at
        return Facts(
            status.store,
            [
                ("host", f"process {status.pid}, up {_words(up)}, ipydurable {status.version}"),
                ("instances", _counts(session) or f"{status.live} in flight"),
                ("activities", f"{status.activities} queued or running"),
                ("clients", str(status.clients)),
                ("repaired", "\n".join(status.report)),
                ("trouble", status.trouble),
                ("log", status.log),
            ],
        )

    def _list(self, rest: str) -> Any:
        parser = MagicArgumentParser(prog="%durable list", add_help=False)
        parser.add_argument("--status", default=[], action="append")
        parser.add_argument("--name", default="")
        parser.add_argument("--limit", type=int, default=_LISTED)
        given = parser.parse_argstring(rest)
        return self._session().instances(
            status=given.status, name=given.name, limit=max(0, given.limit)
        )

    def _show(self, rest: str) -> Any:
        return self._session().instance(_take_word(rest)[0])

    def _history(self, rest: str) -> Any:
        return self._session().history(_take_word(rest)[0])

    def _start(self, rest: str) -> Any:
        rest, instance_id = take_option(rest, "id")
        name, text = _take_word(rest)
        if not name:
            raise UsageError(f"Usage: %durable {SUBCOMMANDS['start'].usage}")
        args: tuple[Any, ...] = ()
        if text.strip():
            args = (parse_json(text, f'%durable start {name} ["Basel", "Zürich"]'),)
        return self._session().start(name, args, instance_id=instance_id)

    def _raise(self, rest: str) -> Line:
        instance_id, rest = _take_word(rest)
        event, text = _take_word(rest)
        example = f'%durable raise {instance_id} {event} {{"approved": true}}'
        data = parse_json(text, example) if text.strip() else None
        self._session().client.raise_event(instance_id, event, data)
        return Line("event", event, f"raised at {instance_id}")

    def _suspend(self, rest: str) -> Line:
        instance_id, reason = _take_word(rest)
        self._session().client.suspend(instance_id, reason)
        return self._now(instance_id)

    def _resume(self, rest: str) -> Line:
        instance_id, reason = _take_word(rest)
        self._session().client.resume(instance_id, reason)
        return self._now(instance_id)

    def _terminate(self, rest: str) -> Line:
        instance_id, reason = _take_word(rest)
        self._session().client.terminate(instance_id, reason or None)
        return self._now(instance_id)

    def _definitions(self, rest: str) -> Any:  # noqa: ARG002
        return definitions_frame(self._session().client.definitions())

    def _versions(self, rest: str) -> Any:
        name, _ = _take_word(rest)
        client = self._session().client
        found = [one for kind in Kind for one in client.versions(kind, name)]
        if not found:
            known = {one.name for one in client.definitions()}
            raise DurableError(
                f"Nothing named {name!r} is defined in {self._session().store}"
                f"{near(name, known)}. %durable definitions lists what is."
            )
        return definitions_frame(found)

    def _sql(self, rest: str) -> Any:
        return self._session().sql(rest)

    def _open(self, rest: str) -> None:
        path = _take_word(rest)[0] if rest[:1] in "\"'" else rest.strip()
        self._open_store(path)

    def _stop(self, rest: str) -> Line:  # noqa: ARG002
        session = self._session()
        status = session.client.host_status()
        session.client.stop_host()
        left = f"; {status.live} in flight go on when it is used again" if status.live else ""
        return Line("host", f"process {status.pid}", f"of {status.store} ends{left}")

    def _help(self, rest: str) -> Facts:  # noqa: ARG002
        rows = [(f"%durable {one.usage}", one.summary) for one in SUBCOMMANDS.values()]
        return Facts("%durable", rows)

    def _now(self, instance_id: str) -> Line:
        record = self._session().client.get(instance_id)
        return Line("instance", instance_id, f"is {record.status.value}")


def _take_word(text: str) -> tuple[str, str]:
    """Return the first word, which may be quoted, and the rest."""
    match = _FIRST_WORD.match(text)
    if match is None:
        return "", text.strip()
    return next(part for part in match.groups() if part is not None), text[match.end() :].strip()


def _counts(session: DurableSession) -> str:
    """Return how many instances have which status; empty where the store cannot count."""
    try:
        found = session.sql("SELECT status, count(*) AS n FROM instances GROUP BY 1 ORDER BY 1")
    except QueryError:
        return ""
    return ", ".join(f"{n} {status}" for status, n in found.itertuples(index=False)) or "none yet"


def _words(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
