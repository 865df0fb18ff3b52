"""Runs one execution of an orchestrator: history and new events in, decisions out.

Pure: no I/O, no clock, no thread. Each incoming event is applied and the code driven to its next
wait before the next event is looked at, so it does not matter where a sequence of events is cut
into history and news. A live executor is simply one that is kept; replaying its history gives an
equal one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from .code import OrchestratorCode, Resolve
from .context import NO_INPUT, OrchestrationContext, _current
from .determinism import compare, describe, error_for
from .driver import Driver, ReplaySignal, is_drivable, user_line
from .errors import NonDeterminismError, TaskFailedError, WaitTimeoutError
from .events import (
    CustomStatusSet,
    DecisionEvent,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityUnlockSent,
    Event,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from .failure import FailureDetails, resolve_exception_class
from .ids import child_instance_id
from .mailbox import Mailbox
from .payload import Payload
from .retry import RetryPolicy
from .rewind import effective_history
from .status import RuntimeStatus
from .tasks import (
    CancellableTask,
    CompletableTask,
    RetryState,
    Task,
    TimerTask,
    failed_task_ids,
)

__all__ = ["OrchestrationExecutor"]

_NUMBERED: Final = (
    TaskScheduled,
    SubOrchestrationInstanceCreated,
    TimerCreated,
    EventSent,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityLockRequested,
    EntityUnlockSent,
)
_HIDDEN: Final = (
    "runtime/core/driver.py",
    "runtime/core/tasks.py",
    "runtime/core/code.py",
    "runtime/core/executor.py",
    "runtime/core/context.py",
)


class OrchestrationExecutor:
    """One execution of one instance.

    Args:
        code: The orchestrator version it runs.
        resolve: What definition names mean to this instance.

    Attributes:
        now: Time of the event being applied (naive UTC).
        is_replaying: Whether the event being applied is history.
        completion: How the execution ended; None while it goes on.
        carried_over: External events nobody took, for the next execution.
        warnings: Harmless differences found by replay, one sentence each.
        ignored: How many results arrived for tasks that were not open.
        steps: How often the code was begun or sent on; stands still while it runs.
    """

    def __init__(self, code: OrchestratorCode, resolve: Resolve) -> None:
        self._code = code
        self._resolve = resolve
        self._started: ExecutionStarted | None = None
        self._context: OrchestrationContext | None = None
        self._main: Task[Any] | None = None
        self._drivers: list[Driver] = []
        self._ready: deque[tuple[Driver, Task[Any] | None]] = deque()
        self._open: dict[int, CompletableTask[Any]] = {}
        self._task_names: dict[int, str] = {}
        self._mailbox = Mailbox()
        self._next_id = 1
        self._expected: dict[int, DecisionEvent] = {}
        self._decisions: list[Event] = []
        self._continue_as_new: tuple[Payload | None, bool] | None = None
        self._difference: NonDeterminismError | None = None
        self._closed = False
        self.now: datetime = datetime.min
        self.is_replaying = False
        self.completion: ExecutionCompleted | None = None
        self.carried_over: list[EventRaised] = []
        self.warnings: list[str] = []
        self.ignored = 0
        self.steps = 0

    def replay(self, history: Iterable[HistoryEvent]) -> None:
        """Apply history; the code must draw the same actions again.

        What it draws beyond the end of history is new: `take_decisions` gives it.

        Args:
            history: All events of the execution so far, in order.

        Raises:
            NonDeterminismError: The code does something else; says where.
        """
        events = effective_history(history)
        self._expected = {e.task_id: e for e in events if isinstance(e, _NUMBERED)}
        self.is_replaying = True
        ended: ExecutionCompleted | None = None
        try:
            for event in events:
                if isinstance(event, ExecutionCompleted):
                    ended = event
                elif self.completion is None:
                    self.process(event)
        finally:
            self.is_replaying = False
        self._check_replayed(ended)
        if ended is not None:
            self._decisions.clear()

    def process(self, event: HistoryEvent) -> None:
        """Apply one incoming event and drive the code on; other events are ignored.

        Raises:
            NonDeterminismError: Only while replaying.
        """
        handler = _HANDLERS.get(type(event))
        if handler is None or self._closed:
            return
        self.now = event.timestamp
        handler(self, event)
        self._run()

    def take_decisions(self) -> list[Event]:
        """Return the decision events and notes since the last call, in order."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def is_open(self, task_id: int) -> bool:
        """Whether something still waits for the outcome of this action."""
        return task_id in self._open

    @property
    def open_task_ids(self) -> tuple[int, ...]:
        """Action ids whose outcome is still to come."""
        return tuple(self._open)

    @property
    def awaited_events(self) -> tuple[str, ...]:
        """Names of the external events the code waits for."""
        return self._mailbox.awaited

    def waiting_line(self) -> str:
        """Return `file:line` of the user's line that waits; empty if none does."""
        return self._main.waiting_line() if isinstance(self._main, Driver) else ""

    def close(self) -> None:
        """End the suspended code at once; calls it makes while ending have no effect."""
        self._closed = True
        self._ready.clear()
        for driver in self._drivers:
            if not driver.is_complete:
                driver.close()

    # What the context calls.

    def input_value(self) -> Any:
        """Return the decoded input; None where none was given."""
        value = self._decoded_input()
        return None if value is NO_INPUT else value

    def set_custom_status(self, status: Any) -> None:
        """Record the custom status."""
        payload = None if status is None else self._code.converter.encode(status, "custom status")
        if not self.is_replaying and not self._closed:
            self._decisions.append(CustomStatusSet(timestamp=self.now, status=payload))

    def schedule_activity(
        self, name: str, value: Any, policy: RetryPolicy | None, tags: dict[str, str]
    ) -> CompletableTask[Any]:
        """Draw a `TaskScheduled` and return its task."""
        resolved = self._resolve("activity", name)
        payload = self._encode(value, f"input of {name}")
        policy = policy or resolved.retry_policy
        first_id = self._next_id

        def schedule() -> None:
            task_id = self._next_id
            self._draw(
                TaskScheduled(
                    timestamp=self.now,
                    task_id=task_id,
                    name=name,
                    version=resolved.version,
                    input=payload,
                    origin=0 if task_id == first_id else first_id,
                    tags=tags,
                ),
                name,
                task,
            )

        task: CompletableTask[Any] = CompletableTask(f"activity {name} (task {first_id})")
        if policy is not None and policy.max_number_of_attempts > 1:
            task.retry = RetryState(policy, first_id, self.now, schedule)
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
        resolved = self._resolve("orchestrator", name)
        payload = self._encode(value, f"input of {name}")
        first_id = self._next_id

        def start() -> None:
            task_id = self._next_id
            self._draw(
                SubOrchestrationInstanceCreated(
                    timestamp=self.now,
                    task_id=task_id,
                    instance_id=instance_id or child_instance_id(self._execution_id, task_id),
                    name=name,
                    version=resolved.version,
                    input=payload,
                    origin=0 if task_id == first_id else first_id,
                    explicit_id=instance_id is not None,
                    tags=tags,
                ),
                name,
                task,
            )

        task: CompletableTask[Any] = CompletableTask(f"sub-orchestration {name} (task {first_id})")
        if policy is not None and policy.max_number_of_attempts > 1:
            task.retry = RetryState(policy, first_id, self.now, start)
        start()
        return task

    def create_timer(self, fire_at: datetime) -> TimerTask:
        """Draw a `TimerCreated` and return its task."""
        task_id = self._next_id
        task = TimerTask(f"timer (task {task_id})", lambda: self._forget(task_id), fire_at)
        self._draw(
            TimerCreated(timestamp=self.now, task_id=task_id, fire_at=fire_at), "timer", task
        )
        return task

    def wait_for_event(self, name: str, deadline: datetime | None) -> CancellableTask[Any]:
        """Return the task of the next external event of that name."""
        task: CancellableTask[Any] = CancellableTask(
            f"wait for event {name!r}", lambda: self._mailbox.withdraw(name, task)
        )
        if self._closed:
            return task
        event = self._mailbox.take(name, task)
        if event is not None:
            self._give(task, event.input)
        elif deadline is not None:
            self._limit(task, name, deadline)
        return task

    def send_event(self, instance_id: str, name: str, data: Any) -> None:
        """Draw an `EventSent`."""
        payload = None if data is None else self._encode(data, f"data of event {name!r}")
        self._draw(
            EventSent(
                timestamp=self.now,
                task_id=self._next_id,
                instance_id=instance_id,
                name=name,
                input=payload,
            )
        )

    def continue_as_new(self, value: Any, save_events: bool) -> None:
        """Have the execution end as continued once the code returns or waits."""
        self._continue_as_new = (self._encode(value, "input of continue_as_new"), save_events)

    def spawn(self, code: Coroutine[Any, Any, Any]) -> Task[Any]:
        """Start a coroutine beside the main one; it runs when the present one waits."""
        name = getattr(code, "__qualname__", "coroutine")
        driver = Driver(f"coroutine {name}", code, self._wake)
        self._drivers.append(driver)
        self._ready.append((driver, None))
        return driver

    # Driving.

    @property
    def _execution_id(self) -> str:
        return self._started.execution_id if self._started else ""

    @property
    def _instance_id(self) -> str:
        return self._started.instance_id if self._started else ""

    def _wake(self, driver: Driver, task: Task[Any]) -> None:
        self._ready.append((driver, task))

    def _run(self) -> None:
        token = _current.set(self._context)
        try:
            while self._ready and not self._closed:
                driver, task = self._ready.popleft()
                self.steps += 1
                driver.resume(task)
                if self._difference is not None:
                    raise self._difference
        except ReplaySignal:
            if self._difference is not None:
                raise self._difference from None
            raise
        finally:
            _current.reset(token)
        main = self._main
        if main is not None and self.completion is None and not self._closed:
            if main.is_complete:
                self._finish(main)
            elif self._continue_as_new is not None:
                self._finish_as_new()

    def _finish(self, main: Task[Any]) -> None:
        error = main.get_exception()
        if error is None and self._continue_as_new is not None:
            self._finish_as_new()
            return
        result: Payload | None = None
        if error is None:
            value = main.get_result()
            try:
                result = None if value is None else self._code.converter.encode(value, "result")
            except Exception as unencodable:  # noqa: BLE001  (whatever a user's class raises)
                error = unencodable
        if error is None:
            self._complete(RuntimeStatus.COMPLETED, result)
        else:
            failure = FailureDetails.from_exception(error, hide=_HIDDEN)
            self._complete(RuntimeStatus.FAILED, None, failure, failed_task_ids(error))

    def _finish_as_new(self) -> None:
        assert self._continue_as_new is not None
        payload, save_events = self._continue_as_new
        self.carried_over = self._mailbox.untaken() if save_events else []
        self._complete(RuntimeStatus.CONTINUED_AS_NEW, payload)

    def _complete(
        self,
        status: RuntimeStatus,
        result: Payload | None = None,
        failure: FailureDetails | None = None,
        failed_tasks: frozenset[int] = frozenset(),
    ) -> None:
        self.completion = ExecutionCompleted(
            timestamp=self.now,
            status=status,
            result=result,
            failure=failure,
            abandoned=tuple(self._open),
            failed_tasks=tuple(sorted(failed_tasks)),
        )
        self._decisions.append(self.completion)
        self.close()

    # Actions.

    def _encode(self, value: Any, where: str) -> Payload | None:
        return None if value is NO_INPUT else self._code.converter.encode(value, where)

    def _draw(
        self, event: DecisionEvent, name: str = "", task: CompletableTask[Any] | None = None
    ) -> None:
        """Record what the code asks for, or check it against what history recorded."""
        if self._closed:
            return
        task_id = self._next_id
        self._next_id += 1
        if task is not None:
            self._open[task_id] = task
            self._task_names[task_id] = name
        recorded = self._expected.pop(task_id, None) if self._expected else None
        if recorded is None:
            self._decisions.append(event)
            return
        difference = compare(recorded, event)
        if difference.is_fatal:
            self._difference = error_for(
                self._instance_id, task_id, describe(recorded), describe(event), user_line()
            )
            raise ReplaySignal
        if difference.what:
            self.warnings.append(f"action {task_id}: {difference.what} ({user_line()})")

    def _check_replayed(self, ended: ExecutionCompleted | None) -> None:
        if self._expected:
            task_id = min(self._expected)
            did = (
                f"ended as {self.completion.status} before it"
                if self.completion
                else "waits without having asked for it"
            )
            raise error_for(
                self._instance_id,
                task_id,
                describe(self._expected[task_id]),
                did,
                self.waiting_line(),
            )
        if ended is None or ended.status is RuntimeStatus.TERMINATED:
            return
        if self.completion is None or self.completion.status is not ended.status:
            did = f"ended as {self.completion.status}" if self.completion else "goes on waiting"
            raise error_for(
                self._instance_id, 0, f"the execution ended as {ended.status}", did,
                self.waiting_line(),
            )

    def _forget(self, task_id: int) -> None:
        self._open.pop(task_id, None)

    def _give(self, task: CompletableTask[Any], payload: Payload | None) -> None:
        if payload is None:
            task.complete(None)
        else:
            decode = self._code.converter.decode
            task.complete(lambda: decode(payload))

    def _limit(self, task: CancellableTask[Any], name: str, deadline: datetime) -> None:
        timer = self.create_timer(deadline)
        waited_s = (deadline - self.now).total_seconds()

        def on_timer(fired: Task[Any]) -> None:
            if fired.get_exception() is None and not task.is_complete:
                self._mailbox.withdraw(name, task)
                task.fail(WaitTimeoutError(f"event {name!r}", waited_s))

        def on_settled(_: Task[Any]) -> None:
            timer.cancel()

        timer.watch(on_timer)
        task.watch(on_settled)

    # Incoming events.

    def _decoded_input(self) -> Any:
        payload = self._started.input if self._started else None
        return NO_INPUT if payload is None else self._code.converter.decode(payload)

    def _on_started(self, event: ExecutionStarted) -> None:
        self._started = event
        self._context = OrchestrationContext(self, event)
        token = _current.set(self._context)
        try:
            begun = self._code.begin(self._context, self._decoded_input())
        except ReplaySignal:
            raise
        except BaseException as error:  # noqa: BLE001  (the user's code: whatever it raises)
            self._main = Task("orchestrator")
            self._main._settle(None, error if isinstance(error, Exception) else RuntimeError(error))
            return
        finally:
            _current.reset(token)
        if is_drivable(begun):
            self._main = Driver("orchestrator", begun, self._wake)
            self._drivers.append(self._main)
            self._ready.append((self._main, None))
        else:
            self._main = Task("orchestrator")
            self._main._settle(begun, None)

    def _on_completed(
        self, event: TaskCompleted | SubOrchestrationInstanceCompleted
    ) -> None:
        task = self._open.pop(event.task_id, None)
        if task is None:
            self.ignored += 1
        else:
            self._give(task, event.result)

    def _on_failed(self, event: TaskFailed | SubOrchestrationInstanceFailed) -> None:
        task = self._open.pop(event.task_id, None)
        if task is None:
            self.ignored += 1
            return
        retry = task.retry
        if retry is not None:
            delay = self._retry_delay(retry, event.failure)
            if delay is not None:
                self._retry_after(retry, delay)
                return
        name = self._task_names.get(event.task_id, "task")
        task.fail(_failed_error(name, event.task_id, event.failure, self._code.namespace))

    def _retry_delay(self, retry: RetryState, failure: FailureDetails) -> timedelta | None:
        token = _current.set(self._context)
        try:
            return retry.next_delay(failure, self.now)
        finally:
            _current.reset(token)

    def _retry_after(self, retry: RetryState, delay: timedelta) -> None:
        retry.attempt += 1
        if not delay:
            retry.reschedule()
            return
        task_id = self._next_id
        fire_at = self.now + delay
        timer = TimerTask("retry delay", lambda: None, fire_at)
        timer.watch(lambda _: retry.reschedule())
        self._draw(
            TimerCreated(
                timestamp=self.now, task_id=task_id, fire_at=fire_at, origin=retry.origin
            ),
            "timer",
            timer,
        )

    def _on_timer(self, event: TimerFired) -> None:
        task = self._open.pop(event.task_id, None)
        if task is None:
            self.ignored += 1
        else:
            task.complete(None)

    def _on_event(self, event: EventRaised) -> None:
        task = self._mailbox.put(event)
        if task is not None:
            self._give(task, event.input)

    def _on_terminated(self, event: ExecutionTerminated) -> None:
        self._complete(RuntimeStatus.TERMINATED, event.output)


