"""Views of orchestrations: live timelines, and what stands in for them without a kernel.

Importing this package imports no widget library; `Timeline` does when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .static_render import static_html
from .text import text
from .view_models import TimelineModel

if TYPE_CHECKING:
    from .timeline import Timeline

__all__ = ["Timeline", "TimelineModel", "static_html", "text"]


def __getattr__(name: str) -> Any:
    if name == "Timeline":
        from .timeline import Timeline

        return Timeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
