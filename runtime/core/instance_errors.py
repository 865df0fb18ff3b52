"""The errors about one orchestration instance; the tree of all errors is in `errors`."""

from __future__ import annotations

from .error_base import DurableError, or_list
from .failure import FailureDetails

__all__ = [
    "InstanceError",
    "InstanceExistsError",
    "InstanceStateError",
    "InvalidInstanceIdError",
    "MigrationError",
    "OrchestrationFailedError",
    "OrchestrationParkedError",
    "OrchestrationTerminatedError",
    "UnknownInstanceError",
]


class InstanceError(DurableError):
    """Base of errors about one instance."""


class UnknownInstanceError(InstanceError):
    """No instance of that id in the store."""

    def __init__(self, instance_id: str, store: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(instance_id, store, tuple(near))
        self.instance_id = instance_id
        self.store = store
        self.near = tuple(near)

    def __str__(self) -> str:
        hint = f" Did you mean {or_list(self.near)}?" if self.near else ""
        return (
            f"There is no instance {self.instance_id!r} in {self.store}.{hint} "
            "%durable list shows those there are."
        )


class InstanceExistsError(InstanceError):
    """The instance id is taken."""

    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(instance_id, status)
        self.instance_id = instance_id
        self.status = status

    def __str__(self) -> str:
        return (
            f"There is an instance {self.instance_id!r} already; it is {self.status}. "
            f"ipydurable.instance({self.instance_id!r}) gives its handle. To start another, "
            "choose another id, leave the id out, or say which statuses may be replaced."
        )


class InvalidInstanceIdError(InstanceError):
    """The instance id breaks the rules for ids."""

    def __init__(self, instance_id: str, rule: str) -> None:
        super().__init__(instance_id, rule)
        self.instance_id = instance_id
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.instance_id!r} cannot be an instance id: {self.rule}"


class InstanceStateError(InstanceError):
    """The instance's status does not allow what was asked."""

    def __init__(self, instance_id: str, status: str, wanted: str) -> None:
        super().__init__(instance_id, status, wanted)
        self.instance_id = instance_id
        self.status = status
        self.wanted = wanted

    def __str__(self) -> str:
        return f"{self.instance_id!r} is {self.status}: {self.wanted}"


class MigrationError(InstanceError):
    """The history of an instance does not replay under the version it was to be moved to.

    Attributes:
        instance_id: The instance, which stays as it is.
        version: The version, as people call it: `"report v3"`.
        task_id: The action id at which they part; 0 where it is not about one action.
        history: What history says.
        code: What the code of that version did.
        line: Where in the code.
    """

    def __init__(
        self, instance_id: str, version: str, task_id: int, history: str, code: str, line: str
    ) -> None:
        super().__init__(instance_id, version, task_id, history, code, line)
        self.instance_id = instance_id
        self.version = version
        self.task_id = task_id
        self.history = history
        self.code = code
        self.line = line

    def __str__(self) -> str:
        number = f" at action {self.task_id}" if self.task_id else ""
        at = f" at {self.line}" if self.line else ""
        return (
            f"{self.instance_id!r} stays as it is: its history does not replay under "
            f"{self.version}. They part{number}. History: {self.history}. Code{at}: {self.code}. "
            "Let it finish on its own version, or have the new code do first what was done already."
        )


class OrchestrationFailedError(InstanceError):
    """The orchestration whose result was awaited failed."""

    def __init__(self, instance_id: str, failure: FailureDetails) -> None:
        super().__init__(instance_id, failure)
        self.instance_id = instance_id
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.instance_id!r} failed: {self.failure}"

    def _render_traceback_(self) -> list[str]:
        return [f"OrchestrationFailedError: {self}", "", *self.failure.explain()]


class OrchestrationParkedError(InstanceError):
    """The orchestration whose end was awaited is parked: its code cannot go on as it is."""

    def __init__(self, instance_id: str, failure: FailureDetails) -> None:
        super().__init__(instance_id, failure)
        self.instance_id = instance_id
        self.failure = failure

    def __str__(self) -> str:
        return (
            f"{self.instance_id!r} is parked, and nothing of it is lost. {self.failure.message} "
            f"`%durable resume {self.instance_id}` or .resume() has it go on; then await it again."
        )


class OrchestrationTerminatedError(InstanceError):
    """The orchestration whose result was awaited was terminated."""

    def __init__(self, instance_id: str, output: str = "") -> None:
        super().__init__(instance_id, output)
        self.instance_id = instance_id
        self.output = output

    def __str__(self) -> str:
        said = f" with {self.output}" if self.output else ""
        return f"{self.instance_id!r} was terminated{said}"
