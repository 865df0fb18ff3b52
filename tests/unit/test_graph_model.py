"""The graph derived from a history: what follows from what, joins, races, retries, sections."""

from __future__ import annotations

import pytest

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets.graph_boxes import Drawn
from ipydurable.widgets.graph_layout import MAX_NODES, lay_out
from ipydurable.widgets.graph_model import END, START, GraphModel, GraphNode
from ipydurable.widgets.graph_static import graph_html, graph_text
from ipydurable.widgets.views import RowKind, RowState
from tests.widgets.graph_stories import (
    chain,
    critical_section,
    mirrors,
    model_of,
    nested,
    pipelines,
    race,
    suppliers,
    three,
)
from tests.widgets.scenarios import BOOM, Story, at, failed, fan_out, small


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


def _lines(model: GraphModel) -> dict[str, str]:
    return {box.title: box.line for box in lay_out(model).boxes}


def test_a_timer_counts_down_though_nothing_of_it_changes():
    """Drawn again, it says how long it still takes by then."""
    story = Story()
    story.timer(0, 60)
    story.activity("beside", 0, 1, 9)
    model, drawn = GraphModel(), Drawn()
    lines = []
    for update in story.updates(10, 20):
        model.apply(update)
        lines += [box.line for box in lay_out(model, drawn=drawn).boxes if box.title == "timer"]
    assert lines == ["due in 50.0 s", "due in 40.0 s"]


def test_what_raced_besides_timers_is_told_by_a_note():
    """Losers are dimmed and say so, the winner's edge is strong, and only the winner leads on."""
    model = model_of(suppliers(), 2.5)
    nodes = _names(model)
    lost = {name for name, node in nodes.items() if node.has_lost}
    assert lost == {"ask_bolts", "ask_abroad"}
    graph = model.graph()
    assert {edge.target for edge in graph.edges if edge.is_dimmed} == {
        nodes[name].key for name in lost
    }
    assert [edge.target for edge in graph.edges if edge.is_strong] == [nodes["ask_acme"].key]
    assert ("ask_acme", "book") in _edges(model)
    assert not {name for name, _ in _edges(model)} & lost
    assert _lines(model)["ask_bolts"] == _lines(model)["ask_abroad"] == "lost the race"
    assert _lines(model)["ask_acme"].startswith("won the race")


def test_a_race_of_equals_is_one_node_that_counts_who_lost():
    """Opened, each of them says what became of it."""
    model = model_of(mirrors(), 1.5)
    node = _names(model)["fetch"]
    assert (node.won, node.lost, node.raced, node.has_lost) == (1, 3, 3, False)
    assert "1 of 4 won the race" in _lines(model).values()
    cells = [box for box in lay_out(model, {f"/{node.key}"}).boxes if box.shape == "cell"]
    told = [(box.title, box.line, box.is_dimmed) for box in cells]
    assert ('"mirror 2"', "won the race", False) in told
    assert ('"mirror 3"', "lost the race", True) in told
    assert "lost the race" in cells[0].tip
    model = model_of(mirrors())
    assert "1 of 4 won the race" in _lines(model).values()


def test_equals_that_all_lost_are_not_said_to_have_won():
    """Another one won: how many lost is what there is to say."""
    story = Story("quote", "quote-10")
    for n, ended in enumerate((6.0, 7.0, 2.0)):
        story.activity("ask" if n < 2 else "look_up", 0.0, 0.1, ended)
    story.tell(ev.RaceDecided(timestamp=at(2.0), won=((3, 3),), lost=((1, 2),)))
    assert "2 lost the race" in _lines(model_of(story, 2.5)).values()


def test_without_a_note_activities_do_not_race():
    """Histories of before there were notes show branches, and what the end gave up as that."""
    story = suppliers()
    story.events = [told for told in story.events if not isinstance(told[1], ev.RaceDecided)]
    assert not any(node.has_lost for node in _names(model_of(story, 2.5)).values())
    story.events.pop()
    story.tell(
        ev.ExecutionCompleted(timestamp=at(3), status=RuntimeStatus.COMPLETED, abandoned=(2, 3))
    )
    model = model_of(story)
    assert _names(model)["ask_bolts"].has_lost
    assert "race" not in "".join(_lines(model).values())


def test_a_loser_that_ends_later_leads_nowhere():
    """The event that the code waits for meanwhile follows from the winner."""
    story = Story()
    story.activity("a", 0, 0.1, 1)
    story.activity("b", 0, 0.1, 2)
    story.tell(ev.RaceDecided(timestamp=at(1), won=((1, 1),), lost=((2, 2),)))
    story.wait(1, "go", 3)
    story.activity("after", 3, 3.1, 4)
    story.end(4)
    model = model_of(story)
    assert _edges(model) == {
        (START, "a"),
        (START, "b"),
        ("a", "go"),
        ("go", "after"),
        ("after", END),
    }
    assert _names(model)["b"].has_lost


