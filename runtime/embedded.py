"""The engine inside the caller's own process, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future

from .clock import SystemClock
from .core.errors import HostGoneError, WaitTimeoutError
from .engine import Engine, EngineOptions
from .journal import ThreadedJournal
from .ports import ActivityExecutor, Clock, Store
from .service import Service

__all__ = ["EmbeddedEngine"]

_log = logging.getLogger(__name__)

_RESTS = 2
_LOOK_AGAIN_S = 0.0005
_ANSWER_S = 60.0


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

    @property
    def is_alive(self) -> bool:
        """Whether it runs: not closed, and not ended by a bug of ours."""
        return self._thread.is_alive()

    def settle(self, timeout_s: float | None = None) -> None:
        """Wait until only time, an event or a client can bring anything about.

        Args:
            timeout_s: Seconds to wait at most; None for no limit.

        Raises:
            WaitTimeoutError: It is still at work then.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        # Twice, as what became durable the first time may only now be handed to executors.
        rests = 0
        while rests < _RESTS:
            rests = rests + 1 if self.is_at_rest() else 0
            if not rests:
                if deadline is not None and time.monotonic() > deadline:
                    raise WaitTimeoutError("the engine's rest", timeout_s or 0.0)
                time.sleep(_LOOK_AGAIN_S)

    def is_at_rest(self) -> bool:
        """Whether it had nothing to do, once all that was asked before was durable."""
        engine, answer = self.engine, Future[bool]()

        def look() -> None:
            answer.set_result(engine.is_at_rest)

        # Not among the effects of that commit: those after it may start something.
        engine.post(engine.after_commit, lambda: engine.post(look))
        return answer.result(timeout=_ANSWER_S)

    def close(self) -> None:
        """Stop the engine; what runs goes on when a store is opened next time."""
        if self._thread.is_alive():
            self.engine.stop()
            self._thread.join()
            self.service.close()
            self._store.close()
