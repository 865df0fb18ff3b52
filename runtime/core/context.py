"""What orchestrator code sees: the context, and nothing else that is durable."""

from __future__ import annotations

import contextvars
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from .entity_ids import EntityInstanceId, check_operation_name, entity_id_of
from .ids import check_event_name, check_instance_id, derived_uuid
from .locks import LockTask
from .retry import RetryPolicy
from .special_values import CallArguments
from .tasks import (
    CancellableTask,
    CompletableTask,
    Task,
    TimerTask,
    WhenAllTask,
    WhenAnyTask,
    as_tasks,
)

if TYPE_CHECKING:
    from .events import ExecutionStarted
    from .executor import OrchestrationExecutor

__all__ = [
    "NO_INPUT",
    "DurableOrchestrationContext",
    "DurableReference",
    "EntityProxy",
    "OrchestrationContext",
    "ReplaySafeLogger",
    "current_context",
    "name_of",
    "pack_arguments",
    "utc_time",
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


_NO_LABELS: Final[dict[str, str]] = {}
"""Shared by the many calls without labels; nothing changes it."""


def _labels(tags: Mapping[str, str] | None) -> dict[str, str]:
    return dict(tags) if tags else _NO_LABELS


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
        return self._executor.actions.schedule_activity(name, input, retry_policy, _labels(tags))

    def call_sub_orchestrator(
        self,
        orchestrator: str | DurableReference | Callable[..., Any],
        input: Any = NO_INPUT,
        instance_id: str | None = None,
        *,
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
        return self._executor.actions.start_sub_orchestration(
            name, input, instance_id, retry_policy, _labels(tags)
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
        return self._executor.actions.create_timer(self._when(fire_at))

    def wait_for_external_event(
        self, name: str, *, form: Any = None, timeout: timedelta | datetime | None = None
    ) -> CancellableTask[Any]:
        """Wait for an event raised from outside.

        Events are buffered in the order they arrive, per name (upper and lower case alike), and
        given to waiters in the order they began to wait. A wait that lost a `when_any` still
        takes the next event: cancel it.

        Args:
            name: The event's name.
            form: What people are asked for while it waits, in every notebook that shows the
                instance: a dict of field names and their types, choices or defaults, a list of
                choices, a dataclass, or `ipydurable.Form(...)` of one of these. The answer is
                checked before the event is raised.
            timeout: How long to wait at most; after that the task fails with a `TimeoutError`.

        Returns:
            The task of the event's data; with a form what was answered: a dict, a choice, or an
            instance of the dataclass.

        Raises:
            FormError: The form is none; names the field.
        """
        check_event_name(name)
        deadline = None if timeout is None else self._when(timeout)
        return self._executor.actions.wait_for_event(name, deadline, form)

    def send_event(self, instance_id: str, event_name: str, data: Any = None) -> None:
        """Raise an external event at another instance; dropped if that is missing or finished.

        Raises:
            InvalidInstanceIdError: The id breaks a rule.
            ValueError: The event's name is no string of at least one character.
            EncodingError: The data cannot be stored.
        """
        check_event_name(event_name)
        self._executor.actions.send_event(check_instance_id(instance_id), event_name, data)

    def call_entity(
        self, entity: Any, operation: str, input: Any = NO_INPUT
    ) -> CompletableTask[Any]:
        """Call an operation of an entity and wait for the answer.

        Args:
            entity: An `EntityInstanceId`, its text, or a handle such as `Account("alice")`.
            operation: The operation's name.
            input: Its argument; leave out for none.

        Returns:
            The task of the operation's result; a failing operation raises `TaskFailedError`.

        Raises:
            LockRuleError: A critical section does not allow it.
            EncodingError: The input cannot be stored.
        """
        check_operation_name(operation)
        return self._executor.actions.call_entity(entity_id_of(entity), operation, input)

    def signal_entity(
        self,
        entity: Any,
        operation: str,
        input: Any = NO_INPUT,
        *,
        signal_time: datetime | timedelta | None = None,
    ) -> None:
        """Have an entity do an operation, without an answer; delivered once and in order.

        Args:
            entity: An `EntityInstanceId`, its text, or a handle such as `Account("alice")`.
            operation: The operation's name.
            input: Its argument; leave out for none.
            signal_time: When to deliver it, or how long from now; by default at once.

        Raises:
            LockRuleError: The entity is locked by this critical section.
            EncodingError: The input cannot be stored.
        """
        check_operation_name(operation)
        at = None if signal_time is None else self._when(signal_time)
        self._executor.actions.signal_entity(entity_id_of(entity), operation, input, at)

    def lock_entities(self, *entities: Any) -> LockTask:
        """Begin a critical section: `async with ctx.lock_entities(a, b):`.

        The locks are taken in one global order, so lock requests never deadlock. They are given
        back on every way out. Inside, only locked entities may be called, each with one call at
        a time; they may not be signalled; no other critical section or sub-orchestration may
        begin.

        Args:
            entities: Entities, or one iterable of them; the order does not matter.

        Returns:
            The task of getting the locks; in a generator, `with (yield ctx.lock_entities(...)):`.

        Raises:
            LockRuleError: There is none, or a critical section does not allow it.
        """
        first = entities[0] if len(entities) == 1 else None
        if isinstance(first, Iterable) and not isinstance(first, str):
            entities = tuple(first)
        return self._executor.actions.lock_entities(
            tuple(sorted({entity_id_of(entity) for entity in entities}))
        )

    def entity(self, entity: Any, key: str | None = None) -> EntityProxy:
        """Return an entity to be called like an object: `await ctx.entity(Account, "a").get()`.

        Args:
            entity: What `%%entity` defined, or its name; or a handle or id, without a key.
            key: Which one of that name.
        """
        if key is None:
            return EntityProxy(self, entity_id_of(entity))
        return EntityProxy(self, EntityInstanceId(name_of(entity, "entity"), key))

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
        found = as_tasks("when_any", tasks, self._spawn)
        return WhenAnyTask(found, self._executor.actions.races.decided)

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
        if kind == "entity":
            return self.entity(name, *args, **kwargs)
        payload = pack_arguments(args, kwargs)
        if kind == "activity":
            return self.call_activity(name, payload)
        return self.call_sub_orchestrator(name, payload)

    def _spawn(self, code: Coroutine[Any, Any, Any]) -> Task[Any]:
        return self._executor.spawn(code)

    def _when(self, when: datetime | timedelta) -> datetime:
        return utc_time(when, self.current_utc_datetime)


DurableOrchestrationContext = OrchestrationContext
"""The name that `OrchestrationContext` has in Azure Durable Functions."""


class EntityProxy:
    """An entity as orchestrator code sees it: its operations are methods that give tasks."""

    def __init__(self, context: OrchestrationContext, entity_id: EntityInstanceId) -> None:
        self._context = context
        self.entity_id = entity_id

    def call(self, operation: str, /, *args: Any, **kwargs: Any) -> CompletableTask[Any]:
        """Call an operation with any arguments; see `OrchestrationContext.call_entity`."""
        return self._context.call_entity(self.entity_id, operation, pack_arguments(args, kwargs))

    def signal(
        self,
        operation: str,
        /,
        *args: Any,
        signal_time: datetime | timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        """Signal an operation with any arguments; see `OrchestrationContext.signal_entity`."""
        value = pack_arguments(args, kwargs)
        self._context.signal_entity(self.entity_id, operation, value, signal_time=signal_time)

    def __getattr__(self, operation: str) -> Callable[..., CompletableTask[Any]]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        return lambda *args, **kwargs: self.call(operation, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<entity {self.entity_id}>"


def utc_time(when: datetime | timedelta, now: datetime) -> datetime:
    """Return a time as naive UTC.

    Args:
        when: A time (naive means UTC), or how long from now.
        now: The present (naive UTC).

    Raises:
        TypeError: Neither a datetime nor a timedelta.
        ValueError: A negative timedelta, or a time beyond the year 9999.
    """
    if isinstance(when, timedelta):
        if when < timedelta(0):
            raise ValueError(f"a timer cannot wait {when}: the time must not be negative")
        try:
            return now + when
        except OverflowError:
            raise ValueError(f"a timer of {when} would fire after the year 9999") from None
    if isinstance(when, datetime):
        try:
            return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
        except OverflowError:
            raise ValueError(f"{when} is beyond the year 9999 (or before 1) in UTC") from None
    raise TypeError(
        f"a time is a datetime or a timedelta, not a {type(when).__name__}: "
        "write timedelta(seconds=5), for example"
    )


def pack_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the input that stands for the arguments of a call: none, one value, or several."""
    if kwargs or len(args) > 1:
        return CallArguments(args, dict(kwargs))
    return args[0] if args else NO_INPUT


class ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that says nothing while its orchestration replays."""

    def __init__(self, logger: logging.Logger, context: OrchestrationContext) -> None:
        super().__init__(logger, {})
        self._context = context

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  (the name logging gave it)
        """Whether a message of that level would be written now."""
        return not self._context.is_replaying and super().isEnabledFor(level)
