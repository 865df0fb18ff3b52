"""Histories recorded once and never edited: every later engine replays them as they ran."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ipydurable.runtime.core.errors import NonDeterminismError
from ipydurable.runtime.core.events import ExecutionCompleted
from ipydurable.runtime.core.rewind import effective_history
from ipydurable.testing import load_history, replay
from tests.replay.programs import PROGRAMS
from tests.replay.record import last_execution, run

HISTORIES = sorted(Path(__file__).parent.joinpath("histories").glob("*.jsonl"))
DIGESTS = Path(__file__).parent / "histories" / "SHA256SUMS"


def program_of(path: Path) -> Any:
    return PROGRAMS[path.stem.rpartition("-")[0]]


def test_no_golden_history_was_edited_or_lost() -> None:
    recorded = dict(line.split()[::-1] for line in DIGESTS.read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in HISTORIES}
    assert found == recorded


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_golden_history_is_replayed_to_its_recorded_end(path: Path) -> None:
    history = load_history(path)
    end = effective_history(history)[-1]
    assert isinstance(end, ExecutionCompleted)
    report = replay(history, program_of(path))
    assert (report.status, report.result) == (end.status, end.result)
    assert report.warnings == ()


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_any_beginning_of_a_golden_history_can_be_replayed(path: Path) -> None:
    """At each incoming event an instance may have been evicted."""
    history = load_history(path)
    for cut in range(1, len(history)):
        if type(history[cut]).__name__ in {"TaskCompleted", "TimerFired", "EventRaised"}:
            replay(history[:cut], program_of(path))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_program_still_runs_as_it_was_recorded(path: Path) -> None:
    """The engine writes today what it wrote then."""
    name = path.stem.rpartition("-")[0]
    assert last_execution(run(name)) == load_history(path)


def test_code_that_differs_is_found_and_a_broken_line_is_named(tmp_path: Path) -> None:
    async def edited(ctx: Any, n: int) -> int:
        await ctx.call_activity("triple", n)
        return n

    path = next(one for one in HISTORIES if one.stem.startswith("chain"))
    with pytest.raises(NonDeterminismError, match="activity 'double'"):
        replay(load_history(path), edited)
    broken = tmp_path / "broken.jsonl"
    broken.write_text(path.read_text() + '{"kind": "Nothing"}\n')
    with pytest.raises(ValueError, match=r"line \d+, is no history event"):
        load_history(broken)


def test_an_open_history_tells_what_is_waited_for() -> None:
    path = next(one for one in HISTORIES if one.stem.startswith("race"))
    report = replay(load_history(path)[:2], program_of(path))
    assert report.status is None
    assert report.awaited_events == ("Approval",)
    assert report.open_tasks == (1,)
