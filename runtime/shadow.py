"""Replays the first turns of a new version at once, to see whether its code repeats them.

What replay would find after a restart, perhaps days later, is found before the first activity has
started. The second run has code of its own, which shares nothing with the first; only the first
instance of each version pays for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from .core.code import OrchestratorCode
from .core.errors import NonDeterminismError
from .core.events import Event, ExecutionCompleted, ExecutionStarted, HistoryEvent
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
        self._histories: dict[str, list[HistoryEvent]] = {}
        self._left: dict[str, int] = {}

    def difference(
        self, record: InstanceRecord, news: HistoryEvent, decisions: Sequence[Event]
    ) -> NonDeterminismError | None:
        """Return where a second run of the turns so far parts from the first.

        Args:
            record: The instance.
            news: The message that the present turn consumed.
            decisions: What the code asked for.

        Returns:
            None where it did the same, or is not looked at.
        """
        execution = record.execution_id
        version = record.name, record.version
        if isinstance(news, ExecutionStarted) and self._turns and version not in self._seen:
            self._seen.add(version)
            self._histories[execution] = []
            self._left[execution] = self._turns
        history = self._histories.get(execution)
        if history is None:
            return None
        history += [news, *decisions]  # type: ignore[list-item]
        self._left[execution] -= 1
        is_over = any(isinstance(one, ExecutionCompleted) for one in decisions)
        is_long = len(history) > _MAX_EVENTS
        found = None if is_long else self._replay(record, history)
        if found is not None or is_over or is_long or not self._left[execution]:
            del self._histories[execution], self._left[execution]
        return found

    def _replay(
        self, record: InstanceRecord, history: list[HistoryEvent]
    ) -> NonDeterminismError | None:
        definition = self._engine.registry.version(Kind.ORCHESTRATOR, record.name, record.version)
        resolve = self._engine.orchestrations.resolve_for(record)
        executor = None
        watchdog = self._engine.watchdog
        try:
            executor = OrchestrationExecutor(self._loader.fresh(definition), resolve)
            watchdog.begin(executor)
            executor.replay(history)
        except NonDeterminismError as error:
            cause = _CAUSE.format(name=record.name)
            return NonDeterminismError(
                error.instance_id, error.task_id, error.history, error.code, error.line, cause
            )
        except (TurnBlocked, Exception) as error:  # noqa: BLE001
            # The first run went well, so there is nothing to hold against the instance.
            _log.info("the shadow replay of %s ended early: %r", record.instance_id, error)
            return None
        finally:
            watchdog.end()
            if executor is not None:
                executor.close()
        self._tell(record, history, executor)
        return None

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
