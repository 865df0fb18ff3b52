"""The engine inside the caller's own process, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from .clock import SystemClock
from .core.errors import HostGoneError
from .engine import Engine, EngineOptions
from .journal import ThreadedJournal
from .ports import ActivityExecutor, Clock, Store
from .service import Service

__all__ = ["EmbeddedEngine"]

_log = logging.getLogger(__name__)


class EmbeddedEngine:
    """Runs the engine of a store in this process, until it is closed.

    Args:
        store: The store; it is closed with the engine.
        executors: Run the activities, by name.
        options: Of the engine.
        clock: The time; the system's by default.
        version: Of ipydurable, to be told.

    Attributes:
        service: Answers requests.
    """

    def __init__(
        self,
        store: Store,
        executors: Mapping[str, ActivityExecutor],
        options: EngineOptions | None = None,
        clock: Clock | None = None,
        version: str = "",
    ) -> None:
        self._store = store
        self.engine = Engine(
            store, ThreadedJournal, clock or SystemClock(), executors, options=options
        )
        self.service = Service(self.engine, version)
        self._thread = threading.Thread(target=self._run, name="ipydurable-engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.engine.run()
        except Exception as error:  # noqa: BLE001  (whoever asks must hear of it)
            _log.exception("the engine has ended")
            self.service.fail(HostGoneError(self._store.path, f"its engine ended: {error!r}"))

    def close(self) -> None:
        """Stop the engine; what runs goes on when a store is opened next time."""
        if self._thread.is_alive():
            self.engine.stop()
            self._thread.join()
            self.service.close()
            self._store.close()
