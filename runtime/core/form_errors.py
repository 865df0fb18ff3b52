"""The errors about forms; the tree of all errors is in `errors`."""

from __future__ import annotations

from .error_base import DurableError
from .instance_errors import InstanceError

__all__ = ["FormAnswerError", "FormClosedError", "FormError"]


class FormError(DurableError):
    """What orchestrator code gave as a form is none."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        what = f"The field {self.field!r} of the form" if self.field else "The form"
        return f"{what} cannot be shown: {self.problem}."


class FormAnswerError(InstanceError):
    """The answer does not fit the form. Nothing was raised; the form is still open.

    Attributes:
        instance_id: Who asks.
        name: The event that the form raises.
        problems: What is wrong, by the name of the field; `""` stands for the answer as a whole.
    """

    def __init__(self, instance_id: str, name: str, problems: dict[str, str]) -> None:
        super().__init__(instance_id, name, problems)
        self.instance_id = instance_id
        self.name = name
        self.problems = problems

    def __str__(self) -> str:
        said = "; ".join(
            f"{field}: {problem}" if field else problem for field, problem in self.problems.items()
        )
        return (
            f"This does not answer the form {self.name!r} of {self.instance_id!r}: {said}. "
            f"ipydurable.instance({self.instance_id!r}).forms shows what is asked for."
        )


class FormClosedError(InstanceError):
    """The form is not open any more, or never was.

    Attributes:
        instance_id: Who asked.
        name: The event that the form raises; its id where no more is known.
        what: How it was closed, and by whom, in words.
    """

    def __init__(self, instance_id: str, name: str, what: str) -> None:
        super().__init__(instance_id, name, what)
        self.instance_id = instance_id
        self.name = name
        self.what = what

    def __str__(self) -> str:
        return (
            f"The form {self.name!r} of {self.instance_id!r} is not open: {self.what}. "
            f"ipydurable.instance({self.instance_id!r}).forms shows those that are."
        )
