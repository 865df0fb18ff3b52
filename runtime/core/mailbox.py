"""External events of an execution: buffered until taken, first come first served."""

from __future__ import annotations

from collections import deque

from .events import EventRaised
from .tasks import CancellableTask

__all__ = ["Mailbox"]


class Mailbox:
    """Matches raised events with waiters, by name without regard to case, both in FIFO order."""

    def __init__(self) -> None:
        self._events: list[EventRaised] = []
        self._waiters: dict[str, deque[CancellableTask[object]]] = {}
        self._names: dict[str, str] = {}

    def put(self, event: EventRaised) -> CancellableTask[object] | None:
        """Return the waiter that gets `event`; None where nobody waits and it is kept."""
        waiters = self._waiters.get(event.name.casefold())
        if waiters:
            return waiters.popleft()
        self._events.append(event)
        return None

    def take(self, name: str, task: CancellableTask[object]) -> EventRaised | None:
        """Return the oldest kept event of that name; if there is none, `task` waits for one."""
        wanted = name.casefold()
        for position, event in enumerate(self._events):
            if event.name.casefold() == wanted:
                return self._events.pop(position)
        self._waiters.setdefault(wanted, deque()).append(task)
        self._names[wanted] = name
        return None

    def withdraw(self, name: str, task: CancellableTask[object]) -> None:
        """Have `task` wait no longer."""
        waiters = self._waiters.get(name.casefold())
        if waiters and task in waiters:
            waiters.remove(task)

    def untaken(self) -> list[EventRaised]:
        """Return the kept events in the order they arrived."""
        return list(self._events)

    @property
    def lost(self) -> tuple[str, ...]:
        """Names whose next event goes to a wait that lost a `when_any` and was not cancelled."""
        return tuple(
            self._names[name]
            for name, waiters in self._waiters.items()
            if waiters and waiters[0].has_lost
        )

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names somebody waits for."""
        return tuple(self._names[name] for name, waiters in self._waiters.items() if waiters)
