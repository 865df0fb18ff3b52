"""What orchestrator code sees: the context, and nothing else that is durable."""

from __future__ import annotations

import contextvars
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .ids import check_instance_id, derived_uuid
from .retry import RetryPolicy
from .tasks import CancellableTask, CompletableTask, Task, TimerTask, WhenAllTask, WhenAnyTask
from .tasks import as_tasks

if TYPE_CHECKING:
    from .events import ExecutionStarted
    from .executor import OrchestrationExecutor

__all__ = [
    "NO_INPUT",
    "DurableReference",
    "OrchestrationContext",
    "ReplaySafeLogger",
    "current_context",
    "name_of",
]

T = TypeVar("T")

NO_INPUT: Any = type("NoInput", (), {"__repr__": lambda _: "NO_INPUT"})()
"""Stands for "no input given", as None is an input like any other."""

_current: contextvars.ContextVar[OrchestrationContext | None] = contextvars.ContextVar(
    "ipydurable_orchestration", default=None
)


class DurableReference(Protocol):
    """Anything that names a durable definition: what `%%activity` binds, for one."""

    __durable_kind__: str
    __durable_name__: str


def current_context() -> OrchestrationContext | None:
    """Return the context of the orchestrator code that runs now, or None outside such code."""
    return _current.get()


