"""Where the nodes of a graph go: layers from top to bottom, wide ones wrapped into a block. Pure.

A graph of durable functions is layered by construction, so that no general layout is needed. A long
chain of single steps of one name is drawn as one node, and of a graph that is still too large the
middle is left out: at most `MAX_NODES` nodes are drawn unless more are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from .graph_boxes import CELL_SIZE, NODE_SIZE, Drawn, group_line
from .graph_model import Graph, GraphEdge, GraphFrame, GraphModel, GraphNode
from .graph_scene import Box, Link, Scene
from .graph_shortening import shortened
from .views import shorten

__all__ = ["MAX_NODES", "lay_out"]

MAX_NODES = 200
"""Nodes drawn at most, unless more are asked for."""
_PER_ROW = 4
_NODE_WIDTH = NODE_SIZE[0]
_CELL_WIDTH, _CELL_HEIGHT = CELL_SIZE
_GAP_X, _GAP_Y, _LAYER_GAP, _CELL_GAP, _PAD, _TITLE = 28, 16, 44, 6, 14, 24
# Below a frame's title there is room for the tips of edges that lead into it.
_FRAME_TITLE = 36
_CHAR_WIDTH, _TITLE_ROOM = 6.3, 36
_CELLS_PER_ROW = 6
_MAX_DEPTH = 4


def lay_out(
    model: GraphModel,
    opened: Collection[str] = (),
    children: Mapping[str, GraphModel] | None = None,
    limit: int = MAX_NODES,
    drawn: Drawn | None = None,
) -> Scene:
    """Return where everything is drawn.

    Args:
        model: What to draw.
        opened: Keys (`Box.opens`) of the nodes whose operations, or child, are shown.
        children: Models of the sub-orchestrations, by instance id; those not known yet are not
            shown.
        limit: How many nodes to draw at most, start and end included.
        drawn: What was drawn before, so that it stays where it was and is not made again; brought
            up to date.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    drawn = drawn or Drawn()
    drawn.begin()
    layout = _Layout(opened, children or {}, limit, drawn)
    width, height, boxes, links = layout.graph(model, "", 0)
    return Scene(width, height, tuple(boxes), tuple(links))


class _Part:
    """A node, laid out at the origin, with what is shown inside it, laid out at its inset."""

    def __init__(
        self,
        key: str,
        box: Box,
        inner: Sequence[Box] = (),
        links: Sequence[Link] = (),
        inset: tuple[float, float] = (0, 0),
    ) -> None:
        self.key = key
        self.box = box
        self.inner = inner
        self.links = links
        self.inset = inset


