"""Signatures of stored bytes that run code when they are loaded, as Jupyter signs notebooks.

The key is 32 random bytes in a file that only its user can read. Stored pickles and definitions
that were signed with another key come from elsewhere: they are not loaded, and do not run, unless
their user has approved them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from .core.errors import DecodingError, StoreUnwritableError
from .core.output import AttemptOutput, OutputItem
from .core.payload import Blob
from .definitions import Definition
from .trust import TrustedContents, content_of, digest_of_blob, digest_of_definition

__all__ = ["Signer", "load_signer"]

_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class Signer:
    """Signs and checks the bytes of blobs, and definitions, with HMAC-SHA256.

    Args:
        key: For all signatures.
        trusted: What was approved though it is not signed with it; None for nothing.
    """

    def __init__(self, key: bytes, trusted: TrustedContents | None = None) -> None:
        self._key = key
        self.trusted = trusted

    def sign(self, codec: str, data: bytes) -> bytes:
        """Return `data` with its signature in front; the signature covers the codec too."""
        return self._digest(codec, data) + data

    def verify(self, blob: Blob) -> bytes:
        """Return the data of a blob without its signature.

        Raises:
            DecodingError: It was neither signed with this key nor approved.
        """
        signature, data = blob.data[:_DIGEST_BYTES], blob.data[_DIGEST_BYTES:]
        is_ours = hmac.compare_digest(signature, self._digest(blob.codec, data))
        if not is_ours and not self._is_approved(digest_of_blob(blob)):
            raise DecodingError(
                f"the stored {blob.summary or 'value'}",
                "it was not signed with your key, so it comes from elsewhere, and loading it could "
                "run foreign code. %durable trust shows what is in the store and lets you trust it",
            )
        return data

    def sign_definition(self, definition: Definition) -> Definition:
        """Return a definition with its signature."""
        return msgspec.structs.replace(definition, signature=self._signature_of(definition))

    def trusts(self, definition: Definition) -> bool:
        """Whether a definition was signed with this key, or approved."""
        signature = definition.signature.encode("utf-8", "replace")
        is_ours = hmac.compare_digest(signature, self._signature_of(definition).encode())
        return is_ours or self._is_approved(digest_of_definition(definition))

    def trusts_blob(self, blob: Blob) -> bool:
        """Whether a pickled value may be loaded."""
        try:
            self.verify(blob)
        except DecodingError:
            return False
        return True

    def sign_output(self, output: AttemptOutput) -> AttemptOutput:
        """Return what an attempt printed with each of its displays signed."""
        items = tuple(
            msgspec.structs.replace(item, signature=self._digest("display", _shown(item)).hex())
            if item.data
            else item
            for item in output.items
        )
        return msgspec.structs.replace(output, items=items)

    def trusts_display(self, item: OutputItem) -> bool:
        """Whether a display was signed with this key."""
        expected = self._digest("display", _shown(item)).hex()
        return hmac.compare_digest(item.signature.encode("utf-8", "replace"), expected.encode())

    def _signature_of(self, definition: Definition) -> str:
        return self._digest("definition", content_of(definition)).hex()

    def _is_approved(self, digest: bytes) -> bool:
        return self.trusted is not None and digest in self.trusted

    def _digest(self, codec: str, data: bytes) -> bytes:
        return hmac.digest(self._key, codec.encode() + b"\0" + data, "sha256")


def _shown(item: OutputItem) -> bytes:
    """Return what of a display reaches the page, the same for equal data."""
    return msgspec.json.encode([item.data, item.metadata], order="deterministic")


def load_signer() -> Signer:
    """Return the signer with this user's key, which is made at the first call.

    The key lies in the folder `ipydurable` of Jupyter's data folder, or in the folder that the
    environment variable `IPYDURABLE_KEY_DIR` names.

    Raises:
        StoreUnwritableError: There is no key, and none can be written.
    """
    folder = os.environ.get("IPYDURABLE_KEY_DIR")
    if folder is None:
        from jupyter_core.paths import jupyter_data_dir

        folder = str(Path(jupyter_data_dir(), "ipydurable"))
    return _signer_of(Path(folder, "signature.key"))


@lru_cache(maxsize=8)
def _signer_of(path: Path) -> Signer:
    try:
        key = path.read_bytes() if path.exists() else _make_key(path)
    except OSError as error:
        raise StoreUnwritableError(str(path), error.strerror or str(error)) from error
    if len(key) != _KEY_BYTES:
        raise StoreUnwritableError(str(path), "it is there, but is no signature key")
    return Signer(key, TrustedContents(path.with_name("trusted.db")))


def _make_key(path: Path) -> bytes:
    """Make the key file all at once; of several processes that try, one wins for all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        # A link, unlike a rename, never replaces the key that another process made meanwhile.
        path.hardlink_to(name)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
    return path.read_bytes()
