"""External events of an execution: buffered until taken, first come first served."""

from __future__ import annotations

from datetime import datetime

from .events import EventRaised
from .tasks import CancellableTask

__all__ = ["Mailbox"]


class Mailbox:
    """Matches raised events with waiters, by name without regard to case, both in FIFO order."""

    def __init__(self) -> None:
        self._events: list[EventRaised] = []
        self._waiters: dict[str, list[CancellableTask[object]]] = {}
        self._names: dict[str, str] = {}
        self._since: dict[CancellableTask[object], datetime] = {}

    def put(self, event: EventRaised) -> CancellableTask[object] | None:
        """Return the waiter that gets `event`; None where nobody waits and it is kept."""
        waiters = self._waiters.get(event.name.casefold())
        if waiters:
            taker = waiters.pop(0)
            del self._since[taker]
            return taker
        self._events.append(event)
        return None

    def take(self, name: str, task: CancellableTask[object], now: datetime) -> EventRaised | None:
        """Return the oldest kept event of that name; if there is none, `task` waits from now on."""
        wanted = name.casefold()
        for position, event in enumerate(self._events):
            if event.name.casefold() == wanted:
                return self._events.pop(position)
        self._waiters.setdefault(wanted, []).append(task)
        self._names[wanted] = name
        self._since[task] = now
        return None

    def withdraw(self, name: str, task: CancellableTask[object]) -> None:
        """Have `task` wait no longer."""
        waiters = self._waiters.get(name.casefold())
        if waiters and task in waiters:
            waiters.remove(task)
            del self._since[task]

    def let_go(self) -> None:
        """Forget all waiters; for an execution that has ended."""
        for task in self._since:
            task.let_go()
        self._waiters.clear()
        self._since.clear()

    def untaken(self) -> list[EventRaised]:
        """Return the kept events in the order they arrived."""
        return list(self._events)

    @property
    def lost(self) -> tuple[str, ...]:
        """Names whose next event goes to a wait that lost a `when_any` and was not cancelled."""
        if not self._since:
            return ()
        return tuple(
            self._names[name]
            for name, waiters in self._waiters.items()
            if waiters and waiters[0].has_lost
        )

    @property
    def awaited(self) -> dict[str, datetime]:
        """Names somebody waits for, and since when (naive UTC)."""
        if not self._since:
            return {}
        return {
            self._names[name]: self._since[waiters[0]]
            for name, waiters in self._waiters.items()
            if waiters
        }
