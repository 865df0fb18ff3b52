"""The subcommands of `%durable` about orchestration instances."""

from __future__ import annotations

from typing import Any

from .arguments import (
    REPLACEABLE,
    ArgumentError,
    parse_json,
    parse_seconds,
    parse_tags,
    take_options,
)
from .command import Desk, OptionParser, Subcommand, take_word
from .display import Facts, Line, show
from .frames import waiting_rows
from .handles import NotebookInstance
from .shown_frame import instances_lines, shown_frame

__all__ = ["INSTANCE_COMMANDS"]

_LISTED = 20
_WAITS_LISTED = 20
_NEWEST = "--newest"
_FILTERS = {
    "--status STATUS": "only these; may be given several times, as --tag",
    "--name NAME": "only of this orchestrator",
    "--prefix TEXT": "only ids that begin so",
    "--tag NAME=VALUE": "only those that carry this label",
}
_START_OPTIONS = {
    "--id ID": "its id; else the name and a random suffix",
    "--at TIME": "when to start: 10m from now, or 2026-11-21T18:00 (UTC)",
    "--timeout T": "how long after its start it fails unless it has ended: 30s, 2h",
    "--tag NAME=VALUE": "a label; may be given several times",
    "--replace WHICH": "what an instance of that id may be to be replaced: a status, "
    + " or ".join(REPLACEABLE),
}


def _list(desk: Desk, rest: str) -> Any:
    parser = OptionParser()
    parser.add_argument("--status", default=[], action="append")
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tag", default=[], action="append")
    parser.add_argument("--since")
    parser.add_argument("--until")
    parser.add_argument("--parent", default="")
    parser.add_argument("--limit", type=int, default=_LISTED)
    parser.add_argument("--after", default="")
    given = parser.parse(rest)
    tags, limit = parse_tags(given.pop("tag")), max(0, given.pop("limit"))
    frame = desk.session.list_instances(tags=tags, limit=limit, **given)
    return shown_frame(frame, instances_lines)


def _show(desk: Desk, rest: str) -> NotebookInstance:
    handle = desk.session.instance(take_word(rest)[0])
    waits = waiting_rows(handle.waiting_for, _WAITS_LISTED)
    if waits:
        show(Facts("waiting for", waits))
    return handle


def _history(desk: Desk, rest: str) -> Any:
    return desk.session.history(take_word(rest)[0])


def _wait(desk: Desk, rest: str) -> Any:
    parser = OptionParser()
    parser.add_argument("id")
    parser.add_argument("--timeout")
    parser.add_argument("--start", action="store_true")
    given = parser.parse(rest)
    timeout_s = None if given["timeout"] is None else parse_seconds(given["timeout"])
    handle = desk.session.instance(given["id"])
    if given["start"]:
        return Line("instance", given["id"], f"is {handle.wait_for_start(timeout_s).value}")
    return handle.result(timeout_s)


def _start(desk: Desk, rest: str) -> NotebookInstance:
    command = INSTANCE_COMMANDS["start"]
    options = command.option_names
    rest, before = take_options(rest, options, is_before=True)
    name, text = take_word(rest)
    if not name:
        raise ArgumentError(f"Usage: %durable {command.usage}")
    text, behind = take_options(text, options)
    given = {option: before.get(option, []) + behind.get(option, []) for option in options}
    args: tuple[Any, ...] = ()
    if text:
        args = (parse_json(text, f'%durable start {name} ["Basel", "Zürich"]'),)
    last = {option: values[-1] for option, values in given.items() if values}
    return desk.session.start(
        name,
        args,
        instance_id=last.get("--id"),
        start_at=last.get("--at"),
        timeout=last.get("--timeout"),
        tags=parse_tags(given["--tag"]),
        replace=last.get("--replace", ()),
    )


def _start_many(desk: Desk, rest: str) -> list[NotebookInstance]:
    name, text = take_word(rest)
    text, given = take_options(text, INSTANCE_COMMANDS["start-many"].option_names)
    example = f'%durable start-many {name} ["Basel", "Zürich"]'
    inputs = parse_json(text, example)
    if not isinstance(inputs, list):
        raise ArgumentError(f"{text} is no list: one instance is started for each item, {example}")
    return desk.session.start_many(name, inputs, tags=parse_tags(given.get("--tag", [])))


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
    parser = OptionParser()
    parser.add_argument("id")
    parser.add_argument("--new-id", action="store_true")
    given = parser.parse(rest)
    return desk.session.instance(given["id"]).restart(new_id=given["new_id"])


