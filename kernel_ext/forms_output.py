"""Open forms in a notebook: as the last expression of a cell they can be filled in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.errors import FormAnswerError
from ipydurable.runtime.form_handles import FormHandles
from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.runtime.waits import OpenForm

from .display import current_shell, is_notebook
from .live_output import LiveOutput, current_update

if TYPE_CHECKING:
    from ipydurable.widgets.forms import FormsModel, FormsView
    from ipydurable.widgets.live import LiveView

__all__ = ["FormsOutput", "NotebookForms", "answer_problems"]

_log = logging.getLogger(__name__)


def answer_problems(
    client: DurableClient, instance_id: str, form_id: str, values: Any
) -> dict[str, str]:
    """Answer a form for a view.

    Returns:
        What is wrong, by the name of the field; empty if nothing is.

    Raises:
        FormClosedError: It is not open any more.
    """
    try:
        client.answer_form(instance_id, form_id, values)
    except FormAnswerError as error:
        return error.problems
    return {}


class NotebookForms(FormHandles):
    """Open forms; in a notebook the last expression of a cell shows them, to be filled in.

    Args:
        client: Reaches the host.
        forms: The forms.
        whose: Whose they are, for the message of an error.
        instance_ids: The instances whose later forms are shown too.
        again: The code that gives them again.
        keep: Told of each view that is made, so that somebody can end it.
    """

    def __init__(
        self,
        client: DurableClient,
        forms: Iterable[OpenForm],
        whose: str,
        instance_ids: Iterable[str],
        again: str,
        keep: Callable[[FormsOutput], None] | None = None,
    ) -> None:
        super().__init__(client, forms, whose)
        self._client = client
        asking = [*instance_ids, *(one.instance_id for one in self._forms)]
        self._instance_ids = list(dict.fromkeys(asking))
        self._again = again
        self._keep = keep

    def _ipython_display_(self) -> None:
        if not self._instance_ids or not is_notebook(current_shell()):
            raise NotImplementedError  # IPython then asks for the text.
        view = FormsOutput(self._client, self._instance_ids, self._again)
        if self._keep is not None:
            self._keep(view)
        view._ipython_display_()

    def _repr_html_(self) -> str | None:
        if not self._instance_ids:
            return None
        return _taken(self._client, self._instance_ids)._repr_html_()


class _Static:
    """Forms as they were: need no kernel to be shown again."""

    def __init__(self, model: FormsModel) -> None:
        self._html = model.html()
        self._text = model.text()

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


class FormsOutput(LiveOutput):
    """The forms of instances below a cell: live, and static once the instances have ended.

    Args:
        client: Reaches the host.
        instance_ids: The instances.
        again: The code that shows them again.
    """

    def __init__(self, client: DurableClient, instance_ids: list[str], again: str) -> None:
        super().__init__(client, again)
        self._instance_ids = instance_ids

    def _make(self) -> FormsView:
        from ipydurable.widgets.forms import FormsModel, FormsView

        return FormsView(FormsModel(self._instance_ids), {"answer": self._answer})

    def _answer(self, form_id: str, values: Any, instance_id: str) -> dict[str, str]:
        return answer_problems(self.client, instance_id, form_id, values)

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: InstanceUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                if widget.model.is_known:
                    self.has_news(is_last=widget.model.finished)
            except Exception:  # noqa: BLE001
                _log.exception("forms could not be shown")

        ends = [self.client.subscribe(one, tell) for one in self._instance_ids]

        def end() -> None:
            for one in ends:
                one()

        return end

    def _static(self, widget: LiveView) -> _Static:
        return _Static(widget.model)

    def _snapshot(self) -> _Static:
        return _taken(self.client, self._instance_ids)


def _taken(client: DurableClient, instance_ids: list[str]) -> _Static:
    from ipydurable.widgets.forms import FormsModel

    model = FormsModel(instance_ids)
    for one in instance_ids:
        model.apply(current_update(client, one))
    return _Static(model)
