"""SQL that people write: one query that only reads, of bounded size, and values as tables."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ipydurable.runtime.core.errors import QueryError
from ipydurable.runtime.core.payload import Blob, Payload, files_folder, ref_of
from ipydurable.runtime.core.records import InstanceRecord

from .queries import record_rows
from .results import to_stream
from .text import storable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["MAX_ANSWER_BYTES", "interrupt", "run_select"]

MAX_ANSWER_BYTES = 2 * 1024**3
"""How large an answer may be: the host holds it in memory."""

_BATCH_ROWS = 8 * 2048
"""Small enough that the memory of one batch serves the next."""
_ARGUMENT = r"'(?:[^']|'')*'|\d+|\$\w+"
# What stands in strings, names and comments is not looked at.
_TOKENS = re.compile(
    rf"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/
    |(?P<call>(?<![\w.])payload\s*\(\s*(?P<id>{_ARGUMENT})\s*(?:,\s*(?P<seq>{_ARGUMENT})\s*)?\))""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
# These act on the database although they look like reading.
_ACTING = re.compile(r"\b(force_checkpoint|checkpoint)\s*\(", re.IGNORECASE)


def interrupt(cursor: duckdb.DuckDBPyConnection) -> Callable[[], None]:
    """Return what ends the query of a cursor, from any thread; nothing where it has ended."""
    import duckdb

    def end() -> None:
        with contextlib.suppress(duckdb.Error):
            cursor.interrupt()

    return end


def run_select(
    cursor: duckdb.DuckDBPyConnection,
    text: str,
    parameters: Any = None,
    max_bytes: int = MAX_ANSWER_BYTES,
    *,
    store: str = "",
) -> bytes:
    """Run one query that only reads; numbers and durations come as `with_plain_types` says.

    `payload('INSTANCE', SEQ)` in it is a table: the DataFrame, Arrow table or JSON that the event
    at SEQ of that history carries; without SEQ the instance's output. A list of JSON objects has a
    row for each and a column for each key. Nothing is unpickled.

    Args:
        cursor: A cursor of its own, with no open result.
        text: The query.
        parameters: Values for its placeholders: a list for `?`, a dict for `$name`.
        max_bytes: How large the answer may be.
        store: The path of the store, beside which large frames lie in files.

    Returns:
        The answer, an Arrow IPC stream.

    Raises:
        QueryError: It is not one query, would write, answers with too much, or failed; in DuckDB's
            words.
    """
    import duckdb

    try:
        meant, parameters, tables = _payload_tables(cursor, text, parameters, store)
        statements = cursor.extract_statements(meant)
        if len(statements) != 1:
            raise QueryError(text, f"One query at a time: this text holds {len(statements)}.")
        kind = statements[0].type
        if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise QueryError(
                text, f"Only queries that read are allowed here, and this is {kind.name}."
            )
        if kind is duckdb.StatementType.EXPLAIN:
            _refuse_acting_explain(text, meant)
        if _ACTING.search(_TOKENS.sub("", meant)):
            raise QueryError(text, "Only queries that read are allowed here.")
        for name, table in tables.items():
            cursor.register(name, table)
        # A query can write as well (a CTE that deletes): such a transaction refuses it.
        cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
        try:
            return _read(cursor, text, meant, parameters, max_bytes)
        finally:
            cursor.execute("ROLLBACK").fetchall()
    except duckdb.Error as error:
        raise QueryError(text, str(error)) from None


def _read(
    cursor: duckdb.DuckDBPyConnection, text: str, meant: str, parameters: Any, max_bytes: int
) -> bytes:
    import duckdb
    import pyarrow as pa

    try:
        reader = cursor.sql(meant, params=parameters).to_arrow_reader(_BATCH_ROWS)
    except (duckdb.BinderException, duckdb.CatalogException):
        cursor.execute(meant, parameters).fetchall()  # fails too, and says at which place
        raise
    try:
        return to_stream(reader.schema, _bounded(reader, text, max_bytes))
    except pa.ArrowException as error:
        raise QueryError(text, str(error)) from None
    finally:
        reader.close()


def _bounded(
    batches: Iterable[pa.RecordBatch], text: str, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield what there is up to a size; raise where there is more."""
    size = 0
    for batch in batches:
        size += batch.nbytes
        if size > max_bytes:
            raise QueryError(
                text,
                f"The answer is larger than {max_bytes / 1024**2:,.0f} MB: choose fewer "
                "columns, filter, aggregate, or add a LIMIT.",
            )
        yield batch


