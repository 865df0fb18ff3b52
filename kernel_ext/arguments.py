"""What is typed after the magics, turned into values; no IPython here.

Every problem is an `ArgumentError`, whose text can be shown as it is.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import ActivityOptions

__all__ = [
    "EXECUTORS",
    "ArgumentError",
    "activity_options",
    "near",
    "parse_json",
    "parse_seconds",
    "parse_status",
    "take_option",
]


class ArgumentError(ValueError):
    """What was given makes no sense; the text says why."""


EXECUTORS = ("processes", "threads", "asyncio")
"""Where an activity can run."""

_UNITS_S = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.ASCII)
_CONTEXT_CHARS = 60


def parse_seconds(text: str | float | timedelta) -> float:
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


def activity_options(
    *,
    retries: int = 0,
    retry_delay: str | float | timedelta = 1.0,
    backoff: float = 2.0,
    timeout: str | float | timedelta | None = None,
    on: str | None = None,
    max_parallel: int = 0,
) -> ActivityOptions:
    """Return the options of an activity as its user gives them.

    Args:
        retries: How often a failed attempt is tried again: 3 means four attempts at most.
        retry_delay: Time before the first retry.
        backoff: Factor from one delay to the next; at least 1.
        timeout: How long one attempt may take; None for no limit.
        on: `"processes"`, `"threads"` or `"asyncio"`; None for what suits the function.
        max_parallel: How many may run at once; 0 for no limit.

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
    if on is not None and on not in EXECUTORS:
        raise ArgumentError(f"an activity runs on {', '.join(EXECUTORS)}, not on {on!r}")
    timeout_s = None if timeout is None else parse_seconds(timeout)
    if timeout_s == 0:
        raise ArgumentError("timeout is 0: it must be more, or left out for no limit")
    delay_s = parse_seconds(retry_delay)
    return ActivityOptions(
        executor=on or "",
        max_attempts=retries + 1,
        retry_delay_s=delay_s,
        retry_backoff=float(backoff),
        retry_max_delay_s=max(delay_s, ActivityOptions().retry_max_delay_s),
        timeout_s=timeout_s,
        max_parallel=max_parallel,
    )


def parse_json(text: str, example: str) -> Any:
    """Return the value of JSON text.

    Args:
        text: The text.
        example: A line that is right, to show beside one that is wrong.

    Raises:
        ArgumentError: It is no JSON; shows the place and the example.
    """
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


def take_option(text: str, option: str) -> tuple[str, str | None]:
    """Take `--option VALUE` from the beginning or the end of a line, and leave the rest as it is.

    Args:
        text: The line; what is in its middle may be JSON and is not looked at.
        option: The option's name without its dashes.

    Returns:
        The rest, and the value; None where the option is not there.
    """
    for pattern in (rf"^--{option}[= ]\s*(\S+)(?:\s+|$)", rf"(?:^|\s+)--{option}[= ]\s*(\S+)$"):
        match = re.search(pattern, text.strip())
        if match is not None:
            rest = text.strip()
            return (rest[: match.start()] + rest[match.end() :]).strip(), match[1]
    return text.strip(), None


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


def near(name: str, names: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` where `name` looks like one of `names`, else nothing."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
