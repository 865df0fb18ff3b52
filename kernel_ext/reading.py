"""Values in lists: one that cannot be loaded here must not keep the rest from being shown."""

from __future__ import annotations

from typing import Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import DecodingError
from ipydurable.runtime.core.payload import Blob, Payload

__all__ = ["NotLoaded", "decode_to_show"]


class NotLoaded:
    """Stands in a list for a value that was not loaded.

    Attributes:
        summary: What it is, as far as that is known without loading it.
        reason: Why not.
    """

    def __init__(self, summary: str, reason: str) -> None:
        self.summary = summary
        self.reason = reason

    def __repr__(self) -> str:
        return f"<{self.summary}, not loaded>"


def decode_to_show(client: DurableClient, payload: Payload | None) -> Any:
    """Return the value of a payload; `NotLoaded` where it cannot, or must not, be loaded here."""
    try:
        return client.decode(payload)
    except DecodingError as error:
        summary = payload.summary if isinstance(payload, Blob) else ""
        return NotLoaded(summary or "a value", str(error))
