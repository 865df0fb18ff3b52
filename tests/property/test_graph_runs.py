"""Chains of equal nodes: kept up to date they are what looking at all nodes would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipydurable.widgets.causality import NodeKey
from ipydurable.widgets.graph_runs import Runs, Slot, Tally
from ipydurable.widgets.views import RowKind, RowState

# Mostly the next layer and the same name, so that there are chains for others to come between.
_LAYERS = st.sampled_from(["next", "next", "next", "next", "after next", "some"])
_ADDED = st.tuples(_LAYERS, st.sampled_from("aaaaab"), st.integers(0, 100), st.integers(0, 100))


def _naive(tallies: list[Tally]) -> list[Slot]:
    """Return what is drawn, found by looking at everything."""
    layers: dict[int, list[Tally]] = {}
    for tally in tallies:
        layers.setdefault(tally.key.layer, []).append(tally)
    chains: list[list[Tally]] = []
    alone: Tally | None = None
    slots: list[Slot] = []
    for layer, members in sorted(layers.items()):
        (first, *others) = members
        if not others and alone is not None and alone.key[1:] == first.key[1:]:
            chains[-1].append(first)
        else:
            chains.append(members)
            slots.append(Slot(layer, tuple(members)))
        alone = None if others else first
    drawn = []
    for chain in chains:
        run = chain[0].run
        if len({one.key.layer for one in chain}) < 5:
            by_layer: dict[int, list[Tally]] = {}
            for one in chain:
                by_layer.setdefault(one.key.layer, []).append(one)
            drawn += [Slot(layer, tuple(found)) for layer, found in by_layer.items()]
            continue
        assert run.tallies == chain
        inside = set(chain)
        assert set(run.parents) == {one for each in chain for one in each.parents} - inside
        assert set(run.children) == {one for each in chain for one in each.children} - inside
        for state in RowState:
            assert run.rows[state] == sorted(row for one in chain for row in one.rows[state])
        drawn.append(Slot(chain[0].key.layer, (run,)))
    return drawn


@given(st.lists(_ADDED, min_size=20, max_size=40))
def test_chains_are_those_that_looking_at_all_nodes_would_find(
    added: list[tuple[str, str, int, int]],
) -> None:
    """Also where nodes come to lie beside, or between, those of a chain."""
    runs = Runs()
    tallies: list[Tally] = []
    for number, (where, name, layer, parent) in enumerate(added):
        chosen = {"next": runs.last + 1, "after next": runs.last + 2, "some": 1 + layer % 40}[where]
        key = NodeKey(chosen, RowKind.ACTIVITY, "c" if where == "some" else name, 0)
        if any(one.key == key for one in tallies):
            continue
        tally = Tally(key)
        runs.add(tally)
        tallies.append(tally)
        before = [one for one in tallies if one.key.layer < chosen]
        if before:
            runs.link(before[parent % len(before)], tally)
        for one in (tally, tally.run):
            one.move(number, None, RowState.QUEUED)
            one.move(number, RowState.QUEUED, RowState.RUNNING)
        expected = _naive(tallies)
        assert list(runs.walk()) == expected
        assert list(runs.walk(from_end=True)) == expected[::-1]
        assert runs.saved == len(tallies) - sum(len(slot.nodes) for slot in expected)
        assert len(runs) - runs.saved == len(expected)
