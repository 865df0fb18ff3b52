"""What holds for the graph of every history, wherever it is cut."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from ipydurable.widgets import figure_data as data
from ipydurable.widgets.graph_boxes import Drawn
from ipydurable.widgets.graph_layout import MAX_NODES, lay_out
from ipydurable.widgets.graph_model import START, Graph, GraphModel, GraphNode
from ipydurable.widgets.graph_scene import Box
from ipydurable.widgets.graph_shortening import drawn_nodes, shortened
from ipydurable.widgets.graph_static import graph_html, graph_text
from tests.property.test_view_models_properties import CUTS, RUNNING, histories, updates
from tests.widgets.scenarios import Story


@given(histories(), CUTS, RUNNING)
def test_every_prefix_of_a_history_is_a_layered_graph(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """Edges join known nodes and lead to later layers; counts add up; nothing is drawn twice."""
    model = GraphModel()
    for update in updates(events, cuts, running):
        model.apply(update)
        graph = model.graph()
        layers = {node.key: node.layer for node in graph.nodes}
        assert len(layers) == len(graph.nodes)
        assert layers[START] == 0
        assert all(layers[edge.source] < layers[edge.target] for edge in graph.edges)
        reached = {edge.target for edge in graph.edges} | {START}
        assert reached == set(layers)
        rows = model.timeline.rows()
        waits = sum(node.key.startswith("wait:") for node in graph.nodes)
        assert sum(node.total for node in graph.nodes) - waits == len(rows)
        assert all(0 <= node.lost <= node.total for node in graph.nodes)
        scene = lay_out(model, {f"/{node.key}" for node in graph.nodes})
        assert len({box.key for box in scene.boxes}) == len(scene.boxes)
        assert len(scene.boxes) <= MAX_NODES + len(graph.frames) + 1
        assert graph_html(model)
        assert graph_text(model)


@given(histories(), CUTS, RUNNING)
def test_folding_bit_by_bit_is_folding_at_once(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """A live graph is the graph of the whole history."""
    live, whole = GraphModel(), GraphModel()
    for update in updates(events, cuts, running):
        live.apply(update)
    (everything,) = updates(events, [], running)
    whole.apply(everything)
    a, b = live.graph(), whole.graph()
    assert (set(a.nodes), set(a.edges), set(a.frames)) == (
        set(b.nodes),
        set(b.edges),
        set(b.frames),
    )


@given(histories(), CUTS, RUNNING)
def test_what_is_kept_between_two_drawings_changes_nothing_but_the_places_of_operations(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """Boxes that are drawn as before are those that would be made anew."""
    model, drawn = GraphModel(), Drawn()
    for update in updates(events, cuts, running):
        model.apply(update)
        opened = {f"/{node.key}" for node in model.graph().nodes}
        kept, new = lay_out(model, opened, drawn=drawn), lay_out(model, opened)
        assert sorted(map(_words, kept.boxes)) == sorted(map(_words, new.boxes))
        assert kept.links == new.links
        closed = lay_out(model, drawn=drawn)
        assert closed == lay_out(model)


def _words(box: Box) -> tuple[Any, ...]:
    """Return all that a box says; an operation of an opened node may stand anywhere in it."""
    at = None if box.shape == "cell" else (box.x, box.y)
    return (box.key, at, *astuple(box)[4:])


@given(histories(), CUTS, RUNNING)
def test_figures_hold_for_every_history(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """Never negative, in order, and a critical path that goes forward in time."""
    model = GraphModel()
    for update in updates(events, cuts, running):
        model.apply(update)
    found = data.concurrency(model)
    assert list(found.times) == sorted(found.times)
    assert min(*found.running, *found.queued) >= 0
    steps = data.critical_path(model)
    assert all(one.ended <= other.scheduled for one, other in pairwise(steps))
    for one in data.durations(model):
        assert 0 <= one.low <= one.q1 <= one.median <= one.q3 <= one.high
    for bar in data.waterfall(model):
        assert bar.scheduled <= bar.ended


def _expected(graph: Graph) -> tuple[dict[str, tuple[int, ...]], set[tuple[str, str]]]:
    """Return counts by node and the edges of a graph whose runs of equal steps are merged."""
    layers: dict[int, list[GraphNode]] = defaultdict(list)
    for node in graph.nodes:
        if node.kind is not None and not node.key.startswith("wait:"):
            layers[node.layer].append(node)
    runs: list[list[GraphNode]] = [[]]
    for _, members in sorted(layers.items()):
        (only, *others) = members
        same = runs[-1] and runs[-1][-1].key.split(":", 1)[1] == only.key.split(":", 1)[1]
        if others or not same:
            runs.append([])
        if not others:
            runs[-1].append(only)
    drawn_as = {node.key: node.key for node in graph.nodes}
    counts = {node.key: node.counts for node in graph.nodes}
    for run in runs:
        if len(run) >= 5:
            first = run[0].key
            drawn_as.update({node.key: first for node in run})
            counts[first] = tuple(
                map(sum, zip(*(counts.pop(node.key) for node in run), strict=True))
            )
    edges = {(drawn_as[edge.source], drawn_as[edge.target]) for edge in graph.edges}
    return counts, {edge for edge in edges if edge[0] != edge[1]}


_CHAIN = st.lists(
    st.tuples(st.sampled_from(["a", "a", "a", "b"]), st.sampled_from([1.0, 1.0, 4.1, 9.7])),
    max_size=20,
)


@given(st.lists(_CHAIN, min_size=1, max_size=3), st.lists(st.integers(0, 60), max_size=4))
def test_what_is_drawn_is_the_whole_with_its_runs_merged(
    branches: list[list[tuple[str, float]]], cuts: list[int]
) -> None:
    """Also where slow branches add to layers that others have long left behind."""
    story = Story()
    for number, steps in enumerate(branches):
        # No two branches have anything at the same moment.
        now = 0.0
        for step, (name, seconds) in enumerate(steps):
            ended = now + seconds + (0.01 * (number + 1) if not step else 0)
            story.activity(f"{name}{number if number > 1 else ''}", now, now + 0.005, ended)
            now = ended
    model = GraphModel()
    for update in story.updates(*sorted(cuts), 1e4):
        model.apply(update)
        counts, edges = _expected(model.graph())
        drawn = shortened(model, 10_000)
        assert {node.key: node.counts for node in drawn.nodes} == counts
        assert {edge[:2] for edge in drawn.edges} == edges
        _check_small(model, 12)


@given(histories(), CUTS, RUNNING)
def test_a_graph_that_is_cut_short_says_how_much_is_missing(
    events: list[Any], cuts: list[int], running: list[set[int]]
) -> None:
    """Nodes that are shown and those that are counted are all; each is reached."""
    model = GraphModel()
    for update in updates(events, cuts, running):
        model.apply(update)
        _check_small(model, 8)
        counts, edges = _expected(model.graph())
        drawn = shortened(model, 10_000)
        assert {node.key: node.counts for node in drawn.nodes} == counts
        assert {edge[:2] for edge in drawn.edges} == edges


def _check_small(model: GraphModel, limit: int) -> None:
    drawn = shortened(model, limit)
    gap = [node for node in drawn.nodes if node.key == "…"]
    ends = 1 + len(model.ends(drawn.header))
    missing = int(gap[0].name.split()[1].replace(",", "")) if gap else 0
    assert len(drawn.nodes) <= max(limit, 4 + ends)
    assert len(drawn.nodes) - len(gap) - ends + missing == drawn_nodes(model)
    assert {edge.target for edge in drawn.edges} | {START} == {node.key for node in drawn.nodes}
    layers = {node.key: node.layer for node in drawn.nodes}
    assert all(member in layers for frame in drawn.frames for member in frame.members)
