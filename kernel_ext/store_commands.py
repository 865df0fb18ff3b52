"""The subcommands of `%durable` about the store, its host and its definitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ipydurable.runtime.core.errors import QueryError

from .archives import export_instances, open_archive
from .arguments import ArgumentError, parse_tags
from .command import Desk, OptionParser, Subcommand, take_word
from .dashboard_output import DashboardView
from .display import Facts, Line
from .frames import definitions_frame
from .session import DurableSession
from .sql_command import SQL
from .trust_review import trust

__all__ = ["DASHBOARD", "STATUS", "STORE_COMMANDS"]

_FRESH = "--fresh"


def _status(desk: Desk, rest: str) -> Facts:  # noqa: ARG001
    session = desk.session
    status = session.client.host_status()
    up = datetime.now(UTC).replace(tzinfo=None) - status.started_at
    return Facts(
        status.store,
        [
            ("host", f"process {status.pid}, up {_words(up)}, ipydurable {status.version}"),
            ("instances", _counts(session) or f"{status.live} in flight"),
            ("activities", f"{status.activities} queued or running"),
            ("clients", str(status.clients)),
            ("on opening", "\n".join(status.report)),
            ("trouble", status.trouble),
            ("trust", _trust_of(status.untrusted)),
            ("noticed", "\n".join(status.notices)),
            ("log", status.log),
        ],
    )


def _definitions(desk: Desk, rest: str) -> Any:  # noqa: ARG001
    return definitions_frame(desk.session.client.definitions())


def _open(desk: Desk, rest: str) -> None:
    word, behind = take_word(rest)
    is_fresh = word == _FRESH
    rest = behind if is_fresh else rest
    path = take_word(rest)[0] if rest[:1] in "\"'" else rest.strip()
    if not path:
        raise ArgumentError(f"Usage: %durable {STORE_COMMANDS['open'].usage}")
    if is_fresh:
        from .fresh_store import set_aside

        set_aside(path)
    desk.open_store(path)


def _stop(desk: Desk, rest: str) -> Line:  # noqa: ARG001
    client = desk.session.client
    status = client.host_status()
    client.stop_host()
    left = f"; {status.live} in flight go on when it is used again" if status.live else ""
    return Line("host", f"process {status.pid}", f"of {status.store} ends{left}")


def _trust_of(untrusted: int) -> str:
    if not untrusted:
        return ""
    return f"nothing runs: {untrusted} definitions come from elsewhere. %durable trust shows them"


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


def _export(desk: Desk, rest: str) -> Line:
    parser = OptionParser()
    parser.add_argument("path")
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--status", default=[], action="append")
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tag", default=[], action="append")
    parser.add_argument("--since")
    parser.add_argument("--until")
    given = parser.parse(rest)
    path, ids, tags = given.pop("path"), given.pop("ids"), parse_tags(given.pop("tag"))
    count = export_instances(desk.session, path, ids, tags=tags, **given)
    return Line("exported", path, f"· {_instances(count)}")


def _import(desk: Desk, rest: str) -> Line:
    path = take_word(rest)[0]
    archive = open_archive(path)
    desk.use(archive)
    count = _instances(len(archive.instances()))
    detail = f"· {count}, only to be read; %durable open PATH goes back to a store"
    return Line("archive", path, detail)


def _instances(count: int) -> str:
    return f"{count:,} instance{'' if count == 1 else 's'}"


def _dashboard(desk: Desk, rest: str) -> DashboardView:  # noqa: ARG001
    return desk.session.dashboard()


DASHBOARD = Subcommand(
    _dashboard, "dashboard", "the store at a glance: what there is, waits and runs"
)

STATUS = Subcommand(_status, "status", "how store and host are; also without a subcommand")

STORE_COMMANDS = {
    "definitions": Subcommand(_definitions, "definitions", "what is defined in the store"),
    "sql": SQL,
    "open": Subcommand(
        _open,
        f"open [{_FRESH}] PATH",
        "use another store",
        1,
        options={_FRESH: "an empty one: what is there is renamed to PATH.before"},
    ),
    "export": Subcommand(
        _export,
        "export PATH [ID ...] [OPTIONS]",
        "write instances, with their sub-orchestrations, to a Parquet file",
        1,
        options={
            "--status STATUS": "only these; may be given several times, as --tag",
            "--name NAME": "only of this orchestrator",
            "--prefix TEXT": "only ids that begin so",
            "--tag NAME=VALUE": "only those that carry this label",
            "--since TIME": "only those created then or later: 2h ago, or 2026-11-21T18:00 (UTC)",
            "--until TIME": "only those created before then",
        },
    ),
    "import": Subcommand(
        _import, "import PATH", "read what was exported, or a store: nothing of it can run", 1
    ),
    "trust": Subcommand(
        trust,
        "trust [--yes]",
        "run a store from elsewhere, once its code was shown",
        options={"--yes": "without being asked"},
    ),
    "stop": Subcommand(_stop, "stop", "end the host; what runs goes on with the next one"),
}
"""What can be done with the store, by name."""
