"""A store from elsewhere in a notebook: it is read without running, and asked about."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.definitions import Definition
from tests.kernel.shells import Kernel, without_colors
from tests.processes.sources import wait_until

pytestmark = pytest.mark.processes

# Run by somebody else, with a key of their own. Loading any of the values writes a file, and so
# does defining the orchestrator.
HOSTILE = """
import os, sys
import ipydurable
from ipydurable import activity, entity, orchestrator

MARK = sys.argv[1]

class Bomb:
    def __reduce__(self):
        return os.makedirs, (MARK + "/pickle", 0o777, True)

CAPTURED = [Bomb()]

@activity(on="threads")
def explode(n):
    return Bomb()

@activity(on="threads")
def use():
    return len(CAPTURED)

@orchestrator
async def waits(ctx, bomb, mark=os.makedirs(MARK + "/source", exist_ok=True)):
    ctx.set_custom_status(Bomb())
    await ctx.call_activity(explode, 1)
    await ctx.wait_for_external_event("go")
    return "went on"

@orchestrator
async def short(ctx):
    return await use()

@entity
class Holder:
    value = None
    def put(self, n):
        self.value = Bomb()

with ipydurable.Runtime("foreign.duckdb") as runtime:
    run = runtime.start(waits, Bomb(), instance_id="victim")
    short.start(instance_id="done").result(60)
    Holder("a").signal("put", 1)
    while not run.waiting_for or run.waiting_for[0].kind != "external event":
        pass
    while runtime.client.get_entity("Holder@a").state is None:
        pass
"""

READS = """
import ipydurable
run = ipydurable.instance("victim")
[
    run.status.value, len(ipydurable.instances()), len(ipydurable.entities()),
    len(run.history()), len(ipydurable.sql("SELECT * FROM activities")), run.waiting_for,
    ipydurable.instance("done").result(10),
]
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a folder with a hostile store, and what its author's own run left removed."""
    (tmp_path / "hostile.py").write_text(HOSTILE)
    mark = tmp_path / "mark"
    subprocess.run(
        [sys.executable, "hostile.py", str(mark)],
        cwd=tmp_path,
        env={**os.environ, "IPYDURABLE_KEY_DIR": str(tmp_path / "their-key")},
        check=True,
        timeout=120,
    )
    assert (mark / "pickle").is_dir(), "the payload works"
    for folder in mark.iterdir():
        folder.rmdir()
    return tmp_path


@pytest.fixture
def kernel(foreign: Path) -> Iterator[Kernel]:
    kernel = Kernel(foreign)
    try:
        yield kernel
        kernel.run("%durable stop")
    finally:
        kernel.close()


def text_of(outputs: list[dict[str, Any]]) -> str:
    """Return all that a cell shows."""
    parts = []
    for one in outputs:
        parts += [one.get("text", ""), one.get("data", {}).get("text/plain", "")]
        parts += [one.get("evalue", "")]
    return without_colors("\n".join(parts))


