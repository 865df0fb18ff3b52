"""What a node of a graph says of itself: its shape, words and tip; not where it goes."""

from __future__ import annotations

from collections.abc import Callable

from .graph_model import END, START, WON, GraphModel, GraphNode
from .graph_scene import Box
from .layout import duration_ms, duration_words
from .text import counts_words
from .view_models import LOST
from .views import RowKind, RowState, RowView, shorten

__all__ = ["CELL_SIZE", "NODE_SIZE", "Drawn", "group_line"]

NODE_SIZE = 212, 50
"""Width and height of a node, in pixels."""
CELL_SIZE = 132, 26
"""Width and height of one operation of an opened node."""
_PILL_HEIGHT, _GAP_HEIGHT = 34, 24
_TITLE_CHARS, _LINE_CHARS, _ENTITY_CHARS_LESS, _GROUP_CHARS = 21, 26, 4, 60
_PILL_CHARS, _CELL_CHARS = 22, 17

_SHAPES = {
    RowKind.TIMER: "wait",
    RowKind.EVENT: "wait",
    RowKind.LOCK: "wait",
    RowKind.ENTITY_CALL: "entity",
    RowKind.SIGNAL: "entity",
}
_KIND_WORDS: dict[RowKind, str] = {
    RowKind.ORCHESTRATION: "sub-orchestration",
    RowKind.ENTITY_CALL: "call",
    RowKind.SIGNAL: "signal",
    RowKind.EVENT_SENT: "event sent",
    RowKind.EVENT: "event",
}
_STATE_WORDS = {
    RowState.FAILED: "failed",
    RowState.RUNNING: "running",
    RowState.COMPLETED: "completed",
    RowState.WAITING: "waiting",
    RowState.QUEUED: "queued",
    RowState.ABANDONED: "abandoned",
}
_END_STATES = {"Completed": RowState.COMPLETED, "Failed": RowState.FAILED}
_UNTIMED = (RowKind.EVENT, RowKind.EVENT_SENT, RowKind.SIGNAL)


class Drawn:
    """Makes the boxes of a graph, and keeps them: most are the same when it is drawn again.

    Attributes:
        places: Rows of the operations of opened nodes in the order they stand in, by box.
    """

    def __init__(self) -> None:
        self.places: dict[str, list[int]] = {}
        self._before: dict[str, _Made] = {}
        self._now: dict[str, _Made] = {}

    def begin(self) -> None:
        """Begin to draw; boxes that are not asked for until the next time are forgotten."""
        self._before, self._now = self._now, {}

    def node(self, node: GraphNode, path: str, model: GraphModel) -> Box:
        """Return the box of a node that is not opened.

        Args:
            node: The node.
            path: Instance id of the child whose graph it stands in; empty for the graph's own.
            model: That graph.
        """
        key = f"{path}/{node.key}"
        if node.kind is None:
            return _pill(node, key, path, model)
        made_of = (
            node,
            model.row(node.row) if node.row >= 0 else None,
            model.timeline.forms,
            # What is open says how long it still takes.
            model.timeline.now if node.due is not None else None,
        )
        return self._kept(key, made_of, lambda: _node_box(node, key, path, model))

    def cell(
        self,
        node: GraphNode,
        row: RowView,
        group: Box,
        model: GraphModel,
        at: tuple[float, float],
    ) -> Box:
        """Return the box of one operation of a node that is opened.

        Args:
            node: The node.
            row: The operation's row.
            group: The node's own box.
            model: The graph that it stands in.
            at: Left and upper edge within the group.
        """
        fate, has_lost = model.fate(row.index), model.has_lost(row.index)
        return self._kept(
            f"{group.key}#{row.index}",
            (row, fate, has_lost, at),
            lambda: _cell_box(node, row, group, at, fate, has_lost),
        )

    def _kept(self, key: str, made_of: tuple[object, ...], make: Callable[[], Box]) -> Box:
        made = self._before.get(key)
        if made is None or made[0] != made_of:
            made = made_of, make()
        self._now[key] = made
        return made[1]


_Made = tuple[tuple[object, ...], Box]
"""What a box depends on, and the box."""


def _node_box(node: GraphNode, key: str, path: str, model: GraphModel) -> Box:
    kind, total = node.kind, node.total
    assert kind is not None
    width, height = NODE_SIZE
    if not total:
        return Box(key, "gap", 0, 0, width, _GAP_HEIGHT, title=node.name, path=path)
    shape = _SHAPES.get(kind, "node")
    less = _ENTITY_CHARS_LESS if shape == "entity" else 0
    asks = _asks(node, model)
    title = node.name
    if node.is_chain:
        title = f"{title}  1 → {total:,}"
    elif total > 1:
        title = f"{title} \u00d7 {total:,}"
    line = _line_of_many(node, total) if total > 1 else _line_of_one(node, model, asks)
    return Box(
        key,
        shape,
        0,
        0,
        width,
        height,
        node.look,
        shorten(title, _TITLE_CHARS - less),
        shorten(line, _LINE_CHARS - less),
        node.counts if total > 1 else (),
        _tip(node, total),
        node.row,
        key if total > 1 or node.target else "",
        is_dimmed=node.has_lost,
        path=path,
        kind=kind.value,
        asks=asks,
    )


