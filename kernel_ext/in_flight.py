"""What can be done with instances in flight when code has changed: adopt, migrate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.handles import InstanceHandle
from ipydurable.runtime.ports import InstanceQuery
from ipydurable.runtime.requests import Adopted, Migrated

from .display import FONT, Line

__all__ = ["Moves", "adopted_line", "ids_of", "migrate_all", "moved_line"]

_IN_FLIGHT = (RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED)
_SHOWN = 10


class Moves:
    """What came of moving several instances to another version.

    Attributes:
        moved: Those that were moved.
        stayed: Why others stay as they are, by instance id.
    """

    def __init__(self, moved: Sequence[Migrated], stayed: dict[str, DurableError]) -> None:
        self.moved = list(moved)
        self.stayed = stayed

    def __repr__(self) -> str:
        return "\n".join([self._heading, *(f"  {line}" for line in self._lines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<div style="padding-left:1.2em">{escape(line)}</div>' for line in self._lines()
        )
        return f'<div style="{FONT}">{escape(self._heading)}{rows}</div>'

    @property
    def _heading(self) -> str:
        if not self.moved and not self.stayed:
            return "nothing in flight to be moved"
        parts = []
        if self.moved:
            parts.append(f"{_count(len(self.moved))} moved to v{self.moved[0].number}")
        if self.stayed:
            parts.append(f"{_count(len(self.stayed))} stay{_s(len(self.stayed))} as before")
        return " · ".join(parts)

    def _lines(self) -> list[str]:
        lines = [str(error) for error in list(self.stayed.values())[:_SHOWN]]
        if len(self.stayed) > _SHOWN:
            lines.append(f"... and {len(self.stayed) - _SHOWN} more")
        return lines


def migrate_all(
    client: DurableClient, name: str, to: int | str | None, instance_ids: Iterable[str] = ()
) -> Moves:
    """Move instances of an orchestrator, one by one, as far as their histories fit.

    Args:
        client: Asked to do it.
        name: The orchestrator.
        to: Number or beginning of the content hash of the version; None for the newest.
        instance_ids: Which; none means all in flight.
    """
    chosen = list(instance_ids)
    if not chosen:
        found = client.query(InstanceQuery(name=name, status=_IN_FLIGHT))
        chosen = [one.instance_id for one in found]
    moved: list[Migrated] = []
    stayed: dict[str, DurableError] = {}
    for instance_id in chosen:
        try:
            moved.append(client.migrate(instance_id, to))
        except DurableError as error:
            stayed[instance_id] = error
    return Moves(moved, stayed)


def ids_of(runs: Iterable[InstanceHandle | str]) -> list[str]:
    """Return the ids of instances that are given as handles or ids."""
    return [run if isinstance(run, str) else run.instance_id for run in runs]


def adopted_line(adopted: Adopted) -> Line:
    """Return what is said of instances that take a version of an activity."""
    return Line(detail=repr(adopted))


def moved_line(moved: Migrated) -> Line:
    """Return what is said of an instance that was moved."""
    detail = f"moved from {moved.name} v{moved.before} to v{moved.number}"
    if moved.status is RuntimeStatus.SUSPENDED:
        detail += f" · it is suspended: %durable resume {moved.instance_id}"
    return Line("instance", moved.instance_id, detail, moved.warnings)


def _count(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"


def _s(count: int) -> str:
    return "s" if count == 1 else ""
