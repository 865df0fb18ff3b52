"""The forms of an instance as data: what was asked, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import msgspec

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.asked_forms import AskedForm
from ipydurable.runtime.core.errors import DecodingError
from ipydurable.runtime.core.form_answers import answer_words
from ipydurable.runtime.core.payload import Payload
from ipydurable.runtime.core.serialization import decode_json
from ipydurable.runtime.ports import OpenForm

from .views import PREVIEW_CHARS, preview, shorten

__all__ = ["FormFold", "FormState", "FormView", "view_of"]

FormState = Literal["open", "answered", "expired", "withdrawn", "ended"]
"""`"ended"`: it was open when its instance ended."""

_CLOSED_KEPT = 20


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A form as views show it; times are milliseconds since 1970.

    Attributes:
        id: Which form.
        name: The event that its answer raises.
        form: What is asked.
        state: Whether it is open, and what became of it.
        since: Since when the code waits.
        until: When it is closed by itself; None for never.
        closed: When it was closed; None while it is open.
        answer: What was answered, as labels and values; a single choice has no label.
        by: From where it was answered, e.g. the notebook; empty if that is not known.
        instance: The sub-orchestration that asks; empty for the instance itself.
    """

    id: str
    name: str
    form: AskedForm
    since: int
    until: int | None = None
    state: FormState = "open"
    closed: int | None = None
    answer: tuple[tuple[str, str], ...] = ()
    by: str = ""
    instance: str = ""


def view_of(form: OpenForm) -> FormView:
    """Return an open form of a sub-orchestration as views show it."""
    return FormView(
        id=form.form_id,
        name=form.name,
        form=form.form,
        since=_epoch_ms(form.since),
        until=None if form.until is None else _epoch_ms(form.until),
        instance=form.instance_id,
    )


class FormFold:
    """Folds the events of an instance's present execution into its forms, oldest first."""

    def __init__(self) -> None:
        self._forms: dict[str, FormView] = {}
        self._raised: ev.EventRaised | None = None
        self._execution_id = ""

    def fold(self, event: ev.Event) -> bool:
        """Apply one event; returns whether any form may have changed."""
        apply = self._FOLDS.get(type(event))
        if apply is None:
            return False
        before = dict(self._forms)
        apply(self, event)
        return before != self._forms

    @property
    def forms(self) -> tuple[FormView, ...]:
        """The open forms, and the last ones that were closed, oldest first."""
        closed = [one.id for one in self._forms.values() if one.state != "open"]
        left_out = set(closed[:-_CLOSED_KEPT])
        return tuple(one for one in self._forms.values() if one.id not in left_out)

    def _started(self, event: ev.ExecutionStarted) -> None:
        if event.execution_id != self._execution_id:
            self._execution_id = event.execution_id
            self._forms = {}

    def _opened(self, event: ev.EventFormOpened) -> None:
        # One that is opened again keeps its place.
        self._forms[event.form_id] = FormView(
            id=event.form_id,
            name=event.name,
            form=event.form,
            since=_epoch_ms(event.since),
            until=None if event.until is None else _epoch_ms(event.until),
        )

    def _event_raised(self, event: ev.EventRaised) -> None:
        self._raised = event

    def _closed(self, event: ev.EventFormClosed) -> None:
        form = self._forms.get(event.form_id)
        if form is None:
            return
        answer: tuple[tuple[str, str], ...] = ()
        by = ""
        if event.outcome == "answered" and self._raised is not None:
            answer = _words(form.form, self._raised.input)
            by = self._raised.by or self._raised.sender
        self._close(form, event.timestamp, event.outcome, answer, by)

    def _completed(self, event: ev.ExecutionCompleted) -> None:
        for form in list(self._forms.values()):
            if form.state == "open":
                self._close(form, event.timestamp, "ended")

    def _rewound(self, event: ev.ExecutionRewound) -> None:  # noqa: ARG002
        for form in list(self._forms.values()):
            if form.state == "ended":
                reopened = msgspec.structs.replace(form, state="open", closed=None)
                self._forms[form.id] = reopened

    def _close(
        self,
        form: FormView,
        at: datetime,
        state: FormState,
        answer: tuple[tuple[str, str], ...] = (),
        by: str = "",
    ) -> None:
        self._forms[form.id] = msgspec.structs.replace(
            form, state=state, closed=_epoch_ms(at), answer=answer, by=by
        )

    _FOLDS: ClassVar[dict[type[ev.Event], Callable[[Any, Any], None]]] = {
        ev.ExecutionStarted: _started,
        ev.ExecutionCompleted: _completed,
        ev.ExecutionRewound: _rewound,
        ev.EventRaised: _event_raised,
        ev.EventFormOpened: _opened,
        ev.EventFormClosed: _closed,
    }


def _words(form: AskedForm, payload: Payload | None) -> tuple[tuple[str, str], ...]:
    """Return an answer in words; one that cannot be read as it is stored."""
    if not isinstance(payload, str):
        return (("", preview(payload, PREVIEW_CHARS)),)
    try:
        value = decode_json(payload, lambda _module, _name: None)
    except DecodingError:
        return (("", preview(payload, PREVIEW_CHARS)),)
    words = answer_words(form, value)
    return tuple((label, shorten(text, PREVIEW_CHARS)) for label, text in words)


def _epoch_ms(at: datetime) -> int:
    return round(at.replace(tzinfo=UTC).timestamp() * 1000)
