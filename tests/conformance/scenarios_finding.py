"""What can be found and read: lists, histories, subscriptions, SQL."""

from __future__ import annotations

from typing import Any

from ipydurable import RuntimeStatus, orchestrator
from ipydurable.runtime.ports import InstanceQuery
from tests.conformance.common import listen, parent_of_two, three_doubles
from tests.conformance.durations import TICK
from tests.conformance.scenario import SQL, World, raised, scenario


@orchestrator
async def fails_for_query(ctx: Any) -> None:
    raise ValueError("for the list")


def _found(world: World, **conditions: Any) -> list[str]:
    query = InstanceQuery(prefix=world.prefix, **conditions)
    return [world.short(one.instance_id) for one in world.client.query(query)]


@scenario(
    gives={
        "all": ["4", "3", "2", "1"],
        "completed": ["2", "1"],
        "running or failed": ["4", "3"],
        "name": ["2", "1"],
        "tag": ["4", "1"],
        "tag and status": ["1"],
        "nothing": [],
    }
)
def instances_are_found_by_what_is_known_of_them(world: World) -> Any:
    """Status, name, id prefix and tags; all conditions hold; newest first."""
    world.run(three_doubles, 1, tags={"team": "red"})
    world.run(three_doubles, 2, tags={"team": "blue"})
    world.start(fails_for_query).wait()
    world.start(listen, tags={"team": "red"})
    return {
        "all": _found(world),
        "completed": _found(world, status=(RuntimeStatus.COMPLETED,)),
        "running or failed": _found(world, status=(RuntimeStatus.RUNNING, RuntimeStatus.FAILED)),
        "name": _found(world, name="three_doubles"),
        "tag": _found(world, tags={"team": "red"}),
        "tag and status": _found(world, tags={"team": "red"}, status=(RuntimeStatus.COMPLETED,)),
        "nothing": _found(world, name="nobody"),
    }


@scenario(gives=[["1"], ["2"]])
def instances_are_found_by_the_time_of_their_creation(world: World) -> Any:
    """`created_from` is included, `created_to` is not."""
    first = world.start(listen)
    world.advance(TICK)
    world.until(lambda: world.now() > first.record.created_at, "a later time")
    second = world.start(listen)
    limit = second.record.created_at
    return [_found(world, created_to=limit), _found(world, created_from=limit)]


@scenario(gives=[["5", "4"], ["3", "2"], ["1"], []])
def lists_are_read_page_by_page(world: World) -> Any:
    """`limit` instances at a time, each page from where the last one ended."""
    for _ in range(5):
        world.start(listen)
    pages: list[list[str]] = []
    before = 0
    while True:
        query = InstanceQuery(prefix=world.prefix, limit=2, before_iid=before)
        page = world.client.query(query)
        pages.append([world.short(one.instance_id) for one in page])
        if not page:
            return pages
        before = page[-1].iid


@scenario(gives=["child1", "child0"])
def children_are_found_by_their_parent(world: World) -> Any:
    """A query by parent lists the sub-orchestrations of an instance."""
    run = world.start(parent_of_two, world.prefix)
    run.result()
    found = world.client.query(InstanceQuery(parent=run.instance_id))
    return [world.short(one.instance_id) for one in found]


@scenario(gives=[True, ["ExecutionStarted", "EventRaised", "ExecutionCompleted"], "Completed"])
def a_subscriber_gets_everything_in_order(world: World) -> Any:
    """Subscribing gives what happened so far, then what happens, each event once."""
    run = world.start(listen)
    updates: list[Any] = []
    end = world.client.subscribe(run.instance_id, updates.append)
    world.until(lambda: updates, "the first update")
    run.raise_event("go")
    run.result()

    def has_ended() -> bool:
        world.advance()
        return updates[-1].record.status.is_terminal

    world.until(has_ended, "the last update")
    end()
    events = [pair for update in updates for pair in update.events]
    return [
        [seq for seq, _ in events] == [1, 2, 3],
        [type(event).__name__ for _, event in events],
        updates[-1].record.status.value,
    ]


@scenario(
    gives=[
        [
            "instance_id",
            "execution_id",
            "seq",
            "timestamp",
            "event_type",
            "name",
            "task_id",
            "payload",
        ],
        ["ExecutionStarted", *["TaskScheduled", "TaskCompleted"] * 3, "ExecutionCompleted"],
    ],
    ways=SQL,
)
def a_history_is_a_dataframe(world: World) -> Any:
    """One row an event, in order; the first columns are always the same."""
    run = world.start(three_doubles, 1)
    run.result()
    history = run.history()
    return [list(history.columns[:8]), list(history["event_type"])]


@scenario(gives=[["double", 3]], ways=SQL)
def the_store_answers_sql(world: World) -> Any:
    """History is a table, of which any question may be asked."""
    run = world.start(three_doubles, 1)
    run.result()
    table = world.client.sql(
        "SELECT name, count(*) AS n FROM activities WHERE instance_id = $id GROUP BY name",
        {"id": run.instance_id},
    )
    return [list(row.values()) for row in table.to_pylist()]


@scenario(gives=["QueryError", "QueryError"], ways=SQL)
def sql_reads_only(world: World) -> Any:
    """A query that is no good, or would change something, is refused."""
    return [
        raised(lambda: world.client.sql("SELECT nonsense FROM nowhere"))[0],
        raised(lambda: world.client.sql("DROP TABLE journal"))[0],
    ]
