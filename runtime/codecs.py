"""Payloads in the namespace of one code version: JSON, else Arrow, else pickle, else dill.

Classes and functions of the namespace itself are stored by name and looked up in the namespace
that loads them. So an instance of a notebook's class is an instance of that class wherever the
class is known, whichever process it comes from, and `except MyError` works.

Pickled bytes are signed, and the signature is checked before anything is loaded.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from .activity_context import CURRENT
from .core.errors import DecodingError, DurableInternalError, EncodingError
from .core.payload import Blob, FileRef, Payload, ref_of
from .core.serialization import StandIn, decode_json, encode_json
from .core.special_values import blob_of
from .files import ValueFiles
from .remedies import PLAIN_DATA, TOO_LARGE, remedy_for
from .signing import Signer, load_signer
from .stubs import Stub
from .tables import decode_table, encode_table
from .value_parts import parts_of, summarise

__all__ = ["MAX_PAYLOAD_SIZE", "NamespaceConverter", "UnknownClassError"]

MAX_PAYLOAD_SIZE: Final = 200_000_000
"""Characters of JSON, or bytes, of one value: less than a message between processes may take."""

_PROTOCOL: Final = 5
_MAX_CULPRIT_DEPTH: Final = 20
_MAIN: Final = "__main__"


class UnknownClassError(DecodingError):
    """The value is of a class that the code which loads it does not know."""


class NamespaceConverter:
    """Encodes and decodes values for the code of one namespace.

    Args:
        namespace: The globals of the code. Names are looked up in it when they are needed, so it
            may grow and change.
        signer: Signs and checks pickled bytes; by default the user's own.
        strict: Whether a value of an unknown class is an error. Otherwise it becomes a `StandIn`,
            which can be passed on.
        may_import: Whether classes may be looked for in modules that are not loaded yet; not
            for reading a store from elsewhere.
        files: Where large frames and arrays are kept. In an activity that is told none it is
            where its attempt says; without either they travel like all other values.
        shares_files: Whether frames and arrays from files are only looked at and passed on, so
            that they need not be copied.

    Attributes:
        may_import: As given.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        signer: Signer | None = None,
        *,
        strict: bool = False,
        may_import: bool = True,
        files: ValueFiles | None = None,
        shares_files: bool = False,
    ) -> None:
        self.may_import = may_import
        self._own_files = files
        self._shares_files = shares_files
        self._namespace = namespace
        self._signer = signer
        self._strict = strict

    def encode(self, value: Any, where: str) -> Payload:
        """Return the payload of `value`.

        Args:
            value: Any Python value.
            where: What the value is, for the message of an error, e.g. `"input of fetch"`.

        Raises:
            EncodingError: The value is too large, or cannot be encoded; names the path inside it.
        """
        payload = encode_json(
            value, where, lambda whole: self._encode_blob(whole, where, _Reached())
        )
        size = len(payload if isinstance(payload, str) else payload.data)
        if size > MAX_PAYLOAD_SIZE:
            most = f"and a value may take {MAX_PAYLOAD_SIZE / 1e6:,.0f} MB"
            reason = f"takes {size / 1e6:,.0f} MB, {most}. {TOO_LARGE}"
            raise EncodingError(where, "", type(value).__qualname__, reason)
        return payload

    def encode_captured(
        self, value: Any, where: str, *, by_value: bool = False
    ) -> tuple[Payload, list[Any]]:
        """Return the payload of a value that code captures, and what it needs to be loaded.

        Functions of the namespace are stored by name only, unlike those in an input or result,
        which travel along in case the receiver does not know them.

        Args:
            value: Any Python value.
            where: What the value is, for the message of an error.
            by_value: Whether the value, a function, has no name it could be found by.

        Returns:
            The payload, and the classes and functions it refers to by name.

        Raises:
            EncodingError: The value cannot be encoded; names the path inside the value.
        """
        reached = _Reached(functions_embedded=False, by_value=value if by_value else None)
        payload = encode_json(
            value, where, lambda whole: self._encode_blob(whole, where, reached), reached.found
        )
        return payload, list({id(found): found for found in reached.found}.values())

    def decode(self, payload: Payload) -> Any:
        """Return the value of a payload.

        Raises:
            DecodingError: It needs a class or module that is not known here, or it was signed
                with another key.
        """
        if isinstance(payload, str):
            return decode_json(payload, self._resolve_class, self._resolve_durable)
        if payload.codec == "arrow":
            return decode_table(payload.data)
        ref = ref_of(payload)
        if ref is not None:
            return self._load_file(payload, ref)
        try:
            return self._load(payload)
        except UnknownClassError as error:
            if self._strict:
                raise
            return StandIn("$blob", error.what, payload)

    def _encode_blob(self, value: Any, where: str, reached: _Reached) -> Blob:
        try:
            known = blob_of(value) or self._file_of(value) or encode_table(value)
        except OSError as error:
            reason = f"cannot be kept in a file: {error}"
            raise EncodingError(where, "", type(value).__qualname__, reason) from error
        if known is not None:
            return known
        try:
            codec, data = self._pickle(value, reached)
        except Exception as error:
            culprit, path = self._find_culprit(value)
            kind = type(culprit)
            reason = f"cannot leave this process. {remedy_for(kind) or _explain(culprit, error)}"
            raise EncodingError(where, path, kind.__qualname__, reason) from error
        signed = self._get_signer().sign(codec, data)
        return Blob(codec=codec, data=signed, summary=summarise(value))

    def _pickle(self, value: Any, reached: _Reached) -> tuple[str, bytes]:
        """Return codec and bytes of a value."""
        buffer = io.BytesIO()
        try:
            _Pickler(buffer, self, reached).dump(value)
            return "pickle", buffer.getvalue()
        except _RefusedError:
            raise
        except Exception:  # noqa: BLE001 - whatever a class raises on pickling, dill may do better
            return "dill", _dill(value, self, reached)

    @property
    def files(self) -> ValueFiles | None:
        """Where large frames and arrays are kept; None where they travel like other values."""
        if self._own_files is not None:
            return self._own_files
        context = CURRENT.get(None)
        return None if context is None else context.files

    def _file_of(self, value: Any) -> Blob | None:
        files = self.files
        return None if files is None else files.keep(value)

    def _load_file(self, blob: Blob, ref: FileRef) -> Any:
        files = self.files
        if files is None:
            what = f"the stored {blob.summary or 'value'}"
            raise DecodingError(what, "it lies in a file beside its store, which is not known here")
        return files.load(blob, ref, is_shared=self._shares_files)

    def _load(self, blob: Blob) -> Any:
        data = self._get_signer().verify(blob)
        unpickler = _UNPICKLERS.get(blob.codec)
        if unpickler is None:
            raise DecodingError(
                f"the stored {blob.summary or 'value'}",
                f"its codec {blob.codec!r} is not known to this version",
            )
        try:
            return unpickler(data, self)
        except DecodingError:
            raise
        except Exception as error:
            what = f"the stored {blob.summary or 'value'}"
            raise DecodingError(what, _explain_loading(error)) from error

    def _find_culprit(self, value: Any) -> tuple[Any, str]:
        """Return the innermost part that cannot be pickled, and its path inside the value."""
        path = ""
        for _ in range(_MAX_CULPRIT_DEPTH):
            if remedy_for(type(value)) is not None:
                break
            for part, step in parts_of(value):
                try:
                    self._pickle(part, _Reached())
                except Exception:  # noqa: BLE001 - any error at all is what we look for
                    value, path = part, path + step
                    break
            else:
                break
        return value, f"value{path}" if path else ""

    def _get_signer(self) -> Signer:
        if self._signer is None:
            self._signer = load_signer()
        return self._signer

    def _is_own(self, found: Any) -> bool:
        """Whether a class or function belongs to the namespace, not to an importable module."""
        module = found.__module__
        return module in (_MAIN, self._namespace.get("__name__"))

    def _find(self, module: str, qualname: str) -> Any:
        """Return what a name means here.

        Raises:
            LookupError: Nothing.
        """
        found: Any
        first, *rest = qualname.split(".")
        if module in (_MAIN, self._namespace.get("__name__")):
            found = self._namespace[first]
            # A class entity's name may be bound to the durable definition of it.
            found = getattr(found, "__wrapped__", found) if _is_durable(found) else found
        else:
            found = getattr(self._load_module(module), first, None)
        for name in rest:
            found = getattr(found, name, None)
        if found is None or type(found) is Stub:
            raise LookupError(qualname)
        return found

    def _load_module(self, name: str) -> Any:
        loaded = sys.modules.get(name)
        if loaded is None and self.may_import:
            try:
                loaded = importlib.import_module(name)
            except ImportError as error:
                raise LookupError(name) from error
        return loaded

    def _resolve_class(self, module: str, qualname: str) -> Any:
        try:
            return self._find(module, qualname)
        except LookupError:
            if self._strict:
                raise _unknown_class(module, qualname) from None
            return None

    def _resolve_durable(self, kind: str, name: str) -> Any:
        found: Any = self._namespace.get(name)
        if _is_durable(found) and found.__durable_kind__ == kind and found.__durable_name__ == name:
            return found
        return Stub(kind, name)

    def load_class(self, module: str, qualname: str) -> Any:
        """Return a class that a pickle names; raises `UnknownClassError`."""
        try:
            return self._find(module, qualname)
        except LookupError:
            raise _unknown_class(module, qualname) from None

    def load_function(self, module: str, qualname: str, embedded: bytes) -> Any:
        """Return a function that a pickle names, as known here, else as it was stored."""
        try:
            return self._find(module, qualname)
        except LookupError:
            if not embedded:
                raise _unknown_class(module, qualname) from None
        return _undill(embedded, self)

    def load_payload(self, codec: str, data: Any, summary: str) -> Any:
        """Return a value that travelled inside a pickle as it was stored before."""
        return self.decode(
            data if codec == "json" else Blob(codec=codec, data=data, summary=summary)
        )

    def load_durable(self, kind: str, name: str) -> Any:
        """Return a durable definition that a pickle names."""
        return self._resolve_durable(kind, name)

    def reduce(self, value: Any, reached: _Reached) -> Any:
        """Say how a pickler stores what belongs to us; NotImplemented leaves it to the pickler.

        Raises:
            _RefusedError: It works only in this process.
        """
        if isinstance(value, type):
            reached.found.append(value)
            if self._is_named(value):
                return load_class, (value.__module__, value.__qualname__)
            return NotImplemented
        if isinstance(value, types.FunctionType):
            return self._reduce_function(value, reached)
        if isinstance(value, types.ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, StandIn):
            return self._reduce_stand_in(value)
        kept = self._file_of(value)
        if kept is not None:
            return load_payload, (kept.codec, kept.data, kept.summary)
        if _is_durable(value):
            return load_durable, (value.__durable_kind__, value.__durable_name__)
        if remedy_for(type(value)) is not None:
            raise _RefusedError(type(value).__qualname__)
        return NotImplemented

    def _reduce_function(self, function: types.FunctionType, reached: _Reached) -> Any:
        if function is reached.by_value:
            return NotImplemented
        if not self._is_named(function):
            reached.found.append(function)
            return NotImplemented
        module, qualname = function.__module__, function.__qualname__
        if not reached.functions_embedded:
            if self._namespace.get(qualname) is not function:
                return NotImplemented
            reached.found.append(function)
            return load_function, (module, qualname, b"")
        if reached.is_embedding:
            return NotImplemented
        try:
            embedded = _dill(function, self, _Reached(is_embedding=True))
        except Exception:  # noqa: BLE001 - then only code that knows the function can load it
            embedded = b""
        return load_function, (module, qualname, embedded)

    def _reduce_stand_in(self, value: StandIn) -> Any:
        payload = self.encode(value, "value")
        if isinstance(payload, Blob):
            return load_payload, (payload.codec, payload.data, payload.summary)
        return load_payload, ("json", payload, "")

    def _is_named(self, value: Any) -> bool:
        return self._is_own(value) and "<" not in value.__qualname__


