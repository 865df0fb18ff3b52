"""The graph derived from a history: what follows from what, joins, races, retries, sections."""

from __future__ import annotations

import pytest

from ipydurable.runtime.core import events as ev
from ipydurable.widgets.graph_layout import MAX_NODES, lay_out
from ipydurable.widgets.graph_model import END, START, GraphModel, GraphNode
from ipydurable.widgets.graph_static import graph_html, graph_text
from ipydurable.widgets.views import RowKind, RowState
from tests.widgets.graph_stories import (
    chain,
    critical_section,
    model_of,
    nested,
    pipelines,
    race,
    three,
)
from tests.widgets.scenarios import Story, at, failed, fan_out, small


def _names(model: GraphModel) -> dict[str, GraphNode]:
    return {node.name: node for node in model.graph().nodes}


def _edges(model: GraphModel) -> set[tuple[str, str]]:
    graph = model.graph()
    names = {node.key: node.key if node.kind is None else node.name for node in graph.nodes}
    return {(names[edge.source], names[edge.target]) for edge in graph.edges}


def test_a_chain_of_different_steps_is_a_chain():
    """Each step follows from the one before."""
    assert _edges(model_of(three())) == {
        (START, "load"),
        ("load", "clean"),
        ("clean", "save"),
        ("save", END),
    }


def test_parallel_tasks_of_one_name_are_one_node_and_join():
    """185 fetches are one node that the summary follows from, with counts by state."""
    model = model_of(fan_out(185), 2.0)
    fetch = _names(model)["fetch"]
    assert fetch.total == 185
    assert fetch.counts[RowState.RUNNING] == 40
    done = model_of(fan_out(185))
    assert ("fetch", "summarise") in _edges(done)
    assert ("plan", "summarise") not in _edges(done)


def test_tasks_of_different_names_join():
    """What was awaited together leads to what came next, in whatever order it ended."""
    edges = _edges(model_of(small()))
    assert {("fetch", "budget.spend"), ("convert", "budget.spend")} <= edges


def test_a_stage_of_a_pipeline_follows_from_the_stage_before():
    """Pages are parsed one by one as they come; the report follows from all that was parsed."""
    assert _edges(model_of(pipelines(5))) == {
        (START, "fetch"),
        ("fetch", "parse"),
        ("parse", "report"),
        ("report", END),
    }


@pytest.mark.parametrize("fired", [False, True])
def test_the_loser_of_a_race_is_dimmed_and_leads_nowhere(fired: bool):
    """A timer that an activity outran; also where it fires before the end."""
    story = race()
    if fired:
        story.events = [told for told in story.events if told[0] < 3.05]
        story.tell(ev.TimerFired(timestamp=at(3.02), task_id=1, fire_at=at(3.02)))
        story.activity("thank", 3.0, 3.1, 3.2)
        story.end(3.3)
    model = model_of(story)
    nodes = _names(model)
    assert nodes["timer"].has_lost
    assert not nodes["ask_supplier"].has_lost
    edges = model.graph().edges
    assert all(edge.source != nodes["timer"].key for edge in edges)
    assert [edge.target for edge in edges if edge.is_dimmed] == [nodes["timer"].key]


def test_a_race_is_seen_while_it_is_decided():
    """As soon as the winner led on, the other is dimmed, before the end tells."""
    assert _names(model_of(race(), 2.5))["timer"].has_lost


def test_a_timer_that_wins_dims_what_it_outran():
    """A timeout: the slow activity has lost."""
    story = Story()
    story.timer(0, 1)
    story.activity("slow", 0, 0.1, None)
    story.activity("give_up", 1, 1.1, 2)
    nodes = _names(model_of(story, 3))
    assert nodes["slow"].has_lost
    assert not nodes["timer"].has_lost


def test_retries_are_one_operation():
    """Further attempts are counted; the delay between them is no node."""
    nodes = _names(model_of(failed()))
    assert nodes["load"].attempts == 1
    assert nodes["load"].state is RowState.FAILED
    assert "timer" not in nodes


def test_an_event_is_waited_for_after_what_came_before():
    """Where nothing else was open, the wait for an event is a step of the chain."""
    edges = _edges(model_of(small()))
    assert ("timer", "approve") in edges
    assert ("approve", "summarise") in edges
    assert ("timer", "summarise") not in edges


def test_events_that_are_awaited_now_are_nodes():
    """A wait for an event leaves no trace in a history; the host tells it."""
    model = GraphModel()
    for update in three().updates(1.0):
        update.awaited_events = {"approve": update.now}
        model.apply(update)
    node = _names(model)["approve"]
    assert (node.kind, node.state) == (RowKind.EVENT, RowState.WAITING)


