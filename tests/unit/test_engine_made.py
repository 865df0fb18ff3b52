"""What an engine knows and hands on from the moment it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import pytest

from ipydurable.runtime import files
from ipydurable.runtime.core.payload import Payload, files_folder, ref_of
from ipydurable.runtime.core.records import EntityRecord, InstanceRecord
from ipydurable.runtime.definitions import ActivityOptions, Chunk, CodePackage, Definition, Kind
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.engine import Engine
from ipydurable.runtime.journal import InlineJournal
from ipydurable.runtime.ports import Recovery
from ipydurable.runtime.requests import (
    Define,
    HostStatus,
    HostStatusRequest,
    Signal,
    SignalMany,
    Start,
    StartMany,
    WaitForCompletion,
)
from ipydurable.runtime.service import Service
from ipydurable.runtime.testing import MemoryStore, VirtualClock
from tests.processes.sources import wait_until
from tests.support.world import ManualExecutor, World


def _status(world: World) -> HostStatus:
    status = world.ask(HostStatusRequest())
    assert isinstance(status, HostStatus)
    return status


def test_what_the_store_found_on_opening_is_told_to_whoever_asks_how_the_host_is() -> None:
    class Repaired(MemoryStore):
        def recover(self) -> Recovery:
            return msgspec.structs.replace(
                super().recover(), report=["A torn commit was left out."]
            )

    engine = Engine(Repaired(), InlineJournal, VirtualClock(), {})
    service = Service(engine)
    answer = service.handle(HostStatusRequest())
    engine.step()
    assert answer.result(5).report == ["A torn commit was left out."]
    service.close()


def test_the_last_ten_notices_are_told_to_whoever_asks_how_the_host_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    assert _status(world).notices == []
    said = [f"{number} things look odd" for number in range(12)]
    for text in said:
        world.engine.notice(text)
    assert _status(world).notices == said[2:]
    assert caplog.messages == said


SOURCES = {
    "zeros": (
        Kind.ORCHESTRATOR,
        "def zeros(ctx):\n    import numpy\n    return numpy.zeros(2000)\n",
    ),
    "Kept": (
        Kind.ENTITY,
        "def Kept(ctx):\n    import numpy\n    ctx.set_state(numpy.zeros(2000))\n",
    ),
    "dicer": (
        Kind.ORCHESTRATOR,
        "def dicer(ctx):\n    import random\n    return random.random()\n",
    ),
    "ask": (Kind.ORCHESTRATOR, "async def ask(ctx):\n    await ctx.call_activity('answer')\n"),
    "answer": (Kind.ACTIVITY, "def answer():\n    return 42\n"),
}


class StoreOnDisk(MemoryStore):
    """As if it lay in a folder."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


@pytest.fixture
def executor() -> ManualExecutor:
    return ManualExecutor()


@pytest.fixture
def embedded(
    executor: ManualExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedEngine]:
    """Give an engine of a store on disk, for which 8 KB are a large value."""
    monkeypatch.setattr(files, "MIN_BYTES", 8 * 1024)
    store = StoreOnDisk(str(tmp_path / "orders.duckdb"))
    with closing(EmbeddedEngine(store, {"threads": executor}, clock=VirtualClock())) as made:
        definitions = [
            Definition(
                kind=kind,
                name=name,
                version="v1",
                package=CodePackage(entry=name, chunks=(Chunk(name=name, source=source),)),
                options=ActivityOptions(executor="threads" if kind is Kind.ACTIVITY else ""),
            )
            for name, (kind, source) in SOURCES.items()
        ]
        made.service.handle(Define(definitions=definitions)).result(10)
        yield made


def _is_in_file(payload: Payload | None, embedded: EmbeddedEngine) -> bool:
    assert payload is not None
    return ref_of(payload) is not None and any(Path(_folder(embedded)).iterdir())


def _folder(embedded: EmbeddedEngine) -> str:
    return files_folder(embedded.engine.store.path)


def test_large_values_of_orchestrators_are_kept_beside_the_store(embedded: EmbeddedEngine) -> None:
    starts = [Start(name="zeros", instance_id="one")]
    embedded.service.handle(StartMany(starts=starts)).result(10)
    record = embedded.service.handle(WaitForCompletion(instance_id="one")).result(10)
    assert isinstance(record, InstanceRecord)
    assert _is_in_file(record.output, embedded)


def test_large_states_of_entities_are_kept_beside_the_store(embedded: EmbeddedEngine) -> None:
    signal = Signal(entity_id="Kept@a", operation="fill")
    embedded.service.handle(SignalMany(signals=[signal])).result(10)

    def state() -> Payload | None:
        record = embedded.engine.store.find("@kept@a")
        return record.state if isinstance(record, EntityRecord) else None

    wait_until(lambda: state() is not None)
    assert _is_in_file(state(), embedded)


def test_code_that_will_not_replay_is_noticed_where_the_host_says_how_it_is(
    embedded: EmbeddedEngine,
) -> None:
    embedded.service.handle(StartMany(starts=[Start(name="dicer", instance_id="one")])).result(10)
    embedded.service.handle(WaitForCompletion(instance_id="one")).result(10)
    status = embedded.service.handle(HostStatusRequest()).result(10)
    assert "dicer (v1) calls random.random()" in status.notices[0]


def test_attempts_are_told_where_large_values_are_kept(
    embedded: EmbeddedEngine, executor: ManualExecutor
) -> None:
    embedded.service.handle(StartMany(starts=[Start(name="ask", instance_id="one")])).result(10)
    wait_until(lambda: bool(executor.waiting))
    ((request, _),) = executor.waiting.values()
    assert request.files == _folder(embedded)


def test_attempts_of_a_store_in_memory_are_told_of_no_such_place() -> None:
    world = World()

    async def ask(ctx: object) -> None:
        await ctx.call_activity("answer")  # type: ignore[attr-defined]

    world.define(lambda: 42, name="answer")
    world.orchestrator(ask)
    world.start("ask")
    ((request, _),) = world.executor.waiting.values()
    assert request.files == ""


def test_a_clock_that_is_moved_wakes_the_engine() -> None:
    world = World()
    assert not world.engine.step()
    world.clock.advance(timedelta(days=1))
    assert world.engine.step(0.001)


def test_a_step_waits_only_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    class Queue(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            waits.append(timeout)
            raise Empty

    world = World()
    monkeypatch.setattr(world.engine, "_posted", Queue())
    assert not world.engine.step()
    assert waits == []
    assert not world.engine.step(0.5)
    assert waits == [0.5]


def test_rows_of_definitions_belong_to_no_instance_and_no_history() -> None:
    world = World()
    world.define(lambda: 42, name="answer")
    assert [(row.iid, row.seq, row.ref) for row in world.store.all_rows()] == [(0, 0, 0)]
