"""What holds for the graph of every history, wherever it is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given

from ipydurable.widgets import figure_data as data
from ipydurable.widgets.graph_layout import MAX_NODES, lay_out
from ipydurable.widgets.graph_model import START, GraphModel
from ipydurable.widgets.graph_static import graph_html, graph_text
from tests.property.test_view_models_properties import CUTS, RUNNING, histories, updates


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
