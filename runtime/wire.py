"""Messages between clients and host: signed, then encoded.

A message is two frames: an HMAC-SHA256 and the body it signs. Nothing of a body is looked at
before its signature has been checked. Bodies are MessagePack; no pickle crosses the link except
as an opaque payload. Each direction signs with a key of its own, and every client numbers its
messages, so a recorded message cannot be played back.
"""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from .core import errors
from .core.errors import AuthenticationError, DurableError, DurableInternalError
from .core.failure import FailureDetails
from .requests import Request
from .updates import Update

__all__ = [
    "MAX_MESSAGE_BYTES",
    "MESSAGE_OVERHEAD_BYTES",
    "Answer",
    "Bye",
    "Call",
    "Calls",
    "Hello",
    "Signer",
    "ToClient",
    "ToHost",
    "Told",
    "WireError",
    "decode_error",
    "encode_error",
]

_MAC_BYTES = 32
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""Of a message to the host; larger frames end their connection before they are in memory."""
MESSAGE_OVERHEAD_BYTES = 100
"""What a message with one call takes at most beyond the call: signature, sender, number."""


class Call(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A request, and the number that its answer will have."""

    number: int
    request: Request


class Calls(msgspec.Struct, frozen=True, kw_only=True, tag="calls", array_like=True):
    """Requests of a client."""

    client: bytes
    number: int
    calls: list[Call]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello", array_like=True):
    """A client is there; sent at first and then every few seconds."""

    client: bytes
    number: int


class Bye(msgspec.Struct, frozen=True, kw_only=True, tag="bye", array_like=True):
    """A client leaves."""

    client: bytes
    number: int


class WireError(msgspec.Struct, frozen=True, kw_only=True):
    """An error as data: the name of its class and its positional arguments."""

    type: str
    args: list[Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer", array_like=True):
    """The answer to request `number`: an error, or the value encoded by itself."""

    number: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: WireError | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told", array_like=True):
    """News for subscriptions of this client."""

    subscription_ids: list[int]
    update: Update


ToHost = Calls | Hello | Bye
ToClient = list[Answer | Told]


class Signer:
    """Signs and checks the messages of one direction.

    Args:
        key: The host's key.
        direction: `b"to host"` or `b"to client"`.
    """

    def __init__(self, key: bytes, direction: bytes) -> None:
        self._key = hmac.digest(key, direction, "sha256")

    def sign(self, body: bytes) -> list[bytes]:
        """Return the frames of a message."""
        return [hmac.digest(self._key, body, "sha256"), body]

    def check(self, frames: list[bytes]) -> bytes:
        """Return the body of a message.

        Raises:
            AuthenticationError: It is not two frames, or the signature does not fit.
        """
        if len(frames) != 2 or len(frames[0]) != _MAC_BYTES:  # noqa: PLR2004
            raise AuthenticationError("it is not a signed message")
        mac, body = frames
        if not hmac.compare_digest(mac, hmac.digest(self._key, body, "sha256")):
            raise AuthenticationError("its signature does not fit this host's key")
        return body


def encode_error(error: BaseException) -> WireError:
    """Return an error as data; one that is not ours becomes a DurableInternalError."""
    if not isinstance(error, DurableError):
        error = DurableInternalError(f"{type(error).__name__}: {error}")
    args = [
        {"$failure": msgspec.to_builtins(arg)} if isinstance(arg, FailureDetails) else arg
        for arg in error.args
    ]
    return WireError(type=type(error).__name__, args=args)


def decode_error(wire: WireError) -> DurableError:
    """Return the error that `wire` describes."""
    cls = getattr(errors, wire.type, None)
    if not (isinstance(cls, type) and issubclass(cls, DurableError)):
        return DurableInternalError(f"{wire.type}: {wire.args}")
    args = [
        msgspec.convert(arg["$failure"], FailureDetails)
        if isinstance(arg, dict) and set(arg) == {"$failure"}
        else tuple(arg)
        if isinstance(arg, list)
        else arg
        for arg in wire.args
    ]
    return cls(*args)
