"""What `ipydurable` offers as functions: the current session's methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import SQL_TIMEOUT_S

from .archives import export_instances, import_instances
from .arguments import Duration, Statuses, Time
from .handles import NotebookInstance
from .selecting import documents
from .session import DurableSession, current_session

if TYPE_CHECKING:
    import pandas as pd

    from ipydurable.runtime.form_handles import FormHandles

    from .dashboard_output import DashboardView

__all__ = [
    "activities",
    "attempts",
    "dashboard",
    "definitions",
    "entities",
    "export",
    "forms",
    "history",
    "import_",
    "instance",
    "instances",
    "locks",
    "operations",
    "payload",
    "purge",
    "sql",
    "timers",
]


def instance(instance_id: str) -> NotebookInstance:
    """Return the handle of an instance, in any notebook and after any restart.

    Raises:
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().instance(instance_id)


def dashboard() -> DashboardView:
    """Return the store at a glance: live in a notebook, text elsewhere; also `print` shows it."""
    return current_session().dashboard()


@documents("instances")
def instances(  # noqa: PLR0913  (filters, each given by its name)
    *,
    status: Statuses = (),
    name: str = "",
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    since: Time | None = None,
    until: Time | None = None,
    parent: Any = "",
    limit: int = 0,
    after: Any = "",
) -> pd.DataFrame:
    """Return the instances as a DataFrame, newest first.

    A last column that the SQL view has not, `waiting_for`, says what the newest thousand of those
    that have not ended wait for: activities, timers, events, locks.

    Args:
        status: Only these, e.g. `"failed"`; several as a list.
        name: Only of this orchestrator.
        prefix: Only ids that begin so.
        tags: Only those that carry these labels.
        since: Only those created then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those created before then.
        parent: Only the sub-orchestrations of this instance, a handle or an id.
        limit: How many at most; 0 for all.
        after: Only what follows this instance in the list: the last id of the page before.

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


def export(  # noqa: PLR0913  (filters, each given by its name)
    path: str | Path,
    instances: Any = (),
    *,
    children: bool = True,
    status: Statuses = (),
    name: str = "",
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    since: Time | None = None,
    until: Time | None = None,
) -> int:
    """Write instances to a Parquet file: their histories, values, output and code.

    `ipydurable.import_` and `ipydurable.open_archive` read it, anywhere. Other tools see a table:
    the rows whose `part` is `journal` are the events, with `instance_id`, `seq`, `ts`, `kind`,
    `name`, `task_id` and `payload`.

    Args:
        path: The file; replaced if it exists.
        instances: Handles or ids, one or several, of entities too; else all that match the filters.
        children: Whether their sub-orchestrations go with them.
        status: Only these, e.g. `"failed"`; several as a list.
        name: Only of this orchestrator.
        prefix: Only ids that begin so.
        tags: Only those that carry these labels.
        since: Only those created then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those created before then.

    Returns:
        How many instances were written.

    Raises:
        UnknownInstanceError: There is no such instance; nothing was written.
        OSError: The file cannot be written.
    """
    return export_instances(
        current_session(),
        path,
        instances,
        children=children,
        status=status,
        name=name,
        prefix=prefix,
        tags=tags,
        since=since,
        until=until,
    )


def forms(*instances: Any) -> FormHandles:
    """Return the forms that instances wait for somebody to fill in, oldest first.

    Args:
        instances: Only of these, handles or ids; by default of all.

    Raises:
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().forms(*instances)


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


@documents("entities")
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


