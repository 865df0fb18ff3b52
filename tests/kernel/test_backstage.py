"""What the buttons and clicks of a view reach: commands, earlier executions, what ran where."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from ipydurable import Runtime, activity, entity, orchestrator
from ipydurable.backstage import Backstage
from ipydurable.runtime.core.errors import DurableError, UnknownInstanceError
from ipydurable.runtime.core.events import ExecutionStarted, TaskCompleted
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.ports import InstanceUpdate, OpenForm


@activity
def shout(word):
    """Print, and return a word in capitals."""
    print("shouting", word)  # noqa: T201
    return word.upper()


@entity
class Tally:
    """Counts."""

    count: int = 0

    def add(self, amount):
        """Add to the count."""
        self.count += amount
        return self.count


@orchestrator
async def counting(ctx, n):
    """Shout, count, and go on as new until the third time; then wait."""
    await ctx.call_activity(shout, f"word {n}")
    await ctx.call_entity(Tally("all"), "add", 1)
    if n < 2:
        ctx.continue_as_new(n + 1)
    else:
        return await ctx.wait_for_external_event("enough")


@orchestrator
async def asking(ctx):
    """Ask whoever looks."""
    return await ctx.wait_for_external_event("approval", form=["yes", "no"])


@orchestrator
async def ordering(ctx):
    """Have another instance ask."""
    return await ctx.call_sub_orchestrator(asking, instance_id="purchase")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Return an engine in this process with a store on disk."""
    executors = {"threads": ThreadExecutor(), "processes": ThreadExecutor()}
    with Runtime(tmp_path / "store.duckdb", executors=executors) as runtime:
        yield runtime


@pytest.fixture
def backstage(runtime: Runtime) -> Backstage:
    """Return what serves the view of an instance that waits in its third generation."""
    runtime.start(counting, 0, instance_id="c")
    waits = threading.Event()

    def tell(update):
        if update.record.generation == 2 and update.awaited_events:
            waits.set()

    end = runtime.client.subscribe("c", tell)
    assert waits.wait(30)
    end()
    return Backstage(runtime.client, "c")


def test_an_earlier_execution_is_read_as_it_was_at_its_end(backstage: Backstage) -> None:
    """Its own events, from its start on, and the record as it was."""
    update = backstage.execution(1)
    events = [event for _, event in update.events]
    assert isinstance(events[0], ExecutionStarted)
    assert [event.result for event in events if isinstance(event, TaskCompleted)] == ['"WORD 1"']
    assert update.record.generation == 1
    assert update.record.output is None
    assert update.running == []


def test_a_generation_that_never_was_is_refused(backstage: Backstage) -> None:
    """The error names it."""
    with pytest.raises(UnknownInstanceError, match="generation 10"):
        backstage.execution(9)


def test_an_event_is_raised_with_its_json(runtime: Runtime, backstage: Backstage) -> None:
    """What comes from a text field becomes a value; what is no JSON is explained."""
    with pytest.raises(DurableError, match="text goes in quotes"):
        backstage.raise_event("enough", "yes")
    with pytest.raises(DurableError, match="needs a name"):
        backstage.raise_event("  ")
    backstage.raise_event("enough", '{"by": "Ana"}')
    record = runtime.client.wait("c", 30)
    assert runtime.client.decode(record.output) == {"by": "Ana"}


def test_the_commands_steer_the_instance(runtime: Runtime, backstage: Backstage) -> None:
    """Suspend, resume, terminate."""
    commands = backstage.commands()
    commands["suspend"]()
    assert runtime.client.get("c").status is RuntimeStatus.SUSPENDED
    commands["resume"]()
    assert runtime.client.get("c").status is RuntimeStatus.RUNNING
    commands["terminate"]()
    assert runtime.client.get("c").status is RuntimeStatus.TERMINATED


def test_an_activity_tells_its_code_and_what_it_printed(backstage: Backstage) -> None:
    """The version that ran, where it was written, its source, and its output."""
    update = backstage.execution(2)
    done = next(event for _, event in update.events if isinstance(event, TaskCompleted))
    version, task_id = done.attempt.version, done.task_id
    found = backstage.more("activity", "shout", version, "", "c", [(task_id, 1)])
    assert found["code"]["number"] == 1
    assert found["code"]["version"] == version
    assert "word.upper()" in found["code"]["source"]
    assert "test_backstage.py" in found["code"]["place"]
    (printed,) = found["output"]
    assert printed["attempt"] == 1
    assert "shouting word 2" in "".join(item["text"] for item in printed["items"])


def test_a_call_tells_the_entitys_side(backstage: Backstage) -> None:
    """When the entity took it up and had done it, and the code that did."""
    found = backstage.more("call", "tally.add", "", "@tally@all", "c", [(2, 1)])
    times = found["operation"]
    assert times["requested_at"] <= times["started_at"] <= times["finished_at"]
    assert "self.count += amount" in found["code"]["source"]


def test_what_is_not_known_is_left_out(backstage: Backstage) -> None:
    """A row of code that nobody has any more still opens."""
    assert backstage.more("timer", "timer", "", "", "c", [(1, 1)]) == {}
    assert "code" not in backstage.more("activity", "shout", "gone", "", "c", [(1, 1)])


def test_the_form_of_a_child_is_answered_at_its_parent(runtime: Runtime) -> None:
    """The view of the parent is told of it; the answer goes to the child."""
    run = runtime.start(ordering, instance_id="order")
    backstage = Backstage(runtime.client, "order")
    asked: Queue[OpenForm] = Queue()

    def tell(update: InstanceUpdate) -> None:
        for form in update.child_forms or ():
            asked.put(form)

    end = backstage.follow("order", tell)
    form = asked.get(timeout=30)
    assert backstage.answer(form.form_id, "perhaps", form.instance_id) != {}
    assert backstage.answer(form.form_id, "yes", form.instance_id) == {}
    assert run.result(timeout=30) == "yes"
    end()
