"""Makes a graph small enough to draw: merges chains of equal steps, leaves out the middle."""

from __future__ import annotations

from collections.abc import Mapping

from .graph_model import Graph, GraphEdge, GraphNode
from .views import RowKind, RowState

__all__ = ["shortened"]

_CHAIN_FROM = 5
_END_LAYERS = 24


def shortened(graph: Graph, limit: int) -> Graph:
    """Return a graph with at most `limit` nodes, whole where it has no more than that.

    Args:
        graph: The graph.
        limit: At least 4: start, end, and what is left out.
    """
    graph = _merged(graph, _chains(graph))
    if len(graph.nodes) <= limit:
        return graph
    layers = sorted({node.layer for node in graph.nodes})
    keep = min(_END_LAYERS, max(1, len(layers) // 2 - 1))
    while keep > 1 and _kept(graph, layers, keep) > limit - 1:
        keep -= 1
    middle = layers[keep:-keep]
    away = {node.key: "…" for node in graph.nodes if node.layer in middle}
    if not away:
        # One layer that is too wide: its first nodes stand for it.
        away = {node.key: "…" for node in graph.nodes[limit - 2 : -1]}
    names = f"… {len(away):,} more nodes, {len(set(middle)) or 1:,} steps"
    layer = min(node.layer for node in graph.nodes if node.key in away)
    gap = GraphNode("…", layer, RowKind.ACTIVITY, names, (0,) * len(RowState))
    nodes = [node for node in graph.nodes if node.key not in away]
    nodes.append(gap)
    return _rewired(graph, sorted(nodes, key=lambda node: node.layer), away)


def _kept(graph: Graph, layers: list[int], keep: int) -> int:
    ends = {*layers[:keep], *layers[-keep:]}
    return sum(node.layer in ends for node in graph.nodes)


def _chains(graph: Graph) -> list[list[GraphNode]]:
    """Find runs of layers that hold one node each, all of one kind and name."""
    layers: dict[int, list[GraphNode]] = {}
    for node in graph.nodes:
        layers.setdefault(node.layer, []).append(node)
    chains: list[list[GraphNode]] = []
    run: list[GraphNode] = []
    for members in [*layers.values(), []]:
        only: GraphNode | None = members[0] if len(members) == 1 else None
        if run and (
            only is None
            or only.kind is None
            or (only.kind, only.name) != (run[-1].kind, run[-1].name)
        ):
            if len(run) >= _CHAIN_FROM:
                chains.append(run)
            run = []
        if only is not None and only.kind is not None and not only.key.startswith("wait:"):
            run.append(only)
    return chains


def _merged(graph: Graph, chains: list[list[GraphNode]]) -> Graph:
    away: dict[str, str] = {}
    merged: dict[str, GraphNode] = {}
    for run in chains:
        first = run[0]
        away.update({node.key: first.key for node in run[1:]})
        counts = tuple(sum(column) for column in zip(*(node.counts for node in run), strict=True))
        merged[first.key] = first._replace(
            counts=counts,
            is_chain=True,
            also=tuple(node.key for node in run[1:]),
            lost=sum(node.lost for node in run),
            attempts=sum(node.attempts for node in run),
            hint="",
            row=-1,
            due=None,
            target="",
        )
    nodes = [merged.get(node.key, node) for node in graph.nodes if node.key not in away]
    return _rewired(graph, nodes, away) if away else graph


def _rewired(graph: Graph, nodes: list[GraphNode], away: Mapping[str, str]) -> Graph:
    edges: dict[tuple[str, str], GraphEdge] = {}
    for edge in graph.edges:
        source, target = away.get(edge.source, edge.source), away.get(edge.target, edge.target)
        if source != target:
            edges[source, target] = edge._replace(source=source, target=target)
    frames = [
        frame._replace(members=tuple({away.get(one, one): None for one in frame.members}))
        for frame in graph.frames
    ]
    return Graph(graph.header, tuple(nodes), tuple(edges.values()), tuple(frames))
