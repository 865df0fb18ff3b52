"""The code of activities as it travels to worker processes."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final

from ..attempt import encode_package
from ..ports import AttemptRequest

__all__ = ["PackageShelf"]

_EMBEDDED_SIZE: Final = 64 * 1024
_KEPT_PACKAGES: Final = 256


class PackageShelf:
    """The code as it travels: embedded while it is small, else a file that is written once."""

    def __init__(self) -> None:
        self._shelf: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._folder = ""

    def find(self, request: AttemptRequest, *, is_known: bool = False) -> tuple[bytes, str]:
        """Return the encoded code, or no bytes and the path of the file that holds it.

        Args:
            request: The attempt.
            is_known: Whether the worker most likely has the code: then it gets the path.
        """
        found = self._shelf.get(request.version)
        if found is not None and not (is_known and found[0]):
            return found
        data = encode_package(request.package)
        if not request.version:
            return data, ""
        found = (data, "")
        if is_known or len(data) > _EMBEDDED_SIZE:
            found = (b"", self._write(request.version, data))
        self._shelf[request.version] = found
        if len(self._shelf) > _KEPT_PACKAGES:
            # Its file stays: an attempt that is under way may not have read it yet.
            self._shelf.popitem(last=False)
        return found

    def close(self) -> None:
        """Remove the files."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, version: str, data: bytes) -> str:
        if not self._folder:
            # Only this user can enter it: what is in there is executed.
            self._folder = tempfile.mkdtemp(prefix="ipydurable-code-")
        path = Path(self._folder, f"{version}.pkg")
        path.write_bytes(data)
        return str(path)
