"""The client's end of a query."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .read_requests import CancelSql, RunSql
from .transport import Transport

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SQL_TIMEOUT_S", "ask_sql"]

SQL_TIMEOUT_S = 600.0
"""Seconds after which a query is ended unless it was given another limit."""


def ask_sql(
    transport: Transport, text: str, parameters: Mapping[str, Any] | None, timeout_s: float
) -> pa.Table:
    """Run a query and wait for its answer; see `DurableClient.sql`.

    Args:
        transport: Reaches the store.
        text: One query.
        parameters: Values for `$name` in it.
        timeout_s: Seconds after which it is ended; 0 for no limit.
    """
    import pyarrow as pa

    query_id = secrets.token_hex(8)
    request = RunSql(
        text=text, parameters=dict(parameters or {}), query_id=query_id, timeout_s=timeout_s
    )
    try:
        data = transport.request(request).result()
    except KeyboardInterrupt:
        transport.request(CancelSql(query_id=query_id))
        raise
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
