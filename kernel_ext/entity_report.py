"""What a cell that defines an entity says about the entities there are already."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_state import ClassState
from ipydurable.runtime.core.errors import EntityStateError
from ipydurable.runtime.core.records import EntityRecord
from ipydurable.runtime.ports import EntityQuery

from .display import Line
from .entity_handles import public_state

if TYPE_CHECKING:
    from ipydurable.runtime.requests import Defined

    from .entity_functions import EntityFunction

__all__ = ["entity_line"]

_LOOKED_AT = 100


def entity_line(function: EntityFunction, defined: Defined, client: DurableClient) -> Line:
    """Return what a cell that defines an entity says.

    Entities take new code with their next operation, whatever state they hold, so the line counts
    them and says what becomes of attributes that have come, gone, or no longer fit.

    Args:
        function: What it defined.
        defined: What became of it.
        client: Asked for the entities that hold state.
    """
    detail = f"v{defined.number}"
    notes = list(function.warnings)
    if not defined.is_new:
        detail += " · same content, same version"
    else:
        query = EntityQuery(name=function.name, limit=_LOOKED_AT + 1)
        found = [one for one in client.query_entities(query) if one.state is not None]
        if found:
            count = f"more than {_LOOKED_AT}" if len(found) > _LOOKED_AT else str(len(found))
            detail += f" · {count} {'entity holds' if len(found) == 1 else 'entities hold'} state"
            notes += _differences(function, found[:_LOOKED_AT], client)
    return Line(function.kind.value, function.name, detail, notes)


def _differences(
    function: EntityFunction, records: list[EntityRecord], client: DurableClient
) -> Iterator[str]:
    """Yield what becomes of the attributes of entities, one sentence each."""
    cls = function.__wrapped__
    if not isinstance(cls, type):
        return
    namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        fresh = set(ClassState(cls, namespace).defaults())
    except Exception:  # noqa: BLE001  (the user's __init__: its error comes with its first use)
        return
    declared = fresh | {name for name in _hints_of(cls) if not name.startswith("_")}
    gone: dict[str, None] = {}
    new: dict[str, None] = {}
    unfit: dict[str, None] = {}
    for record in records:
        state = public_state(client, record)
        if isinstance(state, Mapping):
            gone.update(dict.fromkeys(name for name in state if name not in declared))
            new.update(dict.fromkeys(name for name in sorted(fresh) if name not in state))
        try:
            ClassState(cls, namespace).load(client.decode(record.state))
        except EntityStateError as error:
            unfit[str(error)] = None
    if gone:
        yield f"{_list(gone)} no longer in the class: kept aside, and back with the attribute"
    if new:
        yield f"{_list(new)} new: entities that hold state take the default"
    yield from unfit


def _hints_of(cls: type) -> set[str]:
    return {name for one in cls.__mro__ for name in vars(one).get("__annotations__", {})}


def _list(names: Mapping[str, Any]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
