"""What is asked of a host about forms."""

from __future__ import annotations

from typing import Any, ClassVar

from .core.payload import Payload
from .read_requests import BaseRequest
from .waits import OpenForm

__all__ = ["AnswerForm", "DescribeForms"]


class AnswerForm(BaseRequest, frozen=True, kw_only=True):
    """Answer an open form, which raises its event; refused if it does not fit.

    Attributes:
        instance_id: Who asks.
        form_id: Which form.
        values: Values by field, or the choice, encoded.
        request_id: The client's id of the request.
        by: From where it was answered, in words.
    """

    instance_id: str
    form_id: str
    values: Payload | None = None
    request_id: str = ""
    by: str = ""


class DescribeForms(BaseRequest, frozen=True, kw_only=True):
    """Ask for the open forms of some instances; no ids stand for all instances."""

    answer_type: ClassVar[Any] = list[OpenForm]
    instance_ids: list[str]
