"""A request whose answer was lost with its host is sent again, and is done once all the same."""

from __future__ import annotations

from typing import Any

import pytest

from ipydurable.runtime.core.errors import (
    InstanceStateError,
    StoreUnwritableError,
    UnknownInstanceError,
)
from ipydurable.runtime.core.status import TERMINAL, RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.ports import InstanceQuery
from ipydurable.runtime.requests import (
    Adopt,
    CleanEntities,
    Migrate,
    Purge,
    Request,
    Rewind,
    Start,
    StartMany,
    as_repeated,
)
from ipydurable.runtime.testing import MemoryStore
from tests.support.world import World


def step(n: int) -> int:
    return n


async def chain(ctx: Any) -> Any:
    return await ctx.call_activity("step", 1)


async def parent(ctx: Any) -> Any:
    return await ctx.call_sub_orchestrator("chain", instance_id="child")


async def fragile(ctx: Any) -> Any:
    return await ctx.call_activity("mended", 1)


async def listener(ctx: Any) -> Any:
    return await ctx.wait_for_external_event("go")


class Note:
    text: str = ""

    def write(self, text: str) -> None:
        self.text = text

    def delete(self) -> None:
        pass


@pytest.fixture
def world() -> World:
    world = World()
    world.define(step)
    for function in (chain, parent, fragile, listener):
        world.orchestrator(function)
    return world


def twice(world: World, request: Request) -> tuple[Any, Any]:
    """Have a request carried out, the host die, and the next one be asked; returns both answers."""
    first = world.ask(request)
    world.crash()
    return first, world.ask(as_repeated(request))


def finished(world: World, *instance_ids: str) -> None:
    for instance_id in instance_ids:
        world.start("chain", instance_id=instance_id)
    world.work()


def test_a_purge_is_answered_by_the_next_host(world: World) -> None:
    """It says what the one before deleted; an id that nobody knows stays an error."""
    world.start("parent")
    world.work()
    purge = Purge(instance_id="one", recurse=True, request_id="p1")
    assert twice(world, purge) == (2, 2)
    with pytest.raises(UnknownInstanceError):
        world.ask(as_repeated(Purge(instance_id="one", request_id="p2")))


def test_a_purge_that_was_not_carried_out_is_by_the_next_host(world: World) -> None:
    finished(world, "one")
    assert world.ask(as_repeated(Purge(instance_id="one", request_id="p1"))) == 1
    assert world.store.find("one") is None


def test_a_purge_of_many_does_not_reach_what_has_finished_since(world: World) -> None:
    finished(world, "one", "two")
    request = Purge(query=InstanceQuery(), request_id="p1")
    assert world.ask(request) == 2
    world.crash()
    finished(world, "three")
    assert world.ask(as_repeated(request)) == 2
    assert world.record("three").status is RuntimeStatus.COMPLETED


def test_empty_entities_are_counted_once(world: World) -> None:
    world.entity(Note)
    for key in "ab":
        world.signal(f"Note@{key}", "delete")
    world.work()
    first, second = twice(world, CleanEntities(request_id="c1"))
    assert first == second


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_start_that_replaces_does_not_replace_its_own(world: World, has_ended: bool) -> None:
    """What it started has perhaps run already, and would run again."""
    world.start("listener")
    start = Start(
        name="chain",
        instance_id="one",
        replace=(*TERMINAL, RuntimeStatus.RUNNING),
        request_id="s1",
    )
    request = StartMany(starts=[start])
    world.ask(request)
    if has_ended:
        world.work()
    iid = world.record().iid
    world.crash()
    world.ask(as_repeated(request))
    world.work()
    assert world.record().iid == iid
    assert world.output() == 1


def test_a_rewind_is_done_once(world: World) -> None:
    """Also where it has failed again since; and what has not failed is refused as ever."""

    def mended(n: int) -> int:
        raise ConnectionError("refused")

    world.define(mended)
    world.start("fragile")
    world.work()
    request = Rewind(instance_id="one", request_id="r1")
    world.ask(request)
    world.crash()
    world.ask(as_repeated(request))
    world.work()
    assert world.record().status is RuntimeStatus.FAILED
    world.ask(as_repeated(request))
    assert world.history().count("ExecutionRewound") == 1
    finished(world, "two")
    with pytest.raises(InstanceStateError):
        world.ask(as_repeated(Rewind(instance_id="two", request_id="r2")))


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_move_to_another_version_is_answered_by_the_next_host(
    world: World, has_ended: bool
) -> None:
    world.start("listener")
    world.settle()
    world.define(listener, Kind.ORCHESTRATOR, version="v2")
    request = Migrate(instance_id="one")
    first = world.ask(request)
    if has_ended:
        world.raise_event("go")
        world.work()
    world.crash()
    again = world.ask(as_repeated(request))
    assert (again.number, again.before) == (first.number, first.before) == (2, 1)
    assert world.history().count("ExecutionMigrated") == 1


@pytest.mark.parametrize("has_ended", [False, True])
def test_who_took_another_version_is_named_again_unless_it_has_ended(
    world: World, has_ended: bool
) -> None:
    world.define(step, version="v1")
    world.start("chain")
    world.settle()
    world.define(step, version="v2")
    request = Adopt(name="step", instance_ids=["one"])
    assert world.ask(request).instance_ids == ["one"]
    if has_ended:
        world.work()
    world.crash()
    assert world.ask(as_repeated(request)).instance_ids == ([] if has_ended else ["one"])
    assert world.history().count("DefinitionAdopted") == 1


def test_a_purge_on_a_full_disk_is_refused_and_the_host_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(world, "one")

    def full(store: MemoryStore, iids: Any, request_id: str = "") -> None:
        raise StoreUnwritableError("orders.duckdb", "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "purge", full)
        with pytest.raises(StoreUnwritableError, match="Make room there"):
            world.ask(Purge(instance_id="one", request_id="p1"))
    assert world.ask(Purge(instance_id="one", request_id="p2")) == 1