class _Reached(msgspec.Struct):
    """How functions are pickled, and which classes and functions a pickle refers to."""

    functions_embedded: bool = True
    is_embedding: bool = False
    by_value: Any = None
    found: list[Any] = []


class _RefusedError(Exception):
    """The value works only in the process that made it."""


def load_class(module: str, qualname: str) -> Any:
    """Stand in a pickle for `NamespaceConverter.load_class`."""
    raise _loaded_outside(f"{module}:{qualname}")


def load_function(module: str, qualname: str, embedded: bytes) -> Any:  # noqa: ARG001
    """Stand in a pickle for `NamespaceConverter.load_function`."""
    raise _loaded_outside(f"{module}:{qualname}")


def load_payload(codec: str, data: Any, summary: str) -> Any:  # noqa: ARG001
    """Stand in a pickle for `NamespaceConverter.load_payload`."""
    raise _loaded_outside(summary)


def load_durable(kind: str, name: str) -> Any:
    """Stand in a pickle for `NamespaceConverter.load_durable`."""
    raise _loaded_outside(f"{kind} {name}")


def _loaded_outside(what: str) -> DurableInternalError:
    return DurableInternalError(f"{what} was unpickled outside the namespace it needs")


_MARKERS: Final = {
    function.__name__: function
    for function in (load_class, load_function, load_payload, load_durable)
}


