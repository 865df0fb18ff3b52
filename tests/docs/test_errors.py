"""The page of errors has every error of ours, with the very words that it says."""

from __future__ import annotations

import re
from typing import Final

import pytest

from ipydurable.runtime.core import errors
from ipydurable.runtime.core.errors import DurableError, FailureDetails
from tests.docs.pages import ROOT, blocks

PAGE: Final = ROOT / "docs" / "troubleshooting.md"
_HEADING: Final = re.compile(r"^#{2,3} (\w+Error)$", re.MULTILINE)

NO_CITY: Final = FailureDetails(error_type="builtins.ValueError", message="no such city")
PARKED: Final = FailureDetails(
    error_type="ipydurable.TurnBlockedError", message=str(errors.TurnBlockedError("line 3", 1.0))
)

SAMPLES: Final[dict[str, DurableError]] = {
    type(one).__name__: one
    for one in (
        errors.DurableInternalError("A task was settled twice"),
        errors.EncodingError("input", "['model'].lock", "lock", "cannot be pickled"),
        errors.DecodingError("The result of fetch", "it was pickled with another key"),
        errors.EffectsError("report", "calls time.time(), line 3", 2, ""),
        errors.NotDurableError("fetch", "db", "Connection", "Open it inside the function."),
        errors.UnknownDefinitionError("activity", "fetsh", ("fetch",)),
        errors.UnknownVersionError("report", "9", (1, 2)),
        errors.TaskFailedError("fetch", 3, NO_CITY),
        errors.TaskCancelledError("the timer (task 2)"),
        errors.ForbiddenCallError(
            "time.time()", "line 3", "the clock has moved on at replay", "ctx.current_utc_datetime"
        ),
        errors.ForeignAwaitableError(
            "coroutine", "line 4", "Await activities; sleep with ctx.create_timer."
        ),
        errors.TurnBlockedError("line 7", 1.0),
        errors.LockRuleError(
            "inside a critical section only locked entities may be called; @account@carol is not "
            "locked: add it to lock_entities, or call it outside"
        ),
        errors.NonDeterminismError(
            "report-1", 2, "activity fetch", "activity load", "line 5", "The code has changed."
        ),
        errors.EntityCallError("Account@alice", "withdraw", NO_CITY),
        errors.EntityOperationError("@account@alice", "deposti", ("deposit", "withdraw")),
        errors.EntityStateError("Account", "balance", "str", "int"),
        errors.UnknownInstanceError("monday", "durable.duckdb", ("monday-1",)),
        errors.FormError(
            "amount",
            "complex is no type of a field: a field is a str, int, float, bool, date, Enum, "
            "Literal or Optional of these, a list of choices, a default, or Field(...)",
        ),
        errors.FormAnswerError("order-1", "approval", {"limit": "a number is wanted, not 'much'"}),
        errors.FormClosedError(
            "order-1", "approval", "it was answered by people.ipynb at 2026-11-27 14:02:03 UTC"
        ),
        errors.InstanceExistsError("monday", "Running"),
        errors.InvalidInstanceIdError("@monday", "ids that begin with @ are those of entities"),
        errors.InstanceStateError("monday", "Completed", "only a failed instance can be rewound"),
        errors.MigrationError(
            "monday", "report v3", 2, "activity fetch", "activity load", "line 5"
        ),
        errors.OrchestrationFailedError("monday", NO_CITY),
        errors.OrchestrationParkedError("monday", PARKED),
        errors.OrchestrationTerminatedError("monday", "no longer needed"),
        errors.WaitTimeoutError("the end of 'monday'", 60.0),
        errors.NotAStoreError("data.duckdb", "it is a DuckDB file that holds other things (sales)"),
        errors.StoreLockedError("durable.duckdb", 4711, "duckdb"),
        errors.StoreUnwritableError("/data/durable.duckdb", "the folder is read-only"),
        errors.StoreVersionError("durable.duckdb", 9, 4),
        errors.StoreDamagedError("durable.duckdb", "its log cannot be read", "Restore a copy."),
        errors.UntrustedStoreError("colleague.duckdb", 3),
        errors.ReadOnlyStoreError("today.parquet", "start an instance"),
        errors.QueryError("SELECT nmae FROM instances", 'column "nmae" not found'),
        errors.HostStartError("durable.duckdb", "it ended with code 1", "ipydurable-1.log"),
        errors.HostGoneError("durable.duckdb", "5 hosts in a row ended over this request; see log"),
        errors.AuthenticationError("its signature does not fit this host's key"),
    )
}
BASES: Final = {
    "DefinitionError",
    "DurableError",
    "EntityError",
    "HostError",
    "InstanceError",
    "OrchestrationError",
    "StoreError",
}


def test_every_error_has_its_place() -> None:
    """No error is missing, and none is described that does not exist."""
    found = _HEADING.findall(PAGE.read_text(encoding="utf-8"))
    assert sorted(found) == sorted(errors.__all__)
    assert SAMPLES.keys() | BASES == set(errors.__all__)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_is_what_the_error_says(name: str) -> None:
    """People look for the words that they see."""
    section = _section(name)
    said = "\n".join(block.text for block in blocks(PAGE) if f"\n{block.text}\n" in section)
    assert " ".join(said.split()) == str(SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_cause_and_cure_are_told(name: str) -> None:
    """Beside what it says, why and what to do."""
    section = _section(name)
    assert "**Why.**" in section
    assert "**What to do.**" in section


def _section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    start = re.search(rf"^#{{2,3}} {name}$", text, re.MULTILINE)
    assert start is not None, name
    rest = text[start.end() :]
    end = re.search(r"^#{2,3} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
