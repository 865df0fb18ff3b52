"""What is read from a store for the engine: rows and records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.core.records import Record
from ipydurable.runtime.ports import EntityQuery, InstanceQuery, JournalRow

from .codec import digests_of, unpack
from .payloads import LargeValues
from .projections import decode_refs, unpack_record
from .schema import JOURNAL_COLUMNS, PURGED
from .text import storable, to_json

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "conditions_of",
    "delete_instances",
    "entity_conditions_of",
    "histories",
    "journal_rows",
    "note_purge",
    "purged",
    "record_rows",
    "rows_of",
]

# Only who did not hear of it asks, and does so at once.
_PURGES_KNOWN = 100


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


def rows_of(cursor: duckdb.DuckDBPyConnection, iid: int, gseqs: Sequence[int]) -> list[JournalRow]:
    """Return what `Store.rows_of` promises."""
    if not gseqs:
        return []
    # Bounds of the numbers, as they are what the table's zones are looked up by.
    tail = (
        "WHERE gseq BETWEEN ? AND ? AND iid = ? AND gseq IN (SELECT unnest(?::BIGINT[])) "
        "ORDER BY gseq"
    )
    return journal_rows(cursor, tail, [min(gseqs), max(gseqs), iid, list(gseqs)])


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


def note_purge(cursor: duckdb.DuckDBPyConnection, request_id: str, count: int) -> None:
    """Note how many instances a request has deleted; `cursor` is in that transaction."""
    cursor.execute("INSERT INTO meta VALUES (?, ?)", [PURGED + request_id, str(count)]).fetchall()
    cursor.execute(
        "DELETE FROM meta WHERE starts_with(key, $1) AND rowid NOT IN ("
        "SELECT rowid FROM meta WHERE starts_with(key, $1) ORDER BY rowid DESC LIMIT $2)",
        [PURGED, _PURGES_KNOWN],
    ).fetchall()


def purged(cursor: duckdb.DuckDBPyConnection, request_id: str) -> int | None:
    """Return what `Store.purged` promises."""
    found = cursor.execute("SELECT value FROM meta WHERE key = ?", [PURGED + request_id]).fetchall()
    return int(found[0][0]) if found else None


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
