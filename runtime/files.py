"""Large frames and arrays in files beside the store: written once, and mapped instead of copied.

What an orchestration passes around is a small reference by content. So a frame goes neither through
sockets nor through the journal, the same one given to a hundred activities is one file, and all
processes of the machine share its pages.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .core.errors import DecodingError
from .core.payload import Blob, FileRef, file_blob, files_folder
from .tables import frame_of, open_table, table_form, write_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

__all__ = ["MIN_BYTES", "ValueFiles", "files_beside"]

MIN_BYTES: Final = 4 * 1024 * 1024
"""Values that take less memory travel and rest like all others."""

_REMEMBERED: Final = 16
_HASHED_AT_ONCE: Final = 1 << 24
_WITH_BYTES: Final = (
    ("numpy", "ndarray"),
    ("numpy", "memmap"),
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
)


def files_beside(store: str) -> ValueFiles | None:
    """Return the files of the store at a path; None for one that is only in memory."""
    return None if store in ("", ":memory:") else ValueFiles(files_folder(store))


class ValueFiles:
    """The files of one store; any thread and any process may use them.

    Args:
        folder: Where they are; it is made, for this user only, with the first of them.

    Attributes:
        folder: As given.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._checked: set[str] = set()
        # By identity: the value, what shows that it is unchanged, and its payload.
        self._known: OrderedDict[int, tuple[weakref.ref[Any], Any, Blob]] = OrderedDict()

    def keep(self, value: Any) -> Blob | None:
        """Keep a large DataFrame, Series, Arrow table or array in a file.

        Returns:
            What stands for it; durable when this returns. None for all other values, and those
            that such a file would not give back exactly.

        Raises:
            OSError: The file cannot be written; nothing is left of it.
        """
        library, size = _size_of(value)
        if size < MIN_BYTES:
            return None
        known = self._known.get(id(value))
        if known is not None and known[0]() is value and _unchanged(value) == known[1]:
            return known[2]
        if library == "numpy":
            return self._keep_array(value)
        found = table_form(value)
        if found is None:
            return None
        table, form, summary = found
        return self._write("arrow", summary, lambda path: write_table(table, form, path))

    def load(self, blob: Blob, ref: FileRef, *, is_shared: bool) -> Any:
        """Return the value that a payload stands for.

        Args:
            blob: The payload.
            ref: What it holds.
            is_shared: Whether the value is only looked at and passed on: it is read-only then,
                costs no memory, and `keep` knows it again. Else it is the caller's own.

        Raises:
            DecodingError: The file is missing or damaged; names it.
        """
        path = self._path(ref)
        self._check(path, ref, blob.summary, is_read=not is_shared)
        if ref.form == "npy":
            import numpy as np

            value: Any = np.load(path, mmap_mode="r" if is_shared else None, allow_pickle=False)
        else:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            table, form = open_table(mapped)
            value = frame_of(table, form, is_shared=is_shared)
        if is_shared:
            self._remember(value, blob)
        return value

    def _keep_array(self, array: np.ndarray[Any, Any]) -> Blob | None:
        import numpy as np

        if type(array) not in (np.ndarray, np.memmap) or array.dtype.hasobject:
            return None
        shape = " x ".join(map(str, array.shape))

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        return self._write("npy", f"array {shape} ({array.dtype})", write)

    def _write(
        self, form: Literal["arrow", "npy"], summary: str, write: Callable[[Path], None]
    ) -> Blob:
        folder = Path(self.folder)
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        made = Path(name)
        try:
            write(made)
            digest = _digest_of(made)
            ref = FileRef(digest=digest, size=made.stat().st_size, form=form)
            try:
                os.utime(self._path(ref))  # So that a purge does not take it for left over.
            except FileNotFoundError:
                os.fsync(descriptor)
                made.replace(self._path(ref))
                _sync_folder(folder)
        finally:
            os.close(descriptor)
            made.unlink(missing_ok=True)
        self._checked.add(digest)
        return file_blob(ref, f"{summary}, {_words(ref.size)} in a file")

    def _check(self, path: Path, ref: FileRef, summary: str, *, is_read: bool) -> None:
        """Raise where a file is not what it was; its content is read only by who needs it all."""
        what = f"the stored {summary or 'value'}"
        try:
            is_whole = path.stat().st_size == ref.size
            if is_whole and is_read and ref.digest not in self._checked:
                is_whole = _digest_of(path) == ref.digest
                self._checked.add(ref.digest)
        except OSError as error:
            reason = f"its file {path} cannot be read ({error.strerror})"
            raise DecodingError(what, f"{reason}; restore it from where the store was") from None
        if not is_whole:
            self._checked.discard(ref.digest)
            raise DecodingError(what, f"its file {path} is damaged; restore it from a copy")

    def _path(self, ref: FileRef) -> Path:
        return Path(self.folder, ref.file_name)

    def _remember(self, value: Any, blob: Blob) -> None:
        state = _unchanged(value)
        if state is None:
            return
        with contextlib.suppress(TypeError):  # Some values cannot be referred to weakly.
            self._known[id(value)] = weakref.ref(value), state, blob
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _size_of(value: Any) -> tuple[str, int]:
    """Return the library of a frame, table or array, and its bytes; 0 for any other value.

    What object columns refer to is not counted.
    """
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    if (library, name) in (("pandas", "DataFrame"), ("pandas", "Series")):
        usage = value.memory_usage(index=True)
        return library, int(usage if name == "Series" else usage.sum())
    if (library, name) in _WITH_BYTES:
        return library, value.nbytes
    return library, 0


def _unchanged(value: Any) -> Any:
    """Return what stays the same as long as a value that was mapped has not been changed.

    Mapped memory is read-only, so its address tells. None where something could have changed.
    """
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return None if value.flags.writeable else (value.ctypes.data, value.shape, value.strides)
    if isinstance(value, pd.Series):
        column = _column_state(value.array)
        return None if column is None else (id(value.index), value.name, column)
    if not isinstance(value, pd.DataFrame):
        return id(value)  # Arrow tables cannot be changed.
    columns = [_column_state(value.iloc[:, n].array) for n in range(value.shape[1])]
    if None in columns:
        return None
    return value.index, id(value.columns), dict(value.attrs), columns


def _column_state(array: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if hasattr(array, "__arrow_array__") and not hasattr(array, "_ndarray"):
        data = array.__arrow_array__()
        chunks = data.chunks if isinstance(data, pa.ChunkedArray) else [data]
        return [part.address for one in chunks for part in one.buffers() if part is not None]
    plain = np.asarray(array)
    if plain.flags.writeable or plain.dtype.hasobject:
        return None
    return plain.ctypes.data, plain.dtype.str


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_HASHED_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _words(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
