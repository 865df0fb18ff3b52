"""Loads orchestrator versions in the host, once each."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .codecs import NamespaceConverter
from .core.code import OrchestratorCode
from .core.errors import DefinitionError, DurableError
from .definitions import Definition
from .files import ValueFiles
from .guards import Guard
from .namespace import build_namespace
from .stubs import Stub

__all__ = ["CodeLoader"]


_log = logging.getLogger(__name__)


class CodeLoader:
    """Makes `OrchestratorCode` of definitions and keeps it, by version.

    Args:
        tell: Told what the code calls that replay would not repeat, once a line and version.
        files: Where large frames and arrays are kept; None for no such place.
    """

    def __init__(
        self, tell: Callable[[str], None] = _log.warning, files: ValueFiles | None = None
    ) -> None:
        self._tell = tell
        self._files = files
        self._loaded: dict[tuple[str, str], OrchestratorCode] = {}

    def load(self, definition: Definition) -> OrchestratorCode:
        """Return the code of an orchestrator version.

        Raises:
            DefinitionError: Its source cannot be executed here; says why.
        """
        key = (definition.name, definition.version)
        code = self._loaded.get(key)
        if code is None:
            code = self._loaded[key] = _load(definition, self._tell, self._files)
        return code

    def fresh(self, definition: Definition) -> OrchestratorCode:
        """Return code that shares nothing with any other, and tells nobody what it calls.

        Raises:
            DefinitionError: Its source cannot be executed here; says why.
        """
        return _load(definition, lambda text: None, self._files)  # noqa: ARG005


def _load(
    definition: Definition, tell: Callable[[str], None], files: ValueFiles | None
) -> OrchestratorCode:
    guard = Guard(definition, tell)
    try:
        namespace = build_namespace(
            definition.package, Stub, rewrite=guard.rewrite, given={Guard.NAME: guard}
        )
        function = namespace[definition.package.entry]
        # What an orchestrator gets it passes on, so that it need not have it in memory.
        converter = NamespaceConverter(namespace, files=files, shares_files=True)
        return OrchestratorCode(function, converter, namespace)
    except DurableError:
        raise
    except Exception as error:
        raise DefinitionError(
            f"the code of {definition.name} cannot be executed in the host: "
            f"{type(error).__name__}: {error}"
        ) from error
