"""The subcommands of `%durable` about versions: what there are, what changed, who takes which."""

from __future__ import annotations

from typing import Any

from ipydurable.runtime.core.errors import DurableError, UnknownInstanceError
from ipydurable.runtime.definitions import Definition, Kind

from .arguments import near
from .command import Desk, OptionParser, Subcommand, take_word
from .display import Line
from .in_flight import adopted_line, migrate_all, moved_line
from .versioning import VersionDiff, diff, version_of, versions

__all__ = ["VERSION_COMMANDS"]


def _versions(desk: Desk, rest: str) -> Any:
    name, _ = take_word(rest)
    frames = [versions(desk.session.client, kind, name) for kind in _kinds_of(desk, name)]
    if len(frames) == 1:
        return frames[0]
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _diff(desk: Desk, rest: str) -> VersionDiff:
    name, given = take_word(rest)
    words = given.split()
    kind = _kinds_of(desk, name)[0]
    old = words[0] if words else None
    new = words[1] if len(words) > 1 else None
    return diff(desk.session.client, kind, name, old, new)


def _adopt(desk: Desk, rest: str) -> Line:
    parser = OptionParser()
    parser.add_argument("name")
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--to", default="")
    given = parser.parse(rest)
    client = desk.session.client
    version = ""
    if given["to"]:
        version = version_of(client, Kind.ACTIVITY, given["name"], given["to"]).version
    return adopted_line(client.adopt(given["name"], given["ids"], version=version))


def _migrate(desk: Desk, rest: str) -> Any:
    parser = OptionParser()
    parser.add_argument("id")
    parser.add_argument("--to")
    given = parser.parse(rest)
    client, to = desk.session.client, given["to"]
    try:
        name = client.get(given["id"]).name
    except UnknownInstanceError:
        if not client.versions(Kind.ORCHESTRATOR, given["id"]):
            raise
        return migrate_all(client, given["id"], _wanted(desk, given["id"], to))
    return moved_line(client.migrate(given["id"], _wanted(desk, name, to)))


def _wanted(desk: Desk, name: str, to: str | None) -> str | None:
    if to is None:
        return None
    return version_of(desk.session.client, Kind.ORCHESTRATOR, name, to).version


def _kinds_of(desk: Desk, name: str) -> list[Kind]:
    """Return the kinds of which something has that name; raises where there is none."""
    client = desk.session.client
    found = [kind for kind in Kind if client.versions(kind, name)]
    if not found:
        known: set[str] = {one.name for one in _all(desk)}
        raise DurableError(
            f"Nothing named {name!r} is defined in {desk.session.store}"
            f"{near(name, known)}. %durable definitions lists what is."
        )
    return found


def _all(desk: Desk) -> list[Definition]:
    return desk.session.client.definitions()


VERSION_COMMANDS = {
    "versions": Subcommand(
        _versions,
        "versions NAME",
        "all versions, and how many instances are on each",
        1,
        "definition",
    ),
    "diff": Subcommand(
        _diff,
        "diff NAME [OLD [NEW]]",
        "what changed between two versions, or the last two",
        1,
        "definition",
    ),
    "adopt": Subcommand(
        _adopt,
        "adopt NAME [ID ...] [--to V]",
        "have instances in flight take a new version",
        1,
        "definition",
        {"--to V": "which version, by its number; else the newest"},
    ),
    "migrate": Subcommand(
        _migrate,
        "migrate ID|NAME [--to V]",
        "move instances in flight to new code that fits",
        1,
        "instance",
        {"--to V": "which version, by its number; else the newest"},
    ),
}
"""What can be done with versions, by name."""
