"""What all history events have in common; their kinds are in `events` and `entity_events`."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["Event", "kind_of"]


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="kind"
):
    """Base of all history events.

    Attributes:
        timestamp: When it was recorded, naive UTC; never decreases within a history.
    """

    timestamp: datetime


def kind_of(event: Event) -> str:
    """Return the name of an event's kind, as histories show it, e.g. `"TaskScheduled"`."""
    return type(event).__name__
