"""Handles: one instance, as its user sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .client import DurableClient
from .core.errors import OrchestrationFailedError, OrchestrationTerminatedError
from .core.events import HistoryEvent
from .core.failure import FailureDetails
from .core.output import AttemptOutput
from .core.records import InstanceRecord
from .core.status import RuntimeStatus
from .form_handles import FormHandles
from .frames import to_frame
from .history_rows import dump_history
from .ports import InstanceUpdate
from .requests import Migrated
from .task_handles import TaskHandles, tasks_of
from .waits import OpenForm, OpenTask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InstanceHandle"]

_SNAPSHOT_TIMEOUT_S = 60.0


class InstanceHandle:
    """A handle to one orchestration instance; it holds no state but the id.

    `await handle` gives the result; `handle.result()` waits for it in plain code.

    Args:
        client: Reaches the host.
        instance_id: Which instance.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        self._client = client
        self.instance_id = instance_id

    @property
    def record(self) -> InstanceRecord:
        """Everything known of the instance but its history."""
        return self._client.get(self.instance_id)

    @property
    def status(self) -> RuntimeStatus:
        """Its status now."""
        return self.record.status

    @property
    def name(self) -> str:
        """The orchestrator's name."""
        return self.record.name

    @property
    def input(self) -> Any:
        """Its input; None where none was given."""
        return self._client.decode(self.record.input)

    @property
    def output(self) -> Any:
        """Its output so far: None until it has completed."""
        return self._client.decode(self.record.output)

    @property
    def custom_status(self) -> Any:
        """What its code last set with `set_custom_status`."""
        return self._client.decode(self.record.custom_status)

    @property
    def failure(self) -> FailureDetails | None:
        """Why it failed, or why it was parked; else None."""
        return self.record.failure

    @property
    def traceback(self) -> str:
        """The whole traceback of its failure, with all causes; empty where there is none."""
        failure = self.failure
        return "\n".join(failure.explain()) if failure is not None else ""

    def wait(self, timeout: float | None = None) -> RuntimeStatus:
        """Wait until it has ended, well or not.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Returns:
            The final status.

        Raises:
            OrchestrationParkedError: Its code cannot go on until it is mended and resumed.
            WaitTimeoutError: It has not ended by then.
        """
        return self._client.wait(self.instance_id, timeout).status

    def wait_for_start(self, timeout: float | None = None) -> RuntimeStatus:
        """Wait until it has started: until it is no longer pending.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Returns:
            The status it has then.

        Raises:
            WaitTimeoutError: It has not started by then.
        """
        return self._client.wait_for_start(self.instance_id, timeout).status

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Raises:
            OrchestrationFailedError: It failed; carries the failure.
            OrchestrationParkedError: Its code cannot go on until it is mended and resumed.
            OrchestrationTerminatedError: It was terminated.
            WaitTimeoutError: It has not ended by then.
        """
        return self._outcome(self._client.wait(self.instance_id, timeout))

    def __await__(self) -> Generator[Any, None, Any]:
        record = yield from asyncio.wrap_future(
            self._client.completion(self.instance_id)
        ).__await__()
        return self._outcome(record)

    def history(self) -> pd.DataFrame:
        """Return the history as a DataFrame, one row per event, in order.

        Columns: `instance_id`, `execution_id`, `seq`, `timestamp` (UTC), `event_type`, `name`,
        `task_id`, `payload` (JSON text), then what only some events have: `error_type`, `error`,
        and all else as JSON in `details`. `ipydurable.testing.replay` takes it.
        """
        table = self._client.sql(
            "SELECT * EXCLUDE (gseq, iid) FROM history WHERE instance_id = $instance_id"
            " ORDER BY seq",
            {"instance_id": self.record.instance_id},
        )
        return to_frame(table)

    def events(self) -> list[HistoryEvent]:
        """Return the present execution's history events; `ipydurable.testing` takes them."""
        return [event for _, event in self._snapshot().events]

    def __getitem__(self, name: str) -> TaskHandles:
        """Return the calls of an activity in the present execution, in order.

        `run["fetch"][3].output` is what the fourth call has printed, `.show()` shows it as a cell
        would; `.input`, `.result`, `.failure` and `.attempts` are what they say.

        Args:
            name: The activity.

        Raises:
            KeyError: There is no call of it; lists the activities that were called.
        """
        return tasks_of(self._client, self._snapshot(), str(name), self._show_output)

    def _show_output(self, output: AttemptOutput) -> None:
        print(output.text, end="")  # noqa: T201 - this is what was asked for

    def _snapshot(self) -> InstanceUpdate:
        """Return everything about it, as of now."""
        told: Future[InstanceUpdate] = Future()

        def tell(update: InstanceUpdate) -> None:
            if not told.done():
                told.set_result(update)

        end = self._client.subscribe(self.instance_id, tell)
        try:
            return told.result(timeout=_SNAPSHOT_TIMEOUT_S)
        finally:
            end()

    def export_history(self, path: str | Path) -> None:
        """Write the history of the present execution to a file for `ipydurable.testing.replay`."""
        dump_history(self.events(), path)

    @property
    def waiting_for(self) -> list[OpenTask]:
        """What it waits for: open activities, sub-orchestrations, timers, external events."""
        return self._client.open_tasks([self.instance_id]).get(self.instance_id, [])

    @property
    def forms(self) -> FormHandles:
        """The forms that it waits for somebody to fill in, oldest first.

        `run.forms.submit(approved=True)` answers the only one, `run.forms["approval"]` is the one
        of that event.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        record = self.record
        found = self._client.forms([record.instance_id])
        return self._form_handles(found, f" for {record.instance_id!r}")

    def _form_handles(self, forms: list[OpenForm], whose: str) -> FormHandles:
        return FormHandles(self._client, forms, whose)

    def raise_event(self, name: str, data: Any = None) -> None:
        """Raise an external event at it; dropped if it has finished.

        Where a form asks for it, this answers the form: what does not fit is refused.

        Raises:
            FormAnswerError: The data does not fit the form; says what is wrong.
        """
        self._client.raise_event(self.instance_id, name, data)

    def suspend(self, reason: str = "") -> None:
        """Suspend it: what reaches it waits until it is resumed."""
        self._client.suspend(self.instance_id, reason)

    def resume(self, reason: str = "") -> None:
        """Resume it."""
        self._client.resume(self.instance_id, reason)

    def terminate(self, output: Any = None, *, recursive: bool = True) -> None:
        """End it now, with its sub-orchestrations; its running activities are stopped."""
        self._client.terminate(self.instance_id, output, recursive=recursive)

    def restart(self, *, new_id: bool = False) -> InstanceHandle:
        """Start its orchestrator again with the same input, once it has finished.

        Args:
            new_id: Whether to keep it and start one of a new id; else it is replaced.

        Returns:
            The handle of the new instance.
        """
        return type(self)(self._client, self._client.restart(self.instance_id, new_id=new_id))

    def rewind(self, reason: str = "", *, code: Literal["same", "newest"] = "same") -> None:
        """Take it up again where it failed: what failed is redone, what succeeded is kept.

        Args:
            reason: Why, in words.
            code: `"newest"` goes on with the orchestrator and the activities as they are defined
                now, provided that what happened fits them; `"same"` with those it started with.

        Raises:
            InstanceStateError: It has not failed, or would fail again in the same way, or what
                happened does not fit the newest code.
            ValueError: `code` is something else.
        """
        if code not in ("same", "newest"):
            raise ValueError(f"code is 'same' or 'newest', not {code!r}")
        self._client.rewind(self.instance_id, reason, newest_code=code == "newest")

    def migrate(self, to: int | str | None = None) -> Migrated:
        """Move it, in flight, to another version of its orchestrator.

        Its history is replayed under that version first, and nothing changes unless it fits. It
        then sees the activities and sub-orchestrations of that version's time, too.

        Args:
            to: The version: its number, or the beginning of its content hash; by default the
                newest.

        Returns:
            What it runs now, and what it ran before.

        Raises:
            MigrationError: Its history does not replay under that version; says where they part.
            UnknownVersionError: There is no such version.
            InstanceStateError: It has not started, or has ended.
        """
        return self._client.migrate(self.instance_id, to)

    def purge(self, *, recursive: bool = False) -> int:
        """Delete it, once it has finished; returns how many instances were deleted."""
        return self._client.purge(self.instance_id, recursive=recursive)

    def __repr__(self) -> str:
        return f"<instance {self.instance_id!r}>"

    def _outcome(self, record: InstanceRecord) -> Any:
        self._client.ended(record)
        if record.status is RuntimeStatus.FAILED:
            failure = record.failure or FailureDetails(error_type="Exception", message="unknown")
            raise OrchestrationFailedError(self.instance_id, failure)
        if record.status is RuntimeStatus.TERMINATED:
            output = "" if record.output is None else str(self._client.decode(record.output))
            raise OrchestrationTerminatedError(self.instance_id, output)
        return self._client.decode(record.output)