def test_a_hostile_store_is_read_without_running_and_runs_once_trusted(
    kernel: Kernel, foreign: Path
) -> None:
    mark = foreign / "mark"
    config = "get_ipython().config.DurableMagics.store = 'foreign.duckdb'"
    (greeting,) = kernel.run(f"{config}\n%load_ext ipydurable")
    assert "nothing in it runs. %durable trust" in kernel.until(greeting, "comes from elsewhere")

    read = text_of(kernel.run(READS))
    assert "'Running', 2, 1" in read
    assert read.rstrip().endswith("1]")
    assert "not loaded>" in text_of(
        kernel.run("ipydurable.connect().list_instances().custom_status[1]")
    )
    for line in ("list", "show victim", "history victim", "entities", "versions waits", "locks"):
        outputs = kernel.run(f"%durable {line}")
        assert all(one["kind"] != "error" for one in outputs), text_of(outputs)
    (shown,) = kernel.run("run.timeline()._repr_mimebundle_()['text/plain']")
    assert "explode" in shown["data"]["text/plain"]
    for cell in ("run.raise_event('go')", "%durable start waits", "%durable terminate victim"):
        assert "%durable trust shows the code" in text_of(kernel.run(cell))
    assert "not signed with your key" in text_of(kernel.run("run.custom_status"))
    assert list(mark.iterdir()) == []

    review = kernel.run("%durable trust")
    said = text_of(review)
    assert "5 definitions and" in said
    assert "os.makedirs(MARK" in said
    assert "loads the pickled variable 'CAPTURED'" in said
    assert any("application/vnd.jupyter.widget-view+json" in one["data"] for one in review)
    kernel.run("%durable list")
    assert list(mark.iterdir()) == [], "showing is not running"

    assert "is trusted (5 definitions) · 1 instance in flight" in text_of(
        kernel.run("%durable trust --yes")
    )
    outputs = kernel.run("run.raise_event('go')\nrun.result(60)")
    assert "went on" in text_of(outputs)
    assert {one.name for one in mark.iterdir()} == {"pickle", "source"}
    assert "code that you trust" in text_of(kernel.run("%durable trust"))


VALUE = """%%activity --on threads
def value():
    return [object, {1, 2}]"""
HOLDS = """%%orchestrator
async def holds(ctx):
    found = await value()
    await ctx.wait_for_external_event("go")
    return len(found)"""


@pytest.mark.parametrize("what", ["code", "signature", "value"])
def test_ones_own_store_that_somebody_tampered_with_does_not_run_what_was_changed(
    what: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    kernel = Kernel(tmp_path)
    try:
        kernel.run(
            "%load_ext ipydurable\nimport ipydurable\n%config DurableMagics.timeline = False"
        )
        for cell in (VALUE, HOLDS):
            kernel.run(cell)
        kernel.run("run = holds.start(instance_id='one')")
        wait_until(lambda: "external" in text_of(kernel.run("run.waiting_for")))
        kernel.run("%durable stop\n%unload_ext ipydurable")
        wait_until(lambda: not is_locked(HostPaths(tmp_path / "durable.duckdb").lock))
        _tamper(tmp_path / "durable.duckdb", what, mark)

        (greeting,) = kernel.run("%load_ext ipydurable")
        if what == "value":
            kernel.run("run = ipydurable.instance('one')\nrun.raise_event('go')")
            wait_until(lambda: "not signed with your key" in text_of(kernel.run("run.failure")))
        else:
            assert "nothing in it runs" in kernel.until(greeting, "comes from elsewhere")
            assert "UntrustedStoreError" in str(
                kernel.run("ipydurable.instance('one').raise_event('go')")
            )
        assert not mark.exists()
    finally:
        kernel.run("%durable stop")
        kernel.close()


def _tamper(store: Path, what: str, mark: Path) -> None:
    """Change a store behind the back of its host."""
    with duckdb.connect(str(store)) as database:
        if what == "value":
            hostile = b"\0" * 32 + pickle.dumps(Bomb(mark))
            changed = "UPDATE journal SET data = $1 WHERE kind = 'TaskCompleted'"
            assert database.execute(changed, [hostile]).fetchall() == [(1,)]
            return
        select = "SELECT gseq, data FROM journal WHERE stream = 'definition'"
        for gseq, data in database.execute(select).fetchall():
            definition = msgspec.msgpack.decode(data, type=dict[str, Definition])["definition"]
            if what == "signature":
                definition = msgspec.structs.replace(definition, signature="")
            else:
                chunk = definition.package.chunks[0]
                source = f"import os; os.mkdir({str(mark)!r})\n{chunk.source}"
                chunks = (msgspec.structs.replace(chunk, source=source),)
                package = msgspec.structs.replace(definition.package, chunks=chunks)
                definition = msgspec.structs.replace(definition, package=package)
            changed = "UPDATE journal SET data = $1 WHERE gseq = $2"
            database.execute(changed, [msgspec.msgpack.encode({"definition": definition}), gseq])


class Bomb:
    """A value that makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)
