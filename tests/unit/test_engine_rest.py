"""Whether an engine has something to do, and how long it sleeps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ipydurable.runtime import engine as engine_module
from ipydurable.runtime.core.entities import EntityContext
from ipydurable.runtime.definitions import CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.journal import Batch
from tests.support.world import START, World
from tests.unit.test_late_commits import LateCommits


@pytest.fixture
def world() -> World:
    made = World()

    async def pair(ctx: Any) -> None:
        await ctx.when_all([ctx.call_activity("one"), ctx.call_activity("one")])

    def counter(ctx: EntityContext) -> None:
        ctx.set_state(1)

    made.define(lambda: 1, name="one")
    made.orchestrator(pair)
    made.entity(counter)
    assert made.engine.is_at_rest
    return made


def test_an_engine_is_at_rest_until_something_is_posted_and_again_when_it_is_done(
    world: World,
) -> None:
    world.engine.post(lambda: None)
    assert not world.engine.is_at_rest
    world.settle()
    assert world.engine.is_at_rest


def test_an_engine_with_activities_under_way_is_not_at_rest(world: World) -> None:
    world.start("pair")
    assert not world.engine.is_at_rest
    world.work()
    assert world.engine.is_at_rest


def test_an_engine_with_operations_under_way_is_not_at_rest(world: World) -> None:
    world.signal("counter@a", "add")
    assert not world.engine.is_at_rest
    world.work()
    assert world.engine.is_at_rest


def test_an_engine_with_rows_that_are_not_handed_over_is_not_at_rest(world: World) -> None:
    package = CodePackage(entry="a")
    added = Definition(kind=Kind.ACTIVITY, name="a", version="v1", package=package)
    world.engine.write_definition(DefinitionAdded(timestamp=START, definition=added))
    assert not world.engine.is_at_rest
    world.engine.step()
    world.settle()
    assert world.engine.is_at_rest


def test_an_engine_with_effects_that_wait_for_a_commit_is_not_at_rest(world: World) -> None:
    """Before they are handed over, and until they are carried out."""
    done: list[bool] = []
    late = LateCommits(world)
    world.engine.journal.append_here = lambda batch: False  # type: ignore[method-assign]
    world.engine.after_commit(lambda: done.append(world.engine.is_at_rest))
    assert not world.engine.is_at_rest
    world.settle()
    assert not world.engine.is_at_rest
    assert done == []
    late.commit()
    assert world.engine.is_at_rest
    assert len(done) == 1


def test_an_engine_whose_instances_have_work_is_not_at_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.engine.deliveries), "has_work", True)
    assert not world.engine.is_at_rest
    assert world.engine._wait_s() == 0.0


def test_the_engine_sleeps_no_longer_than_rows_may_be_collected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(engine_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(world.engine.journal, "linger_s", 0.5)
    world.start("pair")
    world.settle()
    assert world.engine._wait_s() == 1.0
    world.executor.run(next(iter(world.executor.waiting)))
    world.settle()
    assert world.engine._wait_s() == 0.5
    clock.now = 100.375
    assert world.engine._wait_s() == 0.125
    clock.now = 100.5
    assert world.engine._wait_s() == 0.0
    world.settle()
    assert world.engine._wait_s() == 1.0


@pytest.fixture
def ways(world: World) -> list[str]:
    """Give in which thread each batch is committed: the engine's own ("here"), or the writer's."""
    journal, found = world.engine.journal, []
    submit = journal.submit

    def append_here(batch: Batch) -> bool:
        found.append("here")
        submit(batch)
        return True

    def submit_to_writer(batch: Batch) -> None:
        found.append("writer")
        submit(batch)

    journal.append_here = append_here  # type: ignore[method-assign]
    journal.submit = submit_to_writer  # type: ignore[method-assign]
    return found


def test_an_engine_with_nothing_else_to_do_commits_by_itself(world: World, ways: list[str]) -> None:
    world.engine.after_commit(lambda: None)
    world.engine.step()
    assert ways == ["here"]


def test_an_engine_that_is_asked_for_more_has_the_writer_commit(
    world: World, ways: list[str]
) -> None:
    def work() -> None:
        world.engine.after_commit(lambda: None)
        world.engine.post(lambda: None)

    world.engine.post(work)
    world.engine.step()
    assert ways == ["writer"]


@pytest.mark.parametrize("what", ["activities", "operations"])
def test_an_engine_that_will_hear_from_activities_or_operations_has_the_writer_commit(
    world: World, ways: list[str], what: str
) -> None:
    if what == "activities":
        world.start("pair")
    else:
        world.signal("counter@a", "add")
    ways.clear()
    world.engine.after_commit(lambda: None)
    world.engine.step()
    assert ways == ["writer"]


@pytest.mark.parametrize(("rows", "way"), [(100, "here"), (101, "writer")])
def test_an_engine_with_much_to_write_has_the_writer_commit(
    world: World, ways: list[str], rows: int, way: str
) -> None:
    package = CodePackage(entry="a")
    added = Definition(kind=Kind.ACTIVITY, name="a", version="v1", package=package)
    for _ in range(rows):
        world.engine.write_definition(DefinitionAdded(timestamp=START, definition=added))
    world.engine.step()
    assert ways == [way]
