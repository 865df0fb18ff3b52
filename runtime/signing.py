"""Signatures of stored bytes that run code when they are loaded, as Jupyter signs notebooks.

The key is 32 random bytes in a file that only its user can read. Stored pickles that were signed
with another key come from elsewhere and are never loaded.
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

from .core.errors import DecodingError, StoreUnwritableError
from .core.payload import Blob

__all__ = ["Signer", "load_signer"]

_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class Signer:
    """Signs and checks the bytes of blobs with HMAC-SHA256."""

    def __init__(self, key: bytes) -> None:
        """Use `key` for all signatures."""
        self._key = key

    def sign(self, codec: str, data: bytes) -> bytes:
        """Return `data` with its signature in front; the signature covers the codec too."""
        return self._digest(codec, data) + data

    def verify(self, blob: Blob) -> bytes:
        """Return the data of a blob without its signature.

        Raises:
            DecodingError: It was not signed with this key.
        """
        signature, data = blob.data[:_DIGEST_BYTES], blob.data[_DIGEST_BYTES:]
        if not hmac.compare_digest(signature, self._digest(blob.codec, data)):
            raise DecodingError(
                f"the stored {blob.summary or 'value'}",
                "it was not signed with your key, so it comes from elsewhere, and loading it could "
                "run foreign code. %durable trust shows what is in the store and lets you trust it",
            )
        return data

    def _digest(self, codec: str, data: bytes) -> bytes:
        return hmac.digest(self._key, codec.encode() + b"\0" + data, "sha256")


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
    return Signer(key)


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
