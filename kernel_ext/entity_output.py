"""The card of an entity in a notebook: live, and static where there is no kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.ports import EntityUpdate

from .lasting_output import LastingOutput

if TYPE_CHECKING:
    from ipydurable.widgets import EntityCard, EntityModel
    from ipydurable.widgets.live import LiveView

__all__ = ["EntityView", "StaticEntity", "take_entity"]

_log = logging.getLogger(__name__)

_ANSWER_S = 10.0


class StaticEntity:
    """The card of an entity as it was: needs no kernel to be shown again."""

    def __init__(self, model: EntityModel) -> None:
        from ipydurable.widgets import entity_html, entity_text

        self._html = entity_html(model)
        self._text = entity_text(model)

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


class EntityView(LastingOutput):
    """The card of one entity. In a notebook it is live; elsewhere as the entity is at that moment.

    Args:
        client: Reaches the host.
        entity_id: Which entity.
        title: The entity, as people write it.
    """

    def __init__(
        self,
        client: DurableClient,
        entity_id: EntityInstanceId,
        title: str,
    ) -> None:
        # In the case of the id, which a kernel knows that has not seen the class.
        shown = str(entity_id).removeprefix("@")
        super().__init__(client, f"ipydurable.entity({shown!r})")
        self._entity_id = str(entity_id)
        self._title = title

    @classmethod
    def of(cls, client: DurableClient, entity_id: EntityInstanceId, title: str) -> EntityView:
        """Return the view of an entity; the same for all cells that show it."""
        return cls.shared(client, (str(entity_id), title), lambda: cls(client, entity_id, title))

    def __repr__(self) -> str:
        return f"<card of {self._title}>"

    def _make(self) -> EntityCard:
        from ipydurable.widgets import EntityCard

        return EntityCard(self._model())

    def _follow(self, widget: LiveView) -> Callable[[], None]:
        def tell(update: EntityUpdate) -> None:
            """Show news; in the thread of the link, which must go on whatever happens here."""
            try:
                widget.update(update)
                self.has_news()
            except Exception:  # noqa: BLE001
                _log.exception("the card of %s could not be shown", self._title)

        return self.client.subscribe(self._entity_id, tell)

    def _static(self, widget: LiveView) -> StaticEntity:
        with widget.lock:
            return StaticEntity(widget.model)

    def _snapshot(self) -> StaticEntity:
        model = self._model()
        model.apply(take_entity(self.client, self._entity_id))
        return StaticEntity(model)

    def _model(self) -> EntityModel:
        from ipydurable.widgets import EntityModel

        def decode(payload: Any) -> Any:
            return self.client.decode(payload)

        return EntityModel(self._title, decode)


def take_entity(client: DurableClient, entity_id: str) -> EntityUpdate:
    """Return an entity as it is now, with the newest of its past."""
    first: Future[EntityUpdate] = Future()

    def tell(update: EntityUpdate) -> None:
        if not first.done():
            first.set_result(update)

    end = client.subscribe(entity_id, tell)
    try:
        return first.result(_ANSWER_S)
    finally:
        end()
