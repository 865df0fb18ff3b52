"""The subcommands of `%durable` about entities."""

from __future__ import annotations

from typing import Any

from .arguments import ArgumentError, parse_json, take_options
from .command import Desk, OptionParser, Subcommand, take_word
from .display import Line
from .entities_output import EntitiesView
from .entity_handles import EntityHandle
from .shown_frame import entities_lines, shown_frame

__all__ = ["ENTITY_COMMANDS"]

_LISTED = 20


def _entities(desk: Desk, rest: str) -> Any:
    parser = OptionParser()
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--locked", action="store_true")
    parser.add_argument("--since")
    parser.add_argument("--until")
    parser.add_argument("--empty", action="store_true", dest="include_empty")
    parser.add_argument("--limit", type=int, default=_LISTED)
    parser.add_argument("--after", default="")
    given = parser.parse(rest)
    limit = max(0, given.pop("limit"))
    frame = desk.session.list_entities(limit=limit, **given)
    # The table has no filter for times and shows all pages.
    if any(given[one] for one in ("since", "until", "after")):
        return shown_frame(frame, entities_lines)
    query = {
        "name": given["name"],
        "text": given["prefix"],
        "locked": given["locked"],
        "empty": given["include_empty"],
    }
    client, again = desk.session.client, f"%durable entities {rest}".strip()
    return shown_frame(frame, entities_lines, lambda: EntitiesView.of(client, query, again))


def _entity(desk: Desk, rest: str) -> EntityHandle:
    return _handle(desk, take_word(rest)[0])


def _signal(desk: Desk, rest: str) -> Line:
    rest, given = take_options(rest, ("--at",))
    text, operation, args = _operation(rest, "signal")
    signal_time = given["--at"][-1] if given else None
    _handle(desk, text).signal(operation, *args, signal_time=signal_time)
    return Line("signal", operation, f"sent to {text}")


def _call(desk: Desk, rest: str) -> Any:
    text, operation, args = _operation(rest, "call")
    return _handle(desk, text).call(operation, *args).result()


def _locks(desk: Desk, rest: str) -> Any:  # noqa: ARG001
    return desk.session.list_locks()


def _clean(desk: Desk, rest: str) -> Line:  # noqa: ARG001
    count = desk.session.client.clean_entities()
    return Line("deleted", str(count), f"empty {'entity' if count == 1 else 'entities'}")


def _handle(desk: Desk, text: str) -> EntityHandle:
    try:
        return desk.session.entity(text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def _operation(rest: str, command: str) -> tuple[str, str, tuple[Any, ...]]:
    """Return entity, operation and arguments of what was typed."""
    entity, rest = take_word(rest)
    operation, text = take_word(rest)
    example = f"%durable {command} {entity} {operation} 5"
    return entity, operation, (parse_json(text, example),) if text.strip() else ()


ENTITY_COMMANDS = {
    "entities": Subcommand(
        _entities,
        "entities [OPTIONS]",
        "the entities: a live table, or a DataFrame",
        options={
            "--name NAME": "only of this definition",
            "--prefix TEXT": "only ids that begin so: Account@a",
            "--locked": "only those that a critical section holds",
            "--since TIME": "only those modified since: 2h ago, or 2026-11-21T18:00 (UTC)",
            "--until TIME": "only those modified before",
            "--empty": "also those without state that have nothing to do",
            "--limit N": f"how many at most; {_LISTED} unless told, 0 for all",
            "--after ENTITY": "what follows this one in the list: the next page",
        },
    ),
    "entity": Subcommand(
        _entity, "entity NAME@KEY", "the state of an entity, and who holds it", 1, "entity"
    ),
    "signal": Subcommand(
        _signal,
        "signal NAME@KEY OPERATION [JSON] [--at TIME]",
        "have it do an operation",
        2,
        "entity",
        {"--at TIME": "when to deliver it: 10m from now, or 2026-11-21T18:00 (UTC)"},
    ),
    "call": Subcommand(
        _call, "call NAME@KEY OPERATION [JSON]", "the same, and return its result", 2, "entity"
    ),
    "locks": Subcommand(_locks, "locks", "all locks with owner, age and queue, as a DataFrame"),
    "clean": Subcommand(_clean, "clean", "delete entities without state that have nothing to do"),
}
"""What can be done with entities, by name."""
