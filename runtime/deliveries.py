"""Messages between instances and from outside: applied at once, later in the step, or kept.

Belongs to the engine and runs in its thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from .core.events import HistoryEvent
from .core.records import InstanceRecord
from .instances import Instance
from .ports import JournalRow, Stream
from .sleepers import Sleepers

if TYPE_CHECKING:
    from .engine import Engine
    from .orchestrations import Orchestrations

__all__ = ["Deliveries"]


class Deliveries:
    """Everything that waits to be applied to an instance.

    A message goes to its instance at once where that can take it, to its inbox where it cannot,
    and waits for the end of the step where code must be read for it, or another instance sent it.
    Batches are closed: whatever is left when one is full is written as rows of inboxes.

    Args:
        engine: Writes the rows.
        orchestrations: Run the code.
    """

    def __init__(self, engine: Engine, orchestrations: Orchestrations) -> None:
        self._engine = engine
        self._orchestrations = orchestrations
        # Messages between instances: to whom, for which execution, what.
        self._local: deque[tuple[str, str, HistoryEvent]] = deque()
        # Whose inbox holds what they can take now.
        self._runnable: deque[Instance] = deque()
        # Of whose turn a part is written only.
        self._unfinished: deque[Instance] = deque()
        # Started together with many others.
        self._to_start: deque[Instance] = deque()
        self._sleepers = Sleepers(engine.store)

    @property
    def has_work(self) -> bool:
        """Whether messages wait that could be applied now."""
        return bool(
            self._local
            or self._runnable
            or self._sleepers
            or ((self._unfinished or self._to_start) and not self._engine.is_behind)
        )

    def deliver(self, instance: Instance, event: HistoryEvent) -> None:
        """Apply a message to an instance, or keep it in its inbox if it cannot take it now."""
        if instance.record.status.is_terminal:
            return
        if not instance.takes_messages or instance.inbox:
            self.park(instance, event)
        elif instance.executor is None and not self._sleepers.are_waking:
            self._sleepers.add(instance, event)
        elif not self._orchestrations.consume(instance, event):
            self.park(instance, event)

    def wake_sleepers(self) -> None:
        """Apply the messages for instances whose code is not in memory."""
        for instance, event in self._sleepers.wake():
            if self._engine.batch_is_full and not instance.record.status.is_terminal:
                self.park(instance, event)
                self.resume_inbox(instance)
            else:
                self.deliver(instance, event)

    def go_on(self) -> None:
        """Write the next part of what code has asked for, where there is more of it."""
        for _ in range(len(self._unfinished)):
            if self._engine.batch_is_full or self._engine.is_behind:
                return
            self._orchestrations.decisions.go_on(self._unfinished.popleft())

    def go_on_later(self, instance: Instance) -> None:
        """Have the rest of what an instance's code asked for be written with the next batches."""
        self._unfinished.append(instance)

    def start_later(self, instance: Instance) -> None:
        """Have an instance that was created start with one of the next batches."""
        self._to_start.append(instance)

    def rows_of(self, record: InstanceRecord) -> list[JournalRow]:
        """Return the durable rows of an instance's present execution."""
        return self._sleepers.rows_of(record)

    def send(self, instance_id: str, event: HistoryEvent, execution_id: str = "") -> None:
        """Queue a message from one instance to another; dropped if that is not live.

        Args:
            instance_id: The receiver.
            event: The message.
            execution_id: The execution it is for; empty for whichever there is.
        """
        self._local.append((instance_id, execution_id, event))

    def _take_local(self) -> tuple[Instance | None, HistoryEvent]:
        """Take the next message; its receiver is None where it is not wanted any more."""
        instance_id, execution_id, event = self._local.popleft()
        target = self._orchestrations.by_id.get(instance_id)
        if target is not None and execution_id not in ("", target.record.execution_id):
            target = None
        return target, event

    def resume_inbox(self, instance: Instance) -> None:
        """Have an instance take what its inbox holds, as far as it can."""
        if instance.inbox:
            self._runnable.append(instance)

    def settle(self) -> None:
        """Apply messages until none is left, or the batch is large enough."""
        while self.has_work:
            if self._sleepers:
                self.wake_sleepers()
            elif self._engine.batch_is_full:
                self._park_local()
                break
            elif self._local:
                target, event = self._take_local()
                if target is not None:
                    self.deliver(target, event)
            elif self._runnable:
                self._sleepers.read_ahead(self._runnable)
                self._take_inbox(self._runnable.popleft())
            elif self._to_start:
                self._orchestrations.start_delayed(self._to_start.popleft())
            else:
                break  # what is unfinished goes on in the next step
        self._sleepers.forget()

    def _take_inbox(self, instance: Instance) -> None:
        while instance.inbox and instance.takes_messages:
            if self._engine.batch_is_full:
                self._runnable.append(instance)
                return
            gseq, event = instance.take()
            # To the code it happens now: what it asks for next is timed from here.
            now = msgspec.structs.replace(event, timestamp=self._engine.now)
            if not self._orchestrations.consume(instance, now, gseq):
                instance.keep(gseq, event, first=True)

    def _park_local(self) -> None:
        while self._local:
            target, event = self._take_local()
            if target is not None:
                self.park(target, event)
                self.resume_inbox(target)

    def park(self, instance: Instance, event: HistoryEvent, ref: int = 0) -> None:
        """Keep a message in an instance's inbox.

        Args:
            instance: The receiver.
            event: The message.
            ref: The row of the inbox in whose place this one is written.
        """
        was_held_back = instance.regains
        gseq = self._engine.write(instance, event, Stream.INBOX, ref)
        instance.keep(gseq, event)
        # What waits in the inbox is settled all the same: it must not be done again.
        instance.note(event)
        if was_held_back and not instance.regains:
            self._engine.rewinder.go_on(instance)
