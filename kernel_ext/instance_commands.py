"""The subcommands of `%durable` about orchestration instances."""

# IPython's magic arguments are untyped:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from .arguments import ArgumentError, parse_json, parse_seconds, parse_tags, take_options
from .command import Arguments, Desk, Subcommand, take_word
from .display import Facts, Line, show
from .frames import waiting_rows
from .handles import NotebookInstance

__all__ = ["INSTANCE_COMMANDS"]

_LISTED = 20
_WAITS_LISTED = 20
_START_OPTIONS = ("--id", "--at", "--timeout", "--tag", "--replace")


def _list(desk: Desk, rest: str) -> Any:
    parser = Arguments("list")
    parser.add_argument("--status", default=[], action="append")
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tag", default=[], action="append", metavar="NAME=VALUE")
    parser.add_argument("--since", metavar="TIME")
    parser.add_argument("--until", metavar="TIME")
    parser.add_argument("--parent", default="", metavar="ID")
    parser.add_argument("--limit", type=int, default=_LISTED)
    parser.add_argument("--after", default="", metavar="ID")
    given = vars(parser.parse_argstring(rest))
    tags, limit = parse_tags(given.pop("tag")), max(0, given.pop("limit"))
    return desk.session.instances(tags=tags, limit=limit, **given)


def _show(desk: Desk, rest: str) -> NotebookInstance:
    handle = desk.session.instance(take_word(rest)[0])
    waits = waiting_rows(handle.waiting_for, _WAITS_LISTED)
    if waits:
        show(Facts("waiting for", waits))
    return handle


def _history(desk: Desk, rest: str) -> Any:
    return desk.session.history(take_word(rest)[0])


def _wait(desk: Desk, rest: str) -> Any:
    rest, given = take_options(rest, ("--timeout",))
    timeout = given.get("--timeout")
    timeout_s = None if timeout is None else parse_seconds(timeout[-1])
    return desk.session.instance(take_word(rest)[0]).result(timeout_s)


def _start(desk: Desk, rest: str) -> NotebookInstance:
    rest, before = _leading_options(rest)
    name, text = take_word(rest)
    if not name:
        raise UsageError(f"Usage: %durable {INSTANCE_COMMANDS['start'].usage}")
    text, after = take_options(text, _START_OPTIONS)
    given = {one: before.get(one, []) + after.get(one, []) for one in _START_OPTIONS}
    args: tuple[Any, ...] = ()
    if text:
        args = (parse_json(text, f'%durable start {name} ["Basel", "Zürich"]'),)
    one = {option: values[-1] for option, values in given.items() if values}
    return desk.session.start(
        name,
        args,
        instance_id=one.get("--id"),
        start_at=one.get("--at"),
        timeout=one.get("--timeout"),
        tags=parse_tags(given["--tag"]),
        replace=one.get("--replace", ()),
    )


def _leading_options(text: str) -> tuple[str, dict[str, list[str]]]:
    """Take the options before the name; what follows the name is looked at with care."""
    given: dict[str, list[str]] = {}
    while text.lstrip().startswith(_START_OPTIONS):
        option, rest = take_word(text)
        name, separator, value = option.partition("=")
        if not separator:
            value, rest = take_word(rest)
        given.setdefault(name, []).append(value)
        text = rest
    return text, given


def _raise(desk: Desk, rest: str) -> Line:
    instance_id, rest = take_word(rest)
    event, text = take_word(rest)
    example = f'%durable raise {instance_id} {event} {{"approved": true}}'
    data = parse_json(text, example) if text.strip() else None
    desk.session.client.raise_event(instance_id, event, data)
    return Line("event", event, f"raised at {instance_id}")


def _suspend(desk: Desk, rest: str) -> Line:
    instance_id, reason = take_word(rest)
    desk.session.client.suspend(instance_id, reason)
    return _now(desk, instance_id)