_EXPLAINED = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\b|\([^)]*\))?\s*(\w+|\()", re.IGNORECASE)


def _refuse_acting_explain(text: str, meant: str) -> None:
    """Raise for an EXPLAIN of what does not read: EXPLAIN ANALYZE carries it out."""
    bare = re.sub(r"--[^\n]*|/\*.*?\*/", " ", meant, flags=re.DOTALL)
    found = _EXPLAINED.match(bare)
    if found is None or found[1].upper() not in ("SELECT", "FROM", "WITH", "VALUES", "TABLE", "("):
        raise QueryError(text, "Only queries that read can be explained here.")


class _Found(NamedTuple):
    text: str
    parameters: Any
    tables: dict[str, Any]


def _payload_tables(
    cursor: duckdb.DuckDBPyConnection, text: str, parameters: Any, store: str
) -> _Found:
    """Return a query with names of tables for `payload(...)`, and these tables.

    A name is as long as what it stands for, so that DuckDB's errors point to the right place.
    """
    tables: dict[str, pa.Table] = {}
    used: set[str] = set()

    def value_of(argument: str) -> Any:
        if argument[0] != "$":
            return argument[1:-1].replace("''", "'") if argument[0] == "'" else argument
        used.add(argument[1:])
        if not isinstance(parameters, Mapping) or argument[1:] not in parameters:
            raise QueryError(text, f"payload: there is no value for {argument}")
        return parameters[argument[1:]]

    def replaced(match: re.Match[str]) -> str:
        if match["call"] is None:
            return match[0]
        instance_id = str(value_of(match["id"]))
        seq = None if match["seq"] is None else int(value_of(match["seq"]))
        name = f"payload_{len(tables)}"
        tables[name] = _table_of(text, match[0], _payload(cursor, text, instance_id, seq), store)
        return name.ljust(len(match[0]))

    meant = _TOKENS.sub(replaced, text)
    if used:
        kept = {name: value for name, value in parameters.items() if f"${name}" in meant}
        parameters = kept or None
    return _Found(meant, parameters, tables)


def _payload(
    cursor: duckdb.DuckDBPyConnection, text: str, instance_id: str, seq: int | None
) -> Payload | None:
    records = record_rows(
        cursor, "WHERE instance_id = $1 ORDER BY iid DESC LIMIT 1", [storable(instance_id)]
    )
    if not records:
        raise QueryError(text, f"payload: there is no instance {instance_id!r}")
    record = records[0]
    if seq is None:
        return record.output if isinstance(record, InstanceRecord) else record.state
    found = cursor.execute(
        "SELECT coalesce(j.payload, p.text), coalesce(j.data, p.data), "
        "coalesce(p.codec, j.extra->>'$.codec') FROM journal j "
        "LEFT JOIN payloads p ON p.digest = j.digest "
        "WHERE j.iid = $1 AND j.stream = 'history' AND j.seq = $2",
        [record.iid, seq],
    ).fetchall()
    if not found:
        raise QueryError(text, f"payload: {instance_id!r} has no event {seq}")
    as_text, data, codec = found[0]
    if as_text is not None or data is None:
        return as_text  # type: ignore[no-any-return]
    return Blob(codec=codec or "", data=data)


def _table_of(text: str, call: str, payload: Payload | None, store: str) -> pa.Table:
    import pyarrow as pa

    if payload is None:
        raise QueryError(text, f"{call}: there is no value; see the column payload of history")
    if isinstance(payload, str):
        return _json_table(payload)
    ref = ref_of(payload)
    if ref is not None and ref.form == "arrow":
        return _table_in_file(text, call, Path(files_folder(store), ref.file_name))
    if payload.codec != "arrow":
        what = payload.summary or f"a value kept as {payload.codec}"
        raise QueryError(text, f"{call} is {what}: SQL reads DataFrames, Arrow tables and JSON")
    with pa.ipc.open_stream(pa.py_buffer(payload.data)) as reader:
        return reader.read_all().replace_schema_metadata(None)


def _table_in_file(text: str, call: str, path: Path) -> pa.Table:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(pa.memory_map(str(path))) as reader:
            return reader.read_all().replace_schema_metadata(None)
    except (OSError, pa.ArrowInvalid) as error:
        raise QueryError(text, f"{call}: its file {path} cannot be read: {error}") from None


def _json_table(text: str) -> pa.Table:
    import pyarrow as pa

    value = json.loads(text)
    rows = value if isinstance(value, list) else [value]
    try:
        if rows and all(isinstance(row, dict) and row for row in rows):
            names = list(dict.fromkeys(name for row in rows for name in row))
            return pa.table({name: [row.get(name) for row in rows] for name in names})
        return pa.table({"value": rows})
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # Of several types: as JSON.
        return pa.table({"value": [json.dumps(row, ensure_ascii=False) for row in rows]})
