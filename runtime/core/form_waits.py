"""The forms of an execution: which are open, and what its history must be told of that.

It is looked at once a turn, after the code has run: whatever came and went within one turn is
told to nobody. So replay needs no forms; it finds what is open by running the code, and adds a
note only where history says something else, as it does after the code was mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

from .asked_forms import AskedForm
from .errors import WaitTimeoutError
from .events import Event, EventFormClosed, EventFormOpened, HistoryEvent
from .tasks import CancellableTask, Task

__all__ = ["FormWaits"]

_State = Literal["", "open", "answered", "expired", "withdrawn"]


class _FormWait:
    """A wait that has a form.

    Attributes:
        told: The state that history knows.
        has_lost: Whether it ever lost a `when_any`.
    """

    __slots__ = ("form", "form_id", "has_lost", "name", "since", "task", "told", "until")

    def __init__(
        self,
        name: str,
        form_id: str,
        form: AskedForm,
        since: datetime,
        until: datetime | None,
        task: CancellableTask[object],
    ) -> None:
        self.name = name
        self.form_id = form_id
        self.form = form
        self.since = since
        self.until = until
        self.task = task
        self.told: _State = ""
        self.has_lost = False

    def state(self) -> _State:
        self.has_lost = self.has_lost or self.task.has_lost
        if not self.task.is_complete:
            return "expired" if self.task.has_lost else "open"
        if self.task.is_cancelled:
            return "expired" if self.has_lost else "withdrawn"
        # Not the task's own: the value need not be decoded to know.
        is_late = isinstance(Task.get_exception(self.task), WaitTimeoutError)
        return "expired" if is_late else "answered"


class FormWaits:
    """The waits of one execution that have forms."""

    def __init__(self) -> None:
        self._waits: list[_FormWait] = []
        self._count = 0

    def add(
        self,
        name: str,
        execution_id: str,
        form: AskedForm,
        since: datetime,
        until: datetime | None,
        task: CancellableTask[object],
    ) -> None:
        """Take note of a wait that has a form."""
        self._count += 1
        form_id = f"{execution_id}:{self._count}"
        self._waits.append(_FormWait(name, form_id, form, since, until, task))

    def taker_of(self, form_id: str, name: str) -> CancellableTask[object] | None:
        """Return the task that waits for the answer to a form; None where none does any more."""
        for wait in self._waits:
            if wait.form_id == form_id and wait.name.casefold() == name.casefold():
                return None if wait.task.is_complete else wait.task
        return None

    def let_go(self) -> None:
        """Forget all waits; for an execution that has ended."""
        self._waits = []

    def remember(self, history: Iterable[HistoryEvent]) -> None:
        """Take note of what a history says of the forms that its replay has found."""
        told: dict[str, tuple[_State, AskedForm]] = {}
        for event in history:
            if isinstance(event, EventFormOpened):
                told[event.form_id] = ("open", event.form)
            elif isinstance(event, EventFormClosed) and event.form_id in told:
                told[event.form_id] = (event.outcome, told[event.form_id][1])
        for wait in self._waits:
            state, form = told.get(wait.form_id, ("", wait.form))
            wait.told = state if form == wait.form else ""

    def tell(self, now: datetime, note: Callable[[Event], None]) -> None:
        """Note what has changed since the last time.

        Args:
            now: The present (naive UTC).
            note: Adds a note to the history.
        """
        if not self._waits:
            return
        for wait in self._waits:
            state = wait.state()
            if state == wait.told:
                continue
            if state == "open":
                note(
                    EventFormOpened(
                        timestamp=now,
                        name=wait.name,
                        form_id=wait.form_id,
                        form=wait.form,
                        since=wait.since,
                        until=wait.until,
                    )
                )
            elif wait.told == "open" and state:
                note(
                    EventFormClosed(
                        timestamp=now, name=wait.name, form_id=wait.form_id, outcome=state
                    )
                )
            wait.told = state
        self._waits = [wait for wait in self._waits if not wait.task.is_complete]
