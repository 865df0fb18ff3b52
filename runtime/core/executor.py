"""Runs one execution of an orchestrator: history and new events in, decisions out.

Pure: no I/O, no clock, no thread. Each incoming event is applied and the code driven to its next
wait before the next event is looked at, so it does not matter where a sequence of events is cut
into history and news. A live executor is simply one that is kept; replaying its history gives an
equal one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from .actions import Actions
from .code import OrchestratorCode, Resolve
from .context import NO_INPUT, OrchestrationContext, _current
from .determinism import describe, error_for
from .driver import Driver, ReplaySignal, as_failure, forget_frames, is_drivable, line_of
from .errors import TaskFailedError
from .events import (
    CustomStatusSet,
    EntityLockGranted,
    EntityOperationCompleted,
    EntityOperationFailed,
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerCreated,
    TimerFired,
)
from .failure import FailureDetails, resolve_exception_class
from .ledger import Ledger
from .payload import Payload
from .rewind import effective_history
from .status import RuntimeStatus
from .tasks import RetryState, Task, TimerTask, failed_task_ids

__all__ = ["OrchestrationExecutor"]

# A coroutine or generator that raises one of the first two ends in a RuntimeError.
_NOT_MIXED: Final = (StopIteration, StopAsyncIteration, TaskFailedError)
_HIDDEN: Final = (
    "runtime/core/driver.py",
    "runtime/core/tasks.py",
    "runtime/core/code.py",
    "runtime/core/executor.py",
    "runtime/core/context.py",
    "runtime/core/actions.py",
    "runtime/core/ledger.py",
    "runtime/guards.py",
)


class OrchestrationExecutor:
    """One execution of one instance.

    Args:
        code: The orchestrator version it runs.
        resolve: What definition names mean to this instance.

    Attributes:
        actions: What the code can ask for.
        completion: How the execution ended; None while it goes on.
        carried_over: External events nobody took, for the next execution.
        ignored: How many results arrived for tasks that were not open.
        steps: How often the code was begun or sent on; stands still while it runs.
    """

    def __init__(self, code: OrchestratorCode, resolve: Resolve) -> None:
        self._code = code
        self._ledger = Ledger()
        self.actions = Actions(self._ledger, code, resolve)
        self._context: OrchestrationContext | None = None
        self._main: Task[Any] | None = None
        self._ended_at = ""
        self._drivers: list[Driver] = []
        self._ready: list[tuple[Driver, Task[Any] | None]] = []
        self._continue_as_new: tuple[Payload | None, bool] | None = None
        self.completion: ExecutionCompleted | None = None
        self.carried_over: list[EventRaised] = []
        self.ignored = 0
        self.steps = 0

    @property
    def now(self) -> datetime:
        """Time of the event being applied (naive UTC)."""
        return self._ledger.now

    @property
    def is_replaying(self) -> bool:
        """Whether the event being applied is history."""
        return self._ledger.is_replaying

    @property
    def warnings(self) -> list[str]:
        """Harmless differences found by replay, one sentence each."""
        return self._ledger.warnings

    def replay(self, history: Iterable[HistoryEvent]) -> None:
        """Apply history; the code must draw the same actions again.

        What it draws beyond the end of history is new: `take_decisions` gives it.

        Args:
            history: All events of the execution so far, in order.

        Raises:
            NonDeterminismError: The code does something else; says where.
        """
        events = effective_history(history)
        self._ledger.expect(events)
        self._ledger.is_replaying = True
        ended: ExecutionCompleted | None = None
        try:
            for event in events:
                if isinstance(event, ExecutionCompleted):
                    ended = event
                elif self.completion is None:
                    self.process(event)
        finally:
            self._ledger.is_replaying = False
        self._check_replayed(ended)
        if ended is not None:
            self._ledger.take()
            return
        self.actions.forms.remember(events)
        self._tell_forms()

    def process(self, event: HistoryEvent) -> None:
        """Apply one incoming event and drive the code on; other events are ignored.

        Raises:
            NonDeterminismError: Only while replaying.
        """
        handler = _HANDLERS.get(type(event))
        if handler is None or self._ledger.is_closed:
            return
        self._ledger.begin_turn(event.timestamp)
        try:
            handler(self, event)
            self._run()
            self.actions.races.tell(self.now, self._ledger.note_first)
            self._tell_forms()
            self._finish_if_over()
        except ReplaySignal:
            if self._ledger.difference is not None:
                raise self._ledger.difference from None
            raise

    @property
    def asked(self) -> int:
        """How many actions the code has asked for."""
        return self._ledger.next_id - 1

    @property
    def is_converting(self) -> bool:
        """Whether what the code gave or gets is being encoded or decoded."""
        return self._code.is_converting

    @property
    def decisions(self) -> tuple[Event, ...]:
        """What `take_decisions` is going to return."""
        return self._ledger.decisions

    def take_decisions(self) -> list[Event]:
        """Return the decision events and notes since the last call, in order."""
        return self._ledger.take()

    def is_open(self, task_id: int) -> bool:
        """Whether something still waits for the outcome of this action."""
        return self._ledger.is_open(task_id)

    @property
    def open_task_ids(self) -> tuple[int, ...]:
        """Action ids whose outcome is still to come."""
        return self._ledger.open_task_ids

    @property
    def awaited_events(self) -> tuple[str, ...]:
        """Names of the external events the code waits for."""
        return tuple(self.actions.mailbox.awaited)

    @property
    def awaited_since(self) -> dict[str, datetime]:
        """The same, and since when it waits (naive UTC)."""
        return self.actions.mailbox.awaited

    @property
    def lost_waits(self) -> tuple[str, ...]:
        """Those of them whose next event goes to a wait that lost a `when_any`."""
        return self.actions.mailbox.lost

    def waiting_line(self) -> str:
        """Return `file:line` of the user's line that waits; empty if none does."""
        return self._main.waiting_line() if isinstance(self._main, Driver) else ""

    def _line(self) -> str:
        """Return the line at which the code waits, raised, or, where it returned, begins."""
        if self._ended_at:
            return self._ended_at
        line = self.waiting_line()
        main = self._main
        if not line and main is not None and main.is_complete:
            error = main.get_exception()
            line = line_of(error) if error is not None else ""
        return line or self._code.line

    def close(self) -> None:
        """End the suspended code at once; calls it makes while ending have no effect."""
        self._ledger.is_closed = True
        self._ready = []
        for driver in self._drivers:
            if not driver.is_complete:
                driver.close()
        # What refers to each other would stay in memory until Python's collector finds it, which a
        # host seldom lets look at what is old.
        main = self._main
        if main is not None and main.is_complete and main.get_exception() is not None:
            self._ended_at = self._line()
            forget_frames(main.get_exception())
        for driver in self._drivers:
            driver.let_go()
        self._drivers = []
        self._context = None
        self._ledger.let_go()
        self.actions.let_go()

    # What the context calls.

    def input_value(self) -> Any:
        """Return the decoded input; None where none was given."""
        value = self._decoded_input()
        return None if value is NO_INPUT else value

    def set_custom_status(self, status: Any) -> None:
        """Record the custom status."""
        payload = None if status is None else self._code.encode(status, "custom status")
        self._ledger.note(CustomStatusSet(timestamp=self.now, status=payload))

    def continue_as_new(self, value: Any, save_events: bool) -> None:
        """Have the execution end as continued once the code returns or waits."""
        self._continue_as_new = (
            self.actions.encode(value, "input of continue_as_new"),
            save_events,
        )

    def spawn(self, code: Coroutine[Any, Any, Any]) -> Task[Any]:
        """Start a coroutine beside the main one; it runs when the present one waits."""
        name = getattr(code, "__qualname__", "coroutine")
        driver = Driver(f"coroutine {name}", code, self._wake)
        self._drivers.append(driver)
        self._ready.append((driver, None))
        return driver

    # Driving.

    def _wake(self, driver: Driver, task: Task[Any]) -> None:
        self._ready.append((driver, task))

    def _run(self) -> None:
        token = _current.set(self._context)
        try:
            while self._ready:
                ready, self._ready = self._ready, []
                for driver, task in ready:
                    self.steps += 1
                    driver.resume(task)
                    if self._ledger.difference is not None:
                        raise self._ledger.difference
        finally:
            _current.reset(token)

    def _tell_forms(self) -> None:
        # Replay compares with what history knows, once at its end.
        if not self._ledger.is_replaying:
            self.actions.forms.tell(self.now, self._ledger.note)

    def _finish_if_over(self) -> None:
        main = self._main
        if main is not None and self.completion is None and not self._ledger.is_closed:
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
                result = None if value is None else self._code.encode(value, "result")
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
        self.carried_over = self.actions.mailbox.untaken() if save_events else []
        self._complete(RuntimeStatus.CONTINUED_AS_NEW, payload)

    def _complete(
        self,
        status: RuntimeStatus,
        result: Payload | None = None,
        failure: FailureDetails | None = None,
        failed_tasks: frozenset[int] = frozenset(),
    ) -> None:
        self.actions.unlock(self.actions.section.lock_id)
        self.completion = ExecutionCompleted(
            timestamp=self.now,
            status=status,
            result=result,
            failure=failure,
            abandoned=self._ledger.open_task_ids,
            failed_tasks=tuple(sorted(failed_tasks)),
        )
        self._ledger.end(self.completion)
        self.close()

    def _check_replayed(self, ended: ExecutionCompleted | None) -> None:
        missing = self._ledger.first_missing
        if missing is not None:
            did = (
                f"ended as {self.completion.status} before it"
                if self.completion
                else "waits without having asked for it"
            )
            raise error_for(
                self._ledger.instance_id,
                getattr(missing, "task_id", 0),
                describe(missing),
                did,
                self._line(),
            )
        if ended is None or ended.status is RuntimeStatus.TERMINATED:
            return
        if self.completion is None or self.completion.status is not ended.status:
            did = f"ended as {self.completion.status}" if self.completion else "goes on waiting"
            raise error_for(
                self._ledger.instance_id,
                0,
                f"the execution ended as {ended.status}",
                did,
                self._line(),
            )

    # Incoming events.

    def _decoded_input(self) -> Any:
        payload = self._ledger.started.input if self._ledger.started else None
        return NO_INPUT if payload is None else self._code.decode(payload)

    def _on_started(self, event: ExecutionStarted) -> None:
        self._ledger.started = event
        self._context = OrchestrationContext(self, event)
        token = _current.set(self._context)
        try:
            begun = self._code.begin(self._context, self._decoded_input())
        except ReplaySignal:
            raise
        except BaseException as error:  # noqa: BLE001  (the user's code: whatever it raises)
            self._main = Task("orchestrator")
            self._main._settle(None, as_failure(error))
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
        self, event: TaskCompleted | SubOrchestrationInstanceCompleted | EntityOperationCompleted
    ) -> None:
        task = self._ledger.settled(event.task_id)
        if task is None:
            self.ignored += 1
        else:
            self.actions.give(task, event.result)

    def _on_failed(
        self, event: TaskFailed | SubOrchestrationInstanceFailed | EntityOperationFailed
    ) -> None:
        task = self._ledger.settled(event.task_id)
        if task is None:
            self.ignored += 1
            return
        failed = _failed_error(task.name, event.task_id, event.failure, self._code.namespace)
        retry = task.retry
        if retry is not None:
            try:
                delay = self._retry_delay(retry, event.failure)
            except Exception as error:  # noqa: BLE001  (the user's filter: whatever it raises)
                error.__cause__ = failed
                task.fail(error)
                return
            if delay is not None:
                self._retry_after(retry, delay)
                return
        task.fail(failed)

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
        task_id = self._ledger.next_id
        fire_at = self.now + delay
        timer = TimerTask("retry delay", lambda _: None, fire_at)
        timer.watch(lambda _: retry.reschedule())
        self._ledger.draw(
            TimerCreated(timestamp=self.now, task_id=task_id, fire_at=fire_at, origin=retry.origin),
            timer,
        )

    def _on_timer(self, event: TimerFired) -> None:
        self._on_done(event.task_id)

    def _on_done(self, task_id: int) -> None:
        task = self._ledger.settled(task_id)
        if task is None:
            self.ignored += 1
        else:
            task.complete(None)

    def _on_granted(self, event: EntityLockGranted) -> None:
        # A rewound section gets its locks a second time, which its code does not notice.
        if self._ledger.is_open(event.task_id):
            self.actions.section.granted(event.task_id)
        self._on_done(event.task_id)

    def _on_event(self, event: EventRaised) -> None:
        self.actions.take_event(event)

    def _on_terminated(self, event: ExecutionTerminated) -> None:
        self._complete(RuntimeStatus.TERMINATED, event.output)


def _failed_error(
    name: str, task_id: int, failure: FailureDetails, namespace: Any
) -> TaskFailedError:
    """Return a TaskFailedError that is also of the original class, where that is known."""
    original = resolve_exception_class(failure, namespace)
    if original is None or issubclass(original, _NOT_MIXED):
        return TaskFailedError(name, task_id, failure)
    try:
        both: type[TaskFailedError] = type(
            "TaskFailedError", (TaskFailedError, original), {"__doc__": original.__doc__}
        )
        error = both.__new__(both)
        TaskFailedError.__init__(error, name, task_id, failure)
    except Exception:  # noqa: BLE001  (the user's class: it may refuse in any way)
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
    EntityOperationCompleted: OrchestrationExecutor._on_completed,
    EntityOperationFailed: OrchestrationExecutor._on_failed,
    EntityLockGranted: OrchestrationExecutor._on_granted,
    EventRaised: OrchestrationExecutor._on_event,
}
