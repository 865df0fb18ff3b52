"""Views of orchestrations: live timelines, and what stands in for them without a kernel.

Importing this package imports no widget library; the live views do when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .entity_model import EntityModel
from .entity_static import entity_html, entity_text
from .graph_model import GraphModel
from .graph_static import graph_html, graph_text
from .static_render import static_html
from .text import text
from .view_models import TimelineModel

if TYPE_CHECKING:
    from .entity_card import EntityCard
    from .graph import Graph
    from .timeline import Timeline

__all__ = [
    "EntityCard",
    "EntityModel",
    "Graph",
    "GraphModel",
    "Timeline",
    "TimelineModel",
    "entity_html",
    "entity_text",
    "graph_html",
    "graph_text",
    "static_html",
    "text",
]


def __getattr__(name: str) -> Any:
    if name == "Timeline":
        from .timeline import Timeline

        return Timeline
    if name == "Graph":
        from .graph import Graph

        return Graph
    if name == "EntityCard":
        from .entity_card import EntityCard

        return EntityCard
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