def name_of(reference: str | DurableReference | Callable[..., Any], what: str) -> str:
    """Return the definition name that `reference` means.

    Args:
        reference: A name, a durable definition, or a plain function of that name.
        what: The parameter, for the message of an error.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(reference, str):
        return reference
    name = getattr(reference, "__durable_name__", None) or getattr(reference, "__name__", None)
    if isinstance(name, str):
        return name
    raise TypeError(
        f"{what} is a name, or what %%activity, %%orchestrator or %%entity defined; "
        f"got a {type(reference).__name__}"
    )


class OrchestrationContext:
    """The door from orchestrator code to the runtime. The first argument of every orchestrator.

    Everything it gives is the same at every replay. Terms and signatures are those of Durable
    Task for Python.
    """

    def __init__(self, executor: OrchestrationExecutor, started: ExecutionStarted) -> None:
        self._executor = executor
        self._started = started
        self._uuid_count = 0
        self._random: random.Random | None = None
        self._custom_status: Any = None

    @property
    def instance_id(self) -> str:
        """The id of this instance."""
        return self._started.instance_id

    @property
    def execution_id(self) -> str:
        """The id of this execution; changes when the instance continues as new."""
        return self._started.execution_id

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the orchestration that started this one, or None."""
        return self._started.parent.instance_id if self._started.parent else None

    @property
    def name(self) -> str:
        """The orchestrator's name."""
        return self._started.name

    @property
    def version(self) -> str:
        """The content hash of the code this instance runs."""
        return self._started.version

    @property
    def tags(self) -> Mapping[str, str]:
        """The labels given at the start."""
        return dict(self._started.tags)

    @property
    def current_utc_datetime(self) -> datetime:
        """The time of the event that drove the code here: naive UTC, the same at every replay."""
        return self._executor.now

    @property
    def is_replaying(self) -> bool:
        """Whether the code re-runs what already happened."""
        return self._executor.is_replaying

    @property
    def custom_status(self) -> Any:
        """What `set_custom_status` last set; None before."""
        return self._custom_status

    def get_input(self) -> Any:
        """Return the input again (freshly decoded), or None where none was given."""
        return self._executor.input_value()

    def set_custom_status(self, custom_status: Any) -> None:
        """Show `custom_status` to whoever asks about the instance, from the next commit on."""
        self._custom_status = custom_status
        self._executor.set_custom_status(custom_status)

    def call_activity(
        self,
        activity: str | DurableReference | Callable[..., Any],
        input: Any = NO_INPUT,
        *,
        retry_policy: RetryPolicy | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> CompletableTask[Any]:
        """Schedule an activity. It runs whether or not its task is awaited.

        Args:
            activity: What `%%activity` defined, or its name.
            input: The argument; leave out for none.
            retry_policy: Overrides the activity's own retries.
            tags: Labels kept with the task.

        Returns:
            The task of its result. A failure raises `TaskFailedError`, which is also an instance
            of the original exception class where this code knows that class by name.

        Raises:
            UnknownDefinitionError: There is no activity of that name.
            EncodingError: The input cannot be stored.
        """
        name = name_of(activity, "activity")
        return self._executor.schedule_activity(name, input, retry_policy, dict(tags or {}))

    def call_sub_orchestrator(
        self,
        orchestrator: str | DurableReference | Callable[..., Any],
        input: Any = NO_INPUT,
        *,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> CompletableTask[Any]:
        """Start a sub-orchestration and give the task of its result.

        Args:
            orchestrator: What `%%orchestrator` defined, or its name.
            input: The argument; leave out for none.
            instance_id: The child's id; by default one made of this execution's id.
            retry_policy: When to try again if it fails.
            tags: Labels of the child.

        Raises:
            UnknownDefinitionError: There is no orchestrator of that name.
            InvalidInstanceIdError: The id breaks a rule.
            EncodingError: The input cannot be stored.
        """
        name = name_of(orchestrator, "orchestrator")
        if instance_id is not None:
            check_instance_id(instance_id)
        return self._executor.start_sub_orchestration(
            name, input, instance_id, retry_policy, dict(tags or {})
        )

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """Create a durable timer.

        Args:
            fire_at: When to fire (naive means UTC), or how long from now. A past time fires at
                once; timers may be weeks long.

        Raises:
            TypeError: Neither a datetime nor a timedelta.
            ValueError: A negative timedelta, or a time beyond the year 9999.
        """
        return self._executor.create_timer(self._when(fire_at))

    def wait_for_external_event(
        self, name: str, *, timeout: timedelta | datetime | None = None
    ) -> CancellableTask[Any]:
        """Wait for an event raised from outside.

        Events are buffered in the order they arrive, per name (upper and lower case alike), and
        given to waiters in the order they began to wait. A wait that lost a `when_any` still
        takes the next event: cancel it.

        Args:
            name: The event's name.
            timeout: How long to wait at most; after that the task fails with a `TimeoutError`.

        Returns:
            The task of the event's data.
        """
        if not isinstance(name, str) or not name:
            raise ValueError("the name of an external event is a string of at least one character")
        deadline = None if timeout is None else self._when(timeout)
        return self._executor.wait_for_event(name, deadline)

    def send_event(self, instance_id: str, event_name: str, data: Any = None) -> None:
        """Raise an external event at another instance; dropped if that is missing or finished.

        Raises:
            InvalidInstanceIdError: The id breaks a rule.
            EncodingError: The data cannot be stored.
        """
        self._executor.send_event(check_instance_id(instance_id), event_name, data)

    def when_all(self, tasks: Iterable[Any]) -> Task[list[Any]]:
        """Wait for all tasks; coroutines among them run side by side.

        Args:
            tasks: Any iterable of tasks and coroutines.

        Returns:
            The task of the list of results, in the order given. When all are settled and some
            failed, it raises the failure that was observed first. No tasks: complete at once.
        """
        return WhenAllTask(as_tasks("when_all", tasks, self._spawn))

    def when_any(self, tasks: Iterable[Any]) -> Task[Task[Any]]:
        """Wait for the first task to settle. The others are not cancelled.

        Args:
            tasks: Any iterable of tasks and coroutines, at least one.

        Returns:
            The task of the winning *task*, which may have failed: look at it.
        """
        return WhenAnyTask(as_tasks("when_any", tasks, self._spawn))

    def call_activity_with_retry(
        self,
        name: str | DurableReference | Callable[..., Any],
        retry_options: RetryPolicy,
        input_: Any = NO_INPUT,
    ) -> CompletableTask[Any]:
        """As `call_activity`; the name it has in Azure Durable Functions."""
        return self.call_activity(name, input_, retry_policy=retry_options)

    def call_sub_orchestrator_with_retry(
        self,
        name: str | DurableReference | Callable[..., Any],
        retry_options: RetryPolicy,
        input_: Any = NO_INPUT,
        instance_id: str | None = None,
    ) -> CompletableTask[Any]:
        """As `call_sub_orchestrator`; the name it has in Azure Durable Functions."""
        return self.call_sub_orchestrator(
            name, input_, instance_id=instance_id, retry_policy=retry_options
        )

    def task_all(self, activities: Iterable[Any]) -> Task[list[Any]]:
        """As `when_all`; the name it has in Azure Durable Functions."""
        return self.when_all(activities)

    def task_any(self, activities: Iterable[Any]) -> Task[Task[Any]]:
        """As `when_any`; the name it has in Azure Durable Functions."""
        return self.when_any(activities)

    def continue_as_new(self, new_input: Any = NO_INPUT, *, save_events: bool = True) -> None:
        """Start over with a new input and an empty history once this code returns or waits.

        Args:
            new_input: The next execution's input.
            save_events: Whether external events nobody has taken yet go along.
        """
        self._executor.continue_as_new(new_input, save_events)

    def new_uuid(self) -> str:
        """Return a uuid that is the same at every replay."""
        self._uuid_count += 1
        return str(derived_uuid(self.instance_id, self.execution_id, self._uuid_count))

    def random(self) -> random.Random:
        """Return the execution's random generator, seeded by its ids: the same at every replay."""
        if self._random is None:
            self._random = random.Random(f"{self.instance_id}\n{self.execution_id}")  # noqa: S311
        return self._random

    def create_replay_safe_logger(self, logger: logging.Logger) -> ReplaySafeLogger:
        """Return a logger that is silent while the code replays."""
        return ReplaySafeLogger(logger, self)

    def call(self, kind: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Schedule a definition that was called like a function, `await fetch(city, units="m")`."""
        from .serialization import CallArguments

        payload: Any
        if kwargs or len(args) > 1:
            payload = CallArguments(args, kwargs)
        else:
            payload = args[0] if args else NO_INPUT
        if kind == "activity":
            return self.call_activity(name, payload)
        return self.call_sub_orchestrator(name, payload)

    def _spawn(self, code: Coroutine[Any, Any, Any]) -> Task[Any]:
        return self._executor.spawn(code)

    def _when(self, when: datetime | timedelta) -> datetime:
        if isinstance(when, timedelta):
            if when < timedelta(0):
                raise ValueError(f"a timer cannot wait {when}: the time must not be negative")
            try:
                return self.current_utc_datetime + when
            except OverflowError:
                raise ValueError(f"a timer of {when} would fire after the year 9999") from None
        if isinstance(when, datetime):
            return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
        raise TypeError(
            f"a time is a datetime or a timedelta, not a {type(when).__name__}: "
            "write timedelta(seconds=5), for example"
        )


class ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that says nothing while its orchestration replays."""

    def __init__(self, logger: logging.Logger, context: OrchestrationContext) -> None:
        super().__init__(logger, {})
        self._context = context

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  (the name logging gave it)
        """Whether a message of that level would be written now."""
        return not self._context.is_replaying and super().isEnabledFor(level)
