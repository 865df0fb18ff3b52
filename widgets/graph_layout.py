"""Where the nodes of a graph go: layers from top to bottom, wide ones wrapped into a block. Pure.

A graph of durable functions is layered by construction, so that no general layout is needed. A long
chain of single steps of one name is drawn as one node, and of a graph that is still too large the
middle is left out: at most `MAX_NODES` nodes are drawn unless more are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from .graph_model import (
    END,
    START,
    WON,
    Graph,
    GraphEdge,
    GraphFrame,
    GraphModel,
    GraphNode,
)
from .graph_scene import Box, Link, Scene
from .graph_shortening import shortened
from .layout import duration_ms, duration_words
from .text import counts_words
from .view_models import LOST
from .views import RowKind, RowState, RowView, shorten

__all__ = ["MAX_NODES", "lay_out"]

MAX_NODES = 200
"""Nodes drawn at most, unless more are asked for."""
_PER_ROW = 4
_WIDTH, _HEIGHT, _CELL_WIDTH, _CELL_HEIGHT = 212, 50, 132, 26
_GAP_X, _GAP_Y, _LAYER_GAP, _CELL_GAP, _PAD, _TITLE = 28, 16, 44, 6, 14, 24
# Below a frame's title there is room for the tips of edges that lead into it.
_FRAME_TITLE = 36
_CHAR_WIDTH, _TITLE_ROOM = 6.3, 36
_CELLS_PER_ROW = 6
_PILL_WIDTH, _PILL_HEIGHT = 212, 34
_TITLE_CHARS, _LINE_CHARS, _ENTITY_CHARS_LESS, _GROUP_CHARS = 21, 26, 4, 60
_MAX_DEPTH = 4


def lay_out(
    model: GraphModel,
    opened: Collection[str] = (),
    children: Mapping[str, GraphModel] | None = None,
    limit: int = MAX_NODES,
    places: dict[str, list[int]] | None = None,
) -> Scene:
    """Return where everything is drawn.

    Args:
        model: What to draw.
        opened: Keys (`Box.opens`) of the nodes whose operations, or child, are shown.
        children: Models of the sub-orchestrations, by instance id; those not known yet are not
            shown.
        limit: How many nodes to draw at most, start and end included.
        places: Where the operations of opened nodes stood before, by key, so that they stay
            there; brought up to date.

    Raises:
        ValueError: Nothing was applied to the model yet.
    """
    layout = _Layout(opened, children or {}, limit, {} if places is None else places)
    width, height, boxes, links = layout.graph(model, "", 0)
    return Scene(width, height, tuple(boxes), tuple(links))


class _Part:
    """A node with what is shown inside it, laid out at the origin."""

    def __init__(self, key: str, box: Box, inner: list[Box], links: list[Link]) -> None:
        self.key = key
        self.box = box
        self.inner = inner
        self.links = links


class _Layout:
    def __init__(
        self,
        opened: Collection[str],
        children: Mapping[str, GraphModel],
        limit: int,
        places: dict[str, list[int]],
    ) -> None:
        self._opened = opened
        self._children = children
        self._left = limit
        self._places = places

    def graph(
        self, model: GraphModel, path: str, depth: int
    ) -> tuple[float, float, list[Box], list[Link]]:
        graph = shortened(model, max(8, self._left))
        self._left -= len(graph.nodes)
        layers: dict[int, list[_Part]] = {}
        for node in graph.nodes:
            layers.setdefault(node.layer, []).append(self._part(node, model, path, depth))
        return _stack(graph, list(layers.values()), path, depth)

    def _part(self, node: GraphNode, model: GraphModel, path: str, depth: int) -> _Part:
        box = _box(node, path, model)
        if not box.opens or box.opens not in self._opened:
            return _Part(node.key, box, [], [])
        # There is more room in the title of what is open.
        line = shorten(_second_line(node, model), _GROUP_CHARS)
        group = msgspec.structs.replace(box, line=line, depth=depth)
        child = self._children.get(node.target) if node.target else None
        if child is not None and child.timeline.record is not None and depth < _MAX_DEPTH:
            width, height, boxes, links = self.graph(child, node.target, depth + 1)
            return _group(node.key, group, width, height, boxes, links)
        if node.total > 1:
            return self._cells(group, node, model, path)
        return _Part(node.key, box, [], [])

    def _cells(self, box: Box, node: GraphNode, model: GraphModel, path: str) -> _Part:
        shown = max(1, min(node.total, self._left))
        self._left -= shown
        boxes = []
        rows = {row.index: row for row in model.members(node.key, shown)}
        order = self._places[box.key] = _in_place(self._places.get(box.key, []), rows)
        for place, row in enumerate(map(rows.__getitem__, order)):
            line, column = divmod(place, _CELLS_PER_ROW)
            boxes.append(
                Box(
                    f"{box.key}#{row.index}",
                    "cell",
                    column * (_CELL_WIDTH + _CELL_GAP),
                    line * (_CELL_HEIGHT + _CELL_GAP),
                    _CELL_WIDTH,
                    _CELL_HEIGHT,
                    row.state,
                    shorten(row.hint or f"{node.name} {row.index + 1}", 17),
                    (fate := model.fate(row.index)),
                    tip=_row_tip(node, row, fate),
                    index=row.index,
                    is_dimmed=model.has_lost(row.index),
                    path=path,
                    kind=str(node.kind or ""),
                )
            )
        columns = min(_CELLS_PER_ROW, shown)
        lines = -(-shown // _CELLS_PER_ROW)
        width = max(columns * (_CELL_WIDTH + _CELL_GAP) - _CELL_GAP, _WIDTH)
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
    key: str, box: Box, width: float, height: float, boxes: list[Box], links: list[Link]
) -> _Part:
    room = max(0, int((width + 2 * _PAD - _TITLE_ROOM) / _CHAR_WIDTH) - len(box.title) - 3)
    outer = msgspec.structs.replace(
        box,
        shape="group",
        line=shorten(box.line, room) if room else "",
        width=width + 2 * _PAD,
        height=height + _TITLE + 2 * _PAD - 6,
        is_open=True,
    )
    dx, dy = _PAD, _TITLE + _PAD - 6
    return _Part(key, outer, [_moved(one, dx, dy) for one in boxes], _shifted(links, dx, dy))


def _stack(
    graph: Graph, layers: list[list[_Part]], path: str, depth: int
) -> tuple[float, float, list[Box], list[Link]]:
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
            boxes.extend(_moved(one, x, at_y) for one in part.inner)
            links.extend(_shifted(part.links, x, at_y))
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
    everything = [_moved(one, -left, 0) for one in (*frames, *boxes)]
    return right - left, y, everything, _shifted(links, -left, 0)


def _wrapped(layer: list[_Part]) -> list[list[_Part]]:
    lines: list[list[_Part]] = [[]]
    room = _PER_ROW * (_WIDTH + _GAP_X)
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
    right = max(right, x + 6.4 * min(len(words), 44) + 34)
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


def _shifted(links: list[Link], dx: float, dy: float) -> list[Link]:
    if not dx and not dy:
        return links
    return [msgspec.structs.replace(one, path=_move_path(one.path, dx, dy)) for one in links]


def _move_path(path: str, dx: float, dy: float) -> str:
    start, _, rest = path[1:].partition("C")
    numbers = [float(one) for one in f"{start} {rest}".split()]
    moved = [one + (dy if place % 2 else dx) for place, one in enumerate(numbers)]
    return "M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*moved)


def _moved(box: Box, dx: float, dy: float) -> Box:
    return msgspec.structs.replace(box, x=round(box.x + dx, 1), y=round(box.y + dy, 1))


_WAIT_KINDS = (RowKind.TIMER, RowKind.EVENT, RowKind.LOCK)
_ENTITY_KINDS = (RowKind.ENTITY_CALL, RowKind.SIGNAL)
_SECOND_LINES: dict[RowKind, str] = {
    RowKind.ORCHESTRATION: "sub-orchestration",
    RowKind.ENTITY_CALL: "call",
    RowKind.SIGNAL: "signal",
    RowKind.EVENT_SENT: "event sent",
    RowKind.EVENT: "event",
}
_STATE_WORDS = {
    RowState.QUEUED: "queued",
    RowState.RUNNING: "running",
    RowState.WAITING: "waiting",
    RowState.COMPLETED: "completed",
    RowState.FAILED: "failed",
    RowState.ABANDONED: "abandoned",
}


def _box(node: GraphNode, path: str, model: GraphModel) -> Box:
    key = f"{path}/{node.key}"
    if node.kind is None:
        return _pill(node, key, path, model)
    if node.row == -1 and not node.total:
        return Box(key, "gap", 0, 0, _WIDTH, 24, title=node.name, path=path)
    shape = "node"
    if node.kind in _WAIT_KINDS:
        shape = "wait"
    elif node.kind in _ENTITY_KINDS:
        shape = "entity"
    many = node.total > 1
    title = f"{node.name} \u00d7 {node.total:,}" if many else node.name
    if node.is_chain:
        title = f"{node.name}  1 → {node.total:,}"
    less = _ENTITY_CHARS_LESS if shape == "entity" else 0
    opens = key if many or node.target else ""
    return Box(
        key,
        shape,
        0,
        0,
        _WIDTH,
        _HEIGHT,
        node.look,
        shorten(title, _TITLE_CHARS - less),
        shorten(_second_line(node, model), _LINE_CHARS - less),
        node.counts if many else (),
        _tip(node),
        node.row,
        opens,
        is_dimmed=node.has_lost,
        path=path,
        kind=str(node.kind),
        asks=_asks(node, model),
    )


def _pill(node: GraphNode, key: str, path: str, model: GraphModel) -> Box:
    state = -1
    if node.key == END:
        state = {"Completed": RowState.COMPLETED, "Failed": RowState.FAILED}.get(
            node.name, RowState.ABANDONED
        )
    header = model.timeline.header()
    title = node.name
    tip = f"input: {header.input}" if node.key == START and header.input else ""
    if node.key == END:
        title = f"{node.name} · {duration_words(header.end or 0)}"
        tip = f"output: {header.output}" if header.output else ""
        if header.message is not None:
            tip = header.message.text
    return Box(
        key, "pill", 0, 0, _PILL_WIDTH, _PILL_HEIGHT, state, shorten(title, 22), tip=tip, path=path
    )


def _second_line(node: GraphNode, model: GraphModel) -> str:
    assert node.kind is not None
    retried = f"↻ {node.attempts:,}" if node.attempts else ""
    if node.total > 1:
        signs = [
            f"{node.counts[state]:,} {_STATE_WORDS[state]}"
            for state in _URGENT_FIRST
            if node.counts[state]
        ]
        if node.raced:
            is_all = node.won > 0 and node.won + node.raced == node.total
            signs = [
                f"{node.won:,} of {node.total:,} {WON}" if is_all else f"{node.raced:,} {LOST}"
            ]
        return " · ".join([*signs[:2], *([retried] if retried else [])])
    word = _SECOND_LINES.get(node.kind, "")
    if _asks(node, model):
        return "has a form to fill in"
    if node.raced:
        return LOST
    if node.state is RowState.WAITING and node.due is not None:
        left = duration_words(max(0, node.due - model.timeline.now))
        return f"{'retry' if node.kind is RowKind.ACTIVITY else 'due'} in {left}"
    if node.state is RowState.WAITING and node.kind is RowKind.EVENT:
        return "waits for this event"
    taken = ""
    if node.row >= 0:
        found = duration_ms(model.row(node.row), model.timeline.now)
        still = node.kind in (RowKind.EVENT, RowKind.EVENT_SENT, RowKind.SIGNAL)
        live = node.state <= RowState.WAITING
        taken = "" if found is None or still or live else duration_words(found)
    if node.kind is RowKind.TIMER and taken:
        taken = f"waited {taken}"
    won = WON if node.won else ""
    return " · ".join(part for part in (won, word, retried, taken, node.hint) if part)


def _asks(node: GraphNode, model: GraphModel) -> str:
    """Return the event whose form people have to fill in before a node goes on."""
    for form in model.timeline.forms if node.state is not RowState.COMPLETED else ():
        is_here = node.kind is RowKind.EVENT and form.name.casefold() == node.name.casefold()
        if form.state == "open" and (form.instance == node.target if form.instance else is_here):
            return form.name
    return ""


_URGENT_FIRST = (
    RowState.FAILED,
    RowState.RUNNING,
    RowState.COMPLETED,
    RowState.WAITING,
    RowState.QUEUED,
    RowState.ABANDONED,
)


def _tip(node: GraphNode) -> str:
    assert node.kind is not None
    word = _SECOND_LINES.get(node.kind, "")
    parts = [
        f"{word} {node.name} {node.hint}".strip(),
        counts_words(node.counts),
        node.note,
        "" if node.total > 1 else WON if node.won else LOST if node.raced else "",
        f"{node.attempts:,} more attempts" if node.attempts else "",
        "one after the other" if node.is_chain else "",
    ]
    return _lines(parts)


def _row_tip(node: GraphNode, row: RowView, fate: str) -> str:
    taken = duration_ms(row)
    words = [_STATE_WORDS[row.state], "" if taken is None else duration_words(taken)]
    said = " · ".join(word for word in words if word)
    return _lines([f"{node.name} {row.hint}", said, fate, row.note])


def _lines(parts: list[str]) -> str:
    return "\n".join(dict.fromkeys(part for part in parts if part))
