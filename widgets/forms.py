"""The forms of one or several instances by themselves, live: what `run.forms` shows in a cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.ports import InstanceUpdate

from .form_model import FormFold, FormView
from .form_static import forms_html, forms_text
from .live import Command, LiveView

__all__ = ["FormsModel", "FormsView"]


class _Instance:
    """One instance that asks."""

    def __init__(self) -> None:
        self.fold = FormFold()
        self.last_seq = 0
        self.name = ""
        self.finished = False


class FormsModel:
    """Folds the updates of instances into their forms. Not thread-safe: the caller holds a lock.

    Args:
        instance_ids: The instances, in the order in which they are shown.
    """

    def __init__(self, instance_ids: list[str]) -> None:
        self._instances = {one: _Instance() for one in instance_ids}
        self.now = 0

    def apply(self, update: InstanceUpdate) -> None:
        """Fold an update of one of the instances; events that were folded before are skipped."""
        instance = self._instances[update.record.instance_id]
        instance.name = update.record.name
        instance.finished = update.record.status.is_terminal
        self.now = round(update.now.replace(tzinfo=UTC).timestamp() * 1000)
        for seq, event in update.events:
            if seq > instance.last_seq:
                instance.last_seq = seq
                instance.fold.fold(event)

    @property
    def finished(self) -> bool:
        """Whether all of the instances have ended, so that nothing will be asked any more."""
        return all(one.finished for one in self._instances.values())

    @property
    def is_known(self) -> bool:
        """Whether something was told of each instance."""
        return all(one.name for one in self._instances.values())

    @property
    def forms(self) -> list[tuple[str, FormView]]:
        """The forms, each with the id of its instance."""
        return [(key, form) for key, one in self._instances.items() for form in one.fold.forms]

    def html(self) -> str:
        """Return a piece of HTML that needs no kernel."""
        many = len(self._instances) > 1
        named = [_named(key, form) if many else form for key, form in self.forms]
        parts = forms_html(named) or ["<div>No form is open.</div>"]
        style = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px"
        return f'<div style="{style};max-width:960px">{"".join(parts)}</div>'

    def text(self) -> str:
        """Return lines of text."""
        many = len(self._instances) > 1
        named = [_named(key, form) if many else form for key, form in self.forms]
        return "\n".join(forms_text(named)) or "No form is open."


class FormsView(LiveView, view="forms"):
    """Forms to be filled in, and what became of those that are closed.

    Args:
        model: What to show. From here on it belongs to the widget: feed it through `update` only.
        commands: `answer` takes the id of the instance, that of the form, and the values.
    """

    forms: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    now = traitlets.Float(0).tag(sync=True)
    finished = traitlets.Bool(False).tag(sync=True)

    def __init__(self, model: FormsModel, commands: Mapping[str, Command] | None = None) -> None:
        self.model = model
        super().__init__(commands)

    def update(self, update: InstanceUpdate) -> None:
        """Fold an update and show it soon. May be called from any thread."""
        with self.lock:
            self.model.apply(update)
            self.send_soon(at_once=self.model.finished)

    def send_changes(self) -> None:
        """Send the forms."""
        self.forms = [
            {**msgspec.to_builtins(form), "instance": key} for key, form in self.model.forms
        ]
        self.now = float(self.model.now)
        self.finished = self.model.finished

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and its static forms for viewers that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        with self.lock:
            data["text/html"] = self.model.html()
            data["text/plain"] = self.model.text()
        return data, metadata


def _named(instance_id: str, form: FormView) -> FormView:
    """Return a form whose title says which instance asks."""
    title = f"{form.form.title or form.name} ({instance_id})"
    return msgspec.structs.replace(form, form=msgspec.structs.replace(form.form, title=title))