class _Layout:
    def __init__(
        self,
        opened: Collection[str],
        children: Mapping[str, GraphModel],
        limit: int,
        drawn: Drawn,
    ) -> None:
        self._opened = opened
        self._children = children
        self._left = limit
        self._drawn = drawn

    def graph(
        self, model: GraphModel, path: str, depth: int
    ) -> tuple[float, float, list[Box], Sequence[Link]]:
        graph = shortened(model, max(8, self._left))
        self._left -= len(graph.nodes)
        layers: dict[int, list[_Part]] = {}
        for node in graph.nodes:
            layers.setdefault(node.layer, []).append(self._part(node, model, path, depth))
        return _stack(graph, list(layers.values()), path, depth)

    def _part(self, node: GraphNode, model: GraphModel, path: str, depth: int) -> _Part:
        box = self._drawn.node(node, path, model)
        if not box.opens or box.opens not in self._opened:
            return _Part(node.key, box)
        group = replace(box, line=group_line(node, model), depth=depth)
        child = self._children.get(node.target) if node.target else None
        if child is not None and child.timeline.record is not None and depth < _MAX_DEPTH:
            width, height, boxes, links = self.graph(child, node.target, depth + 1)
            return _group(node.key, group, width, height, boxes, links)
        if node.total > 1:
            return self._cells(group, node, model)
        return _Part(node.key, box)

    def _cells(self, box: Box, node: GraphNode, model: GraphModel) -> _Part:
        shown = max(1, min(node.total, self._left))
        self._left -= shown
        boxes = []
        rows = {row.index: row for row in model.members(node.key, shown)}
        places = self._drawn.places
        order = places[box.key] = _in_place(places.get(box.key, []), rows)
        for place, index in enumerate(order):
            line, column = divmod(place, _CELLS_PER_ROW)
            x, y = column * (_CELL_WIDTH + _CELL_GAP), line * (_CELL_HEIGHT + _CELL_GAP)
            boxes.append(self._drawn.cell(node, rows[index], box, model, (x, y)))
        columns = min(_CELLS_PER_ROW, shown)
        lines = -(-shown // _CELLS_PER_ROW)
        width = max(columns * (_CELL_WIDTH + _CELL_GAP) - _CELL_GAP, _NODE_WIDTH)
        height = lines * (_CELL_HEIGHT + _CELL_GAP) - _CELL_GAP
        if shown < node.total:
            more = f"and {node.total - shown:,} more, see the timeline"
            boxes.append(Box(f"{box.key}#more", "gap", 0, height + 4, width, 18, title=more))
            height += 22
        return _group(node.key, box, width, height, boxes, [])


def _in_place(before: list[int], shown: Collection[int]) -> list[int]:
    """Return what is shown in an order in which as much as can stands where it stood before."""
    known = set(before)
    new = iter([index for index in shown if index not in known])
    kept = [index if index in shown else next(new, None) for index in before]
    return [index for index in (*kept, *new) if index is not None]


def _group(
    key: str, box: Box, width: float, height: float, boxes: list[Box], links: Sequence[Link]
) -> _Part:
    room = max(0, int((width + 2 * _PAD - _TITLE_ROOM) / _CHAR_WIDTH) - len(box.title) - 3)
    outer = replace(
        box,
        shape="group",
        line=shorten(box.line, room) if room else "",
        width=width + 2 * _PAD,
        height=height + _TITLE + 2 * _PAD - 6,
        is_open=True,
    )
    return _Part(key, outer, boxes, links, (_PAD, _TITLE + _PAD - 6))


def _stack(
    graph: Graph, layers: list[list[_Part]], path: str, depth: int
) -> tuple[float, float, list[Box], Sequence[Link]]:
    """Put layers below each other, wrapped and centred; frames around critical sections."""
    lines: list[list[_Part]] = []
    gaps: list[int] = []
    section = {key: frame.key for frame in graph.frames for key in frame.members}
    before: set[str] = set()
    for layer in layers:
        # What stands in one frame stands side by side.
        layer.sort(key=lambda part: section.get(part.key, ""))
        inside = {section.get(part.key, "") for part in layer}
        room = _FRAME_TITLE if (inside | before) - {""} and inside != before else 0
        for number, line in enumerate(_wrapped(layer)):
            lines.append(line)
            gaps.append(_GAP_Y if number else _LAYER_GAP + room)
        before = inside
    width = max(_line_width(line) for line in lines)
    boxes: list[Box] = []
    links: list[Link] = []
    placed: dict[str, Box] = {}
    y = 0.0
    for number, line in enumerate(lines):
        y += gaps[number] if number else 0
        x = (width - _line_width(line)) / 2
        height = max(part.box.height for part in line)
        for part in line:
            at_y = y + (height - part.box.height) / 2
            outer = _moved(part.box, x, at_y)
            placed[part.key] = outer
            boxes.append(outer)
            dx, dy = x + part.inset[0], at_y + part.inset[1]
            boxes.extend([_moved(one, dx, dy) for one in part.inner])
            links.extend(_shifted(part.links, dx, dy))
            x += part.box.width + _GAP_X
        y += height
    frames = [found for frame in graph.frames if (found := _frame(frame, placed, path, depth))]
    links.extend(
        _link(edge, placed, path, depth)
        for edge in graph.edges
        if edge.source in placed and edge.target in placed
    )
    left = min([0.0, *(frame.x for frame in frames)])
    right = max([width, *(frame.x + frame.width for frame in frames)])
    everything = [*frames, *boxes]
    if left:
        everything = [_moved(one, -left, 0) for one in everything]
    return right - left, y, everything, _shifted(links, -left, 0)


def _wrapped(layer: list[_Part]) -> list[list[_Part]]:
    lines: list[list[_Part]] = [[]]
    room = _PER_ROW * (_NODE_WIDTH + _GAP_X)
    for part in layer:
        if lines[-1] and _line_width([*lines[-1], part]) > room:
            lines.append([])
        lines[-1].append(part)
    return lines


def _line_width(line: list[_Part]) -> float:
    return sum(part.box.width for part in line) + _GAP_X * (len(line) - 1)


def _frame(frame: GraphFrame, placed: Mapping[str, Box], path: str, depth: int) -> Box | None:
    key, title, members = frame
    inside = [placed[one] for one in members if one in placed]
    if not inside:
        return None
    x, y = min(one.x for one in inside) - _PAD, min(one.y for one in inside) - _FRAME_TITLE
    right = max(one.x + one.width for one in inside) + _PAD
    bottom = max(one.y + one.height for one in inside) + _PAD
    words = f"locked: {title}"
    right = max(right, x + round(6.4 * min(len(words), 44)) + 34)
    return Box(
        f"{path}/{key}",
        "frame",
        x,
        y,
        right - x,
        bottom - y,
        title=shorten(words, 44),
        tip=words,
        path=path,
        depth=depth,
    )


def _link(edge: GraphEdge, placed: Mapping[str, Box], path: str, depth: int) -> Link:
    a, b = placed[edge.source], placed[edge.target]
    x0, y0 = a.x + a.width / 2, a.y + a.height
    if edge.kind == "call":
        # It comes back: room for the tip at its start.
        y0 += 3
    x1, y1 = b.x + b.width / 2, b.y - (0 if b.y <= y0 else 3)
    bend = max(14.0, (y1 - y0) / 2)
    drawn = _curve(x0, y0, bend, x1, y1)
    key = f"{path}/{edge.source}>{edge.target}"
    return Link(key, drawn, edge.kind, edge.is_dimmed, depth, edge.is_strong)


def _curve(x0: float, y0: float, bend: float, x1: float, y1: float) -> str:
    return f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"


def _shifted(links: Sequence[Link], dx: float, dy: float) -> Sequence[Link]:
    if not dx and not dy:
        return links
    return [replace(one, path=_move_path(one.path, dx, dy)) for one in links]


def _move_path(path: str, dx: float, dy: float) -> str:
    start, _, rest = path[1:].partition("C")
    numbers = [float(one) for one in f"{start} {rest}".split()]
    moved = [one + (dy if place % 2 else dx) for place, one in enumerate(numbers)]
    return "M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*moved)


def _moved(box: Box, dx: float, dy: float) -> Box:
    return replace(box, x=box.x + dx, y=box.y + dy)
