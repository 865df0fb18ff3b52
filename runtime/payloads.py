"""The value of one history event, found by instance and position."""

from __future__ import annotations

from typing import Any

from .client import DurableClient
from .core.entity_ids import EntityInstanceId

__all__ = ["payload_of"]


def payload_of(client: DurableClient, instance_id: str, seq: int | None = None) -> Any:
    """Return the value of an event: its input, result or data; a DataFrame as a DataFrame.

    Args:
        client: Reaches the store.
        instance_id: The instance, or an entity.
        seq: Position of the event in the history; None for the output of the instance, or the
            state of the entity.

    Returns:
        The value; None where the event has none.

    Raises:
        UnknownInstanceError: There is no such instance, or no such event.
        DecodingError: The value cannot, or must not, be loaded here.
    """
    if seq is not None:
        return client.decode(client.payload(instance_id, seq))
    if instance_id.startswith("@"):
        entity = client.get_entity(EntityInstanceId.parse(instance_id))
        return None if entity is None else client.decode(entity.state)
    return client.decode(client.get(instance_id).output)
