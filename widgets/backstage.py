"""What the views of an instance ask of the host when somebody clicks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import InstanceUpdate

from .live import Command
from .view_models import TimelineModel
from .views import RowDetail, RowKind

__all__ = ["Backstage", "more_of"]


class Backstage(Protocol):
    """What the views of an instance ask of the host when somebody clicks."""

    def commands(self) -> Mapping[str, Command]:
        """Return what its buttons do, by name."""
        ...

    def follow(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Have `tell` told of another instance; returns how to end it."""
        ...

    def execution(self, generation: int) -> InstanceUpdate:
        """Return an earlier execution of the instance."""
        ...

    def more(
        self,
        kind: str,
        name: str,
        version: str,
        target: str,
        instance_id: str,
        attempts: Sequence[tuple[int, int]],
    ) -> dict[str, Any]:
        """Return what else is known of a row."""
        ...


def more_of(backstage: Backstage, model: TimelineModel | None, index: int) -> dict[str, Any]:
    """Return what the host knows of a row besides its history.

    Args:
        backstage: Asks the host.
        model: The rows; None where they are not shown any more.
        index: The row.

    Raises:
        DurableError: There is no such row.
    """
    found = None if model is None else model.detail(index)
    if model is None or found is None or model.record is None:
        raise DurableError("This row is not shown any more.")
    return backstage.more(
        kind=found.kind,
        name=found.name,
        version=found.version,
        target=found.target if found.kind is not RowKind.ORCHESTRATION else "",
        instance_id=model.record.instance_id,
        attempts=_numbered(found),
    )


def _numbered(detail: RowDetail) -> list[tuple[int, int]]:
    """Return action id and number of each attempt; a lost one keeps its id for the next."""
    seen: dict[int, int] = {}
    numbered = []
    for attempt in detail.attempts:
        seen[attempt.task_id] = seen.get(attempt.task_id, 0) + 1
        numbered.append((attempt.task_id, seen[attempt.task_id]))
    return numbered