def _failed_error(
    name: str, task_id: int, failure: FailureDetails, namespace: Any
) -> TaskFailedError:
    """Return a TaskFailedError that is also of the original class, where that is known."""
    original = resolve_exception_class(failure.error_type, namespace)
    if original is None or issubclass(original, TaskFailedError):
        return TaskFailedError(name, task_id, failure)
    try:
        both: type[TaskFailedError] = type(
            "TaskFailedError", (TaskFailedError, original), {"__doc__": original.__doc__}
        )
        error = both.__new__(both)
        TaskFailedError.__init__(error, name, task_id, failure)
    except TypeError:
        return TaskFailedError(name, task_id, failure)
    return error


_HANDLERS: dict[type[Event], Callable[[OrchestrationExecutor, Any], None]] = {
    ExecutionStarted: OrchestrationExecutor._on_started,
    ExecutionTerminated: OrchestrationExecutor._on_terminated,
    TaskCompleted: OrchestrationExecutor._on_completed,
    TaskFailed: OrchestrationExecutor._on_failed,
    SubOrchestrationInstanceCompleted: OrchestrationExecutor._on_completed,
    SubOrchestrationInstanceFailed: OrchestrationExecutor._on_failed,
    TimerFired: OrchestrationExecutor._on_timer,
    EventRaised: OrchestrationExecutor._on_event,
}
