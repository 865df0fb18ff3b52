"""What is counted of a graph: its nodes by layer, and chains of equal steps as one.

A loop of ten thousand steps is ten thousand layers. What is drawn of it is a few nodes, which must
be found without looking at all the others each time something happens.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

from .causality import NodeKey
from .views import RowState

__all__ = ["Counted", "Run", "Runs", "Slot", "Tally"]

_MERGED_FROM = 5


class Counted:
    """Operations, counted.

    Attributes:
        rows: By state and in order, so that the first ones are at hand however many there are.
        attempts: Attempts above the first, of all of them together.
        won: How many won a race.
        lost: How many lost a race, or were given up at the end.
        raced: How many of these it was a race that they lost.
        from_start: How many follow from nothing but the start.
    """

    def __init__(self) -> None:
        self.rows: tuple[list[int], ...] = tuple([] for _ in RowState)
        self.attempts = 0
        self.won = 0
        self.lost = 0
        self.raced = 0
        self.from_start = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many of its rows are in each state."""
        return tuple(map(len, self.rows))

    def move(self, index: int, old: RowState | None, new: RowState) -> None:
        """Count a row that is new (`old` is None) or is in another state now."""
        if old is new:
            return
        if old is not None:
            del self.rows[old][bisect_left(self.rows[old], index)]
        insort(self.rows[new], index)

    def take_in(self, other: Counted) -> None:
        """Count what another has counted, too."""
        for mine, its in zip(self.rows, other.rows, strict=True):
            if its:
                mine.extend(its)
                mine.sort()
        self.attempts += other.attempts
        self.won += other.won
        self.lost += other.lost
        self.raced += other.raced
        self.from_start += other.from_start


class Tally(Counted):
    """The operations of one node.

    Attributes:
        key: What they share.
        name: The node's key in the graph.
        parents: The nodes that they follow from.
        children: The nodes that follow from them.
        run: The chain that it is part of.
    """

    def __init__(self, key: NodeKey) -> None:
        super().__init__()
        self.key = key
        self.name = f"{key.layer}:{key.kind}:{key.name}:{key.section}"
        self.parents: dict[Tally, None] = {}
        self.children: dict[Tally, None] = {}
        self.run = Run([self])

    @property
    def only(self) -> int:
        """The row of a node that stands for one operation; -1 where it stands for several."""
        found = tuple(islice(chain.from_iterable(self.rows), 2))
        return found[0] if len(found) == 1 else -1


class Run(Counted):
    """Nodes that stand alone in successive layers and are equal; of most, a single one.

    Attributes:
        tallies: The nodes, by layer.
        parents: Nodes outside that lead into it.
        children: Nodes outside that it leads to.
    """

    def __init__(self, tallies: list[Tally]) -> None:
        super().__init__()
        self.tallies = tallies
        self.parents: dict[Tally, None] = {}
        self.children: dict[Tally, None] = {}

    @property
    def name(self) -> str:
        """The key in the graph of the node that it is drawn as."""
        return self.tallies[0].name

    @property
    def is_merged(self) -> bool:
        """Whether it is long enough to be drawn as one node."""
        return len(self.tallies) >= _MERGED_FROM


class Slot(NamedTuple):
    """A layer as it is drawn: the first one of a chain stands for all of it."""

    layer: int
    nodes: tuple[Tally | Run, ...]


class Runs:
    """The nodes of a graph, by layer, with equal single ones in a row told as a `Run`.

    Attributes:
        saved: How many nodes, and layers, fewer are drawn because of chains.
    """

    def __init__(self) -> None:
        self._layers: dict[int, list[Tally]] = {}
        self._order: list[int] = []
        self.saved = 0

    def __len__(self) -> int:
        """How many layers there are; the first one follows from the start."""
        return len(self._order)

    @property
    def last(self) -> int:
        """The highest layer; 0 for none."""
        return self._order[-1] if self._order else 0

    def add(self, tally: Tally) -> None:
        """Add a node that nothing is known of yet."""
        layer = tally.key.layer
        beside = self._layers.setdefault(layer, [])
        beside.append(tally)
        if len(beside) == 1:
            insort(self._order, layer)
            self._join(layer)
        else:
            self._part(beside[0])

    def link(self, parent: Tally, child: Tally) -> None:
        """Note that a node follows from another."""
        if parent in child.parents:
            return
        child.parents[parent] = None
        parent.children[child] = None
        if parent.run is not child.run:
            child.run.parents[parent] = None
            parent.run.children[child] = None

    def walk(self, *, from_end: bool = False) -> Iterator[Slot]:
        """Go through what is drawn, layer by layer."""
        place = len(self._order) - 1 if from_end else 0
        while 0 <= place < len(self._order):
            layer = self._order[place]
            tallies = self._layers[layer]
            run = tallies[0].run
            if run.is_merged:
                yield Slot(run.tallies[0].key.layer, (run,))
            else:
                yield Slot(layer, tuple(tallies))
            length = len(run.tallies) if run.is_merged else 1
            place += -length if from_end else length

    def _join(self, layer: int) -> None:
        """Make a node that stands alone part of its neighbours' chains."""
        (tally,) = self._layers[layer]
        place = bisect_left(self._order, layer)
        before = self._alone(place - 1) if place else None
        after = self._alone(place + 1) if place + 1 < len(self._order) else None
        if before is not None and after is not None and before.run is after.run:
            self._cut(after.run, after.run.tallies.index(after))
        if before is not None and _equal(before, tally):
            self._append(before.run, tally.run)
        if after is not None and _equal(tally, after):
            self._append(tally.run, after.run)

    def _alone(self, place: int) -> Tally | None:
        found = self._layers[self._order[place]]
        return found[0] if len(found) == 1 else None

    def _append(self, run: Run, more: Run) -> None:
        self.saved -= _saving(run) + _saving(more)
        run.tallies.extend(more.tallies)
        run.take_in(more)
        members = more.tallies
        for tally in members:
            tally.run = run
        for tally in members:
            for parent in tally.parents:
                if parent.run is not run:
                    run.parents[parent] = None
            for child in tally.children:
                if child.run is not run:
                    run.children[child] = None
        for known in (run.parents, run.children):
            for one in [one for one in known if one.run is run]:
                del known[one]
        self.saved += _saving(run)

    def _part(self, tally: Tally) -> None:
        """Take a node that has company out of its chain."""
        run = tally.run
        if len(run.tallies) == 1:
            return
        place = run.tallies.index(tally)
        self._cut(run, place + 1)
        self._cut(tally.run, place)

    def _cut(self, run: Run, place: int) -> None:
        """Make two chains of one; nothing if either would be empty."""
        if not 0 < place < len(run.tallies):
            return
        self.saved -= _saving(run)
        for members in (run.tallies[:place], run.tallies[place:]):
            part = Run(members)
            for tally in members:
                tally.run = part
                part.take_in(tally)
            for tally in members:
                part.parents.update({one: None for one in tally.parents if one.run is not part})
                part.children.update({one: None for one in tally.children if one.run is not part})
            self.saved += _saving(part)


def _equal(one: Tally, other: Tally) -> bool:
    return one.key[1:] == other.key[1:]


def _saving(run: Run) -> int:
    return len(run.tallies) - 1 if run.is_merged else 0
