"""Runs batches of entity operations off the engine's thread."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from .codecs import NamespaceConverter
from .core.entities import (
    EntityBatchResult,
    EntityCode,
    Operation,
    OperationResult,
    execute_batch,
)
from .core.entity_ids import EntityInstanceId
from .core.errors import DefinitionError, DurableError, DurableInternalError
from .core.failure import FailureDetails
from .core.payload import Payload
from .definitions import Definition
from .entity_threads import GrowingThreads
from .files import ValueFiles
from .namespace import build_namespace
from .stubs import Stub

__all__ = [
    "EntityJob",
    "EntityRunner",
    "ThreadEntityRunner",
    "failed_batch",
    "load_entity",
    "run_without_loop",
]

_FEW_THREADS = 32
_MOST_THREADS = 2_000


class EntityJob(NamedTuple):
    """A batch of operations of one entity.

    Attributes:
        entity_id: Which entity.
        definition: Its newest code.
        state: Its encoded state; None where there is none.
        operations: What to do, in order.
    """

    entity_id: EntityInstanceId
    definition: Definition
    state: Payload | None
    operations: list[Operation]


class EntityRunner(Protocol):
    """Runs jobs; different entities side by side."""

    def submit(self, job: EntityJob, done: Callable[[EntityBatchResult], None]) -> None:
        """Run a job soon; `done` is called once, from any thread."""
        ...

    def close(self) -> None:
        """Run no more."""
        ...


class ThreadEntityRunner:
    """Runs jobs in threads; one that takes long delays no other.

    Args:
        files: Where large frames and arrays are kept; None for no such place.
    """

    def __init__(self, files: ValueFiles | None = None) -> None:
        self._files = files
        self._threads = GrowingThreads(_FEW_THREADS, _MOST_THREADS)
        self._loaded: dict[tuple[str, str], EntityCode] = {}
        self._lock = threading.Lock()

    def submit(self, job: EntityJob, done: Callable[[EntityBatchResult], None]) -> None:
        """Run a job in one of the threads."""
        self._threads.submit(lambda: done(self._run(job)))

    def close(self) -> None:
        """Let running operations end on their own, and run no more."""
        self._threads.close()

    def _run(self, job: EntityJob) -> EntityBatchResult:
        try:
            code = self._load(job.definition)
        except DurableError as error:
            return failed_batch(job.state, len(job.operations), error)
        batch = execute_batch(
            code, job.entity_id, job.state, job.operations, _now, lambda: secrets.token_hex(6)
        )
        if code.is_async:
            with asyncio.Runner() as runner:
                return runner.run(batch)
        return run_without_loop(batch)

    def _load(self, definition: Definition) -> EntityCode:
        key = (definition.name, definition.version)
        with self._lock:
            code = self._loaded.get(key)
            if code is None:
                code = self._loaded[key] = load_entity(definition, self._files)
            return code


def load_entity(definition: Definition, files: ValueFiles | None = None) -> EntityCode:
    """Return the code of an entity version.

    Args:
        definition: The version.
        files: Where large frames and arrays are kept.

    Raises:
        DefinitionError: Its source cannot be executed here; says why.
    """
    try:
        namespace = build_namespace(definition.package, Stub)
        found = namespace[definition.package.entry]
    except DurableError:
        raise
    except Exception as error:
        raise DefinitionError(
            f"the code of {definition.name} cannot be executed in the host: "
            f"{type(error).__name__}: {error}"
        ) from error
    return EntityCode(found, NamespaceConverter(namespace, files=files), namespace)


def run_without_loop(batch: Coroutine[Any, Any, EntityBatchResult]) -> EntityBatchResult:
    """Run a batch none of whose operations waits: an event loop would cost more than they do."""
    try:
        batch.send(None)
    except StopIteration as stop:
        result: EntityBatchResult = stop.value
        return result
    batch.close()
    raise DurableInternalError("an operation that is no async def suspended")


def failed_batch(state: Payload | None, operations: int, error: BaseException) -> EntityBatchResult:
    """Return what comes of a batch none of whose operations could be begun.

    Args:
        state: The entity's state, which stays.
        operations: How many there were.
        error: Why.
    """
    result = OperationResult(failure=FailureDetails.from_exception(error), started_at=_now())
    return EntityBatchResult(state=state, results=[result] * operations)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
