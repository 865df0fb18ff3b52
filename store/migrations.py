"""Brings the tables of a store file to the present schema version, step by step.

Each step and the record that it was taken are one transaction, so a file is always of exactly
the version its table `migrations` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ipydurable.runtime.core.errors import NotAStoreError, StoreVersionError

from .schema import META_DEFAULTS, TABLES_V1, TABLES_V2
from .views import VIEWS

if TYPE_CHECKING:
    import duckdb

__all__ = ["MIGRATIONS", "Migration", "migrate", "schema_version"]


class Migration(NamedTuple):
    """One step from the version before.

    Attributes:
        version: The schema version it leads to.
        name: What it does.
        statements: SQL, in order.
    """

    version: int
    name: str
    statements: Sequence[str]


_META = (
    "CREATE TABLE meta(key VARCHAR NOT NULL, value VARCHAR NOT NULL)",
    "INSERT INTO meta VALUES ('application', 'ipydurable')",
    *(f"INSERT INTO meta VALUES ('{key}', '{value}')" for key, value in META_DEFAULTS.items()),
    """
    CREATE TABLE migrations(
      version INTEGER NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)
    """,
)

MIGRATIONS = (
    Migration(1, "create the tables", (*_META, *TABLES_V1)),
    Migration(2, "keep what activities print and display", TABLES_V2),
    Migration(3, "bring the views up to date", ()),
    # The views are as of now: whoever changes them adds such a step and moves VIEWS there.
    Migration(4, "show values in the views as people write them", VIEWS),
)
"""All steps, in order, from an empty file on."""


def schema_version(cursor: duckdb.DuckDBPyConnection, path: str) -> int:
    """Return the schema version of an open file; 0 for an empty one.

    Raises:
        NotAStoreError: The file holds something else.
    """
    found = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary"
    ).fetchall()
    names = {name for (name,) in found}
    if not names:
        return 0
    if {"meta", "migrations", "journal"} <= names:
        version = cursor.execute(
            "SELECT max(version) FROM migrations "
            "WHERE EXISTS (FROM meta WHERE key = 'application' AND value = 'ipydurable')"
        ).fetchall()[0][0]
        if version is not None:
            return int(version)
    shown = ", ".join(sorted(names)[:5])
    raise NotAStoreError(path, f"it is a DuckDB file that holds other things ({shown})")


def migrate(
    cursor: duckdb.DuckDBPyConnection, path: str, migrations: Sequence[Migration] = MIGRATIONS
) -> list[str]:
    """Bring an open file to the version of the last of `migrations`.

    Args:
        cursor: A cursor in no transaction.
        path: The file, for messages.
        migrations: All steps, in order of version.

    Returns:
        A sentence for each step taken on a file that held data.

    Raises:
        NotAStoreError: The file holds something else.
        StoreVersionError: The file is newer than the last step.
    """
    found = schema_version(cursor, path)
    supported = migrations[-1].version
    if found > supported:
        raise StoreVersionError(path, found, supported)
    report = []
    for step in migrations:
        if step.version <= found:
            continue
        _take(cursor, step)
        if found:
            report.append(f"{path} was brought to schema {step.version}: {step.name}.")
    return report


def _take(cursor: duckdb.DuckDBPyConnection, step: Migration) -> None:
    cursor.begin()
    try:
        for statement in step.statements:
            cursor.execute(statement).fetchall()
        cursor.execute(
            "INSERT INTO migrations VALUES (?, ?, ?)",
            [step.version, step.name, datetime.now(UTC).replace(tzinfo=None)],
        ).fetchall()
        cursor.commit()
    except BaseException:
        cursor.rollback()
        raise
