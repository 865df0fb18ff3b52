"""Encoded values as they travel and rest: JSON text where that is faithful, else a named codec.

This module owns the *shape* of an encoded value. It neither encodes nor decodes: see
`ipydurable.runtime.core.serialization` (JSON) and `ipydurable.runtime.codecs` (everything else).
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

__all__ = ["Blob", "Converter", "Payload"]


class Blob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An encoded value that is not JSON.

    Attributes:
        codec: How `data` is encoded: `"pickle"`, `"dill"` or `"arrow"`.
        data: The encoded bytes; signed where the codec can execute code on loading.
        summary: What a person needs to know without decoding, e.g. `"DataFrame 120 x 7"`.
    """

    codec: str
    data: bytes
    summary: str = ""


Payload = str | Blob
"""JSON text, or a `Blob`."""


class Converter(Protocol):
    """Turns values into payloads and back, in the namespace of one code version."""

    def encode(self, value: Any, where: str) -> Payload:
        """Return the payload of `value`.

        Args:
            value: Any Python value.
            where: What the value is, for the message of an error, e.g. `"input of fetch"`.

        Raises:
            EncodingError: The value cannot be encoded; names the path inside the value.
        """
        ...

    def decode(self, payload: Payload) -> Any:
        """Return the value of `payload`; raises `DecodingError` if a class it needs is unknown."""
        ...
