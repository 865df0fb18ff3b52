"""What `ipydurable` offers as functions: the current session's methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .arguments import Statuses, Time
from .handles import NotebookInstance
from .session import current_session

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["entities", "history", "instance", "instances", "locks", "purge", "sql"]


def instance(instance_id: str) -> NotebookInstance:
    """Return the handle of an instance, in any notebook and after any restart.

    Raises:
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().instance(instance_id)


def instances(  # noqa: PLR0913  (filters, each given by its name)
    *,
    status: Statuses = (),
    name: str = "",
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    since: Time | None = None,
    until: Time | None = None,
    parent: str = "",
    limit: int = 0,
    after: str = "",
) -> pd.DataFrame:
    """Return the instances as a DataFrame, newest first.

    Args:
        status: Only these, e.g. `"failed"`; several as a list.
        name: Only of this orchestrator.
        prefix: Only ids that begin so.
        tags: Only those that carry these labels.
        since: Only those created then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those created before then.
        parent: Only the sub-orchestrations of this instance.
        limit: How many at most; 0 for all.
        after: Only what follows this instance in the list: the last id of the page before.

    Returns:
        One row per instance; times are UTC, `duration` is in seconds, `waiting_for` says what the
        first thousand of those that have not ended wait for.

    Raises:
        ValueError: There is no such status, or no such time.
        UnknownInstanceError: There is no instance to list what follows it.
    """
    return current_session().instances(
        status=status,
        name=name,
        prefix=prefix,
        tags=tags,
        since=since,
        until=until,
        parent=parent,
        limit=limit,
        after=after,
    )


def purge(
    instance_id: str = "",
    *,
    status: Statuses = (),
    name: str = "",
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    before: Time | None = None,
    recursive: bool = False,
) -> int:
    """Delete finished instances with all that is stored of them.

    Args:
        instance_id: One instance; else all finished ones that match the filters, of which at
            least one must be given.
        status: Only these, e.g. `"completed"`; several as a list.
        name: Only of this orchestrator.
        prefix: Only ids that begin so.
        tags: Only those that carry these labels.
        before: Only those created before then: a datetime (naive means UTC), or a timedelta or
            `"7d"` ago.
        recursive: Whether their finished sub-orchestrations are deleted too.

    Returns:
        How many instances were deleted.

    Raises:
        ValueError: Neither an id nor a filter was given, or both.
        InstanceStateError: The instance has not finished.
        UnknownInstanceError: There is no such instance.
    """
    return current_session().purge(
        instance_id,
        status=status,
        name=name,
        prefix=prefix,
        tags=tags,
        before=before,
        recursive=recursive,
    )


def entities(
    *,
    name: str = "",
    prefix: str = "",
    locked: bool = False,
    since: Time | None = None,
    until: Time | None = None,
    include_empty: bool = False,
    limit: int = 0,
    after: str = "",
) -> pd.DataFrame:
    """Return the entities as a DataFrame, newest first.

    Args:
        name: Only of this definition; upper and lower case alike.
        prefix: Only ids that begin so, e.g. `"Account@a"`.
        locked: Only those that a critical section holds.
        since: Only those modified then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those modified before then.
        include_empty: Also those without state that have nothing to do.
        limit: How many at most; 0 for all.
        after: Only what follows this entity in the list: the last id of the page before.

    Returns:
        One row per entity; times are UTC.

    Raises:
        ValueError: There is no such time, or no entity to list what follows it.
    """
    return current_session().entities(
        name=name,
        prefix=prefix,
        locked=locked,
        since=since,
        until=until,
        include_empty=include_empty,
        limit=limit,
        after=after,
    )


def locks() -> pd.DataFrame:
    """Return all locks that are held or asked for, with owner, age (seconds) and queue."""
    return current_session().locks()


def history(instance_id: str) -> pd.DataFrame:
    """Return an instance's history as a DataFrame, one row per event.

    Raises:
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().history(instance_id)


def sql(text: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the answer to a read-only SQL query over the store as a DataFrame.

    Args:
        text: One SELECT over `history`, `activities`, `instances`, `definitions`.
        parameters: Values for `$name` in the query.

    Raises:
        QueryError: The query is no good; in the database's own words.
    """
    return current_session().sql(text, parameters)
