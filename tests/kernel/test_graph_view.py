"""The graph of an instance as an output: told of its host, and static once it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

import ipydurable
from ipydurable import Runtime
from ipydurable.graph_view import GraphView
from ipydurable.runtime.executors.threads import ThreadExecutor


@ipydurable.orchestrator
async def patient(ctx):
    return await ctx.wait_for_external_event("go")


def test_a_live_graph_says_that_its_host_is_gone_and_takes_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Runtime(tmp_path / "s.duckdb", executors={"threads": ThreadExecutor()}) as runtime:
        run = runtime.start(patient)
        watching = []

        def watch(tell):
            watching.append(tell)
            return lambda: watching.remove(tell)

        monkeypatch.setattr(runtime.client, "watch_connection", watch)
        view = GraphView(runtime.client, run.instance_id)
        widget = view.keep_widget()
        watching[0]("the host has ended")
        assert widget.connection == "the host has ended"
        watching[0]("")
        assert widget.connection == ""
        run.raise_event("go", 1)
        view.settled.result(30)
        assert "Completed" in repr(view._snapshot())
        view.freeze()
        assert watching == []
