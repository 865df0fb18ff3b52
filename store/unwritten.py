"""Reads over records that cannot be written now: on a full disk there is still memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from .projections import RecordColumns
from .schema import RECORD_COLUMNS
from .views import VIEWS

if TYPE_CHECKING:
    import duckdb

__all__ = ["add_unwritten"]


def add_unwritten(cursor: duckdb.DuckDBPyConnection, rows: Collection[RecordColumns]) -> None:
    """Have this cursor, and no other, see records as if they were in `instance_records`.

    What is temporary comes first where a name is looked up, and never reaches the file. So views of
    that kind hide the table and, as they were bound to it, the views over it.

    Args:
        cursor: A cursor of its own, in no transaction; closing it ends what was made.
        rows: The newest records, which replace those of their number.
    """
    database = cursor.execute("SELECT current_database()").fetchall()[0][0]
    table = f'"{database}".main.instance_records'.replace("'", "''")
    cursor.execute(f"CREATE TEMP TABLE unwritten_records AS FROM {table} LIMIT 0").fetchall()
    if rows:
        appender = cursor.appender("temp.unwritten_records")
        appender.append_rows(rows)
        appender.flush()
    cursor.execute(
        f"CREATE TEMP VIEW instance_records AS SELECT {RECORD_COLUMNS} FROM {table} AS written "
        "ANTI JOIN unwritten_records USING (iid) "
        f"UNION ALL SELECT {RECORD_COLUMNS} FROM unwritten_records"
    ).fetchall()
    for view in VIEWS:
        cursor.execute(view.replace("REPLACE VIEW", "REPLACE TEMP VIEW", 1)).fetchall()