def _resume(desk: Desk, rest: str) -> Line:
    instance_id, reason = take_word(rest)
    desk.session.client.resume(instance_id, reason)
    return _now(desk, instance_id)


def _terminate(desk: Desk, rest: str) -> Line:
    instance_id, reason = take_word(rest)
    desk.session.client.terminate(instance_id, reason or None)
    return _now(desk, instance_id)


def _restart(desk: Desk, rest: str) -> NotebookInstance:
    parser = Arguments("restart")
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--new-id", action="store_true")
    given = parser.parse_argstring(rest)
    return desk.session.instance(given.id).restart(new_id=given.new_id)


def _rewind(desk: Desk, rest: str) -> Line:
    instance_id, reason = take_word(rest)
    desk.session.client.rewind(instance_id, reason.removeprefix("--reason").strip(" =\"'"))
    return _now(desk, instance_id)


def _purge(desk: Desk, rest: str) -> Line:
    parser = Arguments("purge")
    parser.add_argument("id", metavar="ID", nargs="?", default="")
    parser.add_argument("--status", default=[], action="append")
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tag", default=[], action="append", metavar="NAME=VALUE")
    parser.add_argument("--before", metavar="TIME")
    parser.add_argument("--recursive", action="store_true")
    given = vars(parser.parse_argstring(rest))
    try:
        count = desk.session.purge(given.pop("id"), tags=parse_tags(given.pop("tag")), **given)
    except ArgumentError as error:
        raise UsageError(f"{error}. Usage: %durable {INSTANCE_COMMANDS['purge'].usage}") from None
    return Line("purged", str(count), "instance" if count == 1 else "instances")


def _now(desk: Desk, instance_id: str) -> Line:
    record = desk.session.client.get(instance_id)
    return Line("instance", instance_id, f"is {record.status.value}")


INSTANCE_COMMANDS = {
    "list": Subcommand(
        _list,
        "list [--status S] [--name N] [--prefix P] [--tag K=V] [--since TIME] [--until TIME] "
        "[--parent ID] [--limit N] [--after ID]",
        "the newest instances and what they wait for, as a DataFrame",
        options=(
            *("--status", "--name", "--prefix", "--tag", "--since", "--until", "--parent"),
            *("--limit", "--after"),
        ),
    ),
    "show": Subcommand(
        _show, "show ID", "the timeline of an instance, and what it waits for", 1, "instance"
    ),
    "history": Subcommand(_history, "history ID", "its history, as a DataFrame", 1, "instance"),
    "wait": Subcommand(
        _wait, "wait ID [--timeout T]", "wait for its end and result", 1, "instance", ("--timeout",)
    ),
    "start": Subcommand(
        _start,
        "start NAME [JSON] [--id ID] [--at TIME] [--timeout T] [--tag K=V] [--replace S]",
        "start an orchestrator",
        1,
        "orchestrator",
        _START_OPTIONS,
    ),
    "raise": Subcommand(
        _raise, "raise ID EVENT [JSON]", "raise an external event", 2, "instance"
    ),
    "suspend": Subcommand(_suspend, "suspend ID [REASON]", "have an instance wait", 1, "instance"),
    "resume": Subcommand(_resume, "resume ID [REASON]", "have it go on", 1, "instance"),
    "terminate": Subcommand(_terminate, "terminate ID [REASON]", "end it now", 1, "instance"),
    "restart": Subcommand(
        _restart,
        "restart ID [--new-id]",
        "start a finished one again with its input",
        1,
        "instance",
        ("--new-id",),
    ),
    "rewind": Subcommand(
        _rewind,
        "rewind ID [REASON]",
        "redo what failed in a failed one, keep the rest",
        1,
        "instance",
    ),
    "purge": Subcommand(
        _purge,
        "purge ID | --status S | --name N | --prefix P | --tag K=V | --before TIME [--recursive]",
        "delete finished instances",
        1,
        "instance",
        ("--status", "--name", "--prefix", "--tag", "--before", "--recursive"),
    ),
}
"""What can be done with instances, by name."""
