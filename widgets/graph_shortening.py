"""What is drawn of a graph: runs of equal steps as one node, and of what is large both ends.

Only what is drawn is looked at, so that a step more costs the same whatever came before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from .graph_model import START, Graph, GraphEdge, GraphModel, GraphNode, edge_kind
from .graph_runs import Run, Slot, Tally
from .views import RowKind, RowState

__all__ = ["drawn_nodes", "shortened"]

_GAP = "…"
_END_LAYERS = 24


class _Kept(NamedTuple):
    """What is drawn of the layers between start and end.

    Attributes:
        slots: The layers, first to last.
        layer: The first one of what is left out.
        away: How many nodes are left out.
        steps: How many layers.
    """

    slots: list[Slot]
    layer: int = 0
    away: int = 0
    steps: int = 0


def drawn_nodes(model: GraphModel) -> int:
    """Return how many nodes there are to draw, runs told as one; start and end are not counted."""
    return model.size - model.runs.saved


def shortened(model: GraphModel, limit: int) -> Graph:
    """Return what is drawn of a graph: all of it where it has no more than `limit` nodes.

    Args:
        model: The graph.
        limit: At least 8: start, end, what is waited for, what is left out.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    header = model.timeline.header()
    ends = model.ends(header)
    kept = _choose(model, max(4, limit - 1 - len(ends)))
    units = [one for slot in kept.slots for one in slot.nodes]
    nodes = [model.start(header), *map(model.node, units)]
    if kept.away:
        words = f"{_GAP} {kept.away:,} more nodes, {kept.steps:,} steps"
        nodes.append(GraphNode(_GAP, kept.layer, RowKind.ACTIVITY, words, (0,) * len(RowState)))
    nodes.extend(node for node, _ in ends)
    nodes.sort(key=lambda node: node.layer)
    edges = _Edges(one.name for one in units)
    for unit in units:
        edges.add_unit(unit)
    if kept.away:
        edges.reach(_GAP)
    for node, parents in ends:
        for key in [edges.place(one) for one in parents] or [START]:
            edges.add(key, node.key)
    sections = dict.fromkeys(_first(one).key.section for one in units)
    sections.pop(0, None)
    frames = model.frames(sections, edges.shown)
    return Graph(header, tuple(nodes), tuple(edges.found.values()), tuple(frames))


def _choose(model: GraphModel, room: int) -> _Kept:
    """Choose what is drawn: both ends, or the first of what is too wide."""
    runs = model.runs
    if drawn_nodes(model) <= room:
        return _Kept(list(runs.walk()))
    room -= 1
    layers = len(runs) - runs.saved
    keep = min(_END_LAYERS, (layers - 1) // 2)
    first = list(islice(runs.walk(), keep + 1))
    last = list(islice(runs.walk(from_end=True), keep))
    while keep and _size(first[:keep]) + _size(last[:keep]) > room:
        keep -= 1
    if keep:
        slots = [*first[:keep], *reversed(last[:keep])]
        left_out = first[keep].layer
    else:
        slots, left_out = _fitting(runs.walk(), room)
    away = drawn_nodes(model) - _size(slots)
    return _Kept(slots, left_out, away, max(1, layers - len(slots)))


def _fitting(walk: Iterable[Slot], room: int) -> tuple[list[Slot], int]:
    """Return the first nodes that fit, and the layer of the next one."""
    slots: list[Slot] = []
    for layer, nodes in walk:
        slots.append(Slot(layer, nodes[:room]))
        room -= len(nodes)
        if room < 0:
            return slots, layer
    return slots, 0


def _size(slots: Iterable[Slot]) -> int:
    return sum(len(slot.nodes) for slot in slots)


class _Edges:
    """Collects the edges between what is shown; what is not shown is at the gap.

    Args:
        shown: Keys of the nodes that are shown.

    Attributes:
        found: By source and target.
    """

    def __init__(self, shown: Iterable[str]) -> None:
        self.shown = frozenset(shown)
        self.found: dict[tuple[str, str], GraphEdge] = {}

    def add(
        self,
        source: str,
        target: str,
        kind: str = "flow",
        is_dimmed: bool = False,
        is_strong: bool = False,
    ) -> None:
        if source != target:
            self.found[source, target] = GraphEdge(source, target, kind, is_dimmed, is_strong)

    def add_unit(self, unit: Tally | Run) -> None:
        """Add what leads to a node, and what leads from it to the gap."""
        kind, lost = edge_kind(_first(unit).key.kind), 0 < sum(unit.counts) == unit.lost
        if unit.from_start:
            self.add(START, unit.name, kind, lost, unit.won > 0)
        for parent in unit.parents:
            self.add(self.place(parent), unit.name, kind, lost, unit.won > 0)
        for child in unit.children:
            if self.place(child) == _GAP:
                self.add(unit.name, _GAP)

    def reach(self, key: str) -> None:
        """Have something lead to a node."""
        if not any(target == key for _, target in self.found):
            self.add(START, key)

    def place(self, tally: Tally) -> str:
        """Return the key of the node that a node is drawn as."""
        name = tally.run.name if tally.run.is_merged else tally.name
        return name if name in self.shown else _GAP


def _first(unit: Tally | Run) -> Tally:
    return unit.tallies[0] if isinstance(unit, Run) else unit
