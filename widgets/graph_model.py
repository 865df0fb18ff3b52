"""The fan-out graph of an instance as data: a pure fold of its updates. No I/O, clock or drawing.

Operations of one name at one step from the start are one node, however many they are, so a graph
has few nodes for any history. Where they are drawn is the business of `graph_layout`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection
from heapq import merge
from itertools import chain, islice
from typing import NamedTuple

from ipydurable.runtime.ports import InstanceUpdate

from .causality import Causality, NodeKey, Operation
from .view_models import TimelineModel
from .views import Header, RowKind, RowState, RowView

__all__ = ["END", "START", "Graph", "GraphEdge", "GraphFrame", "GraphModel", "GraphNode"]

START = "start"
END = "end"


class GraphNode(NamedTuple):
    """A node: one operation, or all of one name at one step.

    Attributes:
        key: Names it for as long as the execution lasts.
        layer: Steps from the start, which has 0.
        kind: What its operations stand for; None for start and end.
        name: Their name; the orchestrator's at the start, the status at the end.
        counts: Operations by `RowState`.
        lost: How many of them lost a race.
        attempts: Attempts above the first, of all operations together.
        hint: Of a single operation, what tells it from its siblings.
        note: The failure or progress of the one that matters most.
        due: Of a single timer or back-off, when it is due, in milliseconds from the start.
        row: Its row in the timeline, of a single operation; else -1.
        target: The child instance, of a single sub-orchestration.
        also: Keys of further nodes that are drawn as this one.
        is_chain: Whether its operations came one after the other.
    """

    key: str
    layer: int
    kind: RowKind | None
    name: str
    counts: tuple[int, ...]
    lost: int = 0
    attempts: int = 0
    hint: str = ""
    note: str = ""
    due: int | None = None
    row: int = -1
    target: str = ""
    also: tuple[str, ...] = ()
    is_chain: bool = False

    @property
    def total(self) -> int:
        """How many operations it stands for."""
        return sum(self.counts)

    @property
    def state(self) -> RowState:
        """The state that matters most among its operations."""
        return next((state for state in _URGENT if self.counts[state]), RowState.QUEUED)

    @property
    def look(self) -> RowState:
        """The state it is drawn in: a few failures among many are marked, no more."""
        counts = self.counts
        if self.state is not RowState.FAILED or counts[RowState.FAILED] * 2 >= self.total:
            return self.state
        return next(state for state in _URGENT[1:] if counts[state])

    @property
    def has_lost(self) -> bool:
        """Whether all its operations lost a race: it is drawn dimmed."""
        return 0 < self.total == self.lost


class GraphEdge(NamedTuple):
    """What led from one node to another.

    Attributes:
        source: Key of the node it leaves.
        target: Key of the node it reaches.
        kind: `"flow"`, `"call"` of an entity or `"signal"` to one.
        is_dimmed: Whether it leads to the loser of a race.
    """

    source: str
    target: str
    kind: str = "flow"
    is_dimmed: bool = False


class GraphFrame(NamedTuple):
    """A critical section: what is drawn inside one frame.

    Attributes:
        key: Names it.
        title: Which entities are locked.
        members: Keys of its nodes.
    """

    key: str
    title: str
    members: tuple[str, ...]


class Graph(NamedTuple):
    """Everything a graph shows; edges lead from lower to higher layers."""

    header: Header
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    frames: tuple[GraphFrame, ...]


_URGENT = (
    RowState.FAILED,
    RowState.RUNNING,
    RowState.WAITING,
    RowState.QUEUED,
    RowState.COMPLETED,
    RowState.ABANDONED,
)


class _Tally:
    """The operations of a node, counted."""

    def __init__(self, key: NodeKey) -> None:
        self.key = key
        self.name = f"{key.layer}:{key.kind}:{key.name}:{key.section}"
        # By state and in order, so that the first ones are at hand however many there are.
        self.rows: tuple[list[int], ...] = tuple([] for _ in RowState)
        self.attempts = 0
        self.lost = 0
        self.parents: Counter[NodeKey] = Counter()
        self.from_start = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many of its rows are in each state."""
        return tuple(map(len, self.rows))

    @property
    def only(self) -> int:
        """The row of a node that stands for one operation; -1 where it stands for several."""
        return next(chain.from_iterable(self.rows)) if sum(self.counts) == 1 else -1

    def move(self, index: int, old: RowState | None, new: RowState) -> None:
        """Count a row that is new (`old` is None) or is in another state now."""
        if old is new:
            return
        if old is not None:
            del self.rows[old][bisect_left(self.rows[old], index)]
        insort(self.rows[new], index)


