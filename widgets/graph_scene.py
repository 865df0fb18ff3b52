"""What a graph that was laid out is made of: boxes and links at their places."""

from __future__ import annotations

import msgspec

__all__ = ["Box", "Link", "Scene"]


class Box(msgspec.Struct, array_like=True, frozen=True):
    """Something drawn at a place; travels to the browser as a JSON array in this order.

    Attributes:
        key: Names it for as long as the graph lasts.
        shape: `"pill"` (start, end), `"node"`, `"entity"`, `"wait"` (timers, events, locks),
            `"cell"` (one of an opened node), `"group"` (an opened node, or a child), `"frame"`
            (a critical section), `"gap"` (what is left out).
        x: Left edge, in pixels.
        y: Upper edge.
        width: Its width.
        height: Its height.
        state: Its `RowState`; -1 for none.
        title: Its first line.
        line: Its second line.
        counts: Operations by state, where it stands for several.
        tip: What is said about it when the pointer rests there.
        index: Its row in the timeline; -1 for none.
        opens: What asking for its contents opens, or closes; empty for nothing.
        is_open: Whether they are shown.
        is_dimmed: Whether it lost a race, or was given up at the end.
        path: Instance id of the child it belongs to; empty for the graph's own.
        kind: The `RowKind` it stands for, or empty.
        depth: In how many sub-orchestrations it stands.
        asks: The event whose form is to be filled in; empty for none.
    """

    key: str
    shape: str
    x: float
    y: float
    width: float
    height: float
    state: int = -1
    title: str = ""
    line: str = ""
    counts: tuple[int, ...] = ()
    tip: str = ""
    index: int = -1
    opens: str = ""
    is_open: bool = False
    is_dimmed: bool = False
    path: str = ""
    kind: str = ""
    depth: int = 0
    asks: str = ""


class Link(msgspec.Struct, array_like=True, frozen=True):
    """An edge, as the path of an SVG; `kind` as in `GraphEdge`, `depth` as in `Box`."""

    key: str
    path: str
    kind: str
    is_dimmed: bool
    depth: int = 0
    is_strong: bool = False


class Scene(msgspec.Struct, frozen=True):
    """A graph laid out: frames and groups come before what stands in them.

    What is drawn first, from one depth to the next: edges, frames, groups (which hide the edges
    that pass behind them); and above all of that everything else.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
