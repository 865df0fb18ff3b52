"""The ledger alone: what it says before an execution has begun, and after it has ended."""

from __future__ import annotations

from datetime import datetime

from ipydurable.runtime.core.events import ExecutionCompleted, TimerCreated
from ipydurable.runtime.core.ledger import Ledger
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.core.tasks import CompletableTask

NOW = datetime(2026, 1, 1)
END = ExecutionCompleted(timestamp=NOW, status=RuntimeStatus.COMPLETED)


def timer(ledger: Ledger) -> TimerCreated:
    return TimerCreated(timestamp=NOW, task_id=ledger.next_id, fire_at=NOW)


def test_before_the_start_it_has_no_ids() -> None:
    ledger = Ledger()
    assert (ledger.instance_id, ledger.execution_id, ledger.started) == ("", "", None)


def test_actions_are_numbered_from_one_and_open_until_their_outcome() -> None:
    ledger = Ledger()
    tasks = [CompletableTask("timer") for _ in range(2)]
    for task in tasks:
        ledger.draw(timer(ledger), task)
    assert ledger.open_task_ids == (1, 2)
    assert ledger.settled(1) is tasks[0]
    assert ledger.settled(1) is None
    ledger.forget(2)
    ledger.forget(2)
    assert ledger.open_task_ids == ()


def test_after_the_end_nothing_has_an_effect() -> None:
    ledger = Ledger()
    ledger.end(END)
    ledger.draw(timer(ledger))
    ledger.note(END)
    assert ledger.take() == [END]
    assert ledger.take() == []
    assert ledger.next_id == 1
