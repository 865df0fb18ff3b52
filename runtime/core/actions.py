"""What orchestrator code can ask for: each call draws an action and gives its task."""

from __future__ import annotations

from datetime import datetime
from sys import intern
from typing import Any

from .code import OrchestratorCode, Resolve
from .context import NO_INPUT
from .entity_ids import EntityInstanceId
from .errors import WaitTimeoutError
from .events import (
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    EventRaised,
    EventSent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from .form_waits import FormWaits
from .forms import asked_form
from .ids import child_instance_id
from .ledger import Ledger
from .locks import CriticalSection, EntityLock, LockTask
from .mailbox import Mailbox
from .payload import Payload
from .races import Races
from .retry import RetryPolicy
from .tasks import CancellableTask, CompletableTask, RetryState, Task, TimerTask

__all__ = ["Actions"]


class Actions:
    """Draws the actions of one execution.

    Args:
        ledger: Numbers and checks them.
        code: Encodes their inputs and decodes their results.
        resolve: What definition names mean to the instance.

    Attributes:
        mailbox: Its external events.
        section: Its critical section.
        forms: The forms of its waits.
        races: What lost a `when_any`.
    """

    def __init__(self, ledger: Ledger, code: OrchestratorCode, resolve: Resolve) -> None:
        self._ledger = ledger
        self._code = code
        self._resolve = resolve
        self.mailbox = Mailbox()
        self.section = CriticalSection()
        self.forms = FormWaits()
        self.races = Races()

    def schedule_activity(
        self, name: str, value: Any, policy: RetryPolicy | None, tags: dict[str, str]
    ) -> CompletableTask[Any]:
        """Draw a `TaskScheduled` and return its task."""
        resolved = self._resolve("activity", name)
        payload = self.encode(value, f"input of {name}")
        policy = policy or resolved.retry_policy
        first_id = self._ledger.next_id

        def schedule() -> None:
            task_id = self._ledger.next_id
            # A retry takes the code that the instance may have adopted meanwhile.
            meant = resolved if task_id == first_id else self._resolve("activity", name)
            self._ledger.draw(
                TaskScheduled(
                    timestamp=self._ledger.now,
                    task_id=task_id,
                    name=name,
                    version=meant.version,
                    input=payload,
                    origin=0 if task_id == first_id else first_id,
                    tags=tags,
                ),
                task,
            )

        task: CompletableTask[Any] = CompletableTask(intern(f"activity {name}"), name, first_id)
        if policy is not None and policy.max_number_of_attempts > 1:
            task.retry = RetryState(policy, first_id, self._ledger.now, schedule)
        schedule()
        return task

    def start_sub_orchestration(
        self,
        name: str,
        value: Any,
        instance_id: str | None,
        policy: RetryPolicy | None,
        tags: dict[str, str],
    ) -> CompletableTask[Any]:
        """Draw a `SubOrchestrationInstanceCreated` and return its task."""
        self.section.check_sub_orchestration()
        resolved = self._resolve("orchestrator", name)
        payload = self.encode(value, f"input of {name}")
        first_id = self._ledger.next_id

        def start() -> None:
            task_id = self._ledger.next_id
            self._ledger.draw(
                SubOrchestrationInstanceCreated(
                    timestamp=self._ledger.now,
                    task_id=task_id,
                    instance_id=instance_id
                    or child_instance_id(self._ledger.execution_id, task_id),
                    name=name,
                    version=resolved.version,
                    input=payload,
                    origin=0 if task_id == first_id else first_id,
                    explicit_id=instance_id is not None,
                    tags=tags,
                ),
                task,
            )

        task: CompletableTask[Any] = CompletableTask(
            intern(f"sub-orchestration {name}"), name, first_id
        )
        if policy is not None and policy.max_number_of_attempts > 1:
            task.retry = RetryState(policy, first_id, self._ledger.now, start)
        start()
        return task

    def create_timer(self, fire_at: datetime) -> TimerTask:
        """Draw a `TimerCreated` and return its task."""
        task_id = self._ledger.next_id
        task = TimerTask("timer", lambda _: self._ledger.forget(task_id), fire_at, task_id)
        self._ledger.draw(
            TimerCreated(timestamp=self._ledger.now, task_id=task_id, fire_at=fire_at),
            task,
        )
        return task

    def wait_for_event(
        self, name: str, deadline: datetime | None, form: Any = None
    ) -> CancellableTask[Any]:
        """Return the task of the next external event of that name; people are asked for it."""
        asked = None if form is None else asked_form(form, self._code.namespace)
        task: CancellableTask[Any] = CancellableTask(
            f"wait for event {name!r}", lambda task: self.mailbox.withdraw(name, task)
        )
        if self._ledger.is_closed:
            return task
        event = self.mailbox.take(name, task, self._ledger.now)
        if event is not None:
            self.give(task, event.input)
            return task
        if asked is not None:
            self.forms.add(name, self._ledger.execution_id, asked, self._ledger.now, deadline, task)
        if deadline is not None:
            self._limit(task, name, deadline)
        return task

    def take_event(self, event: EventRaised) -> None:
        """Give an event that arrived to whoever waits for it, or keep it."""
        taker = self.forms.taker_of(event.form_id, event.name) if event.form_id else None
        if taker is not None:
            self.mailbox.withdraw(event.name, taker)
        else:
            taker = self.mailbox.put(event)
        if taker is not None:
            self.give(taker, event.input)

    def send_event(self, instance_id: str, name: str, data: Any) -> None:
        """Draw an `EventSent`."""
        payload = None if data is None else self.encode(data, f"data of event {name!r}")
        self._ledger.draw(
            EventSent(
                timestamp=self._ledger.now,
                task_id=self._ledger.next_id,
                instance_id=instance_id,
                name=name,
                input=payload,
            )
        )

    def call_entity(
        self, entity: EntityInstanceId, operation: str, value: Any
    ) -> CompletableTask[Any]:
        """Draw an `EntityOperationCalled` and return its task."""
        payload = self.encode(value, f"input of {operation} on {entity}")
        task_id = self._ledger.next_id
        self.section.check_call(entity, task_id)
        name = f"{operation} on {entity}"
        task: CompletableTask[Any] = CompletableTask(f"call of {name}", name, task_id)
        task.watch(lambda _: self.section.call_ended(entity, task_id))
        self._ledger.draw(
            EntityOperationCalled(
                timestamp=self._ledger.now,
                task_id=task_id,
                entity_id=str(entity),
                operation=operation,
                input=payload,
            ),
            task,
        )
        return task

    def signal_entity(
        self, entity: EntityInstanceId, operation: str, value: Any, at: datetime | None
    ) -> None:
        """Draw an `EntityOperationSignaled`."""
        payload = self.encode(value, f"input of {operation} on {entity}")
        self.section.check_signal(entity)
        self._ledger.draw(
            EntityOperationSignaled(
                timestamp=self._ledger.now,
                task_id=self._ledger.next_id,
                entity_id=str(entity),
                operation=operation,
                input=payload,
                scheduled_at=at,
            )
        )

    def lock_entities(self, entities: tuple[EntityInstanceId, ...]) -> LockTask:
        """Draw an `EntityLockRequested` and return its task."""
        task_id = self._ledger.next_id
        if not self._ledger.is_closed:
            self.section.request(task_id, entities)
        lock = EntityLock(entities, lambda: self.unlock(task_id))
        task = LockTask("locks", lock, task_id)
        self._ledger.draw(
            EntityLockRequested(
                timestamp=self._ledger.now,
                task_id=task_id,
                entity_ids=tuple(map(str, entities)),
            ),
            task,
        )
        return task

    def unlock(self, lock_id: int) -> None:
        """Draw an `EntityUnlockSent` for each lock of the critical section, if it is this one."""
        if self._ledger.is_closed or self.section.lock_id != lock_id:
            return
        for entity in self.section.unreleased:
            self._ledger.draw(
                EntityUnlockSent(
                    timestamp=self._ledger.now,
                    task_id=self._ledger.next_id,
                    entity_id=str(entity),
                    lock_id=lock_id,
                )
            )
        self.section.release()

    def let_go(self) -> None:
        """Forget all that waits; for an execution that has ended."""
        self.mailbox.let_go()
        self.forms.let_go()
        self.races.let_go()

    def encode(self, value: Any, where: str) -> Payload | None:
        """Return the payload of a value; None for NO_INPUT."""
        return None if value is NO_INPUT else self._code.encode(value, where)

    def give(self, task: CompletableTask[Any], payload: Payload | None) -> None:
        """Settle a task with a result, decoded when it is asked for."""
        task.complete(payload, self._code.decode)

    def _limit(self, task: CancellableTask[Any], name: str, deadline: datetime) -> None:
        timer = self.create_timer(deadline)
        waited_s = (deadline - self._ledger.now).total_seconds()

        def on_timer(fired: Task[Any]) -> None:
            if fired.get_exception() is None and not task.is_complete:
                self.mailbox.withdraw(name, task)
                task.fail(WaitTimeoutError(f"event {name!r}", waited_s))

        def on_settled(_: Task[Any]) -> None:
            timer.cancel()

        timer.watch(on_timer)
        task.watch(on_settled)