def test_a_critical_section_is_a_frame():
    """What was asked for between the grant and the last unlock stands in it."""
    graph = model_of(critical_section()).graph()
    (frame,) = graph.frames
    names = {node.key: node.name for node in graph.nodes}
    assert [names[key] for key in frame.members] == ["account.withdraw", "account.deposit"]
    assert frame.title == "account alice, account bob"


def test_calls_and_signals_have_edges_of_their_own():
    """A signal is not waited for: it leads nowhere."""
    graph = model_of(critical_section()).graph()
    names = {node.key: node.name for node in graph.nodes}
    kinds = {(names[edge.target], edge.kind) for edge in graph.edges}
    assert {("account.withdraw", "call"), ("audit.record", "signal")} <= kinds
    assert "audit.record" not in {names[edge.source] for edge in graph.edges}


def test_continue_as_new_starts_over():
    """The graph is that of the present execution."""
    story = three()
    story.tell(
        ev.ExecutionStarted(timestamp=at(3), instance_id="greet-1", execution_id="e2", name="greet")
    )
    story._task_id = 0
    story.activity("load", 3, 3.1, 3.5)
    model = model_of(story, 3.3)
    assert {node.name for node in model.graph().nodes} == {"greet", "load"}
    assert model.epoch > model_of(three()).epoch


def test_a_long_loop_is_one_node():
    """A chain of equal single steps is drawn as one that says how many there were."""
    start, loop, end = lay_out(model_of(chain(1000))).boxes
    assert (start.title, loop.title) == ("poll", "check  1 → 1,000")
    assert end.title.startswith("Completed")


def test_the_middle_of_a_huge_graph_is_left_out():
    """300 different steps are too many to be drawn; the ends stay."""
    story = Story()
    for n in range(600):
        story.activity(f"step_{n}", n, n + 0.1, n + 0.9)
    story.end(600)
    scene = lay_out(model_of(story))
    assert len(scene.boxes) <= MAX_NODES
    titles = [box.title for box in scene.boxes]
    assert "step_0" in titles
    assert "step_599" in titles
    assert any("more nodes" in title for title in titles)
    assert len(lay_out(model_of(story), limit=1000).boxes) == 602


def test_an_opened_node_shows_its_operations_and_never_too_many():
    """What failed comes first; of 10,000 those that fit are shown and the rest is counted."""
    model = model_of(fan_out(10_000), 60)
    key = next(node.key for node in model.graph().nodes if node.name == "fetch")
    scene = lay_out(model, {f"/{key}"})
    cells = [box for box in scene.boxes if box.shape == "cell"]
    assert cells[0].state == RowState.FAILED
    assert len(scene.boxes) <= MAX_NODES + 1
    assert any("more" in box.title for box in scene.boxes if box.shape == "gap")


def test_nothing_overlaps_and_edges_lead_down():
    """In every story, opened or not, boxes stand side by side or inside of each other."""
    story, children = nested()
    models = {name: model_of(child) for name, child in children.items()}
    for model in map(model_of, (story, small(), race(), critical_section(), pipelines(), failed())):
        opened = [f"/{node.key}" for node in model.graph().nodes]
        scene = lay_out(model, opened, models)
        solid = [box for box in scene.boxes if box.shape not in ("frame", "group")]
        for place, one in enumerate(solid):
            assert one.x >= 0
            assert one.x + one.width <= scene.width + 0.1
            assert one.y + one.height <= scene.height + 0.1
            for other in solid[place + 1 :]:
                apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
                apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
                assert apart_x or apart_y, (one, other)


def test_a_child_is_nested_in_its_place():
    """An opened sub-orchestration is a group that holds the child's own graph."""
    story, children = nested()
    models = {name: model_of(child) for name, child in children.items()}
    html = graph_html(model_of(story), models)
    assert html.count("store") >= 2
    assert "load_eu" in html


def test_static_forms_stay_small_and_say_everything():
    """Names, states in words, under 100 KB; the text form names each step."""
    model = model_of(fan_out(10_000), 60)
    html = graph_html(model)
    assert len(html) < 20_000
    assert "40 running" in html
    assert "<script" not in html
    assert "fetch \u00d7 10,000" in graph_text(model)


def test_names_are_escaped():
    """Whatever a name holds, it stays text."""
    story = Story("<b>")
    story.activity("<script>alert(1)</script>", 0, 0.1, 0.5)
    assert "<script" not in graph_html(model_of(story))