def test_what_is_waited_for_after_all_has_not_lost():
    """A note takes the loss back, and the join follows from all of them."""
    story = Story()
    for name, ended in (("a", 1), ("b", 5), ("c", 6)):
        story.activity(name, 0, 0.1, ended)
    story.tell(ev.RaceDecided(timestamp=at(1), won=((1, 1),), lost=((2, 3),)))
    story.activity("use", 1, 1.1, 2)
    story.tell(ev.RaceDecided(timestamp=at(2), taken_up=((2, 3),)))
    story.activity("join", 6, 6.1, 7)
    assert _names(model_of(story, 1.5))["b"].has_lost
    model = model_of(story)
    assert not any(node.has_lost for node in _names(model).values())
    assert {("b", "join"), ("c", "join")} <= _edges(model)


def test_a_loser_whose_result_is_used_after_all_joins():
    """It had settled by the time the code asked for it."""
    story = Story()
    for name, ended in (("a", 1), ("b", 1.5)):
        story.activity(name, 0, 0.1, ended)
    story.tell(ev.RaceDecided(timestamp=at(1), won=((1, 1),), lost=((2, 2),)))
    story.activity("use", 1, 1.1, 2)
    story.tell(ev.RaceDecided(timestamp=at(2), taken_up=((2, 2),)))
    story.activity("join", 2, 2.1, 7)
    assert _names(model_of(story, 1.7))["b"].has_lost
    assert {("use", "join"), ("b", "join")} <= _edges(model_of(story))


def test_a_rewind_takes_back_a_race_that_a_failure_had_won():
    """What had lost against it is waited for again; so is what the end had given up."""
    story = Story()
    story.activity("a", 0, 0.1, 1, failure=BOOM)
    story.activity("b", 0, 0.1, 4)
    story.tell(ev.RaceDecided(timestamp=at(1), won=((1, 1),), lost=((2, 2),)))
    story.tell(
        ev.ExecutionCompleted(
            timestamp=at(1), status=RuntimeStatus.FAILED, failure=BOOM, abandoned=(2,)
        )
    )
    assert _names(model_of(story, 1.5))["b"].has_lost
    story.tell(ev.ExecutionRewound(timestamp=at(2), task_ids=(1,)))
    model = model_of(story, 3)
    assert not _names(model)["b"].has_lost
    assert "lost the race" not in [row.note for row in model.timeline.rows()]
    story.tell(ev.RaceDecided(timestamp=at(4), won=((2, 2),), lost=((1, 1),)))
    story.activity("after", 4, 4.1, 5)
    model = model_of(story, 4.5)
    assert _names(model)["a"].has_lost
    assert ("b", "after") in _edges(model)


def test_what_a_failed_end_gave_up_joins_after_a_rewind():
    """A task that was open when its sibling failed is part of the join like before."""
    story = Story()
    story.activity("a", 0, 0.1, 1, failure=BOOM)
    story.activity("b", 0, 0.1, 4)
    story.tell(
        ev.ExecutionCompleted(
            timestamp=at(1), status=RuntimeStatus.FAILED, failure=BOOM, abandoned=(2,)
        )
    )
    story.tell(ev.ExecutionRewound(timestamp=at(2), task_ids=(1,)))
    story.tell(ev.TaskCompleted(timestamp=at(3), task_id=1))
    story.activity("join", 4, 4.1, 5)
    model = model_of(story)
    assert {("a", "join"), ("b", "join")} <= _edges(model)
    assert not any(node.has_lost for node in _names(model).values())


def test_timelines_say_who_lost_a_race():
    """In the note of its row, unless there is more to say."""
    notes = [row.note for row in model_of(suppliers(), 2.5).timeline.rows()]
    assert notes == ["", "lost the race", "lost the race", ""]


def test_a_loser_at_work_is_told_as_a_loser():
    """What it says of its progress matters less than that nobody waits for it; its share stays."""
    story = suppliers()
    story.tell(
        ev.ActivityProgressed(
            timestamp=at(2.2), task_id=2, attempt=1, done=2, total=5, note="page 2"
        )
    )
    loser = model_of(story, 2.5).timeline.rows()[1]
    assert (loser.note, loser.progress) == ("lost the race", 0.4)


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


def test_an_edge_into_a_frame_shows_its_tip_below_the_title():
    """The words, whose paper hides the edge behind them, end above the tip."""
    scene = lay_out(model_of(critical_section()))
    (frame,) = [box for box in scene.boxes if box.shape == "frame"]
    inside = min(box.y for box in scene.boxes if box is not frame and box.y > frame.y)
    below_title, tip = 23, 12
    assert inside - frame.y >= below_title + tip


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
    for model in map(
        model_of, (story, small(), race(), suppliers(), critical_section(), pipelines(), failed())
    ):
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
