"""Encoded values as they travel and rest: JSON text where that is faithful, else a named codec.

This module owns the *shape* of an encoded value. It neither encodes nor decodes: see
`ipydurable.runtime.core.serialization` (JSON) and `ipydurable.runtime.codecs` (everything else).
"""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from .errors import DecodingError

__all__ = [
    "Blob",
    "Converter",
    "FileRef",
    "Payload",
    "digests_in",
    "digests_in_json",
    "file_blob",
    "files_folder",
    "ref_of",
]

_FILE: Final = "file"
_REF: Final = re.compile(rb'"digest":"([0-9a-f]{64})"')
_DATA: Final = re.compile(r'"data":"([A-Za-z0-9+/=]+)"')


class Blob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An encoded value that is not JSON.

    Attributes:
        codec: How `data` is encoded: `"pickle"`, `"dill"` or `"arrow"`; `"file"` where it is a
            `FileRef`.
        data: The encoded bytes; signed where the codec can execute code on loading.
        summary: What a person needs to know without decoding, e.g. `"DataFrame 120 x 7"`.
    """

    codec: str
    data: bytes
    summary: str = ""


Payload = str | Blob
"""JSON text, or a `Blob`."""


class FileRef(msgspec.Struct, frozen=True, kw_only=True):
    """Names a file beside the store that holds a large value.

    Attributes:
        digest: SHA-256 of the content, in hexadecimal.
        size: Bytes.
        form: How it is encoded: `"arrow"` or `"npy"`.
    """

    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: int
    form: Literal["arrow", "npy"]

    @property
    def file_name(self) -> str:
        """The file's name in the folder of the store."""
        return f"{self.digest}.{self.form}"


_encode_ref = msgspec.json.Encoder().encode
_decode_ref = msgspec.json.Decoder(FileRef).decode


def files_folder(store: str) -> str:
    """Return the folder with the files of the store at a path."""
    return f"{store}.files"


def file_blob(ref: FileRef, summary: str) -> Blob:
    """Return the payload that stands for a value in a file."""
    return Blob(codec=_FILE, data=_encode_ref(ref), summary=summary)


def ref_of(payload: Payload) -> FileRef | None:
    """Return which file holds a payload's value; None where it is in the payload itself.

    Raises:
        DecodingError: What it names is no file of a store, such as a path to elsewhere.
    """
    if isinstance(payload, str) or payload.codec != _FILE:
        return None
    try:
        return _decode_ref(payload.data)
    except msgspec.MsgspecError as error:
        what = f"the stored {payload.summary or 'value'}"
        raise DecodingError(what, f"it names no file of a store ({error})") from None


def digests_in(data: bytes) -> set[str]:
    """Return the digests of all files that encoded bytes name, also inside pickles."""
    return {found.decode() for found in _REF.findall(data)}


def digests_in_json(text: str) -> set[str]:
    """Return the digests of all files that payloads inside JSON text name."""
    found: set[str] = set()
    for data in _DATA.findall(text):
        with contextlib.suppress(ValueError):  # A text of the user's that looks like bytes.
            found |= digests_in(base64.b64decode(data, validate=True))
    return found


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
