"""The live card of an entity: an anywidget that shows an `EntityModel` and follows its updates."""

from __future__ import annotations

from typing import Any

import msgspec
import traitlets

from ipydurable.runtime.ports import EntityUpdate

from .entity_model import KEPT, EntityModel
from .entity_static import entity_html, entity_text
from .live import LiveView

__all__ = ["PARTS", "EntityCard"]

PARTS = 8
"""Traits that state and operations are spread over: what changed travels alone."""
_PER_PART = KEPT // PARTS


class EntityCard(LiveView, view="entity"):
    """A live card of one entity: its state as a tree, its lock, what waits, what was done.

    Args:
        model: What to show; from here on it belongs to the widget: feed it through `update` only.
    """

    head = traitlets.Dict().tag(sync=True)

    def __init__(self, model: EntityModel) -> None:
        self.model = model
        # Before the base class opens the comm, so that its first message holds them.
        self.add_traits(
            **{f"state_{n}": traitlets.List().tag(sync=True) for n in range(PARTS)},
            **{f"done_{n}": traitlets.List().tag(sync=True) for n in range(PARTS)},
        )
        if model.is_told:
            self.send_changes()
        super().__init__()

    def update(self, update: EntityUpdate) -> None:
        """Fold an update and show it soon. May be called from any thread."""
        with self.lock:
            self.model.apply(update)
            # Showing it runs code of the user's classes, which must not hold up who tells.
            self.send_soon(apart=True)

    def send_changes(self) -> None:
        """Send the parts that changed."""
        if not self.model.is_told:
            return
        self.head = msgspec.to_builtins(self.model.head())
        state: list[list[Any]] = [[] for _ in range(PARTS)]
        for place, node in enumerate(self.model.state()):
            state[place % PARTS].append([place, msgspec.to_builtins(node)])
        done: list[list[Any]] = [[] for _ in range(PARTS)]
        for place, one in enumerate(self.model.happenings(), self.model.forgotten):
            done[place // _PER_PART % PARTS].append(msgspec.to_builtins(one))
        for number in range(PARTS):
            # A trait that is set to what it is already is not sent.
            self.set_trait(f"state_{number}", state[number])
            self.set_trait(f"done_{number}", done[number])

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and its static forms for viewers that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        with self.lock:
            if self.model.is_told:
                data["text/html"] = entity_html(self.model)
                data["text/plain"] = entity_text(self.model)
        return data, metadata
