"""The host's side of forms: which are open, and whether what somebody gave answers one.

An answer is checked here, in the engine's thread, where it is known for sure whether the form is
still open; what fits becomes an ordinary external event that names the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any

from .core.asked_forms import AskedForm
from .core.errors import DecodingError, FormAnswerError, FormClosedError
from .core.events import EventFormClosed, EventFormOpened, EventRaised
from .core.form_answers import answer_of
from .core.payload import Payload
from .core.serialization import decode_json, encode_json
from .instances import Instance, was_done
from .requests import AnswerForm, DescribeForms, RaiseEvent
from .waits import OpenForm

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["FormDesk", "child_forms", "decode_plain"]

_CHILD_FORMS = 20

_HOW = {
    "answered": "it was answered",
    "expired": "its time was over",
    "withdrawn": "the code does not wait for it any more",
}


class FormDesk:
    """Knows the open forms of an engine's instances, and checks answers.

    Args:
        engine: The engine.
        answer: Answers a request once all that was done is durable.
    """

    def __init__(self, engine: Engine, answer: Callable[[Future[Any], Any], None]) -> None:
        self._engine = engine
        self._by_id = engine.orchestrations.by_id
        self._answer = answer

    def describe(self, request: DescribeForms, future: Future[Any]) -> None:
        """Answer with the open forms of some instances, or of all."""
        wanted = request.instance_ids or list(self._by_id)
        found = [self._by_id[one] for one in wanted if one in self._by_id]
        self._answer(future, [form for instance in found for form in _open_forms(instance)])

    def take(self, request: AnswerForm, instance: Instance | None) -> EventRaised | None:
        """Return the event that an answer raises; None where the same request raised it before.

        Raises:
            FormAnswerError: It does not fit the form.
            FormClosedError: The form is not open; says what became of it.
        """
        if instance is not None and request.request_id in instance.requests:
            return None
        opened = None if instance is None else instance.forms.get(request.form_id)
        if instance is None or opened is None or request.form_id in _answered(instance):
            if self._has_raised(request):
                return None
            raise self._closed_error(request, instance)
        value = _fitting(request.instance_id, opened.name, opened.form, request.values)
        return EventRaised(
            timestamp=self._engine.now,
            name=opened.name,
            input=value,
            request_id=request.request_id,
            form_id=request.form_id,
            by=request.by,
        )

    def fit(self, request: RaiseEvent, instance: Instance) -> tuple[Payload | None, str]:
        """Return what an event carries, and the form that it answers, if one asks for it.

        Raises:
            FormAnswerError: A form asks for it, and this does not fit.
        """
        answered = _answered(instance)
        for form_id, opened in instance.forms.items():
            if opened.name.casefold() == request.name.casefold() and form_id not in answered:
                data = _fitting(request.instance_id, request.name, opened.form, request.data)
                return data, form_id
        return request.data, ""

    def _events(self, instance_id: str) -> Iterator[Any]:
        record = self._engine.orchestrations.find(instance_id)
        rows = [] if record is None else self._engine.store.history(record.iid, record.first_seq)
        yield from (row.event for row in rows)

    def _has_raised(self, request: AnswerForm) -> bool:
        """Whether the answer was taken before a host died that could not say so any more."""
        record = self._engine.orchestrations.find(request.instance_id)
        return record is not None and was_done(self._engine.store, record, request.request_id)

    def _closed_error(self, request: AnswerForm, instance: Instance | None) -> FormClosedError:
        name, how, last = request.form_id, "", None
        if instance is not None and request.form_id in _answered(instance):
            name = instance.forms[request.form_id].name
            how = "it was answered, which is taken once the instance is resumed"
        for event in () if how else self._events(request.instance_id):
            match event:
                case EventFormOpened() if event.form_id == request.form_id:
                    name = event.name
                case EventRaised():
                    last = event
                case EventFormClosed() if event.form_id == request.form_id:
                    by = (
                        f" by {last.by}" if event.outcome == "answered" and last and last.by else ""
                    )
                    how = f"{_HOW[event.outcome]}{by} at {event.timestamp:%Y-%m-%d %H:%M:%S} UTC"
        if not how:
            how = "there is no such form" if name == request.form_id else "its instance has ended"
        return FormClosedError(request.instance_id, name, how)


def child_forms(by_id: Mapping[str, Instance], instance: Instance | None) -> list[OpenForm]:
    """Return the first open forms of an instance's sub-orchestrations, at any depth.

    Args:
        by_id: The live instances.
        instance: The one at the top; None for one that has ended.
    """

    def found(of: Instance) -> Iterator[OpenForm]:
        for child in map(by_id.get, of.children.values()):
            if child is not None:
                yield from _open_forms(child)
                yield from found(child)

    return [] if instance is None else list(islice(found(instance), _CHILD_FORMS))


def decode_plain(payload: Payload | None) -> Any:
    """Return the value of a payload without any class of the user's; a blob as it is."""
    if not isinstance(payload, str):
        return payload
    try:
        return decode_json(payload, lambda _module, _name: None)
    except DecodingError:
        return payload


def _open_forms(instance: Instance) -> Iterator[OpenForm]:
    answered = _answered(instance)
    for form_id, opened in instance.forms.items():
        if form_id not in answered:
            yield OpenForm(
                instance_id=instance.record.instance_id,
                orchestrator=instance.record.name,
                name=opened.name,
                form_id=form_id,
                form=opened.form,
                since=opened.since,
                until=opened.until,
            )


def _answered(instance: Instance) -> set[str]:
    """Return the forms whose answers wait until the instance is resumed."""
    return {event.form_id for _, event in instance.inbox if isinstance(event, EventRaised)}


def _fitting(instance_id: str, name: str, form: AskedForm, given: Payload | None) -> Payload:
    answer, problems = answer_of(form, decode_plain(given))
    if problems:
        raise FormAnswerError(instance_id, name, problems)

    def refuse(_: Any) -> Payload:
        raise FormAnswerError(instance_id, name, {"": "it holds text that cannot be stored"})

    return encode_json(answer, "answer", refuse)
