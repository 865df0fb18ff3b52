"""What all parts of the client share: asking a host, near or far."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from typing import Any

from .core.context import NO_INPUT
from .core.errors import WaitTimeoutError
from .core.payload import Converter, Payload
from .requests import Request
from .transport import ANSWER_TIMEOUT_S, Transport

__all__ = ["ClientBase", "as_utc"]


class ClientBase:
    """Carries requests to a host, and values to and from payloads.

    Args:
        transport: Carries the requests.
        converter: Encodes inputs and decodes results, in the caller's namespace.
        by: From where it asks, in words, e.g. the notebook: who answered a form is shown so.
    """

    def __init__(self, transport: Transport, converter: Converter, by: str = "") -> None:
        self.transport = transport
        self.converter = converter
        self.by = by

    def encode(self, value: Any, where: str) -> Payload | None:
        """Return the payload of a value; None for NO_INPUT."""
        return None if value is NO_INPUT else self.converter.encode(value, where)

    def decode(self, payload: Payload | None) -> Any:
        """Return the value of a payload; None for none."""
        return None if payload is None else self.converter.decode(payload)

    def close(self) -> None:
        """Leave; what runs goes on."""
        self.transport.close()

    def _ask(self, request: Request) -> Any:
        try:
            return self.transport.request(request).result(ANSWER_TIMEOUT_S)
        except FutureTimeoutError:
            what = f"the answer to {type(request).__name__}"
            raise WaitTimeoutError(what, ANSWER_TIMEOUT_S) from None


def as_utc(when: datetime | None) -> datetime | None:
    """Return a time as UTC without a zone, as histories have it; a naive one is UTC."""
    if when is None or when.tzinfo is None:
        return when
    return when.astimezone(UTC).replace(tzinfo=None)
