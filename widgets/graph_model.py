"""The fan-out graph of an instance as data: a pure fold of its updates. No I/O, clock or drawing.

Operations of one name at one step from the start are one node, however many they are, so a graph
has few nodes for any history. Where they are drawn is the business of `graph_layout`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain, islice
from typing import NamedTuple

from ipydurable.runtime.ports import InstanceUpdate

from .causality import Causality, NodeKey, Operation
from .graph_runs import Counted, Run, Runs, Tally
from .view_models import LOST, TimelineModel
from .views import Header, RowKind, RowState, RowView

__all__ = [
    "END",
    "START",
    "WON",
    "Graph",
    "GraphEdge",
    "GraphFrame",
    "GraphModel",
    "GraphNode",
    "edge_kind",
]

START = "start"
END = "end"
WON = "won the race"
_WAITS_SHOWN = 20
_NO_RACE = (False, False, False)


class GraphNode(NamedTuple):
    """A node: one operation, or all of one name at one step.

    Attributes:
        key: Names it for as long as the execution lasts.
        layer: Steps from the start, which has 0.
        kind: What its operations stand for; None for start and end.
        name: Their name; the orchestrator's at the start, the status at the end.
        counts: Operations by `RowState`.
        won: How many of them won a race.
        lost: How many of them lost a race, or were given up at the end.
        raced: How many of these it was a race that they lost.
        attempts: Attempts above the first, of all operations together.
        hint: Of a single operation, what tells it from its siblings.
        note: The failure or progress of the one that matters most.
        due: Of a single timer or back-off, when it is due, in milliseconds from the start.
        row: Its row in the timeline, of a single operation; else -1.
        target: The child instance, of a single sub-orchestration.
        is_chain: Whether it stands for a run of equal nodes, one after the other.
    """

    key: str
    layer: int
    kind: RowKind | None
    name: str
    counts: tuple[int, ...]
    won: int = 0
    lost: int = 0
    raced: int = 0
    attempts: int = 0
    hint: str = ""
    note: str = ""
    due: int | None = None
    row: int = -1
    target: str = ""
    is_chain: bool = False

    @property
    def total(self) -> int:
        """How many operations it stands for."""
        return sum(self.counts)

    @property
    def state(self) -> RowState:
        """The state that matters most among its operations."""
        for state in _URGENT:
            if self.counts[state]:
                return state
        return RowState.QUEUED

    @property
    def look(self) -> RowState:
        """The state it is drawn in: a few failures among many are marked, no more."""
        counts, state = self.counts, self.state
        if state is not RowState.FAILED or counts[RowState.FAILED] * 2 >= self.total:
            return state
        return next(state for state in _URGENT[1:] if counts[state])

    @property
    def has_lost(self) -> bool:
        """Whether nothing followed from any of its operations: it is drawn dimmed."""
        return 0 < self.total == self.lost


class GraphEdge(NamedTuple):
    """What led from one node to another.

    Attributes:
        source: Key of the node it leaves.
        target: Key of the node it reaches.
        kind: `"flow"`, `"call"` of an entity or `"signal"` to one.
        is_dimmed: Whether it leads to the loser of a race.
        is_strong: Whether it leads to the winner of one.
    """

    source: str
    target: str
    kind: str = "flow"
    is_dimmed: bool = False
    is_strong: bool = False


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


class GraphModel:
    """Folds the updates of one instance. Not thread-safe: the caller holds a lock.

    Folding updates one by one gives the same as folding all their events at once.

    Attributes:
        timeline: The rows behind the nodes, with their details.
        runs: The nodes by layer, for whoever draws a few of them.
    """

    def __init__(self) -> None:
        self.timeline = TimelineModel()
        self._causality = Causality()
        self._epoch = self.timeline.epoch
        self._awaited: tuple[str, ...] = ()
        self._start_over()

    def _start_over(self) -> None:
        self.runs = Runs()
        self._tallies: dict[NodeKey, Tally] = {}
        self._named: dict[str, Tally] = {}
        self._sections: dict[int, list[Tally]] = {}
        self._rows: dict[int, RowView] = {}
        self._operations: dict[int, Operation] = {}
        self._fates: dict[Operation, tuple[bool, bool, bool]] = {}
        self._events_seen = 0

    @property
    def size(self) -> int:
        """How many nodes there are, start and end and what is waited for not counted."""
        return len(self._tallies)

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
        self._count_races()

    def graph(self) -> Graph:
        """Return the whole graph as it is now, however large it is.

        Raises:
            ValueError: Nothing was applied yet.
        """
        header = self.timeline.header()
        nodes = [self.start(header), *map(self.node, self._tallies.values())]
        edges = [edge for tally in self._tallies.values() for edge in self._edges(tally)]
        for node, parents in self.ends(header):
            nodes.append(node)
            edges.extend(GraphEdge(one.name, node.key) for one in parents)
            if not parents:
                edges.append(GraphEdge(START, node.key))
        nodes.sort(key=lambda node: node.layer)
        return Graph(header, tuple(nodes), tuple(edges), tuple(self.frames(self._sections)))

    def members(self, key: str, limit: int | None = None) -> list[RowView]:
        """Return the rows of a node as it is drawn: what failed, then what is open, then the rest.

        Args:
            key: The node's key; an unknown one has no rows.
            limit: How many at most.
        """
        tally = self._named.get(key)
        if tally is None:
            return []
        counted: Counted = tally.run if tally.run.is_merged else tally
        found = chain.from_iterable(counted.rows[state] for state in _URGENT)
        return [self._rows[index] for index in islice(found, limit)]

    def row(self, index: int) -> RowView:
        """Return a row by its number.

        Raises:
            KeyError: There is no such row.
        """
        return self._rows[index]

    def child_of(self, key: str) -> str:
        """Return the child instance that a node stands for; empty for none."""
        tally = self._named.get(key)
        return "" if tally is None else self.node(tally).target

    def target(self, index: int) -> str:
        """Return the entity or child instance that a row concerns; empty for none."""
        operation = self._operations.get(index)
        return operation.target if operation is not None else ""

    def has_lost(self, index: int) -> bool:
        """Whether the operation of a row lost a race, or was given up at the end."""
        operation = self._operations.get(index)
        return operation is not None and operation.has_lost

    def fate(self, index: int) -> str:
        """Return what became of the operation of a row in a race, in words; empty for none."""
        operation = self._operations.get(index)
        if operation is None:
            return ""
        return LOST if operation.in_race else WON if operation.has_won else ""

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
        more = len(row.spans) - 1
        if old is None:
            operation = self._operation_of(row)
            if operation is None:
                return
            self._operations[row.index] = operation
            tally = self._tally(operation.node)
            for parent in operation.parents:
                if parent != operation.node:
                    self.runs.link(self._tally(parent), tally)
            for one in (tally, tally.run):
                one.from_start += not operation.parents
        elif row.index in self._operations:
            tally = self._tallies[self._operations[row.index].node]
            more -= len(old.spans) - 1
        else:
            return
        for one in (tally, tally.run):
            one.move(row.index, None if old is None else old.state, row.state)
            one.attempts += more

    def _tally(self, key: NodeKey) -> Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(key)
            self._named[tally.name] = tally
            self.runs.add(tally)
            if key.section:
                self._sections.setdefault(key.section, []).append(tally)
        return tally

    def _operation_of(self, row: RowView) -> Operation | None:
        if row.task_id:
            return self._causality.operations.get(row.task_id)
        self._events_seen += 1
        return self._causality.events[self._events_seen - 1]

    def _count_races(self) -> None:
        for operation in self._causality.changed:
            tally = self._tallies.get(operation.node)
            if tally is None:
                continue
            won, lost, raced = self._fates.get(operation, _NO_RACE)
            fate = operation.has_won, operation.has_lost, operation.in_race
            for one in (tally, tally.run):
                one.won += fate[0] - won
                one.lost += fate[1] - lost
                one.raced += fate[2] - raced
            self._fates[operation] = fate
        self._causality.changed.clear()

    def start(self, header: Header) -> GraphNode:
        """Return the node at which all begins."""
        return GraphNode(START, 0, None, header.name, (0,) * len(RowState))

    def node(self, of: Tally | Run) -> GraphNode:
        """Return a node as it is shown: of one name at one step, or a run of such."""
        is_chain = isinstance(of, Run)
        tally = of.tallies[0] if isinstance(of, Run) else of
        layer, kind, name, _ = tally.key
        counted = tally.name, layer, kind, name, of.counts, of.won, of.lost, of.raced, of.attempts
        only = -1 if is_chain else tally.only
        if only < 0:
            return GraphNode(*counted, is_chain=is_chain)
        row = self._rows[only]
        target = self._operations[only].target if kind is RowKind.ORCHESTRATION else ""
        return GraphNode(*counted, row.hint, row.note, row.due, only, target)

    def _edges(self, tally: Tally) -> list[GraphEdge]:
        kind, lost = edge_kind(tally.key.kind), 0 < sum(tally.counts) == tally.lost
        sources = [START] if tally.from_start else []
        sources.extend(parent.name for parent in tally.parents)
        return [GraphEdge(source, tally.name, kind, lost, tally.won > 0) for source in sources]

    def ends(self, header: Header) -> list[tuple[GraphNode, list[Tally]]]:
        """Return what follows from the rest: the end, or the external events waited for now.

        Such waits leave no trace in a history.

        Returns:
            Nodes, each with those that it follows from; from the start where there are none.
        """
        if header.finished:
            # A terminated instance may end before anything of its own has.
            layer = 1 + self.runs.last
            end = GraphNode(END, layer, None, str(header.status), (0,) * len(RowState))
            return [(end, self._known(self._causality.ending or ()))]
        layer, keys = self._causality.last
        parents = self._known(keys)
        names = list(dict.fromkeys(self._awaited))
        waits = [(name, 1) for name in names[:_WAITS_SHOWN]]
        if len(names) > _WAITS_SHOWN:
            waits.append(("other events", len(names) - _WAITS_SHOWN))
        return [(_wait(layer, name, count), parents) for name, count in waits]

    def _known(self, keys: Iterable[NodeKey]) -> list[Tally]:
        return [self._tallies[key] for key in keys if key in self._tallies]

    def frames(self, sections: Iterable[int], only: Collection[str] = ()) -> list[GraphFrame]:
        """Return critical sections.

        Args:
            sections: Action ids of their lock requests.
            only: Keys of the nodes that are shown; empty for all.
        """
        frames = []
        for section in sections:
            lock = self._causality.operations.get(section)
            locked = "" if lock is None else lock.target
            names = ", ".join(_entity(one) for one in locked.split(", "))
            keys = [one.name for one in self._sections[section] if not only or one.name in only]
            frames.append(GraphFrame(f"section:{section}", names, tuple(keys)))
        return frames


def _wait(layer: int, name: str, count: int) -> GraphNode:
    counts = [0] * len(RowState)
    counts[RowState.WAITING] = count
    return GraphNode(f"wait:{layer}:{name}", layer, RowKind.EVENT, name, tuple(counts))


def edge_kind(kind: RowKind) -> str:
    """Return what an edge that leads to an operation stands for."""
    return {RowKind.ENTITY_CALL: "call", RowKind.SIGNAL: "signal"}.get(kind, "flow")


def _entity(entity_id: str) -> str:
    return entity_id.removeprefix("@").replace("@", " ", 1)