def group_line(node: GraphNode, model: GraphModel) -> str:
    """Return the second line of a node that is opened: in the title of a group is more room."""
    total = node.total
    if total > 1:
        return shorten(_line_of_many(node, total), _GROUP_CHARS)
    return shorten(_line_of_one(node, model, _asks(node, model)), _GROUP_CHARS)


def _cell_box(
    node: GraphNode,
    row: RowView,
    group: Box,
    at: tuple[float, float],
    fate: str,
    has_lost: bool,
) -> Box:
    return Box(
        f"{group.key}#{row.index}",
        "cell",
        *at,
        *CELL_SIZE,
        row.state,
        shorten(row.hint or f"{node.name} {row.index + 1}", _CELL_CHARS),
        fate,
        (),
        _row_tip(node.name, row, fate),
        row.index,
        is_dimmed=has_lost,
        path=group.path,
        kind=group.kind,
    )


def _pill(node: GraphNode, key: str, path: str, model: GraphModel) -> Box:
    state = -1
    if node.key == END:
        state = _END_STATES.get(node.name, RowState.ABANDONED)
    header = model.timeline.header()
    title = node.name
    tip = f"input: {header.input}" if node.key == START and header.input else ""
    if node.key == END:
        title = f"{node.name} · {duration_words(header.end or 0)}"
        tip = f"output: {header.output}" if header.output else ""
        if header.message is not None:
            tip = header.message.text
    width, _ = NODE_SIZE
    title = shorten(title, _PILL_CHARS)
    return Box(key, "pill", 0, 0, width, _PILL_HEIGHT, state, title, tip=tip, path=path)


def _line_of_many(node: GraphNode, total: int) -> str:
    counts, retried = node.counts, f"↻ {node.attempts:,}" if node.attempts else ""
    signs = [f"{counts[state]:,} {word}" for state, word in _STATE_WORDS.items() if counts[state]]
    if node.raced:
        is_all = node.won > 0 and node.won + node.raced == total
        signs = [f"{node.won:,} of {total:,} {WON}" if is_all else f"{node.raced:,} {LOST}"]
    return " · ".join([*signs[:2], *([retried] if retried else [])])


def _line_of_one(node: GraphNode, model: GraphModel, asks: str) -> str:
    kind, state = node.kind, node.state
    assert kind is not None
    if asks:
        return "has a form to fill in"
    if node.raced:
        return LOST
    if state is RowState.WAITING and node.due is not None:
        left = duration_words(max(0, node.due - model.timeline.now))
        return f"{'retry' if kind is RowKind.ACTIVITY else 'due'} in {left}"
    if state is RowState.WAITING and kind is RowKind.EVENT:
        return "waits for this event"
    taken = ""
    if node.row >= 0 and state > RowState.WAITING and kind not in _UNTIMED:
        found = duration_ms(model.row(node.row), model.timeline.now)
        taken = "" if found is None else duration_words(found)
    if taken and kind is RowKind.TIMER:
        taken = f"waited {taken}"
    retried = f"↻ {node.attempts:,}" if node.attempts else ""
    won = WON if node.won else ""
    return " · ".join(filter(None, (won, _KIND_WORDS.get(kind), retried, taken, node.hint)))


def _asks(node: GraphNode, model: GraphModel) -> str:
    """Return the event whose form people have to fill in before a node goes on."""
    forms = model.timeline.forms
    for form in forms if forms and node.state is not RowState.COMPLETED else ():
        is_here = node.kind is RowKind.EVENT and form.name.casefold() == node.name.casefold()
        if form.state == "open" and (form.instance == node.target if form.instance else is_here):
            return form.name
    return ""


def _tip(node: GraphNode, total: int) -> str:
    assert node.kind is not None
    word = _KIND_WORDS.get(node.kind, "")
    fate = "" if total > 1 else WON if node.won else LOST if node.raced else ""
    return _lines(
        f"{word} {node.name} {node.hint}".strip(),
        counts_words(node.counts),
        node.note,
        fate,
        f"{node.attempts:,} more attempts" if node.attempts else "",
        "one after the other" if node.is_chain else "",
    )


def _row_tip(name: str, row: RowView, fate: str) -> str:
    taken = duration_ms(row)
    said = _STATE_WORDS[row.state]
    if taken is not None:
        said = f"{said} · {duration_words(taken)}"
    return _lines(f"{name} {row.hint}".rstrip(), said, fate, row.note)


def _lines(*parts: str) -> str:
    return "\n".join(dict.fromkeys(filter(None, parts)))