class GraphModel:
    """Folds the updates of one instance. Not thread-safe: the caller holds a lock.

    Folding updates one by one gives the same as folding all their events at once.

    Attributes:
        timeline: The rows behind the nodes, with their details.
    """

    def __init__(self) -> None:
        self.timeline = TimelineModel()
        self._causality = Causality()
        self._epoch = self.timeline.epoch
        self._awaited: tuple[str, ...] = ()
        self._start_over()

    def _start_over(self) -> None:
        self._tallies: dict[NodeKey, _Tally] = {}
        self._named: dict[str, _Tally] = {}
        self._rows: dict[int, RowView] = {}
        self._operations: dict[int, Operation] = {}
        self._lost: set[Operation] = set()
        self._events_seen = 0

    @property
    def epoch(self) -> int:
        """Changes when the graph starts over, as it does at continue-as-new."""
        return self.timeline.epoch

    @property
    def finished(self) -> bool:
        """Whether the instance is in a final status."""
        return self.timeline.finished

    def apply(self, update: InstanceUpdate) -> None:
        """Fold an update. Events that were folded before are skipped.

        Args:
            update: The first one with everything, later ones with what is new.
        """
        seen = self.timeline.last_seq
        self.timeline.apply(update)
        self._awaited = tuple(update.awaited_events)
        for seq, event in update.events:
            if seq > seen:
                seen = seq
                self._causality.fold(event)
        if self._epoch != self.timeline.epoch:
            self._epoch = self.timeline.epoch
            self._start_over()
        for row in self.timeline.take_changes():
            self._count(row)
        self._count_losses()

    def graph(self) -> Graph:
        """Return the graph as it is now.

        Raises:
            ValueError: Nothing was applied yet.
        """
        header = self.timeline.header()
        nodes = [GraphNode(START, 0, None, header.name, (0,) * len(RowState))]
        nodes.extend(map(self._node, self._tallies.values()))
        edges = [edge for tally in self._tallies.values() for edge in self._edges(tally)]
        self._add_waits(header, nodes, edges)
        self._add_end(header, nodes, edges)
        nodes.sort(key=lambda node: node.layer)
        return Graph(header, tuple(nodes), tuple(edges), tuple(self._frames()))

    def members(self, keys: Collection[str], limit: int | None = None) -> list[RowView]:
        """Return the rows of nodes: what failed, then what is open, then the rest, by index.

        Args:
            keys: The nodes' keys; an unknown one has no rows.
            limit: How many at most.
        """
        found = [self._named[key] for key in keys if key in self._named]
        ordered = (merge(*(tally.rows[state] for tally in found)) for state in _URGENT)
        return [self._rows[index] for index in islice(chain.from_iterable(ordered), limit)]

    def row(self, index: int) -> RowView:
        """Return a row by its number.

        Raises:
            KeyError: There is no such row.
        """
        return self._rows[index]

    def target(self, index: int) -> str:
        """Return the entity or child instance that a row concerns; empty for none."""
        operation = self._operations.get(index)
        return operation.target if operation is not None else ""

    def has_lost(self, index: int) -> bool:
        """Whether the operation of a row lost a race."""
        return self._operations.get(index) in self._lost

    def predecessors(self, index: int | None) -> list[RowView]:
        """Return the rows of the nodes that a row followed from.

        Args:
            index: The row; None for the end of the instance.
        """
        if index is None:
            parents = self._causality.ending or frozenset(self._tallies)
        else:
            operation = self._operations.get(index)
            parents = operation.parents if operation is not None else frozenset()
        found = (self._tallies[key] for key in parents if key in self._tallies)
        return [self._rows[row] for tally in found for row in sorted(chain(*tally.rows))]

    def _count(self, row: RowView) -> None:
        old = self._rows.get(row.index)
        self._rows[row.index] = row
        if old is None:
            operation = self._operation_of(row)
            if operation is None:
                return
            self._operations[row.index] = operation
            tally = self._tallies.get(operation.node)
            if tally is None:
                tally = self._tallies[operation.node] = _Tally(operation.node)
                self._named[tally.name] = tally
            tally.parents.update(operation.parents)
            tally.from_start += not operation.parents
        elif row.index in self._operations:
            tally = self._tallies[self._operations[row.index].node]
            tally.attempts -= len(old.spans) - 1
        else:
            return
        tally.move(row.index, None if old is None else old.state, row.state)
        tally.attempts += len(row.spans) - 1

    def _operation_of(self, row: RowView) -> Operation | None:
        if row.task_id:
            return self._causality.operations.get(row.task_id)
        self._events_seen += 1
        return self._causality.events[self._events_seen - 1]

    def _count_losses(self) -> None:
        for operation in self._causality.changed:
            tally = self._tallies.get(operation.node)
            if tally is None or (operation in self._lost) == operation.has_lost:
                continue
            tally.lost += 1 if operation.has_lost else -1
            (self._lost.add if operation.has_lost else self._lost.discard)(operation)
        self._causality.changed.clear()

    def _node(self, tally: _Tally) -> GraphNode:
        layer, kind, name, _ = tally.key
        node = GraphNode(
            tally.name,
            layer,
            kind,
            name,
            tally.counts,
            tally.lost,
            tally.attempts,
        )
        if tally.only < 0:
            return node
        row = self._rows[tally.only]
        target = self._operations[row.index].target if kind is RowKind.ORCHESTRATION else ""
        return node._replace(
            hint=row.hint, note=row.note, due=row.due, row=row.index, target=target
        )

    def _edges(self, tally: _Tally) -> list[GraphEdge]:
        kind = {RowKind.ENTITY_CALL: "call", RowKind.SIGNAL: "signal"}.get(tally.key.kind, "flow")
        lost = 0 < sum(tally.counts) == tally.lost
        sources = [START] if tally.from_start else []
        sources.extend(_key(parent) for parent in tally.parents if parent != tally.key)
        return [GraphEdge(source, _key(tally.key), kind, lost) for source in sources]

    def _add_waits(self, header: Header, nodes: list[GraphNode], edges: list[GraphEdge]) -> None:
        """Add what leaves no trace in a history: external events that are waited for now."""
        if header.finished:
            return
        layer, parents = self._causality.last
        counts = [0] * len(RowState)
        counts[RowState.WAITING] = 1
        for name in dict.fromkeys(self._awaited):
            key = f"wait:{layer}:{name}"
            nodes.append(GraphNode(key, layer, RowKind.EVENT, name, tuple(counts)))
            sources = [_key(parent) for parent in parents] or [START]
            edges.extend(GraphEdge(source, key) for source in sources)

    def _add_end(self, header: Header, nodes: list[GraphNode], edges: list[GraphEdge]) -> None:
        ending = self._causality.ending
        if not header.finished:
            return
        # A terminated instance may end before anything of its own has.
        sources = [_key(parent) for parent in ending or ()] or [START]
        layer = 1 + max(node.layer for node in nodes)
        nodes.append(GraphNode(END, layer, None, str(header.status), (0,) * len(RowState)))
        edges.extend(GraphEdge(source, END) for source in sources)

    def _frames(self) -> list[GraphFrame]:
        members: dict[int, list[str]] = {}
        for key in self._tallies:
            if key.section:
                members.setdefault(key.section, []).append(_key(key))
        frames = []
        for section, keys in members.items():
            lock = self._causality.operations.get(section)
            locked = "" if lock is None else lock.target
            names = ", ".join(_entity(one) for one in locked.split(", "))
            frames.append(GraphFrame(f"section:{section}", names, tuple(keys)))
        return frames


def _key(node: NodeKey) -> str:
    return f"{node.layer}:{node.kind}:{node.name}:{node.section}"


def _entity(entity_id: str) -> str:
    return entity_id.removeprefix("@").replace("@", " ", 1)