class _Pickler(pickle.Pickler):
    """The fast pickler, which knows the namespace."""

    def __init__(self, file: io.BytesIO, converter: NamespaceConverter, reached: _Reached) -> None:
        super().__init__(file, _PROTOCOL)
        self._converter = converter
        self._reached = reached

    def reducer_override(self, value: Any) -> Any:
        return self._converter.reduce(value, self._reached)


class _Unpickler(pickle.Unpickler):
    """The fast unpickler, which looks up names in the namespace."""

    def __init__(self, data: bytes, converter: NamespaceConverter) -> None:
        super().__init__(io.BytesIO(data))
        self._converter = converter

    def find_class(self, module: str, name: str) -> Any:
        return _find_global(self._converter, super().find_class, module, name)


def _find_global(
    converter: NamespaceConverter, find: Callable[[str, str], Any], module: str, name: str
) -> Any:
    if module == __name__ and name in _MARKERS:
        return getattr(converter, name)
    if module == _MAIN:
        return converter.load_class(module, name)
    return find(module, name)


def _unpickle(data: bytes, converter: NamespaceConverter) -> Any:
    return _Unpickler(data, converter).load()


def _dill(value: Any, converter: NamespaceConverter, reached: _Reached) -> bytes:
    """Pickle with dill, which also stores functions and classes that have no name of their own."""
    import dill  # type: ignore[import-untyped]

    class DillPickler(dill.Pickler):  # type: ignore[misc]
        def reducer_override(self, part: Any) -> Any:
            return converter.reduce(part, reached)

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Of classes stored by name; that is what we want.
        warnings.simplefilter("ignore", dill.PicklingWarning)
        DillPickler(buffer, _PROTOCOL, recurse=True).dump(value)
    return buffer.getvalue()


