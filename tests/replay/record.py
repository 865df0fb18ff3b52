"""Records golden histories: `python -m tests.replay.record NAME...`. Never run it to mend a test.

A history that is there is never overwritten: a new engine version gets new files.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ipydurable.runtime.core.events import ExecutionRewound
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.history_rows import dump_history
from ipydurable.runtime.requests import Rewind
from tests.replay.programs import PROGRAMS, activities
from tests.support.world import World

HISTORIES = Path(__file__).with_name("histories")

INPUTS = {"chain": 1, "generator": 3, "fan": 3, "eternal": 0}
ENGINE = 1
LATER = {"asked", "mirrors"}
"""Programs recorded after the others, which must find as many definitions as they did then."""


class Account:
    """The entity that the bank program uses."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance


def run(name: str) -> World:
    """Run a program with everything that it waits for."""
    world = World()
    for activity in activities.values():
        world.define(activity)
    for program in PROGRAMS.values():
        if program.__name__ not in LATER - {name}:
            world.orchestrator(program)
    world.entity(Account)
    world.start(name, INPUTS.get(name))
    world.work()
    if name == "failing":
        world.ask(Rewind(instance_id="one", reason="for the record"))
        world.work()
    if name == "race":
        world.raise_event("approval", "yes")
    if name == "asked":
        world.raise_event("verdict", "accept")
        world.advance(timedelta(minutes=10))
        world.work()
        world.raise_event("limit", {"limit": "3"})
    for _ in range(3):
        world.raise_event("add", 1)
        world.advance(timedelta(minutes=10))
    return world


def main(names: list[str]) -> None:
    """Write the history of each program named, of all where none is."""
    HISTORIES.mkdir(exist_ok=True)
    for name in names or list(PROGRAMS):
        path = HISTORIES / f"{name}-engine{ENGINE}.jsonl"
        if path.exists():
            sys.exit(f"{path} is there; golden histories are never rewritten")
        dump_history(last_execution(run(name)), path)


def last_execution(world: World) -> list[Any]:
    """Return the history events of the present execution of a world's first instance."""
    rows = world.store.history(world.record().iid, world.record().first_seq)
    return [recorded(row.event) for row in rows if row.seq]


def recorded(event: Any) -> Any:
    """Return an event without what depends on where the code stands, and when somebody asked."""
    if isinstance(event, ExecutionRewound):
        return replace(event, request_id="")
    failure = getattr(event, "failure", None)
    return event if failure is None else replace(event, failure=_plain(failure))


def _plain(failure: FailureDetails) -> FailureDetails:
    cause = None if failure.cause is None else _plain(failure.cause)
    return replace(failure, stack_trace="", cause=cause)


if __name__ == "__main__":
    main(sys.argv[1:])
