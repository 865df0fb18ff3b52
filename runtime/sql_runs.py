"""Queries of people: in threads of their own, with an end, and gone when their client gives up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from .core.errors import QueryError
from .ports import ReadableStore
from .requests import CancelSql, RunSql

__all__ = ["SqlRuns"]

_AT_ONCE = 2


class _Run:
    """A query that waits or runs."""

    def __init__(self) -> None:
        self.why = ""
        self.interrupt: Callable[[], None] | None = None


class SqlRuns:
    """Runs SQL beside the engine and beside all other reads, which a long query must not hold up.

    Args:
        store: The store; `sql` may be called by any thread.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ipydurable-sql")
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def submit(self, request: RunSql) -> Future[bytes]:
        """Return the future of the answer, an Arrow stream; `QueryError` where there is none."""
        run = _Run()
        if request.query_id:
            with self._lock:
                self._runs[request.query_id] = run
        return self._threads.submit(self._work, request, run)

    def cancel(self, request: CancelSql) -> None:
        """End a query if it still waits or runs."""
        with self._lock:
            run = self._runs.get(request.query_id)
        if run is not None:
            self._end(run, "The query was interrupted.")

    def close(self) -> None:
        """Answer no more."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            self._end(run, "The store was closed.")
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _end(self, run: _Run, why: str) -> None:
        with self._lock:
            run.why = run.why or why
            interrupt = run.interrupt
        if interrupt is not None:
            interrupt()

    def _work(self, request: RunSql, run: _Run) -> bytes:
        limit_s = request.timeout_s
        why = f"The query ran longer than {limit_s:g} s and was ended; give it more with a timeout."
        timer = threading.Timer(limit_s, self._end, (run, why)) if limit_s else None
        if timer is not None:
            timer.daemon = True
            timer.start()

        def started(interrupt: Callable[[], None]) -> None:
            with self._lock:
                run.interrupt = interrupt
            if run.why:
                interrupt()

        try:
            return self._store.sql(request.text, request.parameters or None, started=started)
        except QueryError as error:
            raise QueryError(request.text, run.why or error.reason) from None
        finally:
            with self._lock:
                run.interrupt = None
                self._runs.pop(request.query_id, None)
            if timer is not None:
                timer.cancel()
