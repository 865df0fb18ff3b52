"""Trust: a store from elsewhere is read without running, and runs once it was approved."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.errors import DecodingError, UntrustedStoreError
from ipydurable.runtime.core.payload import Blob
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, DefinitionAdded, Kind
from ipydurable.runtime.ports import JournalRow, Stream
from ipydurable.runtime.requests import (
    CountInFlight,
    Define,
    DescribeOpen,
    HostStatusRequest,
    ListDefinitions,
    ListUntrusted,
    Migrate,
    Purge,
    RaiseEvent,
    Resume,
    Suspend,
    Terminate,
    Trust,
    Untrusted,
    WaitForCompletion,
)
from ipydurable.runtime.signing import Signer, load_signer
from ipydurable.runtime.trust import TrustedContents, blobs_in, digest_of_blob
from ipydurable.store import open_store
from tests.support.world import START, World


class Bomb:
    """What a hostile pickle does: loading it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


async def waits(ctx: Any) -> Any:
    result: Any = await ctx.wait_for_external_event("go")
    return result


def as_user(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Be the user whose key lies in a folder."""
    patch.setenv("IPYDURABLE_KEY_DIR", str(folder))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world on a store that somebody else has left with an instance in flight."""
    as_user(monkeypatch, tmp_path / "theirs")
    world = World()
    world.orchestrator(waits)
    world.start("waits", instance_id="done")
    world.raise_event("go", 1, instance_id="done")
    world.start("waits")
    world.work()
    as_user(monkeypatch, tmp_path / "mine")
    world.crash()
    yield world
    world.service.close()


def untrusted(world: World) -> Untrusted:
    found: Untrusted = world.ask(ListUntrusted())
    return found


class TestAForeignStore:
    """Nothing of it runs, nothing in it changes, all of it can be read."""

    @pytest.mark.parametrize(
        "request_",
        [
            RaiseEvent(instance_id="one", name="go"),
            Suspend(instance_id="one"),
            Resume(instance_id="one"),
            Terminate(instance_id="one"),
            Migrate(instance_id="one"),
            Purge(instance_id="done"),
            WaitForCompletion(instance_id="one"),
            Define(
                definitions=[
                    Definition(
                        kind=Kind.ACTIVITY, name="mine", version="1", package=CodePackage(entry="f")
                    )
                ]
            ),
        ],
        ids=lambda request: type(request).__name__,
    )
    def test_it_refuses_what_would_change_it_or_wait_for_it(
        self, world: World, request_: Any
    ) -> None:
        before = list(world.store.rows)
        with pytest.raises(UntrustedStoreError, match=r"1 definition .*%durable trust"):
            world.ask(request_)
        assert world.store.rows == before

    def test_it_can_be_read(self, world: World) -> None:
        assert world.record().status is RuntimeStatus.RUNNING
        assert world.ask(WaitForCompletion(instance_id="done")).output == "1"
        assert [one.name for one in world.ask(ListDefinitions())] == ["waits"]
        assert world.ask(DescribeOpen(instance_ids=["one"])) == {}
        assert world.ask(CountInFlight(kind=Kind.ORCHESTRATOR, name="waits")) == {}
        assert world.ask(HostStatusRequest()).untrusted == 1

    def test_its_code_is_not_even_loaded(self, world: World) -> None:
        def load(definition: Definition) -> Any:
            raise AssertionError(definition.name)

        world.loader.load = load  # type: ignore[method-assign]
        world.settle()
        world.ask(DescribeOpen(instance_ids=["one"]))
        told: list[Any] = []
        world.service.subscribe("one", told.append)
        world.settle()

    def test_once_trusted_it_goes_on(self, world: World) -> None:
        found = untrusted(world)
        assert ([one.name for one in found.definitions], found.live) == (["waits"], 1)
        assert world.ask(Trust(versions=[one.version for one in found.definitions])) == 1
        world.raise_event("go", 2)
        assert world.output() == 2
        assert untrusted(world) == Untrusted(definitions=[], values=0, live=0)

    def test_it_stays_trusted(self, world: World) -> None:
        world.ask(Trust(versions=["v1"]))
        world.crash()
        world.raise_event("go", 2)
        assert world.output() == 2

    def test_what_was_not_shown_is_not_trusted(self, world: World) -> None:
        with pytest.raises(UntrustedStoreError):
            world.ask(Trust(versions=[]))
        assert len(untrusted(world).definitions) == 1

    def test_code_that_comes_later_must_be_trusted_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        world.ask(Trust(versions=["v1"]))
        as_user(monkeypatch, tmp_path / "third")
        world.crash()
        found = untrusted(world)
        world.ask(Trust(versions=[one.version for one in found.definitions]))
        world.define(waits, Kind.ORCHESTRATOR, version="v2")
        as_user(monkeypatch, tmp_path / "mine")
        world.crash()
        assert [one.version for one in untrusted(world).definitions] == ["v2"]


def test_ones_own_store_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, tmp_path)
    world = World()
    world.orchestrator(waits)
    world.start("waits")
    world.crash()
    world.raise_event("go", 1)
    assert world.output() == 1
    assert not TrustedContents(tmp_path / "trusted.db")._path.exists()
    world.service.close()


