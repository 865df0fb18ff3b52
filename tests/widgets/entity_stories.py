"""Entities that things have happened to, as a host tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ipydurable.runtime.core.events import (
    Event,
    LockAcquired,
    LockOwner,
    LockReleased,
    LockRequested,
    OperationDone,
    OperationRequested,
)
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.records import EntityRecord, fold_entity
from ipydurable.runtime.ports import EntityUpdate
from ipydurable.widgets import EntityModel

START = datetime(2026, 11, 21, 9, 0, 0)

__all__ = ["START", "EntityStory", "account", "busy", "flooded", "fresh", "model_of", "portfolio"]


class EntityStory:
    """Rows of one entity, each at a second of its own."""

    def __init__(self, entity_id: str) -> None:
        self.entity_id = entity_id
        self.rows: list[tuple[int, int, Any]] = []
        self.now = START
        self._seq = 0
        self._seqs: list[int] = []

    def ask(self, operation: str, value: Any = None, sender: str = "", **more: Any) -> int:
        """Have an operation asked for; returns the number of the message."""
        event = OperationRequested(
            timestamp=self.now,
            entity_id=self.entity_id,
            operation=operation,
            input=None if value is None else to_json(value),
            sender=sender,
            **more,
        )
        return self._add(event, 0, is_history=False)

    def do(
        self,
        operation: str,
        value: Any = None,
        *,
        sender: str = "",
        result: Any = None,
        state: Any = ...,
        error: str = "",
        took: float = 0.02,
        wait: float = 1.0,
    ) -> None:
        """Have an operation asked for, and done at once."""
        ref = self.ask(operation, value, sender)
        self.done(ref, operation, result=result, state=state, error=error, took=took, sender=sender)
        self.now += timedelta(seconds=wait)

    def done(
        self,
        ref: int,
        operation: str,
        *,
        result: Any = None,
        state: Any = ...,
        error: str = "",
        took: float = 0.02,
        sender: str = "",
    ) -> None:
        """Have what was asked for be done."""
        began = self.now
        self.now += timedelta(seconds=took)
        event = OperationDone(
            timestamp=self.now,
            operation=operation,
            result=None if result is None else to_json(result),
            failure=FailureDetails(error_type="ValueError", message=error) if error else None,
            started_at=began,
            sender=sender,
            sets_state=state is not ...,
            state=None if state is ... or state is None else to_json(state),
        )
        self._add(event, ref)

    def lock(self, owner: str) -> int:
        """Have a critical section ask for the lock."""
        event = LockRequested(timestamp=self.now, entity_id=self.entity_id, owner=section(owner))
        return self._add(event, 0, is_history=False)

    def acquire(self, ref: int, owner: str) -> None:
        """Have it get the lock."""
        self._add(LockAcquired(timestamp=self.now, owner=section(owner)), ref)

    def release(self, owner: str) -> None:
        """Have it give the lock back."""
        self._add(LockReleased(timestamp=self.now, owner=section(owner)), 0)

    def updates(self, *cuts: int) -> Iterator[EntityUpdate]:
        """Yield what a follower is told who begins after `cuts[0]` rows: then row by row."""
        ends = [*cuts, len(self.rows)] if cuts else [len(self.rows)]
        begin = 0
        for number, end in enumerate(ends):
            rows = self.rows[begin:end]
            yield EntityUpdate(
                record=self.record(end),
                events=list(rows),
                now=self.now,
                is_whole=number == 0,
            )
            begin = end

    def record(self, end: int) -> EntityRecord | None:
        """Return its record after so many rows."""
        record: EntityRecord | None = None
        for (_, _, event), seq in zip(self.rows[:end], self._seqs[:end], strict=True):
            record = fold_entity(record, 7, seq, event)
        return record

    def _add(self, event: Event, ref: int, *, is_history: bool = True) -> int:
        self._seq += is_history
        self._seqs.append(self._seq if is_history else 0)
        self.rows.append((len(self.rows) + 1, ref, event))
        return len(self.rows)


def section(owner: str) -> LockOwner:
    """Return a critical section of an orchestration."""
    return LockOwner(instance_id=owner, execution_id="e", lock_id=1)


def to_json(value: Any) -> str:
    """Return JSON."""
    return msgspec.json.encode(value).decode()


def model_of(story: EntityStory, *cuts: int, title: str = "", **more: Any) -> EntityModel:
    """Return the model that was told a story."""
    model = EntityModel(title or story.entity_id, msgspec.json.decode, **more)
    for update in story.updates(*cuts):
        model.apply(update)
    return model


def account() -> EntityStory:
    """An account that was paid into, with an operation that failed, and an orchestration."""
    story = EntityStory("@account@alice")
    owner = {"owner": "Alice Ito"}
    story.do("open", "Alice Ito", state={"balance": 0, "history": [], **owner})
    story.do("deposit", 120, result=120, state={"balance": 120, "history": [120], **owner})
    story.do("withdraw", 500, sender="transfer-7f3a", error="insufficient funds: 120 < 500")
    story.do("get", result=120)
    story.do(
        "withdraw",
        20,
        sender="transfer-81bc",
        result=100,
        state={"balance": 100, "history": [120, -20], **owner},
    )
    story.now += timedelta(seconds=4)
    return story


def busy() -> EntityStory:
    """An account that is locked, with critical sections and operations that wait."""
    story = account()
    story.acquire(story.lock("transfer-9d21"), "transfer-9d21")
    state = {"balance": 60, "history": [120, -20, -40], "owner": "Alice Ito"}
    story.do("withdraw", 40, sender="transfer-9d21", result=60, state=state)
    for number in range(3):
        story.lock(f"transfer-a{number}00")
        story.now += timedelta(seconds=3)
    story.ask("deposit", 10)
    story.ask("deposit", 15, sender="@payroll@acme")
    story.ask("interest", 0.02, scheduled_at=story.now + timedelta(hours=5))
    story.now += timedelta(seconds=61)
    return story


def flooded(count: int = 3000) -> EntityStory:
    """A counter that was added to in batches, and has a backlog."""
    story = EntityStory("@counter@hits")
    total = 0
    for _ in range(count // 100):
        refs = [story.ask("add", 1) for _ in range(100)]
        for ref in refs[:-1]:
            story.done(ref, "add", took=0)
        total += 100
        story.done(refs[-1], "add", state={"value": total}, took=0)
        story.now += timedelta(seconds=1)
    for _ in range(40):
        story.ask("add", 1)
    story.now += timedelta(seconds=2)
    return story


def portfolio() -> EntityStory:
    """An entity with much state: nested, long, with long texts."""
    story = EntityStory("@portfolio@growth")
    positions = {
        f"CH{n:010}": {"shares": n * 7, "prices": [n + k / 10 for k in range(60)]}
        for n in range(60)
    }
    state = {
        "name": "Growth 2030 <b>not bold</b>",
        "notes": "Rebalance quarterly. " * 80,
        "positions": positions,
        "limits": {"cash": 0.05, "single": 0.1},
        "tags": ["long", "eq"],
        "path": "/very/long/" + "segment-without-a-break" * 8,
    }
    story.do("load", {"positions": positions}, state=state, took=1.4)
    story.do("rename", "Growth 2030", state={**state, "name": "Growth 2030"})
    story.now += timedelta(seconds=8)
    return story


def fresh() -> EntityStory:
    """An entity that nothing has reached."""
    return EntityStory("@account@new")


ALL: list[Callable[[], EntityStory]] = [account, busy, flooded, portfolio]