@documents("history")
def history(
    instance: Any = "",
    *,
    event_type: str = "",
    name: str = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return history events as a DataFrame.

    Args:
        instance: Only of this one, a handle or an id, or of an entity; by default of all.
        event_type: Only of this kind, e.g. `"TaskCompleted"`.
        name: Only of this orchestrator, activity, event or operation.
        since: Only those recorded then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those recorded before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().history(
        instance, event_type=event_type, name=name, since=since, until=until, limit=limit
    )


@documents("activities")
def activities(
    instance: Any = "",
    *,
    name: str = "",
    status: str | Iterable[str] = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return activities as a DataFrame: queued, started, finished, and how each ended.

    Args:
        instance: Only of this one, a handle or an id; by default of all.
        name: Only of this activity.
        status: Only these, e.g. `"failed"`; several as a list.
        since: Only those scheduled then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those scheduled before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().activities(
        instance, name=name, status=status, since=since, until=until, limit=limit
    )


@documents("attempts")
def attempts(
    instance: Any = "",
    *,
    name: str = "",
    status: str | Iterable[str] = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return attempts of activities as a DataFrame.

    Args:
        instance: Only of this one, a handle or an id; by default of all.
        name: Only of this activity.
        status: Only these, e.g. `"lost"`; several as a list.
        since: Only those scheduled then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those scheduled before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().attempts(
        instance, name=name, status=status, since=since, until=until, limit=limit
    )


@documents("timers")
def timers(
    instance: Any = "",
    *,
    status: str | Iterable[str] = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return durable timers as a DataFrame.

    Args:
        instance: Only of this one, a handle or an id; by default of all.
        status: Only these, e.g. `"pending"`; several as a list.
        since: Only those created then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those created before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
        UnknownInstanceError: There is no such instance; lists ids like it.
    """
    return current_session().timers(instance, status=status, since=since, until=until, limit=limit)


@documents("operations")
def operations(
    entity: Any = "",
    *,
    operation: str = "",
    sender: Any = "",
    status: str | Iterable[str] = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return operations that entities were asked for as a DataFrame.

    Args:
        entity: Only of this one, a handle or an id; by default of all.
        operation: Only of this name.
        sender: Only those that this instance or entity asked for.
        status: Only these, e.g. `"queued"`; several as a list.
        since: Only those asked for then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those asked for before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
    """
    return current_session().operations(
        entity,
        operation=operation,
        sender=sender,
        status=status,
        since=since,
        until=until,
        limit=limit,
    )


@documents("locks")
def locks(
    entity: Any = "",
    *,
    owner: Any = "",
    status: str | Iterable[str] = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return what became of each request for a lock as a DataFrame.

    Args:
        entity: Only of this one, a handle or an id; by default of all.
        owner: Only those of this orchestration.
        status: Only these, e.g. `["held", "waiting"]`.
        since: Only those asked for then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those asked for before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
    """
    return current_session().locks(
        entity, owner=owner, status=status, since=since, until=until, limit=limit
    )


@documents("definitions")
def definitions(
    *,
    name: str = "",
    kind: str = "",
    since: Time | None = None,
    until: Time | None = None,
    limit: int = 0,
) -> pd.DataFrame:
    """Return all versions of all definitions as a DataFrame.

    Args:
        name: Only of this name.
        kind: `"orchestrator"`, `"activity"` or `"entity"`.
        since: Only those added then or later: a datetime (naive means UTC), or a timedelta or
            `"2h"` ago.
        until: Only those added before then.
        limit: How many at most, from the beginning; 0 for all.

    Raises:
        ValueError: A filter makes no sense; says which.
    """
    return current_session().definitions(
        name=name, kind=kind, since=since, until=until, limit=limit
    )


def payload(instance: Any, seq: int | None = None) -> Any:
    """Return the value of a history event: an input, a result, data; DataFrames as DataFrames.

    `payload('INSTANCE', SEQ)` is also a table in `%durable sql`, for DataFrames, Arrow tables and
    JSON.

    Args:
        instance: A handle or an id, of an instance or (`"@account@alice"`) an entity.
        seq: Position of the event: `seq` of `history`, `seq` (input) or `end_seq` (result) of
            `activities`. None for the output of the instance, or the state of the entity.

    Raises:
        UnknownInstanceError: There is no such instance, or no such event.
        DecodingError: The value cannot be loaded here; says why.
    """
    return current_session().payload(instance, seq)


def import_(path: str | Path) -> DurableSession:
    """Read instances that `export` wrote, in an archive of its own.

    Nothing of it gets into a store, so nothing of it can run, and nothing is unpickled.

    Args:
        path: The Parquet file.

    Returns:
        The archive, a session as of `ipydurable.open_archive`; close it, or use it in a `with`.

    Raises:
        NotAStoreError: The file is missing, or `export` did not write it.
    """
    return import_instances(path)


def sql(
    text: str, parameters: Mapping[str, Any] | None = None, *, timeout: Duration = SQL_TIMEOUT_S
) -> pd.DataFrame:
    """Return the answer to a read-only SQL query over the store as a DataFrame.

    It runs beside the engine; an interrupt ends it there, too.

    Args:
        text: One SELECT over the tables that are functions here: `instances`, `history`,
            `activities`, `attempts`, `timers`, `entities`, `operations`, `locks`, `definitions`,
            and `attempt_outputs`; or `payload('INSTANCE', SEQ)`.
        parameters: Values for `$name` in the query.
        timeout: How long it may run: seconds, a timedelta or `"2m"`; 0 for no limit.

    Raises:
        QueryError: The query is no good, or was ended; in the database's own words.
    """
    return current_session().sql(text, parameters, timeout=timeout)
