"""Failures as data: what is kept of an exception once it has left the process that raised it."""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import msgspec

__all__ = ["FailureDetails", "qualified_type_name", "resolve_exception_class"]

_MAX_CAUSES = 8
_EVERYTHING = {"builtins.Exception", "builtins.BaseException", "builtins.object"}


class FailureDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception as data.

    Attributes:
        error_type: Qualified class name, e.g. `"builtins.ValueError"`.
        message: `str()` of the exception.
        stack_trace: The formatted traceback, with the notebook's own lines where they are known.
        cause: The exception this one was raised from, if any.
        non_retriable: Whether retrying is pointless and no retry policy may try.
        bases: Qualified names of the classes it derives from, nearest first, so that it is caught
            as one of them where its own class is not known; none of a class of Python's or ours,
            which is known everywhere.
    """

    error_type: str
    message: str
    stack_trace: str = ""
    cause: FailureDetails | None = None
    non_retriable: bool = False
    bases: tuple[str, ...] = ()

    @classmethod
    def from_exception(cls, error: BaseException, *, hide: tuple[str, ...] = ()) -> FailureDetails:
        """Describe `error`.

        Args:
            error: The exception.
            hide: Suffixes of file names whose frames say nothing to the user and are left out.
        """
        return cls._describe(error, hide, _MAX_CAUSES)

    @classmethod
    def _describe(cls, error: BaseException, hide: tuple[str, ...], depth: int) -> FailureDetails:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not (hide and frame.filename.endswith(hide))
        ]
        lines = traceback.format_list(frames)
        lines += traceback.format_exception_only(type(error), error)
        return cls(
            error_type=qualified_type_name(type(error)),
            message=_text_of(error),
            stack_trace="".join(lines),
            cause=cls._cause_of(error, hide, depth - 1) if depth else None,
            non_retriable=bool(getattr(error, "non_retriable", False)),
            bases=_bases_of(type(error)),
        )

    @classmethod
    def _cause_of(
        cls, error: BaseException, hide: tuple[str, ...], depth: int
    ) -> FailureDetails | None:
        remote = getattr(error, "details", None)
        if isinstance(remote, FailureDetails):
            return remote
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return None if cause is None else cls._describe(cause, hide, depth)

    @property
    def type_name(self) -> str:
        """The class name without its module, e.g. `"ValueError"`."""
        return self.error_type.rpartition(".")[2]

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether this failure, or one of its causes, is of `error_type` (a class or its name)."""
        if isinstance(error_type, str):
            wanted = {error_type}
        else:
            wanted = {qualified_type_name(sub) for sub in _with_subclasses(error_type)}
        failure: FailureDetails | None = self
        while failure is not None:
            if failure.error_type in wanted or failure.type_name in wanted:
                return True
            if not isinstance(error_type, str) and not wanted.isdisjoint(failure.bases):
                return True
            failure = failure.cause
        return False

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name

    def __repr__(self) -> str:
        cause = f", caused by {self.cause.type_name}" if self.cause else ""
        return f"<failure {self}{cause}>"

    def explain(self) -> list[str]:
        """Return the lines that tell what happened: the first cause with its lines comes last."""
        lines = self.stack_trace.rstrip().splitlines() or [str(self)]
        if self.cause is not None:
            lines += ["", "caused by:", "", *self.cause.explain()]
        return lines


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  (the user's class: whatever its __str__ raises)
        return "<its text cannot be shown>"


def qualified_type_name(cls: type) -> str:
    """Return `module.QualifiedName` of a class; for our own, `ipydurable.QualifiedName`."""
    module = "ipydurable" if cls.__module__.startswith("ipydurable.") else cls.__module__
    return f"{module}.{cls.__qualname__}"


def resolve_exception_class(
    failure: FailureDetails, namespace: Mapping[str, Any]
) -> type[Exception] | None:
    """Find the nearest exception class of a failure that code can name.

    Args:
        failure: How something failed.
        namespace: Globals of the code that will handle the exception.

    Returns:
        The class, or the nearest of its bases that is a builtin or that `namespace` knows, be it
        through a module: with `import json`, `json.JSONDecodeError`. None where that is only
        `Exception`.
    """
    for name in (failure.error_type, *failure.bases):
        found = _find_class(name, namespace)
        if found is not None:
            return found
    return None


def _find_class(error_type: str, namespace: Mapping[str, Any]) -> type[Exception] | None:
    module, _, name = error_type.rpartition(".")
    found: Any
    if module == "builtins":
        found = getattr(builtins, name, None)
    else:
        found = namespace.get(name)
        if found is None and module:
            found = getattr(namespace.get(module.rpartition(".")[2]), name, None)
        if found is None:
            found = _find_in_modules(error_type, namespace)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None


def _find_in_modules(error_type: str, namespace: Mapping[str, Any]) -> type | None:
    """Find a class in the modules of a namespace, or in the packages that these are of."""
    module, _, name = error_type.rpartition(".")
    for known in list(namespace.values()):
        if not isinstance(known, ModuleType):
            continue
        found: Any = vars(known).get(name)
        if not _is_named(found, error_type) and module.startswith(f"{known.__name__}."):
            found = known
            for part in error_type.removeprefix(f"{known.__name__}.").split("."):
                found = vars(found).get(part) if isinstance(found, ModuleType) else None
        if _is_named(found, error_type):
            return found  # type: ignore[no-any-return]
    return None


def _is_named(found: Any, error_type: str) -> bool:
    return isinstance(found, type) and qualified_type_name(found) == error_type


def _bases_of(cls: type[BaseException]) -> tuple[str, ...]:
    if cls.__module__ == "builtins" or cls.__module__.startswith("ipydurable."):
        return ()
    names = [qualified_type_name(base) for base in cls.__mro__[1:]]
    return tuple(name for name in names if name not in _EVERYTHING)


def _with_subclasses(cls: type[BaseException]) -> list[type[BaseException]]:
    found = [cls]
    for sub in cls.__subclasses__():
        found.extend(_with_subclasses(sub))
    return found
