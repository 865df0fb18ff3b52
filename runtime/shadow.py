"""Replays the first turns of a new version at once, to see whether its code repeats them.

What replay would find after a restart, perhaps days later, is found before the first activity has
started. The second run has code of its own, which shares nothing with the first; only the first
instance of each version pays for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from .core.code import OrchestratorCode
from .core.errors import NonDeterminismError
from .core.events import ExecutionCompleted, ExecutionStarted, HistoryEvent
from .core.executor import OrchestrationExecutor
from .core.records import InstanceRecord
from .definitions import Definition, Kind
from .watchdog import TurnBlocked

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Shadow"]

_log = logging.getLogger(__name__)

_MAX_EVENTS: Final = 2_000
_CAUSE: Final = (
    "As this version is new, its first turns were replayed at once, and the code did something "
    "else: it depends on something that changes, such as the clock, random numbers, the "
    "environment, or ctx.is_replaying. Nothing of this turn was carried out. %durable check "
    "{name} says what to look at; mend it and start a new instance."
)


class _Loader(Protocol):
    def fresh(self, definition: Definition) -> OrchestratorCode: ...


class _Watched:
    """An execution whose turns are replayed: how many more, what happened so far, and the code."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.history: list[HistoryEvent] = []
        self.code: OrchestratorCode | None = None


class Shadow:
    """Watches the first instance of each version.

    Args:
        turns: How many turns of it are replayed; 0 for none.
        engine: Knows the definitions, and is told of harmless differences.
        loader: Makes the code of the second run.
    """

    def __init__(self, turns: int, engine: Engine, loader: _Loader) -> None:
        self._turns = turns
        self._engine = engine
        self._loader = loader
        self._seen: set[tuple[str, str]] = set()
        self._watched: dict[str, _Watched] = {}

    def turn(
        self, record: InstanceRecord, executor: OrchestrationExecutor, news: HistoryEvent
    ) -> Callable[[], None]:
        """Return what runs a turn of an instance, and replays it at once where that is due.

        It raises `NonDeterminismError` where the second run parts from the first.

        Args:
            record: The instance.
            executor: Its code.
            news: The message that the turn consumes.
        """
        version = record.name, record.version
        if isinstance(news, ExecutionStarted) and self._turns and version not in self._seen:
            self._seen.add(version)
            self._watched[record.execution_id] = _Watched(self._turns)
        if record.execution_id not in self._watched:
            return lambda: executor.process(news)
        return lambda: self._run_twice(record, executor, news)

    def _run_twice(
        self, record: InstanceRecord, executor: OrchestrationExecutor, news: HistoryEvent
    ) -> None:
        watched = self._watched.pop(record.execution_id)
        executor.process(news)
        watched.turns -= 1
        watched.history += [news, *executor.decisions]  # type: ignore[list-item]
        if len(watched.history) > _MAX_EVENTS:
            return
        self._replay(record, watched)
        if watched.turns and executor.completion is None:
            self._watched[record.execution_id] = watched

    def _replay(self, record: InstanceRecord, watched: _Watched) -> None:
        definition = self._engine.registry.version(Kind.ORCHESTRATOR, record.name, record.version)
        resolve = self._engine.orchestrations.resolve_for(record)
        executor = None
        watchdog = self._engine.watchdog
        try:
            watched.code = watched.code or self._loader.fresh(definition)
            executor = OrchestrationExecutor(watched.code, resolve)
            watchdog.begin(executor)
            executor.replay(watched.history)
        except NonDeterminismError as error:
            cause = _CAUSE.format(name=record.name)
            raise NonDeterminismError(
                error.instance_id, error.task_id, error.history, error.code, error.line, cause
            ) from None
        except (TurnBlocked, Exception) as error:  # noqa: BLE001
            # The first run went well, so there is nothing to hold against the instance.
            _log.info("the shadow replay of %s ended early: %r", record.instance_id, error)
            return
        finally:
            watchdog.end()
            if executor is not None:
                executor.close()
        self._tell(record, watched.history, executor)

    def _tell(
        self, record: InstanceRecord, history: list[HistoryEvent], executor: OrchestrationExecutor
    ) -> None:
        """Tell of differences that replay does not mind."""
        found = list(executor.warnings)
        ended, again = history[-1], executor.completion
        result = ended.result if isinstance(ended, ExecutionCompleted) else None
        # Only of text is it known that equal values are stored alike.
        if isinstance(result, str) and again is not None and again.result != result:
            found.append("its result becomes another")
        for what in found:
            self._engine.notice(
                f"{record.name} ({record.version[:8]}), replayed at once: {what}. "
                f"%durable check {record.name} says what to look at."
            )
