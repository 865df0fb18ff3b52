"""What is read from a store: rows and records for the engine, SQL for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.core.errors import QueryError
from ipydurable.runtime.core.records import Record
from ipydurable.runtime.ports import EntityQuery, InstanceQuery, JournalRow

from .codec import digests_of, unpack
from .payloads import LargeValues
from .projections import decode_refs, unpack_record
from .results import with_plain_types
from .schema import JOURNAL_COLUMNS
from .text import storable, to_json

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "conditions_of",
    "delete_instances",
    "entity_conditions_of",
    "histories",
    "journal_rows",
    "record_rows",
    "run_select",
]


def journal_rows(
    cursor: duckdb.DuckDBPyConnection, tail: str, parameters: Sequence[Any] = ()
) -> list[JournalRow]:
    """Return journal rows, with their large values.

    Args:
        cursor: A cursor with no open result.
        tail: What follows `FROM journal`.
        parameters: For the placeholders in `tail`.
    """
    found = cursor.execute(f"SELECT {JOURNAL_COLUMNS} FROM journal {tail}", parameters).fetchall()
    return _unpack_all(cursor, found)


def record_rows(
    cursor: duckdb.DuckDBPyConnection, tail: str, parameters: Sequence[Any] = ()
) -> list[Record]:
    """Return the records in the table `instance_records`, with their large values.

    Args:
        cursor: A cursor with no open result.
        tail: What follows `FROM instance_records`.
        parameters: For the placeholders in `tail`.
    """
    found = cursor.execute(
        f"SELECT record, refs FROM instance_records {tail}", parameters
    ).fetchall()
    rows = [(record, decode_refs(refs)) for record, refs in found]
    digests = {ref.digest for _, refs in rows for ref in refs.values()}
    large = LargeValues.read(cursor, digests)
    return [unpack_record(record, refs, large) for record, refs in rows]


def histories(
    cursor: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[int, int]]
) -> list[list[JournalRow]]:
    """Return, for each (iid, first seq), what `Store.history` promises; one query."""
    mine = "SELECT unnest($1::BIGINT[]) AS iid, unnest($2::BIGINT[]) AS first_seq"
    columns = ", ".join(f"j.{name}" for name in JOURNAL_COLUMNS.split(", "))
    found = cursor.execute(
        f"""
        WITH wanted AS MATERIALIZED ({mine})
        SELECT {columns} FROM journal j JOIN wanted USING (iid)
        WHERE j.stream = 'history' AND j.seq >= wanted.first_seq
        UNION ALL
        SELECT {columns} FROM journal j SEMI JOIN wanted USING (iid)
        ANTI JOIN (
          SELECT ref FROM journal SEMI JOIN wanted USING (iid) WHERE ref > 0
        ) consumed ON consumed.ref = j.gseq
        WHERE j.stream = 'inbox'
        ORDER BY gseq
        """,
        [[iid for iid, _ in wanted], [first_seq for _, first_seq in wanted]],
    ).fetchall()
    by_iid: dict[int, list[JournalRow]] = {iid: [] for iid, _ in wanted}
    for row in _unpack_all(cursor, found):
        by_iid[row.iid].append(row)
    return [by_iid[iid] for iid, _ in wanted]


def conditions_of(query: InstanceQuery) -> tuple[str, list[Any]]:
    """Return what follows `FROM instance_records` for a query, and its parameters."""
    return _newest_first(
        "orchestration",
        (
            (
                query.status,
                "status IN (SELECT unnest(?::VARCHAR[]))",
                [one.value for one in query.status],
            ),
            (query.name, "name = ?", query.name),
            (query.prefix, "starts_with(instance_id, ?)", query.prefix),
            (query.created_from is not None, "created_at >= ?", query.created_from),
            (query.created_to is not None, "created_at < ?", query.created_to),
            (query.parent, "parent_instance_id = ?", query.parent),
            (query.before_iid, "iid < ?", query.before_iid),
            (query.tags, "json_contains(tags, ?)", to_json(query.tags)),
        ),
        query.limit,
    )


def entity_conditions_of(query: EntityQuery) -> tuple[str, list[Any]]:
    """Return what follows `FROM instance_records` for a query, and its parameters."""
    is_empty = "(NOT is_live AND record->>'$.state' IS NULL AND refs IS NULL)"
    return _newest_first(
        "entity",
        (
            (query.name, "name = ?", query.name.lower()),
            (query.prefix, "starts_with(instance_id, ?)", query.prefix),
            (query.modified_from is not None, "updated_at >= ?", query.modified_from),
            (query.modified_to is not None, "updated_at < ?", query.modified_to),
            (query.before_iid, "iid < ?", query.before_iid),
            (query.locked, "record->>'$.locked_by' IS NOT NULL"),
            (not (query.include_empty or query.only_empty), f"NOT {is_empty}"),
            (query.only_empty, is_empty),
        ),
        query.limit,
    )


def delete_instances(cursor: duckdb.DuckDBPyConnection, iids: Collection[int]) -> None:
    """Delete the rows of these instances; `cursor` is in a transaction."""
    for table in ("journal", "instance_records", "attempt_output_rows"):
        cursor.execute(
            f"DELETE FROM {table} WHERE iid IN (SELECT unnest($1::BIGINT[]))", [list(iids)]
        ).fetchall()


def run_select(cursor: duckdb.DuckDBPyConnection, text: str, parameters: Any = None) -> pa.Table:
    """Run one query that only reads; numbers and durations come as `with_plain_types` says.

    Raises:
        QueryError: It is not one query, would write, or failed; in DuckDB's words.
    """
    import duckdb

    try:
        statements = cursor.extract_statements(text)
        if len(statements) != 1:
            raise QueryError(text, f"One query at a time: this text holds {len(statements)}.")
        kind = statements[0].type
        if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise QueryError(
                text, f"Only queries that read are allowed here, and this is {kind.name}."
            )
        # A query can write as well (a CTE that deletes): such a transaction refuses it.
        cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
        try:
            return with_plain_types(cursor.sql(text, params=parameters).to_arrow_table())
        finally:
            cursor.execute("ROLLBACK").fetchall()
    except duckdb.Error as error:
        raise QueryError(text, str(error)) from None


def _newest_first(kind: str, given: Iterable[tuple[Any, ...]], limit: int) -> tuple[str, list[Any]]:
    """Return the tail of a query for records and its parameters.

    Args:
        kind: As in the column of that name.
        given: Whether a condition counts, the condition, and its parameter if it has one.
        limit: How many records at most; 0 for all.
    """
    conditions = ["kind = ?"]
    parameters: list[Any] = [kind]
    for counts, condition, *values in given:
        if counts:
            conditions.append(condition)
            parameters += [storable(one) if isinstance(one, str) else one for one in values]
    at_most = f" LIMIT {limit:d}" if limit else ""
    return f"WHERE {' AND '.join(conditions)} ORDER BY iid DESC{at_most}", parameters


def _unpack_all(cursor: duckdb.DuckDBPyConnection, found: list[Any]) -> list[JournalRow]:
    digests = {digest for columns in found for digest in digests_of(columns)}
    large = LargeValues.read(cursor, digests)
    return [unpack(columns, large) for columns in found]
