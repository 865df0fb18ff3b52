"""What a scenario is: durable functions, a script that uses them, and the outcome it must have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ipydurable.functions import DurableFunction
from ipydurable.runtime.core.context import NO_INPUT
from ipydurable.runtime.core.events import Event
from ipydurable.runtime.core.serialization import CallArguments
from ipydurable.runtime.handles import InstanceHandle
from tests.conformance.backends import WAYS, Backend, TimedClient
from tests.conformance.durations import TICK
from tests.conformance.histories import events_of

__all__ = ["EVICTED", "SCENARIOS", "SQL", "VIRTUAL", "Scenario", "World", "raised", "scenario"]

VIRTUAL = ("memory", "duckdb", "evicted")
"""The ways whose time is a virtual clock: for what depends on exact or long times."""
SQL = ("duckdb", "host")
"""The ways with a database."""
EVICTED = ("evicted",)
"""The way that replays at every turn: for what only a replay can show."""

Script = TypeVar("Script", bound=Callable[["World"], Any])

_OPTIONS = ("tags", "start_at", "timeout", "replace")


class Scenario(NamedTuple):
    """A script and what it must return, whichever way it runs.

    Attributes:
        script: Uses the durable functions of its module and returns an outcome.
        gives: The outcome it must have.
        order_varies: Whether things happen at the same time, so that the order of history is left
            to chance.
        ways: The ways it makes sense in.
    """

    script: Callable[[World], Any]
    gives: Any
    order_varies: bool
    ways: tuple[str, ...]

    @property
    def name(self) -> str:
        """The script's name."""
        return self.script.__name__

    @property
    def topic(self) -> str:
        """What its module is about."""
        return self.script.__module__.rpartition("scenarios_")[2]


SCENARIOS: list[Scenario] = []


def scenario(
    *, gives: Any, order_varies: bool = False, ways: tuple[str, ...] = WAYS
) -> Callable[[Script], Script]:
    """Make a function a scenario; its docstring is the behaviour it documents.

    Args:
        gives: The outcome it must return.
        order_varies: See `Scenario`.
        ways: See `Scenario`.
    """

    def add(script: Script) -> Script:
        SCENARIOS.append(Scenario(script, gives, order_varies, ways))
        return script

    return add


class World:
    """What a script may do: one way of running, seen by one scenario.

    All its instance ids begin with `prefix`, so that scenarios share an engine and never meet.

    Args:
        backend: Runs everything.
        client: Its client, decoding in the scenario's module.
        prefix: Begins the instance ids.
        scratch: A folder of the scenario's own.
    """

    def __init__(self, backend: Backend, client: TimedClient, prefix: str, scratch: Path) -> None:
        self._backend = backend
        self.client = client
        self.prefix = prefix
        self._scratch = scratch
        self._count = 0

    def id(self, suffix: str) -> str:
        """Return an instance id of this scenario."""
        return self.prefix + suffix

    def short(self, instance_id: str) -> str:
        """Return the suffix that `id` made an instance id of."""
        return instance_id.removeprefix(self.prefix)

    def start(
        self, orchestrator: DurableFunction | str, *args: Any, suffix: str = "", **more: Any
    ) -> InstanceHandle:
        """Start an instance as `orchestrator.start(...)` does.

        Args:
            orchestrator: What, or its name.
            *args: The input.
            suffix: What its id ends with; by default a number.
            **more: Keyword inputs, and `tags`, `start_at`, `timeout` and `replace`.
        """
        if not suffix:
            self._count += 1
            suffix = str(self._count)
        options = {name: more.pop(name) for name in _OPTIONS if name in more}
        given: Any = args[0] if args else NO_INPUT
        if more or len(args) > 1:
            given = CallArguments(args, more)
        name = orchestrator if isinstance(orchestrator, str) else orchestrator.name
        started = self.client.start(name, given, instance_id=self.id(suffix), **options)
        return self.handle(started)

    def run(self, orchestrator: DurableFunction | str, *args: Any, **more: Any) -> Any:
        """Start an instance and return its result."""
        return self.start(orchestrator, *args, **more).result()

    def handle(self, instance_id: str) -> InstanceHandle:
        """Return an instance's handle."""
        return InstanceHandle(self.client, instance_id)

    def define(self, function: DurableFunction) -> int:
        """Run the cell of a definition again; returns its version number."""
        return self.client.define([function.definition])[0].number

    def now(self) -> datetime:
        """Return the present (naive UTC)."""
        return self._backend.now()

    def advance(self, by: timedelta = TICK) -> None:
        """Move a virtual clock on; real time passes by itself."""
        self._backend.advance(by)

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Let time pass until something is so."""
        self.client.until(condition, what)

    def until_waiting(self, run: InstanceHandle, kind: str, name: str = "") -> None:
        """Let time pass until an instance waits for a "timer", an "external event" or so."""
        self.until(
            lambda: any(
                (task.kind, name or task.name) == (kind, task.name) for task in run.waiting_for
            ),
            f"{run.instance_id} waits for {kind} {name}",
        )

    def events(self, run: InstanceHandle) -> list[Event]:
        """Return the history of an instance's last execution."""
        return events_of(self.client, run.instance_id)

    def file(self, name: str) -> str:
        """Return the path of a file of this scenario's own."""
        return str(self._scratch / name)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file of this scenario's own; none if it is missing."""
        path = self._scratch / name
        return path.read_text().splitlines() if path.exists() else []

    def write(self, name: str, text: str = "") -> None:
        """Write a file of this scenario's own."""
        (self._scratch / name).write_text(text)


def raised(work: Callable[[], Any], *attributes: str) -> list[Any]:
    """Return what a call raises: the class name, and some of the error's attributes.

    Args:
        work: The call.
        attributes: Names of attributes; `"str"` is the message.
    """
    try:
        result = work()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the outcome)
        shown = {"str": str(error)}
        return [
            type(error).__name__,
            *(shown.get(one) or getattr(error, one) for one in attributes),
        ]
    raise AssertionError(f"nothing was raised; it returned {result!r}")
