"""Loads orchestrator versions in the host, once each."""

from __future__ import annotations

from .codecs import NamespaceConverter
from .core.code import OrchestratorCode
from .core.errors import DefinitionError, DurableError
from .definitions import Definition
from .namespace import build_namespace
from .stubs import Stub

__all__ = ["CodeLoader"]


class CodeLoader:
    """Makes `OrchestratorCode` of definitions and keeps it, by version."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], OrchestratorCode] = {}

    def load(self, definition: Definition) -> OrchestratorCode:
        """Return the code of an orchestrator version.

        Raises:
            DefinitionError: Its source cannot be executed here; says why.
        """
        key = (definition.name, definition.version)
        code = self._loaded.get(key)
        if code is None:
            code = self._loaded[key] = _load(definition)
        return code


def _load(definition: Definition) -> OrchestratorCode:
    try:
        namespace = build_namespace(definition.package, Stub)
        function = namespace[definition.package.entry]
        return OrchestratorCode(function, NamespaceConverter(namespace), namespace)
    except DurableError:
        raise
    except Exception as error:
        raise DefinitionError(
            f"the code of {definition.name} cannot be executed in the host: "
            f"{type(error).__name__}: {error}"
        ) from error
