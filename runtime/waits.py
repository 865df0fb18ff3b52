"""What an instance waits for, and asks, as people are told."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .core.asked_forms import AskedForm

__all__ = ["OpenForm", "OpenTask"]


class OpenForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A form that an instance waits for somebody to fill in.

    Attributes:
        instance_id: The instance.
        orchestrator: Its orchestrator.
        name: The event that the answer raises.
        form_id: Which form.
        form: What is asked for.
        since: Since when (naive UTC).
        until: When it is closed if nobody answers; None for never.
    """

    instance_id: str
    orchestrator: str
    name: str
    form_id: str
    form: AskedForm
    since: datetime
    until: datetime | None = None


class OpenTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something an instance waits for.

    Attributes:
        kind: `"activity"`, `"timer"`, `"sub-orchestration"`, `"entity call"`, `"lock"`,
            `"external event"`, `"start"` (its time has not come) or `"resume"` (suspended).
        name: Of the activity, the child, the operation and entity, the entities, or the event.
        task_id: The action id; 0 where there is none.
        since: Since when (naive UTC); None where it is not known.
        until: When it will end by itself: a timer's time.
        state: `"queued"` or `"running"`, for an activity; `"suspended"` or `"parked"` for a
            sub-orchestration that does not go on by itself.
        hint: What is odd about it, and what to do.
    """

    kind: str
    name: str = ""
    task_id: int = 0
    since: datetime | None = None
    until: datetime | None = None
    state: str = ""
    hint: str = ""

    def __repr__(self) -> str:
        words = [self.kind, self.name, f"({self.state})" if self.state else ""]
        words.append(f"since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else "")
        words.append(f"until {self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else "")
        hint = f": {self.hint}" if self.hint else ""
        return f"<{' '.join(word for word in words if word)}{hint}>"
