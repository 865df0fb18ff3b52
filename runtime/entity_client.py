"""The part of the client that is about entities."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime
from typing import Any

from .client_base import ClientBase, as_utc
from .core.context import NO_INPUT
from .core.entity_ids import check_operation_name, entity_id_of
from .core.errors import EntityCallError, WaitTimeoutError
from .core.events import OperationDone
from .core.records import EntityRecord
from .ports import EntityQuery
from .requests import (
    CallEntity,
    CleanEntities,
    GetEntity,
    ListLocks,
    LockInfo,
    QueryEntities,
    Signal,
    SignalMany,
)

__all__ = ["EntityClient"]


class EntityClient(ClientBase):
    """Calls, signals and lists entities."""

    def call_entity(
        self,
        entity: Any,
        operation: str,
        input: Any = NO_INPUT,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Have an entity do an operation, and return its result.

        Args:
            entity: An `EntityInstanceId`, its text, or a handle.
            operation: The operation's name.
            input: Its argument; leave out for none.
            timeout_s: Seconds to wait at most; None for no limit. It is done all the same.

        Raises:
            EntityCallError: The operation failed; carries the failure.
            UnknownDefinitionError: There is no such entity definition.
            WaitTimeoutError: It was not done by then.
        """
        future = self.entity_call(entity, operation, input)
        try:
            return self.call_outcome(entity, future.result(timeout_s))
        except FutureTimeoutError:
            what = f"{operation} on {entity_id_of(entity)}"
            raise WaitTimeoutError(what, timeout_s or 0.0) from None

    def entity_call(
        self, entity: Any, operation: str, input: Any = NO_INPUT
    ) -> Future[OperationDone]:
        """Return the future of what comes of an operation; see `call_outcome`."""
        return self.transport.request(
            CallEntity(
                entity_id=str(entity_id_of(entity)),
                operation=check_operation_name(operation),
                input=self.encode(input, f"input of {operation}"),
                request_id=secrets.token_hex(8),
            )
        )

    def call_outcome(self, entity: Any, done: OperationDone) -> Any:
        """Return the result of an operation, or raise why it failed."""
        if done.failure is not None:
            raise EntityCallError(str(entity_id_of(entity)), done.operation, done.failure)
        return self.decode(done.result)

    def signal_entity(
        self,
        entity: Any,
        operation: str,
        input: Any = NO_INPUT,
        *,
        signal_time: datetime | None = None,
    ) -> None:
        """Have an entity do an operation; returns once the signal is durable.

        Args:
            entity: An `EntityInstanceId`, its text, or a handle.
            operation: The operation's name.
            input: Its argument; leave out for none.
            signal_time: When to deliver it (naive means UTC); by default at once.
        """
        signal = self._signal(entity, operation, input, signal_time)
        self._ask(SignalMany(signals=[signal]))

    def signal_many(self, operation: str, inputs: Iterable[tuple[Any, Any]]) -> None:
        """Have entities do an operation, all or none in one commit, in the order given.

        Args:
            operation: The operation's name.
            inputs: An entity (an `EntityInstanceId`, its text, or a handle) and its input, each
                time; NO_INPUT for none. An entity may come several times.
        """
        self._ask(
            SignalMany(signals=[self._signal(one, operation, value) for one, value in inputs])
        )

    def _signal(
        self, entity: Any, operation: str, input: Any, signal_time: datetime | None = None
    ) -> Signal:
        return Signal(
            entity_id=str(entity_id_of(entity)),
            operation=check_operation_name(operation),
            input=self.encode(input, f"input of {operation}"),
            scheduled_at=as_utc(signal_time),
            request_id=secrets.token_hex(8),
        )

    def get_entity(self, entity: Any) -> EntityRecord | None:
        """Return an entity's record; None where nothing ever reached it."""
        answer: EntityRecord | None = self._ask(GetEntity(entity_id=str(entity_id_of(entity))))
        return answer

    def query_entities(self, query: EntityQuery) -> list[EntityRecord]:
        """Return the records of the entities that match, newest first."""
        answer: list[EntityRecord] = self._ask(QueryEntities(query=query))
        return answer

    def clean_entities(self) -> int:
        """Delete entities that have no state and nothing to do; returns how many."""
        answer: int = self._ask(CleanEntities())
        return answer

    def locks(self) -> list[LockInfo]:
        """Return all locks that are held or asked for, with owner, age and queue."""
        answer: list[LockInfo] = self._ask(ListLocks())
        return answer