DEFINITION = Definition(
    kind=Kind.ACTIVITY,
    name="f",
    version="1",
    package=CodePackage(entry="f", chunks=(Chunk(name="f", source="def f(): ..."),)),
    source="def f(): ...",
)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "g"},
        {"kind": Kind.ORCHESTRATOR},
        {"version": "2"},
        {"source": "def f(): 1"},
        {"package": CodePackage(entry="f", chunks=(Chunk(name="f", source="def f(): 1"),))},
        {"package": CodePackage(entry="f", imports=("import evil",))},
        {"package": CodePackage(entry="f", paths=("/tmp/evil",))},
        {"signature": ""},
        {"signature": "ü"},
    ],
)
def test_a_definition_that_was_changed_is_foreign(changes: dict[str, Any]) -> None:
    signer = Signer(b"k" * 32)
    signed = signer.sign_definition(DEFINITION)
    given = msgspec.structs.replace(signed, number=3, epoch=9)
    assert signer.trusts(given)
    assert not signer.trusts(msgspec.structs.replace(given, **changes))
    assert not Signer(b"x" * 32).trusts(signed)


def test_text_that_no_store_can_hold_keeps_its_signature(tmp_path: Path) -> None:
    package = msgspec.structs.replace(DEFINITION.package, values={"x": '"\udc80"'})
    odd = msgspec.structs.replace(DEFINITION, source="'\udc80'", package=package, epoch=1)
    signer = Signer(b"k" * 32)
    added = DefinitionAdded(timestamp=START, definition=signer.sign_definition(odd))
    store = open_store(tmp_path / "odd.duckdb")
    store.append([JournalRow(1, 0, 0, Stream.DEFINITION, added)], [])
    (kept,) = store.recover().definitions
    store.close()
    assert kept.source == "'\\udc80'"
    assert signer.trusts(kept)


def test_a_hostile_pickle_is_never_loaded_unless_approved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "loaded"
    hostile = Signer(b"x" * 32).sign("pickle", pickle.dumps(Bomb(mark)))
    blob = Blob(codec="pickle", data=hostile, summary="a Bomb")
    as_user(monkeypatch, tmp_path / "mine")
    with pytest.raises(DecodingError, match=r"a Bomb.*not signed with your key.*%durable trust"):
        NamespaceConverter({}).decode(blob)
    assert not mark.exists()

    signer = load_signer()
    assert not signer.trusts_blob(blob)
    assert signer.trusted is not None
    signer.trusted.add([digest_of_blob(blob)])
    NamespaceConverter({}).decode(blob)
    assert mark.is_dir()
    assert (tmp_path / "mine" / "trusted.db").stat().st_mode & 0o777 == 0o600


def test_every_pickle_in_an_event_is_found() -> None:
    blob = Blob(codec="dill", data=b"1")
    package = CodePackage(entry="f", values={"a": blob, "b": "1"})
    definition = msgspec.structs.replace(DEFINITION, package=package)
    table = Blob(codec="arrow", data=b"2")
    assert list(blobs_in([definition, {"x": (table, blob)}, None])) == [blob, blob]
