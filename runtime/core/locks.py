"""Critical sections: what an orchestration may do while it holds the locks of entities.

The rules are those of Durable Entities for .NET. All of them are checked in the orchestration's
own code, so a violation raises there, at every replay alike.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self

from .entity_ids import EntityInstanceId
from .errors import LockRuleError
from .tasks import CompletableTask, Task

__all__ = ["CriticalSection", "EntityLock", "LockTask"]


class CriticalSection:
    """What an execution holds, has asked for, and may do meanwhile."""

    def __init__(self) -> None:
        self._requested: tuple[EntityInstanceId, ...] = ()
        self._held: tuple[EntityInstanceId, ...] = ()
        self._called: dict[EntityInstanceId, int] = {}
        self.lock_id = 0

    @property
    def is_inside(self) -> bool:
        """Whether locks are held."""
        return bool(self._held)

    @property
    def unreleased(self) -> tuple[EntityInstanceId, ...]:
        """The entities whose locks are held or asked for."""
        return self._held or self._requested

    def request(self, lock_id: int, entities: tuple[EntityInstanceId, ...]) -> None:
        """Take note that locks are asked for; raises where that is not allowed."""
        if not entities:
            raise LockRuleError("lock_entities needs at least one entity")
        if self._held:
            raise LockRuleError("critical sections cannot be nested: leave this one first")
        if self._requested:
            raise LockRuleError("await the locks that were asked for before asking for others")
        self._requested = entities
        self.lock_id = lock_id

    def granted(self, lock_id: int) -> None:
        """Take note that the locks are held, unless they are those of a request given up."""
        if self._requested and self.lock_id == lock_id:
            self._held, self._requested = self._requested, ()

    def release(self) -> None:
        """Take note that the locks are given back."""
        self._held, self._requested = (), ()
        self._called.clear()

    def check_call(self, entity: EntityInstanceId, task_id: int) -> None:
        """Raise where an entity may not be called now; take note of the call otherwise."""
        self._check_awaited(f"calling {entity}")
        if not self._held:
            return
        if entity not in self._held:
            raise LockRuleError(
                f"inside a critical section only locked entities may be called; {entity} is not "
                "locked: add it to lock_entities, or call it outside"
            )
        if entity in self._called:
            raise LockRuleError(
                f"inside a critical section a locked entity has one call at a time: await the "
                f"call of {entity} before the next"
            )
        self._called[entity] = task_id

    def call_ended(self, entity: EntityInstanceId, task_id: int) -> None:
        """Take note that an entity answered a call; one of an earlier section does not count."""
        if self._called.get(entity) == task_id:
            del self._called[entity]

    def check_signal(self, entity: EntityInstanceId) -> None:
        """Raise where an entity may not be signalled now."""
        if entity in self._held:
            raise LockRuleError(
                f"inside a critical section a locked entity is called, not signalled: {entity}"
            )

    def check_sub_orchestration(self) -> None:
        """Raise where no sub-orchestration may be started now."""
        self._check_awaited("starting a sub-orchestration")
        if self._held:
            raise LockRuleError("inside a critical section no sub-orchestration may be started")

    def _check_awaited(self, what: str) -> None:
        if self._requested:
            raise LockRuleError(f"await the locks that were asked for before {what}")


class EntityLock:
    """Locks that are held; leaving the `with` block gives them back."""

    def __init__(self, entities: tuple[EntityInstanceId, ...], release: Callable[[], None]) -> None:
        self.entities = entities
        self._release = release

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()


class LockTask(CompletableTask[EntityLock]):
    """The task of getting locks.

    `async with ctx.lock_entities(a, b):`, or `with (yield ctx.lock_entities([a, b])):`.
    """

    __slots__ = ("_lock",)

    def __init__(self, description: str, lock: EntityLock, task_id: int = 0) -> None:
        super().__init__(description, description, task_id)
        self._lock = lock

    def get_result(self) -> EntityLock:
        """Return the locks; errors as `Task.get_result`."""
        super().get_result()
        return self._lock

    def __await__(self) -> Generator[Task[Any], Any, EntityLock]:
        if not self.is_complete:
            yield self
        return self.get_result()

    async def __aenter__(self) -> EntityLock:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, traceback)
