"""What is asked of a store's data; and the base of all requests."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

import msgspec

from .core.payload import Payload

__all__ = ["BaseRequest", "CancelSql", "GetPayload", "RunSql", "new_request_id"]


def new_request_id() -> str:
    """Return an id by which a host knows a request that is sent again."""
    return secrets.token_hex(8)


class BaseRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Base of all requests; `answer_type` is what a good answer is."""

    answer_type: ClassVar[Any] = None


class GetPayload(BaseRequest, frozen=True, kw_only=True):
    """Ask for the value of one event; None where it has none.

    Attributes:
        instance_id: The instance, or an entity.
        seq: Position of the event in its history, from 1.
    """

    answer_type: ClassVar[Any] = Payload | None
    instance_id: str
    seq: int


class RunSql(BaseRequest, frozen=True, kw_only=True):
    """Run a read-only query; answered with an Arrow IPC stream.

    Attributes:
        text: One query.
        parameters: Values for `$name` in it.
        query_id: Names it for `CancelSql`.
        timeout_s: Seconds after which it is ended; 0 for no limit.
    """

    answer_type: ClassVar[Any] = bytes
    text: str
    parameters: dict[str, Any] = {}
    query_id: str = ""
    timeout_s: float = 0.0


class CancelSql(BaseRequest, frozen=True, kw_only=True):
    """End a query that was asked with this id, if it still waits or runs."""

    query_id: str
