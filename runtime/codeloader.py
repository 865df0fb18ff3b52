"""Loads orchestrator versions in the host, once each."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .codecs import NamespaceConverter
from .core.code import OrchestratorCode
from .core.errors import DefinitionError, DurableError
from .definitions import Definition
from .guards import Guard
from .namespace import build_namespace
from .stubs import Stub

__all__ = ["CodeLoader"]


_log = logging.getLogger(__name__)


class CodeLoader:
    """Makes `OrchestratorCode` of definitions and keeps it, by version.

    Args:
        tell: Told what the code calls that replay would not repeat, once a line and version.
    """

    def __init__(self, tell: Callable[[str], None] = _log.warning) -> None:
        self._tell = tell
        self._loaded: dict[tuple[str, str], OrchestratorCode] = {}

    def load(self, definition: Definition) -> OrchestratorCode:
        """Return the code of an orchestrator version.

        Raises:
            DefinitionError: Its source cannot be executed here; says why.
        """
        key = (definition.name, definition.version)
        code = self._loaded.get(key)
        if code is None:
            code = self._loaded[key] = _load(definition, self._tell)
        return code

    def fresh(self, definition: Definition) -> OrchestratorCode:
        """Return code that shares nothing with any other, and tells nobody what it calls.

        Raises:
            DefinitionError: Its source cannot be executed here; says why.
        """
        return _load(definition, lambda text: None)  # noqa: ARG005


def _load(definition: Definition, tell: Callable[[str], None]) -> OrchestratorCode:
    guard = Guard(definition, tell)
    try:
        namespace = build_namespace(
            definition.package, Stub, rewrite=guard.rewrite, given={Guard.NAME: guard}
        )
        function = namespace[definition.package.entry]
        return OrchestratorCode(function, NamespaceConverter(namespace), namespace)
    except DurableError:
        raise
    except Exception as error:
        raise DefinitionError(
            f"the code of {definition.name} cannot be executed in the host: "
            f"{type(error).__name__}: {error}"
        ) from error