def _undill(data: bytes, converter: NamespaceConverter) -> Any:
    import dill

    class DillUnpickler(dill.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            return _find_global(converter, super().find_class, module, name)

    # Else it would replace the classes of loaded values by those of this process's __main__.
    return DillUnpickler(io.BytesIO(data), ignore=True).load()


_UNPICKLERS: Final[dict[str, Callable[[bytes, NamespaceConverter], Any]]] = {
    "pickle": _unpickle,
    "dill": _undill,
}


def _unknown_class(module: str, qualname: str) -> UnknownClassError:
    if module == _MAIN:
        reason = (
            f"{qualname} is not known here: run the cell that defines it, "
            "or name it in the code that uses the value, for example in a type hint"
        )
    else:
        reason = f"{qualname} of the module {module} cannot be imported in {sys.executable}"
    return UnknownClassError(f"{module}:{qualname}", reason)


def _is_durable(value: Any) -> bool:
    kind = getattr(value, "__durable_kind__", None)
    return type(kind) is str and type(getattr(value, "__durable_name__", None)) is str


def _explain(culprit: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "It is nested too deeply: make it flatter."
    if isinstance(culprit, types.FunctionType | type):
        return "Define it at the top level of a cell or a module, so that it has a name."
    return PLAIN_DATA


def _explain_loading(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"it needs the module {error.name}, which {sys.executable} does not have; "
            "install it there"
        )
    return f"{type(error).__name__}: {error}"
