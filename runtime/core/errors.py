"""Every error this package raises on purpose, as one tree.

    DurableError
    ├── DurableInternalError            our bug: please report it
    ├── EncodingError                   a value that cannot be made durable
    ├── DecodingError                   a stored value that cannot be rebuilt here
    ├── DefinitionError
    │   ├── EffectsError                strict mode refuses what replay would not repeat
    │   ├── NotDurableError             the code captures something that cannot travel
    │   ├── UnknownDefinitionError      no orchestrator, activity or entity of that name
    │   └── UnknownVersionError         the definition has no such version
    ├── OrchestrationError              raised inside orchestrator code
    │   ├── TaskFailedError             an activity or sub-orchestration failed
    │   ├── TaskCancelledError          the awaited timer or event wait was cancelled
    │   ├── ForbiddenCallError          strict mode: called what replay would not repeat
    │   ├── ForeignAwaitableError       awaited something that is not a durable task
    │   ├── TurnBlockedError            the code ran for too long without waiting
    │   ├── LockRuleError               a rule of critical sections was broken
    │   └── NonDeterminismError         replay and history differ
    ├── FormError                       what the code gave as a form is none
    ├── EntityError
    │   ├── EntityCallError             the called operation failed
    │   ├── EntityOperationError        the entity has no such operation
    │   └── EntityStateError            the stored state does not fit the entity's class
    ├── InstanceError
    │   ├── FormAnswerError             the answer does not fit the form
    │   ├── FormClosedError             the form is not open any more
    │   ├── UnknownInstanceError        no instance of that id
    │   ├── InstanceExistsError         the id is taken
    │   ├── InvalidInstanceIdError      the id has characters it may not have
    │   ├── InstanceStateError          the instance's status does not allow the request
    │   ├── MigrationError              the history does not replay under the other version
    │   ├── OrchestrationFailedError    the awaited orchestration failed
    │   ├── OrchestrationParkedError    the awaited one waits until its code is mended
    │   └── OrchestrationTerminatedError  the awaited orchestration was terminated
    ├── WaitTimeoutError                not finished in the time given (also a TimeoutError)
    ├── StoreError
    │   ├── NotAStoreError              the file is no ipydurable store
    │   ├── StoreLockedError            another program has the file open
    │   ├── StoreUnwritableError        the file or folder cannot be written
    │   ├── StoreVersionError           the file is of another schema version
    │   ├── StoreDamagedError           the file is damaged beyond safe repair
    │   ├── UntrustedStoreError         the store's code was not signed with the user's key
    │   ├── ReadOnlyStoreError          the store is open for reading only
    │   └── QueryError                  a SQL query failed
    └── HostError
        ├── HostStartError              the background host did not start
        ├── HostGoneError               the background host ended meanwhile
        └── AuthenticationError         a message was not signed with the right key

Positional arguments are the error's data, so each class survives pickling and the link between
the processes; the sentence for people is made by `__str__`.
"""

from __future__ import annotations

from typing import Any

from .error_base import DurableError, DurableInternalError, or_list
from .failure import FailureDetails
from .form_errors import FormAnswerError, FormClosedError, FormError
from .instance_errors import (
    InstanceError,
    InstanceExistsError,
    InstanceStateError,
    InvalidInstanceIdError,
    MigrationError,
    OrchestrationFailedError,
    OrchestrationParkedError,
    OrchestrationTerminatedError,
    UnknownInstanceError,
)
from .store_errors import (
    AuthenticationError,
    HostError,
    HostGoneError,
    HostStartError,
    NotAStoreError,
    QueryError,
    ReadOnlyStoreError,
    StoreDamagedError,
    StoreError,
    StoreLockedError,
    StoreUnwritableError,
    StoreVersionError,
    UntrustedStoreError,
)

__all__ = [
    "AuthenticationError",
    "DecodingError",
    "DefinitionError",
    "DurableError",
    "DurableInternalError",
    "EffectsError",
    "EncodingError",
    "EntityCallError",
    "EntityError",
    "EntityOperationError",
    "EntityStateError",
    "ForbiddenCallError",
    "ForeignAwaitableError",
    "FormAnswerError",
    "FormClosedError",
    "FormError",
    "HostError",
    "HostGoneError",
    "HostStartError",
    "InstanceError",
    "InstanceExistsError",
    "InstanceStateError",
    "InvalidInstanceIdError",
    "LockRuleError",
    "MigrationError",
    "NonDeterminismError",
    "NotAStoreError",
    "NotDurableError",
    "OrchestrationError",
    "OrchestrationFailedError",
    "OrchestrationParkedError",
    "OrchestrationTerminatedError",
    "QueryError",
    "ReadOnlyStoreError",
    "StoreDamagedError",
    "StoreError",
    "StoreLockedError",
    "StoreUnwritableError",
    "StoreVersionError",
    "TaskCancelledError",
    "TaskFailedError",
    "TurnBlockedError",
    "UnknownDefinitionError",
    "UnknownInstanceError",
    "UnknownVersionError",
    "UntrustedStoreError",
    "WaitTimeoutError",
]


