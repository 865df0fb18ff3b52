r"""Text that any database can hold.

Python strings may hold lone surrogates (file names that are not UTF-8 hold them, for example);
UTF-8, and so DuckDB, cannot. One bad character in a message must not keep a whole commit from the
disk, so it is stored as its escape, `\udc80`. In JSON text that means the same character.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["storable", "to_json", "to_msgpack"]

_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


def storable(text: str) -> str:
    """Return `text` with an escape in the place of each lone surrogate."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def to_json(value: Any) -> str:
    """Return anything msgspec knows as JSON; its texts are made storable."""
    try:
        return _encode_json(value).decode()
    except UnicodeEncodeError:
        return _encode_json(_storable(msgspec.to_builtins(value))).decode()


def to_msgpack(value: Any) -> bytes:
    """Return anything msgspec knows as msgpack; its texts are made storable."""
    try:
        return _encode_msgpack(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, builtin_types=(bytes, msgspec.Raw))
        return _encode_msgpack(_storable(plain))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value
