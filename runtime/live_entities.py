"""What the engine keeps in memory of one entity, and in which order it takes its messages."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from .core.events import LockOwner, LockRequested, OperationRequested
from .core.records import EntityRecord

__all__ = ["Entity", "Message"]

_MAX_BATCH = 200

Message = tuple[int, OperationRequested | LockRequested]
"""A message, and the `gseq` of its inbox row."""


class Entity:
    """An entity that is in memory.

    A locked entity does only what the lock's owner asks, before everything else: that waits in a
    queue of its own, so that it is found at once however many others wait.

    Attributes:
        record: Its record, folded up to the last row.
        scheduled: Signals whose time has not come, by `gseq`.
        batch: The operations that run now; empty where none do.
        waiters: Clients that wait for an operation's answer, by `gseq`.
        last_gseq: Its newest row; it may leave memory only once that is durable.
    """

    __slots__ = (
        "_callers",
        "_others",
        "_owners",
        "batch",
        "last_gseq",
        "record",
        "scheduled",
        "waiters",
    )

    def __init__(self, record: EntityRecord) -> None:
        self.record = record
        self.scheduled: dict[int, OperationRequested] = {}
        self.batch: list[Message] = []
        self.waiters: dict[int, list[Future[Any]]] = {}
        self.last_gseq = 0
        self._others: deque[Message] = deque()
        self._owners: deque[Message] = deque()
        self._callers: Counter[tuple[str, str]] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether nothing needs it in memory."""
        return not self.batch and not self.record.is_live

    @property
    def queue(self) -> list[Message]:
        """Messages it has not consumed, in order; what a lock's owner asks comes first."""
        return [*self._owners, *self._others]

    def __len__(self) -> int:
        """How many messages it has not consumed."""
        return len(self._owners) + len(self._others)

    def __bool__(self) -> bool:
        """An entity is one, also where no message waits."""
        return True

    def put(self, message: Message) -> None:
        """Queue a message behind those that came before."""
        caller = _caller_of(message)
        if caller is not None:
            owner = self.record.locked_by
            if owner is not None and caller == (owner.instance_id, owner.execution_id):
                self._owners.append(message)
                return
            self._callers[caller] += 1
        self._others.append(message)

    def take_lock_request(self) -> tuple[int, LockRequested] | None:
        """Take the next message where that is a request for the lock, which nobody holds."""
        if self.record.locked_by is not None or not self._others:
            return None
        gseq, event = self._others[0]
        if not isinstance(event, LockRequested):
            return None
        self._others.popleft()
        return gseq, event

    def was_locked(self, owner: LockOwner) -> None:
        """Have what the new owner asked for before come first from now on."""
        caller = owner.instance_id, owner.execution_id
        if self._callers.pop(caller, 0):
            messages, self._others = self._others, deque()
            for message in messages:
                (self._owners if _caller_of(message) == caller else self._others).append(message)

    def was_released(self) -> None:
        """Have what the last owner still asks wait among the others, in its place."""
        if self._owners:
            left, self._owners = self._owners, deque()
            self._callers.update(caller for one in left if (caller := _caller_of(one)))
            self._others = deque(sorted([*left, *self._others], key=lambda message: message[0]))

    def withdraw_lock_request(self, owner: LockOwner) -> int:
        """Take an owner's request out of the queue; returns its `gseq`, 0 if there is none."""
        for position, (gseq, event) in enumerate(self._others):
            if isinstance(event, LockRequested) and event.owner == owner:
                del self._others[position]
                return gseq
        return 0

    def take_batch(self) -> list[Message]:
        """Take the operations that may run now: in order, up to the next request for the lock."""
        if self.record.locked_by is not None:
            batch = list(self._owners)
            self._owners.clear()
            return batch
        batch = []
        others = self._others
        while others and len(batch) < _MAX_BATCH and not isinstance(others[0][1], LockRequested):
            message = others.popleft()
            batch.append(message)
            caller = _caller_of(message)
            if caller is not None:
                self._callers[caller] -= 1
                if not self._callers[caller]:
                    del self._callers[caller]
        return batch

    def lock_requests(self) -> Iterable[LockRequested]:
        """Give the requests for its lock, in order."""
        return (event for _, event in self._others if isinstance(event, LockRequested))

    def find_request(self, request_id: str) -> int:
        """Return the `gseq` of a client's request that waits here; 0 if there is none."""
        waiting = [*self.batch, *self.queue, *self.scheduled.items()]
        for gseq, event in waiting:
            if isinstance(event, OperationRequested) and event.request_id == request_id:
                return gseq
        return 0


def _caller_of(message: Message) -> tuple[str, str] | None:
    """Return the instance and execution that wait for an operation's result; else None."""
    event = message[1]
    if isinstance(event, LockRequested) or event.caller is None:
        return None
    return event.caller.instance_id, event.caller.execution_id