class EncodingError(DurableError):
    """A value cannot be made durable."""

    def __init__(self, where: str, path: str, type_name: str, reason: str) -> None:
        super().__init__(where, path, type_name, reason)
        self.where = where
        self.path = path
        self.type_name = type_name
        self.reason = reason

    def __str__(self) -> str:
        place = f" at {self.path}" if self.path else ""
        return f"The {self.where} cannot be stored: the {self.type_name}{place} {self.reason}"


class DecodingError(DurableError):
    """A stored value cannot be rebuilt here."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} cannot be rebuilt: {self.reason}"


class DefinitionError(DurableError):
    """Code that cannot become a durable definition; the argument says why and what to do."""


class EffectsError(DefinitionError):
    """Strict mode refuses an orchestrator that does what replay would not repeat.

    Attributes:
        definition: Its name.
        first: The first thing it does, with its place and what to do instead.
        count: How many things there are.
        listing: All of them with their lines, for people.
    """

    def __init__(self, definition: str, first: str, count: int, listing: str) -> None:
        super().__init__(definition, first, count, listing)
        self.definition = definition
        self.first = first
        self.count = count
        self.listing = listing

    def __str__(self) -> str:
        things = f"{self.count} things, first" if self.count > 1 else "this:"
        return (
            f"{self.definition} is strict and was not defined: replay would not repeat {things} "
            f"{self.first}"
        )

    def _render_traceback_(self) -> list[str]:
        return [*super()._render_traceback_(), *self.listing.splitlines()]


class NotDurableError(DefinitionError):
    """The code captures a variable whose value cannot travel to another process."""

    def __init__(self, definition: str, variable: str, type_name: str, remedy: str) -> None:
        super().__init__(definition, variable, type_name, remedy)
        self.definition = definition
        self.variable = variable
        self.type_name = type_name
        self.remedy = remedy

    def __str__(self) -> str:
        return (
            f"{self.definition} uses the variable {self.variable!r}, a {self.type_name}, "
            f"which cannot be made durable. {self.remedy}"
        )


class UnknownDefinitionError(DefinitionError):
    """No definition of that kind and name."""

    def __init__(self, kind: str, name: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(kind, name, tuple(near))
        self.kind = kind
        self.name = name
        self.near = tuple(near)

    def __str__(self) -> str:
        hint = f" Did you mean {or_list(self.near)}?" if self.near else ""
        article = "an" if self.kind[:1] in "aeiou" else "a"
        return (
            f"There is no {self.kind} named {self.name!r}.{hint} "
            f"Run the cell that defines it with %%{self.kind}, "
            f"or {article} {self.kind} decorator, first."
        )


class UnknownVersionError(DefinitionError):
    """A definition has no such version.

    Attributes:
        name: The definition.
        wanted: What was asked for.
        numbers: The numbers of the versions it has.
    """

    def __init__(self, name: str, wanted: str, numbers: tuple[int, ...]) -> None:
        super().__init__(name, wanted, tuple(numbers))
        self.name = name
        self.wanted = wanted
        self.numbers = tuple(numbers)

    def __str__(self) -> str:
        known = ", ".join(f"v{number}" for number in self.numbers)
        return (
            f"{self.name} has no version {self.wanted!r}: there is {known}. "
            f"%durable versions {self.name} says what they are."
        )


class OrchestrationError(DurableError):
    """Base of what orchestrator code can meet."""


class TaskFailedError(OrchestrationError):
    """An activity, entity call or sub-orchestration failed.

    It is also an instance of the original exception class where the orchestrator's code knows
    that class by name, so `except ValueError` works.
    """

    def __init__(self, task_name: str, task_id: int, details: FailureDetails) -> None:
        Exception.__init__(self, task_name, task_id, details)
        self.task_name = task_name
        self.task_id = task_id
        self.details = details
        self.also_failed: frozenset[int] = frozenset()

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskFailedError, (self.task_name, self.task_id, self.details)

    def __str__(self) -> str:
        return f"{self.task_name} (task {self.task_id}) failed: {self.details}"


class TaskCancelledError(OrchestrationError):
    """The awaited timer or event wait was cancelled by the orchestrator itself."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} was cancelled"


