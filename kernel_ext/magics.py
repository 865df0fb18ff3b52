"""The magics: %%activity, %%orchestrator, %%entity and %durable."""

# as IPython's decorators are:
# mypy: disable-error-code="no-untyped-call, untyped-decorator"
from __future__ import annotations

import atexit
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from traitlets import Bool, Unicode, observe

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import EffectsError

from .arguments import EXECUTORS, ArgumentError, activity_options
from .command import Desk
from .completion import Completion
from .display import Line, defined_line, is_notebook, show, show_replaceable
from .effects_report import show_effects
from .entity_functions import EntityFunction
from .entity_report import entity_line
from .execution import CellOptionError, run_definition_cell
from .functions import ActivityFunction, DurableFunction, OrchestratorFunction
from .host_settings import HostSettings
from .session import SESSIONS, DurableSession, host_client
from .subcommands import run_subcommand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["DurableMagics", "load", "unload"]

_KNOWN_AT_ONCE_S = 0.2


@magics_class
class DurableMagics(Magics, HostSettings):
    """Durable Functions in this notebook; `%durable help` lists what can be done."""

    store = Unicode(
        "durable.duckdb", help="The store: a DuckDB file, created if it is missing."
    ).tag(config=True)
    timeline = Bool(
        True, help="Whether starting an instance shows its timeline below the cell."
    ).tag(config=True)

    strict = Bool(
        False,
        help="Whether an orchestrator is refused that does what replay would not repeat.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell = shell
        self._left: list[DurableSession] = []
        self.session = self._connect(self.store)
        self._desk = Desk(lambda: self.session, self.open, shell.user_ns, self._use)
        self.completion = Completion(lambda: self.session)

    @magic_arguments()
    @argument("--name", help="The activity's name; by default its function's.")
    @argument("--retries", type=int, default=0, help="How often a failed attempt is tried again.")
    @argument("--retry-delay", default="1s", help="Time before the first retry: 100ms, 5s, 2m.")
    @argument("--backoff", type=float, default=2.0, help="Factor from one delay to the next.")
    @argument("--timeout", help="How long one attempt may take: 5, 5s, 2m, 1h; else no limit.")
    @argument("--heartbeat", help="How long it may give no sign of life (ctx.progress, tqdm).")
    @argument("--start-within", help="How long it may wait for its turn: schedule-to-start.")
    @argument("--on", metavar="|".join(EXECUTORS), help="Where it runs; else where it suits.")
    @argument("--max-parallel", type=int, default=0, help="How many may run at once; 0: no limit.")
    @argument("--rate", help="How many may begin in a time at most: 10/s, 100/m, 3/10s.")
    @cell_magic
    def activity(self, line: str, cell: str) -> None:
        """Define an activity: a step that does the work, in the background, at least once.

        The last function of the cell is the activity, what stands before it are its helpers:

            %%activity --retries 3 --timeout 60
            def fetch(city):
                return requests.get(URL, params={"q": city}).json()

        `fetch("Basel")` in a plain cell just runs it.
        """
        given = _options(self.activity, "activity", line)
        name = given.pop("name")
        try:
            options = activity_options(**given, executors=EXECUTORS)
        except ArgumentError as error:
            raise CellOptionError(str(error), f"%%activity {line}") from None
        found = run_definition_cell(self._shell, "activity", name, f"%%activity {line}", cell)
        self._bind(
            found.variable, ActivityFunction(found.function, found.name, options, found.cell)
        )

    @magic_arguments()
    @argument("--name", help="The orchestrator's name; by default its function's.")
    @cell_magic
    def orchestrator(self, line: str, cell: str) -> None:
        """Define an orchestrator: it says which steps are taken, and survives restarts.

        The last function of the cell is the orchestrator, what stands before it are its helpers:

            %%orchestrator
            async def report(ctx, cities):
                readings = await ctx.when_all([fetch(city) for city in cities])
                return await summarise(readings)

        `run = report.start(["Basel", "Zürich"])` starts an instance of it.
        """
        name = _options(self.orchestrator, "orchestrator", line)["name"]
        header = f"%%orchestrator {line}"
        found = run_definition_cell(self._shell, "orchestrator", name, header, cell)
        function = OrchestratorFunction(
            found.function, found.name, cell=found.cell, strict=self.strict
        )
        try:
            self._bind(found.variable, function)
        except EffectsError:
            found.take_back(self._shell)
            raise
        show_effects(function)

    @magic_arguments()
    @argument("--name", help="The entity's name; by default that of its class or function.")
    @cell_magic
    def entity(self, line: str, cell: str) -> None:
        """Define an entity: it keeps state, and operations change it one at a time.

        Of a class the public attributes are the state and the methods are the operations:

            %%entity
            class Account:
                balance: int = 0

                def deposit(self, amount):
                    self.balance += amount
                    return self.balance

        A function asks for its operation, `def counter(ctx, input)`, and uses `ctx.operation`,
        `ctx.get_state(default)` and `ctx.set_state(value)`.

        `await Account("alice").deposit(5)` calls an operation and waits for its result,
        `Account("alice").signal("deposit", 5)` does not wait, `Account("alice").state` reads.
        """
        name = _options(self.entity, "entity", line)["name"]
        found = run_definition_cell(self._shell, "entity", name, f"%%entity {line}", cell)
        self._bind(found.variable, EntityFunction(found.function, found.name, cell=found.cell))

    @no_var_expand
    @line_cell_magic
    def durable(self, line: str, cell: str | None = None) -> Any:
        """Look at the store of this notebook, and steer what runs there.

        %durable [status]                      how store and host are; also without a subcommand
        %durable dashboard                     the store at a glance: what there is, waits and runs
        %durable list [OPTIONS]                the newest instances, as a DataFrame
        %durable show ID                       the timeline of an instance, and what it waits for
        %durable history ID                    its history, as a DataFrame
        %durable wait ID [--timeout T] [--start]
                                               wait for its end, and return its result
        %durable start NAME [JSON] [OPTIONS]   start an orchestrator
        %durable start-many NAME [JSON, ...] [--tag NAME=VALUE]
                                               start one for each item of a list, all or none
        %durable raise ID EVENT [JSON]         raise an external event
        %durable suspend ID [REASON]           have an instance wait
        %durable resume ID [REASON]            have it go on
        %durable terminate ID [REASON]         end it now
        %durable restart ID [--new-id]         start a finished one again with its input
        %durable rewind ID [--newest] [REASON] redo what failed, and keep the rest
        %durable purge ID | OPTIONS            delete finished instances
        %durable entities [OPTIONS]            the entities: a live table, or a DataFrame
        %durable entity NAME@KEY               the state of an entity, and who holds it
        %durable signal NAME@KEY OPERATION [JSON] [--at TIME]
                                               have it do an operation
        %durable call NAME@KEY OPERATION [JSON]
                                               the same, and return its result
        %durable locks                         all locks with owner, age and queue, as a DataFrame
        %durable clean                         delete entities without state that have nothing to do
        %durable versions NAME                 all versions, and how many instances are on each
        %durable diff NAME [OLD [NEW]]         what changed between two versions, or the last two
        %durable adopt NAME [ID ...] [--to V]  have instances in flight take a new version
        %durable migrate ID|NAME [--to V]      move instances in flight to new code that fits
        %durable check NAME                    what in an orchestrator replay would not repeat
        %durable definitions                   what is defined in the store
        %durable sql [--as NAME] [--timeout T] QUERY
                                               query history, activities, instances and the other
                                               tables; {variables} are values
        %durable open [--fresh] PATH           use another store
        %durable export PATH [ID ...] [OPTIONS]
                                               write instances, with their sub-orchestrations, to a
                                               Parquet file
        %durable import PATH                   read what was exported, or a store: nothing of it can
                                               run
        %durable trust [--yes]                 run a store from elsewhere, once its code was shown
        %durable stop                          end the host; what runs goes on with the next one
        %durable help [SUBCOMMAND]             this list, or the options of one

        Lines below `%%durable ...` belong to its first line: long queries, long JSON.

        `{name}`, `{rows[0]}`, `{run}` and other expressions of this notebook's variables are
        replaced by their values, as in other magics: handles by their ids, lists by JSON. In
        `sql` they are bound as values instead: `WHERE name = {name} AND instance_id IN {ids}`.
        """
        text = line if cell is None else f"{line}\n{cell}"
        return run_subcommand(self._desk, text, self._shell.user_ns)

    def open(self, store: str) -> None:
        """Use another store, once it is known to open; definitions are sent there when needed.

        Raises:
            StoreError: It cannot be opened; then nothing changes.
            HostError: Its host did not start; then nothing changes.
        """
        session = self._connect(store)
        try:
            _ = session.client
        except BaseException:
            session.close()
            raise
        self._use(session)
        self.store = store
        self.greet()

    def greet(self) -> None:
        """Say which store is used, and as soon as it is known whether it opened."""
        store, connection = self.session.store, self.session.connection
        wait_for([connection], timeout=_KNOWN_AT_ONCE_S)
        if connection.done():
            show(_greeting(store, connection))
        elif is_notebook(self._shell):
            output = show_replaceable(Line("durable store", store, "is being opened"))
            connection.add_done_callback(lambda done: output.update(_greeting(store, done)))
        else:
            show(Line("durable store", store))

    def close(self) -> None:
        """End all sessions; what runs goes on."""
        for session in (self.session, *self._left):
            session.close()

    @observe("store")
    def _on_store(self, change: Any) -> None:
        session = self.__dict__.get("session")  # None while the configuration is being read
        if session is not None and session.store != change["new"]:
            self._use(self._connect(change["new"]))

    def _connect(self, store: str) -> DurableSession:
        return DurableSession(
            host_client(store, self._shell),
            store,
            shell=self._shell,
            shows_timelines=lambda: self.timeline,
        )

    def _use(self, session: DurableSession) -> None:
        old, self.session = self.session, session
        SESSIONS[self._shell] = session
        session.take_over(old)
        # Handles to instances of that store go on working until the extension is unloaded.
        self._left.append(old)

    def _bind(self, variable: str, function: DurableFunction) -> None:
        """Bind a durable function to its variable, send it, and say what became of it."""
        self._shell.user_ns[variable] = function
        before = self.session.sent(function.kind, function.name)
        defined = self.session.define(function)
        if isinstance(function, EntityFunction):
            show(entity_line(function, defined, self.session.client))
        else:
            show(defined_line(function, defined, before))
            self.session.offer_to_in_flight(function, defined)


def load(shell: InteractiveShell) -> None:
    """Add magics and completion to a shell, and connect to its store in the background."""
    magics = DurableMagics(shell)
    SESSIONS[shell] = magics.session
    shell.register_magics(magics)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(magics.completion.match)
    # A host ends sooner where its clients say goodbye.
    atexit.register(magics.close)
    magics.greet()


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` did; what runs goes on."""
    magics = shell.magics_manager.registry.pop(DurableMagics.__name__, None)
    if not isinstance(magics, DurableMagics):
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    if shell.Completer is not None and magics.completion.match in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(magics.completion.match)
    configurables: list[Any] = shell.configurables
    if magics in configurables:
        configurables.remove(magics)
    atexit.unregister(magics.close)
    SESSIONS.pop(shell, None)
    magics.close()


def _options(magic: Any, name: str, line: str) -> dict[str, Any]:
    """Return the options on the line of a cell magic; raises `CellOptionError`."""
    try:
        return dict(vars(parse_argstring(magic, line)))
    except UsageError as error:
        raise CellOptionError(f"{error}. %%{name}? lists the options", f"%%{name} {line}") from None


def _greeting(store: str, connection: Future[DurableClient]) -> Line:
    error = connection.exception()
    if error is not None:
        return Line("durable store", store, "did not open", [str(error)], tone="error")
    status = connection.result().host_status()
    if status.untrusted:
        detail = (
            "comes from elsewhere: it can be read, but nothing in it runs. "
            "%durable trust shows its code"
        )
        return Line("durable store", store, detail, status.report, tone="warning")
    count = f"{status.live} instance{'s' if status.live != 1 else ''} in flight"
    return Line("durable store", store, f"· {count}" if status.live else "", status.report)
