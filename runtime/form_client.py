"""The part of the client that is about forms."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from .client_base import ClientBase
from .form_requests import AnswerForm, DescribeForms
from .waits import OpenForm

__all__ = ["FormClient"]


class FormClient(ClientBase):
    """Lists the forms that instances wait for, and answers them."""

    def forms(self, instance_ids: Iterable[str] = ()) -> list[OpenForm]:
        """Return the open forms of some instances; of all where no ids are given."""
        answer: list[OpenForm] = self._ask(DescribeForms(instance_ids=list(instance_ids)))
        return answer

    def answer_form(self, instance_id: str, form_id: str, values: Any) -> None:
        """Answer an open form, which raises its event.

        Args:
            instance_id: Who asks.
            form_id: Which form, as `forms` tells it.
            values: Values by field, an instance of the form's dataclass, or the choice.

        Raises:
            UnknownInstanceError: There is no such instance.
            FormAnswerError: They do not fit the form; says what is wrong with each.
            FormClosedError: The form is not open any more; says why.
        """
        self._ask(
            AnswerForm(
                instance_id=instance_id,
                form_id=form_id,
                values=self.encode(values, "answer"),
                request_id=secrets.token_hex(8),
                by=self.by,
            )
        )