class ForbiddenCallError(OrchestrationError):
    """A strict orchestrator called something that replay would not repeat."""

    def __init__(self, call: str, line: str, reason: str, remedy: str) -> None:
        super().__init__(call, line, reason, remedy)
        self.call = call
        self.line = line
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"The orchestrator calls {self.call}{at}: {self.reason}. Instead: {self.remedy}."


class ForeignAwaitableError(OrchestrationError):
    """The orchestrator awaited or yielded something that is not a durable task."""

    def __init__(self, type_name: str, line: str, remedy: str) -> None:
        super().__init__(type_name, line, remedy)
        self.type_name = type_name
        self.line = line
        self.remedy = remedy

    def __str__(self) -> str:
        at = f" ({self.line})" if self.line else ""
        article = "an" if self.type_name[:1] in "aeiou" else "a"
        return f"The orchestrator awaited {article} {self.type_name}{at}. {self.remedy}"


class LockRuleError(OrchestrationError):
    """A rule of critical sections was broken; the argument says which, and the way out."""


class TurnBlockedError(OrchestrationError):
    """Orchestrator code ran for too long from one wait to the next, and was interrupted."""

    def __init__(self, line: str, limit_s: float) -> None:
        super().__init__(line, limit_s)
        self.line = line
        self.limit_s = limit_s

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return (
            f"The orchestrator's code ran for more than {self.limit_s:g} s without waiting{at}. "
            "It holds up every other instance: put work, I/O and sleeping into an activity "
            "(ctx.create_timer waits), then resume the instance or start a new one."
        )


class NonDeterminismError(OrchestrationError):
    """Replaying the code does not give what history says.

    Attributes:
        instance_id: The instance.
        task_id: The action id at which they part; 0 where it is not about one action.
        history: What history says.
        code: What the code did.
        line: Where in the code.
        cause: The likely cause and the next step.
    """

    def __init__(
        self, instance_id: str, task_id: int, history: str, code: str, line: str, cause: str
    ) -> None:
        super().__init__(instance_id, task_id, history, code, line, cause)
        self.instance_id = instance_id
        self.task_id = task_id
        self.history = history
        self.code = code
        self.line = line
        self.cause = cause

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        number = f" at action {self.task_id}" if self.task_id else ""
        return (
            f"The code of {self.instance_id!r} no longer does what its history says{number}. "
            f"History: {self.history}. Code{at}: {self.code}. {self.cause}"
        )


class EntityError(DurableError):
    """Base of errors of entity code."""


class EntityCallError(EntityError):
    """The operation of an entity that a client called failed; it left no trace."""

    def __init__(self, entity_id: str, operation: str, failure: FailureDetails) -> None:
        super().__init__(entity_id, operation, failure)
        self.entity_id = entity_id
        self.operation = operation
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.operation} on {self.entity_id} failed: {self.failure}"

    def _render_traceback_(self) -> list[str]:
        return [f"EntityCallError: {self}", "", *self.failure.explain()]


class EntityOperationError(EntityError):
    """The entity has no operation of that name."""

    def __init__(self, entity_id: str, operation: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(entity_id, operation, tuple(known))
        self.entity_id = entity_id
        self.operation = operation
        self.known = tuple(known)

    def __str__(self) -> str:
        has = f"it has {', '.join(self.known)}" if self.known else "it has none"
        return f"{self.entity_id} has no operation {self.operation!r}; {has}"


class EntityStateError(EntityError):
    """The stored state of an entity does not fit its class any more."""

    def __init__(self, entity: str, attribute: str, found: str, wanted: str) -> None:
        super().__init__(entity, attribute, found, wanted)
        self.entity = entity
        self.attribute = attribute
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        what = f"attribute {self.attribute!r}" if self.attribute else "state"
        return (
            f"The {what} of this {self.entity} holds a value of type {self.found}, "
            f"and the class now wants {self.wanted}; it cannot be converted. The state was left "
            "alone: give the attribute another name, or a type that takes both."
        )


class WaitTimeoutError(DurableError, TimeoutError):
    """Not finished within the time given; the instance goes on."""

    def __init__(self, what: str, timeout_s: float) -> None:
        super().__init__(what, timeout_s)
        self.what = what
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"{self.what} did not happen within {self.timeout_s:g} s; it goes on meanwhile"
