"""What is typed after the magics, turned into values; no IPython here.

Every problem is an `ArgumentError`, whose text can be shown as it is.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from ipydurable.runtime.core.status import TERMINAL, RuntimeStatus
from ipydurable.runtime.definitions import ActivityOptions

__all__ = [
    "EXECUTORS",
    "REPLACEABLE",
    "ArgumentError",
    "Duration",
    "Statuses",
    "Time",
    "activity_options",
    "near",
    "parse_json",
    "parse_rate",
    "parse_replaceable",
    "parse_seconds",
    "parse_status",
    "parse_statuses",
    "parse_tags",
    "parse_time",
    "take_options",
]

Duration: TypeAlias = str | float | timedelta
"""A length of time: seconds, a timedelta, or text such as `"100ms"`, `"5s"`, `"2m"`, `"1h"`."""

Time: TypeAlias = datetime | timedelta | str
"""A point in time: a datetime (naive means UTC), its ISO text, or how far it is from now."""

Statuses: TypeAlias = str | RuntimeStatus | Iterable[str | RuntimeStatus]
"""One status or several, by name in any case."""

REPLACEABLE = ("finished", "any")
"""Which existing instances a new one of the same id may replace, apart from the statuses."""


class ArgumentError(ValueError):
    """What was given makes no sense; the text says why."""


EXECUTORS = ("processes", "threads", "asyncio")
"""Where an activity can run."""

_UNITS_S = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.ASCII)
_CONTEXT_CHARS = 60
_SHORTEST_HEARTBEAT_S = 0.2


def parse_seconds(text: Duration) -> float:
    """Return a length of time in seconds.

    Args:
        text: A number of seconds, a timedelta, or text such as `5`, `5s`, `100ms`, `2m`, `1h`.

    Raises:
        ArgumentError: It is none of these, or negative.
    """
    if isinstance(text, timedelta):
        seconds = text.total_seconds()
    elif isinstance(text, str):
        match = _SECONDS.fullmatch(text.strip().lower())
        if match is None or match[2] not in _UNITS_S:
            raise ArgumentError(f"{text!r} is no length of time: write 5, 5s, 100ms, 2m or 1h")
        seconds = float(match[1]) * _UNITS_S[match[2]]
    else:
        seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ArgumentError(f"{text!r} is no length of time: it must be 0 or more")
    return seconds


def activity_options(  # noqa: PLR0913 - each is an option of the magic
    *,
    retries: int = 0,
    retry_delay: Duration = 1.0,
    backoff: float = 2.0,
    timeout: Duration | None = None,
    heartbeat: Duration | None = None,
    start_within: Duration | None = None,
    on: str | None = None,
    max_parallel: int = 0,
    rate: str | None = None,
    executors: Collection[str] = (),
) -> ActivityOptions:
    """Return the options of an activity as its user gives them.

    Args:
        retries: How often a failed attempt is tried again: 3 means four attempts at most.
        retry_delay: Time before the first retry.
        backoff: Factor from one delay to the next; at least 1.
        timeout: How long one attempt may take; None for no limit.
        heartbeat: How long one attempt may give no sign of life, such as `ctx.progress`; None
            for no limit.
        start_within: How long it may wait for its turn, counted from when it was scheduled (the
            schedule-to-start timeout); None for no limit.
        on: `"processes"`, `"threads"`, `"asyncio"`, or what a `Runtime` was given by that name;
            None for what suits the function.
        max_parallel: How many may run at once; 0 for no limit.
        rate: How many may begin in a time, such as `"10/s"`; None for no limit.
        executors: What `on` may be; empty where a `Runtime` may know more.

    Raises:
        ArgumentError: A value makes no sense; the message names it.
    """
    if retries < 0:
        raise ArgumentError(f"retries is {retries}: it must be 0 or more")
    if not backoff >= 1:
        raise ArgumentError(f"backoff is {backoff:g}: it must be 1 or more")
    if max_parallel < 0:
        raise ArgumentError(
            f"max_parallel is {max_parallel}: it must be 1 or more, or 0 for no limit"
        )
    if on is not None and not (on in executors if executors else on.isidentifier()):
        raise ArgumentError(f"an activity runs on {', '.join(EXECUTORS)}, not on {on!r}")
    rate_count, rate_per_s = (0, 1.0) if rate is None else parse_rate(rate)
    delay_s = parse_seconds(retry_delay)
    return ActivityOptions(
        executor=on or "",
        max_attempts=retries + 1,
        retry_delay_s=delay_s,
        retry_backoff=float(backoff),
        retry_max_delay_s=max(delay_s, ActivityOptions().retry_max_delay_s),
        timeout_s=_limit_s("timeout", timeout),
        heartbeat_s=_limit_s("heartbeat", heartbeat, _SHORTEST_HEARTBEAT_S),
        start_within_s=_limit_s("start_within", start_within),
        max_parallel=max_parallel,
        rate_count=rate_count,
        rate_per_s=rate_per_s,
    )


def _limit_s(name: str, given: Duration | None, least_s: float = 0.0) -> float | None:
    """Return a limit in seconds; None for no limit."""
    if given is None:
        return None
    limit_s = parse_seconds(given)
    if limit_s == 0:
        raise ArgumentError(f"{name} is 0: it must be more, or left out for no limit")
    if limit_s < least_s:
        raise ArgumentError(f"{name} is {given}: it must be {least_s:g} s or more")
    return limit_s


def parse_rate(text: str) -> tuple[int, float]:
    """Return how many, and within how many seconds.

    Args:
        text: Such as `"10/s"`, `"100/m"`, `"5000/h"` or `"3/10s"`.

    Raises:
        ArgumentError: It is no rate.
    """
    count, _, per = (part.strip() for part in str(text).partition("/"))
    per_s = 0.0
    with contextlib.suppress(ArgumentError):
        per_s = parse_seconds(per if per[:1].isdigit() else f"1{per}") if per else 0.0
    if not count.isdecimal() or int(count) == 0 or per_s == 0:
        raise ArgumentError(f"{text!r} is no rate: write 10/s, 100/m, 5000/h or 3/10s")
    return int(count), per_s


def parse_json(text: str, example: str) -> Any:
    """Return the value of JSON text.

    Args:
        text: The text.
        example: A line that is right, to show beside one that is wrong.

    Raises:
        ArgumentError: It is no JSON; shows the place and the example.
    """
    if text.startswith("--"):
        option = text.split(maxsplit=1)[0]
        raise ArgumentError(f"there is no option {option} here. For example: {example}")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if text.strip() else ""
        begin = max(0, error.colno - 1 - _CONTEXT_CHARS)
        shown = line[begin : begin + 2 * _CONTEXT_CHARS]
        caret = " " * (error.colno - 1 - begin) + "^"
        raise ArgumentError(
            f"This is no JSON: {error.msg.lower()} at line {error.lineno}, column "
            f"{error.colno}:\n    {shown}\n    {caret}\nJSON puts text in double quotes and "
            f"writes true, false and null. For example: {example}"
        ) from None


def parse_time(when: Time, direction: Literal["ago", "from now"]) -> datetime:
    """Return a point in time as naive UTC.

    Args:
        when: The time.
        direction: Where a length of time leads.

    Raises:
        ArgumentError: It is no time.
    """
    if isinstance(when, str):
        when = _read_time(when)
    if isinstance(when, timedelta):
        now = datetime.now(UTC).replace(tzinfo=None)
        try:
            return now - when if direction == "ago" else now + when
        except OverflowError:
            raise ArgumentError(f"{when} {direction} is beyond the calendar") from None
    if not isinstance(when, datetime):
        raise ArgumentError(f"a time is a datetime, a timedelta or text, not {when!r}")
    if when.tzinfo is not None:
        when = when.astimezone(UTC)
    return datetime.combine(when.date(), when.time())  # no subclass, such as a pandas Timestamp


def _read_time(text: str) -> datetime | timedelta:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text.strip())
    try:
        return timedelta(seconds=parse_seconds(text))
    except (ArgumentError, OverflowError):
        raise ArgumentError(
            f"{text!r} is no time: write 2026-11-21T18:00 (UTC) or a length of time, 2h"
        ) from None


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """Return labels written as `name=value`.

    Raises:
        ArgumentError: One has no `=`.
    """
    tags = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ArgumentError(f"{text!r} is no tag: write name=value")
        tags[name] = value
    return tags


def take_options(
    text: str, options: Collection[str], *, is_before: bool = False
) -> tuple[str, dict[str, list[str]]]:
    """Take `--option VALUE` from the beginning and the end of a line; its middle may be JSON.

    Args:
        text: The line.
        options: Their names, with dashes.
        is_before: Whether to look at the beginning only.

    Returns:
        The rest as it is, and the values of each option that is there, in their order.
    """
    option = rf"""({"|".join(map(re.escape, options))})[= ]\s*("[^"]*"|'[^']*'|\S+)"""
    first, last = re.compile(rf"{option}(?:\s+|$)"), re.compile(rf"(?:^|\s+){option}$")
    begin: list[tuple[str, str]] = []
    end: list[tuple[str, str]] = []
    rest = text.strip()
    while (match := first.match(rest)) is not None:
        begin.append((match[1], match[2]))
        rest = rest[match.end() :].strip()
    while not is_before and not _is_json(rest) and (match := last.search(rest)) is not None:
        end.append((match[1], match[2]))
        rest = rest[: match.start()].strip()
    given: dict[str, list[str]] = {}
    for name, value in [*begin, *reversed(end)]:
        given.setdefault(name, []).append(value.strip("\"'") if value[0] in "\"'" else value)
    return rest, given


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parse_status(status: str | RuntimeStatus) -> RuntimeStatus:
    """Return the status of that name, upper or lower case alike.

    Raises:
        ArgumentError: There is none; lists them all.
    """
    by_name = {one.value.lower(): one for one in RuntimeStatus}
    found = by_name.get(str(status).lower())
    if found is None:
        names = ", ".join(one.value for one in RuntimeStatus)
        raise ArgumentError(
            f"there is no status {str(status)!r}{near(str(status), by_name)}: {names}"
        )
    return found


def parse_statuses(status: Statuses) -> tuple[RuntimeStatus, ...]:
    """Return the statuses of these names, one or several; see `parse_status`."""
    return tuple(parse_status(one) for one in ([status] if isinstance(status, str) else status))


def parse_replaceable(replace: Statuses) -> tuple[RuntimeStatus, ...]:
    """Return the statuses that an instance may have to be replaced by another of its id.

    Args:
        replace: Statuses, `"finished"` for all final ones, or `"any"`.

    Raises:
        ArgumentError: It is none of these.
    """
    if replace == "finished":
        return tuple(TERMINAL)
    return tuple(RuntimeStatus) if replace == "any" else parse_statuses(replace)


def near(name: str, names: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` where `name` looks like one of `names`, else nothing."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
