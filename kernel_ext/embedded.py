"""`Runtime`: the durable engine inside any Python process, for scripts and tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ipydurable.runtime.client import SQL_TIMEOUT_S, DurableClient, InProcess
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.form_handles import FormHandles
from ipydurable.runtime.ports import ActivityExecutor, Clock, Store

from .activity_executors import activity_executors
from .arguments import Duration, Statuses, Time, parse_seconds
from .entity_handles import EntityHandle
from .functions import OrchestratorFunction
from .handles import NotebookInstance
from .session import DurableSession
from .version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from ipydurable.runtime.engine import EngineOptions

    from .dashboard_output import DashboardView

__all__ = ["Runtime"]


class Runtime:
    """Runs durable functions in this process, on a store of its own; a context manager.

    As long as it is entered, `report.start(...)` uses it. What has not finished when it is closed
    goes on when the store is opened next time.

    Args:
        path: The store, a file that is created if it is missing; or a store, such as
            `ipydurable.testing.MemoryStore()`.
        executors: Run the activities, by name; by default worker processes, threads and an
            event loop.
        options: Of the engine: how many waiting instances stay in memory, whether replay is strict.
        clock: The time: the system's, or in tests an `ipydurable.testing.VirtualClock()`.

    Raises:
        StoreLockedError: Another process has the store open, such as the host of a notebook.
        StoreError: The store cannot be opened; says why.

    Example:
        with ipydurable.Runtime("orders.duckdb") as runtime:
            run = runtime.start(report, ["Basel", "Zürich"])
            print(run.result(timeout=60))
    """

    def __init__(
        self,
        path: str | Path | Store,
        *,
        executors: Mapping[str, ActivityExecutor | Executor] | None = None,
        options: EngineOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        from ipydurable.runtime.codecs import NamespaceConverter
        from ipydurable.runtime.embedded import EmbeddedEngine
        from ipydurable.runtime.files import files_beside
        from ipydurable.store import open_store

        if isinstance(path, str | Path):
            store: Store = open_store(Path(path).expanduser().absolute())
        else:
            store = path
        self.path = str(store.path)
        self._engine = EmbeddedEngine(
            store,
            activity_executors(executors),
            options,
            clock,
            __version__,
        )
        namespace = vars(sys.modules["__main__"])
        converter = NamespaceConverter(namespace, files=files_beside(self.path))
        client = DurableClient(InProcess(self._engine.service), converter)
        self._client = client
        self._session = DurableSession(lambda: client, self.path)

    @property
    def client(self) -> DurableClient:
        """Everything that can be asked of the engine."""
        return self._client

    def start(
        self,
        orchestrator: OrchestratorFunction | str,
        *args: Any,
        instance_id: str | None = None,
        start_at: Time | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        replace: Statuses = (),
        **kwargs: Any,
    ) -> NotebookInstance:
        """Start an instance; as `orchestrator.start`, here.

        Args:
            orchestrator: What `@orchestrator` or `%%orchestrator` defined, or its name.
            *args: The input. Several, or keywords, become the parameters after the context.
            instance_id: Its id; by default the name and a random suffix.
            start_at: When to start: a datetime (naive means UTC), or a timedelta or `"2h"` from
                now; by default now.
            tags: Labels to find it by.
            timeout: How long after its start it fails unless it has ended; by default never.
            replace: What an existing instance of that id may be to be replaced: a status or
                several, `"finished"` or `"any"`; by default it is an error.
            **kwargs: See `args`.
        """
        if isinstance(orchestrator, OrchestratorFunction):
            orchestrator.check_arguments(args, kwargs)
        return self._session.start(
            orchestrator,
            args,
            kwargs,
            instance_id=instance_id,
            start_at=start_at,
            tags=tags,
            timeout=timeout,
            replace=replace,
        )

    def start_many(
        self,
        orchestrator: OrchestratorFunction | str,
        inputs: Iterable[Any],
        *,
        tags: Mapping[str, str] | None = None,
    ) -> list[NotebookInstance]:
        """Start an instance for each input, all or none; as `orchestrator.start_many`, here."""
        return self._session.start_many(orchestrator, inputs, tags=tags)

    def instance(self, instance_id: str) -> NotebookInstance:
        """Return the handle of an instance; raises UnknownInstanceError."""
        return self._session.instance(instance_id)

    def instances(self, **filters: Any) -> pd.DataFrame:
        """Return the instances as a DataFrame; filters as of `ipydurable.instances`."""
        return self._session.instances(**filters)

    def forms(self, *instances: Any) -> FormHandles:
        """Return the forms that instances wait for somebody to fill in; `ipydurable.forms`."""
        return self._session.forms(*instances)

    def purge(self, instance_id: str = "", **filters: Any) -> int:
        """Delete finished instances, and return how many; as `ipydurable.purge`."""
        return self._session.purge(instance_id, **filters)

    def entity(self, entity: str | EntityInstanceId) -> EntityHandle:
        """Return the handle of an entity, such as `"Account@alice"`; it need not exist yet."""
        return self._session.entity(entity)

    def entities(self, **filters: Any) -> pd.DataFrame:
        """Return the entities as a DataFrame; filters as of `ipydurable.entities`."""
        return self._session.entities(**filters)

    def dashboard(self) -> DashboardView:
        """Return the store at a glance; as `ipydurable.dashboard`, here."""
        return self._session.dashboard()

    def locks(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return requests for locks as a DataFrame; as `ipydurable.locks`, here."""
        return self._session.locks(*which, **filters)

    def history(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return history events as a DataFrame; as `ipydurable.history`, here."""
        return self._session.history(*which, **filters)

    def activities(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return activities as a DataFrame; as `ipydurable.activities`, here."""
        return self._session.activities(*which, **filters)

    def attempts(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return attempts of activities as a DataFrame; as `ipydurable.attempts`, here."""
        return self._session.attempts(*which, **filters)

    def timers(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return timers as a DataFrame; as `ipydurable.timers`, here."""
        return self._session.timers(*which, **filters)

    def operations(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return operations of entities as a DataFrame; as `ipydurable.operations`, here."""
        return self._session.operations(*which, **filters)

    def definitions(self, *which: Any, **filters: Any) -> pd.DataFrame:
        """Return all versions of definitions as a DataFrame; as `ipydurable.definitions`, here."""
        return self._session.definitions(*which, **filters)

    def payload(self, instance: Any, seq: int | None = None) -> Any:
        """Return the value of a history event; as `ipydurable.payload`, here."""
        return self._session.payload(instance, seq)

    def sql(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Duration = SQL_TIMEOUT_S,
    ) -> pd.DataFrame:
        """Return the answer to a read-only SQL query; as `ipydurable.sql`, here."""
        return self._session.sql(text, parameters, timeout=timeout)

    def settle(self, timeout: Duration | None = 60) -> None:
        """Wait until everything here waits for time, an event or a person; for tests.

        Then a `VirtualClock` may be moved, or an event raised, and what comes of it is certain.

        Args:
            timeout: How long to wait at most: seconds, a timedelta or `"2m"`; None for no limit.

        Raises:
            WaitTimeoutError: Something is still at work then.
        """
        self._engine.settle(None if timeout is None else parse_seconds(timeout))

    def close(self) -> None:
        """Stop the engine and free the store."""
        self._session.close()
        self._engine.close()

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Runtime {self.path!r}>"