def _rewind(desk: Desk, rest: str) -> Line:
    instance_id, reason = take_word(rest)
    newest_code = reason.split()[:1] == [_NEWEST]
    reason = reason.removeprefix(_NEWEST).strip() if newest_code else reason
    desk.session.client.rewind(instance_id, reason, newest_code=newest_code)
    return _now(desk, instance_id)


def _purge(desk: Desk, rest: str) -> Line:
    parser = OptionParser()
    parser.add_argument("id", nargs="?", default="")
    parser.add_argument("--status", default=[], action="append")
    parser.add_argument("--name", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tag", default=[], action="append")
    parser.add_argument("--before")
    parser.add_argument("--recursive", action="store_true")
    given = parser.parse(rest)
    count = desk.session.purge(given.pop("id"), tags=parse_tags(given.pop("tag")), **given)
    return Line("purged", str(count), "instance" if count == 1 else "instances")


def _now(desk: Desk, instance_id: str) -> Line:
    record = desk.session.client.get(instance_id)
    return Line("instance", instance_id, f"is {record.status.value}")


INSTANCE_COMMANDS = {
    "list": Subcommand(
        _list,
        "list [OPTIONS]",
        "the newest instances, as a DataFrame",
        options={
            **_FILTERS,
            "--since TIME": "only those created since: 2h ago, or 2026-11-21T18:00 (UTC)",
            "--until TIME": "only those created before",
            "--parent ID": "only its sub-orchestrations",
            "--limit N": f"how many at most; {_LISTED} unless told, 0 for all",
            "--after ID": "what follows this one in the list: the next page",
        },
    ),
    "show": Subcommand(
        _show, "show ID", "the timeline of an instance, and what it waits for", 1, "instance"
    ),
    "history": Subcommand(_history, "history ID", "its history, as a DataFrame", 1, "instance"),
    "wait": Subcommand(
        _wait,
        "wait ID [--timeout T] [--start]",
        "wait for its end, and return its result",
        1,
        "instance",
        {
            "--timeout T": "how long to wait at most: 30s, 2h",
            "--start": "wait for its start only",
        },
    ),
    "start": Subcommand(
        _start,
        "start NAME [JSON] [OPTIONS]",
        "start an orchestrator",
        1,
        "orchestrator",
        _START_OPTIONS,
    ),
    "start-many": Subcommand(
        _start_many,
        "start-many NAME [JSON, ...] [--tag NAME=VALUE]",
        "start one for each item of a list, all or none",
        2,
        "orchestrator",
        {"--tag NAME=VALUE": "a label of all of them; may be given several times"},
    ),
    "raise": Subcommand(_raise, "raise ID EVENT [JSON]", "raise an external event", 2, "instance"),
    "suspend": Subcommand(_suspend, "suspend ID [REASON]", "have an instance wait", 1, "instance"),
    "resume": Subcommand(_resume, "resume ID [REASON]", "have it go on", 1, "instance"),
    "terminate": Subcommand(_terminate, "terminate ID [REASON]", "end it now", 1, "instance"),
    "restart": Subcommand(
        _restart,
        "restart ID [--new-id]",
        "start a finished one again with its input",
        1,
        "instance",
        {"--new-id": "keep the finished one, and give the new one another id"},
    ),
    "rewind": Subcommand(
        _rewind,
        "rewind ID [--newest] [REASON]",
        "redo what failed, and keep the rest",
        1,
        "instance",
        {_NEWEST: "with the newest code rather than that it started with"},
    ),
    "purge": Subcommand(
        _purge,
        "purge ID | OPTIONS",
        "delete finished instances",
        1,
        "instance",
        {
            **_FILTERS,
            "--before TIME": "only those created before: 7d ago, or 2026-11-21T18:00 (UTC)",
            "--recursive": "with their sub-orchestrations",
        },
    ),
}
"""What can be done with instances, by name."""
