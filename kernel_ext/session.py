"""Sessions: who in this process talks to which store, and what was sent there."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.context import pack_arguments
from ipydurable.runtime.core.entity_ids import EntityInstanceId, entity_id_of
from ipydurable.runtime.core.errors import DefinitionError, DurableError
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.namespace import hash_of_file

from .arguments import Duration, Statuses, Time, parse_replaceable, parse_seconds, parse_time
from .display import Line, current_shell, is_notebook, show
from .effects_report import tell_effects
from .entity_functions import EntityFunction
from .entity_handles import EntityHandle
from .forms_output import FormsOutput
from .functions import (
    DECLARED,
    ActivityFunction,
    DurableFunction,
    OrchestratorFunction,
    notebook_path,
)
from .graph_view import GraphView
from .handles import NotebookInstance
from .in_flight import adopted_line, ids_of, migrate_all
from .module_imports import changed_modules
from .offers import Offer
from .store_view import StoreView

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ipydurable.runtime.handles import InstanceHandle
    from ipydurable.runtime.requests import Adopted, Defined, Untrusted

from .timeline_output import TimelineView

__all__ = [
    "SESSIONS",
    "DurableSession",
    "connect",
    "current_session",
    "host_client",
]

_TIMELINES_PER_CELL = 3

SESSIONS: weakref.WeakKeyDictionary[InteractiveShell, DurableSession] = weakref.WeakKeyDictionary()
"""The session of each IPython shell of this process."""

_entered: list[weakref.ref[DurableSession]] = []


class DurableSession(StoreView):
    """Talks to one store for one notebook or script.

    The connection is made in the background as soon as the session exists; whoever needs it
    first waits for it, and gets the error if there is one. The next use tries again.

    Args:
        connect: Makes the client; called in a thread.
        store: Path of the store, to be told.
        shell: The shell that shows timelines, if any.
        shows_timelines: Whether starting an instance shows its timeline there.

    Attributes:
        store: Path of the store.
        shell: The shell that shows timelines, if any.
    """

    def __init__(
        self,
        connect: Callable[[], DurableClient],
        store: str,
        *,
        shell: InteractiveShell | None = None,
        shows_timelines: Callable[[], bool] = lambda: True,
    ) -> None:
        self.store = store
        self.shell = shell
        self._connect = connect
        self._shows_timelines = shows_timelines
        self._lock = threading.RLock()
        self._is_closed = False
        self._functions: dict[tuple[Kind, str], DurableFunction] = {}
        self._sent: dict[tuple[Kind, str], DurableFunction] = {}
        self._views: weakref.WeakSet[TimelineView | GraphView | FormsOutput | Offer] = (
            weakref.WeakSet()
        )
        self._shown_in = (0, 0)
        self._reported: set[tuple[str, str, str, str]] = set()
        self._connection = self._begin()

    @property
    def client(self) -> DurableClient:
        """The client; waits until it is connected.

        Raises:
            StoreError: The store cannot be opened; says why.
            HostError: The background host did not start.
        """
        with self._lock:
            if self._is_closed:
                raise DurableError(f"The session with {self.store} was closed.")
            connection = self._connection
            if connection.done() and connection.exception() is not None:
                connection = self._connection = self._begin()
        return connection.result()

    @property
    def connection(self) -> Future[DurableClient]:
        """The future of the client, for who must not wait."""
        return self._connection

    def define(self, function: DurableFunction) -> Defined:
        """Send a definition; the same content again adds nothing.

        Raises:
            DefinitionError: The code cannot be made durable; says why.
        """
        with self._lock:
            _ = function.definition  # What cannot be captured is not tried again with others.
            before = self._functions.get(_key(function))
            self._functions[_key(function)] = function
            try:
                return self._send([function])[0]
            except DefinitionError:
                # Refused: it must not be sent again with all that comes after.
                del self._functions[_key(function)]
                if before is not None:
                    self._functions[_key(function)] = before
                raise

    def sent(self, kind: Kind, name: str) -> DurableFunction | None:
        """Return what this session sent last under a name; None if nothing."""
        return self._sent.get((kind, name))

    def start(
        self,
        orchestrator: OrchestratorFunction | str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        instance_id: str | None = None,
        start_at: Time | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        replace: Statuses = (),
    ) -> NotebookInstance:
        """Start an instance, and show its timeline in a notebook; see `OrchestratorFunction.start`.

        Args:
            orchestrator: What was defined, or its name.
            args: The input; several become the parameters after the context.
            kwargs: Keyword parameters.
            instance_id: Its id; by default the name and a random suffix.
            start_at: When to start; by default now.
            tags: Labels.
            timeout: How long after its start it fails unless it has ended.
            replace: What an existing instance of that id may be to be replaced.
        """
        self.send_needed(None if isinstance(orchestrator, str) else orchestrator)
        started = self.client.start(
            _name_of(orchestrator),
            pack_arguments(args, kwargs or {}),
            instance_id=instance_id,
            tags=tags,
            start_at=None if start_at is None else parse_time(start_at, "from now"),
            timeout=None if timeout is None else timedelta(seconds=parse_seconds(timeout)),
            replace=parse_replaceable(replace),
        )
        handle = NotebookInstance(self.client, started, self._views.add)
        self._show(handle)
        return handle

    def start_many(
        self,
        orchestrator: OrchestratorFunction | str,
        inputs: Iterable[Any],
        *,
        tags: Mapping[str, str] | None = None,
    ) -> list[NotebookInstance]:
        """Start an instance for each input; see `OrchestratorFunction.start_many`."""
        self.send_needed(None if isinstance(orchestrator, str) else orchestrator)
        started = self.client.start_many(_name_of(orchestrator), inputs, tags=tags)
        return [NotebookInstance(self.client, one, self._views.add) for one in started]

    def instance(self, instance_id: str) -> NotebookInstance:
        """Return the handle of an instance; raises UnknownInstanceError."""
        self.client.get(instance_id)
        return NotebookInstance(self.client, instance_id, self._views.add)

    def _keep_forms(self, view: FormsOutput) -> None:
        self._views.add(view)

    def entity(
        self, entity: str | EntityInstanceId, function: EntityFunction | None = None
    ) -> EntityHandle:
        """Return the handle of an entity; it need not exist yet.

        Args:
            entity: Its id, such as `"Account@alice"`.
            function: Its definition; by default the one of that name that is known here.

        Raises:
            ValueError: The text is no entity id.
        """
        entity_id = entity_id_of(entity)
        return EntityHandle(self, entity_id, function or self.entity_function(entity_id))

    def entity_function(self, entity_id: EntityInstanceId) -> EntityFunction | None:
        """Return the newest definition of an entity that is known here; None if none is."""
        with self._lock:
            known = [*DECLARED.values(), *self._functions.values()]
        found = [
            one
            for one in known
            if isinstance(one, EntityFunction) and one.name.lower() == entity_id.name
        ]
        return max(found, key=lambda one: one.serial, default=None)

    def adopt(self, function: ActivityFunction, runs: Iterable[InstanceHandle | str]) -> Adopted:
        """Have instances in flight take an activity; see `ActivityFunction.adopt`."""
        if self.sent(function.kind, function.name) is not function:
            self.define(function)
        return self.client.adopt(function.name, ids_of(runs), version=function.version)

    def offer_to_in_flight(self, function: DurableFunction, defined: Defined) -> None:
        """Offer a new version to the instances in flight that stay on another one."""
        if not defined.is_new or not defined.in_flight or isinstance(function, EntityFunction):
            return
        name, number = function.name, defined.number
        if function.kind is Kind.ACTIVITY:
            offer = Offer(
                f"Have them take v{number}",
                f"they take v{number} from their next attempt on",
                f"%durable adopt {name}",
                lambda: adopted_line(self.client.adopt(name, version=defined.version)),
            )
        else:
            offer = Offer(
                f"Move those that fit to v{number}",
                f"moves those to v{number} whose history fits it",
                f"%durable migrate {name}",
                lambda: migrate_all(self.client, name, number),
            )
        self.keep(offer)
        offer.show()

    def keep(self, offer: Offer) -> None:
        """Have an offer taken back when the session ends."""
        self._views.add(offer)

    def trust(self, shown: Untrusted) -> int:
        """Trust code from elsewhere that was shown; returns how many definitions that was.

        Raises:
            UntrustedStoreError: There is more of it; nothing is trusted.
        """
        count = self.client.trust(shown)
        converter = self.client.converter
        if isinstance(converter, NamespaceConverter):
            converter.may_import = True
        return count

    def take_over(self, other: DurableSession) -> None:
        """Know the definitions of another session too; they are sent when they are needed."""
        self._functions.update(other._functions)

    def close(self) -> None:
        """Leave; what runs goes on. Timelines that are still live become static."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        _entered[:] = [one for one in _entered if one() not in (None, self)]
        for view in list(self._views):
            view.freeze()
        self._connection.add_done_callback(_close_client)

    def __enter__(self) -> Self:
        _entered.append(weakref.ref(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> Future[DurableClient]:
        future: Future[DurableClient] = Future()

        def run() -> None:
            try:
                future.set_result(self._connect())
            except BaseException as error:  # noqa: BLE001  (told to whoever needs the client)
                future.set_exception(error)

        threading.Thread(target=run, name="ipydurable-connect", daemon=True).start()
        return future

    def _send(self, functions: list[DurableFunction]) -> list[Defined]:
        answers = self.client.define([function.definition for function in functions])
        for function, defined in zip(functions, answers, strict=True):
            function.number = defined.number
            self._sent[_key(function)] = function
        return answers

    def send_needed(self, function: DurableFunction | None) -> None:
        """Send what is to be used and what it uses, and all else this store has not got yet.

        Orchestrators may name others in a string, so what was defined is sent without being seen
        to be used. It must not replace anything that is used, though: names may clash.

        Args:
            function: What is to be used; None where only its name is known.
        """
        with self._lock:
            wanted = {} if function is None else _reached(function)
            known = {**DECLARED, **wanted}
            for key, other in self._functions.items():
                if key not in known or known[key].serial < other.serial:
                    known[key] = other
            known.update(wanted)
            pending = [
                one
                for key, one in known.items()
                if (sent := self._sent.get(key)) is not one
                and (key in wanted or sent is None or sent.serial < one.serial)
                and (key in wanted or _is_durable(one))
            ]
            if pending:
                self._send(pending)
                for one in pending:
                    if isinstance(one, OrchestratorFunction) and not one.cell:
                        tell_effects(one, self.shell)
            self._report_changed_modules(wanted.values())

    def _report_changed_modules(self, functions: Iterable[DurableFunction]) -> None:
        """Say once which local modules are not as they were when what is used was defined."""
        for function in functions:
            for name, file in changed_modules(function.definition.package.module_hashes):
                seen = (function.name, function.version, name, hash_of_file(file))
                if seen in self._reported:
                    continue
                self._reported.add(seen)
                text = (
                    f"{Path(file).name} has changed since {function.name} was defined: what runs "
                    f"from now on imports it as it is. importlib.reload({name}), and running the "
                    "cell again, make a version of it."
                )
                if self.shell is None:
                    warnings.warn(text, stacklevel=6)
                else:
                    show(Line("module", name, notes=[text]))

    def _show(self, handle: NotebookInstance) -> None:
        """Show the timeline of a started instance, unless this cell shows a few already."""
        if self.shell is None or not is_notebook(self.shell) or not self._shows_timelines():
            return
        cell, count = self._shown_in
        count = count + 1 if cell == self.shell.execution_count else 1
        self._shown_in = self.shell.execution_count, count
        if count <= _TIMELINES_PER_CELL:
            handle.show()
        elif count == _TIMELINES_PER_CELL + 1:
            more = "Further instances of this cell are not shown: %durable list, or run.timeline()"
            show(Line(detail=more))


def current_session() -> DurableSession:
    """Return the session that durable functions use here.

    It is the one entered last by `with`, else that of the notebook.

    Raises:
        DurableError: There is none; says how to get one.
    """
    for entered in reversed(_entered):
        session = entered()
        if session is not None:
            return session
    shell = current_shell()
    found = None if shell is None else SESSIONS.get(shell)
    if found is None:
        raise DurableError(
            "Nothing here runs durable functions yet. In a notebook: %load_ext ipydurable. "
            'In a script: with ipydurable.Runtime("orders.duckdb"): ...'
        )
    return found


def connect(path: str | Path | None = None, *, read_only: bool = False) -> DurableSession:
    """Return a session.

    Args:
        path: A store, whose background host is started if there is none; None for the session
            that is current here.
        read_only: Whether to read it only, without a host if there is none; as
            `ipydurable.open_archive`.

    Returns:
        The session; close it, or use it as a context manager, if you gave a path.

    Raises:
        DurableError: No path was given and no session is current.
        StoreError: The store cannot be opened; says why.
        HostError: The background host did not start.
    """
    if path is None:
        return current_session()
    if read_only:
        from .archives import open_archive

        return open_archive(path)
    shell = current_shell()
    session = DurableSession(host_client(path, shell), str(path), shell=shell)
    _ = session.client
    return session


def host_client(
    path: str | Path, shell: InteractiveShell | None = None
) -> Callable[[], DurableClient]:
    """Return what connects to the host of a store; the path means what it means now.

    Args:
        path: The store.
        shell: Whose variables results are decoded with; by default those of `__main__`.
    """
    store = Path(path).expanduser().absolute()
    namespace = vars(sys.modules["__main__"]) if shell is None else shell.user_ns

    def connect_now() -> DurableClient:
        from ipydurable.runtime.connection import HostPaths
        from ipydurable.runtime.files import files_beside
        from ipydurable.runtime.link import Link

        # A form that somebody answered says from which notebook.
        by = Path(notebook_path()).name
        paths = HostPaths(store)
        files = files_beside(str(paths.store))
        client = DurableClient(Link(paths), NamespaceConverter(namespace, files=files), by)
        if client.host_status().untrusted:
            # What its values name must not make this process import anything.
            client.converter = NamespaceConverter(namespace, may_import=False, files=files)
        return client

    return connect_now


def _key(function: DurableFunction) -> tuple[Kind, str]:
    return function.kind, function.name


def _name_of(function: DurableFunction | str) -> str:
    return function if isinstance(function, str) else function.name


def _reached(function: DurableFunction) -> dict[tuple[Kind, str], DurableFunction]:
    """Return a function and what it uses, directly or through others, by kind and name."""
    reached: dict[tuple[Kind, str], DurableFunction] = {}
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if reached.setdefault(_key(one), one) is one:
            waiting += [used for used in one.uses if _key(used) not in reached]
    return reached


def _is_durable(function: DurableFunction) -> bool:
    """Whether the code of something that may not even be needed can be sent."""
    try:
        _ = function.definition
    except DefinitionError as error:
        warnings.warn(f"{function.kind} {function.name} was left out: {error}", stacklevel=5)
        return False
    return True


def _close_client(connection: Future[DurableClient]) -> None:
    if connection.exception() is None:
        with contextlib.suppress(DurableError):
            connection.result().close()
