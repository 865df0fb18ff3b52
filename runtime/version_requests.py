"""What clients can ask about versions in flight, and what they are told."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .core.status import RuntimeStatus
from .definitions import Kind
from .read_requests import BaseRequest

__all__ = ["Adopt", "Adopted", "CountInFlight", "Migrate", "Migrated"]


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """Who took a version of an activity.

    Attributes:
        name: The activity.
        number: The number of the version.
        instance_ids: The instances that take it from their next attempt on.
    """

    name: str
    number: int
    instance_ids: list[str]

    def __repr__(self) -> str:
        count = len(self.instance_ids)
        what = "1 instance takes" if count == 1 else f"{count} instances take"
        if not count:
            return f"nothing in flight runs another version of {self.name} than v{self.number}"
        return f"{what} {self.name} v{self.number} from the next attempt on"


class Migrated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an instance was moved to.

    Attributes:
        instance_id: The instance.
        name: Its orchestrator.
        number: The number of the version it runs now.
        version: Content hash of that.
        before: The number of the version it ran.
        status: Its status now.
        warnings: Harmless differences from its history, one sentence each.
    """

    instance_id: str
    name: str
    number: int
    version: str
    before: int
    status: RuntimeStatus
    warnings: list[str] = []

    def __repr__(self) -> str:
        moved = f"{self.instance_id} moved from {self.name} v{self.before} to v{self.number}"
        return "; ".join([moved, *self.warnings])


class Adopt(BaseRequest, frozen=True, kw_only=True):
    """Have instances in flight take another version of an activity, from their next attempt on.

    Attributes:
        name: The activity.
        version: Content hash of the version to take; empty for the newest.
        instance_ids: Which instances, with their sub-orchestrations; empty for all in flight that
            would run another version of it.
        repeated: Whether an earlier host was asked already: it may have done so.
    """

    answer_type: ClassVar[Any] = Adopted
    name: str
    version: str = ""
    instance_ids: list[str] = []  # noqa: RUF012  (msgspec copies it)
    repeated: bool = False


class Migrate(BaseRequest, frozen=True, kw_only=True):
    """Move an instance in flight to another version of its orchestrator.

    Attributes:
        instance_id: Which.
        to: Number or beginning of the content hash of the version; None for the newest.
        repeated: Whether an earlier host was asked already: it may have done so.
    """

    answer_type: ClassVar[Any] = Migrated
    instance_id: str
    to: int | str | None = None
    repeated: bool = False


class CountInFlight(BaseRequest, frozen=True, kw_only=True):
    """Ask how many instances in flight are on which version of a name, by its number.

    An instance is on a version of an activity if its code may still call that.
    """

    answer_type: ClassVar[Any] = dict[int, int]
    kind: Kind
    name: str
